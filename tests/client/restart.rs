//! The server goes away in the middle: errors say what is known, and keys settle the rest.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use holdfast_client::{Answer, Client, Error, IdempotencyKey, Line, Reservation, Reserve};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::support::{Relay, Running, after_start, config, done, put, rejected};

const LINES: &[Line<'static>] = &[Line::new("A", 1)];
const STOCK: u64 = 1_000_000;

type Answers = BTreeMap<String, Result<Answer<Reservation>, Error>>;

fn one() -> Reserve<'static> {
    Reserve::new("web", LINES)
}

fn key(name: &str) -> IdempotencyKey {
    IdempotencyKey::new(name).unwrap()
}

/// Until the server holds so many units.
async fn until_held(server: &Running, units: u64) {
    let reached = async {
        while server.held("A") < units {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(20), reached).await.unwrap();
}

async fn at_once(client: &Client, names: impl Iterator<Item = String>) -> Answers {
    let mut calls = JoinSet::new();
    for name in names {
        let client = client.clone();
        calls.spawn(async move {
            let answer = client.reserve_with_key(&key(&name), &one()).await;
            (name, answer)
        });
    }
    calls.join_all().await.into_iter().collect()
}

/// Calls under keys of its own until two of them have failed.
async fn call_until_it_fails(client: Client, worker: usize) -> Answers {
    let mut answers = Answers::new();
    let mut failed = 0;
    while failed < 2 {
        let name = format!("w{worker}-{}", answers.len());
        let answer = client.reserve_with_key(&key(&name), &one()).await;
        failed += usize::from(answer.is_err());
        answers.insert(name, answer);
    }
    answers
}

/// What the keys say after the restart must fit what the callers were told before it, and the
/// stock must fit both. Then every call that failed is repeated with its key and is done once.
async fn settle_all(server: &Running, answers: &Answers) {
    let client = server.client();
    let mut happened = 0;
    for (name, told) in answers {
        let settled = client.settle(&key(name)).await.unwrap();
        happened += u64::from(settled.is_some());
        match told {
            Ok(answer) => assert_eq!(settled.as_ref(), Some(answer), "{name}"),
            Err(Error::Unknown { key }) => assert_eq!(key.to_string(), *name),
            Err(Error::Unavailable(why)) => assert_eq!(settled, None, "{name}: {why}"),
            Err(error) => panic!("{name}: {error:?}"),
        }
    }
    assert_eq!((server.held("A"), server.recount()), (happened, happened));

    let names = answers.keys().cloned();
    let again = at_once(&client, names).await;
    for (name, told) in answers {
        let made = done(again[name].clone());
        if let Ok(told) = told {
            assert_eq!(told, &Answer::Done(made), "{name}");
        }
    }
    let all = u64::try_from(answers.len()).unwrap();
    assert_eq!((server.held("A"), server.recount()), (all, all));
    let stock = client.stock("A").await.unwrap();
    assert_eq!((stock.held, stock.available), (all, STOCK - all));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_leaves_nothing_in_doubt_that_keys_do_not_settle() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path());
    let client = server.client();
    put(&client, "A", STOCK).await;
    let mut workers = JoinSet::new();
    for worker in 0..32 {
        workers.spawn(call_until_it_fails(client.clone(), worker));
    }
    until_held(&server, 500).await;
    server.stop().await;
    let answers: Answers = workers.join_all().await.into_iter().flatten().collect();
    assert!(answers.values().filter(|told| told.is_ok()).count() >= 400);
    let failed = answers.values().filter(|told| told.is_err()).count();
    assert_eq!(failed, 64);
    // The same client finds nobody: reads fail too, and say so.
    assert!(matches!(
        client.stock("A").await,
        Err(Error::Unavailable(_))
    ));

    let server = Running::start(folder.path());
    settle_all(&server, &answers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_lost_for_good_are_settled_after_the_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path());
    let relay = Relay::start(server.addr).await;
    let client = Client::new(&config(relay.addr));
    put(&client, "A", STOCK).await;
    let mut answers = at_once(&client, (0..100).map(|n| format!("before-{n}"))).await;
    assert!(answers.values().all(Result::is_ok));

    relay.lose_answers();
    let caller = client.clone();
    let names = (0..400).map(|n| format!("lost-{n}"));
    let calls = tokio::spawn(async move { at_once(&caller, names).await });
    until_held(&server, 101).await;
    relay.cut().await;
    server.stop().await;
    let lost = calls.await.unwrap();
    let unknown: Vec<&String> = lost
        .iter()
        .filter(|(_, told)| matches!(told, Err(Error::Unknown { .. })))
        .map(|(name, _)| name)
        .collect();
    assert!(!unknown.is_empty() && lost.values().all(Result::is_err));
    // A plain call ends like a coalesced one.
    let refused = client.confirm("rsv_x", holdfast_client::Part::Whole).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");

    let server = Running::start(folder.path());
    let settling = server.client();
    let mut happened = 0;
    for name in unknown {
        let settled = settling.settle(&key(name)).await.unwrap();
        happened += usize::from(settled.is_some());
    }
    assert!(happened > 0, "none of the lost answers was of a change");
    answers.extend(lost);
    settle_all(&server, &answers).await;
}

/// The default time to live was part of what a command is known by, so that a restart with another
/// one turned every repetition of a reservation that named none into a reuse of its key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_default_deadline_does_not_make_it_another_request() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start_holding(folder.path(), 900);
    put(&server.client(), "A", STOCK).await;
    let (unsaid, said) = (key("unsaid"), key("said"));
    let request = one().ttl_seconds(900);
    let client = server.client();
    let unsaid_made = done(client.reserve_with_key(&unsaid, &one()).await);
    let said_made = done(client.reserve_with_key(&said, &request).await);
    server.stop().await;

    let server = Running::start_holding(folder.path(), 60);
    let client = server.client();
    let again = client.reserve_with_key(&unsaid, &one()).await;
    assert_eq!(done(again), unsaid_made);
    assert_eq!(unsaid_made.expires_at, after_start(900));
    let again = client.reserve_with_key(&said, &request).await;
    assert_eq!(done(again), said_made);
    // What was said and what was left out stay two different things.
    let other = client.reserve_with_key(&said, &one()).await;
    rejected(other, 422, "idempotency_key_reused");
    let other = client.reserve_with_key(&unsaid, &request).await;
    rejected(other, 422, "idempotency_key_reused");
    let new = done(client.reserve_with_key(&key("new"), &one()).await);
    assert_eq!(new.expires_at, after_start(60));
}

/// Answers the first request with a broken connection, and all others with a batch of one that is
/// overloaded.
fn loses_one_answer() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (at, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut bytes = Vec::new();
            while !bytes.ends_with(b"]}]}") {
                let mut some = [0; 4_096];
                match stream.read(&mut some) {
                    Ok(count @ 1..) => bytes.extend_from_slice(&some[..count]),
                    _ => return,
                }
            }
            let body = r#"{"results":[{"status":503,"problem":{"code":"overloaded"}}]}"#;
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            if at > 0 {
                stream.write_all((head + body).as_bytes()).unwrap();
            }
        }
    });
    address
}

/// A batch whose answer was lost was sent again, and the refusal of that to work was taken for the
/// whole truth: nothing was changed, the caller was told, and the reservation was there.
#[tokio::test]
async fn a_refusal_to_work_after_a_lost_answer_leaves_the_result_unknown() {
    let client = Client::new(&config(loses_one_answer()));
    let told = client.reserve_with_key(&key("k"), &one()).await;
    assert_eq!(told, Err(Error::Unknown { key: key("k") }));
    let client = Client::new(&config(loses_one_answer()));
    let told = client.reserve_batch(&[one()]).await;
    assert!(
        matches!(told.as_slice(), [Err(Error::Unknown { .. })]),
        "{told:?}"
    );
}
