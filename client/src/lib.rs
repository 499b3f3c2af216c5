//! Typed client for holdfast.
//!
//! ```no_run
//! use holdfast_client::{Answer, Client, Config, Line, Part, Reserve};
//!
//! # async fn shop() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(&Config::new("http://127.0.0.1:8080").ok_or("not a URL")?);
//! let lines = [Line::new("TSHIRT-M", 2)];
//! match client.reserve(&Reserve::new("web", &lines).ttl_seconds(600)).await? {
//!     Answer::Done(reservation) => {
//!         let _sold = client.confirm(&reservation.id, Part::Whole).await?;
//!     }
//!     Answer::Refused(refusal) => {
//!         for short in &refusal.shortages {
//!             offer_less(&short.sku, short.available);
//!         }
//!     }
//! }
//! # Ok(()) }
//! # fn offer_less(_: &str, _: u64) {}
//! ```
//!
//! **Exactly once.** Every change has an [`IdempotencyKey`], made once a call and kept over its
//! repetitions. An attempt that ends without an answer (a broken connection, a 504, a timeout) is
//! repeated with the same key, so that the repetition learns what the first attempt did. When that
//! is not possible in time, the error is [`Error::Unknown`] with the key, and nothing else: every
//! other error promises that nothing was changed.
//!
//! Every call that changes something has a form with the caller's key (`..._with_key`), and what a
//! key was answered can be asked: [`Client::settle`] for reservations, [`Client::settle_stock`] and
//! [`Client::settle_settings`] for the rest.
//!
//! **Bounded.** Connections, queues, attempts and time all have a limit, see [`Config`]. A full
//! queue answers [`Error::Overloaded`] at once. Repetitions wait with full jitter, honour
//! `Retry-After`, and are paid from a budget, so that they never multiply an overload.
//!
//! **Fast.** Concurrent [`Client::reserve`] calls travel together in batches, without a timer: see
//! the queue. A thousand callers in flight get the speed of the batch route with one answer each.
//!
//! ```no_run
//! # use holdfast_client::{Client, Error, Line, Reserve};
//! # async fn again(client: Client) -> Result<(), Error> {
//! let lines = [Line::new("TSHIRT-M", 1)];
//! let request = Reserve::new("web", &lines);
//! let answer = match client.reserve(&request).await {
//!     // For instance after a restart of the server: the key makes it safe to ask again.
//!     Err(Error::Unknown { key }) => client.reserve_with_key(&key, &request).await?,
//!     other => other?,
//! };
//! # drop(answer); Ok(()) }
//! ```

mod acts;
mod answer;
mod board;
mod campaigns;
mod client;
mod clock;
mod config;
mod connection;
mod deficits;
mod inbound;
mod key;
mod lane;
mod path;
mod policy;
mod queue;
mod refusal;
mod request;
mod retry;
mod settings;
mod shared;
mod stock;
mod text;

pub use acts::{Return, Ship};
pub use answer::{
    Answer, Atp, AtpDate, AtpLimits, Error, EventPage, NodeStock, Problem, Reservation,
    ReservationLine, State, Stock, StockResult,
};
pub use campaigns::{Campaign, CampaignState, Campaigns, Preflight, PreflightFinding, Severity};
pub use client::Client;
pub use config::Config;
pub use deficits::{
    Deficit, DeficitOrder, DeficitPage, DeficitReleased, DeficitReleases, PromiseAtRisk,
    ReleaseDeficit,
};
pub use inbound::{Inbound, InboundKind, InboundResult, PutInbound, Receipt};
pub use key::IdempotencyKey;
pub use policy::{
    Author, ChannelShare, MoveShare, MovedShare, PolicyChange, PolicyDocument, PolicyPut,
    PolicyVersion, ProposedMove, Rebalance, RebalanceBy, Share, SkuPolicy,
};
pub use refusal::{Excess, Limit, Refusal, Shortage, Stale};
pub use request::{Line, Part, Reserve};
pub use settings::{
    Level, LowWater, NodeLevel, OwnLowWater, OwnSettings, Selling, Setting, Settings, WhileLow,
};
pub use stock::{
    AdjustStock, AtpQuery, Precondition, Reason, SetStock, SettingsChange, TransferStock,
};
pub use text::Text;
