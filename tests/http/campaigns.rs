//! Campaigns over HTTP: what is listed, what a pre-flight finds, what applies when, what is frozen.

use holdfast::http::campaign_answers::{Campaigns, Preflight, PreflightFinding};
use holdfast::http::policy_answers::PolicyPut;
use serde_json::{Value, json};

use crate::support::{Answer, Client, Running};

const HOUR: i64 = 3_600_000;

/// From one to two hours after the start: `live` may take 40 of each, and pays within 15 minutes.
fn policy() -> Value {
    json!({
        "channels": [{"name": "live"}, {"name": "shop"}],
        "rules": [{"id": "usual", "default": true, "limits": [
            {"channel": "live", "cap": {"units": 60}}
        ]}],
        "change_sets": [{
            "name": "afternoon",
            "from": "2026-11-11T15:00:00Z",
            "until": "2026-11-11T16:00:00Z",
            "rules": [{"id": "less", "default": true, "limits": [
                {"channel": "live", "cap": {"units": 50}}
            ]}]
        }],
        "campaigns": [{
            "name": "drop",
            "from": "2026-11-11T13:00:00Z",
            "until": "2026-11-11T14:00:00Z",
            "skus": ["a", "b"],
            "limits": [
                {"channel": "live", "cap": {"units": 40}},
                {"channel": "shop", "protection": {"percent": 20}}
            ],
            "hold_seconds": 900,
            "payment_seconds": 900,
            "nodes": ["main"],
            "expected": [
                {"channel": "live", "units": 40, "sku": "a"},
                {"channel": "shop", "units": 60}
            ],
            "freeze": true
        }]
    })
}

fn put(client: &mut Client, query: &str, version: u64, policy: &Value) -> Answer {
    let tag = format!("\"v{version}\"");
    let headers = [("content-type", "application/json"), ("if-match", &tag)];
    let headers = if version == 0 {
        &headers[..1]
    } else {
        &headers[..]
    };
    let path = format!("/v1/policy{query}");
    client.call("PUT", &path, headers, policy.to_string().as_bytes())
}

fn hold(client: &mut Client, key: &str, quantity: u64) -> Answer {
    let lines = json!([{"sku": "a", "quantity": quantity}]);
    let body = json!({"channel": "live", "lines": lines});
    client.post("/v1/reservations", key, &body.to_string())
}

fn report(answer: &Answer) -> Preflight {
    answer.expect(200);
    serde_json::from_slice(&answer.body).unwrap()
}

/// A pre-flight of a policy that is not put.
fn look(client: &mut Client, policy: &Value) -> Preflight {
    let headers = [("content-type", "application/json")];
    let path = "/v1/campaigns/drop/preflight";
    report(&client.call("POST", path, &headers, policy.to_string().as_bytes()))
}

/// What was found: code, SKU and channel.
fn found(report: &Preflight) -> Vec<(&str, &str, &str)> {
    let findings = report.findings.iter();
    findings
        .map(|of| {
            let (sku, channel) = (of.sku.as_deref(), of.channel.as_deref());
            (
                &*of.code,
                sku.unwrap_or_default(),
                channel.unwrap_or_default(),
            )
        })
        .collect()
}

#[test]
fn campaigns_are_listed_with_where_they_stand() {
    let server = Running::start();
    let mut client = server.client();
    let list = |client: &mut Client| -> Campaigns {
        let answer = client.get("/v1/campaigns");
        answer.expect(200);
        serde_json::from_slice(&answer.body).unwrap()
    };
    let none = list(&mut client);
    assert_eq!((none.version, none.campaigns.len()), (None, 0));
    put(&mut client, "", 0, &policy()).expect(200);
    for (ms, state) in [
        (HOUR - 1, "planned"),
        (1, "frozen"),
        (HOUR - 1, "frozen"),
        (1, "over"),
    ] {
        server.clock.advance(ms);
        let listed = list(&mut client);
        let [drop] = &listed.campaigns[..] else {
            panic!("{listed:?}")
        };
        assert_eq!(
            (&*drop.name, &*drop.state, drop.skus),
            ("drop", state, Some(2))
        );
    }
}

#[test]
fn what_applies_changes_to_the_millisecond() {
    let server = Running::start();
    server.stock("a", 100);
    let mut client = server.client();
    put(&mut client, "", 0, &policy()).expect(200);
    let mut number = 0;
    let mut most = |client: &mut Client| {
        number += 1;
        let refused = hold(client, &format!("most-{number}"), 101);
        let problem = refused.problem(409, "insufficient_stock");
        problem["shortages"][0]["available"].as_u64().unwrap()
    };
    for (ms, cap) in [
        (HOUR - 1, 60),
        (1, 40),
        (HOUR - 1, 40),
        (1, 60),
        (HOUR - 1, 60),
        (1, 50),
        (HOUR - 1, 50),
        (1, 60),
    ] {
        server.clock.advance(ms);
        assert_eq!(most(&mut client), cap);
    }
}

#[test]
fn hold_lives_as_long_as_the_campaign_says() {
    let server = Running::start();
    server.stock("a", 100);
    let mut client = server.client();
    let mut policy = policy();
    policy["campaigns"][0]["hold_seconds"] = json!(120);
    put(&mut client, "", 0, &policy).expect(200);
    let expires = |answer: Answer| answer.expect(201)["expires_at"].clone();
    let before = expires(hold(&mut client, "before", 1));
    assert_eq!(before, "2026-11-11T12:15:00.000Z");
    server.clock.advance(HOUR);
    let meanwhile = expires(hold(&mut client, "meanwhile", 1));
    assert_eq!(meanwhile, "2026-11-11T13:02:00.000Z");
    server.clock.advance(120_000 - 1);
    let path = "/v1/atp/a";
    assert_eq!(client.get(path).expect(200)["available"], 99);
    server.clock.advance(1);
    assert_eq!(client.get(path).expect(200)["available"], 100);
}

#[test]
fn nothing_is_edited_while_the_campaign_is_on() {
    let server = Running::start();
    server.stock("a", 100);
    let mut client = server.client();
    put(&mut client, "", 0, &policy()).expect(200);
    server.clock.advance(HOUR);
    let frozen = |problem: Value| {
        assert_eq!(problem["campaign"], "drop");
        assert_eq!(problem["until"], "2026-11-11T14:00:00.000Z");
    };
    frozen(put(&mut client, "", 1, &policy()).problem(409, "policy_frozen"));
    // A dry run tells what is wrong with the document, and by the way that it has to wait.
    let tried = put(&mut client, "?dry_run=true", 1, &policy());
    frozen(tried.expect(200)["frozen"].clone());
    let tried: PolicyPut = serde_json::from_slice(&tried.body).unwrap();
    assert!(tried.dry_run && tried.changes.is_empty());
    let over = put(&mut client, "?dry_run=true&override=recall", 1, &policy());
    assert!(over.expect(200).get("frozen").is_none());
    let mut faulty = policy();
    faulty["rules"][0]["limits"][0]["cap"] = json!({"percent": 140});
    put(&mut client, "?dry_run=true", 1, &faulty).problem(422, "policy_invalid");
    let mut put_settings = |body: Value| {
        let headers = [("content-type", "application/json"), ("if-match", "*")];
        client.call("PUT", "/v1/skus/a", &headers, body.to_string().as_bytes())
    };
    frozen(put_settings(json!({"selling": "suspended"})).problem(409, "policy_frozen"));
    let empty = json!({"selling": "suspended", "override": ""});
    put_settings(empty).problem(422, "invalid_body");
    put_settings(json!({"selling": "suspended", "override": "recall"})).expect(200);
    put(&mut client, "?override=recall", 1, &policy()).expect(200);
    let versions = client.get("/v1/policy/versions").expect(200);
    assert_eq!(versions["versions"][0]["override"], "recall");
    let events = client.get("/v1/events?limit=100").text().to_owned();
    assert!(events.contains(r#""override":"recall""#), "{events}");
    // A roll-back is an edit.
    let headers = [("content-type", "application/json")];
    let back = client.call("POST", "/v1/policy/rollback", &headers, br#"{"version":1}"#);
    frozen(back.problem(409, "policy_frozen"));
    server.clock.advance(HOUR);
    let back = client.call("POST", "/v1/policy/rollback", &headers, br#"{"version":1}"#);
    back.expect(200);
}

#[test]
fn clean_campaign_has_no_findings() {
    let server = Running::start();
    server.stock("a", 50);
    server.stock("b", 50);
    let mut client = server.client();
    put(&mut client, "", 0, &policy()).expect(200);
    let looked = report(&client.get("/v1/campaigns/drop/preflight"));
    assert_eq!(found(&looked), []);
    let about = (looked.clean, looked.skus, looked.version, &*looked.state);
    assert_eq!(about, (true, 2, Some(1), "planned"));
    assert_eq!(look(&mut client, &policy()).version, None);
}

#[test]
fn prepared_mistakes_are_all_found_with_their_fixes() {
    let server = Running::start();
    server.stock("a", 50);
    server.stock("b", 30);
    let mut client = server.client();
    let body = json!({"selling": "suspended", "low_water": 30});
    let headers = [("content-type", "application/json"), ("if-match", "*")];
    let put = client.call("PUT", "/v1/skus/b", &headers, body.to_string().as_bytes());
    put.expect(200);
    let mut policy = policy();
    let campaign = &mut policy["campaigns"][0];
    campaign["skus"] = json!(["a", "b", "nobody-set-it"]);
    campaign["payment_seconds"] = json!(1_200);
    campaign["nodes"] = json!(["main", "mian"]);
    campaign["expected"] = json!([{"channel": "live", "units": 100, "sku": "a"}]);
    campaign["limits"][1]["protection"] = json!({"units": 51});
    policy["change_sets"][0]["from"] = json!("2026-11-11T13:59:59.999Z");
    let looked = look(&mut client, &policy);
    let expected = [
        ("hold_shorter_than_payment", "", ""),
        ("unknown_node", "", ""),
        ("change_set_shadowed", "", ""),
        ("channel_never_seen", "", "live"),
        ("channel_never_seen", "", "shop"),
        ("expected_above_reach", "a", "live"),
        ("expected_above_pool", "", ""),
        ("protection_above_supply", "a", ""),
        ("suspended", "b", ""),
        ("cap_above_pool", "b", "live"),
        ("protection_above_supply", "b", ""),
        ("low_stock", "b", ""),
        ("unknown_sku", "nobody-set-it", ""),
    ];
    assert_eq!(found(&looked), expected);
    assert_eq!((looked.errors, looked.warnings), (9, 4));
    assert!(looked.findings.iter().all(|of| !of.fix.is_empty()));
}

#[test]
fn prefix_stands_for_the_skus_that_there_are() {
    let server = Running::start();
    for sku in ["sum-1", "sum-2", "win-1"] {
        server.stock(sku, 50);
    }
    let mut client = server.client();
    let mut policy = policy();
    policy["sets"] = json!([{"name": "summer", "prefix": "sum-"}, {"name": "none", "prefix": "x"}]);
    let campaign = policy["campaigns"][0].as_object_mut().unwrap();
    campaign.remove("skus");
    campaign.remove("expected");
    campaign.insert("set".into(), json!("summer"));
    put(&mut client, "", 0, &policy).expect(200);
    let looked = report(&client.get("/v1/campaigns/drop/preflight"));
    assert_eq!((looked.skus, looked.clean), (2, true));
    policy["campaigns"][0]["set"] = json!("none");
    assert_eq!(
        found(&look(&mut client, &policy)),
        [("nothing_sold", "", "")]
    );
}

fn many(number: usize) -> String {
    format!("sum-{number:05}")
}

#[test]
fn preflight_looks_at_so_many_skus_and_says_so() {
    let server = Running::start();
    let mut client = server.client();
    for page in 0..11 {
        let items: Vec<Value> = (0..1_000.min(10_001 - page * 1_000))
            .map(|n| json!({"sku": many(page * 1_000 + n), "on_hand": 50}))
            .collect();
        let body = json!({"reason": "count", "items": items}).to_string();
        client
            .post("/v1/stock", &format!("count-{page}"), &body)
            .expect(200);
    }
    let mut policy = policy();
    policy["sets"] = json!([{"name": "summer", "prefix": "sum-"}]);
    let campaign = policy["campaigns"][0].as_object_mut().unwrap();
    campaign.remove("skus");
    campaign.remove("expected");
    campaign.insert("set".into(), json!("summer"));
    put(&mut client, "", 0, &policy).expect(200);
    let looked = look(&mut client, &policy);
    assert_eq!(looked.skus, 10_000);
    assert_eq!(found(&looked), [("skus_left_out", "", "")]);

    // All there are of all of them, and the last of a list: neither is too much.
    let last = many(10_000);
    policy["campaigns"][0]["expected"] = json!([
        {"channel": "shop", "units": 50 * 10_001 - 40},
        {"channel": "live", "units": 40, "sku": last},
    ]);
    let prefix = policy["sets"][0].clone();
    let list: Vec<_> = (0..=10_000).map(many).collect();
    for set in [&json!({"name": "summer", "skus": list}), &prefix] {
        policy["sets"][0] = set.clone();
        let looked = look(&mut client, &policy);
        assert_eq!(found(&looked), [("skus_left_out", "", "")]);
    }
    policy["campaigns"][0]["expected"][1]["units"] = json!(41);
    let too_much = ("expected_above_reach", &*last, "live");
    let looked = look(&mut client, &policy);
    assert_eq!(found(&looked), [("skus_left_out", "", ""), too_much]);

    let campaign = policy["campaigns"][0].as_object_mut().unwrap();
    campaign.remove("expected");
    policy["sets"][0]["prefix"] = json!("sum-09");
    let looked = look(&mut client, &policy);
    assert_eq!((looked.skus, looked.clean), (1_000, true));
}

#[test]
fn the_more_channels_a_campaign_names_the_fewer_skus_are_looked_at() {
    let server = Running::start();
    let mut client = server.client();
    let list: Vec<_> = (0..401).map(many).collect();
    let items: Vec<_> = list
        .iter()
        .map(|sku| json!({"sku": sku, "on_hand": 50}))
        .collect();
    let body = json!({"reason": "count", "items": items}).to_string();
    client.post("/v1/stock", "count", &body).expect(200);
    let names = || (0..500).map(|n| format!("c{n}"));
    let channels: Vec<_> = names().map(|name| json!({"name": name})).collect();
    let limits: Vec<_> = names()
        .map(|name| json!({"channel": name, "cap": {"units": 1}}))
        .collect();
    let mut policy = json!({"channels": channels, "campaigns": [{
        "name": "drop",
        "from": "2026-11-11T13:00:00Z",
        "until": "2026-11-11T14:00:00Z",
        "skus": &list[..400],
        "limits": limits,
        "expected": [{"channel": "c0", "units": 400}]
    }]});
    put(&mut client, "", 0, &policy).expect(200);
    let whole = look(&mut client, &policy);
    assert_eq!((whole.skus, whole.clean), (400, true));
    policy["campaigns"][0]["skus"] = json!(list);
    let cut = look(&mut client, &policy);
    assert_eq!(cut.skus, 400);
    assert_eq!(found(&cut), [("skus_left_out", "", "")]);
}

#[test]
fn what_other_nodes_keep_is_not_kept_at_those_of_the_campaign() {
    let server = Running::start();
    let mut client = server.client();
    let items = ["east", "west"].map(|node| json!({"sku": "a", "node": node, "on_hand": 100}));
    let body = json!({"reason": "count", "items": items}).to_string();
    client.post("/v1/stock", "count", &body).expect(200);
    let mut policy = policy();
    let campaign = &mut policy["campaigns"][0];
    campaign["skus"] = json!(["a"]);
    campaign["nodes"] = json!(["east"]);
    campaign["expected"] = json!([]);
    campaign["limits"] = json!([{"channel": "live", "cap": {"units": 90}}]);
    put(&mut client, "", 0, &policy).expect(200);
    let mut found_with = |settings: Value| {
        let headers = [("content-type", "application/json"), ("if-match", "*")];
        let body = settings.to_string();
        let put = client.call("PUT", "/v1/skus/a", &headers, body.as_bytes());
        put.expect(200);
        let looked = report(&client.get("/v1/campaigns/drop/preflight"));
        let findings = looked.findings.iter();
        let about = |of: &PreflightFinding| (of.code.clone(), of.fix.clone());
        findings.map(about).collect::<Vec<_>>()
    };
    let short = |units: u64| {
        let fix = format!("lower the cap, or add {units} units");
        vec![("cap_above_pool".to_owned(), fix)]
    };
    let west = json!({"node": "west", "units": 100});
    let east = |units: u64| json!({"node": "east", "units": units});
    assert_eq!(found_with(json!({"node_safety": [west]})), []);
    let settings = json!({"node_safety": [west, east(15)]});
    assert_eq!(found_with(settings), short(5), "the node keeps 15");
    let settings = json!({"safety_stock": {"units": 120}, "node_safety": [west, east(15)]});
    assert_eq!(found_with(settings), short(10), "20 beyond what west keeps");
    let settings = json!({"safety_stock": {"units": 11}, "node_safety": []});
    assert_eq!(found_with(settings), short(1), "nobody else keeps it");
}

#[test]
fn preflight_of_nothing_says_what_is_wrong() {
    let server = Running::start();
    let mut client = server.client();
    let path = "/v1/campaigns/drop/preflight";
    client.get(path).problem(404, "unknown_campaign");
    let path = "/v1/campaigns/d%20p/preflight";
    client.get(path).problem(400, "invalid_parameter");
    let path = "/v1/campaigns/drop/preflight?stale_after_seconds=soon";
    client.get(path).problem(400, "invalid_parameter");
    let headers = [("content-type", "application/json")];
    let mut post =
        |body: &[u8]| client.call("POST", "/v1/campaigns/drop/preflight", &headers, body);
    post(b"[]").problem(400, "malformed_body");
    post(b"{}").problem(404, "unknown_campaign");
    post(br#"{"channels":[{"name":"a b"}]}"#).problem(422, "policy_invalid");
}
