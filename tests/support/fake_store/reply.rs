//! What the store answers, and how it stands on the wire.

use std::io::Write as _;

use bytes::Bytes;

/// One reply.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reply {
    Status(&'static str),
    /// Code and words, without the dash.
    Error(String),
    Int(i64),
    Double(f64),
    Bulk(Bytes),
    Nil,
    Array(Vec<Self>),
    /// Keys and values; in the older protocol they are one flat list.
    Map(Vec<(Self, Self)>),
    /// A map that is a list of pairs in the older protocol.
    Pairs(Vec<(Self, Self)>),
    /// What nobody asked for.
    Push(Vec<Self>),
}

impl Reply {
    pub(crate) const OK: Self = Self::Status("OK");

    pub(crate) fn bulk(text: impl AsRef<[u8]>) -> Self {
        Self::Bulk(Bytes::copy_from_slice(text.as_ref()))
    }

    pub(crate) fn error(text: impl Into<String>) -> Self {
        Self::Error(text.into())
    }

    pub(crate) fn count(count: usize) -> Self {
        Self::Int(i64::try_from(count).unwrap())
    }

    pub(crate) fn found(value: Option<Bytes>) -> Self {
        value.map_or(Self::Nil, Self::Bulk)
    }

    /// As the older protocol and the scripts have a map: flat, or as pairs.
    pub(crate) fn flat(self) -> Self {
        match self {
            Self::Map(pairs) => {
                Self::Array(pairs.into_iter().flat_map(<[Self; 2]>::from).collect())
            }
            Self::Pairs(pairs) => {
                let pair = |(key, value)| Self::Array(vec![key, value]);
                Self::Array(pairs.into_iter().map(pair).collect())
            }
            other => other,
        }
    }

    /// Puts it on the wire.
    pub(crate) fn write(&self, protocol: Protocol, to: &mut Vec<u8>) {
        match (self, protocol) {
            (Self::Status(text), _) => line(to, '+', text),
            (Self::Error(text), _) => line(to, '-', text),
            (Self::Int(number), _) => line(to, ':', number),
            (Self::Double(number), Protocol::Three) => line(to, ',', &score(*number)),
            (Self::Double(number), Protocol::Two) => bulk(to, score(*number).as_bytes()),
            (Self::Bulk(bytes), _) => bulk(to, bytes),
            (Self::Nil, Protocol::Three) => line(to, '_', ""),
            (Self::Nil, Protocol::Two) => line(to, '$', "-1"),
            (Self::Array(items), _) | (Self::Push(items), Protocol::Two) => {
                list(to, '*', items, protocol);
            }
            (Self::Map(pairs) | Self::Pairs(pairs), Protocol::Three) => {
                line(to, '%', &pairs.len());
                for (key, value) in pairs {
                    key.write(protocol, to);
                    value.write(protocol, to);
                }
            }
            (Self::Map(_) | Self::Pairs(_), Protocol::Two) => {
                self.clone().flat().write(protocol, to);
            }
            (Self::Push(items), Protocol::Three) => list(to, '>', items, protocol),
        }
    }
}

/// Version of the protocol that a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Two,
    Three,
}

fn line(to: &mut Vec<u8>, kind: char, what: &(impl std::fmt::Display + ?Sized)) {
    write!(to, "{kind}{what}\r\n").unwrap();
}

fn bulk(to: &mut Vec<u8>, bytes: &[u8]) {
    line(to, '$', &bytes.len());
    to.extend_from_slice(bytes);
    to.extend_from_slice(b"\r\n");
}

fn list(to: &mut Vec<u8>, kind: char, items: &[Reply], protocol: Protocol) {
    line(to, kind, &items.len());
    items.iter().for_each(|item| item.write(protocol, to));
}

/// A number as the store writes it: the shortest text that is the same double.
pub(crate) fn score(number: f64) -> String {
    format!("{number}")
}

/// Takes the first command out of what was received; `None`: it is not all there yet.
pub(crate) fn take_command(received: &mut bytes::BytesMut) -> Option<Vec<Bytes>> {
    let mut rest = &received[..];
    let count = number(&mut rest, b'*')?;
    let mut lengths = Vec::with_capacity(count);
    let whole = received.len();
    for _ in 0..count {
        let length = number(&mut rest, b'$')?;
        let from = whole - rest.len();
        rest = rest.get(length + 2..)?;
        lengths.push(from..from + length);
    }
    let taken = received.split_to(whole - rest.len()).freeze();
    Some(
        lengths
            .into_iter()
            .map(|range| taken.slice(range))
            .collect(),
    )
}

fn number(rest: &mut &[u8], kind: u8) -> Option<usize> {
    let end = rest.windows(2).position(|two| two == b"\r\n")?;
    let (head, tail) = rest.split_at(end);
    assert_eq!(head.first(), Some(&kind), "not a command");
    *rest = &tail[2..];
    std::str::from_utf8(&head[1..]).unwrap().parse().ok()
}
