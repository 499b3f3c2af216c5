//! Names, the event feed, waiting, health, closing: what the engine asks besides commands.

use std::sync::{Arc, RwLock};

use super::EmbeddedLedger;
use super::journal::{JournalError, PositionedRecords};
use super::record::decode;
use super::scratch::Scratch;
use crate::domain::command::Channel;
use crate::domain::{ChannelIx, NodeIx, UnixMillis};
use crate::ledger::event::{Body, Cursor, EventPage};
use crate::ledger::names::Names;
use crate::ledger::{EventsError, Health, LedgerError, Position};

/// Most bytes of one page of events.
const PAGE_BYTES_MAX: usize = 256 << 10;

fn find(table: &RwLock<Names>, name: &str) -> Option<u16> {
    super::unpoisoned(table.read()).find(name)
}

fn name(table: &RwLock<Names>, index: u16) -> Arc<str> {
    super::unpoisoned(table.read())
        .name(index)
        .unwrap_or_default()
}

fn failure(error: &JournalError) -> EventsError {
    if let JournalError::Gone { oldest } = error {
        return EventsError::Gone { oldest: *oldest };
    }
    EventsError::Unreadable(error.to_string())
}

/// The epoch of the record before this one, which only the first of an epoch has to tell.
fn epoch_before(position: Position, record: &[u8]) -> Option<u32> {
    match decode(position, record).ok()?.body {
        Body::Opened { before } => Some(before).filter(|epoch| *epoch > 0),
        Body::NodeNamed { .. }
        | Body::ChannelNamed { .. }
        | Body::Reserved(_)
        | Body::Acted(_)
        | Body::Expired { .. }
        | Body::TermsNoted(_)
        | Body::LowWater(_)
        | Body::Deficit(_)
        | Body::StockChanged(_)
        | Body::SettingsPut { .. }
        | Body::PolicyPut { .. }
        | Body::SharesMoved(_)
        | Body::InboundChanged(_)
        | Body::Refused { .. } => Some(position.epoch),
    }
}

impl EmbeddedLedger {
    /// The index of a channel's name.
    pub fn find_channel(&self, name: &str) -> Option<ChannelIx> {
        find(&self.state.channels, name).map(ChannelIx)
    }

    /// The index of a node's name.
    pub fn find_node(&self, name: &str) -> Option<NodeIx> {
        find(&self.state.nodes, name).map(NodeIx)
    }

    /// The name of a channel.
    pub fn channel_name(&self, channel: ChannelIx) -> Arc<str> {
        name(&self.state.channels, channel.0)
    }

    /// The name of a node.
    pub fn node_name(&self, node: NodeIx) -> Arc<str> {
        name(&self.state.nodes, node.0)
    }

    /// Whether another channel can get an index.
    pub fn has_room_for_channel(&self) -> bool {
        !super::unpoisoned(self.state.channels.read()).is_full()
    }

    /// The index of a channel's name, recorded if it is new; `None`: no room for more.
    pub fn make_channel(&self, name: &str) -> Result<Option<ChannelIx>, LedgerError> {
        self.journal.admit()?;
        Ok(self.name_channel(name, self.now(), &mut Scratch::new()))
    }

    /// The index of a node's name, recorded if it is new; `None`: no room for more.
    pub fn make_node(&self, name: &str) -> Result<Option<NodeIx>, LedgerError> {
        self.journal.admit()?;
        let body = |node| Body::NodeNamed {
            node: NodeIx(node),
            name,
        };
        let (table, at) = (&self.state.nodes, self.now());
        let made = self.make_name((table, name), at, &mut Scratch::new(), body);
        Ok(made.map(NodeIx))
    }

    /// The index of an accepted command's channel; a new name is recorded with what the scratch
    /// holds. The name table's lock comes after those of all shards.
    pub(super) fn channel_index(
        &self,
        channel: Channel<'_>,
        at: UnixMillis,
        scratch: &mut Scratch,
    ) -> Result<ChannelIx, LedgerError> {
        let made = channel
            .index
            .or_else(|| self.name_channel(channel.name, at, scratch));
        if made.is_none() {
            // The last place went to another command just now; what expired happened all the same.
            scratch.commit(&self.journal);
        }
        made.ok_or(LedgerError::Overloaded)
    }

    fn name_channel(&self, name: &str, at: UnixMillis, scratch: &mut Scratch) -> Option<ChannelIx> {
        let body = |channel| Body::ChannelNamed {
            channel: ChannelIx(channel),
            name,
        };
        let made = self.make_name((&self.state.channels, name), at, scratch, body);
        made.map(ChannelIx)
    }

    /// Under the table's lock, so that the name stands in the journal before anything that uses its
    /// index: it need not be waited for.
    fn make_name<'a>(
        &self,
        (table, name): (&RwLock<Names>, &str),
        at: UnixMillis,
        scratch: &mut Scratch,
        body: impl FnOnce(u16) -> Body<'a>,
    ) -> Option<u16> {
        let mut table = super::unpoisoned(table.write());
        if let Some(known) = table.find(name) {
            return Some(known);
        }
        let index = table.add(name)?;
        scratch.push(at, &body(index));
        scratch.commit(&self.journal);
        Some(index)
    }

    /// Writes the first record of this epoch.
    pub(super) fn record_opening(&self) {
        let last = self.journal.last();
        // What can no longer be read is no place that a reader can be at.
        let before = last.checked_sub(1).and_then(|place| {
            let read = self.journal.read(place, 1, PAGE_BYTES_MAX).ok()?;
            read.first().map(|(position, _)| position.epoch)
        });
        self.begin_epoch(before.unwrap_or_default());
    }

    /// Writes the first record of this epoch, which names the epoch of the record before.
    pub(super) fn begin_epoch(&self, before: u32) {
        let mut scratch = Scratch::new();
        scratch.push(self.now(), &Body::Opened { before });
        scratch.commit(&self.journal);
    }

    /// Gives this thread a lane, whose pump must run on it: see [`Journal::lane`](super::journal::Journal::lane).
    pub fn lane(&self) -> impl Future<Output = ()> + 'static {
        self.journal.lane()
    }

    /// Lets waits of this thread's local runtime be woken without a shared lock.
    pub fn install_lane(&self) {
        self.journal.install_lane();
    }

    /// Sequence of the last record, durable or not.
    pub fn last(&self) -> u64 {
        self.journal.last()
    }

    /// Waits until everything up to a sequence is durable.
    pub async fn wait(&self, sequence: u64) -> Result<(), LedgerError> {
        self.journal.wait(sequence).await
    }

    /// Waits until everything up to a sequence is durable, on a thread that may block.
    pub fn wait_blocking(&self, sequence: u64) -> Result<(), LedgerError> {
        self.journal.wait_blocking(sequence)
    }

    /// Durable events after a place in the feed.
    pub fn events(&self, after: Cursor, limit: usize) -> Result<EventPage, EventsError> {
        if after.shard > 0 {
            return Err(EventsError::NoShard { shards: 1 });
        }
        let Cursor {
            epoch, sequence, ..
        } = after;
        let lost = EventsError::Lost { sequence };
        if sequence > self.journal.durable() {
            return self.page_ahead(after).ok_or(lost);
        }
        let read = |after, limit| self.journal.read(after, limit, PAGE_BYTES_MAX);
        // The record at the place itself is read too: it tells whether the place is still there.
        let with_last = match sequence.checked_sub(1) {
            Some(before) => self.read_with(before, limit),
            None => read(0, limit),
        };
        let (mut records, is_kept) = match with_last {
            Ok(records) => (records, sequence > 0),
            // The place may be the last that was dropped.
            Err(JournalError::Gone { .. }) => (
                read(sequence, limit).map_err(|error| failure(&error))?,
                false,
            ),
            Err(error) => return Err(failure(&error)),
        };
        let first = records
            .first()
            .map(|(position, record)| (*position, record));
        let epoch_there = match first {
            Some((at, _)) if is_kept => Some(at.epoch),
            Some((next, record)) if sequence > 0 => epoch_before(next, record),
            Some(_) | None => None,
        };
        if sequence > 0 && epoch.is_some_and(|epoch| epoch_there != Some(epoch)) {
            return Err(lost);
        }
        let next = records.last().map_or_else(
            || Position {
                shard: 0,
                epoch: epoch.unwrap_or_default(),
                sequence,
            },
            |(position, _)| *position,
        );
        if is_kept && !records.is_empty() {
            records.remove(0);
        }
        Ok(EventPage { records, next })
    }

    /// The record after this place and, behind it, the page that follows.
    fn read_with(&self, before: u64, limit: usize) -> Result<PositionedRecords, JournalError> {
        let read = |after, limit| self.journal.read(after, limit, PAGE_BYTES_MAX);
        let mut records = read(before, limit.saturating_add(1))?;
        if let [(first, record)] = records.as_slice()
            && record.len() >= PAGE_BYTES_MAX
        {
            // It fills a page by itself, as a policy may.
            let following = read(first.sequence, limit)?;
            records.extend(following);
        }
        Ok(records)
    }

    /// The page after a record of this epoch that is not durable yet. Callers can stand there: they
    /// are told of a refusal before its own record is safe.
    fn page_ahead(&self, after: Cursor) -> Option<EventPage> {
        let Cursor {
            epoch, sequence, ..
        } = after;
        let is_this_epoch = epoch.is_none_or(|epoch| epoch == self.journal.epoch());
        (is_this_epoch && sequence <= self.journal.last()).then(|| EventPage {
            records: Vec::new(),
            next: self.position(sequence),
        })
    }

    /// How the ledger is.
    pub fn health(&self) -> Health {
        Health {
            durability: self.journal.durability(),
            durable: self.position(self.journal.durable()),
            queued_bytes: self.journal.queued_bytes(),
            poisoned: self.journal.is_poisoned() || self.state.pool.is_poisoned(),
            is_safe: true,
            mirror: None,
        }
    }

    /// Flushes the journal and stops its threads.
    pub fn close(&self) -> Result<(), LedgerError> {
        self.journal.close().map_err(|error| {
            tracing::error!(%error, "the journal did not close cleanly");
            LedgerError::Poisoned
        })
    }
}
