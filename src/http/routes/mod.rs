//! The calls of the API, one file per resource. A handler parses, calls the engine once, and maps
//! the answer.

pub mod atp;
pub mod campaigns;
pub mod deficits;
pub mod events;
pub mod inbound;
pub mod ops;
pub mod policy;
pub mod reservations;
pub mod shares;
pub mod skus;
pub mod stock;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, RawQuery, Request};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};

use crate::http::app::App;
use crate::http::catalog;
use crate::http::error::Problem;
use crate::http::request;

/// Every path of the API. [`hot`](super::hot) takes some calls past this router, to the same
/// functions.
pub fn router(app: Arc<App>) -> Router {
    let without_query = Router::new()
        .merge(policy_routes())
        .route("/v1/atp", post(atp::bulk_route))
        .route("/v1/inbound/receipts", post(inbound::receive_route))
        .route("/v1/reservations/{id}", get(reservations::get_route))
        .route("/v1/skus/{sku}", get(skus::get_route).put(skus::put_route))
        .route("/v1/stock", post(stock::set_route))
        .route("/v1/stock/adjustments", post(stock::adjust_route))
        .route("/v1/stock/transfers", post(stock::transfer_route))
        .route("/v1/stock/{sku}", get(stock::get_route))
        .route_layer(middleware::from_fn(refuse_query));
    Router::new()
        .route("/", get(ops::landing))
        .route("/docs", get(ops::docs))
        .route("/favicon.ico", get(ops::icon))
        .route("/livez", get(ops::livez))
        .route("/metrics", get(ops::metrics))
        .route("/openapi.json", get(ops::openapi))
        .route("/problems", get(ops::problems))
        .route("/problems/{code}", get(ops::problem))
        .route("/readyz", get(ops::readyz))
        .route("/v1/atp/{sku}", get(atp::get_route))
        .route(
            "/v1/campaigns/{name}/preflight",
            get(campaigns::preflight_route).post(campaigns::preflight_of_route),
        )
        .route("/v1/deficits", get(deficits::list_route))
        .route("/v1/deficits/{sku}", get(deficits::get_route))
        .route("/v1/deficits/{sku}/release", post(deficits::release_route))
        .route("/v1/events", get(events::route))
        .route("/v1/policy", get(policy::get_route).put(policy::put_route))
        .route("/v1/skus/{sku}/policy", get(policy::of_sku_route))
        .route("/v1/skus/{sku}/rebalance", get(shares::rebalance_route))
        .route(
            "/v1/inbound",
            post(inbound::put_route).get(inbound::get_route),
        )
        .route(
            "/v1/reservations",
            post(reservations::reserve_route).get(reservations::find_route),
        )
        .route("/v1/reservations/batch", post(reservations::batch_route))
        .route(
            "/v1/reservations/{id}/confirm",
            post(reservations::confirm_route),
        )
        .route(
            "/v1/reservations/{id}/extend",
            post(reservations::extend_route),
        )
        .route(
            "/v1/reservations/{id}/release",
            post(reservations::release_route),
        )
        .route(
            "/v1/reservations/{id}/return",
            post(reservations::return_route),
        )
        .route("/v1/reservations/{id}/ship", post(reservations::ship_route))
        .route(
            "/v1/reservations/{id}/transfer",
            post(reservations::transfer_route),
        )
        .merge(without_query)
        .route_layer(middleware::from_fn(note_path))
        .fallback(nothing_here)
        .layer(DefaultBodyLimit::disable())
        .with_state(app)
}

/// The calls about the policy that take nothing in the query.
fn policy_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/campaigns", get(campaigns::list_route))
        .route("/v1/policy/rollback", post(policy::rollback_route))
        .route("/v1/policy/versions", get(policy::versions_route))
        .route("/v1/policy/versions/{version}", get(policy::version_route))
        .route("/v1/shares/moves", post(shares::move_route))
}

/// The paths of the router, in its order.
pub const ROUTES: &[&str] = &[
    "/",
    "/docs",
    "/favicon.ico",
    "/livez",
    "/metrics",
    "/openapi.json",
    "/problems",
    "/problems/{code}",
    "/readyz",
    "/v1/atp",
    "/v1/atp/{sku}",
    "/v1/campaigns",
    "/v1/campaigns/{name}/preflight",
    "/v1/deficits",
    "/v1/deficits/{sku}",
    "/v1/deficits/{sku}/release",
    "/v1/events",
    "/v1/inbound",
    "/v1/inbound/receipts",
    "/v1/policy",
    "/v1/policy/rollback",
    "/v1/policy/versions",
    "/v1/policy/versions/{version}",
    "/v1/reservations",
    "/v1/reservations/batch",
    "/v1/reservations/{id}",
    "/v1/reservations/{id}/confirm",
    "/v1/reservations/{id}/extend",
    "/v1/reservations/{id}/release",
    "/v1/reservations/{id}/return",
    "/v1/reservations/{id}/ship",
    "/v1/reservations/{id}/transfer",
    "/v1/shares/moves",
    "/v1/skus/{sku}",
    "/v1/skus/{sku}/policy",
    "/v1/skus/{sku}/rebalance",
    "/v1/stock",
    "/v1/stock/adjustments",
    "/v1/stock/transfers",
    "/v1/stock/{sku}",
];

/// Of calls without parameters in the query. The frequent ones see to it themselves.
async fn refuse_query(
    RawQuery(query): RawQuery,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let [] = request::query(query.as_deref(), [])?;
    Ok(next.run(request).await)
}

async fn nothing_here() -> Problem {
    Problem::plain(&catalog::NOT_FOUND, catalog::NOT_FOUND.help)
}

/// Hands the pattern that matched out with the answer: it is the route's name in the metrics.
async fn note_path(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(path) = path {
        response.extensions_mut().insert(path);
    }
    response
}
