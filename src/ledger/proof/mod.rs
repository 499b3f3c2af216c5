//! The history of a ledger as a file that can be checked without it: `docs/PROOF.md`.
//!
//! Records are those of the event feed, shard by shard. How a shard stands before the first and after
//! the last of them is worked out from the events themselves, then compared with what the ledger has.

mod course;
mod file;
mod record;
mod shape;
mod stand;

use std::io::{self, Write};

use sha2::{Digest, Sha256};

pub use self::course::Edge;
use self::course::{Course, Proved};
use super::embedded::recover::{OpenError, Past};
use super::export::{WalkError, hex};
use super::port::Ledger;
use super::{EventsError, LedgerError, Position};

/// What is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Range {
    /// The first record; `None`: the first that is kept.
    pub from: Option<Edge>,
    /// The last record; `None`: the last that there is.
    pub to: Option<Edge>,
    /// Keys are remembered this long, milliseconds: an id does not come again before.
    pub retention_ms: i64,
    /// Records of this epoch are left out: those of whoever opened the ledger to look at it.
    pub without_epoch: Option<u32>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// What names the ledger in its proofs.
    pub ledger: String,
    /// Records.
    pub records: u64,
    /// SKUs that stand at the end.
    pub skus: u64,
    /// Reservations that stand at the end.
    pub reservations: u64,
    /// Whether what the records lead to was compared with what the ledger has: not where the range ends
    /// earlier, or where others changed it meanwhile.
    pub compared: bool,
    /// The last hash: who knows it knows that nothing in the file was changed.
    pub hash: String,
}

/// Why no proof was written.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The ledger does not answer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The events cannot be read.
    #[error(transparent)]
    Events(#[from] EventsError),
    /// The snapshot cannot be read.
    #[error(transparent)]
    Snapshot(#[from] OpenError),
    /// The ledger cannot be compared with its records.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// The file cannot be written.
    #[error(transparent)]
    File(#[from] io::Error),
    /// What came before is no longer kept.
    #[error("of shard {shard} nothing before record {oldest} is kept")]
    Gone {
        /// Which shard.
        shard: u16,
        /// The first record that a proof can begin with.
        oldest: u64,
    },
    /// A number of a record is one of a shard, and there are several.
    #[error("each of {0} shards numbers its records by itself")]
    Sequences(u16),
    /// A record contradicts those before it.
    #[error("record {0} does not follow from those before it")]
    Unfit(Position),
    /// What the records lead to is not what the ledger has.
    #[error("the records do not lead to what the ledger has: {0}")]
    Differs(String),
    /// What the ledger says of itself makes no sense.
    #[error("the ledger is damaged: {0}")]
    Damaged(String),
}

/// Writes a proof of a range of a ledger. Memory is taken for how the ledger stands, not for what
/// happened.
pub async fn write(ledger: &Ledger, range: &Range, to: impl Write) -> Result<Proof, ProveError> {
    let name = name_of(ledger);
    let stand = ledger.export_stand().await?;
    // Whose last changes may be in memory alone: events are told when they are durable.
    ledger
        .wait(stand.iter().copied().max().unwrap_or_default())
        .await?;
    let mut course = Course::begin(ledger, *range, to, &name).await?;
    for shard in 0..ledger.shards() {
        course.shard(shard).await?;
    }
    let compared = range.to.is_none() && course.compare(&stand).await?;
    let Proved {
        records,
        skus,
        reservations,
        hash,
    } = course.finish()?;
    Ok(Proof {
        ledger: name,
        records,
        skus,
        reservations,
        compared,
        hash,
    })
}

/// Names the ledger without giving away the seed of its hashes.
fn name_of(ledger: &Ledger) -> String {
    let seed = ledger.hasher().seed().to_be_bytes();
    let hash = Sha256::new()
        .chain_update(b"holdfast ledger")
        .chain_update(seed);
    let name = hex::text(&hash.finalize());
    name.chars().take(16).collect()
}

impl Ledger {
    /// How it stood at an earlier place, if that is kept: a store keeps how it stands now.
    fn past(&self) -> Result<Option<Past>, OpenError> {
        match self {
            Self::Embedded(ledger) => ledger.past(),
            Self::Remote(_) => Ok(None),
        }
    }

    /// How many orders of changes there are.
    fn shards(&self) -> u16 {
        match self {
            Self::Embedded(_) => 1,
            Self::Remote(ledger) => ledger.shards(),
        }
    }
}
