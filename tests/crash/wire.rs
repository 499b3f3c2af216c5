//! The smallest HTTP client that will do: one connection, one request at a time, no retries.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// A mirror said so: it is kept under no key.
    pub(crate) is_of_mirror: bool,
}

/// One connection.
pub(crate) struct Wire {
    stream: BufReader<TcpStream>,
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    pub(crate) fn get(&mut self, path: &str) -> io::Result<Reply> {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: t\r\n\r\n"))
    }

    pub(crate) fn post(&mut self, path: &str, key: &str, body: &Value) -> io::Result<Reply> {
        let body = body.to_string();
        let length = body.len();
        self.send(&format!(
            "POST {path} HTTP/1.1\r\nhost: t\r\nidempotency-key: {key}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    }

    fn send(&mut self, request: &str) -> io::Result<Reply> {
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        self.line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| broken("no status"))?;
        let mut length = 0;
        let mut is_of_mirror = false;
        loop {
            self.line(&mut line)?;
            if line.is_empty() {
                break;
            }
            let head = line.to_ascii_lowercase();
            is_of_mirror |= head.starts_with("holdfast-mirror-age-ms:");
            if let Some(value) = head.strip_prefix("content-length:") {
                length = value
                    .trim()
                    .parse()
                    .ok()
                    .ok_or_else(|| broken("no length"))?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        let body = if body.is_empty() {
            Value::Null
        } else {
            let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
            serde_json::from_slice(&body).unwrap_or_else(|_| text())
        };
        Ok(Reply {
            status,
            body,
            is_of_mirror,
        })
    }

    fn line(&mut self, line: &mut String) -> io::Result<()> {
        line.clear();
        if self.stream.read_line(line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.trim_end().len());
        Ok(())
    }
}
