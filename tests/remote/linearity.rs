//! Histories of ledgers in stores, judged by a search that trusts nothing that they say of their order:
//! two instances over one store, and the same behind a network that loses, cuts, delays and doubles.

use std::time::Duration;

use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::domain::UnixMillis;
use holdfast::domain::command::Keyed;
use holdfast::engine::Engine;
use holdfast::ledger::remote::RemoteConfig;
use holdfast::ledger::{Answer, LedgerError};

use crate::instance::{Instance, config_at};
use crate::linear::crowd::Place;
use crate::linear::judge::Tally;
use crate::linear::plan::{LARGE, SMALL, Size, mixed};
use crate::linear::wanted;
use crate::proxy::Proxy;
use crate::server::Kind as Kinds;
use crate::store::Store;
use crate::support::check::START;
use crate::support::driven::give_names;

/// Histories that are judged together.
const AT_ONCE: usize = 200;

fn send(engine: &Engine, command: &Keyed<'_>) -> Result<Answer, LedgerError> {
    wait_for(engine.execute(command))
}

/// Two instances over one ledger, which agree on the time that the store believes. The second one has
/// yet to learn the names that the first one gave.
struct Ledger {
    is_retried: bool,
    clock: Clock,
    instances: [Instance; 2],
}

impl Ledger {
    /// At an address, with a configuration as somebody likes it.
    fn open(address: &str, name: &str, like: impl Fn(&mut RemoteConfig)) -> Self {
        let clock = Clock::manual(UnixMillis(START));
        let open = |()| {
            let mut config = config_at(address, name, &clock);
            config.batcher.settling.clock = Some(clock.clone());
            like(&mut config);
            Instance(Engine::open_remote(config).unwrap())
        };
        let instances = [(); 2].map(open);
        give_names(&instances[0].0);
        Self {
            is_retried: false,
            clock,
            instances,
        }
    }

    fn judged(&self, size: Size, count: u64) -> Tally {
        let place = Place {
            engines: self.instances.iter().map(|one| &one.0).collect(),
            clock: self.clock.clone(),
            send,
            is_retried: self.is_retried,
        };
        let mut sum = Tally::default();
        for plans in mixed(0..count, size).chunks(AT_ONCE) {
            sum.add(place.judged(plans));
        }
        sum
    }
}

#[test]
fn every_history_of_two_instances_has_an_order() {
    for kind in Kinds::ALL {
        let store = Store::start(kind, &[]);
        let address = format!("redis://127.0.0.1:{}", store.port());
        for (size, share) in [(SMALL, 100), (LARGE, 1_000)] {
            let ledger = Ledger::open(&address, &format!("{}-", size.clients), |_| {});
            println!("{kind:?}: {}", ledger.judged(size, wanted() / share));
        }
    }
}

#[test]
fn every_history_through_a_bad_network_has_an_order() {
    for kind in Kinds::ALL {
        let store = Store::start(kind, &[]);
        let proxy = Proxy::start(store.port(), 1, Duration::from_millis(200));
        let address = format!("redis://127.0.0.1:{}", proxy.port());
        let mut ledger = Ledger::open(&address, "bad-", |config| {
            config.patience.reply = Duration::from_millis(150);
            // So soon that often nobody knows what has happened.
            config.batcher.settling.limit = Duration::from_millis(20);
        });
        ledger.is_retried = true;
        proxy.spoil(5);
        let judged = ledger.judged(SMALL, (wanted() / 1_000).max(4));
        println!("{kind:?}, bad network: {judged}");
    }
}
