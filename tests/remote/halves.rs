//! An instance that stops after any step of a command over several partitions: whoever comes next
//! finds all of it or nothing, or makes it so.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use holdfast::blocking::wait_for;
use holdfast::domain::command::{Command, Keyed, Verb};
use holdfast::domain::hash::Hasher;
use holdfast::domain::line::LineState;
use holdfast::domain::{Line, NodeIx, Outcome, Reservation, ReservationId, Sku, Ttl, UnixMillis};
use holdfast::ledger::Answer;
use holdfast::ledger::export::WalkError;

use crate::instance::{Instance, Place, set, set_at};
use crate::mirror::{filled, fills, strong};
use crate::moving::{export, into_store, tally};
use crate::proved::{proved, range};
use crate::server::{Kind, Server};
use crate::support::check::START;
use crate::support::script::{Ask, Script, SetAsk};

pub(crate) const SKUS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
pub(crate) const PARTITIONS: u16 = 4;
const FEW: usize = 4;
pub(crate) const ON_HAND: u64 = 5;
pub(crate) const TTL: u32 = 60_000;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Follows a command through so many of its steps and then leaves it, as an instance that stops:
/// what it has sent is done, what comes after is not.
pub(crate) fn cut<T>(future: impl Future<Output = T>, steps: usize) -> Option<T> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    for step in 0..steps {
        if step > 0 {
            std::thread::park();
        }
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Some(value);
        }
    }
    None
}

/// Two instances over four partitions with some stock of each SKU.
pub(crate) struct Scene<'s> {
    pub(crate) place: Place<'s>,
    pub(crate) first: Instance,
    pub(crate) other: Instance,
}

/// A seed with which the SKUs are in all partitions, so that every scene has the same steps.
pub(crate) fn seed() -> u64 {
    let of = |hasher: Hasher, sku: &str| hasher.sku(sku) % u64::from(PARTITIONS);
    let in_all = |seed: &u64| {
        let hit: BTreeSet<u64> = SKUS.map(|sku| of(Hasher::new(*seed), sku)).into();
        hit.len() == usize::from(PARTITIONS)
    };
    (1..1_000).find(in_all).unwrap()
}

pub(crate) fn reserve() -> Script {
    Script::Reserve {
        channel: 0,
        reference: Some("order".to_owned()),
        ttl: TTL,
        partial: false,
        lines: SKUS
            .map(|sku| Ask {
                sku: sku.to_owned(),
                node: None,
                quantity: 2,
            })
            .to_vec(),
    }
}

fn act(verb: Verb) -> Script {
    Script::Act {
        target: String::new(),
        verb,
        lines: None,
    }
}

impl<'s> Scene<'s> {
    fn new(server: &'s Server) -> Self {
        let mut place = Place::new(server);
        place.partitions = Some(PARTITIONS);
        place.make(seed());
        let first = place.open_named();
        let other = place.open_mirrored();
        for sku in SKUS {
            first.execute(sku, &set(sku, ON_HAND));
        }
        Self {
            place,
            first,
            other,
        }
    }

    /// Executes a command on the first instance up to a step, and stops it.
    pub(crate) fn cut_off(&self, key: &str, script: &Script, target: u128, steps: usize) -> bool {
        self.cut_off_at(key, script.command(target), steps)
    }

    /// The same of any command.
    pub(crate) fn cut_off_at(&self, key: &str, command: Command<'_>, steps: usize) -> bool {
        let key = self.first.0.key(key, &command);
        let keyed = Keyed { key, command };
        let done = cut(self.first.0.execute(&keyed), steps);
        // What it has sent is still done.
        self.first.0.close().unwrap();
        done.map(Result::unwrap).is_some()
    }

    pub(crate) fn now(&self, at: i64) {
        self.place.clock.set(UnixMillis(START + at));
    }

    /// What a node holds back for lines that are pinned to it is what this reservation says.
    fn holds_at(&self, found: &Reservation, node: NodeIx) {
        for line in &found.lines {
            let stock = wait_for(self.other.0.stock(Sku::new(&line.sku).unwrap()));
            let stock = stock.unwrap().unwrap();
            let pinned = { stock.nodes.iter() }
                .find(|there| there.node == node)
                .map_or(0, |there| there.pinned.get());
            let wanted = if line.line.pin == Some(node) {
                line.line.held.get()
            } else {
                0
            };
            assert_eq!(pinned, wanted, "{}", line.sku);
        }
        self.other.recounts_clean();
    }

    /// Units of every SKU are where the lines of this reservation say, or where nothing is held.
    fn agrees(&self, found: Option<&Reservation>) {
        for sku in SKUS {
            let line = found.map(|found| found.lines.iter().find(|line| &*line.sku == sku));
            let line = line.map(|line| line.unwrap().line).unwrap_or_default();
            let there = ON_HAND + line.returned.get() - line.shipped.get();
            let units = [there, line.held.get(), line.committed.get()];
            assert_eq!(self.other.units(sku), units, "{sku}");
            let mirrored = filled(&self.other, sku);
            assert_eq!(Some(mirrored), strong(&self.other, sku, None), "{sku}");
        }
        assert_eq!(fills(&self.other), u64::from(PARTITIONS), "all fitted");
        self.other.recounts_clean();
    }

    pub(crate) fn find(&self, id: u128) -> Option<Reservation> {
        wait_for(self.other.0.reservation(ReservationId(id))).unwrap()
    }

    fn made(&self) -> u128 {
        let answer = self.other.try_execute("k", &reserve(), 0).unwrap();
        reservation(&answer).id.0
    }
}

pub(crate) fn reservation(answer: &Answer) -> &Reservation {
    match &answer.verdict {
        Ok(Outcome::Reservation(found)) => found,
        other => panic!("{other:?}"),
    }
}

/// Tries a cut after every step, until one comes after the end. `check` sees whether that was so.
pub(crate) fn at_every_step(check: impl Fn(&Scene<'_>, usize) -> bool) {
    let server = Server::start(Kind::Redis);
    let is_cut = |steps| !check(&Scene::new(&server), steps);
    // A reply that is there before it is waited for makes two steps one: the first few cuts are
    // tried whether or not one of them came too late.
    let cuts = (1..FEW).filter(|steps| is_cut(*steps)).count();
    assert!(cuts > 0, "a command over several partitions has steps");
    assert!((FEW..60).any(|steps| !is_cut(steps)), "it does not end");
}

#[test]
fn a_reservation_left_half_way_is_made_whole_by_its_key() {
    at_every_step(|scene, steps| {
        let done = scene.cut_off("k", &reserve(), 0, steps);
        let answer = scene.other.try_execute("k", &reserve(), 0).unwrap();
        let made = reservation(&answer);
        assert_eq!(made.state(), LineState::Held);
        let found = scene.find(made.id.0);
        assert_eq!(found.as_ref(), Some(made));
        scene.agrees(found.as_ref());
        done
    });
}

#[test]
fn a_reservation_left_half_way_ends_by_its_deadline() {
    at_every_step(|scene, steps| {
        let done = scene.cut_off("k", &reserve(), 0, steps);
        scene.now(i64::from(TTL) + 1);
        wait_for(scene.other.0.tick()).unwrap();
        scene.agrees(None);
        // Whether it was made is known, and the units are free again in either case.
        let answer = scene.other.try_execute("next", &reserve(), 0).unwrap();
        assert_eq!(reservation(&answer).state(), LineState::Held);
        done
    });
}

#[test]
fn a_refusal_left_half_way_holds_nothing_for_long() {
    at_every_step(|scene, steps| {
        scene.first.execute("less", &set("f", 1));
        let done = scene.cut_off("k", &reserve(), 0, steps);
        let answer = scene.other.try_execute("k", &reserve(), 0).unwrap();
        assert_eq!(answer.verdict.unwrap_err().code(), "insufficient_stock");
        scene.now(i64::from(TTL) + 1);
        wait_for(scene.other.0.tick()).unwrap();
        for sku in SKUS {
            assert_eq!(scene.other.units(sku)[1..], [0, 0], "{sku}");
        }
        scene.other.recounts_clean();
        done
    });
}

/// The next attempt under a key takes over what is left of the one before, and gives it its own
/// deadline; what comes after is proved with that one.
#[test]
fn parts_that_the_next_attempt_takes_over_are_proved() {
    let last = |name: &String| Hasher::new(seed()).sku(name) % u64::from(PARTITIONS) == 3;
    let unknown = (0..1_000).map(|n| format!("new{n}")).find(last).unwrap();
    let mut wish = reserve();
    if let Script::Reserve { lines, .. } = &mut wish {
        lines.push(Ask {
            sku: unknown.clone(),
            node: None,
            quantity: 1,
        });
    }
    at_every_step(|scene, steps| {
        let done = scene.cut_off("k", &wish, 0, steps);
        scene.now(1_000);
        scene.other.execute("more", &set(&unknown, ON_HAND));
        let made = scene.other.try_execute("k", &wish, 0).unwrap();
        let made = reservation(&made).id.0;
        let release = act(Verb::Release);
        let released = scene.other.try_execute("act", &release, made).unwrap();
        assert_eq!(reservation(&released).state(), LineState::Released);
        proved(&scene.other.0, &range(i64::MAX));
        done
    });
}

/// Parts follow what was left half way together with what came after it, in one step.
#[test]
fn acts_that_are_followed_in_one_step_are_proved() {
    let longer = Verb::Extend(Ttl::from_millis(2 * TTL).unwrap());
    for verb in [longer, Verb::Transfer { to: NodeIx(1) }] {
        at_every_step(|scene, steps| {
            for sku in SKUS {
                let stock = set_at(sku, 1, ON_HAND);
                scene.other.execute(&format!("{sku}+"), &stock);
            }
            let id = scene.made();
            let done = scene.cut_off("act", &act(verb), id, steps);
            let confirm = act(Verb::Confirm);
            let confirmed = scene.other.try_execute("then", &confirm, id).unwrap();
            assert_eq!(reservation(&confirmed).state(), LineState::Committed);
            proved(&scene.other.0, &range(i64::MAX));
            done
        });
    }
}

fn act_left_half_way(before: &[Verb], verb: Verb, after: LineState) {
    at_every_step(|scene, steps| {
        let id = scene.made();
        for (at, verb) in before.iter().enumerate() {
            let key = format!("before{at}");
            let done = scene.other.try_execute(&key, &act(*verb), id).unwrap();
            assert!(done.verdict.is_ok());
        }
        let from = scene.find(id).unwrap().state();
        let done = scene.cut_off("act", &act(verb), id, steps);
        // Long enough for somebody else to look after it, and not yet its deadline.
        scene.now(10_000);
        wait_for(scene.other.0.tick()).unwrap();
        let found = scene.find(id).unwrap();
        assert!(
            [from, after].contains(&found.state()),
            "{:?}",
            found.state()
        );
        scene.agrees(Some(&found));
        // Nobody is in the way of the next who acts on it.
        let again = scene.other.try_execute("act", &act(verb), id).unwrap();
        assert_eq!(reservation(&again).state(), after);
        let found = scene.find(id).unwrap();
        assert_eq!(found.state(), after);
        let is_return = matches!(verb, Verb::Return { .. });
        let is_back = |line: &Line| line.returned == line.shipped;
        assert!(!is_return || found.lines.iter().all(|it| is_back(&it.line)));
        scene.agrees(Some(&found));
        done
    });
}

#[test]
fn a_confirmation_left_half_way_is_all_or_nothing() {
    act_left_half_way(&[], Verb::Confirm, LineState::Committed);
}

#[test]
fn a_release_left_half_way_is_all_or_nothing() {
    act_left_half_way(&[], Verb::Release, LineState::Released);
}

#[test]
fn a_shipment_left_half_way_is_all_or_nothing() {
    let ship = Verb::Ship { from: None };
    act_left_half_way(&[Verb::Confirm], ship, LineState::Shipped);
}

/// What follows later does so under no key of its own, and is still held until the new deadline.
#[test]
fn an_extension_left_half_way_ends_by_its_deadline() {
    let longer = Verb::Extend(Ttl::from_millis(2 * TTL).unwrap());
    at_every_step(|scene, steps| {
        let id = scene.made();
        let done = scene.cut_off("act", &act(longer), id, steps);
        for at in [10_000, i64::from(2 * TTL) + 1] {
            scene.now(at);
            wait_for(scene.other.0.tick()).unwrap();
            scene.agrees(scene.find(id).as_ref());
        }
        assert_eq!(scene.find(id).unwrap().state(), LineState::Expired);
        done
    });
}

#[test]
fn a_return_left_half_way_is_all_or_nothing() {
    let before = [Verb::Confirm, Verb::Ship { from: None }];
    let give_back = Verb::Return {
        restock: true,
        to: None,
    };
    act_left_half_way(&before, give_back, LineState::Shipped);
}

#[test]
fn a_transfer_left_half_way_moves_all_lines_or_none() {
    const OTHER: NodeIx = NodeIx(1);
    let to_other = Verb::Transfer { to: OTHER };
    at_every_step(|scene, steps| {
        for sku in SKUS {
            scene
                .first
                .execute(&format!("{sku}+"), &set_at(sku, OTHER.0, ON_HAND));
        }
        let id = scene.made();
        let done = scene.cut_off("act", &act(to_other), id, steps);
        scene.now(10_000);
        wait_for(scene.other.0.tick()).unwrap();
        let pins = |found: &Reservation| -> BTreeSet<Option<NodeIx>> {
            found.lines.iter().map(|line| line.line.pin).collect()
        };
        let found = scene.find(id).unwrap();
        assert_eq!(pins(&found).len(), 1, "some lines are moved: {found:?}");
        scene.holds_at(&found, OTHER);
        let again = scene.other.try_execute("act", &act(to_other), id).unwrap();
        assert_eq!(pins(reservation(&again)), [Some(OTHER)].into());
        scene.holds_at(&scene.find(id).unwrap(), OTHER);
        done
    });
}

#[test]
fn what_was_confirmed_half_way_is_not_given_back_by_the_deadline() {
    at_every_step(|scene, steps| {
        let id = scene.made();
        let done = scene.cut_off("act", &act(Verb::Confirm), id, steps);
        scene.now(i64::from(TTL) + 1);
        let early = scene.find(id).unwrap().state();
        wait_for(scene.other.0.tick()).unwrap();
        let found = scene.find(id).unwrap();
        assert_eq!(found.state(), early, "decided once");
        assert!([LineState::Committed, LineState::Expired].contains(&early));
        scene.agrees(Some(&found));
        done
    });
}

/// The ledger in another store, once what was left half way has been brought to an end.
fn moved(scene: &Scene<'_>) -> Instance {
    wait_for(scene.other.0.settle_all()).unwrap();
    let (bytes, _, counted) = export(&scene.other.0);
    let mut place = Place::new(scene.place.server);
    place.clock = scene.place.clock.clone();
    place.partitions = Some(3);
    into_store(&place, &bytes, false).unwrap();
    let moved = place.open();
    assert_eq!(tally(&moved.0), counted);
    moved.recounts_clean();
    moved
}

/// Whatever was left half way, an export has all of it or nothing.
fn moves_whole(scene: &Scene<'_>, id: u128) {
    let moved = moved(scene);
    let stayed = scene.find(id);
    scene.agrees(stayed.as_ref());
    let found = wait_for(moved.0.reservation(ReservationId(id))).unwrap();
    assert_eq!(found, stayed);
}

#[test]
fn a_reservation_left_half_way_moves_whole_or_not_at_all() {
    let id = {
        let server = Server::start(Kind::Redis);
        Scene::new(&server).made()
    };
    let underway = AtomicUsize::new(0);
    at_every_step(|scene, steps| {
        let done = scene.cut_off("k", &reserve(), 0, steps);
        let counted = wait_for(async { scene.other.0.walk().await?.tally().await });
        if let Err(error) = counted {
            assert!(matches!(error, WalkError::Underway(_)), "{error}");
            underway.fetch_add(1, Ordering::Relaxed);
        }
        moves_whole(scene, id);
        done
    });
    assert!(underway.into_inner() > 0, "no half was seen");
}

#[test]
fn an_act_left_half_way_moves_whole() {
    at_every_step(|scene, steps| {
        let id = scene.made();
        let done = scene.cut_off("act", &act(Verb::Confirm), id, steps);
        moves_whole(scene, id);
        let again = scene.other.try_execute("act", &act(Verb::Confirm), id);
        assert_eq!(reservation(&again.unwrap()).state(), LineState::Committed);
        done
    });
}

#[test]
fn a_change_of_stock_left_half_way_moves_as_what_was_done() {
    let items = SKUS.map(|sku| SetAsk {
        sku: sku.to_owned(),
        node: 0,
        on_hand: Some(ON_HAND + 1),
        unavailable: None,
        change_from: None,
    });
    let change = Script::Set {
        reason: "count".to_owned(),
        items: items.to_vec(),
    };
    at_every_step(|scene, steps| {
        let done = scene.cut_off("count", &change, 0, steps);
        let moved = moved(scene);
        let answer = moved.try_execute("count", &change, 0).unwrap();
        let Ok(Outcome::Stock(results)) = answer.verdict else {
            panic!("{answer:?}");
        };
        for sku in SKUS {
            let is_told = results.iter().any(|one| &*one.sku == sku);
            let on_hand = ON_HAND + u64::from(is_told);
            assert_eq!(moved.units(sku), [on_hand, 0, 0], "{sku}");
        }
        done
    });
}
