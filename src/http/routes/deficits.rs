//! SKUs that are promised beyond what is there.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use bytes::Bytes;
use hyper::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::blocking::wait_for;
use crate::domain::deficit::{AtRisk, Order};
use crate::domain::{NodeIx, Sku, Units, UnixMillis};
use crate::engine::{Engine, Failure, TakenBack, Touched};
use crate::http::answers::{Deficit, DeficitPage, DeficitReleased, DeficitReleases, PromiseAtRisk};
use crate::http::app::{App, Reply};
use crate::http::catalog;
use crate::http::dto::{Num, Text};
use crate::http::error::{Issues, Problem};
use crate::http::json::Json;
use crate::http::routes::stock::{path_sku, unknown_sku};
use crate::http::{parse, request};
use crate::ledger::{LedgerError, time_text};
use crate::limits::{DEFICIT_LINES_MAX, DEFICITS_PAGE_MAX, SKU_BYTES_MAX};

const LIMIT_DEFAULT: usize = 100;

/// Body of `POST /v1/deficits/{sku}/release`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DeficitReleaseRequest)]
pub struct ReleaseBody<'a> {
    /// Who goes first: `newest`, `oldest`, `held` before committed, or channels of the `lowest_rank`;
    /// left out: as the policy says.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    pub order: Option<Text<'a>>,
    /// Most units to release; left out: until nothing is missing. One call takes them from at most
    /// 1,000 promises.
    #[schema(value_type = Option<u64>, minimum = 1)]
    pub units: Option<Num>,
}

/// The order of a query; without one the policy names it.
fn order(word: Option<&str>) -> Result<Option<Order>, Problem> {
    let order = word.map(|word| {
        Order::named(word).ok_or_else(|| request::invalid_parameter("order", ORDER_HELP))
    });
    order.transpose()
}

const ORDER_HELP: &str = "must be newest, oldest, held or lowest_rank";

/// `GET /v1/deficits`
pub async fn list(app: &Arc<App>, query: Option<&str>) -> Result<Reply, Problem> {
    let [after, limit, word] = request::query(query, ["after", "limit", "order"])?;
    let after = after.unwrap_or_default().into_owned();
    if after.len() > SKU_BYTES_MAX {
        return Err(request::invalid_parameter("after", "must be a SKU"));
    }
    let limit = limit.map_or(Some(LIMIT_DEFAULT), |text| text.parse().ok());
    let limit = limit
        .filter(|limit| (1..=DEFICITS_PAGE_MAX).contains(limit))
        .ok_or_else(|| {
            let why = format!("must be 1 to {DEFICITS_PAGE_MAX}");
            request::invalid_parameter("limit", why)
        })?;
    let order = order(word.as_deref())?;
    let page = app.for_operator(move |app| -> Result<_, LedgerError> {
        let page = wait_for(app.engine.deficits(&after, limit, order))?;
        let data = page.touched.iter().map(|of| deficit(of, &app.engine));
        Ok(DeficitPage {
            data: data.collect(),
            next: page.next.map(String::from),
        })
    });
    reply(&page.await?.map_err(Problem::Ledger)?)
}

/// `GET /v1/deficits/{sku}`
pub async fn get(app: &Arc<App>, sku: &str, query: Option<&str>) -> Result<Reply, Problem> {
    let sku = path_sku(sku)?;
    let [word] = request::query(query, ["order"])?;
    let order = order(word.as_deref())?;
    let name = sku.as_str().to_owned();
    let found = app.for_operator(move |app| -> Result<_, Problem> {
        let sku = path_sku(&name)?;
        let touched = wait_for(app.engine.deficit(sku, order))?;
        match touched {
            Some(touched) => Ok(deficit(&touched, &app.engine)),
            None => nothing_missing(app, sku),
        }
    });
    reply(&found.await??)
}

/// `POST /v1/deficits/{sku}/release`
pub async fn release(
    app: &Arc<App>,
    sku: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Reply, Problem> {
    let sku = path_sku(sku)?;
    let key = request::required_key(headers)?.to_owned();
    let body: ReleaseBody<'_> = parse::json_or_default(body)?;
    let mut issues = Issues::default();
    let word = body.order.as_ref().map(Text::as_str);
    let order = word.and_then(Order::named);
    if word.is_some() && order.is_none() {
        issues.push(format_args!("/order"), "unknown_word", ORDER_HELP);
    }
    let most = parse::units(&mut issues, format_args!("/units"), body.units, 1);
    issues.check()?;
    let most = most.unwrap_or(Units::MAX);
    let name = sku.as_str().to_owned();
    let done = app.for_operator(move |app| -> Result<_, Problem> {
        let sku = path_sku(&name)?;
        let results = wait_for(app.engine.take_back(&key, sku, most, order));
        let results = results?.unwrap_or_default();
        let left = wait_for(app.engine.stock(sku))?;
        let left = left.ok_or_else(|| unknown_sku(sku))?;
        Ok(DeficitReleases {
            sku: name.clone(),
            deficit: left.deficit.get(),
            results: results
                .into_iter()
                .map(|of| released(of, &app.engine))
                .collect(),
        })
    });
    reply(&done.await??)
}

/// Of a SKU that has no deficit.
fn nothing_missing(app: &App, sku: Sku<'_>) -> Result<Deficit, Problem> {
    let stock = wait_for(app.engine.stock(sku))?;
    let touched = Touched {
        sku: sku.as_str().into(),
        stock: stock.ok_or_else(|| unknown_sku(sku))?,
        at_risk: Vec::new(),
    };
    Ok(deficit(&touched, &app.engine))
}

fn deficit(of: &Touched, engine: &Engine) -> Deficit {
    let shown = of.at_risk.iter().take(DEFICIT_LINES_MAX);
    Deficit {
        sku: of.sku.to_string(),
        deficit: of.stock.deficit.get(),
        on_hand: of.stock.on_hand.get(),
        held: of.stock.held.get(),
        committed: of.stock.committed.get(),
        lines: u64::try_from(of.at_risk.len()).unwrap_or(u64::MAX),
        promises: shown.map(|of| promise(of, engine)).collect(),
    }
}

fn promise(of: &AtRisk, engine: &Engine) -> PromiseAtRisk {
    let AtRisk { promise, units } = of;
    PromiseAtRisk {
        reservation_id: promise.reservation.to_string(),
        channel: engine.channel_name(promise.channel).to_string(),
        charged_to: { promise.charged_to }.map(|of| engine.channel_name(of).to_string()),
        created_at: rfc3339(promise.made),
        node: node_name(promise.pin, engine),
        held: promise.held.get(),
        committed: promise.committed.get(),
        at_risk: units.get(),
    }
}

fn released(of: TakenBack, engine: &Engine) -> DeficitReleased {
    let code = of.failure.map(|failure| match failure {
        Failure::Refused(refusal) => Problem::Refused(refusal).kind().code,
        Failure::Ledger(error) => Problem::Ledger(error).kind().code,
    });
    DeficitReleased {
        reservation_id: of.of.promise.reservation.to_string(),
        node: node_name(of.of.promise.pin, engine),
        units: of.of.units.get(),
        released: code.is_none(),
        code: code.map(str::to_owned),
    }
}

fn node_name(pin: Option<NodeIx>, engine: &Engine) -> Option<String> {
    pin.map(|node| engine.node_name(node).to_string())
}

fn rfc3339(at: UnixMillis) -> String {
    let text = time_text::to_text(at);
    str::from_utf8(&text).unwrap_or_default().to_owned()
}

fn reply<T: Serialize>(found: &T) -> Result<Reply, Problem> {
    let text = serde_json::to_string(found).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written");
        Problem::plain(&catalog::INTERNAL, catalog::INTERNAL.help)
    })?;
    let mut json = Json::with_capacity(text.len());
    json.raw(&text);
    Ok(Reply::json(json))
}

type Shared = State<Arc<App>>;

/// See [`list`].
pub async fn list_route(State(app): Shared, RawQuery(query): RawQuery) -> Result<Reply, Problem> {
    list(&app, query.as_deref()).await
}

/// See [`get`].
pub async fn get_route(
    State(app): Shared,
    Path(sku): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Reply, Problem> {
    get(&app, &sku, query.as_deref()).await
}

/// See [`release`].
pub async fn release_route(
    State(app): Shared,
    Path(sku): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Reply, Problem> {
    release(&app, &sku, &headers, &body).await
}
