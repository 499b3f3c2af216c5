//! `preflight`: its exit code is what a job waits for.

use serde_json::json;

use crate::support::{Server, file, folder, run};

const STOCK: &str = r#"{"items":[{"sku":"a","on_hand":50}],"reason":"count"}"#;

/// A campaign that is years away.
fn policy(payment: u32) -> String {
    let campaign = json!({
        "name": "drop",
        "from": "2999-01-01T00:00:00Z",
        "until": "2999-01-02T00:00:00Z",
        "skus": ["a"],
        "hold_seconds": 600,
        "payment_seconds": payment,
    });
    json!({"channels": [], "rules": [], "campaigns": [campaign]}).to_string()
}

#[test]
fn campaign_without_findings_is_0_and_one_with_findings_is_6() {
    let inside = folder();
    let mut server = Server::start(inside.path(), &[]);
    let address = server.address.clone();
    let preflight = |more: &[&str]| {
        let mut arguments = vec!["preflight", "drop", "--server", &address];
        arguments.extend(more);
        run(inside.path(), &arguments)
    };
    let unknown = preflight(&[]);
    assert_eq!(unknown.code, Some(1), "{}", unknown.err);
    assert!(unknown.err.contains("unknown_campaign"), "{}", unknown.err);

    let (status, answer) = server.post("/v1/stock", "count", STOCK);
    assert_eq!(status, 200, "{answer}");
    file(&inside, "good.json", &policy(600));
    let good = preflight(&["--file", "good.json"]);
    assert_eq!(good.code, Some(0), "{}", good.err);
    assert_eq!(
        good.out.trim_end(),
        "campaign drop (planned), 1 SKUs: nothing found"
    );

    file(&inside, "bad.json", &policy(601));
    let bad = preflight(&["--file", "bad.json"]);
    assert_eq!(bad.code, Some(6), "{}", bad.err);
    let lines: Vec<_> = bad.out.lines().collect();
    assert_eq!(
        lines[0],
        "campaign drop (planned), 1 SKUs: 1 errors, 0 warnings"
    );
    assert!(
        lines[1].starts_with("error   hold_shorter_than_payment: "),
        "{lines:?}"
    );
    assert!(lines[2].contains("set hold_seconds to 601"), "{lines:?}");
    assert!(
        bad.err.contains("campaign drop has 1 findings"),
        "{}",
        bad.err
    );

    let (status, answer) = server.put("/v1/policy", &policy(601));
    assert_eq!(status, 200, "{answer}");
    let put = preflight(&["--json"]);
    assert_eq!(put.code, Some(6), "{}", put.err);
    let told = put.json();
    assert_eq!((&told["version"], &told["errors"]), (&json!(1), &json!(1)));

    file(&inside, "worse.json", &policy(0));
    let worse = preflight(&["--file", "worse.json"]);
    assert_eq!(worse.code, Some(1), "{}", worse.err);
    assert!(
        worse.err.contains("campaigns[0].payment_seconds"),
        "{}",
        worse.err
    );
    server.stop();
}
