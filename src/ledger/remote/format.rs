//! What the batcher sends: commands of [`wire`](super::wire), in batches.

use std::sync::Arc;

use bytes::Bytes;

use super::batcher::{Format, Question, Settle, Weight};
use super::history::{Acknowledged, History};
use super::link::Target;
use super::mirror::{Mirror, Ticket};
use super::wire::Malformed;
use super::wire::batch::batch;
use super::wire::command::{Read, Table};
use super::wire::command::{encode, encode_expire, encode_forget, encode_name, encode_read};
use super::wire::reply::BatchReply;
use crate::domain::command::{Command, Keyed, Lines};
use crate::ledger::Position;
use crate::ledger::event::Body;
use crate::limits::STORE_LINES_OF_DATED;
use crate::telemetry::{Meters, Script};

/// A command as bytes, and what it adds to a batch.
#[derive(Debug)]
pub(super) struct Packed {
    bytes: Vec<u8>,
    lines: usize,
    script: Script,
    partition: u16,
    /// Identity of a command whose answer is kept.
    id: Option<u128>,
    /// Tells the mirror when the fate of the command is known.
    ticket: Option<Ticket>,
}

impl Settle for Packed {
    fn settled(&self) {
        if let Some(ticket) = &self.ticket {
            ticket.settle();
        }
    }
}

impl Packed {
    fn new(bytes: Vec<u8>, lines: usize, script: Script) -> Self {
        Self {
            bytes,
            lines,
            script,
            partition: 0,
            id: None,
            ticket: None,
        }
    }

    /// The same, for the partition with this number.
    pub(super) fn to(self, partition: u16) -> Self {
        Self { partition, ..self }
    }

    /// The same, as the decision about a command with this identity.
    pub(super) fn of(self, id: u128) -> Self {
        let id = Some(id);
        Self { id, ..self }
    }

    /// The same, watched by the mirror.
    pub(super) fn with(self, ticket: Ticket) -> Self {
        let ticket = Some(ticket);
        Self { ticket, ..self }
    }

    pub(super) fn command(keyed: &Keyed<'_>) -> Self {
        let (lines, script) = match &keyed.command {
            Command::Reserve(reserve) => (weight(&reserve.lines), Script::Batch),
            Command::Act(act) => {
                let lines = act.lines.as_ref().map_or(1, |lines| lines.as_slice().len());
                (lines, Script::Relief)
            }
            Command::Stock(stock) => (stock.change.len(), Script::Batch),
            Command::PutSettings(_) => (1, Script::Batch),
            Command::MoveShares(moves) => (moves.items.len(), Script::Batch),
            Command::Inbound(inbound) => (inbound.len(), Script::Batch),
        };
        Self {
            id: Some(keyed.key.id),
            ..Self::new(encode(keyed), lines, script)
        }
    }

    /// A step of a command over several partitions, which is already encoded.
    pub(super) fn step(bytes: Vec<u8>, lines: usize, script: Script) -> Self {
        Self::new(bytes, lines, script)
    }

    pub(super) fn read(read: &Read<'_>) -> Self {
        Self::new(encode_read(read), 1, Script::Relief)
    }

    pub(super) fn name(table: Table, name: &str) -> Self {
        Self::new(encode_name(table, name), 1, Script::Batch)
    }

    pub(super) fn forget(id: u128, answers_ms: u64, refusals_ms: u64) -> Self {
        let bytes = encode_forget(id, answers_ms, refusals_ms);
        Self::new(bytes, 1, Script::Relief)
    }

    pub(super) fn expire() -> Self {
        Self::new(encode_expire(), 1, Script::Relief)
    }
}

/// How many lines those of a reservation count.
pub(super) fn weight(lines: &Lines<'_>) -> usize {
    let lines = lines.as_slice().iter();
    let each = lines.map(|line| line.by.map_or(1, |_| STORE_LINES_OF_DATED));
    each.sum()
}

/// The format of the scripts `batch` and `relief`.
pub(super) struct WireFormat {
    pub(super) meters: Meters,
    pub(super) target: Arc<Target>,
    pub(super) mirror: Option<Arc<Mirror>>,
}

impl Format for WireFormat {
    type Command = Packed;
    type Reply = BatchReply;
    type Malformed = Malformed;
    /// Where the history stood.
    type Before = Position;

    fn weigh(&self, command: &Packed) -> Weight {
        Weight {
            lines: command.lines,
            bytes: command.bytes.len(),
            script: command.script,
            partition: command.partition,
        }
    }

    fn pack(&self, commands: &[&Packed]) -> Result<Vec<u8>, Malformed> {
        batch(commands.iter().map(|command| command.bytes.as_slice()))
    }

    fn parse(&self, bytes: Bytes, asked: Question<'_>) -> Result<BatchReply, Malformed> {
        let reply = BatchReply::parse(bytes, asked.batch_id, asked.commands)?;
        let reply = reply.of(asked.partition);
        // Once for all commands of the batch.
        self.meters.expirations(reply.expirations());
        for (_, body) in reply.told()? {
            if let Body::LowWater(told) = body {
                self.meters.low_water(told.low);
            } else if let Body::Deficit(told) = body {
                self.meters.deficits().told(told.was, told.deficit);
            }
        }
        Ok(reply)
    }

    fn before(&self, partition: u16) -> Position {
        let history = self.target.history(partition);
        history.map(History::position).unwrap_or_default()
    }

    fn note(
        &self,
        asked: Question<'_>,
        before: Position,
        reply: &BatchReply,
        commands: &[&Packed],
    ) -> bool {
        let acknowledged = commands.iter().enumerate().filter_map(|(at, command)| {
            let (id, sequence) = (command.id?, reply.recorded(at)?);
            Some(Acknowledged { id, sequence })
        });
        let history = self.target.history(asked.partition);
        let goes_on =
            history.is_some_and(|history| history.note(before, reply.header(), acknowledged));
        if goes_on && let Some(mirror) = &self.mirror {
            mirror.heard(asked.partition, asked.argument, reply, asked.at);
        }
        goes_on
    }

    fn is_deferred(&self, reply: &BatchReply, at: usize) -> bool {
        reply.is_deferred(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::command::LineRequest;
    use crate::domain::{Day, Sku, Units};

    #[test]
    fn a_line_that_may_be_had_later_counts_more() {
        let line = |name, by| LineRequest {
            sku: Sku::new(name).unwrap(),
            node: None,
            quantity: Units::new(1).unwrap(),
            by,
        };
        let lines = Lines::try_new([line("a", None), line("b", Day::new(20_000))]).unwrap();
        assert_eq!(weight(&lines), 1 + STORE_LINES_OF_DATED);
    }
}
