//! What random histories do not meet: a storm of deadlines, a store without a ledger or without
//! memory, a channel that nobody knows yet.

use holdfast::domain::command::{
    Act, Channel, Command, CommandKey, Keyed, LineRequest, Lines, Reserve, SetItem, StockChange,
    StockCommand, Verb,
};
use holdfast::domain::{HoldTtl, NodeIx, Outcome, ReservationId, Sku, Ttl, Units};
use holdfast::ledger::event::Body;
use holdfast::ledger::remote::script::{BATCH, Identity, RELIEF, inlined};
use holdfast::ledger::remote::wire::command::{Read, encode, encode_read};
use holdfast::ledger::remote::wire::reply::Item;

use crate::partition::{Partition, answer};
use crate::server::{Kind, Server};
use crate::support::check::START;

fn keyed(id: u128, command: Command<'_>) -> Keyed<'_> {
    let fingerprint = 1;
    Keyed {
        key: CommandKey { id, fingerprint },
        command,
    }
}

fn set(on_hand: u64) -> Keyed<'static> {
    let item = SetItem {
        sku: Sku::new("a").unwrap(),
        node: NodeIx::MAIN,
        on_hand: Units::new(on_hand),
        unavailable: None,
        change_from: None,
    };
    let command = Command::Stock(StockCommand {
        change: StockChange::Set(vec![item]),
        reason: "count",
        operator: None,
    });
    keyed(u128::MAX, command)
}

/// A reservation of a channel that is known by its name only.
fn reserve(id: u128, quantity: u64) -> Keyed<'static> {
    let line = LineRequest {
        sku: Sku::new("a").unwrap(),
        node: None,
        quantity: Units::new(quantity).unwrap(),
        by: None,
    };
    let command = Command::Reserve(Reserve {
        channel: Channel {
            name: "web",
            index: None,
        },
        reference: Some("o-1"),
        ttl: HoldTtl::Asked(Ttl::from_millis(1_000).unwrap()),
        allow_partial: false,
        lines: Lines::try_new([line]).unwrap(),
    });
    keyed(id, command)
}

/// Late is safe, but nobody is refused for units that only wait to be given back.
#[test]
fn what_waits_for_a_storm_of_deadlines_is_put_off_not_refused() {
    let server = Server::start(Kind::Redis);
    let mut partition = Partition::fresh(&server, BATCH, 0);
    partition.call(START, &[encode(&set(1_024))]).unwrap();
    for batch in 0..4 {
        let commands: Vec<_> = (0..256)
            .map(|n| encode(&reserve(batch * 256 + n, 1)))
            .collect();
        partition.call(START, &commands).unwrap();
    }
    let all = reserve(5_000, 1_024);
    let later = START + 1_000;
    let reply = partition.call(later, &[encode(&all)]).unwrap();
    assert!(reply.header().backlog);
    assert_eq!(reply.answer(0, &all), Ok(Item::Deferred));
    let reply = partition.call(later, &[encode(&all)]).unwrap();
    assert!(!reply.header().backlog);
    assert!(answer(&reply, 0, &all).verdict.is_ok());
    assert_eq!(
        partition.recount().unwrap().violations,
        Vec::<String>::new()
    );
}

#[test]
fn a_new_channel_gets_its_index_with_its_first_reservation() {
    let server = Server::start(Kind::Valkey);
    let mut partition = Partition::fresh(&server, BATCH, 0);
    let commands = [
        reserve(1, 9),
        set(4),
        reserve(2, 9),
        reserve(3, 1),
        reserve(4, 1),
    ];
    let encoded: Vec<_> = commands.iter().map(encode).collect();
    let reply = partition.call(START, &encoded).unwrap();
    for (at, sequence) in [(3, 4), (4, 5)] {
        let given = answer(&reply, at, &commands[at]);
        assert_eq!(given.position.sequence, sequence);
        let Ok(Outcome::Reservation(reservation)) = given.verdict else {
            panic!("{given:?}")
        };
        assert_eq!(reservation.channel.0, 0);
        let read = Read::Reference(reservation.channel, "o-1");
        let found = partition.call(START, &[encode_read(&read)]).unwrap();
        assert_eq!(found.by_reference(0).unwrap().unwrap().id, ReservationId(4));
    }
    let entry = partition.entries().remove(0);
    let events = entry.events().unwrap();
    assert!(matches!(
        events[2].body,
        Body::ChannelNamed { name: "web", .. }
    ));
    assert_eq!(events.len(), 5);
}

#[test]
fn a_store_without_a_ledger_is_refused_and_a_ledger_is_made_once() {
    let server = Server::start(Kind::Redis);
    let mut partition = Partition::fresh(&server, BATCH, 3);
    let other = Identity {
        ledger: 8,
        partitions: 2,
        seed: 4,
    };
    assert_eq!(partition.init(&other).identity.seed, 3);
    redis::cmd("FLUSHALL")
        .exec(&mut partition.connection)
        .unwrap();
    let refused = partition.call(START, &[encode(&set(1))]).unwrap_err();
    assert_eq!(refused.code(), Some("UNINITIALISED"));
    assert!(partition.dump().is_empty());
}

#[test]
fn without_memory_what_was_promised_can_still_be_confirmed() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let mut partition = Partition::fresh(&server, BATCH, 0);
        let held = [encode(&set(4)), encode(&reserve(1, 1))];
        partition.call(START, &held).unwrap();
        let mut limit = redis::cmd("CONFIG");
        limit.arg("SET").arg("maxmemory").arg("1");
        limit.exec(&mut partition.connection).unwrap();
        let refused = partition.call(START, &[encode(&reserve(2, 1))]);
        assert_eq!(refused.unwrap_err().code(), Some("OOM"), "{kind:?}");
        let act = Act {
            id: ReservationId(1),
            verb: Verb::Confirm,
            lines: None,
        };
        let confirm = keyed(3, Command::Act(act));
        partition.script = redis::Script::new(&inlined(RELIEF));
        let reply = partition.call(START, &[encode(&confirm)]).unwrap();
        assert!(answer(&reply, 0, &confirm).verdict.is_ok());
        let refused = partition.call(START, &[encode(&reserve(2, 1))]);
        assert_eq!(refused.unwrap_err().code(), Some("MALFORMED"), "{kind:?}");
    }
}
