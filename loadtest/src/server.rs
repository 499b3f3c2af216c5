//! Servers as child processes: started on a free port, asked to end, checked afterwards.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use holdfast_client::{Answer, Client, Config, SetStock};
use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::machine::processor_seconds;
use crate::template::{SKUS_MAX, run_name, sku};

const START_MAX: Duration = Duration::from_secs(30);
const STOP_MAX: Duration = Duration::from_mins(1);

/// How durable an acknowledged reservation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Durability {
    /// Synced before the answer.
    Disk,
    /// Handed to the operating system before the answer.
    Os,
    /// In the memory of a store.
    Memory,
    /// In the memory of a store and of its replica.
    Replica,
}

impl Durability {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Os => "os",
            Self::Memory => "memory",
            Self::Replica => "replica",
        }
    }

    /// The environment that asks for it.
    pub(crate) fn setting(self) -> Setting {
        ("HOLDFAST_DURABILITY", self.word().to_owned())
    }
}

/// A variable of a server's environment.
pub(crate) type Setting = (&'static str, String);

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    /// Lines of its standard error after the ready line.
    log: Receiver<String>,
}

impl Server {
    /// The no-op server of this program.
    pub(crate) fn noop() -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["noop", "--listen", "127.0.0.1:0"]);
        Self::start(command)
    }

    /// The engine on a data folder.
    pub(crate) fn holdfast(
        binary: &Path,
        data: &Path,
        settings: &[Setting],
    ) -> Result<Self, Failure> {
        let mut command = Command::new(binary);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .envs(settings.iter().cloned());
        Self::start(command)
    }

    /// The engine over a store, which these settings name; makes the ledger.
    pub(crate) fn over(binary: &Path, settings: &[Setting]) -> Result<Self, Failure> {
        let mut command = Command::new(binary);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--init"])
            .envs(settings.iter().cloned());
        Self::start(command)
    }

    fn start(mut command: Command) -> Result<Self, Failure> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| format!("{command:?}: {e}"))?;
        let stderr = child.stderr.take().ok_or("no standard error")?;
        let (sender, log) = sync_channel(256);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // A full channel loses the line: the server must never wait for its log.
                drop(sender.try_send(line));
            }
        });
        let mut seen = Vec::new();
        while let Ok(line) = log.recv_timeout(START_MAX) {
            if let Some(address) = address_in(&line) {
                return Ok(Self {
                    child,
                    address,
                    log,
                });
            }
            seen.push(line);
        }
        child.kill()?;
        child.wait()?;
        Err(format!("{command:?} did not become ready: {}", seen.join("\n")).into())
    }

    /// Its number.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Processor seconds so far.
    pub(crate) fn processor_seconds(&self) -> f64 {
        processor_seconds(&self.process().to_string())
    }

    /// Asks the server to end, and waits.
    pub(crate) fn stop(self) -> Result<(), Failure> {
        let Self { mut child, log, .. } = self;
        let killed = Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status()?;
        if !killed.success() {
            return Err("the server was gone before it was asked to end".into());
        }
        let (status, lines) = wait(&mut child, &log)?;
        // The no-op server has no handler: the signal itself ends it.
        if status.success() || status.code().is_none() {
            return Ok(());
        }
        Err(format!("the server ended with {status}: {}", lines.join("\n")).into())
    }
}

/// Waits for the end of the log, which is the end of the process, and returns its lines.
fn wait(child: &mut Child, log: &Receiver<String>) -> Result<(ExitStatus, Vec<String>), Failure> {
    let mut lines = Vec::new();
    loop {
        match log.recv_timeout(STOP_MAX) {
            Ok(line) => lines.push(line),
            Err(RecvTimeoutError::Disconnected) => return Ok((child.wait()?, lines)),
            Err(RecvTimeoutError::Timeout) => {
                child.kill()?;
                child.wait()?;
                return Err(format!("the server did not end in time: {}", lines.join("\n")).into());
            }
        }
    }
}

fn address_in(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("http://")?;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || ".:[]-".contains(c)));
    let address = rest.get(..end.unwrap_or(rest.len()))?;
    (!address.is_empty()).then(|| address.to_owned())
}

/// Puts stock on `count` SKUs, through the front door.
pub(crate) fn seed(address: &str, count: u64, on_hand: u64) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let config = Config::new(&format!("http://{address}")).ok_or("not an address")?;
        let client = Client::new(&config);
        let names: Vec<String> = (0..count.min(SKUS_MAX)).map(sku).collect();
        for names in names.chunks(1_000) {
            let items: Vec<SetStock<'_>> = names
                .iter()
                .map(|name| SetStock::new(name, on_hand))
                .collect();
            if let Answer::Refused(refusal) = client.set_stock(&items, "load test").await? {
                return Err(format!("stock was refused: {refusal:?}").into());
            }
        }
        Ok(())
    })
}

/// Recounts a data folder with the engine's own command; an error unless it is clean.
pub(crate) fn verify(binary: &Path, data: &Path) -> Result<(), Failure> {
    let output = Command::new(binary)
        .args(["verify", "--data"])
        .arg(data)
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    Err(format!("verify ended with {}: {out}{err}", output.status).into())
}

/// A data folder that goes away with this value.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(parent: &Path, name: &str) -> Result<Self, Failure> {
        let folder = parent.join(format!("loadtest-{name}-{}", run_name()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_ready_lines() {
        let check = |line: &str, want: Option<&str>| {
            assert_eq!(address_in(line).as_deref(), want, "{line}");
        };
        check("ready on http://127.0.0.1:4711", Some("127.0.0.1:4711"));
        check(
            "{\"m\":\"serving http://127.0.0.1:1/\",\"x\":1}",
            Some("127.0.0.1:1"),
        );
        check("ready url=http://[::1]:80, data=./data", Some("[::1]:80"));
        check("starting", None);
    }
}
