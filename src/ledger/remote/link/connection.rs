//! One connection to a server, ready for calls: logged in, named, scripts loaded, and known to be
//! that of a primary.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::{MultiplexedConnection, SendError};
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, IntoConnectionInfo, Pipeline,
    ProtocolVersion, PushInfo, PushKind, RedisConnectionInfo, RedisError, RedisResult, Value,
};
use tokio::sync::Notify;

use super::address::{Endpoint, Entry};

/// Time limits of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a connection to stand, login and set-up included.
    pub connect: Duration,
    /// For a reply to come, beyond the time that the store itself was given to wait.
    pub reply: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            reply: Duration::from_secs(2),
        }
    }
}

/// A connection that is up as far as anybody knows.
#[derive(Debug)]
pub(in crate::ledger::remote) struct Connection {
    socket: MultiplexedConnection,
    heard: Arc<Heard>,
}

/// What the server said or did without being asked.
#[derive(Debug, Default)]
struct Heard {
    /// It hung up.
    is_closed: AtomicBool,
    /// It published something.
    is_told: AtomicBool,
    /// Something of both may have happened.
    news: Notify,
}

impl Heard {
    fn take(&self, push: &PushInfo) {
        if push.kind == PushKind::Disconnection {
            self.is_closed.store(true, Ordering::Release);
        } else if push.kind == PushKind::Message {
            self.is_told.store(true, Ordering::Release);
        }
        self.news.notify_one();
    }
}

impl Connection {
    /// Connects and logs in.
    pub(in crate::ledger::remote) async fn open(
        endpoint: &Endpoint,
        entry: Entry<'_>,
        patience: Patience,
    ) -> RedisResult<Self> {
        let heard = Arc::new(Heard::default());
        let listener = Arc::clone(&heard);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(patience.connect))
            .set_response_timeout(Some(patience.reply))
            .set_push_sender(move |push: PushInfo| {
                listener.take(&push);
                Ok::<(), SendError>(())
            });
        let socket = match entry.dial {
            None => {
                let client = client(endpoint, entry)?;
                client
                    .get_multiplexed_async_connection_with_config(&config)
                    .await?
            }
            Some(dial) => {
                let stream = dial.stream(endpoint).await?;
                let settings = settings(entry);
                let made = MultiplexedConnection::new_with_config(&settings, stream, config);
                let (socket, driver) = made.await?;
                drop(tokio::spawn(driver));
                socket
            }
        };
        Ok(Self { socket, heard })
    }

    /// The socket itself, for several callers at once.
    pub(in crate::ledger::remote) fn into_socket(self) -> MultiplexedConnection {
        self.socket
    }

    /// Whether the server is known to have hung up.
    pub(super) fn is_closed(&self) -> bool {
        self.heard.is_closed.load(Ordering::Acquire)
    }

    /// Asks to be told what is published on a channel.
    pub(super) async fn subscribe(&mut self, channel: &str) -> RedisResult<()> {
        self.socket.subscribe(channel).await
    }

    /// Waits until something was published, or the server has hung up: then it is false.
    pub(super) async fn is_told(&self) -> bool {
        loop {
            if self.heard.is_told.swap(false, Ordering::AcqRel) {
                return true;
            }
            if self.is_closed() {
                return false;
            }
            self.heard.news.notified().await;
        }
    }

    /// Sends all commands at once and returns their replies one by one, errors among them.
    pub(in crate::ledger::remote) async fn send(
        &mut self,
        commands: &Pipeline,
    ) -> RedisResult<Vec<Value>> {
        let replies = self
            .socket
            .send_packed_commands(commands, 0, commands.len())
            .await?;
        if replies.len() == commands.len() {
            Ok(replies)
        } else {
            Err(unexpected("a reply is missing"))
        }
    }

    /// Sends one command; an error reply is an error.
    pub(in crate::ledger::remote) async fn ask(&mut self, command: &Cmd) -> RedisResult<Value> {
        self.socket
            .send_packed_command(command)
            .await?
            .extract_error()
    }
}

fn settings(entry: Entry<'_>) -> RedisConnectionInfo {
    // RESP3, because it lets the server's hanging up be seen at once: a call that finds the
    // connection closed has not been sent.
    let mut settings = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_db(i64::from(entry.database));
    if let Some(user) = &entry.login.user {
        settings = settings.set_username(user);
    }
    if let Some(password) = &entry.login.password {
        settings = settings.set_password(password);
    }
    settings
}

fn client(endpoint: &Endpoint, entry: Entry<'_>) -> RedisResult<Client> {
    let info = place(endpoint, entry.tls.is_some())
        .into_connection_info()?
        .set_redis_settings(settings(entry))
        .set_tcp_settings(TcpSettings::default().set_nodelay(true));
    match entry.tls {
        Some(tls) => Client::build_with_tls(info, tls.certificates()?),
        None => Client::open(info),
    }
}

fn place(endpoint: &Endpoint, is_encrypted: bool) -> ConnectionAddr {
    match endpoint {
        Endpoint::Unix(path) => ConnectionAddr::Unix(path.clone()),
        Endpoint::Tcp(host, port) if is_encrypted => ConnectionAddr::TcpTls {
            host: host.clone(),
            port: *port,
            insecure: false,
            tls_params: None,
        },
        Endpoint::Tcp(host, port) => ConnectionAddr::Tcp(host.clone(), *port),
    }
}

/// A server that answers something else than what its documentation says.
pub(super) fn unexpected(what: &'static str) -> RedisError {
    RedisError::from((ErrorKind::UnexpectedReturnType, what))
}
