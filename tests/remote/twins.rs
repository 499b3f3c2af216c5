//! Two instances over one store.

use std::sync::Barrier;

use holdfast::blocking::wait_for;
use holdfast::domain::command::{
    Channel, Command, Keyed, LineRequest, Lines, Reserve, SetItem, StockChange, StockCommand,
};
use holdfast::domain::{HoldTtl, NodeIx, Outcome, Reservation, Sku, Ttl, Units};
use holdfast::engine::Engine;
use holdfast::ledger::event::{Body, Cursor};
use holdfast::ledger::{Answer, EventsError, Position};

use crate::instance::{Instance, Place, hold, set};
use crate::server::{Kind, Server};

fn sku() -> Sku<'static> {
    Sku::new("A").unwrap()
}

fn stock_at(engine: &Engine, key: &str, node: &str, on_hand: u64) {
    let item = SetItem {
        sku: sku(),
        node: wait_for(engine.node(node)).unwrap(),
        on_hand: Units::new(on_hand),
        unavailable: None,
        change_from: None,
    };
    let command = Command::Stock(StockCommand {
        change: StockChange::Set(vec![item]),
        reason: "count",
        operator: None,
    });
    let key = engine.key(key, &command);
    let answer = wait_for(engine.execute(&Keyed { key, command })).unwrap();
    assert!(answer.verdict.is_ok(), "{answer:?}");
}

fn reserve(engine: &Engine, key: &str, channel: Channel<'_>, node: Option<NodeIx>) -> Reservation {
    let line = LineRequest {
        sku: sku(),
        node,
        quantity: Units::new(1).unwrap(),
        by: None,
    };
    let command = Command::Reserve(Reserve {
        channel,
        reference: Some(key),
        ttl: HoldTtl::Asked(Ttl::from_millis(60_000).unwrap()),
        allow_partial: false,
        lines: Lines::try_new([line]).unwrap(),
    });
    let key = engine.key(key, &command);
    match wait_for(engine.execute(&Keyed { key, command })).unwrap() {
        Answer {
            verdict: Ok(Outcome::Reservation(made)),
            ..
        } => made,
        other => panic!("{other:?}"),
    }
}

/// What one does under a name that it made, the other shows under that name.
fn learns(teacher: &Engine, pupil: &Engine, names: [&str; 2]) {
    let [node, channel] = names;
    stock_at(teacher, node, node, 5);
    let seen = wait_for(pupil.stock(sku())).unwrap().unwrap();
    let shown: Vec<_> = seen.nodes.iter().map(|n| pupil.node_name(n.node)).collect();
    assert!(shown.iter().any(|name| **name == *node), "{shown:?}");

    let pin = wait_for(pupil.node(node)).unwrap();
    let unknown = teacher.channel(channel).unwrap();
    let made = reserve(teacher, channel, unknown, Some(pin));
    assert_eq!(&*teacher.channel_name(made.channel), channel);
    let seen = wait_for(pupil.reservation(made.id)).unwrap();
    assert_eq!(seen, Some(made.clone()));
    assert_eq!(&*pupil.channel_name(made.channel), channel);
    let found = wait_for(pupil.by_reference(channel, channel)).unwrap();
    assert_eq!(found, Some(made));
}

#[test]
fn what_one_does_the_other_sees_under_the_same_names() {
    let server = Server::start(Kind::Redis);
    let place = Place::new(&server);
    let (one, other) = (place.open(), place.open());
    learns(&one.0, &other.0, ["north", "web"]);
    learns(&other.0, &one.0, ["south", "shop"]);
    let channel = one.0.channel("shop").unwrap();
    assert!(channel.index.is_some(), "it is known by now");
}

fn all(engine: &Engine, limit: usize) -> Vec<(Position, Vec<u8>)> {
    let mut all = Vec::new();
    let mut after = Cursor::default();
    loop {
        let page = wait_for(engine.events(after, limit)).unwrap();
        assert!(page.records.len() <= limit);
        if page.records.is_empty() {
            return all;
        }
        after = page.next.into();
        all.extend(page.records);
    }
}

#[test]
fn both_tell_the_same_events_in_pages_of_any_size() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let place = Place::new(&server);
        let pair = [place.open_named(), place.open()];
        pair[0].execute("stock", &set("A", 40));
        let (first, last) = pair.split_at(1);
        std::thread::scope(|scope| {
            for (at, instance) in [&first[0], &last[0]].into_iter().enumerate() {
                scope.spawn(move || {
                    for n in 0..30 {
                        instance.execute(&format!("{at}-{n}"), &hold("A", 1, 60_000));
                    }
                });
            }
        });
        let whole = all(&pair[0].0, 1_000);
        for (limit, instance) in [(1, &pair[1]), (7, &pair[0]), (1_000, &pair[1])] {
            assert_eq!(all(&instance.0, limit), whole, "pages of {limit}");
        }
        let sequences = whole.iter().map(|(position, _)| position.sequence);
        let end = u64::try_from(whole.len()).unwrap();
        assert!(sequences.eq(1..=end), "without gaps");
        ends_are_told(&place, &pair[1], end);
    }
}

/// Beyond the end there is nothing, and what was cut off is gone.
fn ends_are_told(place: &Place<'_>, instance: &Instance, end: u64) {
    let page = |sequence| {
        let epoch = None;
        wait_for(instance.0.events(
            Cursor {
                shard: 0,
                epoch,
                sequence,
            },
            10,
        ))
    };
    assert!(page(end).unwrap().records.is_empty());
    let beyond = page(end + 1).unwrap_err();
    let lost = matches!(beyond, EventsError::Lost { sequence } if sequence == end + 1);
    assert!(lost, "{beyond:?}");
    let (keys, oldest) = (place.keys(), (end / 2).to_string());
    let _cut: u64 = place.ask(&["XTRIM", keys.events(), "MINID", &oldest]);
    let cut = page(0).unwrap_err();
    let EventsError::Gone { oldest } = cut else {
        panic!("{cut:?}");
    };
    let rest = all_after(&instance.0, oldest - 1);
    assert_eq!(rest.first(), Some(&oldest), "from there on it goes on");
    assert_eq!(rest.last(), Some(&end));
}

fn all_after(engine: &Engine, sequence: u64) -> Vec<u64> {
    let epoch = None;
    let page = wait_for(engine.events(
        Cursor {
            shard: 0,
            epoch,
            sequence,
        },
        10_000,
    ))
    .unwrap();
    let place = |(position, _): &(Position, _)| position.sequence;
    page.records.iter().map(place).collect()
}

#[test]
fn one_key_on_both_at_the_same_time_has_one_effect() {
    const ROUNDS: u64 = 200;
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let place = Place::new(&server);
        let pair = [place.open_named(), place.open()];
        pair[0].execute("stock", &set("A", ROUNDS));
        let barrier = Barrier::new(2);
        let answers = std::thread::scope(|scope| {
            let runs = pair.each_ref().map(|instance| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let reserve = |n| {
                        barrier.wait();
                        instance.execute(&format!("k{n}"), &hold("A", 1, 60_000))
                    };
                    (0..ROUNDS).map(reserve).collect::<Vec<_>>()
                })
            });
            runs.map(|run| run.join().unwrap())
        });
        for (one, other) in answers[0].iter().zip(&answers[1]) {
            assert_eq!(one.verdict, other.verdict);
            assert_eq!(one.position, other.position);
            assert_ne!(one.replayed, other.replayed, "one of them was first");
        }
        assert_eq!(pair[1].units("A"), [ROUNDS, ROUNDS, 0]);
        pair[0].recounts_clean();
    }
}

/// The feed names what it tells, also to an instance that has seen nothing of it.
#[test]
fn a_page_of_events_brings_its_names() {
    let server = Server::start(Kind::Redis);
    let place = Place::new(&server);
    let (one, other) = (place.open(), place.open());
    stock_at(&one.0, "stock", "north", 5);
    let made = reserve(&one.0, "k", one.0.channel("web").unwrap(), None);
    let page = wait_for(other.0.events(Cursor::default(), 100)).unwrap();
    let channel = page.iter().map(Result::unwrap).find_map(|event| {
        if let Body::Reserved(reserved) = event.body
            && reserved.id == made.id
        {
            return Some(reserved.channel);
        }
        None
    });
    let name = channel.map(|channel| other.0.channel_name(channel));
    assert_eq!(name.as_deref(), Some("web"));
    assert_eq!(&*other.0.node_name(NodeIx(1)), "north");
}
