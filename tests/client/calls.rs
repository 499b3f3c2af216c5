//! Every call of the client, done and refused.

use holdfast_client::{
    AdjustStock, Answer, AtpQuery, Client, IdempotencyKey, Limit, Line, Part, Reserve, SetStock,
    State,
};
use tempfile::TempDir;

use crate::support::{HOLD_SECONDS, Running, after_start, done, put, refused, rejected};

/// A server, a client of it, and the folder that both want.
fn start() -> (Running, Client, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path());
    let client = server.client();
    (server, client, folder)
}

const fn from(node: &'static str, sku: &'static str, quantity: u64) -> Line<'static> {
    Line {
        node: Some(node),
        ..Line::new(sku, quantity)
    }
}

/// Every mark that a SKU may have.
const ODD: &str = "A.b_c:d-9";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_is_set_adjusted_and_read() {
    let (_server, client, _folder) = start();
    let east = SetStock {
        node: Some("east"),
        ..SetStock::new("A", 5)
    };
    let set = done(
        client
            .set_stock(
                &[SetStock::new("A", 10), east, SetStock::new(ODD, 1)],
                "count",
            )
            .await,
    );
    let told: Vec<_> = set
        .iter()
        .map(|r| (&*r.sku, &*r.node, r.on_hand, r.available))
        .collect();
    let want = [
        ("A", "main", 10, 15),
        ("A", "east", 5, 15),
        (ODD, "main", 1, 1),
    ];
    assert_eq!(told, want);

    let stale = SetStock {
        change_from: Some(9),
        ..SetStock::new("A", 11)
    };
    refused(
        client.set_stock(&[stale], "count").await,
        "change_from_stale",
    );
    let fresh = SetStock {
        change_from: Some(10),
        ..stale
    };
    assert_eq!(
        done(client.set_stock(&[fresh], "count").await)[0].on_hand,
        11
    );
    rejected(client.set_stock(&[], "count").await, 422, "invalid_body");

    let adjust = |delta| AdjustStock {
        node: Some("east"),
        ..AdjustStock::new("A", delta)
    };
    let adjusted = done(client.adjust_stock(&[adjust(3), adjust(-1)], "found").await);
    let on_hand: Vec<u64> = adjusted.iter().map(|r| r.on_hand).collect();
    assert_eq!(on_hand, [8, 7]);
    refused(
        client.adjust_stock(&[adjust(-8)], "lost").await,
        "negative_stock",
    );

    let stock = client.stock("A").await.unwrap();
    assert_eq!((&*stock.sku, stock.on_hand, stock.available), ("A", 18, 18));
    assert_eq!((stock.held, stock.committed, stock.safety_stock), (0, 0, 0));
    assert_eq!(stock.version, adjusted[1].version);
    assert_eq!(client.stock(ODD).await.unwrap().sku, ODD);
    rejected(client.stock("B").await, 404, "unknown_sku");
    // No name breaks out of its place in the path.
    rejected(client.stock("A/../A?x#").await, 400, "invalid_parameter");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn availability_is_told_for_one_and_for_many() {
    let (_server, client, _folder) = start();
    put(&client, "A", 10).await;
    put(&client, ODD, 7).await;
    let all = AtpQuery::default();
    let web = AtpQuery {
        channel: Some("web"),
        node: None,
    };
    let main = AtpQuery {
        channel: None,
        node: Some("main"),
    };
    let atp = client.atp("A", web).await.unwrap();
    assert_eq!((&*atp.sku, atp.channel.as_deref()), ("A", Some("web")));
    assert_eq!((atp.available, atp.as_of), (10, after_start(0)));
    assert_eq!(client.atp(ODD, main).await.unwrap().available, 7);
    rejected(client.atp("B", all).await, 404, "unknown_sku");
    let nowhere = AtpQuery {
        node: Some("nowhere"),
        ..all
    };
    rejected(client.atp("A", nowhere).await, 404, "unknown_node");

    for query in [all, web, main] {
        let told = client.atp_bulk(&["A", "B", ODD, "A"], query).await.unwrap();
        let units: Vec<_> = told
            .iter()
            .map(|each| each.as_ref().map(|atp| (&*atp.sku, atp.available)))
            .map(|each| each.map_err(|problem| (problem.status, &*problem.code)))
            .collect();
        let want = [
            Ok(("A", 10)),
            Err((404, "unknown_sku")),
            Ok((ODD, 7)),
            Ok(("A", 10)),
        ];
        assert_eq!(units, want, "{query:?}");
    }
    rejected(client.atp_bulk(&[], all).await, 422, "invalid_body");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reservation_is_made_read_and_refused() {
    let (server, client, _folder) = start();
    put(&client, "A", 10).await;
    let lines = [Line::new("A", 4)];
    let request = Reserve::new("web", &lines).reference("T\"1\n\u{4e2d}");
    let made = done(client.reserve(&request).await);
    assert!(made.id.starts_with("rsv_"));
    assert_eq!(
        (made.state, made.held(), made.partial),
        (State::Held, 4, false)
    );
    assert_eq!(
        (&*made.channel, made.reference.as_deref()),
        ("web", request.reference)
    );
    assert_eq!(made.expires_at, after_start(HOLD_SECONDS));
    assert_eq!(made.lines.len(), 1);
    assert_eq!((&*made.lines[0].sku, made.lines[0].requested), ("A", 4));
    assert_eq!(client.reservation(&made.id).await, Ok(Some(made.clone())));
    assert_eq!(
        client.reservation("rsv_00000000000000000000000000").await,
        Ok(None)
    );
    assert_eq!(client.reservation("a/../b").await, Ok(None));

    let short = refused(
        client
            .reserve(&Reserve::new("web", &[Line::new("A", 7)]))
            .await,
        "insufficient_stock",
    );
    assert!(short.is_insufficient_stock() && short.detail.is_some());
    let [line] = short.shortages.as_slice() else {
        panic!("{short:?}");
    };
    assert_eq!(
        (&*line.sku, line.node.as_deref(), line.limit),
        ("A", None, Limit::Stock)
    );
    assert_eq!((line.requested, line.available, line.short), (7, 6, 1));

    let seven = [Line::new("A", 7)];
    let partial = Reserve::new("web", &seven).partial().ttl_seconds(60);
    let partial = done(client.reserve(&partial).await);
    assert!(partial.partial);
    assert_eq!((partial.lines[0].requested, partial.held()), (7, 6));
    assert_eq!(partial.expires_at, after_start(60));
    let sold_out = client
        .reserve(&Reserve::new("web", &[Line::new("A", 1)]))
        .await;
    assert_eq!(
        refused(sold_out, "insufficient_stock").shortages[0].available,
        0
    );

    let unknown = client
        .reserve(&Reserve::new("web", &[Line::new("B", 1)]))
        .await;
    rejected(unknown, 404, "unknown_sku");
    rejected(
        client.reserve(&Reserve::new("web", &[])).await,
        422,
        "invalid_body",
    );
    let nowhere = client
        .reserve(&Reserve::new("web", &[from("nowhere", "A", 1)]))
        .await;
    rejected(nowhere, 422, "invalid_body");
    assert_eq!((server.held("A"), server.recount()), (10, 10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_has_one_result_each_in_order() {
    let (server, client, _folder) = start();
    put(&client, "A", 5).await;
    let lines = [
        [Line::new("A", 4)],
        [Line::new("A", 2)],
        [Line::new("B", 1)],
        [Line::new("A", 0)],
    ];
    let last = [Line::new("A", 1)];
    let mut requests: Vec<Reserve<'_>> = lines.iter().map(|l| Reserve::new("web", l)).collect();
    requests.push(Reserve::new("jd", &last).reference("r"));
    let mut results = client.reserve_batch(&requests).await.into_iter();
    assert_eq!(results.len(), 5);
    let mut next = || results.next().unwrap();
    assert_eq!(done(next()).held(), 4);
    assert_eq!(refused(next(), "insufficient_stock").shortages[0].short, 1);
    rejected(next(), 404, "unknown_sku");
    rejected(next(), 422, "invalid_body");
    let made = done(next());
    assert_eq!(
        (&*made.channel, made.reference.as_deref()),
        ("jd", Some("r"))
    );
    assert!(client.reserve_batch(&[]).await.is_empty());
    assert_eq!((server.held("A"), server.recount()), (5, 5));
    let many = vec![Reserve::new("web", &last); 8_193];
    for result in client.reserve_batch(&many).await {
        rejected(result, 422, "invalid_body");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_life_of_a_reservation() {
    let (server, client, _folder) = start();
    put(&client, "A", 10).await;
    let lines = [Line::new("A", 6)];
    let id = &*done(client.reserve(&Reserve::new("web", &lines)).await).id;
    let two = &[Line::new("A", 2)];
    let some = Part::Lines(two);
    let all = Part::Whole;

    refused(
        client.confirm(id, Part::Lines(&[Line::new("A", 7)])).await,
        "over_confirm",
    );
    refused(
        client.confirm(id, Part::Lines(&[Line::new("B", 1)])).await,
        "unknown_line",
    );
    rejected(
        client.confirm(id, Part::Lines(&[])).await,
        422,
        "invalid_body",
    );
    refused(client.ship(id, all).await, "reservation_not_confirmed");
    refused(client.return_(id, all).await, "reservation_not_shipped");
    refused(
        client.release(id, Part::Lines(&[Line::new("A", 7)])).await,
        "over_release",
    );

    let told = done(client.confirm(id, some).await);
    assert_eq!(
        (told.state, told.held(), told.lines[0].committed),
        (State::Mixed, 4, 2)
    );
    let told = done(client.extend(id, 3_600).await);
    assert_eq!(told.expires_at, after_start(3_600));
    let told = done(client.release(id, some).await);
    assert_eq!((told.held(), told.lines[0].released), (2, 2));
    let told = done(client.confirm(id, all).await);
    assert_eq!(
        (told.held(), told.lines[0].committed, told.expires_at),
        (0, 4, None)
    );
    refused(client.extend(id, 60).await, "reservation_not_held");

    refused(
        client.ship(id, Part::Lines(&[Line::new("A", 5)])).await,
        "over_ship",
    );
    let told = done(client.ship(id, some).await);
    assert_eq!((told.lines[0].committed, told.lines[0].shipped), (2, 2));
    assert_eq!(done(client.ship(id, all).await).lines[0].shipped, 4);
    refused(
        client.return_(id, Part::Lines(&[Line::new("A", 5)])).await,
        "over_return",
    );
    assert_eq!(done(client.return_(id, some).await).lines[0].shipped, 4);
    let stock = client.stock("A").await.unwrap();
    assert_eq!((stock.on_hand, stock.held, stock.committed), (8, 0, 0));
    assert_eq!(stock.available, 8);
    assert_eq!((server.held("A"), server.recount()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_reservation_ends_and_says_so() {
    let (server, client, _folder) = start();
    put(&client, "A", 10).await;
    let lines = [Line::new("A", 6)];
    let all = Part::Whole;
    let whole = done(client.reserve(&Reserve::new("web", &lines)).await).id;
    assert_eq!(
        done(client.confirm(&whole, all).await).state,
        State::Committed
    );
    assert_eq!(done(client.ship(&whole, all).await).state, State::Shipped);
    refused(client.release(&whole, all).await, "reservation_shipped");
    done(client.return_(&whole, all).await);
    let given_up = done(client.reserve(&Reserve::new("web", &lines)).await).id;
    assert_eq!(
        done(client.release(&given_up, all).await).state,
        State::Released
    );
    refused(client.confirm(&given_up, all).await, "reservation_released");
    rejected(
        client.confirm("rsv_x", all).await,
        404,
        "unknown_reservation",
    );
    assert_eq!((server.held("A"), server.recount()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_passes_unless_it_was_moved() {
    let (server, client, _folder) = start();
    put(&client, "A", 10).await;
    let lines = [Line::new("A", 2)];
    let request = Reserve::new("web", &lines).ttl_seconds(10);
    let late = done(client.reserve(&request).await).id;
    let kept = done(client.reserve(&request).await).id;
    done(client.extend(&kept, 60).await);
    server.clock.advance(10_000);
    refused(
        client.confirm(&late, Part::Whole).await,
        "reservation_expired",
    );
    refused(client.extend(&late, 60).await, "reservation_expired");
    let read = client.reservation(&late).await.unwrap().unwrap();
    assert_eq!((read.state, read.lines[0].expired), (State::Expired, 2));
    assert_eq!(
        done(client.confirm(&kept, Part::Whole).await).state,
        State::Committed
    );
}

/// Whoever gives units back that are back already has what was wanted, whole or by lines.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_release_is_answered_and_changes_nothing() {
    let (server, client, _folder) = start();
    put(&client, "A", 10).await;
    put(&client, "B", 10).await;
    let lines = [Line::new("A", 4), Line::new("B", 2)];
    let request = Reserve::new("web", &lines).ttl_seconds(10);
    let expired = done(client.reserve(&request).await).id;
    server.clock.advance(10_000);
    let released = done(client.reserve(&request).await).id;
    let some = [Line::new("A", 3)];
    done(client.release(&released, Part::Lines(&some)).await);
    // Something is open yet, so that this is another release of three.
    refused(
        client.release(&released, Part::Lines(&some)).await,
        "over_release",
    );
    done(client.release(&released, Part::Whole).await);
    for (id, state) in [(&expired, State::Expired), (&released, State::Released)] {
        for part in [Part::Whole, Part::Lines(&some), Part::Lines(&lines)] {
            assert_eq!(done(client.release(id, part).await).state, state);
        }
        let more = [Line::new("A", 5)];
        let refusal = client.release(id, Part::Lines(&more)).await;
        refused(refusal, "over_release");
        let other = [Line::new("C", 1)];
        let refusal = client.release(id, Part::Lines(&other)).await;
        refused(refusal, "unknown_line");
    }
    assert_eq!((server.held("A"), server.recount()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_settled_and_repeated() {
    let (server, client, _folder) = start();
    put(&client, "A", 5).await;
    let (made_key, refused_key) = (IdempotencyKey::new("o/1?&+").unwrap(), client.new_key());
    let (four, two) = ([Line::new("A", 4)], [Line::new("A", 2)]);
    let (four, two) = (Reserve::new("web", &four), Reserve::new("web", &two));
    assert_eq!(client.settle(&made_key).await, Ok(None));
    let made = done(client.reserve_with_key(&made_key, &four).await);
    assert_eq!(done(client.reserve_with_key(&made_key, &four).await), made);
    let other = client.reserve_with_key(&made_key, &two).await;
    rejected(other, 422, "idempotency_key_reused");
    let short = client.reserve_with_key(&refused_key, &two).await.unwrap();
    assert!(short.refusal().is_some_and(|r| r.shortages.len() == 1));

    done(client.confirm(&made.id, Part::Whole).await);
    put(&client, "A", 50).await;
    // What was answered then, whatever has changed since.
    assert_eq!(client.settle(&made_key).await, Ok(Some(Answer::Done(made))));
    assert_eq!(client.settle(&refused_key).await, Ok(Some(short.clone())));
    assert_eq!(client.reserve_with_key(&refused_key, &two).await, Ok(short));
    assert_eq!((server.held("A"), server.recount()), (0, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_pages_follow_each_other() {
    let (_server, client, _folder) = start();
    put(&client, "A", 5).await;
    let lines = [Line::new("A", 2)];
    let made = done(client.reserve(&Reserve::new("web", &lines)).await);
    done(client.confirm(&made.id, Part::Whole).await);
    let all = client.events(None, 1_000).await.unwrap();
    let types: Vec<&str> = all.data.iter().filter_map(|e| e["type"].as_str()).collect();
    for wanted in ["stock.set", "reservation.created", "reservation.confirmed"] {
        assert!(types.contains(&wanted), "{types:?}");
    }
    let mut paged = Vec::new();
    let mut after = None;
    loop {
        let page = client.events(after.as_deref(), 2).await.unwrap();
        if page.data.is_empty() {
            break;
        }
        assert!(page.data.len() <= 2);
        paged.extend(page.data);
        after = page.next;
    }
    assert_eq!((paged, after), (all.data, all.next));
    rejected(client.events(Some("x"), 2).await, 400, "invalid_parameter");
    rejected(client.events(None, 0).await, 400, "invalid_parameter");
}
