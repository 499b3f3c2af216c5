//! Putting in what happened: batch by batch, each once, in order, without gaps.

use super::freshness::Freshness;
use crate::ledger::Position;
use crate::ledger::embedded::replica::{Progress, Replica, Unfit};
use crate::ledger::remote::wire::Malformed;
use crate::ledger::remote::wire::event::{chained, events};
use crate::ledger::remote::wire::reply::BatchReply;

/// Why the mirror does not know any more what is in the store.
#[derive(Debug, thiserror::Error)]
pub(super) enum Astray {
    /// A batch does not continue the one before.
    #[error("what happened after {0} is missing")]
    Gap(u64),
    /// Something was lost, and other things happened in its place.
    #[error("the history after {0} is another one")]
    OtherHistory(u64),
    /// More than may be kept.
    #[error("there are more than {0} records")]
    TooMuch(u64),
    /// A batch cannot be read.
    #[error("a batch is not what the scripts write")]
    Malformed(#[from] Malformed),
    /// The events do not fit.
    #[error("an event does not fit: {0}")]
    Unfit(#[from] Unfit),
}

/// How far one partition was put in.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) partition: u16,
    pub(super) epoch: u32,
    pub(super) sequence: u64,
    /// The chain over all batches so far.
    pub(super) tip: String,
    pub(super) progress: Progress,
    /// Most records that are kept.
    pub(super) records_max: u64,
}

impl Course {
    pub(super) const fn position(&self) -> Position {
        Position {
            shard: self.partition,
            epoch: self.epoch,
            sequence: self.sequence,
        }
    }

    /// Puts in the batch that follows. Readers see each event whole.
    pub(super) fn advance(
        &mut self,
        replica: &Replica,
        (argument, reply): (&[u8], &BatchReply),
        readers: Option<&Freshness>,
    ) -> Result<(), Astray> {
        let header = reply.header();
        if header.before != self.sequence {
            return Err(Astray::Gap(self.sequence));
        }
        if header.epoch != self.epoch || chained(&self.tip, argument) != header.tip {
            return Err(Astray::OtherHistory(self.sequence));
        }
        for event in events(argument, reply)? {
            let sequence = event.position.sequence;
            if sequence != self.sequence + 1 {
                return Err(Astray::Gap(self.sequence));
            }
            if let Some(readers) = readers {
                readers.changing(self.sequence);
            }
            replica.apply(&event, &mut self.progress)?;
            self.sequence = sequence;
            if let Some(readers) = readers {
                readers.changed(sequence);
            }
        }
        if self.sequence != header.last {
            return Err(Astray::Gap(self.sequence));
        }
        if replica.records() > self.records_max {
            return Err(Astray::TooMuch(self.records_max));
        }
        self.tip.clone_from(&header.tip);
        Ok(())
    }
}
