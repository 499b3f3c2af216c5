//! A store that is away for a while, and callers who try again. `HOLDFAST_OUTAGE_SECONDS` makes it the
//! long form: so many seconds, a thousand callers, and goodput is looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use holdfast::clock::monotonic;
use holdfast_client::{Answer, Client, Config, Error, IdempotencyKey, Line, Reserve};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use crate::amount::asked;
use crate::open_files::raise;
use crate::program::{Server as Program, folder};
use crate::server::Kind;
use crate::store::Store;
use crate::wire::{PATIENCE, Wire, held, stock};

/// One form of the test.
struct Form {
    callers: usize,
    /// How long the store is away once it was noticed.
    outage: Duration,
    /// Before and after.
    usual: Duration,
    /// Attempts of a call.
    attempts: u32,
}

fn form() -> (Form, bool) {
    let seconds = asked("HOLDFAST_OUTAGE_SECONDS");
    let long = seconds.is_some();
    let form = Form {
        callers: if long { 1_000 } else { 100 },
        outage: Duration::from_secs(seconds.unwrap_or(0)),
        usual: Duration::from_secs(if long { 20 } else { 0 }),
        attempts: if long { 5 } else { 2 },
    };
    (form, long)
}

/// What all callers did so far.
#[derive(Default)]
struct Counts {
    asked: AtomicU64,
    done: AtomicU64,
    /// Answered with a failure after which nothing had happened.
    failed: AtomicU64,
    /// Without a definite answer; asked for later by their keys.
    unknown: AtomicU64,
    /// Callers that have had one done since the store is back.
    back: AtomicU64,
}

impl Counts {
    fn get(of: &AtomicU64) -> u64 {
        of.load(Ordering::Relaxed)
    }

    fn count(of: &AtomicU64) {
        of.fetch_add(1, Ordering::Relaxed);
    }
}

/// The phases of a run, as the callers see them.
#[derive(Default)]
struct Phase {
    is_back: AtomicBool,
    is_over: AtomicBool,
}

fn client(address: &str, attempts: u32) -> Client {
    let mut config = Config::new(&format!("http://{address}")).unwrap();
    (config.connections, config.batch_connections) = (1, 1);
    config.attempts_max = attempts;
    Client::new(&config)
}

/// Keys of calls that ended with an error.
#[derive(Default)]
struct Errors {
    /// Nobody knew what became of them.
    unknown: Vec<IdempotencyKey>,
    /// Nothing was changed, it was said.
    failed: Vec<(IdempotencyKey, Error)>,
}

/// One reservation after the other until the end.
async fn call(client: Client, caller: usize, counts: Arc<Counts>, phase: Arc<Phase>) -> Errors {
    let lines = [Line::new("A", 1)];
    let mut errors = Errors::default();
    let mut is_back = false;
    for number in 0_u64.. {
        if phase.is_over.load(Ordering::Relaxed) {
            break;
        }
        let key = IdempotencyKey::new(&format!("c{caller}-{number}")).unwrap();
        Counts::count(&counts.asked);
        let since_back = phase.is_back.load(Ordering::Relaxed);
        match client
            .reserve_with_key(&key, &Reserve::new("web", &lines))
            .await
        {
            Ok(Answer::Done(_)) => {
                Counts::count(&counts.done);
                if since_back && !std::mem::replace(&mut is_back, true) {
                    Counts::count(&counts.back);
                }
            }
            Ok(Answer::Refused(refusal)) => panic!("{refusal:?}"),
            Err(Error::Unknown { .. }) => {
                Counts::count(&counts.unknown);
                errors.unknown.push(key);
            }
            Err(error @ (Error::Overloaded { .. } | Error::Unavailable(_))) => {
                Counts::count(&counts.failed);
                errors.failed.push((key, error));
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    errors
}

/// Waits for a fact.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = monotonic();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Reservations that reached the instance, however often each was sent.
fn received(address: &str) -> u64 {
    let mut wire = Wire::connect(address).unwrap();
    let page = String::from_utf8(wire.get("/metrics").unwrap().1).unwrap();
    let lines = page.lines().filter_map(|line| {
        let rest = line.strip_prefix("holdfast_reservation_ops_total{")?;
        let (labels, count) = rest.rsplit_once(' ')?;
        labels
            .contains("op=\"reserve\"")
            .then(|| count.parse::<u64>().unwrap())
    });
    lines.sum()
}

/// Reservations done in each second from now on.
async fn by_second(counts: &Counts, seconds: u64) -> Vec<u64> {
    let mut each = Vec::new();
    let mut tick = interval(Duration::from_secs(1));
    tick.tick().await;
    for _ in 0..seconds {
        let before = Counts::get(&counts.done);
        tick.tick().await;
        each.push(Counts::get(&counts.done) - before);
    }
    each
}

/// Every call settles, nothing is done twice, what was asked during the outage does not pile up, and
/// everybody gets on afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_store_leaves_no_trace() {
    raise();
    let (form, is_long) = form();
    let (inside, store) = (folder(), Store::start(Kind::Redis, &[]));
    let url = format!("redis://127.0.0.1:{}", store.port());
    let place = ["--store", &url, "--durability", "memory", "--init"];
    let program = Program::start(inside.path(), &place);
    let address = program.address.as_str();
    stock(address, "A", 1_000_000_000);
    let (counts, phase) = (Arc::new(Counts::default()), Arc::new(Phase::default()));
    let mut calls = JoinSet::new();
    for caller in 0..form.callers {
        let (counts, phase) = (Arc::clone(&counts), Arc::clone(&phase));
        let client = client(address, form.attempts);
        calls.spawn(call(client, caller, counts, phase));
    }
    let callers = u64::try_from(form.callers).unwrap();
    until("load", || Counts::get(&counts.done) >= 20 * callers).await;
    let before = by_second(&counts, form.usual.as_secs()).await;

    store.freeze();
    until("the outage is noticed", || {
        Counts::get(&counts.failed) + Counts::get(&counts.unknown) >= callers
    })
    .await;
    sleep(form.outage).await;
    store.thaw();
    phase.is_back.store(true, Ordering::Relaxed);
    let after = by_second(&counts, form.usual.as_secs()).await;
    until("everybody gets on", || Counts::get(&counts.back) == callers).await;
    phase.is_over.store(true, Ordering::Relaxed);
    let errors = calls.join_all().await;

    let settling = client(address, form.attempts);
    let mut happened = Counts::get(&counts.done);
    for key in errors.iter().flat_map(|of| &of.unknown) {
        let settled = settling.settle(key).await.unwrap();
        happened += u64::from(settled.is_some());
    }
    for (key, error) in errors.iter().flat_map(|of| &of.failed) {
        let settled = settling.settle(key).await.unwrap();
        assert_eq!(settled, None, "{key}: {error}");
    }
    assert_eq!(held(address, "A"), happened, "each once, or not at all");
    let (asked, received) = (Counts::get(&counts.asked), received(address));
    // Only what met the outage was sent again, a bounded number of times.
    let met = Counts::get(&counts.failed) + Counts::get(&counts.unknown) + callers;
    let again = u64::from(form.attempts - 1);
    assert!(received <= asked + again * met, "{received} for {asked}");
    if is_long {
        let mean = |seconds: &[u64]| {
            seconds.iter().sum::<u64>() / u64::try_from(seconds.len().max(1)).unwrap()
        };
        let late: Vec<u64> = after.iter().skip(5).copied().collect();
        println!("a second before: {before:?}, after: {after:?}; {received} for {asked} asked");
        assert!(
            mean(&late) * 100 >= mean(&before) * 95,
            "goodput is not back"
        );
    }
}
