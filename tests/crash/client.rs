//! A caller that remembers everything it was told, and the one thing it was not told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::server::pause;
use crate::support::rng::Rng;
use crate::wire::{Reply, Wire};

pub(crate) const SKUS: [&str; 8] = ["hot", "s1", "s2", "s3", "s4", "s5", "s6", "s7"];
pub(crate) const NODES: [&str; 2] = ["main", "east"];

/// Between two calls, where several tests with load run side by side.
const PACE: Duration = Duration::from_millis(1);

/// Before a call that was not answered is sent again.
const RETRY: Duration = Duration::from_millis(20);

/// How many of the newest reservations and calls a client keeps in full.
const KEPT_BOOKINGS: usize = 500;
const KEPT_CALLS: usize = 2_000;

fn add_line(sums: &mut [i64; 3], line: &Value) {
    for (sum, state) in sums.iter_mut().zip(["held", "committed", "shipped"]) {
        *sum += line[state].as_i64().unwrap();
    }
}

/// What a call is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Purpose {
    Reserve,
    /// On the reservation at this place.
    Act(usize),
    /// Puts that many units of a SKU in.
    Supply(&'static str, i64),
}

/// A call that was sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    purpose: Purpose,
    pub(crate) path: String,
    pub(crate) key: String,
    pub(crate) body: Value,
    /// `None`: no answer came.
    pub(crate) reply: Option<Reply>,
    /// It was sent once and may have been done.
    is_in_doubt: bool,
}

/// A reservation as it was last answered.
#[derive(Debug, Clone)]
pub(crate) struct Booking {
    pub(crate) id: String,
    pub(crate) body: Value,
    /// Changed since it was last compared.
    pub(crate) touched: bool,
}

/// One caller.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    name: String,
    rng: Rng,
    count: u64,
    pub(crate) bookings: Vec<Booking>,
    pub(crate) sent: Vec<Sent>,
    /// Units by SKU of reservations that are no longer kept here: held, committed, shipped.
    pub(crate) retired: BTreeMap<String, [i64; 3]>,
    /// Units put in, by SKU.
    pub(crate) supplied: BTreeMap<&'static str, i64>,
    /// Calls that were answered `unknown` or not at all, over all its life.
    pub(crate) unknown: u64,
    /// Calls that were answered, over all its life.
    pub(crate) answered: u64,
}

impl Client {
    pub(crate) fn new(name: &str, seed: u64) -> Self {
        Self {
            name: name.to_owned(),
            rng: Rng::new(seed),
            count: 0,
            bookings: Vec::new(),
            sent: Vec::new(),
            retired: BTreeMap::new(),
            supplied: BTreeMap::new(),
            unknown: 0,
            answered: 0,
        }
    }

    /// Calls until the connection breaks or it is told to stop.
    pub(crate) fn work(&mut self, wire: &mut Wire, goes_on: impl Fn() -> bool) {
        while goes_on() {
            let call = self.next();
            self.sent.push(call);
            let known = self.deliver(wire).unwrap_or_else(|wrong| panic!("{wrong}"));
            if !known {
                self.unknown += 1;
                return;
            }
        }
    }

    /// Calls until told to stop, over connections that are made anew as often as they break. What is
    /// unknown is asked again with the same key until it is known.
    pub(crate) fn persist(&mut self, address: SocketAddr, goes_on: impl Fn(&Self) -> bool) {
        while goes_on(self) {
            let Ok(mut wire) = Wire::connect(address) else {
                pause(RETRY);
                continue;
            };
            while goes_on(self) {
                if self.pending().is_none() {
                    let call = self.next();
                    self.sent.push(call);
                }
                let before = self.sent.len();
                let known = self
                    .deliver(&mut wire)
                    .unwrap_or_else(|wrong| panic!("{wrong}"));
                self.unknown += u64::from(!known);
                if !known || self.sent.len() < before {
                    pause(RETRY);
                    break;
                }
                pause(PACE);
            }
        }
    }

    /// Sends the last call. False when its result is unknown; `Err` when it cannot be right.
    pub(crate) fn deliver(&mut self, wire: &mut Wire) -> Result<bool, String> {
        let call = self.sent.last_mut().unwrap();
        let sent = wire.post(&call.path, &call.key, &call.body);
        let was_in_doubt = call.is_in_doubt;
        let status = sent.as_ref().map_or(500, |reply| reply.status);
        call.is_in_doubt |= status >= 500 && status != 503;
        let Ok(reply) = sent else {
            return Ok(false);
        };
        match reply.status {
            // Overloaded, not available or shutting down: nothing was changed by this one, whatever
            // became of one before.
            503 if !was_in_doubt => {
                self.sent.pop();
                Ok(true)
            }
            500.. => Ok(false),
            _ if reply.is_of_mirror => {
                self.sent.pop();
                Ok(true)
            }
            _ => self.take(reply).map(|()| true),
        }
    }

    fn take(&mut self, reply: Reply) -> Result<(), String> {
        let call = self.sent.last_mut().unwrap();
        call.reply = Some(reply.clone());
        self.answered += 1;
        match (call.purpose.clone(), reply.status) {
            (Purpose::Reserve, 201) => {
                let id = reply.body["id"].as_str().unwrap().to_owned();
                self.bookings.push(Booking {
                    id,
                    body: reply.body,
                    touched: true,
                });
            }
            (Purpose::Act(at), 200) => {
                self.bookings[at].body = reply.body;
                self.bookings[at].touched = true;
            }
            (Purpose::Supply(sku, units), 200) => *self.supplied.entry(sku).or_default() += units,
            (Purpose::Reserve | Purpose::Act(_), 409) => {}
            (purpose, status) => {
                return Err(format!("{purpose:?} was answered {status}: {}", reply.body));
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Sent {
        self.count += 1;
        let key = format!("{}-{}", self.name, self.count);
        let (purpose, path, body) = match self.rng.below(20) {
            0..=8 => self.reserve(),
            9 if self.count > 20 => self.supply(),
            _ if self.bookings.is_empty() => self.reserve(),
            _ => self.act(),
        };
        Sent {
            purpose,
            path,
            key,
            body,
            reply: None,
            is_in_doubt: false,
        }
    }

    fn sku(&mut self) -> &'static str {
        if self.rng.percent(50) {
            SKUS[0]
        } else {
            self.rng.pick(&SKUS)
        }
    }

    fn reserve(&mut self) -> (Purpose, String, Value) {
        let lines: Vec<Value> = (0..self.rng.between(1, 4))
            .map(|_| {
                let quantity = self.rng.between(1, 3);
                let mut line = json!({ "sku": self.sku(), "quantity": quantity });
                if self.rng.percent(30) {
                    line["node"] = self.rng.pick(&NODES).into();
                }
                line
            })
            .collect();
        let body = json!({
            "channel": "shop",
            "reference": format!("o-{}-{}", self.name, self.count),
            "ttl_seconds": 86_400,
            "allow_partial": self.rng.percent(30),
            "lines": lines,
        });
        (Purpose::Reserve, "/v1/reservations".to_owned(), body)
    }

    fn act(&mut self) -> (Purpose, String, Value) {
        let recent = self.bookings.len().min(8);
        let at = self.bookings.len() - 1 - self.rng.index(recent);
        let verb = self
            .rng
            .pick(&["confirm", "confirm", "release", "ship", "ship"]);
        let booking = &self.bookings[at];
        let path = format!("/v1/reservations/{}/{verb}", booking.id);
        let lines = booking.body["lines"].as_array().unwrap();
        let line = &lines[self.rng.index(lines.len())];
        let body = if self.rng.percent(30) {
            json!({ "lines": [{ "sku": line["sku"], "quantity": self.rng.between(1, 2) }] })
        } else {
            json!({})
        };
        (Purpose::Act(at), path, body)
    }

    fn supply(&mut self) -> (Purpose, String, Value) {
        let (sku, node) = (self.sku(), self.rng.pick(&NODES));
        let units = i64::try_from(self.rng.between(1, 20)).unwrap();
        let item = json!({ "sku": sku, "node": node, "delta": units });
        let body = json!({ "items": [item], "reason": "received" });
        (
            Purpose::Supply(sku, units),
            "/v1/stock/adjustments".to_owned(),
            body,
        )
    }

    /// Keeps only the newest calls and reservations; of older ones, which are not touched any more,
    /// the sums. To be called when nothing is pending.
    pub(crate) fn retire(&mut self) {
        let old = self.bookings.len().saturating_sub(KEPT_BOOKINGS);
        for booking in self.bookings.drain(..old) {
            for line in booking.body["lines"].as_array().unwrap() {
                let sku = line["sku"].as_str().unwrap().to_owned();
                add_line(self.retired.entry(sku).or_default(), line);
            }
        }
        let old = self.sent.len().saturating_sub(KEPT_CALLS);
        self.sent.drain(..old);
    }

    /// Forgets the refusals after which nothing was acknowledged: they are told before they are kept,
    /// and the crash may have forgotten them, too. To be called before anything else is asked.
    pub(crate) fn forget_last_refusals(&mut self) {
        let pending = self.sent.pop_if(|call| call.reply.is_none());
        let was_done = |call: &Sent| call.reply.as_ref().is_some_and(|reply| reply.status < 300);
        let kept = self.sent.iter().rposition(was_done).map_or(0, |at| at + 1);
        self.sent.truncate(kept);
        self.sent.extend(pending);
    }

    /// Units held, committed and shipped of a SKU.
    pub(crate) fn sums(&self, sku: &str) -> [i64; 3] {
        let mut sums = self.retired.get(sku).copied().unwrap_or_default();
        for booking in &self.bookings {
            let lines = booking.body["lines"].as_array().unwrap();
            for line in lines.iter().filter(|line| line["sku"] == sku) {
                add_line(&mut sums, line);
            }
        }
        sums
    }

    /// The call whose result is not known.
    pub(crate) fn pending(&self) -> Option<&Sent> {
        self.sent.last().filter(|call| call.reply.is_none())
    }

    /// Answered calls, the newest mostly, to ask again.
    pub(crate) fn sample(&mut self, most: usize) -> Vec<Sent> {
        let mut sample = Vec::new();
        for _ in 0..most.min(self.sent.len()) {
            let newest = self.sent.len().min(if self.rng.percent(70) {
                most
            } else {
                usize::MAX
            });
            let at = self.sent.len() - 1 - self.rng.index(newest);
            if self.sent[at].reply.is_some() {
                sample.push(self.sent[at].clone());
            }
        }
        sample
    }
}
