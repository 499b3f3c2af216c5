//! Bodies of answers: whole ones, and streams of events.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use crate::http::conn::State;

/// The body of an answer.
#[derive(Debug)]
pub enum Body {
    /// All of it.
    Full(Bytes),
    /// An event stream, and the connection that waits for its end.
    Stream(axum::body::Body, StreamEnd),
}

/// An answer to a large body. It is large itself, so it keeps the room of that body until it is
/// written, however slowly the caller reads.
struct Roomy(
    Bytes,
    #[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit,
);

impl AsRef<[u8]> for Roomy {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Body {
    /// Keeps the room of the request's body until the answer is written.
    pub fn keep(&mut self, room: OwnedSemaphorePermit) {
        if let Self::Full(bytes) = self {
            *bytes = Bytes::from_owner(Roomy(std::mem::take(bytes), room));
        }
    }
}

/// Tells the connection that its stream ended.
#[derive(Debug)]
pub struct StreamEnd(Rc<State>);

impl StreamEnd {
    /// The end of the stream that this connection writes.
    pub fn new(state: &Rc<State>) -> Self {
        Self(Rc::clone(state))
    }
}

impl Drop for StreamEnd {
    fn drop(&mut self) {
        self.0.answered();
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Stream(body, _) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_empty(),
            Self::Stream(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => {
                SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
            }
            Self::Stream(body, _) => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_large_answer_keeps_its_room_until_it_is_written() {
        let room = Arc::new(tokio::sync::Semaphore::new(1));
        let permit = Arc::clone(&room).try_acquire_owned().unwrap();
        let mut body = Body::Full(Bytes::from_static(b"answer"));
        body.keep(permit);
        let Body::Full(bytes) = body else {
            panic!("not a stream")
        };
        let unwritten = bytes.slice(3..);
        drop(bytes);
        assert_eq!((&*unwritten, room.available_permits()), (&b"wer"[..], 0));
        drop(unwritten);
        assert_eq!(room.available_permits(), 1);
    }
}
