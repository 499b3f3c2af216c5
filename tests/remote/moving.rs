//! A whole ledger moves: from a folder into a store and from there into a folder, and goes on as
//! the one that stayed.

use std::sync::Arc;

use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::domain::UnixMillis;
use holdfast::engine::{Engine, EngineConfig};
use holdfast::ledger::EventsError;
use holdfast::ledger::embedded::storage::Storage;
use holdfast::ledger::event::Cursor;
use holdfast::ledger::export::file::{FileError, Reader, Writer};
use holdfast::ledger::export::{Head, Tally, WalkError};
use holdfast::ledger::remote::{self, OpenError, RemoteConfig};
use holdfast::telemetry::Meters;

use crate::instance::{Instance, Place, hold, set};
use crate::server::{Kind, Server};
use crate::support::check::START;
use crate::support::driven;
use crate::support::history::{CHANNEL_NAMES, Maker, REFERENCES, Step};
use crate::support::memory::Memory;
use crate::support::script::Script;

const STEPS: usize = 700;

/// The export of a ledger, as the command line writes it.
pub(crate) fn export(engine: &Engine) -> (Vec<u8>, Head, Tally) {
    let mut walk = wait_for(engine.walk()).unwrap();
    let head = walk.head().clone();
    let mut writer = Writer::new(Vec::new(), &head).unwrap();
    while let Some(items) = wait_for(walk.next()).unwrap() {
        items.iter().for_each(|item| writer.add(item).unwrap());
    }
    let (bytes, tally) = writer.finish().unwrap();
    (bytes, head, tally)
}

pub(crate) fn tally(engine: &Engine) -> Tally {
    wait_for(async { engine.walk().await?.tally().await }).unwrap()
}

/// Why an import broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Folder(#[from] holdfast::engine::OpenError),
    #[error(transparent)]
    Store(#[from] OpenError),
}

pub(crate) fn into_store(place: &Place<'_>, export: &[u8], again: bool) -> Result<(), Broken> {
    into(&place.config(), export, again)
}

pub(crate) fn into(config: &RemoteConfig, export: &[u8], again: bool) -> Result<(), Broken> {
    let reader = Reader::new(export)?;
    let head = reader.head().clone();
    let items = reader.map(|item| item.map_err(Broken::from));
    remote::import(config, &head, items, again)
}

pub(crate) fn into_storage(
    storage: &Arc<dyn Storage>,
    clock: Clock,
    export: &[u8],
) -> Result<(), Broken> {
    let reader = Reader::new(export)?;
    let head = reader.head().clone();
    let items = reader.map(|item| item.map_err(Broken::from));
    Engine::import_on(
        storage,
        EngineConfig::new(clock, Meters::new()),
        &head,
        items,
    )
}

/// The three copies of one ledger: the one that stayed, in a store, and back in a folder.
struct Copies {
    clock: Clock,
    stayed: Engine,
    moved: Vec<Instance>,
    keys: Vec<String>,
}

impl Copies {
    fn all(&self) -> impl Iterator<Item = &Engine> {
        std::iter::once(&self.stayed).chain(self.moved.iter().map(|instance| &instance.0))
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Command { key, script } => self.execute(key, &script),
            Step::Clock(by) => {
                let now = self.clock.now().0 + by;
                self.clock.set(UnixMillis(now));
                self.all()
                    .for_each(|engine| wait_for(engine.tick()).unwrap());
            }
            Step::Policy(document) => {
                let puts = self
                    .all()
                    .map(|engine| driven::put_policy(engine, &document));
                let put: Vec<_> = puts.map(|put| put.unwrap().map(|of| of.version)).collect();
                assert!(put.iter().all(|version| *version == put[0]), "{put:?}");
            }
            Step::Tick | Step::Restart | Step::Snapshot | Step::Compare => {}
        }
    }

    fn execute(&mut self, key: String, script: &Script) {
        let target = script.target();
        let target = target.map_or(0, |target| driven::id_of(&self.stayed, target));
        let stayed = driven::submit(&self.stayed, &key, script, target).unwrap();
        for moved in &self.moved {
            let answer = moved.try_execute(&key, script, target).unwrap();
            assert_eq!(stayed.verdict, answer.verdict, "{key}: {script:?}");
            assert_eq!(stayed.replayed, answer.replayed, "{key}: {script:?}");
        }
        self.keys.push(key);
    }

    /// What every key was answered, and which reservation each reference stands for.
    fn compare(&self) {
        let told = |engine: &Engine| {
            let keys = self.keys.iter().map(|key| {
                let settled = wait_for(engine.settle(key)).unwrap();
                settled.map(|answer| answer.verdict)
            });
            let names = CHANNEL_NAMES.iter();
            let references = names.flat_map(|channel| REFERENCES.map(|name| (*channel, name)));
            let found = references.map(|(channel, reference)| {
                wait_for(engine.by_reference(channel, reference)).unwrap()
            });
            (keys.collect::<Vec<_>>(), found.collect::<Vec<_>>())
        };
        let stayed = told(&self.stayed);
        for moved in &self.moved {
            assert_eq!(told(&moved.0), stayed);
            let recount = wait_for(moved.0.recount()).unwrap();
            assert_eq!(recount.violations, Vec::<String>::new());
        }
    }
}

fn moves_there_and_back(server: &Server, seed: u64) {
    let mut place = Place::new(server);
    place.clock = Clock::manual(UnixMillis(START));
    let storage = Arc::new(Memory::with_seed(seed));
    let mut copies = Copies {
        clock: place.clock.clone(),
        stayed: driven::open(storage, place.clock.clone(), None),
        moved: Vec::new(),
        keys: Vec::new(),
    };
    let mut maker = Maker::new(seed);
    maker.backwards = false;
    (maker.policies, maker.terms, maker.share_moves) = (true, true, 8);
    let mut history = maker.history(STEPS);
    let rest = history.split_off(STEPS / 2);
    history.into_iter().for_each(|step| copies.step(step));

    let (bytes, head, counted) = export(&copies.stayed);
    into_store(&place, &bytes, false).unwrap();
    let store = place.open();
    assert_eq!(tally(&store.0), counted);
    let (bytes, back, _) = export(&store.0);
    assert_eq!((back.seed, back.sequence), (head.seed, head.sequence));
    assert!(back.epoch > head.epoch);
    let folder: Arc<dyn Storage> = Arc::new(Memory::default());
    into_storage(&folder, place.clock.clone(), &bytes).unwrap();
    let folder = Instance(driven::open(folder, place.clock.clone(), None));
    assert_eq!(tally(&folder.0), counted);

    begins_after(&store.0, &head);
    begins_after(&folder.0, &back);
    copies.moved = vec![store, folder];
    copies.compare();
    rest.into_iter().for_each(|step| copies.step(step));
    copies.compare();
    let contents = copies
        .all()
        .map(tally)
        .map(|tally| (tally.skus, tally.reservations));
    let contents: Vec<_> = contents.collect();
    assert!(
        contents.iter().all(|content| *content == contents[0]),
        "{contents:?}"
    );
    copies.stayed.close().unwrap();
}

/// The feed goes on where the export stood: what came before is gone, and that is said; who stood
/// in another history is told, too.
fn begins_after(engine: &Engine, head: &Head) {
    let Head { sequence, .. } = *head;
    let page = |epoch, sequence| {
        wait_for(engine.events(
            Cursor {
                shard: 0,
                epoch,
                sequence,
            },
            100,
        ))
    };
    for before in [0, sequence - 1] {
        let gone = page(None, before).unwrap_err();
        let is_next = matches!(gone, EventsError::Gone { oldest } if oldest == sequence + 1);
        assert!(is_next, "{gone:?}");
    }
    for epoch in [None, Some(head.epoch)] {
        assert!(page(epoch, sequence).unwrap().next.sequence >= sequence);
    }
    let lost = page(Some(head.epoch + 7), sequence).unwrap_err();
    assert!(matches!(lost, EventsError::Lost { .. }), "{lost:?}");
}

#[test]
fn a_ledger_that_moved_goes_on_as_the_one_that_stayed() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        for seed in 0..3 {
            moves_there_and_back(&server, seed);
        }
    }
}

/// A small ledger in a store, and its export.
fn small(place: &Place<'_>) -> Vec<u8> {
    let instance = place.open_named();
    instance.execute("stock", &set("A", 10));
    instance.execute("hold", &hold("A", 3, 60_000));
    export(&instance.0).0
}

#[test]
fn an_import_that_was_broken_off_is_no_ledger_until_it_is_repeated() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let bytes = small(&Place::new(&server));
        let place = Place::new(&server);
        // The last line is missing: all but the last step is done.
        let cut = bytes.strip_suffix(b"\n").unwrap();
        let broken = into_store(&place, cut, false).unwrap_err();
        assert!(
            matches!(broken, Broken::File(FileError::Short(_))),
            "{broken:?}"
        );

        let refused = Place::refusal(place.config());
        assert!(matches!(refused, OpenError::Importing(_)), "{refused:?}");
        let refused = into_store(&place, &bytes, false).unwrap_err();
        assert!(
            matches!(refused, Broken::Store(OpenError::Importing(_))),
            "{refused:?}"
        );
        into_store(&place, &bytes, true).unwrap();
        let moved = place.open();
        assert_eq!(moved.units("A"), [10, 3, 0]);
        moved.recounts_clean();

        // A ledger is never thrown away.
        let refused = into_store(&place, &bytes, true).unwrap_err();
        assert!(
            matches!(refused, Broken::Store(OpenError::Taken(_))),
            "{refused:?}"
        );
        assert_eq!(moved.units("A"), [10, 3, 0]);
    }
}

#[test]
fn a_ledger_that_moves_on_is_not_exported() {
    let server = Server::start(Kind::Redis);
    let place = Place::new(&server);
    let instance = place.open_named();
    instance.execute("stock", &set("A", 10));
    let mut walk = wait_for(instance.0.walk()).unwrap();
    assert!(wait_for(walk.next()).unwrap().is_some());
    instance.execute("hold", &hold("A", 3, 60_000));
    let ended = loop {
        match wait_for(walk.next()) {
            Ok(Some(_)) => {}
            ended => break ended,
        }
    };
    assert!(matches!(ended, Err(WalkError::Moved)), "{ended:?}");
}

#[test]
fn a_folder_gets_its_identity_last() {
    let server = Server::start(Kind::Redis);
    let bytes = small(&Place::new(&server));
    let clock = Clock::manual(UnixMillis(START));
    let folder: Arc<dyn Storage> = Arc::new(Memory::default());
    let cut = &bytes[..bytes.len() - 2];
    let into = |bytes| into_storage(&folder, clock.clone(), bytes);
    assert!(into(cut).is_err());
    assert!(
        folder.list().unwrap().is_empty(),
        "nothing of half a ledger"
    );
    into(&bytes).unwrap();
    let again = into(&bytes).unwrap_err();
    assert!(again.to_string().contains("empty folder only"), "{again}");
}
