//! After a crash: what was unknown is settled, and what was acknowledged must be there.

use std::net::SocketAddr;
use std::time::Duration;

use holdfast::clock::{Monotonic, monotonic};
use serde_json::Value;

use crate::client::{Client, SKUS, Sent};
use crate::wire::{Reply, Wire};

/// What was found wrong; empty when nothing was.
pub(crate) type Faults = Vec<String>;

/// Longest wait for an answer; a failure, not a pace.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a mirror may not have heard of what the store has answered: longer than it may be
/// behind and still refuse.
const HEARSAY: Duration = Duration::from_secs(2);

/// How many answered calls of each client are asked again.
const REPEATED: usize = 60;

/// Settles and compares everything. `opening` is what every SKU was set to.
pub(crate) fn judge(address: SocketAddr, clients: &mut [Client], opening: i64) -> Faults {
    let mut wire = Wire::connect(address).unwrap();
    let mut faults = Faults::new();
    let begun = monotonic();
    // Before anything is changed: what was refused for lack of stock is refused again, whether or
    // not the crash left room to remember it.
    for client in clients.iter_mut() {
        for call in client.sample(REPEATED) {
            let again = by_who_knows(&mut wire, &call, begun);
            let first = call.reply.unwrap();
            if said(&again) != said(&first) {
                faults.push(format!(
                    "{} was answered {first:?}, then {again:?}",
                    call.key
                ));
            }
        }
    }
    clients.iter_mut().for_each(Client::forget_last_refusals);
    for client in clients.iter_mut() {
        settle(&mut wire, client, &mut faults);
    }
    for client in clients.iter_mut() {
        for booking in client.bookings.iter_mut().filter(|booking| booking.touched) {
            let found = answered(|| wire.get(&format!("/v1/reservations/{}", booking.id)));
            if found.status != 200 || found.body != booking.body {
                faults.push(format!("acknowledged {}, found {found:?}", booking.body));
            }
            booking.touched = false;
        }
    }
    for sku in SKUS {
        let found = answered(|| wire.get(&format!("/v1/stock/{sku}")));
        balance(sku, &found, clients, opening, &mut faults);
    }
    clients.iter_mut().for_each(Client::retire);
    faults
}

/// The answer to a call that the store has answered: by the store, as long as a mirror may not have
/// heard of it. One that has not by then is none: it has been filled anew, or asks the store.
fn by_who_knows(wire: &mut Wire, call: &Sent, begun: Monotonic) -> Reply {
    loop {
        let reply = answered(|| wire.post(&call.path, &call.key, &call.body));
        if !reply.is_of_mirror || begun.elapsed() > HEARSAY {
            return reply;
        }
    }
}

/// Asks until there is an answer: on a busy machine a level may not be reached in time.
fn answered(mut ask: impl FnMut() -> std::io::Result<Reply>) -> Reply {
    let begun = monotonic();
    loop {
        let reply = ask().unwrap();
        if reply.status < 500 || begun.elapsed() > PATIENCE {
            return reply;
        }
    }
}

/// What a reply says, apart from how: of a refusal its code and shortages.
fn said(reply: &Reply) -> (u16, Value) {
    let Reply { status, body, .. } = reply;
    if *status < 300 {
        return (*status, body.clone());
    }
    (
        *status,
        Value::Array(vec![body["code"].clone(), body["shortages"].clone()]),
    )
}

/// Asks again with the key whose answer never came.
fn settle(wire: &mut Wire, client: &mut Client, faults: &mut Faults) {
    let Some(call) = client.pending().cloned() else {
        return;
    };
    let found = if call.path == "/v1/reservations" {
        let path = format!("/v1/reservations?key={}", call.key);
        Some(answered(|| wire.get(&path)))
    } else {
        None
    };
    let found = found.filter(|found| found.status == 200);
    if found.is_some() {
        by_who_knows(wire, &call, monotonic());
    }
    let begun = monotonic();
    loop {
        match client.deliver(wire) {
            Ok(true) => break,
            Ok(false) => assert!(begun.elapsed() < PATIENCE, "{} stays unknown", call.key),
            Err(wrong) => return faults.push(wrong),
        }
    }
    let Some(answered) = client.sent.last().and_then(|call| call.reply.clone()) else {
        return;
    };
    if let Some(found) = found
        && (answered.status != 201 || answered.body != found.body)
    {
        faults.push(format!(
            "{} had made {found:?}, then was answered {answered:?}",
            call.key
        ));
    }
}

fn units(value: &Value) -> i64 {
    value.as_i64().unwrap_or(i64::MIN)
}

/// Units are conserved to the last one, and none is promised twice.
fn balance(sku: &str, found: &Reply, clients: &[Client], opening: i64, faults: &mut Faults) {
    let mut sums = [0; 3];
    let mut supplied = 0;
    for client in clients {
        supplied += client.supplied.get(sku).copied().unwrap_or(0);
        for (sum, units) in sums.iter_mut().zip(client.sums(sku)) {
            *sum += units;
        }
    }
    let [held, committed, shipped] = sums;
    let on_hand = opening + supplied - shipped;
    let available = on_hand - held - committed;
    for (name, expected) in [
        ("on_hand", on_hand),
        ("held", held),
        ("committed", committed),
        ("available", available),
    ] {
        if units(&found.body[name]) != expected {
            faults.push(format!("{sku}: {name} should be {expected}: {found:?}"));
        }
    }
    if available < 0 {
        faults.push(format!("{sku} is oversold by {}", -available));
    }
}
