//! The real binary as a child process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use holdfast::clock::monotonic;

const BINARY: &str = env!("CARGO_BIN_EXE_holdfast");

/// Longest wait for a start or an end; a failure, not a pace.
const PATIENCE: Duration = Duration::from_mins(1);

/// Lets that much time pass. Crashes come at random moments, and moments need time.
pub(crate) fn pause(time: Duration) {
    let (_held, never) = sync_channel::<()>(0);
    assert_eq!(never.recv_timeout(time), Err(RecvTimeoutError::Timeout));
}

/// A server process, ready or not.
pub(crate) struct Server {
    child: Child,
    address: Receiver<SocketAddr>,
    log: Arc<Mutex<String>>,
    /// Writes the log; `None` when it is complete.
    reader: Option<JoinHandle<()>>,
}

/// Settings under which snapshots and new segments are frequent, so that crashes hit them.
const SETTINGS: [(&str, &str); 4] = [
    ("HOLDFAST_SNAPSHOT__EVERY_RECORDS", "1000"),
    ("HOLDFAST_JOURNAL__SEGMENT_MIB", "8"),
    ("HOLDFAST_JOURNAL__RETAIN_MIB", "1"),
    ("HOLDFAST_HTTP__THREADS", "2"),
];

impl Server {
    /// Starts the binary on a data folder.
    pub(crate) fn spawn(data: &Path) -> Self {
        Self::spawn_under(&[], data, &[])
    }

    /// Starts the binary as an argument of another command, with settings.
    pub(crate) fn spawn_under(wrapper: &[&str], data: &Path, settings: &[(&str, &str)]) -> Self {
        Self::run_with(wrapper, &["--data", data.to_str().unwrap()], settings)
    }

    /// Starts an instance over a store; makes the ledger where there is none.
    pub(crate) fn spawn_over(store: &str) -> Self {
        Self::spawn_at("memory", store, &[])
    }

    /// The same at a durability level, with settings.
    pub(crate) fn spawn_at(level: &str, store: &str, settings: &[(&str, &str)]) -> Self {
        let arguments = ["--store", store, "--durability", level, "--init"];
        Self::run_with(&[], &arguments, settings)
    }

    fn run_with(wrapper: &[&str], arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let serve = [BINARY, "serve", "--listen", "127.0.0.1:0"];
        let words = [wrapper, &serve, arguments].concat();
        let mut child = command(words[0])
            .args(&words[1..])
            .envs(SETTINGS)
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", words[0]));
        let errors = BufReader::new(child.stderr.take().unwrap());
        let (found, address) = sync_channel(1);
        let log = Arc::<Mutex<String>>::default();
        let written = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            let mut found = Some(found);
            for line in errors.lines().map_while(Result::ok) {
                if let Some(address) = address_in(&line)
                    && let Some(found) = found.take()
                {
                    found.send(address).unwrap_or_default();
                }
                let mut log = written.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self {
            child,
            address,
            log,
            reader: Some(reader),
        }
    }

    /// Starts the binary and waits until it listens.
    pub(crate) fn start(data: &Path) -> (Self, SocketAddr) {
        Self::spawn(data).until_ready()
    }

    /// Waits until it listens.
    pub(crate) fn until_ready(mut self) -> (Self, SocketAddr) {
        let address = self
            .ready()
            .unwrap_or_else(|log| panic!("no ready line:\n{log}"));
        (self, address)
    }

    /// The address of the ready line, or, when the process ended first, what it said.
    pub(crate) fn ready(&mut self) -> Result<SocketAddr, String> {
        match self.address.recv_timeout(PATIENCE) {
            Ok(address) => Ok(address),
            Err(_) => Err(self.kill()),
        }
    }

    /// Kill -9. Returns what the process said until then.
    pub(crate) fn kill(&mut self) -> String {
        // It may have ended by itself.
        self.child.kill().unwrap_or_default();
        self.child.wait().unwrap();
        self.said()
    }

    fn said(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.log.lock().unwrap().clone()
    }

    /// Whether the process has said this by now.
    pub(crate) fn has_said(&self, text: &str) -> bool {
        self.log.lock().unwrap().contains(text)
    }

    /// Asks the process to end, as an operator would.
    pub(crate) fn stop(&mut self) -> (ExitStatus, String) {
        self.signal("-TERM");
        self.ended()
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for the process to end by itself.
    pub(crate) fn ended(&mut self) -> (ExitStatus, String) {
        let begun = monotonic();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, self.said());
            }
            assert!(
                begun.elapsed() <= PATIENCE,
                "the process does not end:\n{}",
                self.kill()
            );
            pause(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.reader.is_some() {
            self.kill();
        }
    }
}

/// A command that does not see the settings of this test run: the binary takes what begins with
/// `HOLDFAST_` for its own.
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HOLDFAST_") {
            command.env_remove(name);
        }
    }
    command
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("127.0.0.1:")?;
    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let port = port.parse().ok().filter(|port| *port != 0)?;
    Some(SocketAddr::from(([127, 0, 0, 1], port)))
}

/// `holdfast verify` on a data folder: whether it is clean, and what it said.
pub(crate) fn verify(data: &Path) -> (bool, String) {
    verify_with(&["--data", data.to_str().unwrap()])
}

/// `holdfast verify` on what these arguments name.
pub(crate) fn verify_with(arguments: &[&str]) -> (bool, String) {
    run("verify", arguments)
}

/// A command of the program: whether it ended well, and what it said.
pub(crate) fn run(name: &str, arguments: &[&str]) -> (bool, String) {
    let output = command(BINARY).arg(name).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}
