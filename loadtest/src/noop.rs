//! The yardstick: what axum does with the same bytes when there is nothing to do.
//!
//! It parses the same request bodies and answers bodies of the same shape and length, with nodelay,
//! a multi-thread runtime and the allocator of the engine, so that it is no straw man.

use std::io::Write as _;
use std::net::SocketAddr;

use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::Failure;

#[derive(Deserialize)]
struct Reserve {
    channel: String,
    reference: Option<String>,
    #[serde(rename = "ttl_seconds")]
    _ttl_seconds: Option<u32>,
    #[serde(rename = "allow_partial")]
    _allow_partial: Option<bool>,
    lines: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    sku: String,
    quantity: u64,
    node: Option<String>,
}

#[derive(Serialize)]
struct Reservation {
    id: &'static str,
    state: &'static str,
    channel: String,
    reference: Option<String>,
    created_at: &'static str,
    expires_at: &'static str,
    partial: bool,
    lines: Vec<ReservationLine>,
}

#[derive(Serialize)]
struct ReservationLine {
    sku: String,
    node: Option<String>,
    requested: u64,
    quantity: u64,
    held: u64,
    committed: u64,
    shipped: u64,
    released: u64,
    expired: u64,
    returned: u64,
}

impl Reserve {
    fn into_reservation(self) -> Reservation {
        let line = |Line {
                        sku,
                        quantity,
                        node,
                    }| ReservationLine {
            sku,
            node,
            requested: quantity,
            quantity,
            held: quantity,
            committed: 0,
            shipped: 0,
            released: 0,
            expired: 0,
            returned: 0,
        };
        Reservation {
            id: "rsv_0123456789abcdefghjkmnpqrs",
            state: "held",
            channel: self.channel,
            reference: self.reference,
            created_at: "2026-11-23T00:00:00.000Z",
            expires_at: "2026-11-23T00:15:00.000Z",
            partial: false,
            lines: self.lines.into_iter().map(line).collect(),
        }
    }
}

async fn reserve(Json(body): Json<Reserve>) -> (StatusCode, Json<Reservation>) {
    (StatusCode::CREATED, Json(body.into_reservation()))
}

#[derive(Deserialize)]
struct Batch {
    reservations: Vec<Keyed>,
}

#[derive(Deserialize)]
struct Keyed {
    #[serde(rename = "key")]
    _key: String,
    #[serde(flatten)]
    reserve: Reserve,
}

#[derive(Serialize)]
struct Results {
    results: Vec<Done>,
}

#[derive(Serialize)]
struct Done {
    status: u16,
    reservation: Reservation,
}

async fn batch(Json(body): Json<Batch>) -> Json<Results> {
    let done = |keyed: Keyed| Done {
        status: 201,
        reservation: keyed.reserve.into_reservation(),
    };
    Json(Results {
        results: body.reservations.into_iter().map(done).collect(),
    })
}

#[derive(Deserialize)]
struct AtpQuery {
    channel: Option<String>,
}

#[derive(Serialize)]
struct Atp {
    sku: String,
    channel: Option<String>,
    node: Option<String>,
    available: u64,
    as_of: &'static str,
    limits: Limits,
}

#[derive(Serialize)]
struct Limits {
    stock: u64,
    safety_stock: u64,
    promised: u64,
    limit: &'static str,
}

async fn atp(Path(sku): Path<String>, Query(query): Query<AtpQuery>) -> Json<Atp> {
    Json(Atp {
        sku,
        channel: query.channel,
        node: None,
        available: 1_000_000_000,
        as_of: "2026-11-23T00:00:00.000Z",
        limits: Limits {
            stock: 1_000_000_000,
            safety_stock: 0,
            promised: 0,
            limit: "stock",
        },
    })
}

/// Serves until the process ends; tells its address like the engine does.
pub(crate) fn serve(listen: SocketAddr) -> Result<(), Failure> {
    let listener = std::net::TcpListener::bind(listen)?;
    writeln!(
        std::io::stderr(),
        "no-op server on http://{}",
        listener.local_addr()?
    )?;
    serve_on(listener)
}

/// Serves until the process ends.
pub(crate) fn serve_on(listener: std::net::TcpListener) -> Result<(), Failure> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async move {
        let routes = Router::new()
            .route("/v1/reservations", post(reserve))
            .route("/v1/reservations/batch", post(batch))
            .route("/v1/atp/{sku}", get(atp))
            .layer(axum::extract::DefaultBodyLimit::max(8 * 1024 * 1024));
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        axum::serve(listener, routes).await?;
        Ok(())
    })
}
