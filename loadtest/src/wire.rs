//! HTTP/1.1 as a load generator needs it: ready bytes out, status and length in. No pipelining.

use std::io;
use std::time::Duration;

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One keep-alive connection.
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer; the body lies in the connection's buffer until the next exchange.
pub(crate) struct Reply<'a> {
    pub(crate) status: u16,
    pub(crate) head: &'a [u8],
    pub(crate) body: &'a [u8],
}

impl Reply<'_> {
    /// Whether the server closes the connection behind it.
    pub(crate) fn is_last(&self) -> bool {
        memmem::find(self.head, b"\r\nconnection: close\r\n").is_some()
    }

    /// How long the server wants its caller to stay away.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        const NAME: &[u8] = b"\r\nretry-after: ";
        let at = memmem::find(self.head, NAME)? + NAME.len();
        let value = self.head.get(at..)?.split(|byte| *byte == b'\r').next()?;
        let seconds = u64::try_from(number(value)?).ok()?;
        Some(Duration::from_secs(seconds))
    }
}

impl Wire {
    pub(crate) async fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: vec![0; 4 * 1024],
        })
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> io::Result<Reply<'_>> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        let (status, body_at, length) = loop {
            filled += self.read(filled).await?;
            let got = self.buffer.get(..filled).unwrap_or_default();
            if let Some(head) = read_head(got)? {
                break head;
            }
        };
        let end = body_at + length;
        while filled < end {
            if self.buffer.len() < end {
                self.buffer.resize(end, 0);
            }
            filled += self.read(filled).await?;
        }
        let whole = self.buffer.get(..end).unwrap_or_default();
        let (head, body) = whole.split_at_checked(body_at).unwrap_or_default();
        Ok(Reply { status, head, body })
    }

    async fn read(&mut self, filled: usize) -> io::Result<usize> {
        if filled == self.buffer.len() {
            self.buffer.resize(filled * 2, 0);
        }
        let free = self.buffer.get_mut(filled..).unwrap_or_default();
        match self.stream.read(free).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => Ok(count),
        }
    }
}

/// Status, start and length of the body; `None` while the head is not complete.
fn read_head(got: &[u8]) -> io::Result<Option<(u16, usize, usize)>> {
    let Some(head_end) = memmem::find(got, b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = got.get(..head_end + 2).unwrap_or_default();
    let status = head.get(9..12).and_then(number);
    let length = head.split(|b| *b == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked(15)?;
        name.eq_ignore_ascii_case(b"content-length:")
            .then(|| number(value.trim_ascii()))?
    });
    match (status.and_then(|status| u16::try_from(status).ok()), length) {
        (Some(status), Some(length)) => Ok(Some((status, head_end + 4, length))),
        (_, _) => Err(io::Error::other("an answer without a length")),
    }
}

fn number(digits: &[u8]) -> Option<usize> {
    str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_whether_and_when_to_come_again() {
        let reply = |head: &'static str| Reply {
            status: 503,
            head: head.as_bytes(),
            body: &[],
        };
        let last = reply("HTTP/1.1 503 X\r\nretry-after: 12\r\nconnection: close\r\n\r\n");
        assert_eq!(last.retry_after(), Some(Duration::from_secs(12)));
        assert!(last.is_last());
        let other = reply("HTTP/1.1 201 X\r\ncontent-length: 0\r\n\r\n");
        assert!(other.retry_after().is_none() && !other.is_last());
    }

    #[test]
    fn heads_are_read_when_complete() {
        let head = b"HTTP/1.1 409 Conflict\r\nContent-Length: 17\r\nX: y\r\n\r\n{";
        assert_eq!(read_head(head).unwrap(), Some((409, head.len() - 1, 17)));
        for cut in 0..head.len() - 2 {
            assert_eq!(read_head(&head[..cut]).unwrap(), None, "{cut}");
        }
        assert!(read_head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }
}
