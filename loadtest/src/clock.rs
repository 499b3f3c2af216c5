//! The only file that reads a clock.

use std::time::Instant;

/// Now.
#[expect(
    clippy::disallowed_methods,
    reason = "this module is the clock of the crate"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
