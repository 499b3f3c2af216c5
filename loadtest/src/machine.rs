//! What the figures were measured on.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The machine, for the head of a report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    /// Cores that this process may use.
    pub(crate) cores: usize,
    pub(crate) affinity: String,
    pub(crate) kernel: String,
    /// File system under the data folders.
    pub(crate) file_system: String,
}

impl Machine {
    pub(crate) fn look(scratch: &Path) -> Self {
        Self {
            cpu: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            affinity: field("/proc/self/status", "Cpus_allowed_list"),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            file_system: file_system(scratch),
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn field(path: &str, name: &str) -> String {
    let text = read(path);
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.split_once(':'));
    line.map_or("unknown", |(_, value)| value.trim()).to_owned()
}

/// The type of the mount that the folder lies on.
fn file_system(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_default();
    read("/proc/self/mounts")
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            let (mount, kind) = (words.next()?, words.next()?);
            folder
                .starts_with(mount)
                .then(|| (mount.len(), kind.to_owned()))
        })
        .max()
        .map_or_else(|| "unknown".to_owned(), |(_, kind)| kind)
}

/// How many wanted a core in the last minute, so that figures can be judged.
pub(crate) fn load_average() -> String {
    let text = read("/proc/loadavg");
    text.split(' ').next().unwrap_or("unknown").to_owned()
}

/// Memory that a process has, MiB.
pub(crate) fn resident_mib(process: u32) -> f64 {
    let text = field(&format!("/proc/{process}/status"), "VmRSS");
    let kib = text.split_whitespace().next();
    kib.and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1_024.0
}

/// Processor time of a process, user and system; Linux counts it in hundredths of a second.
pub(crate) fn processor_seconds(process: &str) -> f64 {
    stat_seconds(process, 11)
}

/// Processor time of this process's children that have ended.
pub(crate) fn children_seconds() -> f64 {
    stat_seconds("self", 13)
}

/// The sum of two neighbours among the times that Linux keeps of a process.
fn stat_seconds(process: &str, first: usize) -> f64 {
    let text = read(&format!("/proc/{process}/stat"));
    // The second word is the name in parentheses and may hold anything.
    let after_name = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(first).take(2);
    ticks
        .filter_map(|word| word.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}
