//! One call of a plain script for each request.

use std::collections::HashMap;
use std::time::Duration;

use deadpool_redis::redis::aio::{ConnectionLike, MultiplexedConnection};
use deadpool_redis::redis::io::tcp::TcpSettings;
use deadpool_redis::redis::{
    self, AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo, Pipeline,
};
use deadpool_redis::{Manager, Pool};

use super::{Contender, HOLD_SECONDS, Place};
use crate::Failure;
use crate::server::Durability;
use crate::store::Store;
use crate::template::sku;

const SCRIPT: &str = include_str!("plain.lua");
/// Connections of a thread's pool. More or fewer were slower here.
const POOLED: usize = 16;
/// Connections that a thread's callers share.
const SHARED: usize = 2;
/// Far more than a reply takes; the library's own is half a second.
const REPLY_MAX: Duration = Duration::from_secs(10);
/// How long the store may wait for its replica, milliseconds.
const WAIT_MS: u32 = 1_000;

/// How callers come by a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// One for each call, out of a pool.
    Pool,
    /// All calls on the same few.
    Shared,
}

/// The plain script in a store.
#[derive(Debug)]
pub(crate) struct Plain {
    place: Place,
    sharing: Sharing,
    sha: String,
    /// Stock, reservations, deadlines.
    keys: [String; 3],
    /// Units that the books began with.
    seeded: String,
    client: Client,
}

/// What a thread's callers use.
#[derive(Clone)]
pub(crate) struct Calls {
    connections: Connections,
    sha: String,
    keys: [String; 3],
    waits: bool,
}

#[derive(Clone)]
enum Connections {
    Pool(Pool),
    Shared(Vec<MultiplexedConnection>),
}

impl Plain {
    /// Loads the script.
    pub(crate) fn open(store: &Store, sharing: Sharing) -> Result<Self, Failure> {
        let place = Place::of(store);
        let client = Client::open(place.url.as_str())?;
        let mut load = redis::cmd("SCRIPT");
        let sha = load
            .arg("LOAD")
            .arg(SCRIPT)
            .query(&mut client.get_connection()?)?;
        let key = |what: &str| format!("{}:{{0}}:{what}", store.namespace);
        Ok(Self {
            place,
            sharing,
            sha,
            keys: ["stock", "reservations", "deadlines"].map(key),
            seeded: key("seeded"),
            client,
        })
    }

    fn stock(&self) -> &str {
        let [stock, _, _] = &self.keys;
        stock
    }

    /// The address with the settings of a good client.
    fn info(&self) -> Result<ConnectionInfo, Failure> {
        let info = self.place.url.as_str().into_connection_info()?;
        Ok(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))
    }

    fn config() -> AsyncConnectionConfig {
        AsyncConnectionConfig::new().set_response_timeout(Some(REPLY_MAX))
    }

    /// Removes everything from the store.
    pub(crate) fn discard(self) -> Result<(), Failure> {
        let mut connection = self.client.get_connection()?;
        let mut remove = redis::cmd("UNLINK");
        remove.arg(&self.keys).arg(&self.seeded);
        Ok(remove.exec(&mut connection)?)
    }
}

impl Contender for Plain {
    type Local = Calls;

    fn seed(&self, skus: u64, on_hand: u64) -> Result<(), Failure> {
        let mut connection = self.client.get_connection()?;
        let names: Vec<String> = (0..skus).map(sku).collect();
        for names in names.chunks(1_000) {
            let mut set = redis::cmd("HSET");
            set.arg(self.stock());
            for name in names {
                set.arg(name).arg(on_hand);
            }
            set.exec(&mut connection)?;
        }
        let mut total = redis::cmd("SET");
        total.arg(&self.seeded).arg(skus * on_hand);
        Ok(total.exec(&mut connection)?)
    }

    async fn enter(&self) -> Result<Calls, Failure> {
        let connections = match self.sharing {
            Sharing::Pool => {
                let manager = Manager::new_with_config(self.info()?, Self::config())?;
                Connections::Pool(Pool::builder(manager).max_size(POOLED).build()?)
            }
            Sharing::Shared => {
                let client = Client::open(self.info()?)?;
                let config = Self::config();
                let mut connections = Vec::new();
                for _ in 0..SHARED {
                    let opened = client.get_multiplexed_async_connection_with_config(&config);
                    connections.push(opened.await?);
                }
                Connections::Shared(connections)
            }
        };
        Ok(Calls {
            connections,
            sha: self.sha.clone(),
            keys: self.keys.clone(),
            waits: self.place.level == Durability::Replica,
        })
    }

    async fn reserve(local: &Calls, key: &str, sku: &str) -> Result<bool, Failure> {
        match &local.connections {
            Connections::Pool(pool) => local.call(&mut *pool.get().await?, key, sku).await,
            Connections::Shared(connections) => {
                let at = key
                    .bytes()
                    .fold(0_usize, |sum, byte| sum + usize::from(byte));
                let connection = connections.get(at % SHARED).ok_or("no connection")?;
                local.call(&mut connection.clone(), key, sku).await
            }
        }
    }

    fn promised(&self) -> Result<u64, Failure> {
        let mut connection = self.client.get_connection()?;
        let left: HashMap<String, u64> = redis::cmd("HGETALL")
            .arg(self.stock())
            .query(&mut connection)?;
        let mut total = redis::cmd("GET");
        let total: u64 = total.arg(&self.seeded).query(&mut connection)?;
        Ok(total - left.values().sum::<u64>())
    }
}

impl Calls {
    async fn call(
        &self,
        connection: &mut impl ConnectionLike,
        key: &str,
        sku: &str,
    ) -> Result<bool, Failure> {
        let mut call = redis::cmd("EVALSHA");
        call.arg(&self.sha).arg(self.keys.len()).arg(&self.keys);
        call.arg(key).arg(sku).arg(1).arg(HOLD_SECONDS * 1_000);
        if !self.waits {
            let granted: u8 = call.query_async(connection).await?;
            return Ok(granted == 1);
        }
        let mut both = Pipeline::with_capacity(2);
        both.add_command(call).cmd("WAIT").arg(1).arg(WAIT_MS);
        let (granted, copies): (u8, u32) = both.query_async(connection).await?;
        if copies == 0 {
            return Err("the replica did not confirm".into());
        }
        Ok(granted == 1)
    }
}
