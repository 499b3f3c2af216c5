//! Does it scale flat? Throughput, memory and recovery with few and with many SKUs and live
//! reservations. Not a criterion bench: each figure takes one long run.
//!
//! `cargo bench --bench scale -- [SKUS] [RESERVATIONS]`, 1,000,000 of each unless named.
#![expect(clippy::expect_used, reason = "a benchmark ends at the first surprise")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use holdfast::blocking::wait_for;
use holdfast::clock::monotonic;
use holdfast::engine::Engine;

/// Reservations of each timed window.
const WINDOW: u64 = 1_000_000;

/// SKUs and reservations of the small run that the large one is compared with.
const SMALL: u64 = 1_000;

/// Changes behind the snapshot that recovery has to replay.
const TAIL: u64 = 50_000;

/// Resident memory of this process, bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let digits = line.and_then(|line| line.split_whitespace().nth(1));
    digits.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1_024
}

fn rate(count: u64, took: Duration) -> u64 {
    let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
    count.saturating_mul(1_000_000_000) / nanos
}

fn say(what: &str, figure: impl std::fmt::Display) {
    print(&format!("{what:<44} {figure:>14}\n"));
}

fn print(text: &str) {
    use std::io::Write as _;
    // A closed pipe is the reader's choice.
    drop(std::io::stdout().lock().write_all(text.as_bytes()));
}

/// Fills a folder, times one window of reservations, and leaves the engine open.
fn run(folder: &Path, skus: u64, reservations: u64) -> (Engine, u64) {
    let engine = support::open(folder);
    let before = resident();
    support::fill(&engine, skus);
    let filled = resident();
    let channel = wait_for(engine.make_channel("bench")).expect("a new channel");
    support::reserve(&engine, channel, skus, 0, reservations);
    let held = resident();
    let timer = monotonic();
    support::reserve(&engine, channel, skus, reservations, WINDOW);
    let speed = rate(WINDOW, timer.elapsed());
    say("SKUs", skus);
    say("live reservations", reservations);
    if skus > SMALL {
        say("bytes a SKU", filled.saturating_sub(before) / skus);
        say(
            "bytes a reservation",
            held.saturating_sub(filled) / reservations,
        );
    }
    say("reservations a second", speed);
    (engine, speed)
}

fn recover(folder: &Path, what: &str, records: u64) {
    let timer = monotonic();
    let engine = support::open(folder);
    let took = timer.elapsed();
    say(what, format!("{took:.2?}"));
    say("  records a second", rate(records, took));
    engine.close().expect("a clean close");
}

/// Argument of the process of [`few`].
const FEW: &str = "few";

fn run_few() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (engine, _) = run(folder.path(), SMALL, SMALL);
    engine.close().expect("a clean close");
}

/// The speed with few SKUs and reservations, from a process of its own: here it would be given the
/// memory that the large run is done with, where that run had to take new memory from the system.
fn few() -> u64 {
    let this = std::env::current_exe().expect("a path of this program");
    let output = Command::new(this).arg(FEW).output();
    let said = String::from_utf8(output.expect("a second process").stdout).expect("text");
    print(&said);
    let speed = said.split_whitespace().last();
    speed.and_then(|word| word.parse().ok()).expect("a speed")
}

fn main() {
    if std::env::args().any(|word| word == FEW) {
        return run_few();
    }
    let mut numbers = std::env::args().filter_map(|word| word.parse::<u64>().ok());
    let skus = numbers.next().unwrap_or(1_000_000);
    let reservations = numbers.next().unwrap_or(1_000_000);
    let large = tempfile::tempdir().expect("a temporary folder");
    let (engine, many) = run(large.path(), skus, reservations);
    engine.close().expect("a clean close");
    drop(engine);
    say("speed against few, percent", many * 100 / few().max(1));
    recover(
        large.path(),
        "ready from the journal alone",
        reservations + WINDOW,
    );
    let engine = support::open(large.path());
    let timer = monotonic();
    engine.snapshot().expect("a snapshot");
    say("snapshot written in", format!("{:.2?}", timer.elapsed()));
    let channel = wait_for(engine.make_channel("bench")).expect("a known channel");
    support::reserve(&engine, channel, skus, reservations + WINDOW, TAIL);
    engine.close().expect("a clean close");
    drop(engine);
    recover(large.path(), "ready from a snapshot and a short tail", TAIL);
}
