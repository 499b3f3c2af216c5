//! Moves of share in a store: what one instance moves counts for all.

use holdfast::blocking::wait_for;
use holdfast::domain::policy::{Amount, Document, Entry, LimitOn, Rule, Scope};
use holdfast::domain::{ChannelIx, Outcome, Refusal, Sku, UnixMillis};
use holdfast::ledger::event::{Body, Cursor};
use holdfast::ledger::{About, Consistency};

use crate::instance::{Instance, Place, hold, set};
use crate::mirror::until;
use crate::server::{Kind, Server};
use crate::support::check::START;
use crate::support::driven::put_policy;
use crate::support::history::CHANNEL_NAMES;
use crate::support::script::{Script, ShareAsk, units};

/// In windows of a day the first two channels may each use that many units of everything.
fn capped(most: u64) -> Document {
    let channels = &CHANNEL_NAMES[..2];
    let limit = |name: &&str| LimitOn {
        channel: (*name).to_owned(),
        cap: Some(Amount::Units(units(most))),
        protection: None,
    };
    let entry = |name: &&str| Entry {
        name: (*name).to_owned(),
        parent: None,
        rank: None,
        fallback: None,
    };
    let rule = Rule {
        frees: false,
        terms: holdfast::domain::Terms::NONE,
        id: "all".to_owned(),
        scope: Scope::Default,
        from: Some(UnixMillis(START)),
        until: Some(UnixMillis(START + 10_000)),
        every: None,
        limits: channels.iter().map(limit).collect(),
    };
    Document {
        channels: channels.iter().map(entry).collect(),
        rules: vec![rule],
        ..Document::default()
    }
}

/// From the second channel to the first.
fn shift(skus: &[String], most: u64) -> Script {
    let item = |sku: &String| ShareAsk {
        sku: sku.clone(),
        from: 1,
        to: 0,
        units: most,
    };
    Script::Shares {
        items: skus.iter().map(item).collect(),
    }
}

fn room(instance: &Instance, sku: &str, channel: u16, consistency: Consistency) -> u64 {
    let about = About {
        node: None,
        channel: Some(ChannelIx(channel)),
    };
    let found = instance
        .0
        .availability(Sku::new(sku).unwrap(), about, consistency);
    wait_for(found).unwrap().unwrap().available.get()
}

/// How many moves the events tell of.
fn moves_told(instance: &Instance, shard: u16) -> usize {
    let (mut after, mut moves) = (
        Cursor {
            shard,
            ..Cursor::default()
        },
        0,
    );
    loop {
        let page = wait_for(instance.0.events(after, 1_000)).unwrap();
        if page.records.is_empty() {
            return moves;
        }
        for event in page.iter().map(Result::unwrap) {
            if let Body::SharesMoved(moved) = event.body {
                moves += moved.items.len();
            }
        }
        after = page.next.into();
    }
}

#[test]
fn what_one_instance_moves_counts_for_all() {
    for (kind, partitions) in [(Kind::Redis, 1), (Kind::Valkey, 4)] {
        let server = Server::start(kind);
        let mut place = Place::new(&server);
        place.partitions = Some(partitions);
        let (one, other) = (place.open_named(), place.open());
        let mirrored = place.open_mirrored();
        let skus: Vec<String> = (0..8).map(|n| format!("sku-{n}")).collect();
        for sku in &skus {
            one.execute(&format!("set {sku}"), &set(sku, 100));
        }
        put_policy(&one.0, &capped(10)).unwrap().unwrap();

        let done = one.execute("move", &shift(&skus, 4));
        let Ok(Outcome::Shares(moved)) = &done.verdict else {
            panic!("{:?}", done.verdict);
        };
        let named: Vec<&str> = moved.iter().map(|of| &*of.sku).collect();
        assert_eq!(named, skus, "in the order of the items");
        assert!(moved.iter().all(|of| of.window == UnixMillis(START)));
        let again = other.execute("move", &shift(&skus, 4));
        assert_eq!((again.verdict, again.replayed), (done.verdict, true));
        let reused = other.execute("move", &shift(&skus, 5)).verdict;
        assert_eq!(reused, Err(Refusal::KeyReused));

        // All or none: of the last SKU the second channel has only 6 units of share left.
        let mut some = shift(&skus, 1);
        let Script::Shares { items } = &mut some else {
            unreachable!()
        };
        items[7].units = 7;
        let refused = one.execute("too much", &some);
        let expected = Refusal::OverShare {
            sku: "sku-7".into(),
            channel: ChannelIx(1),
            requested: units(7),
            possible: units(6),
        };
        assert_eq!(refused.verdict, Err(expected));
        assert_eq!(other.execute("too much", &some).verdict, refused.verdict);

        for sku in &skus {
            for (channel, left) in [(0, 14), (1, 6)] {
                assert_eq!(room(&other, sku, channel, Consistency::Strong), left);
                until("the mirror has heard of it", || {
                    (room(&mirrored, sku, channel, Consistency::Mirror) == left).then_some(())
                });
            }
            let over = other.execute(&format!("15 {sku}"), &hold(sku, 15, 60_000));
            assert!(over.verdict.is_err());
            let all = other.execute(&format!("14 {sku}"), &hold(sku, 14, 60_000));
            assert!(all.verdict.is_ok());
        }
        let told = (0..partitions).map(|shard| moves_told(&one, shard));
        assert_eq!(told.sum::<usize>(), 8, "each partition tells of its own");

        // With its window it is forgotten.
        place.clock.advance(10_000);
        for sku in &skus {
            assert_eq!(room(&other, sku, 0, Consistency::Strong), 86);
        }
        one.recounts_clean();
    }
}
