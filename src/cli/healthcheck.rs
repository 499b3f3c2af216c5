//! `holdfast healthcheck`

use super::args::Healthcheck;
use super::wire::{Connection, authority};
use super::{Exit, Failure};

/// Done when the server is ready.
pub fn run(arguments: &Healthcheck) -> Result<(), Failure> {
    let response = Connection::open(authority(&arguments.server)?)?.get("/readyz")?;
    match response.status {
        200 => Ok(()),
        _ => Err(Failure::new(
            Exit::Failed,
            format!("not ready: {}", response.problem()),
        )),
    }
}
