//! Instances over one store that are restarted in turn under load. `HOLDFAST_ROLLS` says how often.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use holdfast::clock::monotonic;

use crate::EndsWith;
use crate::amount::asked;
use crate::program::{Server as Program, folder};
use crate::server::{Kind, Server};
use crate::wire::{HOLD, PATIENCE, Wire, held, stock};

const WORKERS: usize = 16;

/// Where the instances are now, in the order in which they are asked.
struct Addresses(Mutex<Vec<String>>);

impl Addresses {
    fn at(&self, turn: usize) -> String {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().cycle().nth(turn % all.len()).unwrap().clone()
    }

    fn put(&self, at: usize, address: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get_mut(at).unwrap().replace_range(.., address);
    }
}

/// What the workers met.
#[derive(Default)]
struct Met {
    /// Requests that were made.
    asked: AtomicU64,
    /// Of those: told by one instance that nothing was changed, and asked of the other.
    refused: AtomicU64,
    /// Of those: without an answer, and asked of the other under the same key.
    unknown: AtomicU64,
}

/// One reservation after the other under keys of its own. Whoever gets no answer, or is told that the
/// instance stops, goes to the other with the same key: in the end every one is made.
fn work(addresses: &Addresses, worker: usize, met: &Met, stop: &AtomicBool) -> u64 {
    let mut turn = worker;
    let mut wire = None;
    let mut made = 0;
    while !stop.load(Ordering::Relaxed) {
        let key = format!("w{worker}-{made}");
        let begun = monotonic();
        met.asked.fetch_add(1, Ordering::Relaxed);
        loop {
            assert!(begun.elapsed() < PATIENCE, "{key} has no definite answer");
            if wire.is_none() {
                wire = Wire::connect(&addresses.at(turn));
            }
            let Some(open) = &mut wire else {
                turn += 1;
                continue;
            };
            match open.post("/v1/reservations", &key, HOLD) {
                Some((201, _)) => break,
                Some((503, _)) => met.refused.fetch_add(1, Ordering::Relaxed),
                None | Some((504, _)) => met.unknown.fetch_add(1, Ordering::Relaxed),
                Some((status, body)) => panic!("{status}: {}", String::from_utf8_lossy(&body)),
            };
            wire = None;
            turn += 1;
        }
        made += 1;
    }
    made
}

#[test]
fn a_rolling_restart_leaves_no_request_without_a_definite_answer() {
    let (inside, store) = (folder(), Server::start(Kind::Redis));
    let url = store.url();
    let start = || {
        let place = ["--store", &url, "--durability", "memory", "--init"];
        Program::start(inside.path(), &place)
    };
    let mut programs = [start(), start()];
    stock(&programs.first().unwrap().address, "A", 1_000_000_000);
    let addresses = programs.iter().map(|program| program.address.clone());
    let addresses = Addresses(Mutex::new(addresses.collect()));
    let (met, stop) = (Met::default(), AtomicBool::new(false));
    let made: u64 = std::thread::scope(|scope| {
        let (addresses, met, stop) = (&addresses, &met, &stop);
        let _ends = EndsWith(stop);
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| scope.spawn(move || work(addresses, worker, met, stop)))
            .collect();
        for roll in 0..asked("HOLDFAST_ROLLS").unwrap_or(10) {
            // Each restart meets load of its own.
            let before = met.asked.load(Ordering::Relaxed);
            while met.asked.load(Ordering::Relaxed) < before + 200 {
                assert!(workers.iter().all(|worker| !worker.is_finished()));
                std::thread::yield_now();
            }
            let at = roll % programs.len();
            let program = programs.get_mut(at).unwrap();
            assert_eq!(program.stop().code(), Some(0));
            *program = start();
            addresses.put(at, &program.address);
        }
        stop.store(true, Ordering::Relaxed);
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .sum()
    });
    let [asked, refused, unknown] =
        [met.asked, met.refused, met.unknown].map(AtomicU64::into_inner);
    assert_eq!(asked, made);
    assert!(refused + unknown > 0, "no restart was noticed");
    assert_eq!(
        held(&programs.first().unwrap().address, "A"),
        made,
        "each once"
    );
}
