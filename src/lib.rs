//! holdfast: inventory and available-to-promise engine.
//!
//! The map, in reading order: [`domain`] is the rule book (pure); [`ledger`] is the only writer of
//! stock; [`engine`] holds the use cases; [`http`] and [`cli`] are thin skins around it; [`app`]
//! puts the parts together.

pub mod app;
pub mod blocking;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod engine;
pub mod http;
pub mod ledger;
pub mod limits;
pub mod sabotage;
pub mod shutdown;
mod sync;
pub mod telemetry;
