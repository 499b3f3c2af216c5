//! The judgement of a ledger that has one order: everything is replayed in it.

use std::collections::{BTreeMap, BTreeSet};

use holdfast::ledger::event::{Body, Cursor};
use holdfast::ledger::{Answer, Position};

use crate::caller::{AGAIN, try_once};
use crate::faults::Sometimes;
use crate::instance::Instance;
use crate::support::model::is_recorded;
use crate::support::script::Script;
use crate::witness::{Call, Fed};
use crate::world::{Sent, World};

/// The words about a change that was acknowledged and is not there.
pub(crate) const LOST: &str = "was acknowledged and is gone";

/// The words about a command that was done as often as it was sent.
pub(crate) const TWICE: &str = "was done twice";

pub(crate) async fn judge(world: &World, last: &Instance) -> Result<(), String> {
    let feed = read(world, last, 0).await?;
    recount(last).await?;
    once(world, &feed)?;
    let calls = settled(world, last, &feed).await?;
    crate::witness::judge(&calls, &feed)?;
    mirrors(world, &feed)
}

/// What was acknowledged is there.
pub(crate) fn kept(world: &World) -> Result<(), String> {
    let calls = world.calls();
    let mut acknowledged = calls.iter().filter(|call| call.answer.verdict.is_ok());
    match acknowledged.find(|call| !world.is_recorded(call.id)) {
        Some(call) => Err(format!("{} {LOST}: {call:?}", call.key)),
        None => Ok(()),
    }
}

pub(crate) async fn recount(last: &Instance) -> Result<(), String> {
    let recount = last.engine.recount().await;
    let violations = recount.map_err(|error| error.to_string())?.violations;
    if violations.is_empty() {
        return Ok(());
    }
    Err(violations.join("\n"))
}

/// Everything that a partition tells.
pub(crate) async fn read(
    world: &World,
    instance: &Instance,
    shard: u16,
) -> Result<Vec<Fed>, String> {
    let mut feed: Vec<Fed> = Vec::new();
    loop {
        let first = Cursor {
            shard,
            ..Cursor::default()
        };
        let after = feed.last().map_or(first, |fed| fed.position.into());
        let page = instance.engine.events(after, 1_000).await;
        let page = page.map_err(|error| error.to_string())?;
        if page.records.is_empty() {
            return Ok(feed);
        }
        for event in page.iter() {
            let event = event.map_err(|error| error.to_string())?;
            if matches!(event.body, Body::Expired { .. }) {
                world.saw(Sometimes::Expired);
            }
            feed.push(Fed::of(&event));
        }
    }
}

/// What a caller asked for, however often, was done once.
pub(crate) fn once(world: &World, feed: &[Fed]) -> Result<(), String> {
    let done: BTreeSet<u128> = feed.iter().filter_map(|fed| fed.command).collect();
    let mut asked = BTreeSet::new();
    for (key, sent) in world.sent() {
        let is_done = done.contains(&world.id(&key, &sent.scripts[0]));
        if is_done && !asked.insert(key.split(AGAIN).next().map(str::to_owned)) {
            return Err(format!("{key} {TWICE}"));
        }
    }
    Ok(())
}

/// The calls as the witness takes them. Where nobody heard the first answer to a command, because it
/// was lost or its caller heard that of another attempt, the store is asked for it once more.
async fn settled(world: &World, last: &Instance, feed: &[Fed]) -> Result<Vec<Call>, String> {
    let mut calls = world.calls();
    let is_first = |call: &&Call| !call.answer.replayed && is_recorded(&call.answer.verdict);
    let heard: BTreeSet<u128> = calls.iter().filter(is_first).map(|call| call.id).collect();
    let sent = world.sent();
    let keys = sent
        .iter()
        .map(|(key, sent)| (world.id(key, &sent.scripts[0]), (key, sent)));
    let keys: BTreeMap<u128, (&String, &Sent)> = keys.collect();
    let done = feed.iter().filter_map(|fed| fed.command);
    for id in done.filter(|id| !heard.contains(id)) {
        let (key, sent) = keys
            .get(&id)
            .ok_or("an event of a command that nobody sent")?;
        let (script, answer) = asked_again(world, last, (key, sent)).await?;
        calls.push(Call {
            sent: sent.ticket,
            answered: world.ticket(),
            key: (*key).clone(),
            id,
            script,
            answer: Answer {
                replayed: false,
                ..answer
            },
        });
    }
    Ok(calls)
}

/// What a command that was done is answered once more.
pub(crate) async fn asked_again(
    world: &World,
    last: &Instance,
    (key, sent): (&str, &Sent),
) -> Result<(Script, Answer), String> {
    for script in &sent.scripts {
        let answer = try_once(world, last, key, script).await;
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.replayed {
            return Ok((script.clone(), answer));
        }
    }
    Err(format!(
        "{key} was done, and its answer is not known any more"
    ))
}

/// No mirror refused what was granted where it stood.
pub(crate) fn mirrors(world: &World, feed: &[Fed]) -> Result<(), String> {
    let calls = world.calls();
    let done = calls.iter().filter(|call| call.answer.verdict.is_ok());
    let done: BTreeSet<u128> = done.map(|call| call.id).collect();
    let granted = feed
        .iter()
        .filter_map(|fed| Some((fed.command?, fed.position)));
    let granted: BTreeMap<u128, Position> = granted.filter(|(id, _)| done.contains(id)).collect();
    for (id, as_of) in world.all_mirrored() {
        if granted.get(&id).is_some_and(|at| *at <= as_of) {
            return Err(format!(
                "a mirror refused, as of {as_of}, what was decided before"
            ));
        }
    }
    Ok(())
}
