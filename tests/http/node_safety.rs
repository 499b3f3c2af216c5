//! Safety stock of single nodes: kept back there, and together over all.

use serde_json::{Value, json};

use crate::support::{Answer, Client, Running};

fn put(client: &mut Client, node_safety: &Value) -> Answer {
    let body = json!({"node_safety": node_safety}).to_string();
    let headers = [("if-match", "*")];
    client.call("PUT", "/v1/skus/mug", &headers, body.as_bytes())
}

fn stock(client: &mut Client, amounts: &[(&str, u64)]) {
    let item =
        |(node, on_hand): &(&str, u64)| json!({"sku": "mug", "node": node, "on_hand": on_hand});
    let items: Vec<_> = amounts.iter().map(item).collect();
    let body = json!({"items": items, "reason": "count"}).to_string();
    client.post("/v1/stock", "count", &body).expect(200);
}

fn reserve(client: &mut Client, key: &str, node: Option<&str>, quantity: u64) -> Answer {
    let lines = json!([{"sku": "mug", "node": node, "quantity": quantity}]);
    let body = json!({"channel": "shop", "lines": lines}).to_string();
    client.post("/v1/reservations", key, &body)
}

/// What may be promised at a node or anywhere, and what binds.
fn room(client: &mut Client, node: Option<&str>) -> (Value, Value) {
    let query = node.map_or_else(String::new, |node| format!("?node={node}"));
    let atp = client.get(&format!("/v1/atp/mug{query}")).expect(200);
    (atp["available"].clone(), atp["limits"]["limit"].clone())
}

fn shortage(refused: &Answer) -> (Value, Value, Value) {
    let problem = refused.problem(409, "insufficient_stock");
    let short = &problem["shortages"][0];
    let of = |name: &str| short[name].clone();
    (of("node"), of("available"), of("limit"))
}

#[test]
fn a_node_keeps_its_own_back_from_pinned_holds() {
    let server = Running::start();
    let mut client = server.client();
    stock(&mut client, &[("east", 10), ("west", 3), ("main", 5)]);
    let levels = json!([{"node": "east", "units": 4}, {"node": "west", "percent": 50}]);
    assert_eq!(put(&mut client, &levels).expect(200)["node_safety"], levels);

    assert_eq!(room(&mut client, Some("east")), (json!(6), json!("safety")));
    // Half of three is two.
    assert_eq!(room(&mut client, Some("west")), (json!(1), json!("safety")));
    assert_eq!(room(&mut client, Some("main")), (json!(5), json!("node")));
    assert_eq!(room(&mut client, None), (json!(12), json!("safety")));
    let of_node = client.get("/v1/atp/mug?node=east").expect(200);
    assert_eq!(of_node["limits"]["node_safety_stock"], 4);
    assert_eq!(of_node["limits"]["node"], 10, "a transfer may take all");

    let refused = shortage(&reserve(&mut client, "k1", Some("east"), 7));
    assert_eq!(refused, (json!("east"), json!(6), json!("safety")));
    reserve(&mut client, "k2", Some("east"), 6).expect(201);
    let refused = shortage(&reserve(&mut client, "k3", None, 7));
    assert_eq!(refused, (Value::Null, json!(6), json!("safety")));

    let view = client.get("/v1/stock/mug").expect(200);
    assert_eq!(
        (&view["safety_stock"], &view["available"]),
        (&json!(6), &json!(6))
    );
    let nodes = view["nodes"].as_array().unwrap();
    let kept: Vec<_> = nodes
        .iter()
        .map(|of| (&of["node"], &of["safety_stock"]))
        .collect();
    let expected = [
        ("east", json!(4)),
        ("west", json!(2)),
        ("main", Value::Null),
    ];
    let expected = expected.map(|(node, kept)| (json!(node), kept));
    for (node, kept_there) in &expected {
        assert!(kept.contains(&(node, kept_there)), "{kept:?}");
    }
}

#[test]
fn over_all_the_larger_of_the_sku_s_own_and_its_nodes_counts() {
    let server = Running::start();
    let mut client = server.client();
    stock(&mut client, &[("east", 10), ("west", 0), ("main", 10)]);
    // What a node lacks of its safety stock is not kept at another.
    let levels = json!([{"node": "east", "units": 4}, {"node": "west", "units": 100}]);
    put(&mut client, &levels).expect(200);
    assert_eq!(room(&mut client, None), (json!(16), json!("safety")));
    let own = |units: u64| json!({"safety_stock": {"units": units}}).to_string();
    let headers = [("if-match", "*")];
    for (units, left) in [(3, 16), (7, 13)] {
        let answer = client.call("PUT", "/v1/skus/mug", &headers, own(units).as_bytes());
        assert_eq!(answer.expect(200)["node_safety"], levels, "they stay");
        assert_eq!(room(&mut client, None).0, json!(left));
    }
    assert_eq!(
        put(&mut client, &json!([])).expect(200)["node_safety"],
        json!([])
    );
    assert_eq!(room(&mut client, Some("east")), (json!(10), json!("node")));
}

#[test]
fn what_nodes_keep_counts_for_low_water_and_is_told() {
    let server = Running::start();
    let mut client = server.client();
    stock(&mut client, &[("east", 10), ("main", 2)]);
    let headers = [("if-match", "*")];
    let mark = br#"{"low_water":{"units":5,"then":"suspend"}}"#;
    client
        .call("PUT", "/v1/skus/mug", &headers, mark)
        .expect(200);
    put(&mut client, &json!([{"node": "east", "units": 7}])).expect(200);
    let view = client.get("/v1/stock/mug").expect(200);
    assert_eq!(
        (&view["low"], &view["suspended"]),
        (&json!(true), &json!(true))
    );
    put(&mut client, &json!([{"node": "east", "units": 6}])).expect(200);

    let page = client.get("/v1/events?limit=1000").expect(200);
    let events = page["data"].as_array().unwrap().iter();
    let of_sku = events.filter(|event| event["sku"] == "mug");
    let told: Vec<_> = of_sku
        .filter_map(|event| match event["type"].as_str()? {
            "sku.low_water" => Some(event["low"].clone()),
            "sku.settings_changed" => Some(event["after"]["node_safety"].clone()),
            _ => None,
        })
        .collect();
    let at_east = |units: u64| json!([{"node": "east", "units": units}]);
    let expected = [json!([]), at_east(7), json!(true), at_east(6), json!(false)];
    assert_eq!(told, expected);
}

#[test]
fn every_fault_is_named() {
    let server = Running::start();
    let mut client = server.client();
    let east = |level: Value| {
        let mut item = json!({"node": "east"});
        item.as_object_mut()
            .unwrap()
            .extend(level.as_object().unwrap().clone());
        item
    };
    let body = json!([
        east(json!({"percent": 100.01})),
        east(json!({"units": 1})),
        {"units": 1},
        {"node": "a b", "units": 1},
        {"node": "west"},
        {"node": "north", "units": 1, "percent": 1},
        {"node": "south", "units": -1},
    ]);
    let problem = put(&mut client, &body).problem(422, "invalid_body");
    let errors = problem["errors"].as_array().unwrap().iter();
    let errors: Vec<_> = errors
        .map(|error| {
            (
                error["pointer"].as_str().unwrap(),
                error["code"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("/node_safety/0/percent", "out_of_range"),
        ("/node_safety/1/node", "duplicate"),
        ("/node_safety/2/node", "missing"),
        ("/node_safety/3/node", "invalid_name"),
        ("/node_safety/4", "one_of"),
        ("/node_safety/5", "one_of"),
        ("/node_safety/6/units", "out_of_range"),
    ];
    assert_eq!(errors, expected);
    client
        .get("/v1/atp/mug?node=east")
        .problem(404, "unknown_node");
    let many: Vec<_> = (0..257)
        .map(|n| json!({"node": format!("n{n}"), "units": 1}))
        .collect();
    put(&mut client, &json!(many)).problem(422, "invalid_body");
}
