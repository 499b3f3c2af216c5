//! A disk that is full: a small file system under the data folder of the real process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::life::{Life, recovered};
use crate::server::Server;

/// A file system of its own, seen by who enters its namespaces, gone with its holder. Nobody has to be
/// root for it: the namespace of users makes them root of what is mounted inside.
struct Mounted {
    holder: Child,
    target: String,
}

impl Mounted {
    /// Mounts one of this size at a folder.
    fn at(folder: &Path, size: &str) -> Self {
        let script = "mount -t tmpfs -o size=$1 none $0 && echo mounted && read -r _";
        let mut holder = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", script])
            .arg(folder)
            .arg(size)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(holder.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        assert_eq!(
            line, "mounted\n",
            "allow namespaces of users on this machine"
        );
        let target = format!("--target={}", holder.id());
        Self { holder, target }
    }

    /// The words that run a program inside.
    fn inside(&self) -> [&str; 6] {
        let (same, end) = ("--preserve-credentials", "--");
        ["nsenter", &self.target, "--user", "--mount", same, end]
    }

    /// Runs one; whether it ended well.
    fn run(&self, words: &[&str]) -> bool {
        let all = [&self.inside()[..], words].concat();
        let mut command = Command::new(all[0]);
        let quiet = command.args(&all[1..]).stderr(Stdio::null());
        quiet.status().unwrap().success()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        self.holder.kill().unwrap_or_default();
        self.holder.wait().map(drop).unwrap_or_default();
    }
}

/// Nothing that was promised before the disk was full is lost. As long as it is full a start is refused;
/// as soon as there is room, the ledger goes on.
#[test]
fn a_full_disk_ends_the_process_and_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Mounted::at(folder.path(), "40m");
    let data = folder.path().join("data");
    let start = || Server::spawn_under(&disk.inside(), &data, &[]);
    let (mut server, address) = start().until_ready();
    let mut life = Life::begin(address, 1);
    // Another program takes all the room there is, and no more than that should it run outside.
    let other = folder.path().join("other").display().to_string();
    let into = format!("of={other}");
    assert!(!disk.run(&["dd", "if=/dev/zero", "bs=1M", "count=64", &into]));
    let (status, log) = life.load(address, true, || server.ended());
    assert!(!status.success(), "{status}:\n{log}");
    assert!(log.contains("(os error 28)"), "it does not say why:\n{log}");
    let mut server = start();
    let log = server.ready().unwrap_err();
    assert_eq!(server.ended().0.code(), Some(4), "{log}");
    assert!(log.contains("make room on the disk"), "{log}");
    assert!(disk.run(&["rm", &other]));
    let faults = recovered(&mut life, &disk.inside(), &data);
    assert!(faults.is_empty(), "{faults:#?}");
}

/// A file system that became read-only, as the kernel makes it after errors.
#[test]
fn a_disk_that_is_read_only_is_refused_by_name_and_nothing_changes() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Mounted::at(folder.path(), "40m");
    let data = folder.path().join("data");
    let (server, address) = Server::spawn_under(&disk.inside(), &data, &[]).until_ready();
    let mut life = Life::begin(address, 1);
    drop(server);
    let path = folder.path().to_str().unwrap();
    assert!(disk.run(&["mount", "-o", "remount,ro", path]));
    let mut server = Server::spawn_under(&disk.inside(), &data, &[]);
    let log = server.ready().unwrap_err();
    assert_eq!(server.ended().0.code(), Some(4), "{log}");
    for words in ["cannot be written", "mount the disk for writing"] {
        assert!(log.contains(words), "{log}");
    }
    assert!(disk.run(&["mount", "-o", "remount,rw", path]));
    let faults = recovered(&mut life, &disk.inside(), &data);
    assert!(faults.is_empty(), "{faults:#?}");
}
