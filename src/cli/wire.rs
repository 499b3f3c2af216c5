//! A small blocking HTTP/1.1 client: one connection, one request at a time.
//!
//! It sends nothing twice by itself; a caller that repeats a request repeats its idempotency key.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde_json::Value;

use super::{Exit, Failure};

/// Longest wait for a connection, and for each read and write.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest line of a response head.
const HEAD_LINE_BYTES_MAX: u64 = 16 * 1024;
/// Largest response body that is read.
const BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The host and port of a server, from `http://host:port` or `host:port`.
pub(crate) fn authority(server: &str) -> Result<&str, Failure> {
    let rest = server.strip_prefix("http://").unwrap_or(server);
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains("://") || rest.contains('/') || !rest.contains(':') {
        let message = format!("{server} is not the address of a server; use http://host:port");
        return Err(Failure::new(Exit::Usage, message));
    }
    Ok(rest)
}

/// One connection to a server.
#[derive(Debug)]
pub(crate) struct Connection {
    authority: String,
    stream: BufReader<TcpStream>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    /// Status code.
    pub(crate) status: u16,
    /// The body, `Null` where it is empty or not JSON.
    pub(crate) body: Value,
    /// The same key was answered before; this is that answer again.
    pub(crate) is_replayed: bool,
    /// The server closes the connection after this.
    is_last: bool,
}

impl Response {
    /// The `code` of a problem.
    pub(crate) fn code(&self) -> &str {
        self.body
            .get("code")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// A sentence for the user.
    pub(crate) fn problem(&self) -> String {
        let detail = self.body.get("detail").or_else(|| self.body.get("title"));
        let detail = detail.and_then(Value::as_str).unwrap_or_default();
        format!("{} {} {detail}", self.status, self.code())
    }

    /// The body of an answer that is no problem; else the problem, with all faults of a policy.
    pub(crate) fn done(self) -> Result<Value, Failure> {
        if self.status == 200 {
            return Ok(self.body);
        }
        let mut message = self.problem();
        let faults = self.body.get("errors").and_then(Value::as_array);
        for fault in faults.into_iter().flatten() {
            let [path, text, code] = ["path", "message", "code"].map(|name| text_of(fault, name));
            message = format!("{message}\n  {path}: {text} ({code})");
        }
        Err(Failure::new(Exit::Failed, message))
    }
}

/// A member of an answer that is a text; empty where it is none.
pub(crate) fn text_of<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

impl Connection {
    /// Connects; `authority` is `host:port`.
    pub(crate) fn open(authority: &str) -> Result<Self, Failure> {
        let unreachable = |e: io::Error| {
            Failure::new(
                Exit::Unreachable,
                format!("cannot reach http://{authority}: {e}"),
            )
        };
        let stream = connect(authority).map_err(unreachable)?;
        Ok(Self {
            authority: authority.to_owned(),
            stream: BufReader::new(stream),
        })
    }

    /// Asks for a resource.
    pub(crate) fn get(&mut self, path: &str) -> Result<Response, Failure> {
        self.call("GET", path, "", b"")
    }

    /// Sends a JSON body under an idempotency key.
    pub(crate) fn post(
        &mut self,
        path: &str,
        key: &str,
        body: &Value,
    ) -> Result<Response, Failure> {
        let key = format!("idempotency-key: {key}\r\n");
        self.send("POST", path, &key, &body.to_string())
    }

    /// Sends a JSON text with this method and these headers, each ended by a line end.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Result<Response, Failure> {
        let length = body.len();
        let headers =
            format!("content-type: application/json\r\n{headers}content-length: {length}\r\n");
        self.call(method, path, &headers, body.as_bytes())
    }

    fn call(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> Result<Response, Failure> {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\n{headers}\r\n",
            self.authority
        )
        .into_bytes();
        request.extend_from_slice(body);
        let failure = |e: io::Error| {
            let message = format!("{method} http://{}{path}: {e}", self.authority);
            Failure::new(Exit::Unreachable, message)
        };
        let response = exchange(&mut self.stream, &request).map_err(failure)?;
        if response.is_last {
            let stream = connect(&self.authority).map_err(failure)?;
            self.stream = BufReader::new(stream);
        }
        Ok(response)
    }
}

fn connect(authority: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in authority.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                stream.set_write_timeout(Some(TIMEOUT))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn head_line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    stream.take(HEAD_LINE_BYTES_MAX).read_line(&mut line)?;
    match line.strip_suffix('\n') {
        Some(line) => Ok(line.trim_end_matches('\r').to_owned()),
        None => Err(bad("the answer broke off")),
    }
}

fn exchange(stream: &mut BufReader<TcpStream>, request: &[u8]) -> io::Result<Response> {
    stream.get_mut().write_all(request)?;
    let status = head_line(stream)?;
    let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status: u16 = status.ok_or_else(|| bad("the answer is not HTTP"))?;
    let (mut length, mut is_chunked, mut is_last, mut is_replayed) = (0, false, false, false);
    loop {
        let line = head_line(stream)?;
        let Some((name, value)) = line.split_once(':') else {
            if line.is_empty() {
                break;
            }
            return Err(bad("the answer has a broken head"));
        };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = value
                .parse()
                .map_err(|_error| bad("the answer has no usable length"))?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            is_chunked = value.eq_ignore_ascii_case("chunked");
        } else if name.eq_ignore_ascii_case("connection") {
            is_last = value.eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("idempotent-replayed") {
            is_replayed = value.eq_ignore_ascii_case("true");
        }
    }
    let mut body = Vec::new();
    if is_chunked {
        chunks(stream, &mut body)?;
    } else {
        part(stream, length, &mut body)?;
    }
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Ok(Response {
        status,
        body,
        is_replayed,
        is_last,
    })
}

fn part(stream: &mut BufReader<TcpStream>, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
    let room = BODY_BYTES_MAX.saturating_sub(u64::try_from(body.len()).unwrap_or(u64::MAX));
    if length > room {
        return Err(bad("the answer is too long"));
    }
    let read = stream.take(length).read_to_end(body)?;
    if u64::try_from(read).is_ok_and(|read| read == length) {
        Ok(())
    } else {
        Err(bad("the answer broke off"))
    }
}

fn chunks(stream: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let line = head_line(stream)?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let length =
            u64::from_str_radix(digits, 16).map_err(|_error| bad("the answer has a bad chunk"))?;
        part(stream, length, body)?;
        // The line end after a chunk, or after the last one.
        if !head_line(stream)?.is_empty() {
            return Err(bad("the answer has a bad chunk"));
        }
        if length == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Answers each connection with the next text and closes.
    fn server(answers: &'static [&'static str]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        address
    }

    #[test]
    fn bodies_with_a_length_and_in_chunks() {
        let address = server(&[
            "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\n{\"a\":1}",
            "HTTP/1.1 409 Conflict\r\ntransfer-encoding: chunked\r\n\r\n8\r\n{\"code\":\r\n4\r\n\"x\"}\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{",
        ]);
        let mut connection = Connection::open(&address).unwrap();
        assert_eq!(connection.get("/").unwrap().body["a"], 1);
        let refused = connection.post("/", "k", &Value::Null).unwrap();
        assert_eq!((refused.status, refused.code()), (409, "x"));
        let mut connection = Connection::open(&address).unwrap();
        let failure = connection.get("/").unwrap_err();
        assert!(failure.message.contains("broke off"), "{failure}");
        assert_eq!(failure.exit, Exit::Unreachable);
    }

    #[test]
    fn addresses_of_servers() {
        assert_eq!(authority("http://h:1/").unwrap(), "h:1");
        assert_eq!(authority("h:1").unwrap(), "h:1");
        for bad in ["https://h:1", "h", "http://h:1/x"] {
            assert_eq!(authority(bad).unwrap_err().exit, Exit::Usage, "{bad}");
        }
    }
}
