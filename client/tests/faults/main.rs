//! The client against a server that fails: effects happen once, errors say what is known.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "test code"
)]

mod fake;

use std::time::Duration;

use fake::{Fake, Fault};
use holdfast_client::{
    Answer, AtpQuery, Client, Config, Error, IdempotencyKey, Limit, Line, Part, Reservation,
    Reserve, State,
};

const LINES: &[Line<'static>] = &[Line::new("A", 1)];

fn one() -> Reserve<'static> {
    Reserve::new("web", LINES)
}

fn done<T>(answer: Result<Answer<T>, Error>) -> T {
    match answer {
        Ok(Answer::Done(outcome)) => outcome,
        Ok(Answer::Refused(refusal)) => panic!("refused: {refusal:?}"),
        Err(error) => panic!("error: {error:?}"),
    }
}

/// Units that left the fake's stock, and keys that it knows.
fn effects(fake: &Fake) -> (u64, usize) {
    let ledger = fake.ledger();
    (1_000_000 - ledger.stock["A"], ledger.answers.len())
}

#[tokio::test]
async fn lost_answers_are_repeated_and_take_effect_once() {
    use Fault::{ReplyCut, ReplyDropped, Silent, Unknown};
    for fault in [ReplyDropped, ReplyCut, Unknown, Silent] {
        let fake = Fake::start(&[fault]).await;
        let reservation = done(fake.client().reserve(&one()).await);
        assert_eq!(
            (reservation.state, reservation.held()),
            (State::Held, 1),
            "{fault:?}"
        );
        assert_eq!(effects(&fake), (1, 1), "{fault:?}");
        assert_eq!(fake.ledger().requests.len(), 2, "{fault:?}");
    }
}

#[tokio::test]
async fn lost_answers_of_plain_calls_are_repeated_with_the_same_key() {
    let fake = Fake::start(&[Fault::ReplyDropped, Fault::ReplyCut]).await;
    let reservation = done(fake.client().confirm("rsv_1", Part::Whole).await);
    assert_eq!(reservation.state, State::Committed);
    assert_eq!(fake.ledger().requests.len(), 3);
    assert_eq!(fake.ledger().answers.len(), 1, "one key");
}

#[tokio::test]
async fn a_result_that_stays_unknown_is_named_and_can_be_settled() {
    let fake = Fake::start(&[Fault::ReplyDropped; 5]).await;
    let client = fake.client();
    let Err(Error::Unknown { key }) = client.reserve(&one()).await else {
        panic!("not unknown")
    };
    assert_eq!(effects(&fake), (1, 1));
    let settled = client.settle(&key).await.unwrap();
    let again = done(client.reserve_with_key(&key, &one()).await);
    assert_eq!(settled, Some(Answer::Done(again)));
    assert_eq!(effects(&fake), (1, 1));
    let other = IdempotencyKey::new("never-sent").unwrap();
    assert_eq!(client.settle(&other).await, Ok(None));
}

#[tokio::test]
async fn a_shed_call_is_repeated_and_in_the_end_overloaded() {
    let fake = Fake::start(&[Fault::Shed(0)]).await;
    done(fake.client().reserve(&one()).await);
    assert_eq!(effects(&fake), (1, 1));

    let fake = Fake::start(&[Fault::Shed(0); 5]).await;
    let retry_after = Some(Duration::ZERO);
    assert_eq!(
        fake.client().reserve(&one()).await,
        Err(Error::Overloaded { retry_after })
    );
    assert_eq!((effects(&fake), fake.ledger().requests.len()), ((0, 0), 5));
}

#[tokio::test]
async fn a_wait_that_the_deadline_does_not_allow_is_not_begun() {
    let fake = Fake::start(&[Fault::Shed(3_600)]).await;
    let retry_after = Some(Duration::from_hours(1));
    assert_eq!(
        fake.client().reserve(&one()).await,
        Err(Error::Overloaded { retry_after })
    );
    assert_eq!(fake.ledger().requests.len(), 1);
}

#[tokio::test]
async fn after_a_lost_attempt_being_shed_does_not_mean_nothing_happened() {
    let mut faults = vec![Fault::ReplyDropped];
    faults.extend([Fault::Shed(0); 4]);
    let fake = Fake::start(&faults).await;
    assert!(matches!(
        fake.client().reserve(&one()).await,
        Err(Error::Unknown { .. })
    ));
    assert_eq!(effects(&fake), (1, 1));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut config = Config::new(&url).unwrap();
    config.backoff_first = Duration::from_millis(1);
    let client = Client::new(&config);
    assert!(matches!(
        client.reserve(&one()).await,
        Err(Error::Unavailable(_))
    ));
    assert!(matches!(
        client.confirm("rsv_1", Part::Whole).await,
        Err(Error::Unavailable(_))
    ));
    assert!(matches!(
        client.stock("A").await,
        Err(Error::Unavailable(_))
    ));
}

#[tokio::test]
async fn a_connection_closed_while_idle_costs_no_attempt() {
    let fake = Fake::start(&[Fault::ClosedAfter, Fault::ClosedAfter]).await;
    let mut config = fake.config();
    config.attempts_max = 2;
    config.batch_connections = 1;
    let client = Client::new(&config);
    for _ in 0..4 {
        done(client.reserve(&one()).await);
    }
    assert_eq!(effects(&fake), (4, 4));
}

/// A hundred calls at once, as tasks.
async fn many(client: &Client, calls: usize) -> Vec<Result<Answer<Reservation>, Error>> {
    let tasks: Vec<_> = (0..calls)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.reserve(&one()).await })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_calls_share_requests_and_each_gets_its_own_answer() {
    let fake = Fake::start(&[]).await;
    fake.ledger().stock.insert("A".into(), 600);
    let answers = many(&fake.client(), 1_000).await;
    let ids: std::collections::HashSet<String> = answers
        .iter()
        .filter_map(|answer| answer.clone().unwrap().done())
        .map(|reservation| reservation.id.to_string())
        .collect();
    assert_eq!(ids.len(), 600, "all different");
    let refusals = answers
        .iter()
        .filter_map(|answer| answer.as_ref().unwrap().refusal());
    let shortages = refusals.map(|refusal| {
        assert!(refusal.is_insufficient_stock());
        &refusal.shortages[0]
    });
    assert_eq!(
        shortages
            .filter(|s| s.limit == Limit::Stock && s.short == 1)
            .count(),
        400
    );
    let ledger = fake.ledger();
    assert_eq!((ledger.stock["A"], ledger.answers.len()), (0, 1_000));
    assert!(
        ledger.requests.len() < 500,
        "coalesced: {} requests",
        ledger.requests.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_faults_every_call_is_answered_and_takes_effect_once() {
    let fake = Fake::start(&[]).await;
    fake.ledger().usual = Some(|request| match request % 8 {
        0 => Fault::ReplyDropped,
        2 => Fault::Shed(0),
        4 => Fault::ReplyCut,
        6 => Fault::Unknown,
        _ => Fault::None,
    });
    let mut config = fake.config();
    config.batch_connections = 4;
    config.batch_max = 7;
    config.attempts_max = 12;
    config.retry_budget = 10_000;
    let answers = many(&Client::new(&config), 1_000).await;
    assert_eq!(
        answers.into_iter().map(done).map(|r| r.held()).sum::<u64>(),
        1_000
    );
    assert_eq!(effects(&fake), (1_000, 1_000));
}

/// A client with one lane whose first batch, of one call, is held at the server's gate.
async fn gated(fake: &Fake, queue_max: usize) -> (Client, tokio::task::JoinHandle<()>) {
    let mut config = fake.config();
    config.batch_connections = 1;
    config.queue_max = queue_max;
    config.attempt_timeout = Duration::from_mins(1);
    let client = Client::new(&config);
    let first = client.clone();
    let task = tokio::spawn(async move { drop(done(first.reserve(&one()).await)) });
    fake.arrival().await;
    (client, task)
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let fake = Fake::start(&[Fault::Gated]).await;
    let (client, first) = gated(&fake, 10).await;
    let queued: Vec<_> = (0..10)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.reserve(&one()).await })
        })
        .collect();
    tokio::task::yield_now().await;
    let full = Err(Error::Overloaded { retry_after: None });
    assert_eq!(client.reserve(&one()).await, full);
    fake.open_gate();
    first.await.unwrap();
    for task in queued {
        done(task.await.unwrap());
    }
    assert_eq!(effects(&fake), (11, 11));
    assert_eq!(
        fake.ledger().requests.len(),
        2,
        "the queue went in one batch"
    );
}

#[tokio::test]
async fn calls_that_end_before_they_are_sent_have_no_effect() {
    let fake = Fake::start(&[Fault::Gated]).await;
    let (client, first) = gated(&fake, 10).await;
    // Queued between others, so that its piece is cut out of the middle of the body.
    let before = client.clone();
    let before = tokio::spawn(async move { before.reserve(&one()).await });
    let dropped = client.clone();
    let dropped = tokio::spawn(async move { dropped.reserve(&one()).await });
    tokio::task::yield_now().await;
    let late = client
        .with_timeout(Duration::from_millis(5))
        .reserve(&one())
        .await;
    assert!(matches!(late, Err(Error::Unavailable(_))), "{late:?}");
    let after = client.clone();
    let after = tokio::spawn(async move { after.reserve(&one()).await });
    tokio::task::yield_now().await;
    dropped.abort();
    assert!(dropped.await.is_err());
    fake.open_gate();
    first.await.unwrap();
    done(before.await.unwrap());
    done(after.await.unwrap());
    assert_eq!(effects(&fake), (3, 3));
}

#[tokio::test]
async fn a_deadline_after_sending_leaves_the_result_unknown() {
    let fake = Fake::start(&[Fault::Gated]).await;
    let mut config = fake.config();
    config.attempt_timeout = Duration::from_mins(1);
    let client = Client::new(&config);
    let late = client
        .with_timeout(Duration::from_millis(20))
        .reserve(&one())
        .await;
    let Err(Error::Unknown { key }) = late else {
        panic!("{late:?}")
    };
    fake.open_gate();
    done(client.reserve_with_key(&key, &one()).await);
    assert_eq!(effects(&fake), (1, 1));
}

#[tokio::test]
async fn one_wrong_call_does_not_spoil_its_batch() {
    let fake = Fake::start(&[Fault::Gated]).await;
    let (client, first) = gated(&fake, 10).await;
    let good = client.clone();
    let good = tokio::spawn(async move { good.reserve(&one()).await });
    tokio::task::yield_now().await;
    let bad = tokio::spawn(async move {
        client
            .reserve(&Reserve::new("web", &[Line::new("BAD", 1)]))
            .await
    });
    tokio::task::yield_now().await;
    fake.open_gate();
    first.await.unwrap();
    done(good.await.unwrap());
    let Err(Error::Rejected(problem)) = bad.await.unwrap() else {
        panic!("not rejected")
    };
    assert_eq!(
        (problem.status, problem.code.as_str()),
        (422, "malformed_sku")
    );
    assert_eq!(effects(&fake), (2, 2));
}

#[tokio::test]
async fn a_batch_of_the_callers_own_has_one_result_each() {
    let fake = Fake::start(&[Fault::ReplyDropped]).await;
    fake.ledger().stock.insert("A".into(), 5);
    let (three, two) = ([Line::new("A", 3)], [Line::new("A", 2)]);
    let requests = [&three, &three, &two].map(|lines| Reserve::new("web", lines));
    let results = fake.client().reserve_batch(&requests).await;
    let held: Vec<u64> = results
        .into_iter()
        .map(|result| {
            result
                .unwrap()
                .done()
                .map_or(0, |reservation| reservation.held())
        })
        .collect();
    assert_eq!(held, [3, 0, 2]);
    assert!(fake.client().reserve_batch(&[]).await.is_empty());
}

#[tokio::test]
async fn refusals_and_rejections_are_told_apart() {
    let client = Fake::start(&[]).await.client();
    let refused = client.release("rsv_1", Part::Lines(LINES)).await.unwrap();
    assert_eq!(refused.refusal().unwrap().code, "reservation_expired");
    let Err(Error::Rejected(problem)) = client.atp("NONE", AtpQuery::default()).await else {
        panic!("not rejected")
    };
    assert_eq!(
        (problem.status, problem.code.as_str()),
        (404, "unknown_sku")
    );
    assert_eq!(client.reservation("rsv_none").await, Ok(None));
}
