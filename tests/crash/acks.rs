//! Level `disk`, as the kernel saw it: whatever an answer names was synced before the answer was
//! written to its socket. Nothing is taken from what the process says of itself but the position.
//!
//! `HOLDFAST_DISK_ANSWERS` says how many answers are looked at.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast::clock::monotonic;
use serde_json::json;

use crate::amount::asked;
use crate::server::{Server, pause};
use crate::support::trace::{Call, Moment, calls};
use crate::wire::Wire;

/// Callers at the same time, so that groups of commands are synced together.
const CALLERS: u64 = 8;

/// Longest wait for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// The words that run a server under a tracer of these calls. The tracer is a grandchild, so that the
/// server is the child; it tells when the server has ended.
pub(crate) fn tracer<'a>(trace: &'a str, expressions: &[&'a str]) -> Vec<&'a str> {
    let shape = ["-D", "-f", "--seccomp-bpf", "-q", "-x", "-y", "-ttt", "-T"];
    let size = ["-s", "200", "-o", trace];
    let each = expressions.iter().flat_map(|words| ["-e", words]);
    let words = ["strace"].into_iter().chain(shape);
    words.chain(size).chain(each).collect()
}

/// What a tracer wrote about the process with this number, which has ended.
pub(crate) fn whole(trace: &Path, id: u32) -> String {
    let own = format!("{id} ");
    let begun = monotonic();
    loop {
        let text = std::fs::read_to_string(trace).unwrap_or_default();
        let is_end = |line: &str| line.starts_with(&own) && line.contains(" +++ exited with ");
        if text.lines().any(is_end) {
            return text;
        }
        assert!(begun.elapsed() < PATIENCE, "the trace ends early:\n{text}");
        pause(Duration::from_millis(5));
    }
}

/// A write to the journal.
struct Group {
    /// The sequence with which it begins.
    first: u64,
    /// When the first sync after it was through; `None` where that failed, or there was none.
    synced: Option<Moment>,
}

/// The number at this place of a text that strace shows byte by byte.
fn number(shown: &str, at: usize) -> u64 {
    let bytes = shown.split("\\x").skip(1 + at).take(8);
    let byte = |text: &str| u64::from_str_radix(text.get(..2).unwrap(), 16).unwrap();
    bytes
        .enumerate()
        .map(|(at, text)| byte(text) << (8 * at))
        .sum()
}

fn groups(calls: &[Call]) -> Vec<Group> {
    // The mark of a frame; docs/JOURNAL.md.
    const MARK: &str = r#""\x48\x46\x4a\x31"#;
    let group = |(at, write): (usize, &Call)| {
        let (_, shown) = write.text.split_once(MARK)?;
        let is_its = |call: &&Call| {
            call.name == "fdatasync" && call.file == write.file && call.begun >= write.ended
        };
        let sync = calls[at..].iter().find(is_its);
        let has_succeeded = |sync: &&Call| !write.has_failed && !sync.has_failed;
        Some(Group {
            // Behind the length of the payload.
            first: number(shown, 4),
            synced: sync.filter(has_succeeded).map(|sync| sync.ended),
        })
    };
    let writes = calls.iter().enumerate();
    let writes = writes.filter(|(_, call)| call.name == "pwrite64");
    writes.filter_map(group).collect()
}

/// Answers that something was reserved: the sequence of each, and when it was sent.
fn answers(calls: &[Call]) -> Vec<(u64, Moment)> {
    let answer = |call: &Call| {
        let (_, head) = call.text.split_once("HTTP/1.1 201 ")?;
        let (_, position) = head.split_once("holdfast-position: ")?;
        let sequence = position.split("\\r").next()?.rsplit('.').next()?;
        Some((sequence.parse().unwrap(), call.begun))
    };
    calls.iter().filter_map(answer).collect()
}

/// How many answers a trace has, and those that came too early: nothing was synced that has it.
pub(crate) fn too_early(trace: &str) -> (usize, Vec<(u64, Moment)>) {
    let calls = calls(trace);
    let groups = groups(&calls);
    let is_early = |(sequence, sent): &(u64, Moment)| {
        let its = groups.iter().rev().find(|group| group.first <= *sequence);
        its.is_none_or(|group| group.synced.is_none_or(|synced| synced > *sent))
    };
    let answers = answers(&calls);
    let count = answers.len();
    (count, answers.into_iter().filter(is_early).collect())
}

fn reserve(address: SocketAddr, caller: u64, times: u64) {
    let mut wire = Wire::connect(address).unwrap();
    for n in 0..times {
        let lines = json!([{ "sku": "A", "quantity": 1 }]);
        let body = json!({ "channel": "shop", "lines": lines });
        let key = format!("key-{caller}-{n}");
        let reply = wire.post("/v1/reservations", &key, &body).unwrap();
        assert_eq!(reply.status, 201, "{}", reply.body);
    }
}

/// The trace of a server at this level that answers that often.
fn traced(level: &str, times: u64) -> String {
    let folder = tempfile::tempdir().unwrap();
    let trace: PathBuf = folder.path().join("trace");
    let words = tracer(
        trace.to_str().unwrap(),
        &["trace=pwrite64,fdatasync,writev"],
    );
    let settings = [("HOLDFAST_DURABILITY", level)];
    let data = folder.path().join("data");
    let server = Server::spawn_under(&words, &data, &settings);
    let (mut server, address) = server.until_ready();
    let item = json!({ "sku": "A", "on_hand": times });
    let body = json!({ "items": [item], "reason": "opening" });
    let reply = Wire::connect(address)
        .unwrap()
        .post("/v1/stock", "opening", &body);
    assert_eq!(reply.unwrap().status, 200);
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            scope.spawn(move || reserve(address, caller, times / CALLERS));
        }
    });
    let (status, log) = server.stop();
    assert!(status.success(), "{status}:\n{log}");
    whole(&trace, server.id())
}

#[test]
fn an_answer_at_disk_is_written_after_the_sync() {
    let times = asked("HOLDFAST_DISK_ANSWERS").unwrap_or(200);
    let (count, early) = too_early(&traced("disk", times));
    assert_eq!(count, usize::try_from(times / CALLERS * CALLERS).unwrap());
    assert!(early.is_empty(), "{early:?}");
}

/// The control: a level that does not wait for the disk.
#[test]
fn an_answer_at_os_does_not_wait_for_a_sync_and_that_is_seen() {
    let (count, early) = too_early(&traced("os", 200));
    assert_eq!(count, 200);
    assert!(!early.is_empty(), "the control must fail");
}
