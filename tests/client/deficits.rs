//! Deficits through the client.

use holdfast_client::{
    Author, DeficitOrder, IdempotencyKey, Line, Part, ReleaseDeficit, Reserve, SetStock,
};
use serde_json::json;

use crate::support::{Running, done, put, rejected};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deficits_are_listed_told_of_and_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path());
    let client = server.client();
    put(&client, "A", 10).await;
    put(&client, "B", 10).await;
    let none = client.deficits(None, 10, None).await.unwrap();
    assert_eq!((none.data.len(), none.next), (0, None));
    assert_eq!(client.deficit("C", None).await, Ok(None));
    let mut ids = Vec::new();
    for sku in ["A", "B"] {
        for quantity in [4, 6] {
            let lines = [Line::new(sku, quantity)];
            ids.push(done(client.reserve(&Reserve::new("web", &lines)).await).id);
        }
    }
    done(client.confirm(&ids[1], Part::Whole).await);
    let losses = ["A", "B"].map(|sku| SetStock::new(sku, 7));
    done(client.set_stock(&losses, "water").await);

    let first = client.deficits(None, 1, Some(DeficitOrder::Held)).await;
    let first = first.unwrap();
    assert_eq!(first.next.as_deref(), Some("A"));
    let found = &first.data[0];
    assert_eq!((&*found.sku, found.deficit, found.lines), ("A", 3, 1));
    let risk = &found.promises[0];
    assert_eq!((&risk.reservation_id, risk.held), (&ids[0], 4));
    assert_eq!((&*risk.channel, &risk.charged_to), ("web", &None));
    let rest = client.deficits(Some("A"), 10, None).await.unwrap();
    assert_eq!((rest.data.len(), &*rest.data[0].sku), (1, "B"));
    let events = client.events(None, 1_000).await.unwrap().data;
    let told = events.iter().filter(|event| event["type"] == "sku.deficit");
    let told: Vec<_> = told
        .map(|event| (&event["sku"], &event["deficit"]))
        .collect();
    assert_eq!(told, [(&json!("A"), &json!(3)), (&json!("B"), &json!(3))]);

    let key: IdempotencyKey = client.new_key();
    let what = ReleaseDeficit {
        order: Some(DeficitOrder::Held),
        units: Some(2),
    };
    let taken = done(client.release_deficit_with_key(&key, "A", what).await);
    assert_eq!((taken.deficit, taken.results.len()), (1, 1));
    let result = &taken.results[0];
    assert_eq!((&result.reservation_id, result.units), (&ids[0], 2));
    assert!(result.released);
    let again = done(client.release_deficit_with_key(&key, "A", what).await);
    assert_eq!(
        (again.deficit, again.results.len()),
        (1, 0),
        "a key releases once"
    );
    let rest = client.release_deficit("A", ReleaseDeficit::default()).await;
    assert_eq!(done(rest).deficit, 0);
    let mended = client.deficit("A", None).await.unwrap().unwrap();
    assert_eq!((mended.deficit, mended.lines), (0, 0));
    let unknown = client.release_deficit("C", ReleaseDeficit::default());
    rejected(unknown.await, 404, "unknown_sku");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_without_is_told_with_whose_share_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path());
    let client = server.client();
    put(&client, "A", 10).await;
    let limit = |channel| json!({"channel": channel, "cap": {"units": 5}});
    let policy = json!({
        "channels": [{"name": "live", "fallback": ["shop"]}, {"name": "shop"}],
        "rules": [{"id": "all", "default": true, "limits": [limit("live"), limit("shop")]}]
    });
    done(client.put_policy(&policy, 0, Author::default()).await);
    for _ in 0..2 {
        let lines = [Line::new("A", 5)];
        done(client.reserve(&Reserve::new("live", &lines)).await);
    }
    put(&client, "A", 0).await;
    let found = client.deficit("A", Some(DeficitOrder::Oldest)).await;
    let found = found.unwrap().unwrap();
    let who = found
        .promises
        .iter()
        .map(|of| (&*of.channel, of.charged_to.as_deref()));
    let mut who: Vec<_> = who.collect();
    who.sort_unstable();
    assert_eq!(who, [("live", None), ("live", Some("shop"))]);
}
