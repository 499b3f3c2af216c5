//! The API document: schemas from the types, calls from one table. A test compares it with the
//! file `openapi.json` and with the router.

use std::sync::OnceLock;

use utoipa::OpenApi;
use utoipa::openapi::content::{Content, ContentBuilder};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Ref, Required, Response, ResponseBuilder};

use crate::http::calls::{self, Answer, Call, Place};
use crate::http::catalog::Kind;
use crate::http::routes::deficits;
use crate::http::{
    answers, campaign_answers, dto, dto_inbound, dto_policy, policy_answers, settings_dto,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "holdfast",
        description = "Inventory and available-to-promise: one stock, many channels, no oversell. \
            Units are integers, ids and keys strings, times RFC 3339 UTC. Every POST that changes \
            stock carries an Idempotency-Key; sending it again is safe. Errors are problem details \
            (RFC 9457) with a stable code, listed at /problems."
    ),
    components(schemas(
        dto::ReserveBody<'static>,
        dto::BatchBody<'static>,
        dto::LinesBody<'static>,
        dto::ExtendBody,
        dto::ShipBody<'static>,
        dto::ReturnBody<'static>,
        dto::PinBody<'static>,
        dto::SetBody<'static>,
        dto::AdjustBody<'static>,
        dto::TransferBody<'static>,
        settings_dto::SettingsBody<'static>,
        dto::AtpBody<'static>,
        dto::StockSetBody,
        dto::StockAdjustBody,
        dto::StockTransferBody,
        dto_inbound::InboundPutBody<'static>,
        dto_inbound::InboundPutsBody,
        dto_inbound::ReceiptBody<'static>,
        dto_inbound::ReceiptsBody,
        answers::Reservation,
        answers::BatchResults,
        answers::StockResults,
        answers::Stock,
        answers::Inbound,
        answers::InboundResults,
        answers::Settings,
        answers::Atp,
        answers::AtpResults,
        answers::EventPage,
        answers::DeficitPage,
        answers::DeficitReleases,
        deficits::ReleaseBody<'static>,
        campaign_answers::Campaigns,
        campaign_answers::Preflight,
        dto_policy::RollbackBody<'static>,
        dto_policy::SharesBody<'static>,
        policy_answers::ShareMoves,
        policy_answers::Policy,
        policy_answers::PolicyPut,
        policy_answers::PolicyVersions,
        policy_answers::PolicyVersionWhole,
        policy_answers::SkuPolicy,
        policy_answers::Rebalance,
        answers::Problem,
    ))
)]
struct Components;

fn schema(name: &str) -> Content {
    ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(name)))
        .build()
}

fn plain_text() -> Content {
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    ContentBuilder::new().schema(Some(text)).build()
}

fn parameter(name: &str, place: Place, description: &str) -> Parameter {
    let (place, required) = match place {
        Place::Path => (ParameterIn::Path, Required::True),
        Place::Query => (ParameterIn::Query, Required::False),
        Place::Header => (ParameterIn::Header, Required::False),
        Place::RequiredHeader => (ParameterIn::Header, Required::True),
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()))
        .build()
}

fn request_body(call: &Call) -> Option<RequestBody> {
    let (name, required) = call.body?;
    let required = if required {
        Required::True
    } else {
        Required::False
    };
    let body = RequestBodyBuilder::new().content("application/json", schema(name));
    Some(body.required(Some(required)).build())
}

fn success(call: &Call) -> (&'static str, Response) {
    let header = |text: &str| {
        let string = ObjectBuilder::new().schema_type(Type::String).build();
        HeaderBuilder::new()
            .schema(Some(string))
            .description(Some(text))
            .build()
    };
    let mut response = ResponseBuilder::new().header(
        "X-Request-Id",
        header("Id of the request, the caller's or made here."),
    );
    if call.commits {
        response = response
            .header("Holdfast-Position", header("Where the change stands."))
            .header(
                "Holdfast-Durability",
                header("What the change survives: disk or os."),
            )
            .header(
                "Idempotent-Replayed",
                header("true: the key was answered before."),
            );
    }
    match call.answer {
        Answer::Json(status, name) => (
            status,
            response
                .description("Done")
                .content("application/json", schema(name))
                .build(),
        ),
        Answer::Text(media_type) => (
            "200",
            response
                .description("Done")
                .content(media_type, plain_text())
                .build(),
        ),
        Answer::Events => {
            let response = response.description("Events, or a stream of them");
            let response = response.content("application/json", schema("EventPage"));
            (
                "200",
                response.content("text/event-stream", plain_text()).build(),
            )
        }
    }
}

/// One answer per status; the codes are in its description.
fn failures(call: &Call) -> Vec<(String, Response)> {
    let mut by_status: Vec<(u16, Vec<&Kind>)> = Vec::new();
    for kind in call.problems() {
        let status = kind.status.as_u16();
        match by_status.iter_mut().find(|(known, _)| *known == status) {
            Some((_, kinds)) => kinds.push(kind),
            None => by_status.push((status, vec![kind])),
        }
    }
    by_status
        .into_iter()
        .map(|(status, kinds)| {
            let codes: Vec<&str> = kinds.iter().map(|kind| kind.code).collect();
            let response = ResponseBuilder::new()
                .description(codes.join(", "))
                .content("application/problem+json", schema("Problem"))
                .build();
            (status.to_string(), response)
        })
        .collect()
}

/// The document.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut api = Components::openapi();
    env!("CARGO_PKG_VERSION").clone_into(&mut api.info.version);
    for call in calls::all() {
        let mut operation = OperationBuilder::new()
            .tag(call.tag)
            .summary(Some(call.summary))
            .operation_id(Some(call.id))
            .request_body(request_body(call));
        for (name, place, description) in call.parameters {
            operation = operation.parameter(parameter(name, *place, description));
        }
        let (status, response) = success(call);
        operation = operation.response(status, response);
        for (status, response) in failures(call) {
            operation = operation.response(status, response);
        }
        let method = match call.method {
            "POST" => HttpMethod::Post,
            "PUT" => HttpMethod::Put,
            _ => HttpMethod::Get,
        };
        api.paths
            .add_path_operation(call.path, vec![method], operation.build());
    }
    api
}

/// The document as JSON.
pub fn text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let mut text = document().to_pretty_json().unwrap_or_default();
        text.push('\n');
        text
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::routes::ROUTES;

    /// `UPDATE_OPENAPI=1 cargo test openapi` writes the file anew.
    #[test]
    fn the_file_in_the_repository_is_up_to_date() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(file, text()).unwrap();
        }
        let written = std::fs::read_to_string(file).unwrap_or_default();
        assert!(
            written == text(),
            "openapi.json differs: UPDATE_OPENAPI=1 cargo test openapi"
        );
    }

    #[test]
    fn every_api_path_of_the_router_is_documented_and_the_other_way_round() {
        let pages = [
            "/",
            "/docs",
            "/favicon.ico",
            "/problems",
            "/problems/{code}",
        ];
        let routed: BTreeSet<&str> = ROUTES
            .iter()
            .copied()
            .filter(|path| !pages.contains(path))
            .collect();
        let documented: BTreeSet<&str> = calls::all().map(|call| call.path).collect();
        assert_eq!(routed, documented);
    }

    #[test]
    fn every_reference_has_its_schema() {
        let document: serde_json::Value = serde_json::from_str(text()).unwrap();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let refs = text().split("\"#/components/schemas/").skip(1);
        for name in refs.map(|rest| rest.split('"').next().unwrap()) {
            assert!(schemas.contains_key(name), "{name}");
        }
    }
}
