//! A whole ledger moves between folders and stores of any number of partitions: ids and keys that
//! callers hold mean what they meant, and all go on as the one that stayed.

use std::collections::HashMap;
use std::sync::Arc;

use holdfast::blocking::wait_for;
use holdfast::domain::verdict::StockResult;
use holdfast::domain::{Outcome, ReservationId, UnixMillis, Verdict};
use holdfast::ledger::Answer;
use holdfast::ledger::embedded::storage::Storage;
use holdfast::ledger::remote::OpenError;

use crate::instance::{Instance, Place, hold, set};
use crate::moving::{Broken, export, into_storage, into_store, tally};
use crate::program_support as program;
use crate::server::{Kind, Server};
use crate::support::check::START;
use crate::support::driven;
use crate::support::history::{CHANNEL_NAMES, Maker, REFERENCES, Step};
use crate::support::memory::Memory;
use crate::support::script::Script;

const STEPS: usize = 500;

/// One of the ledgers, and the ids of the reservations that its keys made.
struct Ledger {
    name: String,
    engine: Instance,
    ids: HashMap<String, u128>,
}

impl Ledger {
    fn new(name: &str, engine: Instance) -> Self {
        Self {
            name: name.to_owned(),
            engine,
            ids: HashMap::new(),
        }
    }

    /// The same with another engine under it.
    fn moved_to(&self, name: &str, engine: Instance) -> Self {
        Self {
            name: name.to_owned(),
            engine,
            ids: self.ids.clone(),
        }
    }

    fn execute(&mut self, key: &str, script: &Script) -> Answer {
        let target = script.target().map_or(0, |target| self.id(target));
        let answer = self.engine.try_execute(key, script, target).unwrap();
        if let (Script::Reserve { .. }, Ok(Outcome::Reservation(made))) = (script, &answer.verdict)
        {
            self.ids.insert(key.to_owned(), made.id.0);
        }
        answer
    }

    fn id(&self, key: &str) -> u128 {
        let made = self.ids.get(key).copied();
        made.unwrap_or_else(|| self.engine.id(key))
    }

    /// A verdict that does not show in which ledger a reservation was made.
    fn shown(&self, verdict: Verdict) -> Verdict {
        verdict.map(|outcome| match outcome {
            Outcome::Reservation(mut found) => {
                let key = self.ids.iter().find(|(_, id)| **id == found.id.0);
                found.id = ReservationId(key.map_or(0, |(key, _)| self.engine.id(key)));
                Outcome::Reservation(found)
            }
            Outcome::Stock(mut results) => {
                // What is read by the key alone comes in the order of the partitions; and what was
                // placed in one and taken back for want of stock in another has been two changes.
                results.iter_mut().for_each(|one| one.version = 0);
                results.sort_by_key(|one: &StockResult| (one.sku.clone(), one.node));
                Outcome::Stock(results)
            }
            Outcome::Shares(mut results) => {
                results.sort_by(|one, other| one.sku.cmp(&other.sku));
                Outcome::Shares(results)
            }
            Outcome::Inbound(_) | Outcome::Settings { .. } => outcome,
        })
    }

    /// What each key was answered, each reservation is now, and each reference stands for.
    fn told(&self, keys: &[String]) -> Vec<String> {
        let settled = keys.iter().map(|key| {
            let answer = wait_for(self.engine.0.settle(key)).unwrap();
            let verdict = answer.map(|answer| self.shown(answer.verdict));
            format!("{key} was answered {verdict:?}")
        });
        let stands = keys.iter().map(|key| {
            let id = ReservationId(self.id(key));
            let found = wait_for(self.engine.0.reservation(id)).unwrap();
            let found = found.map(|found| self.shown(Ok(Outcome::Reservation(found))));
            format!("{key} stands {found:?}")
        });
        let references = CHANNEL_NAMES
            .into_iter()
            .flat_map(|channel| REFERENCES.map(|name| (channel, name)));
        // Of those that were made in one moment in several partitions, none is the latest.
        let references = references.map(|(channel, name)| {
            let found = wait_for(self.engine.0.by_reference(channel, name)).unwrap();
            let made = found.map(|found| found.created_at);
            format!("{channel} {name} was made at {made:?}")
        });
        settled.chain(stands).chain(references).collect()
    }
}

/// Ledgers that are given the same commands; the first one stayed.
struct Fleet {
    all: Vec<Ledger>,
    sent: Vec<(String, Script)>,
}

impl Fleet {
    fn step(&mut self, step: Step, clock: &holdfast::clock::Clock) {
        match step {
            Step::Command { key, script } => {
                self.execute(&key, &script);
                self.sent.push((key, script));
            }
            Step::Clock(by) => {
                clock.set(UnixMillis(clock.now().0 + by));
                for ledger in &self.all {
                    wait_for(ledger.engine.0.tick()).unwrap();
                }
            }
            Step::Policy(document) => {
                for ledger in &self.all {
                    driven::put_policy(&ledger.engine.0, &document).unwrap();
                }
            }
            Step::Tick | Step::Restart | Step::Snapshot | Step::Compare => {}
        }
    }

    /// Executes a command everywhere; whether it was answered before.
    fn execute(&mut self, key: &str, script: &Script) -> bool {
        let mut first = None;
        for ledger in &mut self.all {
            let answer = ledger.execute(key, script);
            let found = (ledger.shown(answer.verdict), answer.replayed);
            let expected = first.get_or_insert_with(|| found.clone());
            assert_eq!(&found, expected, "{}: {key}: {script:?}", ledger.name);
        }
        first.is_some_and(|(_, replayed)| replayed)
    }

    fn compare(&self) {
        let mut keys: Vec<String> = self.sent.iter().map(|(key, _)| key.clone()).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut first = None;
        for ledger in &self.all {
            let recount = wait_for(ledger.engine.0.recount()).unwrap();
            assert_eq!(recount.violations, Vec::<String>::new(), "{}", ledger.name);
            let told = ledger.told(&keys);
            let expected = first.get_or_insert_with(|| told.clone());
            for (found, expected) in told.iter().zip(expected.iter()) {
                assert_eq!(found, expected, "{}", ledger.name);
            }
        }
    }

    /// Every command once more: what was answered is answered again, and not done again.
    fn retry(&mut self) {
        let mut replayed = 0;
        for (key, script) in std::mem::take(&mut self.sent) {
            replayed += usize::from(self.execute(&key, &script));
        }
        assert!(replayed > STEPS / 4, "{replayed}");
    }
}

/// A ledger that is made of an export in a place with so many partitions.
fn store<'s>(from: &Place<'s>, partitions: u16, bytes: &[u8]) -> (Place<'s>, Instance) {
    let mut place = Place::new(from.server);
    place.clock = from.clock.clone();
    place.partitions = Some(partitions);
    into_store(&place, bytes, false).unwrap();
    let instance = place.open();
    (place, instance)
}

fn folder(from: &Place<'_>, bytes: &[u8]) -> Instance {
    let storage: Arc<dyn Storage> = Arc::new(Memory::default());
    into_storage(&storage, from.clock.clone(), bytes).unwrap();
    Instance(driven::open(storage, from.clock.clone(), None))
}

fn moves_everywhere(server: &Server, seed: u64) {
    let mut place = Place::new(server);
    place.partitions = Some(8);
    place.make(seed);
    let clock = place.clock.clone();
    let mut fleet = Fleet {
        all: vec![Ledger::new("8", place.open_named())],
        sent: Vec::new(),
    };
    let mut maker = Maker::new(seed);
    maker.backwards = false;
    maker.in_parts = true;
    (maker.policies, maker.terms, maker.share_moves) = (true, true, 8);
    let mut history = maker.history(STEPS);
    let rest = history.split_off(STEPS / 2);
    history
        .into_iter()
        .for_each(|step| fleet.step(step, &clock));

    let stayed = &fleet.all[0];
    wait_for(stayed.engine.0.settle_all()).unwrap();
    let (bytes, head, counted) = export(&stayed.engine.0);
    assert!(head.labelled && counted.reservations > 0);
    let in_folder = folder(&place, &bytes);
    let mut moved = Vec::new();
    for partitions in [1, 5, 8] {
        let (_, store) = store(&place, partitions, &bytes);
        moved.push(stayed.moved_to(&format!("8 to {partitions}"), store));
    }
    // And further on, from where the ids name no partition of the ledger that they are in.
    let (onwards, ..) = export(&in_folder.0);
    let (_, from_folder) = store(&place, 3, &onwards);
    let (back, ..) = export(&moved[1].engine.0);
    let (_, from_five) = store(&place, 8, &back);
    let at_last = folder(&place, &export(&from_five.0).0);
    moved.push(stayed.moved_to("8 to a folder", in_folder));
    moved.push(stayed.moved_to("8 to a folder to 3", from_folder));
    moved.push(stayed.moved_to("8 to 5 to 8", from_five));
    moved.push(stayed.moved_to("8 to 5 to 8 to a folder", at_last));
    for ledger in &moved {
        assert_eq!(tally(&ledger.engine.0), counted, "{}", ledger.name);
    }
    fleet.all.extend(moved);
    fleet.compare();
    rest.into_iter().for_each(|step| fleet.step(step, &clock));
    fleet.compare();
    fleet.retry();
    // Whatever is still held ends by its deadline, everywhere.
    fleet.step(Step::Clock(3_600_000), &clock);
    fleet.step(Step::Clock(3_600_000), &clock);
    fleet.compare();
}

#[test]
fn a_ledger_of_partitions_moves_everywhere_and_goes_on_as_the_one_that_stayed() {
    std::thread::scope(|scope| {
        for (seed, kind) in [(1, Kind::Redis), (2, Kind::Valkey)] {
            scope.spawn(move || moves_everywhere(&Server::start(kind), seed));
        }
    });
}

#[test]
fn a_ledger_in_a_folder_moves_into_partitions() {
    let server = Server::start(Kind::Redis);
    let place = Place::new(&server);
    let clock = place.clock.clone();
    let stayed = driven::open(Arc::new(Memory::with_seed(3)), clock.clone(), None);
    let mut fleet = Fleet {
        all: vec![Ledger::new("folder", Instance(stayed))],
        sent: Vec::new(),
    };
    let mut maker = Maker::new(3);
    maker.backwards = false;
    maker.in_parts = true;
    (maker.policies, maker.terms, maker.share_moves) = (true, true, 8);
    let mut history = maker.history(STEPS);
    let rest = history.split_off(STEPS / 2);
    history
        .into_iter()
        .for_each(|step| fleet.step(step, &clock));
    let (bytes, head, counted) = export(&fleet.all[0].engine.0);
    assert!(!head.labelled);
    let (_, moved) = store(&place, 6, &bytes);
    assert_eq!(tally(&moved.0), counted);
    let moved = fleet.all[0].moved_to("folder to 6", moved);
    fleet.all.push(moved);
    fleet.compare();
    rest.into_iter().for_each(|step| fleet.step(step, &clock));
    fleet.compare();
    fleet.retry();
}

/// A small ledger of partitions, and its export.
fn small(place: &Place<'_>) -> Vec<u8> {
    let instance = place.open_named();
    for sku in ["A", "B", "C", "D"] {
        instance.execute(sku, &set(sku, 10));
        instance.execute(&format!("hold {sku}"), &hold(sku, 3, 60_000));
    }
    export(&instance.0).0
}

#[test]
fn half_an_import_into_partitions_is_no_ledger_at_any_step() {
    let server = Server::start(Kind::Redis);
    let mut place = Place::new(&server);
    place.partitions = Some(4);
    let bytes = small(&place);
    let mut place = Place::new(&server);
    place.partitions = Some(3);
    let is_importing = |place: &Place<'_>| {
        let refused = Place::refusal(place.config());
        assert!(matches!(refused, OpenError::Importing(_)), "{refused:?}");
        let refused = into_store(place, &bytes, false).unwrap_err();
        let is = matches!(refused, Broken::Store(OpenError::Importing(_)));
        assert!(is, "{refused:?}");
    };
    // The last line is missing: all but the last step is done.
    let cut = bytes.strip_suffix(b"\n").unwrap();
    into_store(&place, cut, false).unwrap_err();
    is_importing(&place);
    place.partitions = Some(2);
    let other = into_store(&place, &bytes, true).unwrap_err();
    assert!(other.to_string().contains("into 3 partitions"), "{other}");
    place.partitions = Some(3);
    into_store(&place, &bytes, true).unwrap();
    place.open().recounts_clean();

    // It stopped after all partitions but the first were finished.
    let keys = place.keys();
    let token: String = place.ask(&["HGET", keys.meta(), "import"]);
    let _: u64 = place.ask(&["HSET", keys.meta(), "importing", &token]);
    is_importing(&place);
    into_store(&place, &bytes, true).unwrap();
    let moved = place.open();
    assert_eq!(moved.units("A"), [10, 3, 0]);
    moved.recounts_clean();

    // A ledger is never thrown away, whatever part of it is looked at.
    for partitions in [1, 3, 5] {
        place.partitions = Some(partitions);
        let refused = into_store(&place, &bytes, true).unwrap_err();
        let is = matches!(refused, Broken::Store(OpenError::Taken(_)));
        assert!(is, "{refused:?}");
    }
    assert_eq!(moved.units("A"), [10, 3, 0]);
}

#[test]
fn keys_of_before_are_looked_for_as_long_as_keys_are_remembered() {
    const KEPT: i64 = 100_000;
    let server = Server::start(Kind::Redis);
    let mut place = Place::new(&server);
    place.partitions = Some(4);
    let bytes = small(&place);
    place.partitions = Some(1);
    let mut place = Place {
        partitions: Some(1),
        ..Place::new(&server)
    };
    into_store(&place, &bytes, false).unwrap();
    place.partitions = None;
    let mut config = place.config();
    config.retention.keys_ms = KEPT;
    let moved = Instance(holdfast::engine::Engine::open_remote(config).unwrap());
    let script = hold("A", 3, 60_000);
    let retried = moved.try_execute("hold A", &script, 0).unwrap();
    assert!(retried.replayed);
    let other = moved.try_execute("hold A", &hold("A", 4, 60_000), 0);
    assert_eq!(
        other.unwrap().verdict.unwrap_err().code(),
        "idempotency_key_reused"
    );

    place.clock.set(UnixMillis(START + KEPT + 1));
    let anew = moved.try_execute("hold A", &script, 0).unwrap();
    assert!(anew.verdict.is_ok() && !anew.replayed);
    moved.recounts_clean();
}

/// In several partitions a key that is used again may be another command; both move.
#[test]
fn a_key_that_stands_for_several_commands_moves_with_all_of_them() {
    let server = Server::start(Kind::Redis);
    let mut place = Place::new(&server);
    place.partitions = Some(8);
    place.make(1);
    let stayed = place.open_named();
    let skus = ["A", "B", "C", "D", "E", "F"];
    let mut made = Vec::new();
    for sku in skus {
        stayed.execute(sku, &set(sku, 10));
        let answer = stayed.try_execute("key", &hold(sku, 1, 60_000), 0);
        if let Ok(Outcome::Reservation(found)) = answer.unwrap().verdict {
            made.push(found);
        }
    }
    assert!(made.len() > 1, "they have several homes");
    let (bytes, _, counted) = export(&stayed.0);
    let moved = [
        folder(&place, &bytes),
        store(&place, 1, &bytes).1,
        store(&place, 3, &bytes).1,
    ];
    for moved in moved {
        assert_eq!(tally(&moved.0), counted);
        moved.recounts_clean();
        for found in &made {
            let there = wait_for(moved.0.reservation(found.id)).unwrap();
            assert_eq!(there.as_ref(), Some(found));
        }
        let settled = wait_for(moved.0.settle("key")).unwrap().unwrap();
        let Ok(Outcome::Reservation(settled)) = settled.verdict else {
            panic!("a reservation");
        };
        assert!(made.contains(&settled));
    }
}

const STOCK: &str = r#"{"items":[{"sku":"A","on_hand":5,"change_from":null},
    {"sku":"B","on_hand":5,"change_from":null},{"sku":"C","on_hand":5,"change_from":null},
    {"sku":"D","on_hand":5,"change_from":null}],"reason":"test"}"#;
const HOLD: &str = r#"{"channel":"web","lines":[{"sku":"A","quantity":2},{"sku":"B","quantity":2},
    {"sku":"C","quantity":2},{"sku":"D","quantity":2}]}"#;

#[test]
fn the_program_moves_a_ledger_of_partitions() {
    let (inside, server) = (program::folder(), Server::start(Kind::Redis));
    let (path, url) = (inside.path(), server.url());
    for (name, partitions) in [("eight", 8), ("three", 3), ("one", 1)] {
        let text = format!("[remote]\nnamespace = \"{name}\"\npartitions = {partitions}\n");
        program::file(&inside, &format!("{name}.toml"), &text);
    }
    let flags = |name| {
        let config = ["--config", name, "--store", &url, "--durability", "memory"];
        config.map(str::to_owned)
    };
    let run = |command: &[&str], name| {
        let flags = flags(name);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let finished = program::run(path, &[command, &flags].concat());
        assert_eq!(finished.code, Some(0), "{}{}", finished.out, finished.err);
        finished.json()
    };
    let serve = |name| {
        let flags = flags(name);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        program::Server::start(path, &[&flags[..], &["--init"]].concat())
    };
    let mut first = serve("eight.toml");
    assert_eq!(first.post("/v1/stock", "s1", STOCK).0, 200);
    let (status, made) = first.post("/v1/reservations", "r1", HOLD);
    assert_eq!(status, 201, "{made}");
    assert_eq!(first.stop().code(), Some(0));

    let mut from = "eight.toml";
    for to in ["three.toml", "one.toml"] {
        let file = format!("{to}.gz");
        let out = run(&["export", "--to", &file, "--json"], from);
        let into = run(&["import", "--ledger", &file, "--json"], to);
        assert_eq!(out, into);
        let verified = run(&["verify", "--json"], to);
        assert_eq!(verified["content"], out["content"]);
        assert_eq!(verified["clean"], true);
        from = to;
    }
    let mut last = serve("one.toml");
    let again = last.post("/v1/reservations", "r1", HOLD);
    assert_eq!(again, (201, made.clone()));
    assert_eq!(last.post("/v1/stock", "s1", STOCK).0, 200);
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let id = made["id"].as_str().unwrap();
    let confirmed = last.post(&format!("/v1/reservations/{id}/confirm"), "c1", "{}");
    assert_eq!(confirmed.0, 200, "{}", confirmed.1);
    assert_eq!(last.stop().code(), Some(0));
}
