//! Real servers with what a test does to them: settings, replicas, signals, an end and a new start.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;

use super::server::Kind;

/// From one question to the next, where something is waited for.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(5);

/// A running server; ends with its folder when dropped.
#[derive(Debug)]
pub(crate) struct Store {
    kind: Kind,
    settings: Vec<String>,
    folder: TempDir,
    port: u16,
    child: Child,
}

impl Store {
    /// Starts a server that keeps nothing on the disk unless the settings say so.
    pub(crate) fn start(kind: Kind, settings: &[&str]) -> Self {
        Self::start_under(&[], kind, settings)
    }

    /// The same as an argument of another command.
    pub(crate) fn start_under(wrapper: &[&str], kind: Kind, settings: &[&str]) -> Self {
        let words = ["--save", ""].iter().chain(settings);
        Self::start_as(
            wrapper,
            kind,
            words.map(|word| (*word).to_owned()).collect(),
        )
    }

    /// Starts a server with these words on its command line; the first may be a file of settings.
    pub(crate) fn start_as(wrapper: &[&str], kind: Kind, settings: Vec<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let program = kind.program();
        let mut words = wrapper.iter().map(OsStr::new).chain([program.as_os_str()]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(&settings);
        let child = run(command, &folder, port);
        Self {
            kind,
            settings,
            folder,
            port,
            child,
        }
    }

    /// Starts a Sentinel over one primary called `shop`.
    pub(crate) fn start_sentinel(kind: Kind, primary: &Self) -> Self {
        let lines = [
            format!("sentinel monitor shop 127.0.0.1 {} 1", primary.port),
            "sentinel down-after-milliseconds shop 60000".to_owned(),
            "sentinel failover-timeout shop 10000".to_owned(),
        ];
        Self::start_sentinel_with(kind, &lines)
    }

    /// Starts a Sentinel with these lines as its configuration.
    pub(crate) fn start_sentinel_with(kind: Kind, lines: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let file = folder.path().join("sentinel.conf");
        std::fs::write(&file, lines.join("\n")).unwrap();
        let mut command = Command::new(kind.program());
        command.arg(&file).arg("--sentinel");
        let child = run(command, &folder, port);
        Self {
            kind,
            settings: Vec::new(),
            folder,
            port,
            child,
        }
    }

    /// Its TCP port on this machine.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Sends one command over a connection of its own.
    pub(crate) fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let mut command = redis::Cmd::new();
        words.iter().for_each(|word| {
            command.arg(*word);
        });
        let client = redis::Client::open(("127.0.0.1", self.port))?;
        command.query(&mut client.get_connection()?)
    }

    /// The same, for a command that must succeed.
    pub(crate) fn tell(&self, words: &[&str]) {
        let answer: redis::Value = self.ask(words).unwrap();
        drop(answer);
    }

    /// Asks until the answer is as wanted.
    pub(crate) fn until<T: redis::FromRedisValue>(
        &self,
        words: &[&str],
        wanted: impl Fn(&T) -> bool,
    ) {
        let deadline = std::time::Duration::from_mins(1);
        let started = holdfast::clock::monotonic();
        while !self.ask::<T>(words).is_ok_and(|answer| wanted(&answer)) {
            assert!(started.elapsed() < deadline, "{words:?} stays as it is");
            // Each question is a connection: asked without a pause they would keep the server, and
            // everybody else on this machine, from getting there.
            std::thread::park_timeout(PAUSE);
        }
    }

    /// Makes it a replica, and waits until it has a copy of everything.
    pub(crate) fn follow(&self, primary: &Self) {
        self.tell(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]);
        self.until(&["INFO", "replication"], |info: &String| {
            info.contains("master_link_status:up")
        });
        primary.until(&["INFO", "replication"], |info: &String| {
            info.contains("state=online")
        });
    }

    /// SIGSTOP: it still has its connections, and does nothing.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(status.success());
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The same server again, on what it left in its folder.
    pub(crate) fn restart(&mut self) {
        self.restart_with(&[]);
    }

    /// The same with more settings.
    pub(crate) fn restart_with(&mut self, settings: &[&str]) {
        let mut command = Command::new(self.kind.program());
        command.args(&self.settings).args(settings);
        self.child = run(command, &self.folder, self.port);
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Below the ports that the system deals out, of which the connections of other tests take
/// thousands; and so low that ten thousand more, where a server of a cluster has its bus, is below
/// them as well and is nobody's own.
const PORTS: std::ops::Range<u16> = 10_000..20_000;

/// A port that nobody uses and nobody is given.
pub(crate) fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    // Test programs that run at the same time begin at different places.
    let start = u16::try_from(std::process::id() % 1_000).unwrap() * 10;
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    loop {
        let at = start + TAKEN.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + at % (PORTS.end - PORTS.start);
        if is_free(port) && is_free(port + 10_000) {
            return port;
        }
    }
}

/// Starts it and waits for the line in which it says that it serves.
fn run(mut command: Command, folder: &TempDir, port: u16) -> Child {
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .arg("--dir")
        .arg(folder.path())
        .args(["--daemonize", "no", "--logfile", ""])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = ["Ready to accept connections", "Sentinel ID is"];
    let serves = |line: &String| ready.iter().any(|words| line.contains(words));
    let said = lines.by_ref().map(Result::unwrap).any(|line| serves(&line));
    assert!(said, "the server did not start");
    // It would be stopped by a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
    child
}
