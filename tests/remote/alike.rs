//! The same history to the embedded ledger and to one in a store, through the engine: the same
//! answers, and the same events.

use std::fmt::Debug;
use std::sync::Arc;

use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::domain::deficit::Order;
use holdfast::domain::{NodeIx, UnixMillis};
use holdfast::engine::Engine;
use holdfast::ledger::event::{Body, Cursor, Event, LowWaterTold};

use crate::deficits_told::Deficits;
use crate::instance::{Instance, Place};
use crate::server::{Kind, Server};
use crate::support::check::START;
use crate::support::driven;
use crate::support::history::{Maker, Step};
use crate::support::memory::Memory;
use crate::support::script::Script;

const STEPS: usize = 600;

/// All that happened, as text: what was done, in order, and apart from it what expired, of which
/// each ledger has its own order within a moment.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) done: Vec<String>,
    pub(crate) expired: Vec<String>,
    pub(crate) deficits: Deficits,
}

impl Told {
    fn note(&mut self, event: &Event<'_>) {
        self.deficits.note(&event.body);
        let text = format!("{} {:?}", event.at.0, event.body);
        match event.body {
            // The one has openings; in the other the first node is there from the start.
            Body::Opened { .. } | Body::Deficit(_) => {}
            Body::NodeNamed { node, .. } if node == NodeIx::MAIN => {}
            // What expires in one step comes in an order of each ledger's own, so what is available when
            // it ends that a SKU is low differs; and what the policy says is noted then.
            Body::LowWater(told) => {
                let LowWaterTold {
                    sku,
                    low,
                    suspended,
                    ..
                } = told;
                let at = event.at.0;
                self.expired
                    .push(format!("{at} {sku} low {low} suspended {suspended}"));
            }
            Body::Expired { .. } | Body::TermsNoted(_) => self.expired.push(text),
            Body::NodeNamed { .. }
            | Body::ChannelNamed { .. }
            | Body::Reserved(_)
            | Body::Acted(_)
            | Body::StockChanged(_)
            | Body::InboundChanged(_)
            | Body::SettingsPut { .. }
            | Body::PolicyPut { .. }
            | Body::SharesMoved(_)
            | Body::Refused { .. } => self.done.push(text),
        }
    }
}

/// All that so many partitions tell, one after the other.
pub(crate) fn told(engine: &Engine, partitions: u16) -> Told {
    let mut told = Told::default();
    for shard in 0..partitions {
        let mut after = Cursor {
            shard,
            ..Cursor::default()
        };
        loop {
            let page = wait_for(engine.events(after, 100)).unwrap();
            if page.records.is_empty() {
                break;
            }
            page.iter().for_each(|event| told.note(&event.unwrap()));
            after = page.next.into();
        }
    }
    told.expired.sort();
    told
}

fn same<T: PartialEq + Debug>(what: &str, embedded: &T, remote: &T) {
    assert_eq!(embedded, remote, "{what}: embedded on the left");
}

pub(crate) fn compare_in_order(embedded: &[String], remote: &[String]) {
    for (ours, theirs) in embedded.iter().zip(remote) {
        same("events", ours, theirs);
    }
    same("number of events", &embedded.len(), &remote.len());
}

fn execute(embedded: &Engine, remote: &Instance, key: &str, script: &Script) {
    let target = script.target().map_or(0, |target| remote.id(target));
    let ours = driven::submit(embedded, key, script, target).unwrap();
    let theirs = remote.try_execute(key, script, target).unwrap();
    same(key, &ours.verdict, &theirs.verdict);
    same(key, &ours.replayed, &theirs.replayed);
    let settled = |engine: &Engine| {
        let answer = wait_for(engine.settle(key)).unwrap();
        answer.map(|answer| answer.verdict)
    };
    same(key, &settled(embedded), &settled(&remote.0));
}

/// Both list the same deficits; how many.
fn compare_deficits(embedded: &Engine, remote: &Engine) -> usize {
    let mut count = 0;
    for (word, order) in Order::WORDS {
        let listed = |engine: &Engine| {
            let page = wait_for(engine.deficits("", 1_000, Some(order))).unwrap();
            let mut all = page.touched;
            for place in all.iter_mut().flat_map(|of| &mut of.stock.nodes) {
                // A store does not keep when something was counted.
                place.counted = 0;
            }
            all
        };
        let ours = listed(embedded);
        same(word, &ours, &listed(remote));
        count += ours.len();
    }
    count
}

/// How many deficits both have listed alike.
fn compare(server: &Server, seed: u64) -> usize {
    let mut place = Place::new(server);
    place.clock = Clock::manual(UnixMillis(START));
    place.make(seed);
    let storage = Arc::new(Memory::with_seed(seed));
    let embedded = driven::open(storage, place.clock.clone(), None);
    let remote = place.open_named();
    let mut maker = Maker::new(seed);
    maker.backwards = false;
    (maker.policies, maker.share_moves) = (seed % 2 == 1, 6);
    maker.terms = seed % 4 == 3;
    let mut now = START;
    for step in maker.history(STEPS) {
        match step {
            Step::Command { key, script } => execute(&embedded, &remote, &key, &script),
            Step::Clock(by) => {
                now += by;
                place.clock.set(UnixMillis(now));
                // So that both write down at the same moment what has expired.
                for engine in [&embedded, &remote.0] {
                    wait_for(engine.tick()).unwrap();
                }
            }
            Step::Policy(document) => {
                let put = |engine| driven::put_policy(engine, &document).unwrap();
                same("policy", &put(&embedded), &put(&remote.0));
            }
            Step::Tick | Step::Restart | Step::Snapshot | Step::Compare => {}
        }
    }
    let (ours, theirs) = (told(&embedded, 1), told(&remote.0, 1));
    compare_in_order(&ours.done, &theirs.done);
    compare_in_order(&ours.expired, &theirs.expired);
    same("deficits told", &ours.deficits, &theirs.deficits);
    let deficits = compare_deficits(&embedded, &remote.0);
    same(
        "deficits",
        &ours.deficits.standing().len(),
        &(deficits / Order::WORDS.len()),
    );
    embedded.close().unwrap();
    deficits
}

#[test]
fn both_ledgers_answer_and_record_the_same() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let deficits: usize = (0..4).map(|seed| compare(&server, seed)).sum();
        assert!(deficits > 0, "a history has some");
    }
}
