//! Redis and Valkey servers as child processes.

use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use deadpool_redis::redis::{self, Client};

use crate::Failure;
use crate::clock::now;
use crate::server::{Durability, Scratch};

/// How long a replica may take to copy an empty primary.
const FOLLOW_MAX: Duration = Duration::from_secs(30);

/// A running server with a folder of its own.
pub(crate) struct Private {
    child: Child,
    port: u16,
    _folder: Scratch,
}

/// A port that nobody uses and nobody is given: below those that the system deals out, of which
/// connections take thousands.
fn free_port() -> Result<u16, Failure> {
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let random = RandomState::new().hash_one(0_u8) % 20_000;
    let start = 10_000 + u16::try_from(random)?;
    let port = (start..30_000).chain(10_000..start).find(is_free);
    port.ok_or_else(|| "no port is free".into())
}

/// A primary, and a replica where the level asks for one.
pub(super) fn start(
    program: &Path,
    scratch: &Path,
    level: Durability,
) -> Result<Vec<Private>, Failure> {
    let primary = Private::start(program, scratch, "primary", &settings(level))?;
    if level != Durability::Replica {
        return Ok(vec![primary]);
    }
    let port = primary.port.to_string();
    let follow = ["--appendonly", "no", "--replicaof", "127.0.0.1", &port];
    let replica = Private::start(program, scratch, "replica", &follow)?;
    primary.is_followed()?;
    Ok(vec![primary, replica])
}

/// What `holdfast doctor` asks of a store at this level, and nothing else that costs time.
fn settings(level: Durability) -> Vec<&'static str> {
    match level {
        Durability::Memory | Durability::Os => vec!["--appendonly", "no"],
        Durability::Disk => vec!["--appendonly", "yes", "--appendfsync", "always"],
        Durability::Replica => vec![
            "--appendonly",
            "no",
            "--min-replicas-to-write",
            "1",
            "--repl-diskless-sync-delay",
            "0",
        ],
    }
}

impl Private {
    fn start(
        program: &Path,
        scratch: &Path,
        name: &str,
        settings: &[&str],
    ) -> Result<Self, Failure> {
        let folder = Scratch::new(scratch, name)?;
        let port = free_port()?;
        let mut command = Command::new(program);
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--logfile", "", "--daemonize", "no"])
            .args(settings)
            .arg("--dir")
            .arg(&folder.0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let child = command.spawn().map_err(|e| format!("{command:?}: {e}"))?;
        let mut server = Self {
            child,
            port,
            _folder: folder,
        };
        server.is_ready()?;
        Ok(server)
    }

    /// Waits for the line in which it says that it serves.
    fn is_ready(&mut self) -> Result<(), Failure> {
        let log = self.child.stdout.take().ok_or("no standard output")?;
        let mut lines = BufReader::new(log).lines().map_while(Result::ok);
        let mut said = Vec::new();
        for line in lines.by_ref() {
            if line.contains("Ready to accept connections") {
                // It would be stopped by a full pipe.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(());
            }
            said.push(line);
        }
        Err(format!("the store did not start: {}", said.join("\n")).into())
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Waits until a replica has everything.
    fn is_followed(&self) -> Result<(), Failure> {
        let mut connection = Client::open(self.url())?.get_connection()?;
        let give_up = now() + FOLLOW_MAX;
        while now() < give_up {
            let info: String = redis::cmd("INFO")
                .arg("replication")
                .query(&mut connection)?;
            if info.contains("state=online") {
                return Ok(());
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        Err("the replica does not follow its primary".into())
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
