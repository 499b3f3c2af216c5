//! Real processes whose time of day jumps: the store's, which is the authority, those of instances, and
//! that of a process with a ledger of its own. Nothing expires before its deadline by the authority's
//! clock, nothing is confirmed after it, and each hold expires once, whoever gives it back: also where
//! one who does so is killed in the middle, and two go on at the same time.
//!
//! `HOLDFAST_CLOCK_HOLDS` says how many holds are due at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use holdfast::clock::monotonic;
use serde_json::{Value, json};

use crate::server::{Server, pause, verify_with};
use crate::support::amount::asked;
use crate::support::clock::Clock;
use crate::support::server::Kind;
use crate::support::store::Store;
use crate::wire::{Reply, Wire};

const HOUR: i64 = 3_600;

/// Seconds for which holds are made that nobody waits for: clocks jump past it.
const LONG: u64 = 600;

/// Reservations of a batch.
const BATCH: usize = 500;

/// Longest wait for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// One caller of an instance.
struct Caller {
    wire: Wire,
}

impl Caller {
    fn of(address: SocketAddr) -> Self {
        let wire = Wire::connect(address).unwrap();
        Self { wire }
    }

    /// Under a key that nobody else has.
    fn post(&mut self, path: &str, body: &Value) -> Reply {
        static KEYS: AtomicU64 = AtomicU64::new(0);
        let key = format!("key-{}", KEYS.fetch_add(1, Ordering::Relaxed));
        self.wire.post(path, &key, body).unwrap()
    }

    fn stock(&mut self, units: usize) {
        let item = json!({ "sku": "A", "on_hand": units });
        let body = json!({ "items": [item], "reason": "opening" });
        let reply = self.post("/v1/stock", &body);
        assert_eq!(reply.status, 200, "{}", reply.body);
    }

    /// Makes that many holds of one unit each, under keys that begin so; their ids.
    fn hold(&mut self, prefix: &str, seconds: u64, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        while ids.len() < count {
            let first = ids.len();
            let hold = |n: usize| {
                let lines = json!([{ "sku": "A", "quantity": 1 }]);
                let key = format!("{prefix}-{n}");
                json!({ "key": key, "channel": "shop", "ttl_seconds": seconds, "lines": lines })
            };
            let all: Vec<Value> = (first..count.min(first + BATCH)).map(hold).collect();
            let reply = self.post("/v1/reservations/batch", &json!({ "reservations": all }));
            for result in reply.body["results"].as_array().unwrap() {
                assert_eq!(result["status"], 201, "{result}");
                ids.push(result["reservation"]["id"].as_str().unwrap().to_owned());
            }
        }
        ids
    }

    fn confirm(&mut self, id: &str) -> Reply {
        self.post(&format!("/v1/reservations/{id}/confirm"), &json!({}))
    }

    /// Nobody can confirm it any more.
    fn is_refused(&mut self, id: &str) {
        let reply = self.confirm(id);
        let answer = (reply.status, reply.body["code"].as_str());
        assert_eq!(answer, (409, Some("reservation_expired")), "{}", reply.body);
    }

    fn held(&mut self) -> u64 {
        let found = self.wire.get("/v1/stock/A").unwrap();
        found.body["held"].as_u64().unwrap()
    }

    fn until_held(&mut self, units: u64) {
        let begun = monotonic();
        loop {
            let held = self.held();
            if held == units {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{held} are held, not {units}");
            pause(Duration::from_millis(5));
        }
    }

    /// Holds that expired, and how often; each at its deadline or after it, by the ledger's own time.
    fn expired(&mut self) -> BTreeMap<String, usize> {
        let (mut deadlines, mut expired) = (BTreeMap::new(), BTreeMap::new());
        let mut after = "0".to_owned();
        loop {
            let path = format!("/v1/events?after={after}&limit=1000");
            let page = self.wire.get(&path).unwrap().body;
            let events = page["data"].as_array().unwrap();
            if events.is_empty() {
                return expired;
            }
            for event in events {
                let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
                match event["type"].as_str().unwrap() {
                    "reservation.created" => {
                        deadlines.insert(text("reservation"), text("expires_at"));
                    }
                    "reservation.expired" => {
                        let id = text("reservation");
                        assert!(text("at") >= deadlines[&id], "early: {event}");
                        *expired.entry(id).or_default() += 1;
                    }
                    _ => {}
                }
            }
            page["next"].as_str().unwrap().clone_into(&mut after);
        }
    }

    /// Each of these expired, once, and nothing else did.
    fn expired_once(&mut self, ids: &[String]) {
        let expired = self.expired();
        assert_eq!(expired.len(), ids.len());
        for id in ids {
            assert_eq!(expired.get(id), Some(&1), "{id}");
        }
    }
}

/// An instance by a clock of its own.
struct Instance {
    server: Server,
    caller: Caller,
    clock: Clock,
}

impl Instance {
    fn start(url: &str, ahead: i64) -> Self {
        let clock = Clock::ahead_by(ahead);
        let settings = clock.settings();
        let settings = settings.each_ref().map(|(name, value)| (*name, &**value));
        let (server, address) = Server::spawn_at("memory", url, &settings).until_ready();
        let caller = Caller::of(address);
        Self {
            server,
            caller,
            clock,
        }
    }
}

/// A store by a clock of its own, and instances by theirs.
struct Shop {
    store: Store,
    authority: Clock,
    url: String,
    fast: Instance,
    slow: Instance,
    /// What was held and expired so far.
    expired: Vec<String>,
}

impl Shop {
    fn open(kind: Kind) -> Self {
        let authority = Clock::ahead_by(0);
        let settings = authority.settings();
        let [preload, file] = settings.map(|(name, value)| format!("{name}={value}"));
        let store = Store::start_under(&["env", &preload, &file], kind, &[]);
        let url = format!("redis://127.0.0.1:{}", store.port());
        let [mut fast, slow] = [300, -300].map(|ahead| Instance::start(&url, ahead));
        fast.caller.stock(1_000_000_000);
        let expired = Vec::new();
        Self {
            store,
            authority,
            url,
            fast,
            slow,
            expired,
        }
    }

    /// The sequence of the last change, by the store itself.
    fn sequence(&self) -> usize {
        self.store.ask(&["HGET", "hf4:{0}:meta", "seq"]).unwrap()
    }

    /// The authority steps back by an hour and is set right again.
    fn step_back(&mut self) {
        let holds = self.fast.caller.hold("long", LONG, 10);
        self.authority.set(-HOUR);
        // Its last word counts, and nothing is due.
        let brief = self.slow.caller.hold("brief", 1, 10);
        assert_eq!(self.fast.caller.confirm(&brief[0]).status, 200);
        self.authority.set(0);
        // What is due by now goes back, and no more, whatever instances believe.
        for instance in [&self.fast, &self.slow] {
            instance.clock.set(48 * HOUR);
        }
        self.fast.caller.until_held(10);
        self.expired.extend_from_slice(&brief[1..]);
        self.fast.caller.expired_once(&self.expired);
        self.fast.caller.is_refused(&brief[1]);
        assert_eq!(self.slow.caller.confirm(&holds[0]).status, 200);
        self.expired.extend_from_slice(&holds[1..]);
    }

    /// The authority steps ahead to this time, at which many holds are due. The only instance that looks
    /// is killed, then two others do at the same time. Returns how many the first one gave back.
    fn step_ahead(&mut self, round: i64, count: usize) -> usize {
        let mut first = Instance::start(&self.url, 0);
        let held = self.fast.caller.held();
        let half = count / 2;
        let ids = self.fast.caller.hold(&format!("fast-{round}"), LONG, half);
        let more = self
            .slow
            .caller
            .hold(&format!("slow-{round}"), LONG, count - half);
        for other in [&self.fast, &self.slow] {
            other.server.signal("-STOP");
        }
        let before = self.sequence();
        self.authority.set((2 * round + 1) * HOUR);
        let begun = monotonic();
        while self.sequence() == before {
            assert!(begun.elapsed() < PATIENCE, "nobody looks");
        }
        first.server.kill();
        let given_back = self.sequence() - before;
        for other in [&self.fast, &self.slow] {
            other.server.signal("-CONT");
        }
        for id in ids.iter().rev().take(20) {
            self.slow.caller.is_refused(id);
        }
        self.slow.caller.until_held(0);
        for id in more.iter().rev().take(20) {
            self.fast.caller.is_refused(id);
        }
        self.expired.extend(ids.into_iter().chain(more));
        self.slow.caller.expired_once(&self.expired);
        given_back - usize::try_from(held).unwrap().min(given_back)
    }
}

fn holds_wanted() -> usize {
    asked("HOLDFAST_CLOCK_HOLDS").unwrap_or(6_000)
}

#[test]
fn holds_expire_once_by_the_clock_of_the_store_whoever_gives_them_back() {
    let count = holds_wanted();
    for kind in Kind::ALL {
        let mut shop = Shop::open(kind);
        shop.step_back();
        // Until it was killed in the middle.
        let mut rounds = 1..=20;
        let is_middle = |given_back: &usize| (1..count).contains(given_back);
        let given_back =
            rounds.find_map(|round| Some(shop.step_ahead(round, count)).filter(is_middle));
        let given_back = given_back.unwrap_or_else(|| panic!("{kind:?}: never in the middle"));
        println!("{kind:?}: {given_back} of {count} were given back by who was killed");
        let (clean, said) = verify_with(&["--store", &shop.url, "--durability", "memory"]);
        assert!(clean, "{said}");
    }
}

/// A process with a ledger in a folder, by this clock.
fn serve(folder: &Path, clock: &Clock) -> (Server, Caller) {
    let settings = clock.settings();
    let settings = settings.each_ref().map(|(name, value)| (*name, &**value));
    let server = Server::spawn_under(&[], folder, &settings);
    let (server, address) = server.until_ready();
    (server, Caller::of(address))
}

#[test]
fn a_process_whose_clock_jumps_lets_nothing_go_early_and_takes_nothing_twice() {
    let count = holds_wanted();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let clock = Clock::ahead_by(0);
    let (mut server, mut caller) = serve(&data, &clock);
    caller.stock(count + 10);
    let all = u64::try_from(count).unwrap();
    let holds = caller.hold("long", LONG, count);
    clock.set(300);
    assert_eq!(caller.held(), all);
    // Back by an hour and five minutes: time stands still.
    clock.set(-HOUR);
    let brief = caller.hold("brief", 1, 10);
    assert_eq!(caller.confirm(&brief[0]).status, 200);
    assert_eq!(caller.held(), all + 9);
    clock.set(302);
    caller.until_held(all);
    caller.expired_once(&brief[1..]);

    // All are due, and stay expired when the clock steps back, also over a restart.
    clock.set(HOUR);
    caller.is_refused(&holds[0]);
    caller.until_held(0);
    clock.set(0);
    let last = caller.hold("last", LONG, 1);
    caller.is_refused(&holds[1]);
    server.kill();
    let (mut server, mut caller) = serve(&data, &clock);
    caller.is_refused(&holds[2]);
    assert_eq!(caller.held(), 1);
    clock.set(HOUR + 300);
    assert_eq!(caller.held(), 1);
    clock.set(2 * HOUR);
    caller.until_held(0);
    caller.expired_once(&[&brief[1..], &holds, &last].concat());
    let (status, log) = server.stop();
    assert!(status.success(), "{status}:\n{log}");
    assert!(
        log.contains("clock"),
        "it does not tell of the clock:\n{log}"
    );
}
