//! One partition of a remote ledger, called as the batcher calls it.

use std::collections::{BTreeMap, HashMap};

use crate::server::Server;
use bytes::Bytes;
use holdfast::domain::UnixMillis;
use holdfast::domain::command::Keyed;
use holdfast::domain::policy::Policy;
use holdfast::ledger::Recount;
use holdfast::ledger::policy::PolicyVersion;
use holdfast::ledger::remote::recount::recount;
use holdfast::ledger::remote::script::{self, Identity, Keys, Meta, inlined};
use holdfast::ledger::remote::wire::batch::batch;
use holdfast::ledger::remote::wire::command::{Table, encode_name};
use holdfast::ledger::remote::wire::event::Entry;
use holdfast::ledger::remote::wire::policy::{Swap, Swapped, encode_swap, fields, flat};
use holdfast::ledger::remote::wire::reply::{BatchReply, Item};
use redis::{AsyncConnectionConfig, Connection, RedisError, Script, Value};

/// Where a partition can be.
pub(crate) trait Host {
    fn connect(&self) -> Connection;

    /// The address, as clients take it.
    fn url(&self) -> String;
}

impl Host for Server {
    fn connect(&self) -> Connection {
        Self::connect(self)
    }

    fn url(&self) -> String {
        Self::url(self)
    }
}

/// A partition, its scripts and the connection to its server.
pub(crate) struct Partition {
    pub(crate) connection: Connection,
    url: String,
    pub(crate) keys: Keys,
    pub(crate) script: Script,
    /// What the script replied since the partition was made, or its error.
    pub(crate) replies: Vec<Result<Bytes, String>>,
    calls: u128,
}

impl Partition {
    /// Forgets everything the server has, and makes a partition with nodes and channels.
    pub(crate) fn fresh(server: &impl Host, source: &str, seed: u64) -> Self {
        let mut partition = Self {
            connection: server.connect(),
            url: server.url(),
            keys: Keys::new("hf", 0),
            script: Script::new(&inlined(source)),
            replies: Vec::new(),
            calls: 0,
        };
        partition.clear(seed);
        partition
    }

    /// Forgets everything and begins again.
    pub(crate) fn clear(&mut self, seed: u64) {
        redis::cmd("FLUSHALL").exec(&mut self.connection).unwrap();
        self.replies.clear();
        let identity = Identity {
            ledger: 7,
            partitions: 1,
            seed,
        };
        assert_eq!(self.init(&identity).identity, identity);
    }

    pub(crate) fn init(&mut self, identity: &Identity) -> Meta {
        let script = Script::new(script::INIT);
        let mut call = script.prepare_invoke();
        call.key(&self.keys.of_init()[..]);
        call.arg(&identity.arguments(0)[..]);
        let fields: HashMap<String, String> = call.invoke(&mut self.connection).unwrap();
        Meta::parse(&fields).unwrap()
    }

    /// Gives names their indexes.
    pub(crate) fn name(&mut self, now: i64, names: &[(Table, String)]) -> Vec<Option<u16>> {
        let commands: Vec<_> = names
            .iter()
            .map(|(t, name)| encode_name(*t, name))
            .collect();
        let reply = self.call(now, &commands).unwrap();
        (0..names.len())
            .map(|at| reply.named(at).unwrap())
            .collect()
    }

    /// Puts a policy in force: what it is compiled to, and its text.
    pub(crate) fn put_policy(&mut self, now: i64, policy: &Policy, text: &str) {
        let stage = |step: &str, part: &[u8]| {
            let mut call = redis::cmd("EVAL");
            call.arg(script::STAGE).arg(2);
            call.arg(self.keys.meta()).arg(self.keys.staged());
            call.arg(step).arg("token").arg(part);
            call
        };
        let part = flat(&fields(policy));
        let steps = [stage("begin", b""), stage("put", &part)];
        for step in steps {
            step.exec(&mut self.connection).unwrap();
        }
        let (meta, field) = (self.keys.meta(), "policy");
        let mut ask = redis::cmd("HGET");
        let ask = ask.arg(meta).arg(field);
        let expected: Option<u64> = ask.query(&mut self.connection).unwrap();
        let expected = expected.unwrap_or(0);
        let version = PolicyVersion {
            version: expected + 1,
            at: UnixMillis(now),
            operator: "".into(),
            reason: "".into(),
            over: "".into(),
            text: text.into(),
        };
        let swap = Swap {
            expected,
            version: &version,
            keeps_text: true,
            at: None,
            until: None,
            token: "token",
        };
        let reply = self.call(now, &[encode_swap(&swap)]).unwrap();
        assert_eq!(reply.swapped(0).unwrap(), Swapped::Done);
        assert_eq!(reply.header().policy, expected + 1);
    }

    /// One call of the script.
    pub(crate) fn call(
        &mut self,
        now: i64,
        commands: &[Vec<u8>],
    ) -> Result<BatchReply, RedisError> {
        let argument = batch(commands.iter().map(Vec::as_slice)).unwrap();
        self.calls += 1;
        let id = self.calls.to_be_bytes();
        let mut call = self.script.prepare_invoke();
        call.key(&self.keys.all()[..]).arg(argument).arg(&id);
        call.arg(now);
        let reply: Result<Bytes, RedisError> = call.invoke(&mut self.connection);
        let said = reply.as_ref().map_err(ToString::to_string);
        self.replies.push(said.cloned());
        Ok(BatchReply::parse(reply?, &id, commands.len()).unwrap())
    }

    /// Counts everything again; or says what cannot be read.
    pub(crate) fn recount(&self) -> Result<Recount, String> {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(async {
            let client = redis::Client::open(self.url.as_str()).unwrap();
            let patient = AsyncConnectionConfig::new().set_response_timeout(None);
            let connection = client.get_multiplexed_async_connection_with_config(&patient);
            let mut connection = connection.await.unwrap();
            let counted = recount(&mut connection, &self.keys).await;
            counted.map_err(|error| error.to_string())
        })
    }

    /// The entries of the stream of events.
    pub(crate) fn entries(&mut self) -> Vec<Entry> {
        let mut ask = redis::cmd("XRANGE");
        ask.arg(self.keys.events()).arg("-").arg("+");
        let entries: Vec<(String, Vec<Bytes>)> = ask.query(&mut self.connection).unwrap();
        let parsed = entries.into_iter().map(|(id, fields)| {
            let [_, argument, _, reply] = fields.try_into().unwrap();
            let entry = Entry::parse(argument, reply).unwrap();
            assert_eq!(id, format!("{}-0", entry.header().before + 1));
            entry
        });
        parsed.collect()
    }

    /// Everything the server has under the partition's keys; hashes in the order of their fields.
    pub(crate) fn dump(&mut self) -> Vec<Value> {
        let mut all = Vec::new();
        for key in self.keys.all().clone() {
            let kind: String = redis::cmd("TYPE")
                .arg(&key)
                .query(&mut self.connection)
                .unwrap();
            let mut ask = redis::Cmd::new();
            match kind.as_str() {
                "hash" => {
                    let ask = ask.arg("HGETALL").arg(&key);
                    let sorted: BTreeMap<Bytes, Bytes> = ask.query(&mut self.connection).unwrap();
                    let flat = sorted.into_iter().flat_map(<[Bytes; 2]>::from);
                    let flat = flat.map(|bytes| Value::BulkString(bytes.to_vec()));
                    all.push(Value::Array(flat.collect()));
                    continue;
                }
                "zset" => ask.arg("ZRANGE").arg(&key).arg(0).arg(-1).arg("WITHSCORES"),
                "stream" => ask.arg("XRANGE").arg(&key).arg("-").arg("+"),
                other => {
                    assert_eq!(other, "none");
                    continue;
                }
            };
            all.push(ask.query(&mut self.connection).unwrap());
        }
        all
    }
}

/// The answer of a command that was not put off.
pub(crate) fn answer(reply: &BatchReply, at: usize, keyed: &Keyed<'_>) -> holdfast::ledger::Answer {
    match reply.answer(at, keyed).unwrap() {
        Item::Answer(answer) => answer,
        Item::Deferred | Item::Full | Item::Several => panic!("{keyed:?} was put off"),
    }
}
