//! Concurrent calls on one hot SKU: coalesced, none promised twice, each with its own answer.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_client::{Answer, Client, IdempotencyKey, Limit, Line, Reservation, Reserve, State};
use tokio::task::JoinSet;

use crate::support::{Running, config, put};

const CALLS: usize = 2_000;
const UNITS: usize = 1_500;

fn reference(call: usize) -> String {
    format!("order-{call}")
}

/// All calls at once, each under the key of its own; what each was answered.
async fn all_at_once(client: &Client) -> BTreeMap<usize, Answer<Reservation>> {
    let mut calls = JoinSet::new();
    for call in 0..CALLS {
        let client = client.clone();
        calls.spawn(async move {
            let key = IdempotencyKey::new(&format!("crowd-{call}")).unwrap();
            let (lines, reference) = ([Line::new("HOT", 1)], reference(call));
            let request = Reserve::new("web", &lines).reference(&reference);
            let answer = client.reserve_with_key(&key, &request).await;
            (call, answer.unwrap())
        });
    }
    calls.join_all().await.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_gets_every_unit_once_and_the_same_answers_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path());
    let mut config = config(server.addr);
    config.batch_connections = 3;
    // Many batches, so that all lanes carry some.
    config.batch_max = 64;
    let client = Client::new(&config);
    put(&client, "HOT", 1_500).await;

    let answers = all_at_once(&client).await;
    assert_eq!(answers.len(), CALLS);
    let mut ids = BTreeSet::new();
    for (call, answer) in &answers {
        match answer {
            Answer::Done(made) => {
                assert_eq!((made.state, made.held()), (State::Held, 1));
                assert_eq!(made.reference.as_deref(), Some(&*reference(*call)));
                assert!(ids.insert(made.id.to_string()), "{made:?}");
            }
            Answer::Refused(refusal) => {
                assert!(refusal.is_insufficient_stock(), "{refusal:?}");
                let [short] = refusal.shortages.as_slice() else {
                    panic!("{refusal:?}");
                };
                assert_eq!((&*short.sku, short.limit), ("HOT", Limit::Stock));
                assert_eq!((short.requested, short.available, short.short), (1, 0, 1));
            }
        }
    }
    assert_eq!(
        (ids.len(), answers.len() - ids.len()),
        (UNITS, CALLS - UNITS)
    );
    assert_eq!((server.held("HOT"), server.recount()), (1_500, 1_500));

    // A client that knows nothing of the first one, so that only the keys are the same.
    assert_eq!(all_at_once(&server.client()).await, answers);
    assert_eq!((server.held("HOT"), server.recount()), (1_500, 1_500));
    let stock = client.stock("HOT").await.unwrap();
    assert_eq!(
        (stock.held, stock.available, stock.on_hand),
        (1_500, 0, 1_500)
    );
}
