//! The client crate against the server itself: every call, a crowd on one SKU, restarts.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: a failure is a panic"
)]

mod adapter;
mod calls;
mod campaigns;
mod crowd;
mod deficits;
mod inbound;
mod policy;
mod restart;
mod support;
