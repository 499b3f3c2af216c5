//! Metrics and logs: what operators see of the engine.
//!
//! [`Meters`] has one method for each thing worth counting; callers never see a metric's name. The
//! label values are the enums of [`labels`], so no label can grow without bound.

mod bounds;
pub mod cells;
mod deficits;
pub mod labels;
pub mod logging;
pub mod meters;
mod mirror;
mod route;
mod text;

pub use deficits::DeficitMeters;
pub use labels::{LockKind, MirrorAnswer, Op, OutcomeKind, Script, Store};
pub use meters::Meters;
pub use mirror::MirrorMeters;
pub use route::RouteMeter;
