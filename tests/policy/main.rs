//! The policy of a whole engine: put, kept, in force, and still so after whatever comes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

#[path = "../support/live.rs"]
mod live;

mod campaigns;
mod crowd;
mod desk;
mod fallback;
mod kept;
mod selling;
