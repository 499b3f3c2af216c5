//! Checks a proof of holdfast without holdfast: a file that says what was promised, and what of.
//!
//! The format, what a proof shows and what it does not stand in `docs/PROOF.md`. Nothing here is
//! shared with the engine but that description: the rules are written down a second time, in a simpler
//! way, so that both would have to be wrong at the same place.

mod chain;
mod form;
mod line;
mod names;
mod record;
mod room;
mod shard;
mod stock;
mod supply;

use std::fmt;
use std::io::{self, BufRead};

use sha2::{Digest, Sha256};

use self::chain::Chain;
use self::form::{AnyFirst, Body, End, Head};
use self::names::AllNames;
use self::shard::{Said, Shard};

/// What the first line of every proof says.
const FORMAT: &str = "holdfast proof";
/// The version of it that this program knows.
pub const VERSION: u32 = 1;

/// What is wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    found: String,
    expected: String,
}

impl Fault {
    pub(crate) fn new(found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            found: found.into(),
            expected: expected.into(),
        }
    }
}

/// The first line that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Which, from 1.
    pub line: u64,
    /// The shard whose records are told there.
    pub shard: Option<u16>,
    /// The number of the record there; of the last one before where no record is there.
    pub sequence: Option<u64>,
    /// What is there.
    pub found: String,
    /// What would fit.
    pub expected: String,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let (Some(shard), Some(sequence)) = (self.shard, self.sequence) {
            write!(f, " (shard {shard}, record {sequence})")?;
        }
        write!(f, ": {}; expected: {}", self.found, self.expected)
    }
}

/// Why a file is not a proof of anything.
#[derive(Debug)]
pub enum Refusal {
    /// It cannot be read.
    Unreadable(io::Error),
    /// It is something else.
    Other,
    /// It was written by another version.
    Version(u32),
    /// It is a proof, and a line of it does not fit.
    Rejected(Box<Rejection>),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "cannot be read: {error}"),
            Self::Other => write!(f, "is not a proof of holdfast"),
            Self::Version(found) => {
                write!(
                    f,
                    "has format version {found}, this program knows {VERSION}"
                )
            }
            Self::Rejected(rejection) => write!(f, "rejected at {rejection}"),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// What a proof that fits says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Names the ledger.
    pub ledger: String,
    /// Records.
    pub records: u64,
    /// Reservations that were made in them.
    pub made: u64,
    /// SKUs that stand at the end.
    pub skus: u64,
    /// Reservations that stand at the end.
    pub reservations: u64,
    /// The last hash.
    pub hash: String,
    /// Of how it stands at the beginning: the same as `closing` of the proof before it.
    pub opening: String,
    /// Of how it stands at the end.
    pub closing: String,
}

/// Reads a proof to its end.
///
/// # Errors
/// The first line that does not fit, or why it is no proof.
pub fn verify(from: impl BufRead) -> Result<Proof, Refusal> {
    let mut chain = Chain::new(from);
    let mut course = Course::default();
    while chain.read()? {
        if chain.line == 1 {
            is_known(chain.text())?;
        }
        let number = chain.line;
        course.is_record = chain.text().starts_with(br#"{"record""#);
        let judged = match chain.checked() {
            Ok(text) => course.line(text),
            Err(fault) => Err(fault),
        };
        judged.map_err(|fault| course.reject(number, fault))?;
    }
    match course.at {
        At::Ended(end) => Ok(course.proof(end, chain.tip())),
        At::Start => Err(Refusal::Other),
        At::Head | At::Opening | At::Records | At::Closing => {
            course.is_record = false;
            let fault = Fault::new("the file ends", "more lines, the last of them `end`");
            Err(course.reject(chain.line, fault))
        }
    }
}

/// Whether a first line is that of a proof, and of this version.
fn is_known(line: &[u8]) -> Result<(), Refusal> {
    let first: AnyFirst = serde_json::from_slice(line).or(Err(Refusal::Other))?;
    if first.proof.format != FORMAT {
        return Err(Refusal::Other);
    }
    match first.proof.version {
        VERSION => Ok(()),
        other => Err(Refusal::Version(other)),
    }
}

/// What was read last.
#[derive(Debug, Clone, Copy, Default)]
enum At {
    #[default]
    Start,
    Head,
    Opening,
    Records,
    Closing,
    Ended(End),
}

/// From the first line to the last.
#[derive(Default)]
struct Course {
    at: At,
    /// Whether the line that was read last is a record, or was one.
    is_record: bool,
    head: Option<Head>,
    names: AllNames,
    shard: Option<Shard>,
    said: Said,
    /// Shards that are done.
    shards: u16,
    lines: u64,
    records: u64,
    made: u64,
    skus: u64,
    reservations: u64,
    opening: Sha256,
    closing: Sha256,
}

impl Course {
    fn line(&mut self, text: &[u8]) -> Result<(), Fault> {
        let body: Body<'_> = serde_json::from_slice(text).map_err(|error| {
            Fault::new(
                format!("the line cannot be read: {error}"),
                "a line as docs/PROOF.md describes it",
            )
        })?;
        self.take(body, text)?;
        self.lines += 1;
        Ok(())
    }

    fn take(&mut self, body: Body<'_>, text: &[u8]) -> Result<(), Fault> {
        match (self.at, body) {
            (At::Start, Body::Proof(head)) => {
                self.head = Some(head);
                self.at = At::Head;
                Ok(())
            }
            (At::Head | At::Closing, Body::Opening(stands)) => self.open(stands, text),
            (At::Opening, body @ (Body::Policy(_) | Body::Sku(_) | Body::Reservation(_))) => {
                self.opening.update(text);
                self.stands_at_opening(body)
            }
            (At::Opening | At::Records, Body::Record(record)) => {
                let shard = self.shard.as_mut().ok_or_else(out_of_place)?;
                if matches!(self.at, At::Opening) {
                    shard.opened()?;
                }
                self.at = At::Records;
                self.records += 1;
                self.made += u64::from(record.kind == "reservation.created");
                record::apply(shard, &mut self.names, &record)
            }
            (At::Opening | At::Records, Body::Closing(stands)) => self.close(stands),
            (At::Closing, body @ (Body::Policy(_) | Body::Sku(_) | Body::Reservation(_))) => {
                self.closing.update(text);
                self.stands_at_closing(body)
            }
            (At::Closing, Body::End(end)) => self.end(end),
            _ => Err(out_of_place()),
        }
    }

    fn open(&mut self, stands: form::Stands, text: &[u8]) -> Result<(), Fault> {
        if matches!(self.at, At::Closing) {
            self.finish_shard()?;
        }
        let head = self.head.as_ref().ok_or_else(out_of_place)?;
        if stands.shard != self.shards || stands.shard >= head.shards {
            return Err(Fault::new(
                format!("shard {}", stands.shard),
                format!("shard {} of {}", self.shards, head.shards),
            ));
        }
        // Without the name of the member: a closing says the same in other words.
        self.opening
            .update(text.strip_prefix(br#"{"opening""#).unwrap_or(text));
        self.shard = Some(Shard::new(head, stands));
        self.at = At::Opening;
        Ok(())
    }

    fn stands_at_opening(&mut self, body: Body<'_>) -> Result<(), Fault> {
        let shard = self.shard.as_mut().ok_or_else(out_of_place)?;
        match body {
            Body::Policy(policy) => shard.open_policy(policy),
            Body::Sku(sku) => shard.open_sku(&mut self.names, &sku),
            Body::Reservation(found) => shard.open_reservation(&mut self.names, &found),
            Body::Proof(_)
            | Body::Opening(_)
            | Body::Record(_)
            | Body::Closing(_)
            | Body::End(_) => Err(out_of_place()),
        }
    }

    fn close(&mut self, stands: form::Stands) -> Result<(), Fault> {
        let shard = self.shard.as_mut().ok_or_else(out_of_place)?;
        if matches!(self.at, At::Opening) {
            shard.opened()?;
        }
        if stands != shard.stands {
            return Err(Fault::new(
                format!("the shard ends as {stands:?}"),
                format!("{:?}", shard.stands),
            ));
        }
        let form::Stands {
            shard,
            sequence,
            at,
        } = stands;
        let text = format!(r#":{{"shard":{shard},"sequence":{sequence},"at":{at}}}}}"#);
        self.closing.update(text);
        self.said = Said::default();
        self.at = At::Closing;
        Ok(())
    }

    fn stands_at_closing(&mut self, body: Body<'_>) -> Result<(), Fault> {
        let shard = self.shard.as_ref().ok_or_else(out_of_place)?;
        let (names, said) = (&mut self.names, &mut self.said);
        match body {
            Body::Policy(policy) => shard.close_policy(said, &policy),
            Body::Sku(sku) => shard.close_sku(names, said, &sku),
            Body::Reservation(found) => shard.close_reservation(names, said, &found),
            Body::Proof(_)
            | Body::Opening(_)
            | Body::Record(_)
            | Body::Closing(_)
            | Body::End(_) => Err(out_of_place()),
        }
    }

    fn finish_shard(&mut self) -> Result<(), Fault> {
        let shard = self.shard.take().ok_or_else(out_of_place)?;
        let (skus, reservations) = shard.closed(&self.said)?;
        self.skus += skus;
        self.reservations += reservations;
        self.shards += 1;
        Ok(())
    }

    fn end(&mut self, end: End) -> Result<(), Fault> {
        self.finish_shard()?;
        let shards = self.head.as_ref().map_or(0, |head| head.shards);
        if self.shards != shards {
            let found = format!("{} shards", self.shards);
            return Err(Fault::new(found, shards.to_string()));
        }
        let found = (end.lines, end.records, end.skus, end.reservations);
        let counted = (self.lines, self.records, self.skus, self.reservations);
        if found != counted {
            return Err(Fault::new(
                format!("{found:?} lines, records, SKUs and reservations"),
                format!("{counted:?}"),
            ));
        }
        self.at = At::Ended(end);
        Ok(())
    }

    fn reject(&self, line: u64, fault: Fault) -> Refusal {
        let stands = self.shard.as_ref().map(|shard| shard.stands);
        Refusal::Rejected(Box::new(Rejection {
            line,
            shard: stands.map(|stands| stands.shard),
            sequence: stands.map(|stands| stands.sequence + u64::from(self.is_record)),
            found: fault.found,
            expected: fault.expected,
        }))
    }

    fn proof(self, end: End, hash: String) -> Proof {
        let text = |of: Sha256| {
            let digits = chain::hash(b"", &of.finalize());
            digits.iter().copied().map(char::from).collect()
        };
        Proof {
            ledger: self.head.map(|head| head.ledger).unwrap_or_default(),
            records: end.records,
            made: self.made,
            skus: end.skus,
            reservations: end.reservations,
            hash,
            opening: text(self.opening),
            closing: text(self.closing),
        }
    }
}

fn out_of_place() -> Fault {
    Fault::new(
        "a line that has no place here",
        "head, then of each shard opening, records and closing, then the end",
    )
}
