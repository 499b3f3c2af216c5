//! The mirror of an instance against the store that it mirrors.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use holdfast::blocking::wait_for;
use holdfast::clock::monotonic;
use holdfast::domain::{NodeIx, Outcome, Refusal, Sku, UnixMillis};
use holdfast::ledger::{Answer, Availability, Consistency, LedgerError};

use crate::instance::{Instance, Place, hold, set};
use crate::server::{Kind, Server};
use crate::support::driven;
use crate::support::history::{Maker, NODES, SKUS, Step};
use crate::support::memory::Memory;
use crate::support::script::{AdjustAsk, Script};

/// How long a fact is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

const DAY: u32 = 86_400_000;

/// Looks again and again until something is there.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = monotonic();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
    }
}

/// How often the mirror has answered.
pub(crate) fn answers(instance: &Instance, kind: &str) -> u64 {
    let page = instance.0.meters().render();
    let name = format!("holdfast_mirror_answers_total{{kind=\"{kind}\"}} ");
    let value = page.lines().find_map(|line| line.strip_prefix(&name));
    value.unwrap().parse().unwrap()
}

fn availability(
    instance: &Instance,
    sku: &str,
    node: Option<u16>,
    consistency: Consistency,
) -> Result<Option<Availability>, LedgerError> {
    let (sku, node) = (Sku::new(sku).unwrap(), node.map(NodeIx));
    let found = wait_for(instance.0.availability(sku, node, consistency))?;
    // When it was so is for the reader alone.
    Ok(found.map(|found| Availability {
        as_of: UnixMillis(0),
        ..found
    }))
}

pub(crate) fn strong(instance: &Instance, sku: &str, node: Option<u16>) -> Option<Availability> {
    availability(instance, sku, node, Consistency::Strong).unwrap()
}

/// How often the mirror was filled.
pub(crate) fn fills(instance: &Instance) -> u64 {
    let page = instance.0.meters().render();
    let mut lines = page.lines();
    let value = lines.find_map(|line| line.strip_prefix("holdfast_mirror_fills_total "));
    value.unwrap().parse().unwrap()
}

/// What the mirror itself says; `None`: it leaves it to the store.
pub(crate) fn mirrored(instance: &Instance, sku: &str, node: Option<u16>) -> Option<Availability> {
    let before = answers(instance, "availability");
    let found = availability(instance, sku, node, Consistency::Mirror).ok()?;
    (answers(instance, "availability") > before).then(|| found.unwrap())
}

/// Waits until the mirror answers for a SKU.
pub(crate) fn filled(instance: &Instance, sku: &str) -> Availability {
    until("the mirror answers", || mirrored(instance, sku, None))
}

/// Units more of a SKU.
pub(crate) fn restock(sku: &str, units: i64) -> Script {
    Script::Adjust {
        reason: "restock".to_owned(),
        items: vec![AdjustAsk {
            sku: sku.to_owned(),
            node: 0,
            on_hand: units,
            unavailable: 0,
            change_from: None,
        }],
    }
}

/// All that can be seen of all SKUs, from the store and from the mirror.
pub(crate) fn agrees(instance: &Instance) {
    // The call gives back what is past its deadline; it and what happened before is in at the end.
    wait_for(instance.0.tick()).unwrap();
    for sku in SKUS {
        for node in std::iter::once(None).chain((0..NODES).map(Some)) {
            let expected = strong(instance, sku, node);
            if expected.is_none() {
                continue;
            }
            let seen = until("the mirror answers", || mirrored(instance, sku, node));
            assert_eq!(Some(seen), expected, "{sku} at {node:?}");
        }
    }
}

/// A history of its own, as fast as it goes.
fn live(place: &Place<'_>, instance: &Instance, seed: u64, steps: usize) {
    let mut maker = Maker::new(seed);
    maker.backwards = false;
    maker.prefix = format!("{seed}-");
    for step in maker.history(steps) {
        match step {
            Step::Command { key, script } => {
                instance.execute(&key, &script);
            }
            Step::Clock(by) => {
                place.clock.advance(by);
            }
            Step::Tick => wait_for(instance.0.tick()).unwrap(),
            Step::Restart | Step::Snapshot | Step::Policy(_) | Step::Compare => {}
        }
    }
}

#[test]
fn after_any_history_every_mirror_is_the_store() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        for round in 0..4 {
            let place = Place::new(&server);
            drop(place.open_named());
            let pair = [place.open_mirrored(), place.open_mirrored()];
            std::thread::scope(|scope| {
                for (instance, seed) in pair.iter().zip([round * 2, round * 2 + 1]) {
                    let place = &place;
                    scope.spawn(move || live(place, instance, seed, 400));
                }
            });
            pair.iter().for_each(agrees);
            agrees(&place.open_mirrored());
        }
    }
}

#[test]
fn a_mirror_that_is_filled_while_others_are_busy_misses_nothing() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let place = Place::new(&server);
        let busy = place.open_named();
        live(&place, &busy, 1_000, 3_000);
        let late = std::thread::scope(|scope| {
            let busy = scope.spawn(|| live(&place, &busy, 1_001, 1_500));
            let mut late = Vec::new();
            while !busy.is_finished() {
                let instance = place.open_mirrored();
                filled(&instance, SKUS[0]);
                late.push(instance);
                if late.len() > 4 {
                    late.remove(0);
                }
            }
            late
        });
        late.iter().for_each(agrees);
    }
}

#[test]
fn what_an_instance_did_its_mirror_shows_at_once() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let place = Place::new(&server);
        let instance = place.open_mirrored();
        instance.execute("stock", &set("A", 500));
        filled(&instance, "A");
        for n in 1..=200 {
            instance.execute(&format!("k{n}"), &hold("A", 2, DAY));
            let seen = mirrored(&instance, "A", None).unwrap();
            assert_eq!(seen.promised.get(), 2 * n);
            assert_eq!(seen.available.get(), 500 - 2 * n);
        }
    }
}

/// How often the server was asked for what is next in a stream.
fn stream_reads(place: &Place<'_>) -> u128 {
    let stats: String = place.ask(&["INFO", "commandstats"]);
    let of_reads = |line: &str| Some(line.strip_prefix("cmdstat_xread:calls=")?.to_owned());
    let count = stats.lines().find_map(of_reads);
    count.map_or(0, |count| count.split(',').next().unwrap().parse().unwrap())
}

/// However many batches one instance sends, it asks the stream at its pace alone; and hears of what
/// another one did without sending anything.
#[test]
fn the_stream_is_read_at_a_pace_and_not_for_own_batches() {
    const PACE: Duration = Duration::from_millis(50);
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let place = Place::new(&server);
        let begun = monotonic();
        let instance = place.open_mirrored();
        instance.execute("stock", &set("A", 5_000));
        filled(&instance, "A");
        for n in 0..2_000 {
            instance.execute(&format!("k{n}"), &hold("A", 1, DAY));
        }
        let reads = stream_reads(&place);
        let most = begun.elapsed().as_nanos() / PACE.as_nanos() + 1;
        assert!((1..=most).contains(&reads), "{reads} reads, not {most}");
        assert_eq!(fills(&instance), 1);
        place.open().execute("restock", &restock("A", 7));
        until("the restock is heard of", || {
            let seen = mirrored(&instance, "A", None)?;
            (seen.available.get() == 3_007).then_some(())
        });
    }
}

pub(crate) fn is_refused(answer: &Answer) -> bool {
    matches!(answer.verdict, Err(Refusal::InsufficientStock { .. }))
}

#[test]
fn a_wrong_refusal_ends_when_the_restock_is_heard_of() {
    const RESTOCKS: u64 = 100;
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let place = Place::new(&server);
        let (one, other) = (place.open_mirrored(), place.open_mirrored());
        one.execute("stock", &set("A", 0));
        filled(&other, "A");
        for n in 0..RESTOCKS {
            filled(&other, "A");
            let early = other.execute(&format!("early-{n}"), &hold("A", 1, DAY));
            assert!(
                is_refused(&early) && early.mirror_age.is_some(),
                "{early:?}"
            );
            let restocked = one.execute(&format!("restock-{n}"), &restock("A", 1));
            let mut tries = 0;
            let granted = until("the restock is heard of", || {
                tries += 1;
                let key = format!("late-{n}-{tries}");
                let answer = other.execute(&key, &hold("A", 1, DAY));
                if is_refused(&answer) {
                    assert!(answer.position < restocked.position, "{answer:?}");
                    return None;
                }
                Some((key, answer))
            });
            let (key, answer) = granted;
            let kept = wait_for(other.0.settle(&key)).unwrap().unwrap();
            assert_eq!(kept.verdict, answer.verdict, "the store made every promise");
        }
        assert!(answers(&other, "refusal") >= RESTOCKS);
        assert_eq!(other.units("A"), [RESTOCKS, RESTOCKS, 0]);
        other.recounts_clean();
    }
}

#[test]
fn a_granted_key_gets_its_grant_while_everything_is_sold() {
    const ROUNDS: u64 = 100;
    let script = hold("A", 1, DAY);
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let place = Place::new(&server);
        let (one, other) = (place.open_mirrored(), place.open_mirrored());
        one.execute("stock", &set("A", 0));
        filled(&one, "A");
        filled(&other, "A");
        for n in 0..ROUNDS {
            one.execute(&format!("restock-{n}"), &restock("A", 1));
            let key = format!("k{n}");
            let made = one.execute(&key, &script);
            assert!(made.verdict.is_ok());
            assert!(is_refused(&one.execute(&format!("late-{n}"), &script)));
            let again = one.execute(&key, &script);
            assert_eq!(
                (again.verdict, again.replayed),
                (made.verdict.clone(), true)
            );
            // Elsewhere it is unknown until it was heard of there, and the answer says so.
            let again = until("the grant is heard of", || {
                let answer = other.execute(&key, &script);
                if is_refused(&answer) {
                    assert!(answer.position < made.position, "{answer:?}");
                    return None;
                }
                Some(answer)
            });
            assert_eq!((again.verdict, again.replayed), (made.verdict, true));
        }
        assert!(answers(&one, "refusal") >= ROUNDS);
    }
}

/// What is past its deadline is given back by the store alone; so it is asked.
#[test]
fn what_is_past_its_deadline_is_never_taken_for_sold() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let place = Place::new(&server);
        let instance = place.open_mirrored();
        instance.execute("stock", &set("A", 1));
        filled(&instance, "A");
        for n in 0..100 {
            let held = instance.execute(&format!("k{n}"), &hold("A", 1, 1_000));
            assert!(held.verdict.is_ok(), "{held:?}");
            let refused = instance.execute(&format!("late-{n}"), &hold("A", 1, 1_000));
            assert!(is_refused(&refused));
            place.clock.advance(999);
            let refused = instance.execute(&format!("later-{n}"), &hold("A", 1, 1_000));
            assert!(is_refused(&refused));
            assert_eq!(answers(&instance, "refusal"), 2 * (n + 1));
            place.clock.advance(1);
        }
    }
}

/// The refusal of a batch member is of the mirror, its neighbour's grant of the store.
#[test]
fn in_a_batch_each_is_answered_by_who_knows() {
    let server = Server::start(Kind::Redis);
    let place = Place::new(&server);
    let instance = place.open_mirrored();
    instance.execute("none", &set("none", 0));
    instance.execute("some", &set("some", 9));
    filled(&instance, "none");
    let scripts = [
        hold("none", 1, DAY),
        hold("some", 1, DAY),
        hold("none", 2, DAY),
    ];
    let commands: Vec<_> = scripts
        .iter()
        .enumerate()
        .map(|(at, script)| {
            let command = script.command(0);
            let key = instance.0.key(&format!("k{at}"), &command);
            holdfast::domain::command::Keyed { key, command }
        })
        .collect();
    let told = wait_for(instance.0.execute_batch(&commands));
    let [first, second, third] = told.try_into().unwrap();
    assert!(is_refused(&first.unwrap()) && is_refused(&third.unwrap()));
    let made = second.unwrap();
    assert!(matches!(made.verdict, Ok(Outcome::Reservation(_))));
    assert_eq!(answers(&instance, "refusal"), 2);
    let kept = wait_for(instance.0.settle("k0")).unwrap();
    assert_eq!(kept, None, "a refusal of the mirror is not kept");
}

/// What is answered is what a ledger in memory answers, whether the store said it or the mirror;
/// only that the mirror's refusals are kept under no key.
fn differs_in_nothing_else(server: &Server, seed: u64) -> u64 {
    let place = Place::new(server);
    place.make(seed);
    let storage = Arc::new(Memory::with_seed(seed));
    let embedded = driven::open(storage, place.clock.clone(), None);
    drop(place.open_named());
    let instance = place.open_mirrored();
    until("the mirror is filled", || {
        (fills(&instance) == 1).then_some(())
    });
    let mut maker = Maker::new(seed);
    maker.backwards = false;
    let mut of_mirror = BTreeSet::new();
    for step in maker.history(1_500) {
        match step {
            Step::Command { key, script } if !of_mirror.contains(&key) => {
                let target = script.target().map_or(0, |target| instance.id(target));
                let expected = driven::submit(&embedded, &key, &script, target).unwrap();
                let answer = instance.try_execute(&key, &script, target).unwrap();
                assert_eq!(answer.verdict, expected.verdict, "{key}: {script:?}");
                assert_eq!(answer.replayed, expected.replayed, "{key}: {script:?}");
                if answer.mirror_age.is_some() {
                    assert!(is_refused(&answer));
                    of_mirror.insert(key);
                }
            }
            Step::Clock(by) => {
                place.clock.advance(by);
            }
            Step::Tick => wait_for(instance.0.tick()).unwrap(),
            Step::Command { .. }
            | Step::Restart
            | Step::Snapshot
            | Step::Policy(_)
            | Step::Compare => {}
        }
    }
    embedded.close().unwrap();
    u64::try_from(of_mirror.len()).unwrap()
}

#[test]
fn answers_differ_in_nothing_from_those_without_a_mirror() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let of_mirror: u64 = (0..4)
            .map(|seed| differs_in_nothing_else(&server, seed))
            .sum();
        assert!(of_mirror > 50, "only {of_mirror} answers were the mirror's");
    }
}
