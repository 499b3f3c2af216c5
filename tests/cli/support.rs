//! Starting the binary and talking to it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "test code may stop at the first surprise"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// A folder of one test.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The binary, in a folder of the test, with nothing in the environment that it would read.
pub(crate) fn holdfast(inside: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    unset(&mut command);
    command.current_dir(inside).stdin(Stdio::null());
    command
}

/// Takes everything out of the environment that the binary would read.
pub(crate) fn unset(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HOLDFAST_") {
            command.env_remove(name);
        }
    }
}

/// What a finished command left.
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Finished {
    /// The output as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).expect(&self.err)
    }
}

/// Runs the binary to its end.
pub(crate) fn run(inside: &Path, arguments: &[&str]) -> Finished {
    finish(holdfast(inside).args(arguments))
}

/// Runs a prepared command to its end.
pub(crate) fn finish(command: &mut Command) -> Finished {
    let output = command.output().unwrap();
    Finished {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A file of the test.
pub(crate) fn file(inside: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = inside.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// All files of a folder with their bytes, but not the lock.
pub(crate) fn bytes_of(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().is_some_and(|name| name != "lock"))
        .map(|path| (path.clone(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

/// A running server; killed when the test forgets to stop it.
pub(crate) struct Server {
    child: Child,
    log: BufReader<ChildStderr>,
    pub(crate) address: String,
}

impl Server {
    /// Starts `holdfast serve` on a free port and waits for the ready line.
    pub(crate) fn start(inside: &Path, more: &[&str]) -> Self {
        Self::start_as(holdfast(inside), more)
    }

    /// The same with a command that was prepared.
    pub(crate) fn start_as(mut command: Command, more: &[&str]) -> Self {
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(more)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut server = Self {
            child,
            log,
            address: String::new(),
        };
        let line = server.line_with("holdfast ready on http://");
        let rest = line.split("http://").nth(1).unwrap();
        rest.split(' ')
            .next()
            .unwrap()
            .clone_into(&mut server.address);
        server
    }

    /// Reads the log up to the line that has this text.
    pub(crate) fn line_with(&mut self, text: &str) -> String {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            let read = self.log.read_line(&mut line).unwrap();
            assert!(read > 0, "the log ended without {text:?}:\n{all}");
            if line.contains(text) {
                return line;
            }
            all.push_str(&line);
        }
    }

    /// Whether it has not ended yet.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal. One to a process that has just ended is lost, and no mistake.
    pub(crate) fn signal(&self, name: &str) {
        let script = format!("kill -{name} {}", self.pid());
        assert!(
            Command::new("sh")
                .args(["-c", &script])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Nobody reads its log any more.
    pub(crate) fn close_log(&mut self) {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(writer);
        self.log = BufReader::new(ChildStderr::from(OwnedFd::from(reader)));
    }

    /// Waits for the end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut rest = Vec::new();
        self.log.read_to_end(&mut rest).unwrap();
        self.child.wait().unwrap()
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// A connection.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        stream
    }

    /// One request on a connection of its own: status and body.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.call(&format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        ))
    }

    /// A POST with an idempotency key.
    pub(crate) fn post(&self, path: &str, key: &str, body: &str) -> (u16, String) {
        let length = body.len();
        self.call(&format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nidempotency-key: {key}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    }

    /// A PUT.
    pub(crate) fn put(&self, path: &str, body: &str) -> (u16, String) {
        let length = body.len();
        self.call(&format!(
            "PUT {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    }

    fn call(&self, request: &str) -> (u16, String) {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        (status, body.to_owned())
    }
}

/// A request whose body the server is waiting for: it has said so when this returns.
pub(crate) fn begin_post(server: &Server, path: &str, length: usize) -> BufReader<TcpStream> {
    let mut stream = BufReader::new(server.connect());
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nidempotency-key: k\r\nexpect: 100-continue\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.get_mut().write_all(head.as_bytes()).unwrap();
    for expected in ["HTTP/1.1 100 Continue\r\n", "\r\n"] {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        assert_eq!(line, expected);
    }
    stream
}

impl Drop for Server {
    fn drop(&mut self) {
        // Either fails where the process has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
