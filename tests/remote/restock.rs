//! How long a mirror goes on refusing after a restock was acknowledged, under load. The figure is
//! printed and decides nothing: what an answer stands for is told by its position, and how long that
//! takes by the machine. `HOLDFAST_RESTOCKS` says how many restocks.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use holdfast::clock::monotonic;

use crate::instance::{Instance, Place, hold, set};
use crate::mirror::{answers, filled, is_refused, restock, until};
use crate::server::{Kind, Server};
use crate::support::amount::asked;

const DAY: u32 = 86_400_000;

/// Instances that sell what another one puts in.
const SELLERS: usize = 2;

/// Callers of each seller that buy something else all the time.
const BUYERS: usize = 1;

/// Ends the load when it goes, also when the test fails meanwhile.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Asks until it is granted.
fn buy(seller: &Instance, key: &str) {
    let mut tries = 0;
    until("the restock is heard of", || {
        tries += 1;
        let answer = seller.execute(&format!("{key}-{tries}"), &hold("A", 1, DAY));
        (!is_refused(&answer)).then_some(())
    });
}

/// From one acknowledged restock to the first grant of every seller.
fn restocked(stocker: &Instance, sellers: &[Instance], number: u64) -> Duration {
    for (at, seller) in sellers.iter().enumerate() {
        filled(seller, "A");
        let early = seller.execute(&format!("early-{number}-{at}"), &hold("A", 1, DAY));
        assert!(is_refused(&early), "{early:?}");
    }
    let units = i64::try_from(SELLERS).unwrap();
    stocker.execute(&format!("restock-{number}"), &restock("A", units));
    let begun = monotonic();
    std::thread::scope(|scope| {
        for (at, seller) in sellers.iter().enumerate() {
            scope.spawn(move || buy(seller, &format!("late-{number}-{at}")));
        }
    });
    begun.elapsed()
}

#[test]
fn how_long_a_restock_goes_unheard_is_measured_under_load() {
    let server = Server::start(Kind::Valkey);
    let place = Place::new(&server);
    let stocker = place.open_mirrored();
    let sellers: Vec<Instance> = (0..SELLERS).map(|_| place.open_mirrored()).collect();
    stocker.execute("none", &set("A", 0));
    stocker.execute("plenty", &set("B", 1_000_000_000));
    let (is_over, bought, begun) = (AtomicBool::new(false), AtomicU64::new(0), monotonic());
    let buy_others = |seller: &Instance, name: &str| {
        let mut count = 0;
        while !is_over.load(Ordering::Relaxed) {
            count += 1;
            seller.execute(&format!("{name}-{count}"), &hold("B", 1, DAY));
        }
        bought.fetch_add(count, Ordering::Relaxed);
    };
    let mut took: Vec<Duration> = std::thread::scope(|scope| {
        for (at, seller) in sellers.iter().enumerate() {
            for buyer in 0..BUYERS {
                let buy_others = &buy_others;
                scope.spawn(move || buy_others(seller, &format!("b{at}-{buyer}")));
            }
        }
        let _end = End(&is_over);
        let numbers = 0..asked("HOLDFAST_RESTOCKS").unwrap_or(2_000);
        numbers.map(|n| restocked(&stocker, &sellers, n)).collect()
    });
    let rate = u128::from(bought.into_inner()) * 1_000 / begun.elapsed().as_millis().max(1);
    took.sort_unstable();
    // The smallest that so many of a thousand do not exceed.
    let at = |share: usize| took[(took.len() * share).div_ceil(1_000) - 1];
    println!(
        "{} restocks, {SELLERS} sellers, {rate} other reservations/s: granted by all after p50 \
         {:.1?}, p99 {:.1?}, p99.9 {:.1?}",
        took.len(),
        at(500),
        at(990),
        at(999)
    );
    assert!(sellers.iter().all(|seller| answers(seller, "refusal") > 0));
    sellers[0].recounts_clean();
}
