//! What this machine is and what its disk can do.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use hdrhistogram::Histogram;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::clock::monotonic;

/// Bytes of one write of the sync probe: one page, as a small group commit.
const PAGE: [u8; 4096] = [0x5a; 4096];
/// Syncs of one probe.
const SYNCS: u64 = 200;

/// An empty histogram of nanoseconds, up to a minute.
#[expect(clippy::expect_used, reason = "the bounds are constants")]
pub(crate) fn nanoseconds() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are in range")
}

/// Measures one page written and synced, again and again, in a file that was filled before.
pub(crate) fn sync_latency(folder: &Path) -> io::Result<Histogram<u64>> {
    let path = folder.join(format!("holdfast-probe-{}", std::process::id()));
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)?;
    let measured = measure(&file);
    fs::remove_file(&path)?;
    measured
}

fn measure(file: &File) -> io::Result<Histogram<u64>> {
    let place = |n: u64| n * 4096;
    for n in 0..SYNCS {
        file.write_all_at(&PAGE, place(n))?;
    }
    file.sync_all()?;
    let mut times = nanoseconds();
    for n in 0..SYNCS {
        let timer = monotonic();
        file.write_all_at(&PAGE, place(n))?;
        file.sync_data()?;
        times.saturating_record(u64::try_from(timer.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    Ok(times)
}

/// The machine in one line.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown CPU".to_owned());
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_else(|| "unknown memory".to_owned());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, {memory}, Linux {}", kernel.trim())
}

/// The value of the first line `name: value` of a file of the kernel.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The most files that this process may open: the hard limit, up to which `serve` raises the other.
/// `None`: no limit.
pub(crate) fn open_files_max() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// Raises the limit of open files as far as it goes; what it is then. `None`: no limit.
pub(crate) fn raise_open_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_refused) => limit.current,
    }
}

/// A duration for people.
pub(crate) fn human(nanoseconds: u64) -> String {
    match nanoseconds {
        0..1_000 => format!("{nanoseconds} ns"),
        1_000..1_000_000 => {
            format!("{}.{} µs", nanoseconds / 1_000, nanoseconds % 1_000 / 100)
        }
        _ => format!(
            "{}.{:02} ms",
            nanoseconds / 1_000_000,
            nanoseconds % 1_000_000 / 10_000
        ),
    }
}
