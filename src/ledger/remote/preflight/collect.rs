//! Asks a store, and its Sentinels, what they are.

use std::collections::BTreeMap;

use redis::{FromRedisValue, RedisResult, Value};

use super::facts::{Facts, SentinelFacts};
use crate::ledger::remote::link::{Connection, Endpoint, Place, Target, primaries};

/// Settings that only `CONFIG GET` tells.
const SETTINGS: [&str; 4] = [
    "appendfsync",
    "min-replicas-to-write",
    "cluster-allow-replica-migration",
    "cluster-require-full-coverage",
];

/// Finds out what there is to know. An error if the store cannot be reached at all; what a server
/// forbids to ask stays unknown.
pub(super) async fn facts(target: &Target) -> RedisResult<Facts> {
    let mut all = None::<Facts>;
    for endpoint in primaries(target).await? {
        let facts = facts_of(target, &endpoint).await?;
        all = Some(match all {
            None => facts,
            Some(others) => others.and(facts),
        });
    }
    let mut facts = all.unwrap_or_default();
    facts.sentinel = sentinel(target).await;
    Ok(facts)
}

async fn facts_of(target: &Target, endpoint: &Endpoint) -> RedisResult<Facts> {
    let address = &target.address;
    let mut connection = Connection::open(endpoint, address.entry(), target.patience).await?;
    let mut commands = redis::pipe();
    commands.cmd("INFO");
    commands.cmd("CONFIG").arg("GET").arg(&SETTINGS);
    commands.cmd("COMMAND").arg("INFO").arg("WAITAOF");
    commands.cmd("ACL").arg("GETUSER").arg("default");
    let questions = target.ask_for_history(&mut commands);
    let mut replies = connection.send(&commands).await?.into_iter();
    let mut facts = Facts {
        is_local: endpoint.is_local(),
        is_encrypted: address.tls.is_some(),
        ..Facts::default()
    };
    if let Some(info) = understood::<String>(replies.next()) {
        facts.read_info(&info);
    }
    if let Some(config) = understood(replies.next()) {
        facts.read_config(&config);
    }
    let waitaof = understood::<Vec<Value>>(replies.next());
    facts.has_waitaof = waitaof.map(|commands| commands.iter().any(|one| *one != Value::Nil));
    let default_user = understood::<BTreeMap<String, Value>>(replies.next());
    facts.is_open = default_user.and_then(|mut user| is_open(user.remove("flags")));
    facts.contacts = target.meet(questions, replies.by_ref());
    Ok(facts)
}

/// A reply of the expected form; `None` for anything else, refusals among it.
fn understood<T: FromRedisValue>(reply: Option<Value>) -> Option<T> {
    let reply = reply?.extract_error().ok()?;
    redis::from_redis_value(reply).ok()
}

fn is_open(flags: Option<Value>) -> Option<bool> {
    let flags: Vec<String> = understood(flags)?;
    let has = |flag: &str| flags.iter().any(|one| one == flag);
    Some(has("on") && has("nopass"))
}

/// What the first Sentinel that answers says.
async fn sentinel(target: &Target) -> Option<SentinelFacts> {
    let Place::Sentinel {
        sentinels,
        name,
        login,
    } = &target.address.place
    else {
        return None;
    };
    let entry = target.address.entry_of_sentinels(login);
    let mut question = redis::cmd("SENTINEL");
    question.arg("MASTER").arg(name);
    for endpoint in sentinels {
        let Ok(mut connection) = Connection::open(endpoint, entry, target.patience).await else {
            continue;
        };
        let answer = connection.ask(&question).await;
        let fields = understood::<BTreeMap<String, String>>(answer.ok());
        if let Some(facts) = fields.and_then(|fields| sentinel_facts(&fields)) {
            return Some(facts);
        }
    }
    None
}

fn sentinel_facts(fields: &BTreeMap<String, String>) -> Option<SentinelFacts> {
    let number = |name: &str| fields.get(name)?.parse::<u64>().ok();
    Some(SentinelFacts {
        down_after_ms: number("down-after-milliseconds")?,
        quorum: number("quorum")?,
        sentinels: number("num-other-sentinels")? + 1,
        replicas: number("num-slaves")?,
    })
}
