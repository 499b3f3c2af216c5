//! The events of the scripts are those of the embedded ledger.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::domain::UnixMillis;
use holdfast::domain::hash::Hasher;
use holdfast::domain::policy::Policy;
use holdfast::engine::Engine;
use holdfast::ledger::Position;
use holdfast::ledger::event::{Body, Cursor, Event, LowWaterTold};
use holdfast::ledger::policy::PutPolicyError;
use holdfast::ledger::remote::script::BATCH;
use holdfast::ledger::remote::wire::command::{encode, encode_expire};

use crate::batches::{give_names, keyed, put_policy as put_policy_of_history, run};
use crate::deficits_told::Deficits;
use crate::documents::random;
use crate::partition::Partition;
use crate::server::{Kind, Server};
use crate::support::check::START;
use crate::support::driven::{id_of, open, put_policy, submit};
use crate::support::history::{Maker, Step};
use crate::support::memory::Memory;
use crate::support::rng::Rng;
use crate::support::script::Script;

/// What happened, in two lists that can be compared.
///
/// Expiries stand apart, without their moments and in no order: the embedded ledger writes down what
/// a command is about to touch, the scripts everything that is due. Both are early enough for whom it
/// concerns. Openings and names belong to a folder or a partition, not to its history.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    commands: Vec<String>,
    expiries: Vec<String>,
    lows: Vec<String>,
    deficits: Deficits,
    terms: Vec<String>,
}

/// What is told of a SKU. It becomes low by a command alone; what expires may end that, and how much
/// was available then depends on what else was given back at once.
fn low_water(told: &LowWaterTold<'_>) -> String {
    let available = told.low.then_some(told.available);
    format!("{} {} {} {available:?}", told.sku, told.low, told.suspended)
}

impl Told {
    pub(crate) fn note(&mut self, event: &Event<'_>) {
        self.deficits.note(&event.body);
        match &event.body {
            Body::Deficit(_)
            | Body::Opened { .. }
            | Body::NodeNamed { .. }
            | Body::ChannelNamed { .. } => {}
            Body::Expired { .. } => self.expiries.push(format!("{:?}", event.body)),
            Body::LowWater(told) => self.lows.push(low_water(told)),
            Body::TermsNoted(noted) => self.terms.push(format!("{} {noted:?}", noted.sku)),
            Body::Reserved(_)
            | Body::Acted(_)
            | Body::StockChanged(_)
            | Body::InboundChanged(_)
            | Body::SettingsPut { .. }
            | Body::PolicyPut { .. }
            | Body::SharesMoved(_)
            | Body::Refused { .. } => {
                self.commands
                    .push(format!("{:?} {:?}", event.at, event.body));
            }
        }
    }

    fn sorted(mut self) -> Self {
        self.expiries.sort_unstable();
        // Those of one SKU stay in their order.
        for of_skus in [&mut self.lows, &mut self.terms] {
            of_skus.sort_by(|one, other| one.split(' ').next().cmp(&other.split(' ').next()));
        }
        self
    }
}

/// A history at whose end everything that is due has expired and is durable, as the last command
/// tells.
fn history(seed: u64) -> Vec<Step> {
    let mut maker = Maker::new(seed);
    maker.backwards = false;
    maker.restart_every = u64::MAX;
    maker.policies = seed.is_multiple_of(2);
    maker.terms = seed.is_multiple_of(4);
    maker.share_moves = if maker.policies { 8 } else { 0 };
    let mut history = maker.history(1_500);
    history.push(Step::Tick);
    history.push(Step::Command {
        key: "last".to_owned(),
        script: Script::Set {
            reason: "the end".to_owned(),
            items: Vec::new(),
        },
    });
    history
}

/// Whether the store then gives back whatever is due.
fn expires_all(step: &Step) -> bool {
    match step {
        Step::Clock(_) => false,
        Step::Policy(document) => Policy::compile(document, |_| None).is_ok(),
        Step::Command { .. } | Step::Tick | Step::Restart | Step::Snapshot | Step::Compare => true,
    }
}

fn embedded(seed: u64, history: &[Step]) -> Told {
    let clock = Clock::manual(UnixMillis(START));
    let engine = open(Arc::new(Memory::with_seed(seed)), clock.clone(), None);
    let mut wall = START;
    let mut last = Position::default();
    for step in history {
        // What is noted of the policy is noted when something expires, too: so nothing does later
        // than in the store.
        if expires_all(step) {
            wait_for(engine.tick()).unwrap();
        }
        match step {
            Step::Command { key, script } => {
                let target = script.target().map_or(0, |target| id_of(&engine, target));
                let answer = submit(&engine, key, script, target).unwrap();
                last = last.max(answer.position);
            }
            Step::Clock(by) => {
                wall += by;
                clock.set(UnixMillis(wall));
            }
            Step::Tick => wait_for(engine.tick()).unwrap(),
            Step::Policy(document) => match put_policy(&engine, document) {
                Ok(_) | Err(PutPolicyError::Frozen { .. }) => {}
                Err(error) => panic!("{error}"),
            },
            Step::Restart | Step::Snapshot | Step::Compare => {}
        }
    }
    engine.wait_blocking(last).unwrap();
    let told = told_by(&engine);
    let page = wait_for(engine.deficits("", 1_000, None)).unwrap();
    let standing = page.touched.iter();
    let standing = standing.map(|of| (of.sku.to_string(), of.stock.deficit));
    assert_eq!(
        told.deficits.standing(),
        standing.collect(),
        "what is told stands"
    );
    engine.close().unwrap();
    told
}

fn told_by(engine: &Engine) -> Told {
    let mut told = Told::default();
    let mut after = Cursor::default();
    loop {
        let page = wait_for(engine.events(after, 1_000)).unwrap();
        if page.records.is_empty() {
            return told.sorted();
        }
        page.iter().for_each(|event| told.note(&event.unwrap()));
        after = page.next.into();
    }
}

fn scripted(partition: &mut Partition, seed: u64, history: &[Step]) -> Told {
    run(partition, seed, history).unwrap();
    told_by_stream(partition)
}

fn told_by_stream(partition: &mut Partition) -> Told {
    let mut told = Told::default();
    let mut last = 0;
    for entry in partition.entries() {
        for event in entry.events().unwrap() {
            assert_eq!(event.position.sequence, last + 1, "no gap");
            last += 1;
            told.note(&event);
        }
    }
    told.sorted()
}

#[test]
fn the_stream_tells_what_the_embedded_journal_tells() {
    for kind in Kind::ALL {
        let (server, mut turns) = (Server::start(kind), [0; 2]);
        let mut partition = Partition::fresh(&server, BATCH, 0);
        for seed in 0..12 {
            let history = history(seed);
            let expected = embedded(seed, &history);
            let told = scripted(&mut partition, seed, &history);
            for (told, expected) in told.commands.iter().zip(&expected.commands) {
                assert_eq!(told, expected, "{kind:?}, seed {seed}");
            }
            assert!(!expected.expiries.is_empty());
            for (turns, told) in turns.iter_mut().zip(expected.deficits.turns()) {
                *turns += told;
            }
            assert_eq!(expected.terms.is_empty(), seed % 4 != 0, "seed {seed}");
            assert!(
                told == expected,
                "{kind:?}, seed {seed}: expiries, what is told of SKUs, or length differ"
            );
        }
        assert!(turns.iter().all(|times| *times > 0), "{turns:?}");
    }
}

/// What is wrong with what is told of deficits, the text that is right, and what stands there instead.
const FAULTS: [(&str, &str, &str); 5] = [
    (
        "a change of supply is not looked at",
        "watched[#watched + 1], resupplied[at] = at, true",
        "watched[#watched + 1] = at",
    ),
    (
        "what single nodes lack is left out",
        "max(stock[at + N_PINNED] - stock[at + N_ON_HAND], 0)",
        "0",
    ),
    (
        "what was told is forgotten",
        "if stock.short then parts[2] = pack_integers('<I5', stock.short) end",
        "if stock.short then parts[2] = pack_integers('<I5', 0) end",
    ),
    (
        "what expires does not lessen it",
        "settle_deficit(line.place)\n    end",
        "end",
    ),
    ("an act does not lessen it", "    watch(line.place)\n", ""),
];

#[test]
fn every_fault_in_what_is_told_of_deficits_is_noticed() {
    let server = Server::start(Kind::Redis);
    let histories: Vec<_> = (0..12).map(|seed| (seed, history(seed))).collect();
    let expected: Vec<_> = { histories.iter() }
        .map(|(seed, history)| embedded(*seed, history).deficits)
        .collect();
    for (what, right, wrong) in FAULTS {
        assert!(BATCH.contains(right), "{what}: nothing to put it into");
        let mut partition = Partition::fresh(&server, &BATCH.replace(right, wrong), 0);
        let noticed = histories
            .iter()
            .zip(&expected)
            .any(|((seed, history), expected)| {
                // Where it is not even a feed, the reader panics.
                let mut scripted = || scripted(&mut partition, *seed, history).deficits;
                catch_unwind(AssertUnwindSafe(&mut scripted)).ok().as_ref() != Some(expected)
            });
        assert!(noticed, "{what}: went unnoticed");
    }
}

/// The same by scripts alone, for policies that the model does not know.
fn scripted_alone(partition: &mut Partition, seed: u64, history: &[Step]) -> Told {
    partition.clear(seed);
    give_names(partition);
    let (hasher, mut rng, mut wall) = (Hasher::new(seed), Rng::new(seed), START);
    let (mut waiting, mut policy) = (Vec::new(), None);
    for step in history {
        if let Step::Command { key, script } = step {
            waiting.push(encode(&keyed(hasher, key, script)));
            if rng.percent(90) {
                continue;
            }
        }
        for batch in waiting.chunks(24) {
            partition.call(wall, batch).unwrap();
        }
        waiting.clear();
        match step {
            Step::Policy(document) => {
                let is_frozen = |of: &Policy| of.frozen(UnixMillis(wall)).is_some();
                if !policy.as_ref().is_some_and(is_frozen) {
                    policy = Some(put_policy_of_history(partition, wall, document));
                }
            }
            Step::Clock(by) => wall += by,
            Step::Tick => drop(partition.call(wall, &[encode_expire()]).unwrap()),
            Step::Command { .. } | Step::Restart | Step::Snapshot | Step::Compare => {}
        }
    }
    partition.call(wall, &waiting).unwrap();
    told_by_stream(partition)
}

/// Campaigns, change sets and freezes: whatever is in force for a SKU, the scripts find it.
#[test]
fn campaigns_and_change_sets_are_in_force_for_the_scripts_as_well() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let mut partition = Partition::fresh(&server, BATCH, 0);
        let mut met = [false; 4];
        for seed in 100..120 {
            let mut rng = Rng::new(seed);
            let mut history = history(4 * seed);
            for step in &mut history {
                if let Step::Policy(document) = step {
                    *document = random(&mut rng).0;
                }
            }
            let expected = embedded(seed, &history);
            let told = scripted_alone(&mut partition, seed, &history);
            for (told, expected) in told.commands.iter().zip(&expected.commands) {
                assert_eq!(told, expected, "{kind:?}, seed {seed}");
            }
            assert_eq!(told.commands.len(), expected.commands.len());
            let marks = [
                "limit: Cap",
                "limit: Protection",
                "Frozen(",
                "window: UnixMillis(1",
            ];
            for (met, mark) in met.iter_mut().zip(marks) {
                *met |= told.commands.iter().any(|line| line.contains(mark));
            }
        }
        assert_eq!(met, [true; 4]);
    }
}
