//! Counting a ledger while two instances serve it: clean where it is, and exact about what is not.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use holdfast::blocking::wait_for;
use holdfast::domain::command::Verb;
use holdfast::domain::{Outcome, ReservationId, UnixMillis};
use holdfast::ledger::Recount;
use holdfast::ledger::policy::text;
use holdfast::ledger::remote::script::Keys;

use crate::instance::{Instance, Place, hold, set};
use crate::server::{Kind, Server};
use crate::support::driven;
use crate::support::history::CHANNEL_NAMES;
use crate::support::script::{Ask, Script};

/// SKUs that the load moves, enough that they lie in several partitions, and one that it leaves alone.
const BUSY: [&str; 16] = [
    "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p",
];
const QUIET: &str = "quiet";

/// Two instances under load until told to stop.
struct Load<'s> {
    place: &'s Place<'s>,
    pair: [Instance; 2],
    is_over: AtomicBool,
    done: AtomicU64,
}

fn act(verb: Verb, target: &str) -> Script {
    Script::Act {
        verb,
        target: target.to_owned(),
        lines: None,
    }
}

/// A reservation with a line in every busy SKU.
fn hold_of_all(ttl: u32) -> Script {
    Script::Reserve {
        channel: 0,
        reference: None,
        ttl,
        partial: false,
        lines: BUSY
            .map(|sku| Ask {
                sku: sku.to_owned(),
                node: None,
                quantity: 1,
            })
            .to_vec(),
    }
}

fn id_of(outcome: Outcome) -> Option<u128> {
    match outcome {
        Outcome::Reservation(made) => Some(made.id.0),
        Outcome::Stock(_) | Outcome::Inbound(_) | Outcome::Shares(_) | Outcome::Settings { .. } => {
            None
        }
    }
}

impl<'s> Load<'s> {
    fn new(place: &'s Place<'s>) -> Self {
        let pair = [place.open_named(), place.open()];
        for sku in BUSY {
            pair[0].execute(&format!("stock {sku}"), &set(sku, 1_000_000));
        }
        pair[0].execute("stock quiet", &set(QUIET, 100));
        pair[0].execute("quiet", &hold(QUIET, 7, 60_000_000));
        Self {
            place,
            pair,
            is_over: AtomicBool::new(false),
            done: AtomicU64::new(0),
        }
    }

    /// Holds, confirms, releases, lets expire, and brings in new SKUs.
    fn serve(&self, at: usize) {
        let instance = &self.pair[at];
        for n in 1_u64.. {
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            let sku = BUSY[usize::try_from(n).unwrap() % BUSY.len()];
            let key = format!("{at}-{n}");
            let ttl = if n.is_multiple_of(5) { 1 } else { 60_000 };
            let script = match self.place.partitions {
                Some(_) => hold_of_all(ttl),
                None => hold(sku, 1 + n % 3, ttl),
            };
            let id = instance.execute(&key, &script).verdict.ok().and_then(id_of);
            let act = |letter: char, verb| {
                let act = act(verb, &key);
                drop(instance.try_execute(&format!("{letter}{key}"), &act, id.unwrap_or_default()));
            };
            match n % 4 {
                0 => act('c', Verb::Confirm),
                1 => act('r', Verb::Release),
                _ => {}
            }
            if n.is_multiple_of(10) {
                instance.execute(&format!("n{key}"), &set(&format!("new-{key}"), 5));
                let UnixMillis(now) = self.place.clock.now();
                self.place.clock.set(UnixMillis(now + 2));
            }
            self.done.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Does work at a third instance while both serve.
    fn meanwhile(&self, work: impl FnOnce(&Instance)) {
        let counter = self.place.open();
        std::thread::scope(|scope| {
            let _ends = Ends(&self.is_over);
            for at in 0..2 {
                scope.spawn(move || self.serve(at));
            }
            work(&counter);
        });
    }

    /// Waits until so much more is done.
    fn until_more(&self, more: u64) {
        let done = || self.done.load(Ordering::Relaxed);
        let wanted = done() + more;
        while done() < wanted {
            std::thread::yield_now();
        }
    }
}

/// Ends the load, also where a test panics.
struct Ends<'l>(&'l AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Has nearly all that the first channel holds be of the share of the second.
fn lend(instance: &Instance) {
    let [own, lender] = [CHANNEL_NAMES[0], CHANNEL_NAMES[1]];
    let document = serde_json::json!({
        "channels": [{"name": own, "fallback": [lender]}, {"name": lender}],
        "rules": [
            {"id": "all", "default": true, "limits": [{"channel": own, "cap": {"units": 2}}]},
        ],
    });
    let document = text::parse(&document.to_string()).unwrap();
    driven::put_policy(&instance.0, &document).unwrap().unwrap();
}

fn count(instance: &Instance) -> Recount {
    wait_for(instance.0.recount()).unwrap()
}

/// All sentences must be about what was done to the ledger.
fn finds_only(found: &Recount, what: &[&str]) {
    assert!(found.violation_count > 0, "nothing is found of {what:?}");
    for sentence in &found.violations {
        let is_expected = what.iter().any(|part| sentence.contains(part));
        assert!(is_expected, "{sentence}: expected {what:?}");
    }
}

#[test]
fn a_count_under_load_is_clean() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let place = Place::new(&server);
        let load = Load::new(&place);
        lend(&load.pair[0]);
        load.meanwhile(|counter| {
            for _ in 0..20 {
                load.until_more(20);
                let before = load.done.load(Ordering::Relaxed);
                let found = count(counter);
                assert_eq!(found.violations, Vec::<String>::new());
                assert!(found.skus >= 5 && found.reservations > before, "{found:?}");
            }
        });
    }
}

/// Reservations over several partitions, whose parts follow their home while they are counted.
#[test]
fn a_count_of_several_partitions_under_load_is_clean_and_finds_a_lost_part() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let mut place = Place::new(&server);
        place.partitions = Some(4);
        let load = Load::new(&place);
        lend(&load.pair[0]);
        let quiet = load.pair[0].execute("all", &hold_of_all(60_000_000));
        let id = quiet.verdict.ok().and_then(id_of).unwrap();
        load.meanwhile(|counter| {
            for _ in 0..20 {
                load.until_more(10);
                assert_eq!(count(counter).violations, Vec::<String>::new());
            }
            lose_a_part(&place, id);
            let lost = format!("reservation {}:", ReservationId(id));
            let found = count(counter);
            finds_only(&found, &[&lost, "lines sum to", "counters are"]);
            let is_named = |sentence: &String| sentence.contains(&lost);
            assert!(found.violations.iter().any(is_named), "{found:?}");
        });
    }
}

/// Removes the record of a part.
fn lose_a_part(place: &Place<'_>, id: u128) {
    let home = u16::try_from(id & 1_023).unwrap();
    let mut connection = place.server.connect();
    let removed = (0..4)
        .filter(|partition| *partition != home)
        .find(|partition| {
            let keys = Keys::new(&place.namespace, *partition);
            let mut remove = redis::cmd("HDEL");
            remove.arg(keys.records()).arg(&id.to_be_bytes());
            remove.query::<u64>(&mut connection).unwrap() == 1
        });
    assert!(removed.is_some(), "it lies in several partitions");
}

/// Whatever is wrong is found while load goes on, and nothing else is called wrong.
#[test]
fn what_is_wrong_is_found_under_load() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        for tamper in [held, used, record, deadline, entry, chain] {
            let place = Place::new(&server);
            let load = Load::new(&place);
            load.meanwhile(|instance| {
                load.until_more(50);
                assert_eq!(count(instance).violations, Vec::<String>::new());
                let expected = tamper(&load);
                load.until_more(50);
                finds_only(&count(instance), expected);
            });
        }
    }
}

/// A held counter says one more.
fn held(load: &Load<'_>) -> &'static [&'static str] {
    // After the version, which has six bytes.
    count_one_more(load, 6);
    &["sku quiet: held counter is 8, its lines sum to 7"]
}

/// The channel in front uses one more.
fn used(load: &Load<'_>) -> &'static [&'static str] {
    // After the counters, flags and safety stock, and the channel.
    count_one_more(load, 30);
    &["sku quiet channel 0: used are 8, lines sum to 7"]
}

fn count_one_more(load: &Load<'_>, at: usize) {
    let (mut connection, keys) = (load.place.server.connect(), load.place.keys());
    let mut ask = redis::cmd("HGET");
    let mut stock: Vec<u8> = ask
        .arg(keys.stock())
        .arg(QUIET)
        .query(&mut connection)
        .unwrap();
    stock[at] += 1;
    let mut put = redis::cmd("HSET");
    put.arg(keys.stock()).arg(QUIET).arg(stock);
    put.exec(&mut connection).unwrap();
}

/// A reservation that holds units is gone.
fn record(load: &Load<'_>) -> &'static [&'static str] {
    let (mut connection, keys) = (load.place.server.connect(), load.place.keys());
    let id = load.pair[0].id("quiet").to_be_bytes();
    let mut remove = redis::cmd("HDEL");
    let removed: u64 = remove
        .arg(keys.records())
        .arg(&id)
        .query(&mut connection)
        .unwrap();
    assert_eq!(removed, 1);
    &[
        "sku quiet: held counter is 7, its lines sum to 0",
        "sku quiet channel 0: used are 7, lines sum to 0",
        "counters are",
    ]
}

/// A hold that would never expire.
fn deadline(load: &Load<'_>) -> &'static [&'static str] {
    let (mut connection, keys) = (load.place.server.connect(), load.place.keys());
    let id = load.pair[0].id("quiet").to_be_bytes();
    let mut remove = redis::cmd("ZREM");
    let removed: u64 = remove
        .arg(keys.due())
        .arg(&id)
        .query(&mut connection)
        .unwrap();
    assert_eq!(removed, 1);
    &["nothing is due at its deadline"]
}

/// An entry of the stream is gone.
fn entry(load: &Load<'_>) -> &'static [&'static str] {
    let (mut connection, keys) = (load.place.server.connect(), load.place.keys());
    let mut ask = redis::cmd("XRANGE");
    ask.arg(keys.events()).arg("-").arg("+").arg("COUNT").arg(9);
    let entries: Vec<(String, Vec<Vec<u8>>)> = ask.query(&mut connection).unwrap();
    let mut remove = redis::cmd("XDEL");
    remove.arg(keys.events()).arg(&entries[8].0);
    remove.exec(&mut connection).unwrap();
    &["are missing in the stream"]
}

/// The chain goes on from another end.
fn chain(load: &Load<'_>) -> &'static [&'static str] {
    let keys = load.place.keys();
    let _new: u64 = load
        .place
        .ask(&["HSET", keys.meta(), "tip", &"0".repeat(40)]);
    &["the chain breaks at event"]
}
