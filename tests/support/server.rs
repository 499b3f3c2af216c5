//! Real servers for tests: started on a socket of their own, gone when the test is over.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use redis::Connection;
use tempfile::TempDir;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Redis,
    Valkey,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Redis, Self::Valkey];

    /// The program: what the environment names, or where `scripts/test` puts it.
    #[expect(
        clippy::disallowed_methods,
        reason = "the tests have no configuration file"
    )]
    pub(crate) fn program(self) -> PathBuf {
        let (variable, usual) = match self {
            Self::Redis => ("HOLDFAST_REDIS_SERVER", PathBuf::from("redis-server")),
            Self::Valkey => {
                let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools");
                ("HOLDFAST_VALKEY_SERVER", tools.join("valkey-server"))
            }
        };
        std::env::var(variable).map_or(usual, PathBuf::from)
    }
}

/// A running server that keeps nothing.
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
}

impl Server {
    pub(crate) fn start(kind: Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = kind.program();
        let started = Command::new(&program)
            .args(["--port", "0", "--save", "", "--appendonly", "no"])
            .args(["--unixsocket", "server.sock", "--logfile", "", "--dir", "."])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = started.unwrap_or_else(|error| {
            panic!(
                "{kind:?}: {} does not start ({error}); `scripts/test prerequisites` installs it",
                program.display()
            )
        });
        let mut log = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        while !said.contains("eady to accept connections") {
            let read = log.read_line(&mut said).unwrap();
            assert!(read > 0, "{kind:?} ended at the start:\n{said}");
        }
        // Whatever else it says must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut log.by_ref(), &mut std::io::sink()));
        Self { child, folder }
    }

    /// The socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("server.sock")
    }

    /// The address of the socket, as clients take it.
    pub(crate) fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    pub(crate) fn connect(&self) -> Connection {
        let client = redis::Client::open(self.url()).unwrap();
        client.get_connection().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}
