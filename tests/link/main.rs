//! The link and the batcher against real servers, a bad network, and servers that are frozen,
//! killed, full, empty or not the primary.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod copies;
mod counting;
mod encrypted;
mod faults;
mod lanes;
mod lossy;
mod preflight;
mod shop;

#[path = "../cli/support.rs"]
#[expect(dead_code, reason = "the tests of the program use the rest of it")]
mod program_support;

/// What these tests share with others.
#[path = "../support"]
mod support {
    pub(crate) mod amount;
    pub(crate) mod proxy;
    #[expect(dead_code, reason = "the model tests use the rest of it")]
    pub(crate) mod rng;
    #[expect(dead_code, reason = "only its programs are started, by `store`")]
    pub(crate) mod server;
    pub(crate) mod store;
}
