//! A network that loses, cuts, delays and doubles: each id has one effect, and one answer.

use std::sync::Arc;
use std::time::Duration;

use holdfast::ledger::remote::batcher::Batcher;
use holdfast::telemetry::Script;

use crate::counting::{Counting, Id, forgetful};
use crate::shop::{Setup, count, effects, initialise, most_effects};
use crate::support::amount::asked;
use crate::support::proxy::Proxy;
use crate::support::rng::Rng;
use crate::support::server::Kind;
use crate::support::store::Store;

const CALLERS: u64 = 64;

/// Asks until it is told.
async fn ask(batcher: &Batcher<Counting>, id: u64) -> Id {
    loop {
        if let Ok(number) = count(batcher, id, Script::Batch).await {
            return number;
        }
    }
}

/// One of many callers; asks again for some of its ids.
async fn caller(batcher: Arc<Batcher<Counting>>, ids: impl Iterator<Item = u64>) {
    let mut rng = Rng::new(1);
    for id in ids {
        let number = ask(&batcher, id).await;
        if rng.percent(10) {
            let again = ask(&batcher, id).await;
            assert_eq!(again, number, "every retry gets the same answer");
        }
    }
}

fn crowd(setup: &Setup, commands: u64) {
    let shop = setup.open();
    shop.wait(async {
        let callers = (0..CALLERS).map(|first| {
            let ids = (first..commands).filter(move |id| id % CALLERS == first);
            tokio::spawn(caller(Arc::clone(&shop.batcher), ids))
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await.unwrap();
        }
    });
}

fn through(proxy: &Proxy) -> Setup {
    Setup {
        reply: Duration::from_millis(100),
        ..Setup::at(proxy.port())
    }
}

#[test]
fn each_id_has_one_effect_and_each_retry_the_same_answer() {
    for kind in Kind::ALL {
        let store = Store::start(kind, &[]);
        initialise(&store);
        let proxy = Proxy::start(store.port(), 1, Duration::from_millis(150));
        proxy.spoil(10);
        let commands = asked("HOLDFAST_LINK_COMMANDS").unwrap_or(50_000);
        crowd(&through(&proxy), commands);
        assert_eq!(effects(&store), (commands, commands));
        assert_eq!(most_effects(&store), 1);
        for (fault, times) in proxy.made() {
            assert!(times > 0, "{fault:?} was never made");
        }
    }
}

#[test]
fn the_same_network_doubles_what_a_store_does_not_remember() {
    for kind in Kind::ALL {
        let store = Store::start(kind, &[]);
        initialise(&store);
        let proxy = Proxy::start(store.port(), 1, Duration::from_millis(150));
        proxy.spoil(10);
        let script = forgetful();
        let shop = Setup {
            script,
            ..through(&proxy)
        }
        .open();
        for id in 0..200 {
            while shop.count(id).is_err() {}
        }
        assert!(most_effects(&store) > 1, "the control must fail");
    }
}
