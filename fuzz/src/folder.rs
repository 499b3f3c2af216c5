//! A small data folder with something of everything, and the engine on a folder.

use std::sync::{Arc, LazyLock};

use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::domain::UnixMillis;
use holdfast::domain::command::{Command, Keyed};
use holdfast::domain::{Outcome, Reservation};
use holdfast::engine::Engine;
use holdfast::ledger::Position;
use holdfast::ledger::embedded::storage::Storage;
use holdfast::ledger::embedded::storage::sim::{Files, SimStorage};
use holdfast::ledger::event::{Cursor, EventPage};

use super::dated_commands;
use super::support::check::START;
use super::support::driven::{config, give_names, put_policy};
use super::support::memory::Memory;
use super::support::policies;
use super::support::rng::Rng;

/// The name of the file with the ledger's seed.
pub(crate) const IDENTITY: &str = "ledger.id";

/// Commands of every kind, a policy and a snapshot in their middle; closed in good order.
pub(crate) static SMALL: LazyLock<Files> = LazyLock::new(|| {
    let sim = SimStorage::with_files(identity());
    let clock = Clock::manual(UnixMillis(START));
    let engine = Engine::open_on(Arc::new(sim.clone()), config(clock.clone(), None)).unwrap();
    give_names(&engine);
    put_policy(&engine, &policies::random(&mut Rng::new(3), true)).unwrap();
    let mut maker = dated_commands::Maker {
        rng: Rng::new(5),
        now: START,
        marks: true,
    };
    let mut made: Vec<Reservation> = Vec::new();
    for number in 0..60 {
        let command = command(&mut maker, &made, number);
        let key = engine.key(&format!("key-{number}"), &command);
        let answer = engine.submit(&Keyed { key, command }).unwrap();
        if let Ok(Outcome::Reservation(reservation)) = answer.verdict {
            made.push(reservation);
        }
        maker.now += 400;
        clock.set(UnixMillis(maker.now));
        if number == 40 {
            engine.snapshot().unwrap();
        }
    }
    engine.close().unwrap();
    sim.files()
});

fn command(
    maker: &mut dated_commands::Maker,
    made: &[Reservation],
    number: usize,
) -> Command<'static> {
    if let Some(sku) = ["a", "b", "c"].get(number) {
        return dated_commands::count(sku, 40);
    }
    let is_act = maker.rng.percent(40);
    match maker.one_of(made.len()).filter(|_| is_act) {
        Some(at) => Command::Act(maker.act(made[at].id)),
        None => maker.any(),
    }
}

/// An empty folder whose ledger hashes with a fixed seed.
pub(crate) fn identity() -> Files {
    let memory = Memory::with_seed(7);
    let file = memory.open(IDENTITY).unwrap();
    let mut content = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_at(&mut content, 0).unwrap();
    Files::from([(IDENTITY.to_owned(), content)])
}

/// Opens the engine on these files; then everything can be counted and read, and it opens again.
/// False if they are not those of a ledger.
pub(crate) fn open_and_read(files: Files) -> bool {
    let sim = SimStorage::with_files(files);
    let Some(first) = read(&sim) else {
        return false;
    };
    let again = read(&sim).unwrap_or_else(|| panic!("what was opened does not open again"));
    assert_eq!(again, first);
    true
}

/// What a folder holds, counted; `None`: it does not open.
fn read(sim: &SimStorage) -> Option<(u64, u64)> {
    let clock = Clock::manual(UnixMillis(START));
    let engine = Engine::open_on(Arc::new(sim.clone()), config(clock, None)).ok()?;
    let counted = wait_for(engine.recount()).unwrap();
    let start = Cursor::default();
    for event in wait_for(engine.events(start, 1_000))
        .iter()
        .flat_map(EventPage::iter)
    {
        assert!(event.unwrap().position > Position::default());
    }
    engine.close().unwrap();
    Some((counted.skus, counted.reservations))
}
