//! What is dated, left half way by an instance that stops after any step: whoever comes next with the
//! same key makes it whole.

use holdfast::blocking::wait_for;
use holdfast::domain::command::{
    Act, Channel, Command, InboundCommand, Keyed, LineRequest, Lines, PutInbound, Reserve, Verb,
};
use holdfast::domain::line::LineState;
use holdfast::domain::verdict::Limit;
use holdfast::domain::{
    ChannelIx, Day, HoldTtl, InboundKind, NodeIx, Outcome, Refusal, ReservationId, Sku, Ttl, Units,
    UnixMillis,
};
use holdfast::ledger::Answer;

use crate::halves::{ON_HAND, SKUS, TTL, at_every_step, reservation};
use crate::instance::{Instance, hold, set};
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

/// All that was promised leaves.
fn act(verb: Verb, id: ReservationId) -> Command<'static> {
    Command::Act(Act {
        id,
        verb,
        lines: None,
    })
}

/// What lies elsewhere leaves before its day only if nobody else can be promised it on the way.
#[test]
fn a_shipment_before_its_day_is_of_what_nobody_else_can_be_promised() {
    at_every_step(|scene, steps| {
        let done = |key: &str, command| {
            let answer = execute(&scene.other, key, command);
            assert!(answer.verdict.is_ok(), "{answer:?}");
            answer
        };
        done("po", announce(day()));
        let id = reservation(&done("k", promise(day()))).id;
        done("confirm", act(Verb::Confirm, id));
        for sku in SKUS {
            scene
                .other
                .execute(&format!("more {sku}"), &set(sku, ON_HAND + 1));
        }
        let early = execute(&scene.other, "early", act(Verb::Ship { from: None }, id));
        let Err(Refusal::InsufficientStock { shortages }) = early.verdict else {
            panic!("{early:?}");
        };
        assert!(shortages.iter().all(|short| short.limit == Limit::Inbound));
        // Now it rests on what is on hand alone.
        done("late", announce(day().later(1)));
        let is_done = scene.cut_off_at("ship", act(Verb::Ship { from: None }, id), steps);
        for sku in SKUS {
            let key = format!("other {sku}");
            let other = scene.other.execute(&key, &hold(sku, 1, TTL));
            assert_eq!(other.verdict.unwrap_err().code(), "insufficient_stock");
        }
        done("ship", act(Verb::Ship { from: None }, id));
        // Long enough for somebody to look after what has not followed.
        scene.now(10_000);
        wait_for(scene.other.0.tick()).unwrap();
        for sku in SKUS {
            assert_eq!(scene.other.units(sku), [0, 0, 0], "{sku}");
        }
        scene.other.recounts_clean();
        is_done
    });
}
