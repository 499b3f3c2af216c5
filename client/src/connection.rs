//! One HTTP/1.1 connection that carries one exchange at a time, and a bounded set of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, IF_MATCH, RETRY_AFTER};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::answer::Error;
use crate::key::IdempotencyKey;

/// Largest answer that is read: a full batch of the longest reservations stays far below.
const REPLY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What is sent.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) key: Option<&'a IdempotencyKey>,
    pub(crate) if_match: Option<&'a str>,
    pub(crate) body: Bytes,
    /// Set before the first byte may leave, so that an exchange that is cut off by time is known
    /// to have been sent or not.
    pub(crate) sent: AtomicBool,
}

impl Message<'_> {
    fn to_request(&self, authority: &str) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::builder()
            .method(&self.method)
            .uri(self.path)
            .header(HOST, authority);
        if let Some(key) = self.key {
            request = request.header("idempotency-key", key.to_string());
        }
        if let Some(tag) = self.if_match {
            request = request.header(IF_MATCH, tag);
        }
        if !self.body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request
            .body(Full::new(self.body.clone()))
            .map_err(|e| Failure::before(&e))
    }
}

/// The head of an answer; the body went into the caller's buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
}

/// No answer came.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The server may have the request.
    pub(crate) sent: bool,
    pub(crate) what: Box<str>,
}

impl Failure {
    fn before(error: &dyn std::error::Error) -> Self {
        Self {
            sent: false,
            what: error.to_string().into(),
        }
    }

    fn after(error: &dyn std::error::Error) -> Self {
        Self {
            sent: true,
            what: error.to_string().into(),
        }
    }
}

pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
}

impl Connection {
    async fn open(authority: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(authority)
            .await
            .map_err(|e| Failure::before(&e))?;
        stream.set_nodelay(true).map_err(|e| Failure::before(&e))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| Failure::before(&e))?;
        tokio::spawn(async move {
            // A broken connection is reported to the exchange that runs on it.
            drop(connection.await);
        });
        Ok(Self { sender })
    }

    /// Sends, and reads the whole answer into `reply`. After an error, or when dropped before the
    /// end, the connection must not be used again.
    async fn exchange(
        &mut self,
        message: &Message<'_>,
        authority: &str,
        reply: &mut Vec<u8>,
    ) -> Result<Head, Failure> {
        reply.clear();
        self.sender.ready().await.map_err(|e| Failure::before(&e))?;
        let request = message.to_request(authority)?;
        message.sent.store(true, Ordering::Relaxed);
        let response = match self.sender.try_send_request(request).await {
            Ok(response) => response,
            // hyper hands the request back only when no byte of it was written.
            Err(mut refused) => {
                let sent = refused.take_message().is_none();
                message.sent.store(sent, Ordering::Relaxed);
                return Err(Failure {
                    sent,
                    what: refused.error().to_string().into(),
                });
            }
        };
        let status = response.status().as_u16();
        let seconds = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|v| v.to_str().ok()?.parse().ok());
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| Failure::after(&e))?;
            let data = frame.data_ref().map(Bytes::as_ref).unwrap_or_default();
            if reply.len() + data.len() > REPLY_BYTES_MAX {
                return Err(Failure {
                    sent: true,
                    what: "the answer is too large".into(),
                });
            }
            reply.extend_from_slice(data);
        }
        Ok(Head {
            status,
            retry_after: seconds.map(Duration::from_secs),
        })
    }
}

/// Exchanges on the connection of a slot, which is opened when needed and kept when sound.
async fn exchange(
    slot: &mut Option<Connection>,
    authority: &str,
    message: &Message<'_>,
    reply: &mut Vec<u8>,
) -> Result<Head, Failure> {
    // Taken out for the time of the exchange: an abandoned exchange leaves an empty slot.
    if let Some(mut kept) = slot.take() {
        match kept.exchange(message, authority, reply).await {
            Ok(head) => {
                *slot = Some(kept);
                return Ok(head);
            }
            Err(failure) if failure.sent => return Err(failure),
            // The server closed an idle connection: nothing was sent, so a new one costs no attempt.
            Err(_) => {}
        }
    }
    let mut fresh = Connection::open(authority).await?;
    let head = fresh.exchange(message, authority, reply).await?;
    *slot = Some(fresh);
    Ok(head)
}

/// The way that a message takes.
pub(crate) enum Route<'a> {
    /// Any connection of the set.
    Pool(&'a Pool),
    /// The one connection of a lane.
    Own(&'a mut Option<Connection>),
}

impl Route<'_> {
    pub(crate) async fn exchange(
        &mut self,
        authority: &str,
        message: &Message<'_>,
        reply: &mut Vec<u8>,
    ) -> Result<Head, Failure> {
        match self {
            Self::Pool(pool) => pool.exchange(authority, message, reply).await,
            Self::Own(slot) => exchange(slot, authority, message, reply).await,
        }
    }
}

/// Connections of the plain calls.
pub(crate) struct Pool {
    idle: Mutex<Vec<Connection>>,
    free: Semaphore,
    waiting: Semaphore,
}

impl Pool {
    pub(crate) fn new(connections: usize, waiting_max: usize) -> Self {
        Self {
            idle: Mutex::default(),
            free: Semaphore::new(connections.max(1)),
            waiting: Semaphore::new(waiting_max.saturating_add(connections.max(1))),
        }
    }

    /// A place among those that have or wait for a connection, kept for a whole call.
    pub(crate) fn enter(&self) -> Result<impl Drop + '_, Error> {
        self.waiting
            .try_acquire()
            .map_err(|_full| Error::Overloaded { retry_after: None })
    }

    /// Exchanges on any connection, waiting for one to be free.
    async fn exchange(
        &self,
        authority: &str,
        message: &Message<'_>,
        reply: &mut Vec<u8>,
    ) -> Result<Head, Failure> {
        let _permit = self.free.acquire().await.map_err(|e| Failure::before(&e))?;
        let mut slot = self.lock().pop();
        let head = exchange(&mut slot, authority, message, reply).await;
        self.lock().extend(slot);
        head
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
