//! A data folder that goes through one process after the other, and what callers were told meanwhile.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::client::Client;
use crate::judge::judge;
use crate::server::Server;
use crate::wire::Wire;
use crate::{OPENING, stock_up};

/// SKUs of one count: a tenth of a megabyte of journal, so that segments change.
const BULK: usize = 1_000;

/// Ends the load when it goes, also when a test fails meanwhile.
struct EndsWith<'a>(&'a AtomicBool);

impl Drop for EndsWith<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Callers of all kinds, and one who fills the journal.
pub(crate) struct Life {
    clients: Vec<Client>,
    /// The last count that was acknowledged.
    told: u64,
    /// The last one that was sent.
    sent: u64,
}

impl Life {
    /// Begins on an empty ledger.
    pub(crate) fn begin(address: SocketAddr, seed: u64) -> Self {
        stock_up(address);
        let client = |n| Client::new(&format!("c{n}"), seed + n);
        Self {
            clients: (0..4).map(client).collect(),
            told: 0,
            sent: 0,
        }
    }

    /// Everybody calls while this happens, and the filler too where it is wanted.
    pub(crate) fn load<T>(
        &mut self,
        address: SocketAddr,
        has_filler: bool,
        happens: impl FnOnce() -> T,
    ) -> T {
        let is_over = &AtomicBool::new(false);
        let mut clients = std::mem::take(&mut self.clients);
        let happened = std::thread::scope(|scope| {
            for client in &mut clients {
                scope.spawn(move || {
                    // The process may have ended before this one came to call.
                    if let Ok(mut wire) = Wire::connect(address) {
                        client.work(&mut wire, || !is_over.load(Ordering::Relaxed));
                    }
                });
            }
            if has_filler {
                scope.spawn(|| self.fill(address, is_over));
            }
            let _over = EndsWith(is_over);
            happens()
        });
        self.clients = clients;
        happened
    }

    /// Counts until one is not answered, or the flag is set.
    fn fill(&mut self, address: SocketAddr, is_over: &AtomicBool) {
        let Ok(mut wire) = Wire::connect(address) else {
            return;
        };
        while !is_over.load(Ordering::Relaxed) {
            self.sent += 1;
            if !count(&mut wire, self.sent) {
                return;
            }
            self.told = self.sent;
        }
    }

    /// What is wrong with what is there: nothing acknowledged may be lost, nothing promised twice.
    pub(crate) fn judge(&mut self, address: SocketAddr) -> Vec<String> {
        let mut faults = judge(address, &mut self.clients, OPENING);
        let mut wire = Wire::connect(address).unwrap();
        let counted = [0, BULK - 1].map(|at| {
            let found = wire.get(&format!("/v1/stock/{}", bulk(at))).unwrap();
            found.body["on_hand"].as_u64().unwrap_or(0)
        });
        let [first, last] = counted;
        if first != last || !(self.told..=self.sent).contains(&first) {
            let (told, sent) = (self.told, self.sent);
            faults.push(format!("counted {told} of {sent} times, found {counted:?}"));
        }
        // From here on it is known.
        self.told = first;
        faults
    }

    /// Calls that were answered.
    pub(crate) fn answered(&self) -> u64 {
        self.clients.iter().map(|client| client.answered).sum()
    }
}

/// The name of a SKU that nobody asks for, as long as names may be.
fn bulk(at: usize) -> String {
    format!("bulk-{at:0>59}")
}

/// Sets many SKUs to this many units; whether that was acknowledged.
fn count(wire: &mut Wire, units: u64) -> bool {
    let item = |at| json!({ "sku": bulk(at), "on_hand": units });
    let items: Vec<Value> = (0..BULK).map(item).collect();
    let body = json!({ "items": items, "reason": "count" });
    let reply = wire.post("/v1/stock", &format!("count-{units}"), &body);
    reply.is_ok_and(|reply| reply.status == 200)
}

/// A start of the folder without any fault, in this wrapping, and what is wrong with what is there.
pub(crate) fn recovered(life: &mut Life, wrapper: &[&str], data: &Path) -> Vec<String> {
    let server = Server::spawn_under(wrapper, data, &[]);
    let (mut server, address) = server.until_ready();
    let faults = life.judge(address);
    // Refusals of the last moments before a crash may be forgotten; these are asked for again later.
    let (status, log) = server.stop();
    assert!(status.success(), "{status}:\n{log}");
    faults
}
