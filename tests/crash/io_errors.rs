//! The kernel says that an operation on the data folder failed, at each of many places: at the start,
//! in the journal, while the next segment is made ready, in a snapshot. Whatever it was, nothing is
//! acknowledged that is not synced, the process says what failed, and a start without the fault finds
//! everything that was acknowledged.
//!
//! `HOLDFAST_IO_FAULTS` says how often each place is struck under load.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use holdfast::clock::monotonic;

use crate::acks::{too_early, tracer, whole};
use crate::amount::asked;
use crate::life::{Life, recovered};
use crate::rng::Rng;
use crate::server::{Server, pause, verify};
use crate::trace::{Call, calls};
use crate::wire::Wire;

/// Longest wait for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Stands for the data folder itself.
const FOLDER: &str = ".";

/// A snapshot that is being written.
const SNAPSHOT: &str = "snapshot.tmp";

/// An operation that fails the n-th time that a thread asks for it.
#[derive(Debug, Clone, Copy)]
struct Fault {
    call: &'static str,
    error: &'static str,
    /// Only on this file of the folder; on any when empty.
    file: &'static str,
    when: u64,
}

/// What became of a process with a fault.
struct Struck {
    status: ExitStatus,
    log: String,
    trace: String,
}

impl Struck {
    /// The call that failed.
    fn failed(&self) -> Option<Call> {
        calls(&self.trace).into_iter().find(|call| call.is_injected)
    }

    /// Whether it said what the system had said.
    fn says_why(&self) -> bool {
        ["(os error 5)", "(os error 28)"]
            .iter()
            .any(|why| self.log.contains(why))
    }

    /// From the error to the end of the process, in seconds.
    fn seconds(&self) -> f64 {
        let last = self.trace.lines().last().unwrap();
        let ended: f64 = last.split_whitespace().nth(1).unwrap().parse().unwrap();
        ended - self.failed().unwrap().ended
    }
}

fn spawn(data: &Path, trace: &Path, fault: Fault, settings: &[(&str, &str)]) -> Server {
    let Fault {
        call,
        error,
        file,
        when,
    } = fault;
    let inject = format!("inject={call}:error={error}:when={when}");
    let traced = format!("trace=pwrite64,fdatasync,writev,{call}");
    let mut words = tracer(trace.to_str().unwrap(), &[&traced, &inject]);
    // It need not be there yet, so that it must be named as the process names it.
    let path = if file == FOLDER {
        data.to_owned()
    } else {
        data.join(file)
    };
    if !file.is_empty() {
        words.extend(["-P", path.to_str().unwrap()]);
    }
    Server::spawn_under(&words, data, settings)
}

/// What is done at a start, and on which files where there are others that are none of ours.
const AT_START: [(&str, &[&str]); 10] = [
    ("mkdir", &[FOLDER]),
    (
        "openat",
        &["lock", FOLDER, "ledger.id", "ledger.id.new", "spare"],
    ),
    ("ftruncate", &["lock"]),
    ("write", &["lock"]),
    ("getdents64", &[FOLDER]),
    ("pread64", &["ledger.id"]),
    ("pwrite64", &[""]),
    ("fsync", &[""]),
    ("fdatasync", &[""]),
    ("rename", &[""]),
];

/// Fails this operation the first time, the second time and so on, until a start meets none of it any
/// more. Returns how often it failed.
fn failed_starts(folder: &Path, call: &'static str, file: &'static str) -> u64 {
    let (data, trace) = (folder.join("data"), folder.join("trace"));
    let mut when = 0;
    loop {
        when += 1;
        let error = if when % 2 == 0 { "EIO" } else { "ENOSPC" };
        let fault = Fault {
            call,
            error,
            file,
            when,
        };
        // A start has done its work when it is ready: snapshots come later.
        let settings = [("HOLDFAST_SNAPSHOT__EVERY_RECORDS", "1000000")];
        let mut server = spawn(&data, &trace, fault, &settings);
        let (status, log) = match server.ready() {
            Ok(_) => server.stop(),
            Err(log) => (server.ended().0, log),
        };
        let struck = Struck {
            status,
            log,
            trace: whole(&trace, server.id()),
        };
        if struck.failed().is_none() {
            assert!(status.success(), "{}", struck.log);
            return when - 1;
        }
        assert!(struck.says_why(), "{fault:?}: {}", struck.log);
        // What a start can do without is told, and no more.
        let is_told = struck.log.contains("WARN");
        assert!(is_told || !status.success(), "{fault:?}: {}", struck.log);
    }
}

/// Every operation of a start fails: of one that makes the folder, and of one that finds a ledger
/// that was killed.
#[test]
fn a_start_that_meets_an_error_says_so_and_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let strike = || -> u64 {
        let places = AT_START.iter();
        let places = places.flat_map(|(call, files)| files.iter().map(move |file| (call, file)));
        places
            .map(|(call, file)| failed_starts(folder.path(), call, file))
            .sum()
    };
    let making = strike();
    let (mut server, address) = Server::start(&data);
    let mut life = Life::begin(address, 1);
    life.load(address, false, || {
        // Enough that there is something to lose.
        until(|| durable(address) > Some(300));
        server.kill();
    });
    let finding = strike();
    println!("errors at a start: {making} making a folder, {finding} finding one");
    assert!(making > 20 && finding > 15, "{making}, {finding}");
    let faults = recovered(&mut life, &[], &data);
    assert!(faults.is_empty(), "{faults:#?}");
    let (clean, said) = verify(&data);
    assert!(clean, "{said}");
}

/// What fails under load, at which file, the how manieth time, and whether the journal has to be
/// filled for it to happen.
const UNDER_LOAD: [(&str, &str, RangeInclusive<u64>, bool); 11] = [
    ("fdatasync", "", 12..=120, false),
    ("pwrite64", "", 12..=120, false),
    ("openat", "spare", 1..=2, true),
    ("pwrite64", "spare", 1..=9, true),
    ("fsync", "spare", 1..=1, true),
    ("rename", "spare", 1..=1, true),
    ("fsync", FOLDER, 2..=2, true),
    ("openat", SNAPSHOT, 1..=1, false),
    ("pwrite64", SNAPSHOT, 1..=2, false),
    ("fsync", SNAPSHOT, 1..=1, false),
    ("rename", SNAPSHOT, 1..=1, false),
];

/// Waits for this.
fn until(mut is_so: impl FnMut() -> bool) {
    let begun = monotonic();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "it never came");
        pause(Duration::from_millis(2));
    }
}

/// What stands for the file at which a call failed.
fn place(failed: &Call, file: &'static str) -> &'static str {
    match file {
        "" if failed.file.ends_with(".seg>") => "segment",
        "" => "another",
        named => named,
    }
}

/// The last change that is durable, as long as somebody answers.
fn durable(address: SocketAddr) -> Option<u64> {
    const NAME: &str = "holdfast_journal_durable_sequence ";
    let page = Wire::connect(address).ok()?.get("/metrics").ok()?.body;
    let number = |line: &str| line.strip_prefix(NAME)?.parse().ok();
    page.as_str()?.lines().find_map(number)
}

fn is_injected(trace: &Path) -> bool {
    std::fs::read_to_string(trace).is_ok_and(|text| text.contains("(INJECTED)"))
}

/// Waits for the end of a process whose journal fails; it must not come to more changes.
fn ends(server: &mut Server, address: SocketAddr, trace: &Path) -> (ExitStatus, String) {
    until(|| is_injected(trace) || server.has_ended());
    if let Some(failed) = durable(address) {
        until(|| {
            let now = durable(address);
            assert!(now.is_none_or(|now| now < failed + 1_000), "it goes on");
            server.has_ended()
        });
    }
    server.ended()
}

/// Waits until a process without its snapshot has gone on, and stops it.
fn goes_on(server: &mut Server, address: SocketAddr) -> (ExitStatus, String) {
    until(|| server.has_said("snapshot failed"));
    let before = durable(address).unwrap();
    until(|| durable(address).unwrap() > before);
    server.stop()
}

/// Starts with a fault, under load, until the process has ended; one that goes on is asked to.
fn strike(life: &mut Life, folder: &Path, fault: Fault, has_filler: bool) -> Struck {
    let (data, trace) = (folder.join("data"), folder.join("trace"));
    let mut server = spawn(&data, &trace, fault, &[]);
    let (status, log) = match server.ready() {
        Err(log) => (server.ended().0, log),
        Ok(address) => life.load(address, has_filler, || match fault.file {
            SNAPSHOT => goes_on(&mut server, address),
            "" => ends(&mut server, address, &trace),
            // The writer of the journal hears of it when it needs the file.
            _ => server.ended(),
        }),
    };
    Struck {
        status,
        log,
        trace: whole(&trace, server.id()),
    }
}

/// Whatever failed, it was told, and what was promised is there at the next start.
fn holds(struck: &Struck, fault: Fault, life: &mut Life, data: &Path) {
    let Struck { status, log, .. } = struck;
    assert!(struck.says_why(), "{fault:?}: {log}");
    assert_eq!(status.success(), fault.file == SNAPSHOT, "{fault:?}: {log}");
    if fault.file.is_empty() {
        let (_, early) = too_early(&struck.trace);
        assert!(early.is_empty(), "{fault:?}: {early:?}");
    }
    let faults = recovered(life, &[], data);
    assert!(faults.is_empty(), "{fault:?}: {faults:#?}\n{log}");
}

#[test]
fn an_error_under_load_ends_the_process_and_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (mut server, address) = Server::start(&data);
    let mut life = Life::begin(address, 1);
    server.kill();
    let mut rng = Rng::new(20_261_123);
    let (mut places, mut slowest) = (BTreeMap::new(), 0.0_f64);
    for _ in 0..asked("HOLDFAST_IO_FAULTS").unwrap_or(1) {
        for (call, file, times, has_filler) in UNDER_LOAD {
            let error = rng.pick(&["EIO", "ENOSPC"]);
            let when = rng.between(*times.start(), *times.end());
            let fault = Fault {
                call,
                error,
                file,
                when,
            };
            let struck = strike(&mut life, folder.path(), fault, has_filler);
            let failed = struck.failed();
            let failed = failed.unwrap_or_else(|| panic!("{fault:?} never happened"));
            *places.entry((call, place(&failed, file))).or_insert(0) += 1;
            if file.is_empty() {
                slowest = slowest.max(struck.seconds());
            }
            holds(&struck, fault, &mut life, &data);
        }
    }
    println!("errors under load: {places:?}");
    println!(
        "{} answers; ended {slowest:.3} s after the error",
        life.answered()
    );
    let (clean, said) = verify(&data);
    assert!(clean, "{said}");
}
