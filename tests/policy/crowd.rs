//! A crowd of buyers on several channels at once. The ledger may be any: everything goes through
//! the engine.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;

use holdfast::domain::command::Verb;
use holdfast::domain::{ReservationId, Sku};

use crate::desk::{Desk, everything, id_of, units};

const STOCK: u64 = 1_000;
const BUYERS: usize = 20_000;
const THREADS: usize = 8;
/// In the order of their appetite.
const CHANNELS: [&str; 4] = ["live", "shop", "market", "outlet"];

/// Who bought, by channel.
type Sold = BTreeMap<&'static str, Vec<ReservationId>>;

/// Every buyer wants one unit, half of them on the live channel.
fn storm(desk: &Desk, round: &str, buyers: usize) -> Sold {
    let sold = Mutex::new(Sold::new());
    thread::scope(|scope| {
        for part in 0..THREADS {
            let sold = &sold;
            scope.spawn(move || {
                for buyer in (part..buyers).step_by(THREADS) {
                    // Six in eight come live, and the others elsewhere, the protected last of all.
                    let channel = match buyer % 8 {
                        0 => "shop",
                        1 => "outlet",
                        _ => "live",
                    };
                    let made = desk.hold(&format!("{round}-{buyer}"), channel, "s", 1);
                    if made.is_ok() {
                        let mut sold = sold.lock().unwrap();
                        sold.entry(channel).or_default().push(id_of(&made));
                    }
                }
            });
        }
    });
    sold.into_inner().unwrap()
}

fn count(sold: &Sold, channel: &str) -> u64 {
    u64::try_from(sold.get(channel).map_or(0, Vec::len)).unwrap()
}

/// Live is capped at 60 % of the supply, and 50 units are kept for the market, whose buyers sleep.
fn live_gets_at_most_its_cap(desk: &Desk) {
    let channels = CHANNELS.map(|name| format!(r#"{{"name":"{name}"}}"#));
    let limits = r#"{"channel":"live","cap":{"percent":60}},
        {"channel":"market","protection":{"units":50}}"#;
    desk.put(&everything(&channels.join(","), limits), 0)
        .unwrap();
    desk.set("stock", "s", STOCK);

    let sold = storm(desk, "first", BUYERS);
    assert_eq!(count(&sold, "live"), 600, "exactly the cap");
    let others = count(&sold, "shop") + count(&sold, "outlet");
    assert_eq!(others, STOCK - 600 - 50, "everything but what is kept");
    let mut ids: Vec<_> = sold.values().flatten().collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 950, "no unit is sold twice");
    assert_eq!(desk.room("market", "s"), 50, "the minimum is intact");
    desk.hold("market", "market", "s", 50).unwrap();
    assert_eq!(desk.room("shop", "s"), 0, "every unit is sold");

    // What is shipped was used all the same, and what is received makes the supply larger.
    for (at, id) in sold["live"].iter().take(200).enumerate() {
        desk.act(&format!("confirm-{at}"), *id, Verb::Confirm)
            .unwrap();
        desk.act(&format!("ship-{at}"), *id, Verb::Ship { from: None })
            .unwrap();
    }
    assert_eq!(desk.room("live", "s"), 0);
    desk.set("receipt", "s", STOCK - 200 + 500);
    assert_eq!(desk.room("live", "s"), 300, "60 % of 1,500, less 600");
    let more = storm(desk, "second", BUYERS / 4);
    assert_eq!(count(&more, "live"), 300);
    assert_eq!(count(&more, "shop") + count(&more, "outlet"), 200);
    let stock = holdfast::blocking::wait_for(desk.engine.stock(Sku::new("s").unwrap()));
    let stock = stock.unwrap().unwrap();
    assert_eq!(stock.held, units(1_300));
    assert_eq!((stock.available, stock.deficit), (units(0), units(0)));
}

#[test]
fn a_live_channel_gets_at_most_its_cap() {
    live_gets_at_most_its_cap(&Desk::new());
}
