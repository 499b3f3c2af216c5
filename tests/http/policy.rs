//! The policy: put, read, taken back, and what it says of SKUs and refusals.

use holdfast::http::policy_answers::{PolicyPut, PolicyVersionWhole, PolicyVersions, SkuPolicy};
use serde_json::{Value, json};

use crate::support::{Answer, Client, Running};

const JSON: (&str, &str) = ("content-type", "application/json");

fn put(client: &mut Client, query: &str, tag: Option<&str>, policy: &Value) -> Answer {
    let mut headers = vec![JSON];
    headers.extend(tag.map(|tag| ("if-match", tag)));
    let path = format!("/v1/policy{query}");
    client.call("PUT", &path, &headers, policy.to_string().as_bytes())
}

/// A cap in percent for `live`, and so many units kept for `shop`.
fn policy(percent: impl Into<Value>, kept: u64) -> Value {
    let percent: Value = percent.into();
    json!({
        "channels": [{"name": "live"}, {"name": "live.tiktok", "parent": "live"}, {"name": "shop"}],
        "rules": [{"id": "all", "default": true, "limits": [
            {"channel": "live", "cap": {"percent": percent}},
            {"channel": "shop", "protection": {"units": kept}},
        ]}],
    })
}

fn hold(client: &mut Client, key: &str, channel: &str, quantity: u64) -> Answer {
    let body = json!({"channel": channel, "lines": [{"sku": "a", "quantity": quantity}]});
    client.post("/v1/reservations", key, &body.to_string())
}

#[test]
fn a_policy_is_guarded_by_its_version() {
    let server = Running::start();
    let mut client = server.client();
    client.get("/v1/policy").problem(404, "no_policy");
    let wrong = put(&mut client, "", Some("\"v1\""), &policy(60, 0));
    wrong.problem(412, "version_mismatch");
    let query = "?operator=anna&reason=spring%20sale";
    let made = put(&mut client, query, None, &policy(60, 20));
    made.expect(200);
    let put_answer: PolicyPut = serde_json::from_slice(&made.body).unwrap();
    assert_eq!(put_answer.version, Some(1));
    assert_eq!(put_answer.operator.as_deref(), Some("anna"));
    assert_eq!(put_answer.reason.as_deref(), Some("spring sale"));
    let channels = &put_answer.changes["channels"];
    assert_eq!(channels.added, ["live", "live.tiktok", "shop"]);
    assert_eq!(made.header("etag"), Some("\"v1\""));

    let read = client.get("/v1/policy");
    assert_eq!(read.expect(200)["rules"], policy(60, 20)["rules"]);
    assert_eq!(read.header("etag"), Some("\"v1\""));
    let missing = put(&mut client, "", None, &policy(50, 20));
    missing.problem(428, "precondition_required");
    let stale = put(&mut client, "", Some("\"v7\""), &policy(50, 20));
    assert_eq!(stale.problem(412, "version_mismatch")["version"], 1);
    let next = put(&mut client, "", Some("\"v1\""), &policy(12.5, 20)).expect(200);
    let change = json!({"added": [], "removed": [], "changed": ["all"]});
    assert_eq!(next["changes"], json!({"rules": change}));
    let any = put(&mut client, "", Some("*"), &json!({})).expect(200);
    assert_eq!(any["version"], 3);

    let listed = client.get("/v1/policy/versions");
    listed.expect(200);
    let listed: PolicyVersions = serde_json::from_slice(&listed.body).unwrap();
    let numbers: Vec<u64> = listed.versions.iter().map(|of| of.version).collect();
    assert_eq!(numbers, [3, 2, 1]);
    assert_eq!(listed.versions[2].reason, "spring sale");
    let second = client.get("/v1/policy/versions/2");
    second.expect(200);
    let second: PolicyVersionWhole = serde_json::from_slice(&second.body).unwrap();
    assert_eq!(second.policy.0, policy(12.5, 20));
    for other in ["0", "4", "x"] {
        let path = format!("/v1/policy/versions/{other}");
        client.get(&path).problem(404, "unknown_policy_version");
    }
}

#[test]
fn an_earlier_policy_comes_back_as_a_new_version() {
    let server = Running::start();
    server.stock("a", 100);
    let mut client = server.client();
    put(&mut client, "", None, &policy(60, 0)).expect(200);
    put(&mut client, "", Some("*"), &policy(10, 0)).expect(200);
    hold(&mut client, "1", "live", 11).problem(409, "insufficient_stock");
    let back = |client: &mut Client, tag: Option<&str>, body: Value| {
        let mut headers = vec![JSON];
        headers.extend(tag.map(|tag| ("if-match", tag)));
        let body = body.to_string();
        client.call("POST", "/v1/policy/rollback", &headers, body.as_bytes())
    };
    back(&mut client, None, json!({})).problem(422, "invalid_body");
    back(&mut client, None, json!({"version": 9})).problem(404, "unknown_policy_version");
    back(&mut client, Some("\"v1\""), json!({"version": 1})).problem(412, "version_mismatch");
    let body = json!({"version": 1, "operator": "anna", "reason": "too low"});
    let done = back(&mut client, Some("\"v2\""), body).expect(200);
    assert_eq!(
        (&done["version"], &done["reason"]),
        (&json!(3), &json!("too low"))
    );
    hold(&mut client, "2", "live", 60).expect(201);
    assert_eq!(
        client.get("/v1/policy").expect(200)["rules"],
        policy(60, 0)["rules"]
    );
}

#[test]
fn a_dry_run_finds_everything_and_changes_nothing() {
    let server = Running::start();
    let mut client = server.client();
    let good = put(&mut client, "?dry_run=true", None, &policy(60, 1)).expect(200);
    assert_eq!(
        (&good["dry_run"], &good["version"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(good["changes"]["rules"]["added"], json!(["all"]));
    client.get("/v1/policy").problem(404, "no_policy");
    let mut bad = policy(101, 1);
    bad["channels"][0]["rank"] = json!(0);
    bad["rules"][0]["limits"][1]["channel"] = json!("nobody");
    for query in ["", "?dry_run=true"] {
        let problem = put(&mut client, query, None, &bad).problem(422, "policy_invalid");
        let errors = problem["errors"].as_array().unwrap();
        let paths: Vec<&str> = errors
            .iter()
            .map(|of| of["path"].as_str().unwrap())
            .collect();
        for path in [
            "channels[0].rank",
            "rules[0].limits[0].cap.percent",
            "rules[0].limits[1].channel",
        ] {
            assert!(paths.contains(&path), "{path}: {paths:?}");
        }
        assert!(
            errors
                .iter()
                .all(|of| of["code"].is_string() && of["message"].is_string())
        );
    }
    let malformed = put(&mut client, "", None, &json!({"rules": [[]]}));
    let malformed = malformed.problem(400, "malformed_body");
    assert!(
        malformed["detail"]
            .as_str()
            .unwrap()
            .starts_with("rules[0]"),
        "{malformed}"
    );
    for query in ["?dry_run=yes", "?operator=a&operator=b", "?who=me"] {
        let answer = put(&mut client, query, None, &policy(60, 1));
        answer.problem(400, "invalid_parameter");
    }
    client.get("/v1/policy").problem(404, "no_policy");
}

#[test]
fn refusals_and_availability_say_which_share_binds() {
    let server = Running::start();
    server.stock("a", 1_000);
    let mut client = server.client();
    put(&mut client, "", None, &policy(60, 300)).expect(200);
    hold(&mut client, "1", "live.tiktok", 580).expect(201);
    let refused = hold(&mut client, "2", "live", 21);
    let problem = refused.problem(409, "insufficient_stock");
    let text = "cap of live: 60 % of 1000 = 600, 580 used; 20 would have passed";
    assert_eq!(
        problem["shortages"][0],
        json!({"sku": "a", "node": null, "requested": 21, "available": 20, "short": 1,
            "limit": "cap", "channel": "live", "units": 600, "used": 580, "supply": 1000,
            "text": text})
    );
    let again = hold(&mut client, "2", "live", 21);
    assert_eq!(
        again.problem(409, "insufficient_stock")["shortages"],
        problem["shortages"]
    );
    let other = hold(&mut client, "3", "web", 121);
    let other = other.problem(409, "insufficient_stock")["shortages"][0].clone();
    assert_eq!(
        (&other["limit"], &other["channel"]),
        (&json!("protection"), &json!("shop"))
    );
    assert_eq!(
        other["text"],
        "protection of shop: 300, 0 used; 120 would have passed"
    );

    let atp =
        |client: &mut Client, query: &str| client.get(&format!("/v1/atp/a{query}")).expect(200);
    assert_eq!(atp(&mut client, "")["available"], 420);
    assert!(atp(&mut client, "")["limits"].get("used").is_none());
    let live = atp(&mut client, "?channel=live");
    assert_eq!(
        (&live["available"], &live["limits"]["limit"]),
        (&json!(20), &json!("cap"))
    );
    assert_eq!(
        (&live["limits"]["cap"], &live["limits"]["used"]),
        (&json!(600), &json!(580))
    );
    let text = "cap of live: 60 % of 1000 = 600, 580 used; 20 left";
    assert_eq!(live["limits"]["bound"]["text"], text);
    assert_eq!(atp(&mut client, "?channel=shop")["available"], 420);
    assert_eq!(atp(&mut client, "?channel=never-seen")["available"], 120);
    let body = json!({"skus": ["a", "b"], "channel": "live"}).to_string();
    let bulk = client.post("/v1/atp", "-", &body);
    assert_eq!(bulk.expect(200)["results"][0]["available"], 20);
    let typed: holdfast::http::answers::AtpResults = serde_json::from_slice(&bulk.body).unwrap();
    assert_eq!(typed.results.len(), 2);
}

#[test]
fn a_sku_says_what_is_in_force_for_it() {
    let server = Running::start();
    server.stock("a", 1_000);
    let mut client = server.client();
    let of_sku = |client: &mut Client, query: &str| {
        let answer = client.get(&format!("/v1/skus/a/policy{query}"));
        answer.expect(200);
        serde_json::from_slice::<SkuPolicy>(&answer.body).unwrap()
    };
    let none = of_sku(&mut client, "");
    assert_eq!((none.version, none.rule, none.channels.len()), (0, None, 0));
    let mut daily = policy(60, 300);
    daily["rules"][0]["from"] = json!("2026-11-01T06:00:00Z");
    daily["rules"][0]["every"] = json!("day");
    put(&mut client, "", None, &daily).expect(200);
    hold(&mut client, "1", "live", 100).expect(201);
    let found = of_sku(&mut client, "");
    assert_eq!((found.version, found.rule.as_deref()), (1, Some("all")));
    assert_eq!(found.window.as_deref(), Some("2026-11-11T06:00:00.000Z"));
    let [live, shop] = &found.channels[..] else {
        panic!("two channels have limits")
    };
    assert_eq!(
        (&*live.channel, live.cap, live.used, live.left),
        ("live", Some(600), 100, 500)
    );
    assert_eq!(
        (&*shop.channel, shop.protection, shop.left),
        ("shop", Some(300), 900)
    );
    let one = of_sku(&mut client, "?channel=live.tiktok");
    assert_eq!((one.channels.len(), one.channels[0].left), (1, 500));
    client.get("/v1/skus/b/policy").problem(404, "unknown_sku");
    let path = "/v1/skus/a/policy?channel=a%20b";
    client.get(path).problem(400, "invalid_parameter");
}

#[test]
fn the_feed_tells_who_changed_the_policy_and_not_what_it_says() {
    let server = Running::start();
    let mut client = server.client();
    put(
        &mut client,
        "?operator=anna&reason=spring",
        None,
        &policy(60, 1),
    )
    .expect(200);
    let events = client.get("/v1/events?limit=1000").expect(200);
    let events = events["data"].as_array().unwrap();
    let told = events
        .iter()
        .find(|event| event["type"] == "policy.put")
        .unwrap();
    assert_eq!(
        (&told["version"], &told["operator"]),
        (&json!(1), &json!("anna"))
    );
    assert_eq!(told["reason"], "spring");
    assert!(
        told.get("text").is_none() && told.get("policy").is_none(),
        "{told}"
    );
}

#[test]
fn share_moves_between_channels_and_is_gone_with_its_window() {
    let server = Running::start();
    server.stock("a", 1_000);
    let mut client = server.client();
    let mut daily = policy(60, 300);
    daily["rules"][0]["from"] = json!("2026-11-01T06:00:00Z");
    daily["rules"][0]["every"] = json!("day");
    put(&mut client, "", None, &daily).expect(200);
    hold(&mut client, "1", "live", 590).expect(201);
    let shift = |client: &mut Client, key: &str, from: &str, to: &str, units: u64| {
        let items = json!([{"sku": "a", "from": from, "to": to, "units": units}]);
        let body = json!({"items": items, "reason": "live is sold out"});
        client.post("/v1/shares/moves", key, &body.to_string())
    };
    let done = shift(&mut client, "m1", "shop", "live", 100);
    let expected = json!({"sku": "a", "from": "shop", "to": "live", "units": 100,
        "window": "2026-11-11T06:00:00.000Z"});
    assert_eq!(done.expect(200)["results"][0], expected);
    let typed: holdfast::http::policy_answers::ShareMoves =
        serde_json::from_slice(&done.body).unwrap();
    assert_eq!(typed.results[0].units, 100);
    let again = shift(&mut client, "m1", "shop", "live", 100);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let over = shift(&mut client, "m2", "shop", "live", 201).problem(409, "over_share");
    assert_eq!(
        (&over["channel"], &over["possible"]),
        (&json!("shop"), &json!(200))
    );
    let none = shift(&mut client, "m3", "live", "live.tiktok", 1).problem(409, "over_share");
    assert_eq!(
        (&none["channel"], &none["possible"]),
        (&json!("live.tiktok"), &json!(0))
    );
    hold(&mut client, "2", "live", 110).expect(201);
    hold(&mut client, "3", "live", 1).problem(409, "insufficient_stock");
    let text = "cap of live: 60 % of 1000 + 100 moved = 700, 700 used; 0 would have passed";
    let refused = hold(&mut client, "3", "live", 1).json();
    assert_eq!(refused["shortages"][0]["text"], text);

    let unknown = shift(&mut client, "m4", "shop", "who", 1).problem(422, "invalid_body");
    assert_eq!(unknown["errors"][0]["code"], "unknown_channel");
    shift(&mut client, "m4", "shop", "shop", 1).problem(422, "invalid_body");
    shift(&mut client, "m4", "shop", "live", 0).problem(422, "invalid_body");
    let empty = client.post("/v1/shares/moves", "m4", "{}");
    assert_eq!(
        empty.problem(422, "invalid_body")["errors"][0]["pointer"],
        "/items"
    );
    let events = client.get("/v1/events?limit=1000").expect(200);
    let events = events["data"].as_array().unwrap();
    let told = events
        .iter()
        .find(|event| event["type"] == "shares.moved")
        .unwrap();
    assert_eq!(
        (&told["items"][0], &told["reason"]),
        (&expected, &json!("live is sold out"))
    );

    let share = |client: &mut Client| {
        let found = client.get("/v1/skus/a/policy?channel=live").expect(200);
        found["channels"][0]["cap"].clone()
    };
    assert_eq!(share(&mut client), 700);
    server.clock.advance(24 * 3_600_000);
    assert_eq!(share(&mut client), 600);
}

#[test]
fn a_policy_may_be_long() {
    let server = Running::start();
    let mut client = server.client();
    let skus: Vec<String> = (0..90_000).map(|n| format!("s{n:07}")).collect();
    let long = json!({"sets": [{"name": "all", "skus": skus}]});
    assert!(long.to_string().len() > 900_000);
    put(&mut client, "", None, &long).expect(200);
    let read = client.get("/v1/policy").expect(200);
    assert_eq!(read["sets"][0]["skus"].as_array().unwrap().len(), 90_000);
    let text = " ".repeat(1_048_577);
    let headers = [JSON, ("if-match", "*")];
    client.send("PUT", "/v1/policy", &headers, b"");
    client.receive().problem(400, "malformed_body");
    let mut client = server.client();
    let head = format!(
        "PUT /v1/policy HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n",
        text.len()
    );
    client.write(head.as_bytes());
    client.receive().problem(413, "body_too_large");
}

#[test]
fn what_is_left_of_shares_is_shared_out_anew() {
    let server = Running::start();
    server.stock("a", 1_000);
    let mut client = server.client();
    let path = "/v1/skus/a/rebalance";
    let none = client.get(path).expect(200);
    assert_eq!((&none["version"], &none["items"]), (&json!(0), &json!([])));
    put(&mut client, "", None, &policy(60, 300)).expect(200);
    hold(&mut client, "1", "live", 450).expect(201);
    hold(&mut client, "2", "shop", 150).expect(201);
    // 150 of 600 and 150 of 300 are left, used were three and one.
    let found = client.get(path);
    let items = json!([{"sku": "a", "from": "shop", "to": "live", "units": 75}]);
    assert_eq!(found.expect(200)["items"], items);
    let typed: holdfast::http::policy_answers::Rebalance =
        serde_json::from_slice(&found.body).unwrap();
    assert_eq!((typed.sku.as_str(), typed.version), ("a", 1));
    let even = client.get("/v1/skus/a/rebalance?by=even").expect(200);
    assert_eq!(even["items"], json!([]));
    let body = json!({"items": items}).to_string();
    client.post("/v1/shares/moves", "m", &body).expect(200);
    assert_eq!(client.get(path).expect(200)["items"], json!([]));
    hold(&mut client, "3", "live", 225).expect(201);

    let wrong = client.get("/v1/skus/a/rebalance?by=luck");
    let wrong = wrong.problem(400, "invalid_parameter");
    assert_eq!(wrong["detail"], "Parameter by must be use or even.");
    client
        .get("/v1/skus/b/rebalance")
        .problem(404, "unknown_sku");
}

#[test]
fn a_channel_whose_share_is_used_up_uses_that_of_its_fallback() {
    let server = Running::start();
    server.stock("a", 100);
    let mut client = server.client();
    let document = json!({
        "channels": [{"name": "live", "fallback": ["shop"]}, {"name": "shop"}],
        "rules": [{"id": "all", "default": true, "limits": [
            {"channel": "live", "cap": {"units": 10}},
            {"channel": "shop", "cap": {"units": 30}},
        ]}],
    });
    put(&mut client, "", None, &document).expect(200);
    let own = hold(&mut client, "own", "live", 10).expect(201);
    assert_eq!(own["lines"][0].get("charged_to"), None);
    let made = hold(&mut client, "lent", "live", 12).expect(201);
    assert_eq!(
        (&made["channel"], &made["lines"][0]["charged_to"]),
        (&json!("live"), &json!("shop"))
    );
    let path = format!("/v1/reservations/{}", made["id"].as_str().unwrap());
    assert_eq!(client.get(&path).expect(200)["lines"], made["lines"]);

    let shown = client.get("/v1/skus/a/policy").expect(200);
    let shown: SkuPolicy = serde_json::from_value(shown).unwrap();
    let [live, shop] = &*shown.channels else {
        panic!("{shown:?}")
    };
    assert_eq!(
        (live.used, live.left, &*live.fallback),
        (10, 18, &["shop".to_owned()][..])
    );
    assert_eq!((shop.used, shop.left, shop.fallback.len()), (12, 18, 0));
    let atp = client.get("/v1/atp/a?channel=live").expect(200);
    assert_eq!(atp["available"], 18);
    let refused = hold(&mut client, "more", "live", 19);
    let short = &refused.problem(409, "insufficient_stock")["shortages"][0];
    assert_eq!(
        (&short["limit"], &short["available"]),
        (&json!("cap"), &json!(18))
    );

    let events = client.get("/v1/events").expect(200);
    let lines = events["data"].as_array().unwrap().iter();
    let charged = lines.filter_map(|event| event["lines"][0].get("charged_to"));
    assert_eq!(charged.collect::<Vec<_>>(), [&json!("shop")]);
    let itself = json!({"channels": [{"name": "live", "fallback": ["live", "x"]}]});
    let wrong = put(&mut client, "", Some("*"), &itself);
    let faults = wrong.problem(422, "policy_invalid");
    let faults = faults["errors"].as_array().unwrap().iter();
    let codes: Vec<_> = faults.map(|fault| &fault["code"]).collect();
    assert_eq!(codes, ["own_fallback", "unknown_channel"]);
}
