//! How the ledger stood where its newest snapshot was finished: where a proof can begin when what
//! came before is no longer kept.

use super::super::journal::JournalError;
use super::super::record;
use super::super::{EmbeddedLedger, State};
use super::{Loading, OpenError};
use crate::domain::UnixMillis;
use crate::domain::hash::Hasher;
use crate::ledger::LedgerError;
use crate::ledger::export::Item;
use crate::limits::{RECORD_SHARDS, STOCK_SHARDS};
use crate::telemetry::Meters;

/// Records, and their bytes, that are read at once.
const PAGE: (usize, usize) = (1_024, 256 << 10);

/// See the module's documentation.
pub struct Past {
    state: State,
    /// The last change that is in it.
    pub sequence: u64,
    /// The latest moment of any.
    pub at: UnixMillis,
}

impl Past {
    /// Everything in it, page by page, in the order of an export.
    pub fn pages(&self) -> impl Iterator<Item = Result<Vec<Item>, LedgerError>> {
        let names = std::iter::once_with(|| Ok(self.state.names_of_export()));
        let skus = (0..STOCK_SHARDS).map(|shard| self.state.skus_of_export(shard));
        let records = (0..RECORD_SHARDS).map(|shard| self.state.records_of_export(shard));
        names.chain(skus).chain(records)
    }
}

impl EmbeddedLedger {
    /// How it stood with the last of its newest snapshot's shards; `None`: there is no snapshot.
    /// Takes the memory of a second pool.
    pub fn past(&self) -> Result<Option<Past>, OpenError> {
        let hasher = Hasher::new(self.state.hasher.seed());
        let state = State::new(hasher, Meters::new());
        let mut loading = Loading::of_journal();
        let from = state.load_snapshot(&self.storage, &mut loading)?;
        if from == 0 {
            return Ok(None);
        }
        let marks = loading.stock_marks.iter().chain(&loading.record_marks);
        let sequence = marks.fold(from, |latest, mark| latest.max(*mark));
        self.replay_between(from, sequence, &state, &mut loading)?;
        state.finish(&loading)?;
        let at = loading.latest;
        Ok(Some(Past {
            state,
            sequence,
            at,
        }))
    }

    fn replay_between(
        &self,
        mut after: u64,
        last: u64,
        state: &State,
        loading: &mut Loading,
    ) -> Result<(), OpenError> {
        while after < last {
            let records = self.journal.read(after, PAGE.0, PAGE.1)?;
            if records.is_empty() {
                return Err(JournalError::Gone { oldest: last }.into());
            }
            for (position, bytes) in records {
                after = position.sequence;
                if after <= last {
                    let event = record::decode(position, &bytes)?;
                    state.replay_event(&event, loading)?;
                }
            }
        }
        Ok(())
    }
}
