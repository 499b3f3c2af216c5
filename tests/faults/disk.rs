//! Levels `disk` and `replica+disk`: whoever has been told something, it was on every disk before.
//!
//! The servers run under strace. Each reservation carries a text of its own, which the server writes
//! into its append-only file; a sync of that file must have begun after that write and ended before
//! the caller had the answer. Levels are not believed: a server that syncs once a second is accepted
//! by name as a control, and must fail.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tempfile::TempDir;

use crate::server::Server;
use crate::stock_up;
use crate::support::server::Kind;
use crate::support::store::Store;
use crate::support::trace::{Call, Moment, calls};
use crate::wire::Wire;

/// Answers that are held against the trace.
const ANSWERS: usize = 200;

#[expect(
    clippy::disallowed_methods,
    reason = "compared with the time stamps of another program"
)]
fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_secs_f64()
}

/// A server whose writes and syncs are traced.
struct Traced {
    store: Store,
    trace: std::path::PathBuf,
}

impl Traced {
    fn start(kind: Kind, folder: &TempDir, name: &str, policy: &str) -> Self {
        let trace = folder.path().join(name);
        let path = trace.to_str().unwrap();
        // As a grandchild, so that the server is the child that ends with the test.
        let tracer = [
            "strace",
            "-D",
            "-f",
            "-qq",
            "-ttt",
            "-T",
            "-s",
            "8192",
            "-e",
            "trace=write,fdatasync",
            "-o",
            path,
        ];
        let settings = [
            "--appendonly",
            "yes",
            "--appendfsync",
            policy,
            "--auto-aof-rewrite-percentage",
            "0",
            "--repl-diskless-sync-delay",
            "0",
        ];
        let store = Store::start_under(&tracer, kind, &settings);
        Self { store, trace }
    }

    fn calls(&self) -> Vec<Call> {
        calls(&std::fs::read_to_string(&self.trace).unwrap())
    }
}

/// Whether the file that got this text was synced between that and the moment.
fn is_synced(calls: &[Call], text: &str, before: Moment) -> bool {
    let writes = calls
        .iter()
        .filter(|call| call.name == "write" && call.text.contains(text));
    // To a socket it is written, too; that is never synced.
    { writes }.any(|write| {
        calls.iter().any(|sync| {
            sync.name == "fdatasync"
                && !sync.has_failed
                && sync.file == write.file
                && sync.begun >= write.ended
                && sync.ended <= before
        })
    })
}

/// Reserves one after the other; the text of each, and when its answer was there.
fn shop(store: &Store, level: &str, settings: &[(&str, &str)]) -> Vec<(String, Moment)> {
    let url = format!("redis://127.0.0.1:{}", store.port());
    let (mut server, address) = Server::spawn_at(level, &url, settings).until_ready();
    stock_up(address, 2_000);
    let mut wire = Wire::connect(address).unwrap();
    let mut told = Vec::new();
    for n in 0..ANSWERS {
        let text = format!("answer-{n:04}-");
        let lines = json!([{ "sku": "hot", "quantity": 1 }]);
        let body = json!({ "channel": "shop", "reference": text, "lines": lines });
        let begun = holdfast::clock::monotonic();
        // On a machine that is busy elsewhere a level may not be reached in time; nobody is told.
        loop {
            let reply = wire.post("/v1/reservations", &format!("key-{n}"), &body);
            let reply = reply.unwrap();
            if reply.status == 201 {
                break;
            }
            assert_eq!(reply.status, 504, "{}", reply.body);
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "{text}: no answer"
            );
        }
        told.push((text, now()));
    }
    let (status, log) = server.stop();
    assert!(status.success(), "{status}:\n{log}");
    told
}

/// Answers that came before the text was on this server's disk.
fn too_early(traced: &Traced, told: &[(String, Moment)]) -> usize {
    let last = &told.last().unwrap().0;
    wait_for_text(&traced.trace, last);
    let calls = traced.calls();
    let early = told
        .iter()
        .filter(|(text, at)| !is_synced(&calls, text, *at));
    early.count()
}

/// The tracer writes in its own time.
fn wait_for_text(trace: &Path, text: &str) {
    let begun = holdfast::clock::monotonic();
    while !std::fs::read_to_string(trace).unwrap().contains(text) {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "the trace ends early"
        );
        crate::server::pause(Duration::from_millis(20));
    }
}

#[test]
fn an_answer_at_disk_comes_after_the_sync() {
    for kind in Kind::ALL {
        let folder = tempfile::tempdir().unwrap();
        let traced = Traced::start(kind, &folder, "primary", "always");
        let told = shop(&traced.store, "disk", &[]);
        assert_eq!(too_early(&traced, &told), 0, "{kind:?}");
    }
}

#[test]
fn an_answer_at_replica_and_disk_comes_after_both_syncs() {
    let folder = tempfile::tempdir().unwrap();
    // The other server has no way to ask for it.
    let kind = Kind::Valkey;
    let primary = Traced::start(kind, &folder, "primary", "always");
    let replica = Traced::start(kind, &folder, "replica", "always");
    replica.store.follow(&primary.store);
    primary
        .store
        .tell(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let settings = [("HOLDFAST_REMOTE__REPLICAS", "1")];
    let told = shop(&primary.store, "replica+disk", &settings);
    for traced in [&primary, &replica] {
        assert_eq!(too_early(traced, &told), 0, "{:?}", traced.trace);
    }
}

/// The control: also where the store says that it has synced.
#[test]
fn a_store_that_syncs_every_second_answers_too_early() {
    for kind in Kind::ALL {
        let folder = tempfile::tempdir().unwrap();
        let traced = Traced::start(kind, &folder, "primary", "everysec");
        let accepted = [("HOLDFAST_REMOTE__ACCEPT", "appendfsync")];
        let told = shop(&traced.store, "disk", &accepted);
        assert!(
            too_early(&traced, &told) > 0,
            "{kind:?}: the control must fail"
        );
    }
}
