//! What all handles of a client share, and the way of a plain call.

use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use hyper::Method;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::answer::{Answer, AnyProblem, Error};
use crate::config::Config;
use crate::connection::{Message, Pool, Route};
use crate::key::{IdempotencyKey, KeyMaker};
use crate::queue::Queue;
use crate::retry::{Answered, Retry};

pub(crate) struct Shared {
    pub(crate) authority: Box<str>,
    pub(crate) keys: KeyMaker,
    pub(crate) retry: Retry,
    pub(crate) queue: Queue,
    pool: Pool,
}

/// A plain call.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    /// Given for calls that change something.
    pub(crate) key: Option<&'a IdempotencyKey>,
    /// The entity tag that must be in force.
    pub(crate) if_match: Option<&'a str>,
    pub(crate) body: Vec<u8>,
    pub(crate) deadline: Instant,
}

impl<'a> Call<'a> {
    pub(crate) fn get(path: &'a str, deadline: Instant) -> Self {
        Self {
            method: Method::GET,
            path,
            key: None,
            if_match: None,
            body: Vec::new(),
            deadline,
        }
    }

    pub(crate) fn post(
        path: &'a str,
        key: Option<&'a IdempotencyKey>,
        body: Vec<u8>,
        deadline: Instant,
    ) -> Self {
        Self {
            method: Method::POST,
            key,
            body,
            ..Self::get(path, deadline)
        }
    }
}

/// An answer that stays.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// An attempt before it was lost, and may have taken effect.
    pub(crate) after_loss: bool,
}

impl Reply {
    /// The answer to a call that changes nothing.
    pub(crate) fn into_read<T: DeserializeOwned>(self) -> Result<T, Error> {
        match self.status {
            200..=299 => serde_json::from_slice(&self.body)
                .map_err(|error| Error::Unreadable(error.to_string().into())),
            status => Err(rejected(status, &self.body)),
        }
    }
}

impl Reply {
    /// A refusal, or a request that was wrong.
    pub(crate) fn into_refused<T>(self) -> Result<Answer<T>, Error> {
        match self.status {
            // 412: the precondition of a change of settings.
            409 | 412 => {
                let refusal = AnyProblem::read(&self.body).into_refusal();
                Ok(Answer::Refused(Box::new(refusal)))
            }
            status => Err(rejected(status, &self.body)),
        }
    }
}

impl Shared {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            authority: config.authority.clone(),
            keys: KeyMaker::new(),
            retry: Retry::new(config),
            queue: Queue::new(config),
            pool: Pool::new(config.connections, config.waiting_max),
        }
    }

    /// Sends a call, and repeats it with the same key until an answer stays or it gives up.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Reply, Error> {
        let _place = self.pool.enter()?;
        let Call {
            method,
            path,
            key,
            if_match,
            body,
            deadline,
        } = call;
        let body = Bytes::from(body);
        let message = Message {
            method,
            path,
            key,
            if_match,
            body,
            sent: AtomicBool::new(false),
        };
        let mut reply = Vec::new();
        let route = Route::Pool(&self.pool);
        match self
            .retry
            .run(deadline, &self.authority, &message, route, &mut reply)
            .await
        {
            Ok(Answered { head, after_loss }) => Ok(Reply {
                status: head.status,
                body: reply,
                after_loss,
            }),
            Err(doubt) => Err(doubt.into_error(key)),
        }
    }

    /// A call that changes something, under a key: done, refused, or an error.
    pub(crate) async fn change<T: DeserializeOwned>(
        &self,
        key: &IdempotencyKey,
        call: Call<'_>,
    ) -> Result<Answer<T>, Error> {
        let named = Call {
            key: Some(key),
            ..call
        };
        let reply = self.send(named).await?;
        match reply.status {
            // Done, but it cannot be told what.
            200..=299 => serde_json::from_slice(&reply.body)
                .map(Answer::Done)
                .map_err(|_unreadable| Error::Unknown { key: key.clone() }),
            _ => reply.into_refused(),
        }
    }

    /// A call that changes nothing.
    pub(crate) async fn read<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, Error> {
        self.send(call).await?.into_read()
    }
}

pub(crate) fn rejected(status: u16, body: &[u8]) -> Error {
    Error::Rejected(Box::new(AnyProblem::read(body).into_problem(status)))
}
