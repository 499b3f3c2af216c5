//! The rule book. Pure: values and a time in, values out.
//!
//! Nothing here reads a clock, a file or a socket, takes a lock, logs, or knows a wire format.
//! A command that is not allowed is *refused* with a [`Refusal`], which is a value; applying what
//! was decided cannot fail. Integers are checked everywhere.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::float_arithmetic,
    clippy::indexing_slicing,
    clippy::expect_used
)]

pub mod calendar;
pub mod command;
pub mod day;
pub mod decide;
pub mod deficit;
pub mod hash;
#[cfg(test)]
mod hash_tests;
pub mod ids;
pub mod line;
pub mod percent;
pub mod policy;
pub mod settings;
pub mod stock;
pub mod time;
pub mod units;
pub mod uses;
pub mod verdict;
pub mod water;

pub use calendar::{Calendar, Inbound, InboundKind};
pub use command::{Command, CommandKey};
pub use day::Day;
pub use ids::{ChannelIx, NodeIx, ReservationId, Sku};
pub use line::{Line, LineState};
pub use settings::{Own, Setting, Terms};
pub use stock::{NodeSafety, Settings, Stock};
pub use time::{HoldTtl, Ttl, UnixMillis};
pub use units::Units;
pub use uses::{ChannelUse, Charge, Uses};
pub use verdict::{Frozen, Outcome, Refusal, Reservation, Verdict};
pub use water::{Level, LowWater, Water, WhileLow};
