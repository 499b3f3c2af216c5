//! Keeps the places of a lane filled: a worker whose batch limps is replaced at once.

use tokio::task::JoinSet;

use super::Format;
use super::worker::{QueueOf, Worker};
use crate::ledger::remote::link::Caller;

/// Works until the queue is closed and empty.
pub(super) async fn fill<F: Format, C: Caller + 'static>(
    places: usize,
    queue: &QueueOf<F>,
    new_worker: impl Fn() -> Worker<F, C>,
) {
    let mut workers = JoinSet::new();
    // Whoever comes back from a batch that limped has connections that the next one can use.
    let mut spares = Vec::new();
    loop {
        while workers.len() < places + queue.limping() && !queue.is_drained() {
            let worker = spares.pop().unwrap_or_else(&new_worker);
            workers.spawn_local(worker.run());
        }
        tokio::select! {
            // In an order of its own: what is simulated twice must be the same twice.
            biased;
            ended = workers.join_next() => match ended {
                None => return,
                Some(Ok(Some(spare))) if spares.len() < places => spares.push(spare),
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    tracing::error!(%error, "a worker of the store's lane ended badly");
                }
            },
            () = queue.vacated() => {}
        }
    }
}

#[cfg(test)]
#[path = "places_tests.rs"]
mod tests;
