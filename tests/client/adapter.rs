//! What an adapter needs beyond selling: settings, nodes, returns, and keys of its own for each
//! call, so that every unknown result can be settled.

use holdfast_client::{
    AdjustStock, Answer, AtpQuery, Client, Error, IdempotencyKey, Level, Limit, Line, LowWater,
    NodeLevel, OwnLowWater, OwnSettings, Part, Precondition, Reason, Reserve, Return, Selling,
    SetStock, Setting, SettingsChange, Ship, TransferStock, WhileLow,
};
use tempfile::TempDir;

use crate::support::{Running, after_start, done, put, refused, rejected};

const MARK: LowWater = LowWater {
    mark: Level::Percent(7.5),
    resume: Some(Level::Units(20)),
    then: WhileLow::Suspend,
};

fn start() -> (Running, Client, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path());
    let client = server.client();
    (server, client, folder)
}

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::new(text).unwrap()
}

const fn at<'a>(node: &'a str, sku: &'a str, on_hand: u64) -> SetStock<'a> {
    SetStock {
        node: Some(node),
        ..SetStock::new(sku, on_hand)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_are_read_and_changed_by_version() {
    let (_server, client, _folder) = start();
    assert_eq!(client.settings("A").await, Ok(None));
    let first = SettingsChange {
        safety_stock: Some(Setting::Own(Level::Units(3))),
        ..SettingsChange::default()
    };
    let made = done(client.put_settings("A", Precondition::New, &first).await);
    assert_eq!((&*made.sku, made.safety_stock), ("A", Level::Units(3)));
    assert_eq!((made.selling, made.low_water), (Selling::On, None));
    assert_eq!(client.settings("A").await, Ok(Some(made.clone())));
    // It is there now, so that somebody's change could be overwritten unseen.
    let again = client.put_settings("A", Precondition::New, &first).await;
    rejected(again, 428, "precondition_required");

    let node_safety = [("east", Level::Units(2)), ("west", Level::Percent(0.5))];
    let node_safety = node_safety.map(|(node, level)| NodeLevel {
        node: node.into(),
        level,
    });
    let second = SettingsChange {
        safety_stock: Some(Setting::Own(Level::Percent(12.5))),
        node_safety: Some(node_safety.to_vec()),
        selling: Some(Selling::Suspended),
        low_water: Some(Setting::Own(OwnLowWater::At(MARK))),
    };
    let version = Precondition::Version(made.version);
    let changed = done(client.put_settings("A", version, &second).await);
    assert_eq!(changed.safety_stock, Level::Percent(12.5));
    assert_eq!(changed.node_safety, node_safety);
    assert_eq!(
        (changed.selling, changed.low_water),
        (Selling::Suspended, Some(MARK))
    );
    let late = client.put_settings("A", version, &second).await;
    let refusal = refused(late, "version_mismatch");
    assert_eq!(refusal.version, Some(changed.version));
    let clear = SettingsChange {
        low_water: Some(Setting::Own(OwnLowWater::Never)),
        ..SettingsChange::default()
    };
    let cleared = done(client.put_settings("A", Precondition::Any, &clear).await);
    let own = OwnSettings {
        safety_stock: Setting::Own(Level::Percent(12.5)),
        low_water: Setting::Own(OwnLowWater::Never),
    };
    assert_eq!(cleared.own, own);
    assert_eq!(
        (cleared.low_water, cleared.selling),
        (None, Selling::Suspended)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_settings_are_settled_by_their_key() {
    let (_server, client, _folder) = start();
    let change = SettingsChange {
        safety_stock: Some(Setting::Own(Level::Percent(5.0))),
        ..SettingsChange::default()
    };
    let (good, bad) = (key("good"), key("bad"));
    assert_eq!(client.settle_settings(&good).await, Ok(None));
    let put = |key, precondition| client.put_settings_with_key(key, "A", precondition, &change);
    let made = put(&good, Precondition::New).await;
    let late = put(&bad, Precondition::Version(9)).await;
    let refusal = refused(late.clone(), "version_mismatch");
    // The same call again, and asking, give the same answer.
    assert_eq!(put(&good, Precondition::New).await, made);
    assert_eq!(put(&bad, Precondition::Version(9)).await, late);
    assert_eq!(
        client.settle_settings(&good).await,
        Ok(Some(made.clone().unwrap()))
    );
    let settled = client.settle_settings(&bad).await;
    assert_eq!(settled, Ok(Some(Answer::Refused(Box::new(refusal)))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_stock_are_done_once_and_settled_by_their_key() {
    let (server, client, _folder) = start();
    let by = Reason {
        reason: "count",
        operator: Some("ann"),
    };
    let keys = ["set", "adjust", "transfer", "stale"].map(key);
    let [set, adjust, transfer, stale] = &keys;
    assert_eq!(client.settle_stock(set).await, Ok(None));
    let mut answers = Vec::new();
    for _ in 0..2 {
        let count = SetStock {
            unavailable: Some(2),
            ..SetStock::new("A", 10)
        };
        let count = client.set_stock_with_key(set, &[count], by).await;
        let found = AdjustStock {
            unavailable_delta: -1,
            change_from: Some(10),
            ..AdjustStock::new("A", 1)
        };
        let found = client
            .adjust_stock_with_key(adjust, &[found], "found")
            .await;
        let moved = TransferStock {
            sku: "A",
            from: "main",
            to: "east",
            quantity: 4,
        };
        let moved = client
            .transfer_stock_with_key(transfer, &[moved], "nearer")
            .await;
        let late = SetStock {
            change_from: Some(5),
            ..SetStock::new("A", 6)
        };
        let late = client.set_stock_with_key(stale, &[late], by).await;
        answers.push([count, found, moved, late].map(Result::unwrap));
    }
    assert_eq!(answers[0], answers[1], "the second time is the first again");
    let [counted, found, moved, late] = &answers[0];
    let rows = |answer: &Answer<Vec<_>>| {
        let results = answer.clone().done().unwrap();
        let row = |r: &holdfast_client::StockResult| {
            (r.node.to_string(), r.on_hand, r.unavailable, r.available)
        };
        results.iter().map(row).collect::<Vec<_>>()
    };
    let (main, east) = ("main".to_owned(), "east".to_owned());
    assert_eq!(rows(counted), [(main.clone(), 10, 2, 10)]);
    assert_eq!(rows(found), [(main, 11, 1, 11)]);
    assert_eq!(rows(moved), [(east, 4, 0, 11)]);
    let refusal = late.refusal().unwrap();
    let compared = &refusal.stale[0];
    assert_eq!((compared.change_from, compared.on_hand), (5, 7));
    for (key, answer) in keys.iter().zip(&answers[0]) {
        assert_eq!(client.settle_stock(key).await, Ok(Some(answer.clone())));
    }
    let stock = client.stock("A").await.unwrap();
    assert_eq!(
        (stock.on_hand, stock.unavailable, stock.deficit),
        (11, 1, 0)
    );
    let nodes: Vec<_> = stock.nodes.iter().map(|n| (&*n.node, n.on_hand)).collect();
    assert_eq!(nodes, [("main", 7), ("east", 4)]);
    assert_eq!(server.recount(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_act_is_done_once_and_settled_by_its_key() {
    let (server, client, _folder) = start();
    put(&client, "A", 10).await;
    let lines = [Line::new("A", 6)];
    let id = &*done(client.reserve(&Reserve::new("web", &lines)).await).id;
    let part = [Line::new("A", 2)];
    let part = Part::Lines(&part);
    let names = ["extend", "confirm", "release", "ship", "return", "refused"];
    let keys = names.map(key);
    let [extend, confirm, release, ship, return_, over] = &keys;
    let mut answers = Vec::new();
    for _ in 0..2 {
        answers.push(
            [
                client.extend_with_key(extend, id, 3_600).await,
                client.confirm_with_key(confirm, id, part).await,
                client.release_with_key(release, id, part).await,
                client.ship_with_key(ship, id, part).await,
                client.return_with_key(return_, id, part).await,
                client.ship_with_key(over, id, part).await,
            ]
            .map(Result::unwrap),
        );
    }
    assert_eq!(answers[0], answers[1], "the second time is the first again");
    let [extended, .., returned, late] = &answers[0];
    let extended = extended.clone().done().unwrap();
    assert_eq!(
        (extended.created_at, extended.expires_at),
        (after_start(0), after_start(3_600))
    );
    let line = &returned.clone().done().unwrap().lines[0];
    assert_eq!(
        (line.held, line.committed, line.shipped, line.returned),
        (2, 0, 2, 2)
    );
    assert_eq!(late.refusal().unwrap().code, "reservation_not_confirmed");
    for (key, answer) in keys.iter().zip(&answers[0]) {
        assert_eq!(client.settle(key).await, Ok(Some(answer.clone())));
    }
    assert_eq!((server.held("A"), server.recount()), (2, 2));
    // A key of one kind of call is no key of another.
    let settled = client.settle_stock(confirm).await;
    assert!(matches!(settled, Err(Error::Unreadable(_))), "{settled:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_ship_take_back_and_take_over() {
    let (server, client, _folder) = start();
    let there = [at("main", "A", 5), at("east", "A", 5), at("west", "A", 5)];
    done(client.set_stock(&there, "count").await);
    let lines = [Line {
        node: Some("main"),
        ..Line::new("A", 3)
    }];
    let order = Reserve::new("web", &lines).reference("o-1");
    let id = &*done(client.reserve(&order).await).id;
    let moved = key("moved");
    let taken = done(
        client
            .transfer_with_key(&moved, id, "east", Part::Whole)
            .await,
    );
    assert_eq!(taken.lines[0].node.as_deref(), Some("east"));
    let some = [Line::new("A", 1)];
    let partial = client.transfer(id, "west", Part::Lines(&some)).await;
    let refusal = refused(partial, "partial_transfer");
    assert_eq!(
        (refusal.lines[0].requested, refusal.lines[0].possible),
        (1, 3)
    );
    done(client.confirm(id, Part::Whole).await);
    let elsewhere = Ship {
        part: Part::Whole,
        node: Some("main"),
    };
    let refusal = refused(client.ship(id, elsewhere).await, "insufficient_stock");
    assert_eq!(refusal.shortages[0].limit, Limit::Node);
    done(client.ship(id, Part::Whole).await);
    let broken = Return {
        part: Part::Lines(&some),
        restock: false,
        node: Some("west"),
    };
    done(client.return_(id, broken).await);
    done(client.return_(id, Part::Lines(&some)).await);
    let stock = client.stock("A").await.unwrap();
    let nodes: Vec<_> = stock
        .nodes
        .iter()
        .map(|n| (&*n.node, n.on_hand, n.unavailable))
        .collect();
    assert_eq!(nodes, [("main", 5, 0), ("east", 3, 0), ("west", 5, 1)]);
    let query = AtpQuery {
        node: Some("east"),
        ..AtpQuery::default()
    };
    let atp = client.atp("A", query).await.unwrap();
    assert_eq!((atp.limits.stock, atp.limits.node), (13, Some(3)));
    // The order is found again by its own name.
    let found = client.find("web", "o-1").await.unwrap().unwrap();
    assert_eq!((&*found.id, found.lines[0].returned), (id, 2));
    assert_eq!(client.find("web", "o-2").await, Ok(None));
    assert_eq!(client.find("shop", "o-1").await, Ok(None));
    assert_eq!(server.recount(), 0);
}
