//! The client's calls.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::answer::{Answer, Error, EventPage, Reservation};
use crate::board::Told;
use crate::clock::now;
use crate::config::Config;
use crate::connection::Head;
use crate::key::IdempotencyKey;
use crate::lane;
use crate::path::Path;
use crate::request::Reserve;
use crate::retry::Doubt;
use crate::shared::{Call, Shared, rejected};

/// A client of one server. Cheap to clone; clones share connections, queue and retry budget.
///
/// Belongs to the tokio runtime it was made in, which runs its connections.
///
/// A call that is dropped before its answer has an unknown result, except for a
/// [`reserve`](Self::reserve) that still waits in the queue: that one is taken out again.
#[derive(Clone)]
pub struct Client {
    handle: Arc<Handle>,
    timeout: Duration,
}

/// Ends the background tasks with the last clone.
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.queue.close();
    }
}

impl Client {
    /// A client with its connections, which are opened when first needed. Must be called within
    /// a tokio runtime.
    pub fn new(config: &Config) -> Self {
        let shared = Arc::new(Shared::new(config));
        for _ in 0..config.batch_connections.max(1) {
            tokio::spawn(lane::run(Arc::clone(&shared)));
        }
        let swept = Arc::clone(&shared);
        tokio::spawn(async move { swept.queue.run_sweeper().await });
        Self {
            handle: Arc::new(Handle(shared)),
            timeout: config.call_timeout,
        }
    }

    /// The same client with another limit on the time from a call to its answer.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self {
            handle: Arc::clone(&self.handle),
            timeout,
        }
    }

    /// A new key, for callers that want to know it before the call.
    pub fn new_key(&self) -> IdempotencyKey {
        self.shared().keys.next()
    }

    /// Holds units. Concurrent calls travel together in batches; each gets its own answer.
    pub async fn reserve(&self, request: &Reserve<'_>) -> Result<Answer<Reservation>, Error> {
        self.reserve_with_key(&self.new_key(), request).await
    }

    /// [`reserve`](Self::reserve) with the caller's key: the same key and request again give the
    /// same reservation.
    pub async fn reserve_with_key(
        &self,
        key: &IdempotencyKey,
        request: &Reserve<'_>,
    ) -> Result<Answer<Reservation>, Error> {
        let deadline = self.deadline();
        let shared = self.shared();
        let mut doubt = Doubt::default();
        loop {
            let ticket = poll_fn(|cx| {
                Poll::Ready(
                    shared
                        .queue
                        .push(request, key, deadline, cx.waker().clone()),
                )
            });
            let told = match ticket.await {
                Ok(ticket) => ticket.await,
                Err(_) if doubt.is_lost() => return Err(doubt.into_error(Some(key))),
                Err(full) => return Err(full),
            };
            match told {
                Told::Done(reservation) => return Ok(Answer::Done(reservation)),
                Told::Refused(refusal) => return Ok(Answer::Refused(refusal)),
                Told::Rejected(problem) => return Err(Error::Rejected(problem)),
                Told::Alone => {
                    let alone = self.reserve_alone(key, request, deadline).await;
                    return alone.map_err(|error| doubt.or_unknown(error, key));
                }
                Told::GaveUp(Some(error)) if !doubt.is_lost() => return Err(*error),
                Told::LateUnsent if !doubt.is_lost() => return Err(doubt.into_error(Some(key))),
                Told::GaveUp(_) | Told::LateSent | Told::LateUnsent => {
                    return Err(Error::Unknown { key: key.clone() });
                }
                Told::Shed(shed) => doubt.shed(*shed),
                Told::Lost => doubt.lost(),
            }
            if !shared.retry.pause(&doubt, deadline).await {
                return Err(doubt.into_error(Some(key)));
            }
        }
    }

    async fn reserve_alone(
        &self,
        key: &IdempotencyKey,
        request: &Reserve<'_>,
        deadline: Instant,
    ) -> Result<Answer<Reservation>, Error> {
        let mut body = Vec::new();
        request.write(None, &mut body);
        let call = Call::post("/v1/reservations", None, body, deadline);
        self.shared().change(key, call).await
    }

    /// Makes many reservations in one request: one result each, in order. At most 8,192.
    pub async fn reserve_batch(
        &self,
        requests: &[Reserve<'_>],
    ) -> Vec<Result<Answer<Reservation>, Error>> {
        let keys: Vec<IdempotencyKey> = requests.iter().map(|_| self.new_key()).collect();
        let mut body = b"{\"reservations\":[".to_vec();
        for (at, (request, key)) in requests.iter().zip(&keys).enumerate() {
            if at > 0 {
                body.push(b',');
            }
            request.write(Some(key), &mut body);
        }
        body.extend_from_slice(b"]}");
        let Some(first) = keys.first() else {
            return Vec::new();
        };
        let deadline = self.deadline();
        let call = Call::post(lane::BATCH_PATH, Some(first), body, deadline);
        let sent = self.shared().send(call);
        let failure = match sent.await {
            Ok(reply) => {
                let head = Head {
                    status: reply.status,
                    retry_after: None,
                };
                match lane::read(head, &reply.body, keys.len()) {
                    Some(results) => {
                        let after_loss = reply.after_loss;
                        let told = results.into_iter().map(lane::told);
                        let told = told.map(|told| lane::seen(told, after_loss));
                        return told
                            .zip(keys)
                            .map(|(told, key)| settled(told, key))
                            .collect();
                    }
                    None if reply.status == 200 => Error::Unknown { key: first.clone() },
                    None => rejected(reply.status, &reply.body),
                }
            }
            Err(error) => error,
        };
        let unknown = matches!(failure, Error::Unknown { .. });
        let each = |key| {
            if unknown {
                Error::Unknown { key }
            } else {
                failure.clone()
            }
        };
        keys.into_iter().map(|key| Err(each(key))).collect()
    }

    /// A reservation by its id; `None` when there is none.
    pub async fn reservation(&self, id: &str) -> Result<Option<Reservation>, Error> {
        self.look_up(&Path::new("/v1/reservations/").value(id))
            .await
    }

    /// The latest reservation of a channel with this reference of its own; `None` when there is
    /// none.
    pub async fn find(&self, channel: &str, reference: &str) -> Result<Option<Reservation>, Error> {
        let path = Path::new("/v1/reservations")
            .query("reference", Some(reference))
            .query("channel", Some(channel));
        self.look_up(&path).await
    }

    /// Settles an unknown result: what the call about a reservation with this key was answered, a
    /// [`reserve`](Self::reserve), [`confirm`](Self::confirm) or any other. A refusal stays one, so
    /// that a new attempt wants a new key.
    ///
    /// `None` says that nothing has happened under this key. While an earlier request may still be
    /// on its way, only the same call with the same key makes sure.
    ///
    /// Keys of other calls are settled by [`settle_stock`](Self::settle_stock) and
    /// [`settle_settings`](Self::settle_settings).
    pub async fn settle(&self, key: &IdempotencyKey) -> Result<Option<Answer<Reservation>>, Error> {
        self.settle_as(key).await
    }

    pub(crate) async fn settle_as<T: DeserializeOwned>(
        &self,
        key: &IdempotencyKey,
    ) -> Result<Option<Answer<T>>, Error> {
        let path = Path::new("/v1/reservations").query("key", Some(&key.to_string()));
        let call = Call::get(path.as_str(), self.deadline());
        let reply = self.shared().send(call).await?;
        match reply.status {
            404 => Ok(None),
            409 | 412 => reply.into_refused().map(Some),
            _ => reply.into_read().map(|made| Some(Answer::Done(made))),
        }
    }

    /// A read of something that need not be there.
    pub(crate) async fn look_up<T: DeserializeOwned>(
        &self,
        path: &Path,
    ) -> Result<Option<T>, Error> {
        match self.get(path).await {
            Ok(found) => Ok(Some(found)),
            Err(Error::Rejected(problem)) if problem.status == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A page of the event feed: what happened after the place where the last page ended.
    pub async fn events(&self, after: Option<&str>, limit: u32) -> Result<EventPage, Error> {
        let limit = limit.to_string();
        self.get(
            &Path::new("/v1/events")
                .query("after", after)
                .query("limit", Some(&limit)),
        )
        .await
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &Path) -> Result<T, Error> {
        self.shared()
            .read(Call::get(path.as_str(), self.deadline()))
            .await
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.handle.0
    }

    pub(crate) fn deadline(&self) -> Instant {
        now() + self.timeout
    }
}

/// The final result of a reservation that was sent in a batch of the caller's own.
fn settled(told: Told, key: IdempotencyKey) -> Result<Answer<Reservation>, Error> {
    match told {
        Told::Done(reservation) => Ok(Answer::Done(reservation)),
        Told::Refused(refusal) => Ok(Answer::Refused(refusal)),
        Told::Rejected(problem) => Err(Error::Rejected(problem)),
        Told::Shed(shed) => Err(shed.into_error()),
        Told::GaveUp(Some(error)) => Err(*error),
        Told::Lost | Told::Alone | Told::GaveUp(None) | Told::LateSent | Told::LateUnsent => {
            Err(Error::Unknown { key })
        }
    }
}

pub(crate) fn to_json(body: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(body).map_err(|error| Error::Unavailable(error.to_string().into()))
}
