//! How much a test does: little in every run, more where the environment says so (`scripts/soak`).

use std::fmt::Debug;
use std::str::FromStr;

/// What the environment says under this name.
#[expect(
    clippy::disallowed_methods,
    reason = "the tests have no configuration file"
)]
pub(crate) fn asked<N: FromStr<Err: Debug>>(name: &str) -> Option<N> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap())
}
