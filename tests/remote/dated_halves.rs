//! What is dated, left half way by an instance that stops after any step: whoever comes next with the
//! same key makes it whole.

use holdfast::blocking::wait_for;
use holdfast::domain::command::{
    Channel, Command, InboundCommand, Keyed, LineRequest, Lines, PutInbound, Reserve,
};
use holdfast::domain::line::LineState;
use holdfast::domain::{
    ChannelIx, Day, HoldTtl, InboundKind, NodeIx, Outcome, Sku, Ttl, Units, UnixMillis,
};
use holdfast::ledger::Answer;

use crate::halves::{ON_HAND, SKUS, TTL, at_every_step, reservation};
use crate::instance::Instance;
use crate::support::check::START;
use crate::support::history::CHANNEL_NAMES;

/// Announces as much of every SKU as there is.
fn announce(day: Day) -> Command<'static> {
    let item = |sku| PutInbound {
        sku: Sku::new(sku).unwrap(),
        id: "po",
        kind: InboundKind::InTransit,
        node: NodeIx::MAIN,
        due: day,
        quantity: Units::new(ON_HAND).unwrap(),
    };
    Command::Inbound(InboundCommand::Put(SKUS.map(item).to_vec()))
}

/// More of every SKU than there is, by that day.
fn promise(day: Day) -> Command<'static> {
    let line = |sku| LineRequest {
        sku: Sku::new(sku).unwrap(),
        node: None,
        quantity: Units::new(ON_HAND + 1).unwrap(),
        by: Some(day),
    };
    Command::Reserve(Reserve {
        channel: Channel {
            name: CHANNEL_NAMES[0],
            index: Some(ChannelIx(0)),
        },
        reference: None,
        ttl: HoldTtl::Asked(Ttl::from_millis(TTL).unwrap()),
        allow_partial: false,
        lines: Lines::try_new(SKUS.map(line)).unwrap(),
    })
}

fn execute(instance: &Instance, key: &str, command: Command<'_>) -> Answer {
    let key = instance.0.key(key, &command);
    wait_for(instance.0.execute(&Keyed { key, command })).unwrap()
}

fn day() -> Day {
    Day::of(UnixMillis(START)).later(3)
}

#[test]
fn announcements_left_half_way_are_made_whole_by_their_key() {
    at_every_step(|scene, steps| {
        let done = scene.cut_off_at("po", announce(day()), steps);
        let announced = execute(&scene.other, "po", announce(day()));
        let Ok(Outcome::Inbound(results)) = announced.verdict else {
            panic!("{announced:?}");
        };
        assert_eq!(results.len(), SKUS.len());
        scene.other.recounts_clean();
        done
    });
}

#[test]
fn a_promise_left_half_way_is_made_whole_by_its_key() {
    at_every_step(|scene, steps| {
        let announced = execute(&scene.first, "po", announce(day()));
        assert!(announced.verdict.is_ok(), "{announced:?}");
        let done = scene.cut_off_at("k", promise(day()), steps);
        let answer = execute(&scene.other, "k", promise(day()));
        let made = reservation(&answer);
        assert_eq!(made.state(), LineState::Held);
        assert!(made.lines.iter().all(|line| line.line.day == Some(day())));
        assert_eq!(scene.find(made.id.0).as_ref(), Some(made));
        scene.other.recounts_clean();
        done
    });
}
