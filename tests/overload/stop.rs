//! A stop under load, with callers who do not go.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast::clock::monotonic;
use serde_json::Value;

use crate::open_files::raise;
use crate::program::{Server, folder};
use crate::wire::{HOLD, PATIENCE, Wire, held, stock};

const WORKERS: usize = 8;
const SILENT: usize = 1_000;

/// Whatever a worker asked for, by key; `None`: the answer was lost.
type Told = BTreeMap<String, Option<u16>>;

/// Reserves under keys of its own until nobody answers.
fn work(address: &str, worker: usize) -> Told {
    let mut told = Told::new();
    let mut wire = Wire::connect(address).unwrap();
    loop {
        let key = format!("w{worker}-{}", told.len());
        let answer = wire.post("/v1/reservations", &key, HOLD);
        let status = answer.as_ref().map(|(status, _)| *status);
        told.insert(key, status);
        if status != Some(201) {
            return told;
        }
    }
}

/// Connections that neither ask for anything nor go away: idle ones, halves of heads, halves of bodies.
fn silent(address: &str) -> Vec<Wire> {
    let begin = |at: usize| {
        let mut wire = Wire::connect(address).unwrap();
        let begun: &[u8] = match at % 3 {
            0 => b"",
            1 => b"GET /livez HT",
            _ => b"POST /v1/stock HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{",
        };
        assert!(wire.send(begun));
        wire
    };
    (0..SILENT).map(begin).collect()
}

/// Nobody is without a definite answer but who can find out, and the process ends within ten seconds
/// whatever a thousand callers do.
#[test]
fn a_stop_under_load_ends_in_ten_seconds_and_leaves_nothing_that_keys_do_not_settle() {
    let inside = folder();
    let mut server = Server::start(inside.path(), &[]);
    stock(&server.address, "A", 1_000_000_000);
    raise();
    let silent = silent(&server.address);
    let address = &server.address.clone();
    let told: Told = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| scope.spawn(move || work(address, worker)))
            .collect();
        let begun = monotonic();
        while held(address, "A") < 500 {
            assert!(begun.elapsed() < PATIENCE, "nobody gets anything");
            std::thread::yield_now();
        }
        let begun = monotonic();
        assert_eq!(server.stop().code(), Some(0));
        assert!(begun.elapsed() < Duration::from_secs(10), "{begun:?}");
        let workers = workers.into_iter();
        workers.flat_map(|worker| worker.join().unwrap()).collect()
    });
    drop(silent);
    let lost = told.values().filter(|status| status.is_none()).count();
    assert!(
        lost <= WORKERS && told.len() > 500,
        "{lost} of {}",
        told.len()
    );

    let server = Server::start(inside.path(), &[]);
    let mut wire = Wire::connect(&server.address).unwrap();
    let mut made = 0;
    for (key, status) in &told {
        let (settled, body) = wire.get(&format!("/v1/reservations?key={key}")).unwrap();
        made += u64::from(settled == 200);
        match status {
            Some(201) => assert_eq!(settled, 200, "{key} was acknowledged"),
            // Told that nothing was changed.
            Some(503) => assert_eq!(settled, 404, "{key} was refused"),
            None => assert!(matches!(settled, 200 | 404), "{key} can be found out"),
            Some(other) => panic!("{key}: {other}"),
        }
        if settled == 404 {
            let problem: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(problem["code"], "unknown_key");
        }
    }
    assert_eq!(held(&server.address, "A"), made, "each at most once");
}
