//! Asking Sentinel where the primary is, and being told when it moves.
//!
//! An old primary that is cut off from the Sentinels, but not from us, goes on taking writes that
//! will be lost. At the levels that wait for replicas nobody is told of such a write; at the others
//! the news from a Sentinel is the only sign.

use std::sync::Arc;
use std::time::Duration;

use redis::{ErrorKind, RedisError, RedisResult};
use tokio::task::JoinSet;

use super::Target;
use super::address::{Address, Endpoint, Entry, Login, Place};
use super::connection::{Connection, Patience, unexpected};
use super::race::first_of;

/// Where Sentinels publish that a primary was replaced.
const NEWS: &str = "+switch-master";

/// Pause before a Sentinel that hung up is called again.
const PAUSE: Duration = Duration::from_secs(1);

/// Where the primary is: the address itself, or what the first Sentinel that answers says.
pub(super) async fn primary_of(address: &Address, patience: Patience) -> RedisResult<Endpoint> {
    let (sentinels, name, login) = match &address.place {
        Place::Server(endpoint) => return Ok(endpoint.clone()),
        Place::Cluster(_) => return Err(unexpected("a cluster has many primaries")),
        Place::Sentinel {
            sentinels,
            name,
            login,
        } => (sentinels, name, login),
    };
    let entry = address.entry_of_sentinels(login);
    let ask = |sentinel| primary_as_told_by(sentinel, entry, name, patience);
    let asked = sentinels.iter().map(ask);
    first_of(asked, unexpected("the address names no sentinel")).await
}

async fn primary_as_told_by(
    sentinel: &Endpoint,
    entry: Entry<'_>,
    name: &str,
    patience: Patience,
) -> RedisResult<Endpoint> {
    let mut connection = Connection::open(sentinel, entry, patience).await?;
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

/// Listens to every Sentinel of the address and makes all links look for the primary again when
/// one of them says that it has moved. Never ends.
pub(in crate::ledger::remote) async fn follow(target: &Arc<Target>) {
    let mut listeners = JoinSet::new();
    if let Place::Sentinel {
        sentinels, login, ..
    } = &target.address.place
    {
        for sentinel in sentinels {
            let (sentinel, login) = (sentinel.clone(), login.clone());
            listeners.spawn_local(follow_one(sentinel, login, Arc::clone(target)));
        }
    }
    while let Some(ended) = listeners.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "nobody listens to a sentinel any more");
        }
    }
    std::future::pending::<()>().await;
}

async fn follow_one(sentinel: Endpoint, login: Login, target: Arc<Target>) {
    loop {
        if let Err(error) = listen(&sentinel, &login, &target).await {
            tracing::debug!(%sentinel, %error, "a sentinel cannot be listened to");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Until this Sentinel hangs up.
async fn listen(sentinel: &Endpoint, login: &Login, target: &Target) -> RedisResult<()> {
    let entry = target.address.entry_of_sentinels(login);
    let mut connection = Connection::open(sentinel, entry, target.patience).await?;
    connection.subscribe(NEWS).await?;
    while connection.is_told().await {
        tracing::info!(%sentinel, "a primary has moved; looking for ours");
        target.moves.count();
    }
    Ok(())
}
