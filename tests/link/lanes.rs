//! Serving threads with lanes of their own.

use std::sync::Arc;

use holdfast::ledger::LedgerError;
use holdfast::telemetry::Script;
use tokio::runtime::{Builder, LocalOptions};

use crate::shop::{Setup, connections, count, effects, initialise};
use crate::support::server::Kind;
use crate::support::store::Store;

#[test]
fn each_serving_thread_has_its_own_connections_and_gives_them_back() {
    for kind in Kind::ALL {
        let store = Store::start(kind, &[]);
        initialise(&store);
        let shop = Setup::at(store.port()).open();
        let batcher = Arc::clone(&shop.batcher);
        let serving = std::thread::spawn(move || {
            let mut runtime = Builder::new_current_thread();
            let runtime = runtime
                .enable_all()
                .build_local(LocalOptions::default())
                .unwrap();
            runtime.block_on(async {
                batcher.install_lane();
                let answers: Vec<_> = (0..1_000)
                    .map(|id| tokio::spawn(count(&batcher, id, Script::Batch)))
                    .collect();
                for answer in answers {
                    answer.await.unwrap().unwrap();
                }
            });
            // The lane is gone with the runtime; this thread is like any other now.
            drop(runtime);
            let late = count(&batcher, 1_000, Script::Batch);
            let runtime = Builder::new_current_thread().build().unwrap();
            runtime.block_on(late)
        });
        serving.join().unwrap().unwrap();
        assert_eq!(effects(&store), (1_001, 1_001));
        assert!(connections(&store) >= 1, "those of the shared lane");
    }
}

#[test]
fn commands_of_a_lane_that_ends_are_never_left_without_an_answer() {
    for kind in Kind::ALL {
        let store = Store::start(kind, &[]);
        initialise(&store);
        let shop = Setup::at(store.port()).open();
        store.freeze();
        let mut runtime = Builder::new_current_thread();
        let runtime = runtime
            .enable_all()
            .build_local(LocalOptions::default())
            .unwrap();
        let (sent, queued) = runtime.block_on(async {
            shop.batcher.install_lane();
            let sent = count(&shop.batcher, 1, Script::Batch);
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            (sent, count(&shop.batcher, 2, Script::Batch))
        });
        drop(runtime);
        let told = [shop.wait(sent).unwrap_err(), shop.wait(queued).unwrap_err()];
        for error in told {
            assert!([LedgerError::Unknown, LedgerError::Unavailable].contains(&error));
        }
        store.thaw();
    }
}
