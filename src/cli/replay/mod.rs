//! `holdfast replay`: an order trace against a ledger of known stock.
//!
//! With one client the result is determined by the trace and the fill alone, down to every order
//! and every unit, so that independent programs can be compared by their digests.

mod trace;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::args::{Mode, Replay, Via};
use super::open::{self, InStore, Opened};
use super::target::{Done, StockCall, StockItem, Target};
use super::wire::Connection;
use super::{Exit, Failure, judge, load_config, number, output, unreadable};
use crate::blocking::wait_for;
use crate::clock::{Clock, monotonic};
use crate::config::{Config, StoreSettings};
use crate::ledger::Recount;
use crate::limits::STOCK_ITEMS_MAX;
use trace::{Order, Trace};

/// A server in this process.
pub trait Server {
    /// Where it listens.
    fn address(&self) -> SocketAddr;
    /// Stops it and waits until it has stopped.
    fn stop(self: Box<Self>) -> std::io::Result<()>;
}

/// Starts a server on the engine; how is the composition root's business.
pub type StartServer = fn(&Opened, &Config) -> Result<Box<dyn Server>, Failure>;

/// Replays a trace and prints what was accepted.
pub fn run(arguments: &Replay, start: StartServer) -> Result<(), Failure> {
    let path = &arguments.trace;
    let failure =
        |e: &dyn std::fmt::Display| Failure::new(Exit::Failed, format!("{}: {e}", path.display()));
    let bytes = std::fs::read(path).map_err(|e| unreadable(path, &e))?;
    let trace = trace::read(&bytes).map_err(|e| failure(&e))?;
    let stock = starting_stock(&trace, arguments.fill)?;
    let mut config = load_config(&arguments.ledger.flags())?.config;
    config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let folder = match &arguments.ledger.data {
        Some(path) => open::Folder::empty(path)?,
        None => open::Folder::temporary(&std::env::temp_dir(), "replay")?,
    };
    folder.path().clone_into(&mut config.data);
    if config.store != StoreSettings::Embedded {
        // A ledger of its own, wherever the store was named: it goes when the replay ends.
        let moment = Clock::system().now().0;
        config.remote.namespace = format!("replay-{}-{moment}", std::process::id());
    }
    let opened = open::engine(&config, InStore::Made)?;
    let server = match arguments.via {
        Via::Engine => None,
        Via::Http => Some(start(&opened, &config)?),
    };
    let route = Route {
        opened: &opened,
        server: server.as_deref().map(Server::address),
    };
    let result = replay(&trace, &stock, &route, usize::from(arguments.clients));
    let recount = wait_for(opened.engine.recount());
    let stopped = server.map_or(Ok(()), Server::stop);
    // Whatever went wrong: a ledger that was made for this does not stay.
    wait_for(opened.engine.discard())?;
    opened.engine.close()?;
    stopped?;
    let recount = recount?;
    report(arguments, &config, &result?, &recount)?;
    drop(folder);
    if recount.deficits > 0 {
        let message = format!("{} SKUs are oversold", recount.deficits);
        return Err(Failure::new(Exit::Violation, message));
    }
    judge(&recount)
}

/// Units of each SKU before the first order.
fn starting_stock(trace: &Trace, fill: f64) -> Result<Vec<i64>, Failure> {
    let units = |demand: &u64| number::floor_share(fill, *demand).and_then(|n| n.try_into().ok());
    let stock: Option<Vec<i64>> = trace.demand.iter().map(units).collect();
    stock.ok_or_else(|| Failure::new(Exit::Usage, format!("--fill {fill} makes no sense")))
}

/// The way to the ledger, from which each client gets its own target.
struct Route<'a> {
    opened: &'a Opened,
    server: Option<SocketAddr>,
}

impl Route<'_> {
    fn target(&self) -> Result<Target, Failure> {
        match self.server {
            None => Target::engine(&self.opened.engine),
            Some(address) => Ok(Target::Http(Connection::open(&address.to_string())?)),
        }
    }
}

/// What came out.
struct Outcome {
    orders: usize,
    accepted: usize,
    units_held: u64,
    units_left: u64,
    accepted_sha256: String,
    left_sha256: String,
    seconds: f64,
}

fn replay(
    trace: &Trace,
    stock: &[i64],
    route: &Route<'_>,
    clients: usize,
) -> Result<Outcome, Failure> {
    let mut target = route.target()?;
    let items: Vec<_> = trace
        .skus
        .iter()
        .zip(stock)
        .map(|(sku, quantity)| StockItem {
            sku,
            node: "main",
            quantity: *quantity,
        })
        .collect();
    for (n, items) in items.chunks(STOCK_ITEMS_MAX).enumerate() {
        let key = format!("replay-stock-{n}");
        let call = StockCall {
            key: &key,
            mode: Mode::Set,
            reason: "replay",
            items,
        };
        if let Done::Refused(code) = target.stock(call)? {
            return Err(Failure::new(
                Exit::Failed,
                format!("stock was refused: {code}"),
            ));
        }
    }
    let timer = monotonic();
    let held = reserve_all(trace, route, clients)?;
    let seconds = timer.elapsed().as_secs_f64();
    let mut left = Vec::with_capacity(trace.skus.len());
    for sku in &trace.skus {
        left.push((sku.as_str(), target.available(sku)?));
    }
    left.sort_unstable();
    let accepted: Vec<&str> = trace
        .orders
        .iter()
        .zip(&held)
        .filter(|(_, held)| held.is_some())
        .map(|(order, _)| order.reference.as_str())
        .collect();
    Ok(Outcome {
        orders: trace.orders.len(),
        accepted: accepted.len(),
        units_held: held.iter().flatten().sum(),
        units_left: left.iter().map(|(_, units)| units).sum(),
        accepted_sha256: digest(accepted.iter()),
        left_sha256: digest(left.iter().map(|(sku, units)| format!("{sku},{units}"))),
        seconds,
    })
}

/// An order's place in the trace, and the units held for it.
type Taken = (usize, Option<u64>);

/// Units held for each order; `None` where it was refused.
fn reserve_all(
    trace: &Trace,
    route: &Route<'_>,
    clients: usize,
) -> Result<Vec<Option<u64>>, Failure> {
    let next = AtomicUsize::new(0);
    let client = || -> Result<Vec<Taken>, Failure> {
        let mut target = route.target()?;
        let mut mine = Vec::new();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let Some(order) = trace.orders.get(n) else {
                return Ok(mine);
            };
            mine.push((n, reserve(&mut target, trace, order, n)?));
        }
    };
    let parts: Vec<Result<_, Failure>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
        let panicked = || Failure::new(Exit::Failed, "a client panicked");
        threads
            .into_iter()
            .map(|t| t.join().unwrap_or_else(|_panic| Err(panicked())))
            .collect()
    });
    let mut all = vec![None; trace.orders.len()];
    for part in parts {
        for (n, held) in part? {
            if let Some(place) = all.get_mut(n) {
                *place = held;
            }
        }
    }
    Ok(all)
}

fn reserve(
    target: &mut Target,
    trace: &Trace,
    order: &Order,
    n: usize,
) -> Result<Option<u64>, Failure> {
    // A line of no units asks for nothing; the ledger would call it senseless.
    let lines: Vec<(&str, u64)> = order
        .lines
        .iter()
        .filter(|(_, quantity)| *quantity > 0)
        .filter_map(|(sku, quantity)| Some((trace.skus.get(*sku)?.as_str(), *quantity)))
        .collect();
    if lines.is_empty() {
        return Ok(Some(0));
    }
    match target.reserve(&format!("replay-order-{n}"), &order.reference, &lines)? {
        Done::Now(held) | Done::Before(held) => Ok(Some(held)),
        Done::Refused(code) if code == "insufficient_stock" => Ok(None),
        Done::Refused(code) => Err(Failure::new(
            Exit::Failed,
            format!("order {}: {code}", order.reference),
        )),
    }
}

fn digest(lines: impl Iterator<Item = impl AsRef<str>>) -> String {
    let mut hash = Sha256::new();
    for line in lines {
        hash.update(line.as_ref().as_bytes());
        hash.update(b"\n");
    }
    number::hex(&hash.finalize())
}

fn report(
    arguments: &Replay,
    config: &Config,
    outcome: &Outcome,
    recount: &Recount,
) -> Result<(), Failure> {
    let per_second = number::rate(outcome.orders, outcome.seconds);
    let value = json!({
        "orders": outcome.orders,
        "accepted": outcome.accepted,
        "refused": outcome.orders - outcome.accepted,
        "units_held": outcome.units_held,
        "units_left": outcome.units_left,
        "accepted_sha256": outcome.accepted_sha256,
        "left_sha256": outcome.left_sha256,
        "fill": arguments.fill,
        "via": arguments.via.as_str(),
        "clients": arguments.clients,
        "durability": config.durability.as_str(),
        "seconds": outcome.seconds,
        "orders_per_second": per_second,
        "recount": {
            "skus": recount.skus,
            "open_reservations": recount.open,
            "units_promised": recount.units_promised,
            "units_on_hand": recount.units_on_hand,
            "violations": recount.violation_count,
            "oversold_skus": recount.deficits,
        },
    });
    if arguments.output.is_json() {
        return output::json(&value);
    }
    output::table(&[
        ("trace", name(&arguments.trace)),
        ("fill", arguments.fill.to_string()),
        (
            "via",
            format!(
                "{} with {} clients",
                arguments.via.as_str(),
                arguments.clients
            ),
        ),
        ("orders", outcome.orders.to_string()),
        ("accepted", outcome.accepted.to_string()),
        ("refused", (outcome.orders - outcome.accepted).to_string()),
        ("units held", outcome.units_held.to_string()),
        ("units left", outcome.units_left.to_string()),
        ("accepted sha256", outcome.accepted_sha256.clone()),
        ("left sha256", outcome.left_sha256.clone()),
        (
            "orders a second",
            format!("{per_second:.0} ({})", config.durability.as_str()),
        ),
        ("recount", format!("{} violations", recount.violation_count)),
    ])
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_over_lines() {
        // printf 'a\nb\n' | sha256sum
        let expected = "911169ddaaf146aff539f58c26c489af3b892dff0fe283c1c264c65ae5aa59a2";
        assert_eq!(digest(["a", "b"].iter()), expected);
    }
}
