//! From the first record to the last, shard by shard.

use std::io::Write;

use super::file::Writer;
use super::record::Names;
use super::shape::{End, FORMAT, Head, Line, Policy, Stands, VERSION};
use super::stand::Stand;
use super::{ProveError, Range};
use crate::domain::{Stock, UnixMillis};
use crate::ledger::EventsError;
use crate::ledger::event::{Cursor, Event};
use crate::ledger::export::{Item, Walk, WalkError};
use crate::ledger::port::Ledger;
use crate::limits::EVENTS_PAGE_MAX;

/// Longer than this nothing is remembered, whatever the configuration says: ten years.
const RETENTION_MS_MAX: i64 = 10 * 366 * DAY_MS;
const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// Where a range begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// With this record.
    Sequence(u64),
    /// With what happened at this moment.
    Moment(UnixMillis),
}

impl Edge {
    fn is_after(self, event: &Event<'_>) -> bool {
        match self {
            Self::Sequence(sequence) => event.position.sequence < sequence,
            Self::Moment(at) => event.at < at,
        }
    }

    fn is_before(self, event: &Event<'_>) -> bool {
        match self {
            Self::Sequence(sequence) => event.position.sequence > sequence,
            Self::Moment(at) => event.at > at,
        }
    }

    /// Whether a shard that stands so is past the beginning already.
    fn is_passed_by(self, stand: &Stand) -> bool {
        match self {
            Self::Sequence(sequence) => stand.sequence >= sequence,
            Self::Moment(at) => stand.at >= at,
        }
    }
}

/// What was written, in numbers.
pub(super) struct Proved {
    pub(super) records: u64,
    pub(super) skus: u64,
    pub(super) reservations: u64,
    pub(super) hash: String,
}

/// A proof that is being written.
pub(super) struct Course<'l, W> {
    ledger: &'l Ledger,
    names: Names<'l>,
    range: Range,
    returns_ms: i64,
    writer: Writer<W>,
    records: u64,
    reservations: u64,
    /// The shard whose records are being written.
    opened: Option<u16>,
    /// How each shard stands at its end.
    stands: Vec<Stand>,
}

impl<'l, W: Write> Course<'l, W> {
    pub(super) async fn begin(
        ledger: &'l Ledger,
        range: Range,
        to: W,
        name: &str,
    ) -> Result<Self, ProveError> {
        let shards = ledger.shards();
        let edges = [range.from, range.to];
        if shards > 1
            && edges
                .iter()
                .any(|edge| matches!(edge, Some(Edge::Sequence(_))))
        {
            return Err(ProveError::Sequences(shards));
        }
        ledger.refresh_names().await?;
        let retention_ms = range.retention_ms.clamp(0, RETENTION_MS_MAX);
        // What is past its retention is forgotten a while later, and may come back until then.
        let returns_ms = 2 * retention_ms + DAY_MS;
        let mut writer = Writer::new(to);
        writer.put(&Line::Proof(Head {
            format: FORMAT,
            version: VERSION,
            ledger: name,
            shards,
            retention_ms,
            returns_ms,
        }))?;
        Ok(Self {
            ledger,
            names: Names(ledger),
            range,
            returns_ms,
            writer,
            records: 0,
            reservations: 0,
            opened: None,
            stands: Vec::new(),
        })
    }

    /// Writes the records of a shard, between how it stands before and after them.
    pub(super) async fn shard(&mut self, shard: u16) -> Result<(), ProveError> {
        let mut stand = self.earliest(shard).await?;
        let mut is_inside = false;
        let mut cursor = Cursor {
            shard,
            epoch: None,
            sequence: stand.sequence,
        };
        let mut last = None;
        'pages: loop {
            let page = self.ledger.events(cursor, EVENTS_PAGE_MAX).await?;
            // What comes while this goes on is for the next proof.
            let last = *last.get_or_insert_with(|| self.ledger.durable(shard).sequence);
            if page.records.is_empty() {
                break;
            }
            for event in page.iter() {
                let event = event.map_err(|bad| ProveError::Damaged(bad.to_string()))?;
                if event.position.sequence > last || self.is_past(&event) {
                    break 'pages;
                }
                is_inside |= self.range.from.is_none_or(|from| !from.is_after(&event));
                if is_inside {
                    self.add(shard, &event, &stand)?;
                }
                stand.apply(&event)?;
                stand.forget(self.returns_ms);
            }
            cursor = page.next.into();
        }
        self.close(shard, stand)
    }

    fn is_past(&self, event: &Event<'_>) -> bool {
        let is_looking = self.range.without_epoch == Some(event.position.epoch);
        is_looking || self.range.to.is_some_and(|to| to.is_before(event))
    }

    /// The earliest place at which it is known how the shard stood.
    async fn earliest(&self, shard: u16) -> Result<Stand, ProveError> {
        let beginning = Cursor {
            shard,
            epoch: None,
            sequence: 0,
        };
        let oldest = match self.ledger.events(beginning, 1).await {
            Ok(_) => return Ok(Stand::default()),
            Err(EventsError::Gone { oldest }) => oldest,
            Err(error) => return Err(error.into()),
        };
        let gone = |oldest| ProveError::Gone { shard, oldest };
        let past = self.ledger.past()?.ok_or(gone(oldest))?;
        let mut stand = Stand::default();
        for page in past.pages() {
            page?.iter().try_for_each(|item| stand.take(item))?;
        }
        stand.taken((past.sequence, past.at), self.returns_ms);
        match self.range.from {
            Some(from) if from.is_passed_by(&stand) => Err(gone(past.sequence + 1)),
            _ => Ok(stand),
        }
    }

    fn add(&mut self, shard: u16, event: &Event<'_>, stand: &Stand) -> Result<(), ProveError> {
        self.open(shard, stand)?;
        self.records += 1;
        Ok(self.writer.put(&self.names.record(event, stand)?)?)
    }

    /// Writes how a shard stands before its records, once.
    fn open(&mut self, shard: u16, stand: &Stand) -> Result<(), ProveError> {
        if self.opened == Some(shard) {
            return Ok(());
        }
        self.opened = Some(shard);
        self.stands_so(&Line::Opening(stands(shard, stand)), stand)?;
        Ok(())
    }

    fn close(&mut self, shard: u16, stand: Stand) -> Result<(), ProveError> {
        self.open(shard, &stand)?;
        self.reservations += self.stands_so(&Line::Closing(stands(shard, &stand)), &stand)?;
        self.stands.push(stand);
        Ok(())
    }

    /// Writes how a shard stands; returns how many reservations do.
    fn stands_so(&mut self, head: &Line<'_>, stand: &Stand) -> Result<u64, ProveError> {
        self.writer.put(head)?;
        if let Some((version, text)) = &stand.policy {
            let version = *version;
            self.writer.put(&Line::Policy(Policy { version, text }))?;
        }
        for (sku, stock) in &stand.skus {
            self.writer.put(&self.names.sku(sku, stock))?;
        }
        let all = stand.reservations.iter();
        let mut standing: Vec<_> = all
            .filter(|(_, known)| known.stands(stand.at, self.returns_ms))
            .collect();
        standing.sort_unstable_by_key(|(id, _)| **id);
        for (id, known) in &standing {
            self.writer.put(&self.names.reservation(**id, known))?;
        }
        Ok(u64::try_from(standing.len()).unwrap_or(u64::MAX))
    }

    /// Compares what the records lead to with what the ledger has, if nothing was decided since it
    /// stood at `before`.
    pub(super) async fn compare(&self, before: &[u64]) -> Result<bool, ProveError> {
        let compared = match Walk::begin(self.ledger).await {
            Ok(walk) => self.compare_with(walk).await,
            Err(error) => Err(error.into()),
        };
        let is_same = self.ledger.export_stand().await? == before;
        match compared {
            _ if !is_same => Ok(false),
            Err(ProveError::Walk(
                WalkError::Moved | WalkError::Underway(_) | WalkError::Uneven,
            )) => Ok(false),
            other => other.map(|()| true),
        }
    }

    async fn compare_with(&self, mut walk: Walk<'_>) -> Result<(), ProveError> {
        let mut found = 0;
        while let Some(items) = walk.next().await? {
            for item in &items {
                if let Item::Sku(sku) = item {
                    self.compare_sku(sku)?;
                    found += 1;
                }
            }
        }
        match self.skus() {
            known if known == found => Ok(()),
            known => Err(ProveError::Differs(format!("{found} SKUs, not {known}"))),
        }
    }

    /// SKUs that stand at the end.
    fn skus(&self) -> usize {
        self.stands.iter().map(|stand| stand.skus.len()).sum()
    }

    fn compare_sku(&self, found: &crate::ledger::export::Sku) -> Result<(), ProveError> {
        let differs = || ProveError::Differs(format!("SKU {}", found.sku));
        let stock = found.stock().map_err(|_bad| differs())?;
        let mut known = { self.stands.iter() }.filter_map(|of| of.skus.get(&*found.sku));
        let is_same = known.next().is_some_and(|known| is_same(known, &stock));
        if is_same { Ok(()) } else { Err(differs()) }
    }

    pub(super) fn finish(mut self) -> Result<Proved, ProveError> {
        let skus = u64::try_from(self.skus()).unwrap_or(u64::MAX);
        let (records, reservations) = (self.records, self.reservations);
        let lines = self.writer.lines();
        self.writer.put(&Line::End(End {
            lines,
            records,
            skus,
            reservations,
        }))?;
        Ok(Proved {
            records,
            skus,
            reservations,
            hash: self.writer.finish()?,
        })
    }
}

fn stands(shard: u16, stand: &Stand) -> Stands {
    Stands {
        shard,
        sequence: stand.sequence,
        at: stand.at.0,
    }
}

/// Whether the same units are there, and promised, in the same way.
fn is_same(a: &Stock, b: &Stock) -> bool {
    let nodes = |of: &Stock| {
        let nodes = of.nodes().iter();
        let units = nodes.map(|n| (n.node, n.on_hand, n.unavailable, n.pinned));
        units
            .filter(|(_, a, b, c)| !(a.is_zero() && b.is_zero() && c.is_zero()))
            .collect::<Vec<_>>()
    };
    let promised = |of: &Stock| (of.held(), of.committed());
    nodes(a) == nodes(b) && promised(a) == promised(b) && a.calendar() == b.calendar()
}
