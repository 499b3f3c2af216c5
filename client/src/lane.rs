//! A lane: one connection that carries one batch at a time.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use hyper::Method;

use crate::answer::{AnyProblem, BatchResult, Results};
use crate::board::Told;
use crate::connection::{Head, Message, Route};
use crate::queue::Sealed;
use crate::retry::{Answered, Doubt, shed};
use crate::shared::Shared;

pub(crate) const BATCH_PATH: &str = "/v1/reservations/batch";

/// Sends batches until the client is gone.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut connection = None;
    let mut reply = Vec::new();
    let mut wakers = Vec::new();
    while let Some(Sealed {
        body,
        board,
        calls,
        deadline,
    }) = shared.queue.next().await
    {
        let body = Bytes::from(body);
        let message = Message {
            method: Method::POST,
            path: BATCH_PATH,
            key: None,
            if_match: None,
            body: body.clone(),
            sent: AtomicBool::new(false),
        };
        let route = Route::Own(&mut connection);
        let answered = shared
            .retry
            .run(deadline, &shared.authority, &message, route, &mut reply)
            .await;
        drop(message);
        match answered {
            Ok(Answered { head, after_loss }) => {
                let seen = |told| seen(told, after_loss);
                match read(head, &reply, calls) {
                    Some(results) => {
                        let results = results.into_iter().map(told);
                        board.tell(results.map(seen), &mut wakers);
                    }
                    None => board.tell(std::iter::repeat_with(|| seen(Told::Alone)), &mut wakers),
                }
            }
            Err(doubt) => {
                board.tell(std::iter::repeat_with(|| given_up(&doubt)), &mut wakers);
            }
        }
        shared.queue.finish(board, Vec::from(body));
    }
}

/// The answers of a batch, one for each call. `None` when the batch was not taken as a whole, or
/// its answer makes no sense: then each call has to ask for itself, with the same key.
pub(crate) fn read(head: Head, reply: &[u8], calls: usize) -> Option<Vec<BatchResult>> {
    if head.status != 200 {
        return None;
    }
    // Checked once as a whole, so that the parser need not check every string.
    let text = str::from_utf8(reply).ok()?;
    let results: Results<BatchResult> = serde_json::from_str(text).ok()?;
    (results.results.len() == calls).then_some(results.results)
}

/// Sorts one answer of a batch like the answer of a single call.
pub(crate) fn told(result: BatchResult) -> Told {
    let BatchResult {
        status,
        reservation,
        problem,
    } = result;
    if let (200..=299, Some(reservation)) = (status, reservation) {
        return Told::Done(reservation);
    }
    let problem: AnyProblem = problem.map(|boxed| *boxed).unwrap_or_default();
    match status {
        409 if problem.code == "idempotency_in_progress" => Told::Lost,
        409 => Told::Refused(Box::new(problem.into_refusal())),
        429 | 503 => Told::Shed(Box::new(shed(None, &problem))),
        400..=499 => Told::Rejected(Box::new(problem.into_problem(status))),
        _ => Told::Lost,
    }
}

/// What an answer says where an attempt before it was lost: that nothing was changed by the last one
/// says nothing of that.
pub(crate) fn seen(told: Told, after_loss: bool) -> Told {
    if after_loss && matches!(told, Told::Shed(_) | Told::Alone) {
        Told::Lost
    } else {
        told
    }
}

fn given_up(doubt: &Doubt) -> Told {
    if doubt.is_lost() {
        return Told::GaveUp(None);
    }
    Told::GaveUp(Some(Box::new(doubt.clone().into_error(None))))
}
