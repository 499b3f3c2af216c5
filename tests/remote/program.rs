//! The real binary over a store.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::mirror::until;
use crate::program_support::{Finished, Server as Program, finish, folder, holdfast, run};
use crate::server::{Kind, Server};

pub(crate) const STOCK: &str =
    r#"{"items":[{"sku":"A","on_hand":5,"change_from":null}],"reason":"test"}"#;
const HOLD: &str = r#"{"channel":"web","lines":[{"sku":"A","quantity":2}]}"#;

pub(crate) fn serve(inside: &Path, store: &Server) -> Program {
    let url = store.url();
    Program::start(
        inside,
        &["--store", &url, "--durability", "memory", "--init"],
    )
}

pub(crate) fn over(inside: &Path, command: &[&str], store: &Server) -> Finished {
    let url = store.url();
    let place = ["--store", &url, "--durability", "memory"];
    run(inside, &[command, &place].concat())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn what_one_program_answered_the_other_settles_also_after_both_are_gone() {
    for kind in Kind::ALL {
        let (inside, store) = (folder(), Server::start(kind));
        let mut one = serve(inside.path(), &store);
        let mut other = serve(inside.path(), &store);
        assert_eq!(one.post("/v1/stock", "s1", STOCK).0, 200);
        let (status, made) = one.post("/v1/reservations", "r1", HOLD);
        assert_eq!(status, 201, "{made}");

        let (status, settled) = other.get("/v1/reservations?key=r1");
        assert_eq!((status, json(&settled)), (200, json(&made)));
        let again = other.post("/v1/reservations", "r1", HOLD);
        assert_eq!(again, (201, made.clone()));
        let id = json(&made)["id"].as_str().unwrap().to_owned();
        let confirm = format!("/v1/reservations/{id}/confirm");
        let (status, confirmed) = other.post(&confirm, "c1", "{}");
        assert_eq!(status, 200, "{confirmed}");
        let (_, seen) = one.get(&format!("/v1/reservations/{id}"));
        assert_eq!(json(&seen), json(&confirmed));

        for program in [&mut one, &mut other] {
            assert_eq!(program.stop().code(), Some(0));
        }
        let late = serve(inside.path(), &store);
        assert_eq!(late.post("/v1/reservations", "r1", HOLD), (201, made));
        let stock = json(&late.get("/v1/stock/A").1);
        assert_eq!(
            (&stock["held"], &stock["committed"]),
            (&0.into(), &2.into())
        );
        // Nothing of it is on the disk of the instance.
        assert!(!inside.path().join("data").exists());
    }
}

/// A whole reply, the head included.
fn reply(program: &Program, path: &str, key: &str, body: &str) -> String {
    let length = body.len();
    let mut stream = program.connect();
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    let rest = format!(
        "idempotency-key: {key}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all((head + &rest).as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

/// A refusal of the mirror says that it is one, alone and in a batch; that of the store does not.
#[test]
fn a_refusal_of_the_mirror_is_named() {
    const AGE: &str = "\r\nholdfast-mirror-age-ms: ";
    let (inside, store) = (folder(), Server::start(Kind::Redis));
    let program = serve(inside.path(), &store);
    let none = STOCK.replace(":5,", ":0,");
    assert_eq!(program.post("/v1/stock", "s1", &none).0, 200);
    let mut count = 0;
    let refused = until("the mirror refuses", || {
        count += 1;
        let refused = reply(&program, "/v1/reservations", &format!("k{count}"), HOLD);
        assert!(refused.contains("insufficient_stock"), "{refused}");
        assert!(refused.contains("\r\nholdfast-position: 0."), "{refused}");
        let is_kept = refused.contains("\r\nholdfast-durability: memory");
        assert_ne!(is_kept, refused.contains(AGE), "{refused}");
        (!is_kept).then_some(refused)
    });
    assert!(!refused.contains("idempotent-replayed"), "{refused}");
    let key = format!("/v1/reservations?key=k{count}");
    assert_eq!(program.get(&key).0, 404, "it is not kept");
    until("the mirror refuses one of a batch", || {
        count += 1;
        let one = HOLD.replacen('{', &format!("{{\"key\":\"k{count}\","), 1);
        let batch = format!("{{\"reservations\":[{one}]}}");
        let (status, told) = program.post("/v1/reservations/batch", "b", &batch);
        assert_eq!(status, 200, "{told}");
        let told = json(&told)["results"][0].clone();
        assert_eq!(
            (&told["status"], &told["replayed"]),
            (&409.into(), &false.into())
        );
        assert!(told["position"].is_string(), "{told}");
        told["mirror_age_ms"].as_u64()
    });
    for consistency in ["mirror", "strong"] {
        let (status, atp) = program.get(&format!("/v1/atp/A?consistency={consistency}"));
        assert_eq!((status, &json(&atp)["available"]), (200, &0.into()));
    }
}

#[test]
fn verify_and_doctor_look_at_a_store() {
    let (inside, store) = (folder(), Server::start(Kind::Redis));
    let missing = over(inside.path(), &["verify"], &store);
    assert_eq!(missing.code, Some(4), "{}", missing.err);
    assert!(missing.err.contains("--init"), "{}", missing.err);

    let mut program = serve(inside.path(), &store);
    assert_eq!(program.post("/v1/stock", "s1", STOCK).0, 200);
    assert_eq!(program.post("/v1/reservations", "r1", HOLD).0, 201);
    // Others may serve meanwhile.
    let verified = over(inside.path(), &["verify", "--json"], &store);
    assert_eq!(verified.code, Some(0), "{}", verified.err);
    let found = verified.json();
    for (name, units) in [("skus", 1), ("open_reservations", 1), ("units_promised", 2)] {
        assert_eq!(found[name], units, "{name}: {found}");
    }
    assert_eq!(program.stop().code(), Some(0));

    let doctor = ["doctor", "--listen", "127.0.0.1:0"];
    let well = over(inside.path(), &doctor, &store);
    assert_eq!(well.code, Some(0), "{}{}", well.out, well.err);
    let url = store.url();
    let mut for_disk = holdfast(inside.path());
    for_disk
        .args(doctor)
        .args(["--store", &url, "--durability", "disk"]);
    let ill = finish(&mut for_disk);
    assert_eq!(ill.code, Some(1), "{}{}", ill.out, ill.err);
    assert!(ill.out.contains("appendonly"), "{}", ill.out);
    let refused = run(inside.path(), &["serve", "--store", &url, "--init"]);
    assert_eq!(refused.code, Some(4), "{}", refused.err);
    assert!(refused.err.contains("appendonly"), "{}", refused.err);
}

fn trace() -> String {
    let sample = Path::new("data").join("orders-sample.csv.gz");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(sample);
    path.to_string_lossy().into_owned()
}

#[test]
fn a_replay_over_a_store_comes_out_as_the_embedded_one() {
    let trace = trace();
    let inside = folder();
    let replay = ["replay", &trace, "--fill", "0.8", "--json"];
    let mut expected = run(inside.path(), &replay).json();
    for kind in Kind::ALL {
        let store = Server::start(kind);
        for via in ["engine", "http"] {
            let command = [&replay[..], &["--via", via]].concat();
            let replayed = over(inside.path(), &command, &store);
            assert_eq!(replayed.code, Some(0), "{}", replayed.err);
            let found = replayed.json();
            for (key, value) in expected.as_object_mut().unwrap() {
                let differs = ["seconds", "orders_per_second", "via", "store", "durability"];
                if !differs.contains(&key.as_str()) {
                    assert_eq!(found[key], *value, "{key} via {via}");
                }
            }
            let left: u64 = redis::cmd("DBSIZE").query(&mut store.connect()).unwrap();
            assert_eq!(left, 0, "its ledger goes with it");
        }
    }
}

/// It used to replay into the ledger of a store that the environment or a file named, and then to
/// remove that ledger.
#[test]
fn a_replay_leaves_the_ledger_of_a_configured_store_alone() {
    let (inside, store) = (folder(), Server::start(Kind::Redis));
    let program = serve(inside.path(), &store);
    assert_eq!(program.post("/v1/stock", "s1", STOCK).0, 200);
    let mut replay = holdfast(inside.path());
    replay.env("HOLDFAST_STORE", store.url());
    replay.env("HOLDFAST_DURABILITY", "memory");
    let replayed = finish(replay.args(["replay", &trace(), "--json"]));
    assert_eq!(replayed.code, Some(0), "{}", replayed.err);
    assert_eq!(program.get("/v1/stock/A").0, 200);
    let verified = over(inside.path(), &["verify", "--json"], &store).json();
    assert_eq!(verified["skus"], 1);
}

#[test]
fn a_wrong_address_is_one_clear_line() {
    let inside = folder();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let nobody = format!("redis://:secret@127.0.0.1:{port}");
    for (store, code, part) in [
        (nobody.as_str(), 5, "does not answer"),
        (
            "unix:/nowhere/server.sock?password=secret",
            5,
            "/nowhere/server.sock",
        ),
        ("embeded", 3, "store"),
        ("http://:secret@127.0.0.1:1", 3, "store"),
    ] {
        for command in ["serve", "verify"] {
            let place = ["--store", store, "--durability", "memory"];
            let refused = run(inside.path(), &[&[command], &place[..]].concat());
            assert_eq!(refused.code, Some(code), "{store}: {}", refused.err);
            assert!(refused.err.contains(part), "{store}: {}", refused.err);
            assert!(!refused.err.contains("secret"), "{}", refused.err);
            let lines = refused
                .err
                .lines()
                .filter(|line| line.contains("holdfast:"));
            assert_eq!(lines.count(), 1, "{}", refused.err);
        }
    }
}

#[test]
fn no_password_of_a_store_is_shown() {
    let inside = folder();
    for store in [
        "redis://user:secret@cache:6379/2",
        "redis://:secret@cache",
        "redis://user:se?secret@cache",
        "unix:/run/store.sock?password=secret",
        "unix:/run/store.sock?password=any@secret",
        "redis+sentinel://:secret@one:1,two:2/shop?sentinel_password=secret",
        "redis://secret@",
    ] {
        let arguments = ["config", "show"];
        let mut shown = holdfast(inside.path());
        shown.args(arguments).env("HOLDFAST_DURABILITY", "memory");
        let shown = finish(shown.env("HOLDFAST_STORE", store));
        for text in [&shown.out, &shown.err] {
            assert!(!text.contains("secret"), "{store}: {text}");
        }
    }
}

/// It used to be unknown to the others until their next round.
#[test]
fn a_node_that_one_program_names_the_other_knows_at_once() {
    let (inside, store) = (folder(), Server::start(Kind::Redis));
    let (one, other) = (serve(inside.path(), &store), serve(inside.path(), &store));
    for n in 0..30 {
        let node = format!("node-{n}");
        let stock =
            format!(r#"{{"items":[{{"sku":"A","node":"{node}","on_hand":5}}],"reason":"test"}}"#);
        assert_eq!(one.post("/v1/stock", &format!("s{n}"), &stock).0, 200);
        let lines =
            format!(r#""channel":"web","lines":[{{"sku":"A","quantity":1,"node":"{node}"}}]"#);
        let (status, text) = match n % 3 {
            0 => other.post(
                "/v1/reservations",
                &format!("r{n}"),
                &format!("{{{lines}}}"),
            ),
            1 => {
                let body = format!(r#"{{"reservations":[{{"key":"r{n}",{lines}}}]}}"#);
                other.post("/v1/reservations/batch", "b", &body)
            }
            _ => other.get(&format!("/v1/atp/A?node={node}")),
        };
        assert!(
            status < 300 && !text.contains("unknown_node"),
            "{status} {text}"
        );
    }
    let unknown = other.get("/v1/atp/A?node=nowhere");
    assert_eq!(unknown.0, 404, "{}", unknown.1);
}

/// A command over a folder of this name.
pub(crate) fn at(inside: &Path, command: &[&str], data: &str) -> Finished {
    run(inside, &[command, &["--data", data, "--json"]].concat())
}

pub(crate) fn done(finished: &Finished) -> Value {
    assert_eq!(finished.code, Some(0), "{}{}", finished.out, finished.err);
    finished.json()
}

#[test]
fn a_whole_ledger_moves_into_a_store_and_back() {
    for kind in Kind::ALL {
        let (inside, store) = (folder(), Server::start(kind));
        let path = inside.path();
        let mut first = Program::start(path, &["--data", "old"]);
        assert_eq!(first.post("/v1/stock", "s1", STOCK).0, 200);
        let (status, made) = first.post("/v1/reservations", "r1", HOLD);
        assert_eq!(status, 201, "{made}");
        assert_eq!(first.stop().code(), Some(0));

        let out = done(&at(path, &["export", "--to", "ledger.gz"], "old"));
        let import = ["import", "--ledger", "ledger.gz", "--json"];
        let into = done(&over(path, &import, &store));
        assert_eq!(out, into);
        let verified = done(&over(path, &["verify", "--json"], &store));
        assert_eq!(verified["content"], out["content"]);
        assert_eq!(
            at(path, &["verify"], "old").json()["content"],
            out["content"]
        );

        // What was done under a key before is not done again.
        let mut second = serve(path, &store);
        assert_eq!(
            second.post("/v1/reservations", "r1", HOLD),
            (201, made.clone())
        );
        assert_eq!(second.post("/v1/stock", "s1", STOCK).0, 200);
        let (status, gone) = second.get("/v1/events?after=0");
        assert_eq!(status, 410, "{gone}");
        assert_eq!(second.stop().code(), Some(0));

        let back = done(&over(
            path,
            &["export", "--to", "back.ndjson", "--json"],
            &store,
        ));
        assert_eq!(back["content"], out["content"]);
        let import = ["import", "--ledger", "back.ndjson"];
        assert_eq!(done(&at(path, &import, "new")), back);
        let third = Program::start(path, &["--data", "new"]);
        assert_eq!(third.post("/v1/reservations", "r1", HOLD), (201, made));
        drop(third);

        refusals(path, &store);
    }
}

/// A whole ledger never goes where something is, and nothing comes of a damaged file.
fn refusals(inside: &Path, store: &Server) {
    let import = ["import", "--ledger", "ledger.gz"];
    let taken = at(inside, &import, "old");
    assert_eq!(taken.code, Some(2), "{}", taken.err);
    let taken = over(inside, &import, store);
    assert_eq!(taken.code, Some(4), "{}", taken.err);
    assert!(taken.err.contains("remote.namespace"), "{}", taken.err);
    let there = at(inside, &["export", "--to", "ledger.gz"], "old");
    assert_eq!(there.code, Some(2), "{}", there.err);

    let damaged = inside.join("damaged.ndjson");
    let text = std::fs::read_to_string(inside.join("back.ndjson")).unwrap();
    std::fs::write(&damaged, text.replace("\"on_hand\":5", "\"on_hand\":6")).unwrap();
    let import = ["import", "--ledger", "damaged.ndjson"];
    let refused = at(inside, &import, "nowhere");
    assert_eq!(refused.code, Some(1), "{}", refused.err);
    assert!(
        refused.err.contains("damaged: what came before"),
        "{}",
        refused.err
    );
    assert!(!inside.join("nowhere").exists());
}

/// What somebody who asks whether this instance is ready is told of its mirror.
#[test]
fn readiness_tells_how_old_the_mirror_is() {
    let (inside, store) = (folder(), Server::start(Kind::Redis));
    let program = serve(inside.path(), &store);
    until("the mirror is whole", || {
        let (status, text) = program.get("/readyz?verbose");
        assert_eq!(status, 200, "{text}");
        text.contains("[+]mirror ok, whole ").then_some(())
    });
    let (_, text) = program.get("/readyz");
    assert!(!text.contains("mirror"), "{text}");
}
