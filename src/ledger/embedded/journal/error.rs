//! What can go wrong with the journal.

use std::io;

/// Why the journal could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The system refused a file operation.
    #[error("cannot {action} {file}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// Bytes that had been durable are not what was written.
    #[error(
        "the journal is damaged: {file}, offset {offset}: {what}; nothing was changed. Restore the data folder from a copy"
    )]
    Damaged {
        /// The segment.
        file: String,
        /// Offset of the first frame that is not valid.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The journal was written by another version of this program.
    #[error("{file} has format version {found}; this program reads version {known}")]
    Version {
        /// The segment.
        file: String,
        /// Its version.
        found: u32,
        /// Our version.
        known: u32,
    },
    /// Records asked for are no longer kept.
    #[error("records before {oldest} are no longer kept")]
    Gone {
        /// The oldest sequence that can be read.
        oldest: u64,
    },
    /// The journal ends before the snapshot that it should continue.
    #[error(
        "the journal ends at record {last}, but the snapshot is of record {snapshot}: segments are missing. Restore the data folder from a copy"
    )]
    Behind {
        /// Sequence of the last record.
        last: u64,
        /// Sequence of the snapshot.
        snapshot: u64,
    },
    /// A write or a sync failed earlier.
    #[error("the journal failed: {cause}")]
    Poisoned {
        /// The failure.
        cause: String,
    },
}

impl JournalError {
    /// For `map_err` on an operation on a file.
    pub(super) fn io(action: &'static str, file: &str) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |source| Self::Io {
            action,
            file,
            source,
        }
    }

    pub(super) fn damaged(file: &str, offset: u64, what: &'static str) -> Self {
        Self::Damaged {
            file: file.to_owned(),
            offset,
            what,
        }
    }
}

/// Why a replay ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError<E> {
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The receiver refused a record.
    #[error("record {sequence} was refused: {source}")]
    Record {
        /// Sequence of the record.
        sequence: u64,
        /// What the receiver said.
        source: E,
    },
}
