//! A connection with the scripts loaded, to a server that is known to be a primary.

use redis::{Pipeline, RedisResult, Value};

use super::address::Endpoint;
use super::connection::{Connection, Patience, unexpected};
use super::level::Wait;
use super::{Call, Target};
use crate::clock::monotonic;
#[cfg(feature = "sabotage")]
use crate::sabotage::{self, Fault};

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Ready {
    connection: Connection,
    /// Where it leads.
    pub(super) endpoint: Endpoint,
    /// What the server calls our scripts.
    shas: Vec<String>,
    wait: Wait,
    /// Moves of the primary before it was looked for.
    pub(super) moves: u64,
}

impl Ready {
    /// Whether it leads to the primary as far as anybody knows.
    pub(super) fn is_good(&self, target: &Target) -> bool {
        !self.connection.is_closed() && !self.is_replaced(target)
    }

    /// Whether another server has become the primary since this one was looked for.
    pub(super) fn is_replaced(&self, target: &Target) -> bool {
        self.moves != target.moves.get()
    }

    /// Connects to a primary and loads the scripts. `moves` are those before it was looked for.
    pub(super) async fn open(target: &Target, endpoint: Endpoint, moves: u64) -> RedisResult<Self> {
        let Patience { connect, reply } = target.patience;
        let patience = Patience {
            connect,
            reply: reply + target.level.wait,
        };
        let connection = Connection::open(&endpoint, target.address.entry(), patience);
        let mut ready = Self {
            connection: connection.await?,
            endpoint,
            shas: Vec::new(),
            wait: Wait::Nothing,
            moves,
        };
        ready.introduce(target).await?;
        ready.load(target).await?;
        tracing::debug!(endpoint = %ready.endpoint, "connected to the store");
        Ok(ready)
    }

    /// Says who we are, and asks what the server is.
    async fn introduce(&mut self, target: &Target) -> RedisResult<()> {
        let mut commands = redis::pipe();
        commands.cmd("CLIENT").arg("SETNAME").arg(&target.name);
        commands.cmd("ROLE");
        commands.cmd("INFO").arg("server");
        let questions = target.ask_for_history(&mut commands);
        let mut replies = self.connection.send(&commands).await?.into_iter();
        // The name is for the operator's eyes only: a server that forbids it is good enough.
        let _named = next(&mut replies)?;
        let role = next(&mut replies)?.extract_error()?;
        let role = role.as_sequence().and_then(|parts| parts.first());
        if !matches!(role, Some(Value::BulkString(word)) if word == b"master") {
            return Err(unexpected("the server is not a primary"));
        }
        let info: String = redis::from_redis_value(next(&mut replies)?.extract_error()?)?;
        self.wait = target.level.on_server(&info)?;
        target.meet(questions, &mut replies);
        Ok(())
    }

    pub(super) async fn load(&mut self, target: &Target) -> RedisResult<()> {
        let mut commands = redis::pipe();
        for source in &target.scripts {
            commands.cmd("SCRIPT").arg("LOAD").arg(source.as_bytes());
        }
        let replies = self.connection.send(&commands).await?;
        let shas = replies.into_iter().map(|reply| {
            let reply = reply.extract_error()?;
            Ok(redis::from_redis_value::<String>(reply)?)
        });
        self.shas = shas.collect::<RedisResult<_>>()?;
        Ok(())
    }

    /// Sends the script and the wait as one. The second reply is nil where nothing is waited for.
    /// A node that takes over a slot serves those who were sent to it and say so.
    pub(super) async fn send(
        &mut self,
        target: &Target,
        call: Call<'_>,
        was_sent: bool,
    ) -> RedisResult<[Value; 2]> {
        let sha = self.shas.get(call.script.index());
        let sha = sha.ok_or(unexpected("every script has a source"))?;
        let mut commands = Pipeline::with_capacity(3);
        if was_sent {
            commands.cmd("ASKING");
        }
        let keys = target.keys_of(call.partition);
        commands.cmd("EVALSHA").arg(sha).arg(keys.len());
        for key in keys {
            commands.arg(key.as_slice());
        }
        commands.arg(call.argument).arg(call.batch_id.as_slice());
        match call.time {
            None => commands.arg(""),
            Some(time) => commands.arg(time.0),
        };
        #[cfg(feature = "sabotage")]
        if sabotage::is_on(Fault::WaitElsewhere) {
            return self.wait_elsewhere(target, &commands).await;
        }
        self.wait.add_to(&mut commands, target.level.wait);
        let started = monotonic();
        let replies = self.connection.send(&commands).await;
        target.meters.store_call(call.script, started.elapsed());
        let mut replies = replies?.into_iter().skip(usize::from(was_sent));
        match (replies.next(), replies.next()) {
            (Some(reply), waited) => Ok([reply, waited.unwrap_or(Value::Nil)]),
            (None, _) => Err(unexpected("a reply is missing")),
        }
    }
}

#[cfg(feature = "sabotage")]
impl Ready {
    /// Sends a script, and the wait for it over another connection.
    async fn wait_elsewhere(
        &mut self,
        target: &Target,
        script: &Pipeline,
    ) -> RedisResult<[Value; 2]> {
        let reply = next(&mut self.connection.send(script).await?.into_iter())?;
        let mut other =
            Connection::open(&self.endpoint, target.address.entry(), target.patience).await?;
        let mut wait = redis::pipe();
        self.wait.add_to(&mut wait, target.level.wait);
        let waited = match self.wait {
            Wait::Nothing => Value::Nil,
            Wait::Replicas(_) | Wait::Disks(_) => next(&mut other.send(&wait).await?.into_iter())?,
        };
        Ok([reply, waited])
    }
}

fn next(replies: &mut impl Iterator<Item = Value>) -> RedisResult<Value> {
    replies.next().ok_or(unexpected("a reply is missing"))
}
