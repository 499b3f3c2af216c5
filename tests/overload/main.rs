//! The real process with too much of everything: connections, files, callers, a store that is away.
//! What is claimed are counts and states; where a time is a promise, it is looked at generously.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]
#![expect(clippy::print_stdout, reason = "what was measured is shown on request")]

#[path = "../support/amount.rs"]
mod amount;

#[path = "../support/open_files.rs"]
mod open_files;

#[path = "../cli/support.rs"]
#[expect(dead_code, reason = "the tests of the program use the rest of it")]
mod program;

#[path = "../support/server.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod server;

#[path = "../support/store.rs"]
#[expect(dead_code, reason = "the tests of links use the rest of it")]
mod store;

use std::sync::atomic::{AtomicBool, Ordering};

mod files;
mod hot;
mod outage;
mod rolling;
mod stop;
mod wire;

/// Ends what goes on until the flag is set, also where a test fails on the way.
struct EndsWith<'a>(&'a AtomicBool);

impl Drop for EndsWith<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
