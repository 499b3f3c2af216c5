//! A command that is done, and a store that is gone before its answer is whole: nobody may be told that
//! nothing happened.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use holdfast::blocking::wait_for;
use holdfast::clock::monotonic;
use holdfast::domain::command::Keyed;
use holdfast::engine::Engine;
use holdfast::ledger::LedgerError;

use crate::gate::Gate;
use crate::instance::{Instance, Place, hold, set};
use crate::server::{Kind, Server};
use crate::support::driven::give_names;
use crate::support::script::{AdjustAsk, Script};

/// Longest wait for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Wakes a thread, and says that it did.
struct Woken {
    thread: Thread,
    is_woken: AtomicBool,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Follows a command until it is done in the store, and no further: its reply has come, and is not read.
/// False if it was answered before anybody could stop it.
fn follow<F: Future>(mut command: Pin<&mut F>, is_done: impl Fn() -> bool) -> bool {
    loop {
        let woken = Arc::new(Woken {
            thread: std::thread::current(),
            is_woken: AtomicBool::new(false),
        });
        let waker = Waker::from(Arc::clone(&woken));
        let polled = command.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_ready() {
            return false;
        }
        while !woken.is_woken.load(Ordering::Acquire) {
            std::thread::park();
        }
        if is_done() {
            return true;
        }
    }
}

/// An instance behind a gate, which soon says what it does not know.
fn behind(gate: &Gate, place: &Place<'_>) -> Instance {
    let mut config = place.config();
    config.address = gate.url().parse().unwrap();
    config.batcher.settling.limit = Duration::from_millis(50);
    Instance(Engine::open_remote(config).unwrap())
}

/// Cuts an instance off, and has it notice with all of its connections.
fn cut_off(gate: &Gate, instance: &Instance) {
    gate.cut(true);
    let started = monotonic();
    let mut in_a_row = 0;
    while in_a_row < 8 {
        assert!(started.elapsed() < PATIENCE, "it does not notice");
        let seen = instance.try_execute("any", &set("any", 1), 0);
        in_a_row = match seen {
            Err(LedgerError::Unavailable) => in_a_row + 1,
            _ => 0,
        };
    }
}

/// Sends a command through a gate that is cut when it is done: its caller must be told to ask again, and
/// then of what was done. False if the rest of the answer had come before that.
fn is_told_to_ask_again(
    gate: &Gate,
    instance: &Instance,
    script: &Script,
    is_done: impl Fn() -> bool,
) -> bool {
    let command = script.command(0);
    let key = instance.0.key("asked", &command);
    let keyed = Keyed { key, command };
    let mut asked = pin!(instance.0.execute(&keyed));
    if !follow(asked.as_mut(), is_done) {
        return false;
    }
    cut_off(gate, instance);
    let Err(error) = wait_for(asked) else {
        return false;
    };
    assert_eq!(error, LedgerError::Unknown);
    gate.cut(false);
    let started = monotonic();
    loop {
        match instance.try_execute("asked", script, 0) {
            Ok(answer) => {
                assert!(answer.verdict.is_ok());
                return true;
            }
            Err(error) => assert!(started.elapsed() < PATIENCE, "{error}"),
        }
    }
}

/// A reply that comes while this thread gets no time cannot be stopped, so there may be several scenes.
fn plays(scene: impl Fn() -> bool) {
    assert!((0..50).any(|_| scene()), "the answer was whole each time");
}

#[test]
fn a_reservation_whose_channel_cannot_be_named_was_made_all_the_same() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        plays(|| {
            let place = Place::new(&server);
            let first = place.open();
            first.execute("stock", &set("a", 5));
            let gate = Gate::before(&server.socket());
            let other = behind(&gate, &place);
            // The other one does not know of any of them.
            give_names(&first.0);
            let is_held = || first.units("a")[1] == 2;
            let script = hold("a", 2, 60_000);
            let is_told = is_told_to_ask_again(&gate, &other, &script, is_held);
            assert_eq!(first.units("a"), [5, 2, 0]);
            is_told
        });
    }
}

#[test]
fn a_change_of_stock_that_one_partition_has_done_did_happen() {
    let skus: Vec<String> = (0..8).map(|n| format!("s{n}")).collect();
    let more = |sku: &String| AdjustAsk {
        sku: sku.clone(),
        node: 0,
        on_hand: 1,
        unavailable: 0,
        change_from: None,
    };
    let receipt = Script::Adjust {
        reason: "receipt".to_owned(),
        items: skus.iter().map(more).collect(),
    };
    for kind in Kind::ALL {
        let server = Server::start(kind);
        plays(|| {
            let mut place = Place::new(&server);
            place.partitions = Some(3);
            let first = place.open_named();
            for sku in &skus {
                first.execute(sku, &set(sku, 5));
            }
            let gate = Gate::before(&server.socket());
            let other = behind(&gate, &place);
            let has_come = |sku: &String| first.units(sku)[0] == 6;
            let has_any = || skus.iter().any(has_come);
            let is_told = is_told_to_ask_again(&gate, &other, &receipt, has_any);
            assert!(!is_told || skus.iter().all(has_come));
            is_told
        });
    }
}
