//! One SKU that nearly everybody wants, and the others. `HOLDFAST_HOT_REQUESTS` says how many requests
//! for the others are waited for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use holdfast::clock::monotonic;

use crate::EndsWith;
use crate::program::{Server as Program, folder};
use crate::server::{Kind, Server};
use crate::wire::{HOLD, PATIENCE, Wire, stock};

/// Callers of the hot SKU, and of the others: nine in ten want the same.
const HOT: usize = 36;
const OTHERS: usize = 4;

#[expect(
    clippy::disallowed_methods,
    reason = "the tests have no configuration file"
)]
fn wanted() -> u64 {
    std::env::var("HOLDFAST_HOT_REQUESTS").map_or(1_000, |n| n.parse().unwrap())
}

/// What a caller of the hot SKU and a caller of another one gets done, on the average.
fn shares(program: &Program) -> (u64, u64) {
    let address = program.address.as_str();
    for at in 0..OTHERS {
        stock(address, &format!("other-{at}"), 1_000_000_000);
    }
    stock(address, "A", 1_000_000_000);
    let is_over = AtomicBool::new(false);
    let [hot, others] = [AtomicU64::new(0), AtomicU64::new(0)];
    std::thread::scope(|scope| {
        for at in 0..HOT + OTHERS {
            let (is_over, hot, others) = (&is_over, &hot, &others);
            scope.spawn(move || {
                let is_hot = at >= OTHERS;
                let sku = if is_hot {
                    "A".to_owned()
                } else {
                    format!("other-{at}")
                };
                let body = HOLD.replace("\"A\"", &format!("\"{sku}\""));
                let done = if is_hot { hot } else { others };
                let mut wire = Wire::connect(address).unwrap();
                for number in 0_u64.. {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    let key = format!("h{at}-{number}");
                    let answer = wire.post("/v1/reservations", &key, &body);
                    assert_eq!(answer.unwrap().0, 201);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _ends = EndsWith(&is_over);
        let begun = monotonic();
        let limit = PATIENCE * u32::try_from(1 + wanted() / 1_000).unwrap();
        while others.load(Ordering::Relaxed) < wanted() {
            assert!(begun.elapsed() < limit, "the others get nothing");
            std::thread::yield_now();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let each = |done: AtomicU64, callers| done.into_inner() / u64::try_from(callers).unwrap();
    (each(hot, HOT), each(others, OTHERS))
}

/// In a closed loop what a caller gets done says how long it waited.
fn nobody_waits_for_the_hot_sku(program: &Program) {
    let (hot, others) = shares(program);
    // Measured they get as much; less than half of it would be no accident of a busy machine.
    assert!(others * 2 >= hot, "{others} each beside {hot}");
}

#[test]
fn others_are_not_starved_by_a_hot_sku() {
    let inside = folder();
    nobody_waits_for_the_hot_sku(&Program::start(inside.path(), &[]));
}

#[test]
fn others_are_not_starved_by_a_hot_sku_in_a_store() {
    let (inside, store) = (folder(), Server::start(Kind::Redis));
    let url = store.url();
    let place = ["--store", &url, "--durability", "memory", "--init"];
    nobody_waits_for_the_hot_sku(&Program::start(inside.path(), &place));
}
