//! Who makes the streams that connections run over: the system, or a simulation.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::address::Endpoint;

/// A stream to a server, both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A stream that is on its way, or the reason why there is none.
pub type Dialling = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send>>;

/// Makes streams in place of the system.
#[derive(Clone)]
pub struct Dial(Arc<dyn Fn(&Endpoint) -> Dialling + Send + Sync>);

impl Dial {
    /// With this for every endpoint.
    pub fn new(dial: impl Fn(&Endpoint) -> Dialling + Send + Sync + 'static) -> Self {
        Self(Arc::new(dial))
    }

    pub(super) fn stream(&self, to: &Endpoint) -> Dialling {
        (self.0)(to)
    }
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dial").finish_non_exhaustive()
    }
}

/// Two are the same when they are one.
impl PartialEq for Dial {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Dial {}
