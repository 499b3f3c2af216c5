//! Campaigns, versions of the policy and the sharing out of share through the client.

use std::time::Duration;

use holdfast_client::{Author, CampaignState, Line, MoveShare, RebalanceBy, Reserve, Severity};
use serde_json::{Value, json};

use crate::support::{Running, done, put, rejected};

/// A campaign long before the server's clock, and one far ahead that sells more than there is.
fn policy() -> Value {
    let campaign = |name: &str, from: &str, until: &str| {
        json!({
            "name": name, "from": from, "until": until, "skus": ["A"],
            "limits": [{"channel": "live", "cap": {"units": 6}}],
            "expected": [{"channel": "live", "units": 60, "sku": "A"}]
        })
    };
    let limit = |channel| json!({"channel": channel, "cap": {"percent": 50}});
    json!({
        "channels": [{"name": "live"}, {"name": "shop"}],
        "rules": [{"id": "all", "default": true, "limits": [limit("live"), limit("shop")]}],
        "campaigns": [
            campaign("past", "2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"),
            campaign("drop", "2090-01-01T00:00:00Z", "2090-01-02T00:00:00Z")
        ]
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn campaigns_are_listed_and_looked_at_before_they_begin() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path());
    let client = server.client();
    put(&client, "A", 10).await;
    let none = client.campaigns().await.unwrap();
    assert_eq!((none.version, none.campaigns.len()), (None, 0));
    assert_eq!(client.preflight("drop", None).await, Ok(None));
    let before = client.preflight_of(&policy(), "drop", None).await.unwrap();
    assert_eq!(
        (before.version, before.state),
        (None, CampaignState::Planned)
    );

    done(client.put_policy(&policy(), 0, Author::default()).await);
    let listed = client.campaigns().await.unwrap();
    assert_eq!(listed.version, Some(1));
    let stand = listed.campaigns.iter().map(|of| (&*of.name, of.state));
    let expected = [
        ("past", CampaignState::Over),
        ("drop", CampaignState::Planned),
    ];
    assert_eq!(stand.collect::<Vec<_>>(), expected);
    let week = Some(Duration::from_hours(7 * 24));
    let found = client.preflight("drop", week).await.unwrap().unwrap();
    assert_eq!(
        (&*found.campaign, found.version, found.skus),
        ("drop", Some(1), 1)
    );
    assert!(!found.clean && found.errors > 0, "{found:?}");
    let errors = found.findings.iter();
    let errors = errors.filter(|of| of.severity == Severity::Error).count();
    assert_eq!(u64::try_from(errors).unwrap(), found.errors);
    let unknown = client.preflight_of(&policy(), "never", None).await;
    rejected(unknown, 404, "unknown_campaign");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_are_read_and_share_is_shared_out_anew() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path());
    let client = server.client();
    put(&client, "A", 100).await;
    assert_eq!(client.policy_versions().await, Ok(Vec::new()));
    assert_eq!(client.policy_version(1).await, Ok(None));
    let author = Author {
        operator: Some("anna"),
        reason: Some("half each"),
        over: None,
    };
    done(client.put_policy(&policy(), 0, author).await);
    let versions = client.policy_versions().await.unwrap();
    assert_eq!((versions.len(), &*versions[0].operator), (1, "anna"));
    let first = client.policy_version(1).await.unwrap().unwrap();
    assert_eq!(
        (&first.version, &*first.version.reason),
        (&versions[0], "half each")
    );
    assert_eq!(first.policy["rules"], policy()["rules"]);

    assert_eq!(client.rebalance("B", RebalanceBy::Use).await, Ok(None));
    let lines = [Line::new("A", 40)];
    done(client.reserve(&Reserve::new("live", &lines)).await);
    let even = client.rebalance("A", RebalanceBy::Even).await.unwrap();
    let even = even.unwrap();
    assert_eq!((&*even.sku, even.version), ("A", 1));
    let moves: Vec<MoveShare<'_>> = even.items.iter().map(|of| of.as_move()).collect();
    let expected = MoveShare {
        sku: "A",
        from: "shop",
        to: "live",
        units: 20,
    };
    assert_eq!(moves, [expected]);
    done(client.move_shares(&moves, "to each the same").await);
    let even = client.rebalance("A", RebalanceBy::Even).await.unwrap();
    assert_eq!(even.unwrap().items, []);
}
