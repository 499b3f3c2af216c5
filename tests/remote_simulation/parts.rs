//! The judgement of a ledger of several partitions, each with an order of its own: no order contradicts
//! what callers saw, every answer stands where it says, and is given again; the partitions agree; and
//! the program that shares nothing with the engine finds that every step was allowed.

use holdfast::ledger::proof::Range;
use holdfast_verify::{Refusal, verify};

use crate::instance::Instance;
use crate::order::{asked_again, mirrors, once, read, recount};
use crate::support::model::is_recorded;
use crate::witness::{Call, Fed, judge_orders};
use crate::world::World;

pub(crate) async fn judge(world: &World, last: &Instance) -> Result<(), String> {
    let others = world.instances().into_iter();
    let others = others.filter(|one| one.number != last.number);
    others.for_each(|one| one.stop());
    let settled = last.engine.settle_all().await;
    settled.map_err(|error| error.to_string())?;
    let mut feeds: Vec<Vec<Fed>> = Vec::new();
    for shard in 0..world.places().count() {
        feeds.push(read(world, last, shard).await?);
    }
    recount(last).await?;
    feeds.iter().try_for_each(|feed| once(world, feed))?;
    feeds.iter().try_for_each(|feed| mirrors(world, feed))?;
    let calls = begun(world);
    judge_orders(&calls, &feeds)?;
    proved(last).await?;
    repeated(world, last, &calls).await
}

/// The calls, each as sent when anybody sent it first: whoever sends a command that another has begun
/// may finish it, where that one stood. A change of stock may be refused by another partition than its
/// home, and is told from there.
fn begun(world: &World) -> Vec<Call> {
    let sent = world.sent();
    let mut calls = world.calls();
    for call in &mut calls {
        call.sent = sent[&call.key].ticket;
        call.id = world.places().id_at(&call.key, call.answer.position.shard);
    }
    calls
}

/// Every step was allowed.
async fn proved(last: &Instance) -> Result<(), String> {
    let range = Range {
        retention_ms: i64::MAX,
        ..Range::default()
    };
    let mut proof = Vec::new();
    let written = last.engine.prove(&range, &mut proof).await;
    written.map_err(|error| error.to_string())?;
    let Err(refusal) = verify(&proof[..]) else {
        return Ok(());
    };
    let text = String::from_utf8_lossy(&proof);
    let line = |line: u64| {
        text.lines()
            .nth(usize::try_from(line).unwrap().saturating_sub(1))
    };
    Err(match &refusal {
        Refusal::Rejected(rejection) => format!("{refusal}\n{:?}", line(rejection.line)),
        Refusal::Unreadable(_) | Refusal::Other | Refusal::Version(_) => refusal.to_string(),
    })
}

/// Whatever was answered is answered again.
async fn repeated(world: &World, last: &Instance, calls: &[Call]) -> Result<(), String> {
    let sent = world.sent();
    for call in calls
        .iter()
        .filter(|call| is_recorded(&call.answer.verdict))
    {
        let (_, again) = asked_again(world, last, (&call.key, &sent[&call.key])).await?;
        if again.verdict != call.answer.verdict {
            let first = &call.answer;
            return Err(format!("{}: {first:?}\n  and then {again:?}", call.key));
        }
    }
    Ok(())
}
