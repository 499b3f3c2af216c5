//! What every handler needs, and the shape of every answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::response::IntoResponse;
use bytes::Bytes;
use hyper::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::Ttl;
use crate::domain::command::{Command, Keyed};
use crate::domain::verdict::Outcome;
use crate::engine::Engine;
use crate::http::catalog;
use crate::http::error::{Problem, refusal_kind};
use crate::http::json::Json;
use crate::http::names::Names;
use crate::http::render;
use crate::http::server::HttpConfig;
use crate::ledger::{Answer, LedgerError, Position};
use crate::limits::{BODY_BYTES_MAX, LARGE_BODIES_BYTES_MAX, OPERATOR_CALLS_MAX};
use crate::telemetry::Meters;

/// Tells the servers of one process apart; zero is nobody.
static OWNERS: AtomicU64 = AtomicU64::new(1);

/// One server: its engine and what it is told by configuration.
pub struct App {
    /// The engine.
    pub engine: Engine,
    /// The metrics.
    pub meters: Meters,
    /// Time to live of a hold whose caller names none.
    pub default_ttl: Ttl,
    /// Most event streams at once.
    pub streams_max: usize,
    /// Event streams now.
    pub streams: Arc<AtomicUsize>,
    /// Kibibytes that large bodies may still take, all together.
    large_bodies: Arc<Semaphore>,
    /// Places for work beside the serving threads.
    beside: Arc<Semaphore>,
    /// Places for the calls of operators, who may ask for much: they keep none of those.
    operators: Arc<Semaphore>,
    durability: &'static str,
    draining: AtomicBool,
    owner: u64,
}

impl App {
    /// A server's state.
    pub fn new(engine: Engine, meters: Meters, config: &HttpConfig) -> Self {
        let durability = engine.health().durability.as_str();
        let owner = OWNERS.fetch_add(1, Ordering::Relaxed);
        let draining = AtomicBool::new(false);
        Self {
            engine,
            meters,
            default_ttl: config.hold_ttl,
            streams_max: config.streams_max,
            streams: Arc::default(),
            large_bodies: Arc::new(Semaphore::new(LARGE_BODIES_BYTES_MAX / 1_024)),
            beside: Arc::new(Semaphore::new(config.threads.get())),
            operators: Arc::new(Semaphore::new(OPERATOR_CALLS_MAX)),
            durability,
            draining,
            owner,
        }
    }

    /// Room for a body of up to `bytes`, and for its answer, given back when the permit is dropped.
    /// Small bodies need none: the number of connections bounds them.
    pub fn room_for_body(&self, bytes: usize) -> Result<Option<OwnedSemaphorePermit>, Problem> {
        if bytes <= BODY_BYTES_MAX {
            return Ok(None);
        }
        let kib = u32::try_from(bytes.div_ceil(1_024)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.large_bodies).try_acquire_many_owned(kib);
        permit
            .map(Some)
            .map_err(|_full| Problem::Ledger(LedgerError::Overloaded))
    }

    /// Does work that takes more than a moment on a thread of its own, so that the connections of
    /// the serving thread need not wait for it. As many at once as there are serving threads; the
    /// others wait their turn. Once it has begun, it is done to the end, whoever goes away.
    pub async fn beside<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        self.on_own_thread(&self.beside, work).await
    }

    /// The same for what an operator asks for, which may go through the whole ledger: a few of them
    /// at once, and the work of shops does not wait for it.
    pub async fn for_operator<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        self.on_own_thread(&self.operators, work).await
    }

    async fn on_own_thread<T: Send + 'static>(
        self: &Arc<Self>,
        places: &Arc<Semaphore>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let internal = || Problem::plain(&catalog::INTERNAL, catalog::INTERNAL.help);
        let place = Arc::clone(places).acquire_owned().await;
        let place = place.map_err(|_closed| internal())?;
        let app = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&app);
            drop(place);
            done
        });
        done.await.map_err(|error| {
            tracing::error!(%error, "work beside the serving threads broke off");
            internal()
        })
    }

    /// Names of channels and nodes.
    pub const fn names(&self) -> Names<'_> {
        Names::new(&self.engine, self.owner)
    }

    /// Asks for the names that other instances gave since; whether there may be any. A request that
    /// names a node which is not known has done nothing yet, and is read again.
    pub async fn learns_names(&self) -> bool {
        Box::pin(self.engine.refresh_names()).await.unwrap_or(false)
    }

    /// The level that acknowledged changes are durable at.
    pub const fn durability(&self) -> &'static str {
        self.durability
    }

    /// The server is about to stop.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether the server is about to stop.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Executes a command under this idempotency key.
    pub async fn execute(&self, key: &str, command: Command<'_>) -> Result<Reply, Problem> {
        let reserves = matches!(command, Command::Reserve(_));
        let key = self.engine.key(key, &command);
        let answer = self.engine.execute(&Keyed { key, command }).await?;
        let ok = if reserves {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        Ok(self.reply(answer, ok))
    }

    /// The answer to a command as a reply.
    pub fn reply(&self, answer: Answer, ok: StatusCode) -> Reply {
        let committed = Committed {
            position: answer.position,
            replayed: answer.replayed,
            durability: self.durability,
            mirror_age: answer.mirror_age,
        };
        match answer.verdict {
            Ok(outcome) => {
                let mut json = Json::new();
                render::outcome(&mut json, &outcome, self.names());
                let etag = match outcome {
                    Outcome::Settings { settings, .. } => Some(u64::from(settings.version)),
                    Outcome::Reservation(_)
                    | Outcome::Stock(_)
                    | Outcome::Shares(_)
                    | Outcome::Inbound(_) => None,
                };
                let content = Content::Json(json);
                Reply {
                    status: ok,
                    content,
                    committed: Some(committed),
                    etag,
                }
            }
            Err(refusal) => Reply {
                status: refusal_kind(&refusal).status,
                content: Content::Problem(Problem::Refused(refusal)),
                committed: Some(committed),
                etag: None,
            },
        }
    }
}

/// That an answer stands in the journal, and where.
#[derive(Debug, Clone, Copy)]
pub struct Committed {
    /// Where.
    pub position: Position,
    /// The key was answered before.
    pub replayed: bool,
    /// What it survives.
    pub durability: &'static str,
    /// It does not stand there: the mirror said so, which was whole this long ago.
    pub mirror_age: Option<Duration>,
}

/// An answer before it becomes HTTP.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// Body.
    pub content: Content,
    /// Where the change stands, if there was one.
    pub committed: Option<Committed>,
    /// Version of the settings, or of the policy, answered.
    pub etag: Option<u64>,
}

/// Body of a reply.
#[derive(Debug, Clone)]
pub enum Content {
    /// JSON.
    Json(Json),
    /// A problem; written when the request's id and path are at hand.
    Problem(Problem),
    /// Anything else, with its content type.
    Other(&'static str, Bytes),
}

impl Reply {
    /// JSON with status 200.
    pub const fn json(json: Json) -> Self {
        Self {
            status: StatusCode::OK,
            content: Content::Json(json),
            committed: None,
            etag: None,
        }
    }

    /// Bytes of this content type with status 200.
    pub const fn other(content_type: &'static str, body: Bytes) -> Self {
        let content = Content::Other(content_type, body);
        Self {
            status: StatusCode::OK,
            content,
            committed: None,
            etag: None,
        }
    }
}

impl From<Problem> for Reply {
    fn from(problem: Problem) -> Self {
        Self {
            status: problem.status(),
            content: Content::Problem(problem),
            committed: None,
            etag: None,
        }
    }
}

/// Carries a reply out of the router: [`hot`](super::hot) makes it HTTP, as it does for the
/// requests that never reach the router.
impl IntoResponse for Reply {
    fn into_response(self) -> axum::response::Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
