//! One connection to a server, ready for calls: logged in, named, scripts loaded, and known to be
//! that of a primary.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, IntoConnectionInfo, Pipeline,
    ProtocolVersion, PushInfo, PushKind, RedisConnectionInfo, RedisError, RedisResult, Value,
};

use super::address::{Address, Endpoint, Login, Place};

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
    /// The server hung up, seen without a call.
    is_closed: Arc<AtomicBool>,
}

impl Connection {
    /// Connects and logs in. The reply to each call may take `reply`.
    pub(in crate::ledger::remote) async fn open(
        endpoint: &Endpoint,
        login: &Login,
        database: u16,
        connect: Duration,
        reply: Duration,
    ) -> RedisResult<Self> {
        let address = match endpoint {
            Endpoint::Tcp(host, port) => ConnectionAddr::Tcp(host.clone(), *port),
            Endpoint::Unix(path) => ConnectionAddr::Unix(path.clone()),
        };
        // RESP3, because it lets the server's hanging up be seen at once: a call that finds the
        // connection closed has not been sent.
        let mut settings = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_db(i64::from(database));
        if let Some(user) = &login.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &login.password {
            settings = settings.set_password(password);
        }
        let info = address
            .into_connection_info()?
            .set_redis_settings(settings)
            .set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let is_closed = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_closed);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(connect))
            .set_response_timeout(Some(reply))
            .set_push_sender(move |push: PushInfo| {
                if push.kind == PushKind::Disconnection {
                    seen.store(true, Ordering::Release);
                }
                Ok::<(), redis::aio::SendError>(())
            });
        let socket = Client::open(info)?
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        Ok(Self { socket, is_closed })
    }

    /// Whether the server is known to have hung up.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
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

/// A server that answers something else than what its documentation says.
pub(super) fn unexpected(what: &'static str) -> RedisError {
    RedisError::from((ErrorKind::UnexpectedReturnType, what))
}

/// Where the primary is: the address itself, or what the first Sentinel that answers says.
pub(in crate::ledger::remote) async fn primary_of(
    address: &Address,
    patience: Patience,
) -> RedisResult<Endpoint> {
    let (sentinels, name, login) = match &address.place {
        Place::Server(endpoint) => return Ok(endpoint.clone()),
        Place::Sentinel {
            sentinels,
            name,
            login,
        } => (sentinels, name, login),
    };
    let mut last = unexpected("the address names no sentinel");
    for sentinel in sentinels {
        match primary_as_told_by(sentinel, login, name, patience).await {
            Ok(endpoint) => return Ok(endpoint),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn primary_as_told_by(
    sentinel: &Endpoint,
    login: &Login,
    name: &str,
    patience: Patience,
) -> RedisResult<Endpoint> {
    let Patience { connect, reply } = patience;
    let mut connection = Connection::open(sentinel, login, 0, connect, reply).await?;
    let mut question = redis::cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    let answer = connection.ask(&question).await?;
    let place: Option<(String, u16)> = redis::from_redis_value(answer)?;
    let (host, port) = place.ok_or(RedisError::from((
        ErrorKind::MasterNameNotFoundBySentinel,
        "the sentinel knows no primary of this name",
    )))?;
    Ok(Endpoint::Tcp(host, port))
}
