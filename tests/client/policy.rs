//! The policy through the client.

use holdfast_client::{Author, MoveShare, SetStock};
use serde_json::{Value, json};

use crate::support::{Running, done, refused, rejected};

/// Two channels that may each take so much of everything.
fn capped(percent: u64) -> Value {
    let limit = |channel| json!({"channel": channel, "cap": {"percent": percent}});
    json!({
        "channels": [{"name": "live"}, {"name": "shop"}],
        "rules": [{"id": "all", "default": true, "limits": [limit("live"), limit("shop")]}]
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_is_put_and_taken_back_and_its_shares_are_moved() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path());
    let client = server.client();
    done(client.set_stock(&[SetStock::new("A", 100)], "count").await);
    assert_eq!(client.policy().await, Ok(None));
    let anna = Author {
        operator: Some("anna"),
        reason: Some("half each & no more"),
        over: None,
    };
    let put = done(client.put_policy(&capped(50), 0, anna).await);
    assert_eq!(
        (put.version, &*put.changes["rules"].added),
        (1, &["all".to_owned()][..])
    );
    let stale = client.put_policy(&capped(40), 0, anna).await;
    rejected(stale, 428, "precondition_required");
    let late = client.put_policy(&capped(40), 7, anna).await;
    assert_eq!(refused(late, "version_mismatch").version, Some(1));
    let faulty = client.put_policy(&capped(140), 1, anna).await;
    rejected(faulty, 422, "policy_invalid");
    assert_eq!(
        done(client.put_policy(&capped(40), 1, anna).await).version,
        2
    );
    let back = client.roll_back_policy(1, 2, Author::default()).await;
    let back = done(back);
    assert_eq!(
        (back.version, &*back.changes["rules"].changed),
        (3, &["all".to_owned()][..])
    );
    assert_eq!(
        client.policy().await.unwrap().unwrap()["rules"],
        capped(50)["rules"]
    );

    let shift = |units| MoveShare {
        sku: "A",
        from: "shop",
        to: "live",
        units,
    };
    let moved = done(client.move_shares(&[shift(20)], "live sells better").await);
    assert_eq!((&*moved[0].from, moved[0].units), ("shop", 20));
    assert_eq!(moved[0].window, None);
    let over = client.move_shares(&[shift(31)], "more of it").await;
    refused(over, "over_share");
    let found = client.sku_policy("A").await.unwrap().unwrap();
    let caps: Vec<_> = found.channels.iter().map(|of| of.share.cap).collect();
    assert_eq!(caps, [Some(70), Some(30)]);
}
