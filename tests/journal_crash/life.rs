//! A life of a journal: opened, worked with, ended. What it acknowledged is written down with the
//! moment it did, so that any crash image can be held against it.

use std::sync::Arc;

use holdfast::ledger::embedded::journal::{Journal, JournalConfig, JournalError, Writer};
use holdfast::ledger::embedded::storage::Storage;
use holdfast::ledger::embedded::storage::sim::{Dice, Files, SimStorage};
use holdfast::ledger::{Durability, Position};

/// The records `from + 1 ..= to` were acknowledged before this moment of the storage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ack {
    pub(crate) moment: usize,
    pub(crate) to: u64,
}

/// What a life promised.
#[derive(Debug, Clone, Default)]
pub(crate) struct Promises {
    pub(crate) acks: Vec<Ack>,
    /// Records up to here were released at a moment.
    pub(crate) releases: Vec<Ack>,
    pub(crate) appended: u64,
}

impl Promises {
    fn at(list: &[Ack], moment: usize) -> u64 {
        list.iter()
            .filter(|ack| ack.moment <= moment)
            .map(|ack| ack.to)
            .max()
            .unwrap_or(0)
    }

    pub(crate) fn acknowledged(&self, moment: usize) -> u64 {
        Self::at(&self.acks, moment)
    }

    pub(crate) fn released(&self, moment: usize) -> u64 {
        Self::at(&self.releases, moment)
    }
}

pub(crate) fn config(durability: Durability) -> JournalConfig {
    JournalConfig {
        segment_bytes: 12 * 1024,
        durability,
        queue_bytes_max: 1 << 20,
        retain_bytes: 0,
    }
}

/// The one record that may have this sequence in this epoch.
pub(crate) fn record(epoch: u32, sequence: u64) -> Vec<u8> {
    let mut dice = Dice::new(sequence.wrapping_mul(31) ^ u64::from(epoch));
    let len = if dice.roll(8) == 0 {
        dice.roll(1_500)
    } else {
        dice.roll(90)
    };
    (0..len)
        .map(|_| u8::try_from(dice.roll(256)).unwrap())
        .collect()
}

/// Records as the journal takes them.
pub(crate) fn encode(records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        bytes.extend_from_slice(&u32::try_from(record.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(record);
    }
    bytes
}

pub(crate) fn append(journal: &Journal, count: u64) -> u64 {
    let next = journal.last() + 1;
    let records: Vec<_> = (next..next + count)
        .map(|sequence| record(journal.epoch(), sequence))
        .collect();
    journal.append(&encode(&records), u32::try_from(count).unwrap())
}

pub(crate) fn start(
    sim: &SimStorage,
    durability: Durability,
) -> Result<(Journal, Writer), JournalError> {
    let storage: Arc<dyn Storage> = Arc::new(sim.clone());
    Journal::open(storage, config(durability))?.start_stepped()
}

/// Works for some steps; stops at the first failure.
pub(crate) fn work(
    sim: &SimStorage,
    (journal, mut writer): (Journal, Writer),
    steps: u64,
    dice: &mut Dice,
    promises: &mut Promises,
) -> Result<(), JournalError> {
    for _ in 0..steps {
        for _ in 0..dice.roll(4) {
            append(&journal, 1 + dice.roll(3));
        }
        promises.appended = journal.last();
        writer.step()?;
        if journal.durable() > 0 {
            promises.acks.push(Ack {
                moment: sim.moment(),
                to: journal.durable(),
            });
        }
        // Only what is synced may be released.
        if dice.roll(12) == 0 && journal.durability() == Durability::Disk {
            let to = journal.durable();
            promises.releases.push(Ack {
                moment: sim.moment(),
                to,
            });
            journal.release_before(to)?;
        }
    }
    if dice.roll(2) == 0 {
        journal.close().ok();
        writer.step()?;
    }
    Ok(())
}

/// A record as it was read back.
pub(crate) type Found = (Position, Vec<u8>);

/// Opens a folder and reads everything after `from`.
pub(crate) fn recover(files: &Files, from: u64) -> Result<Vec<Found>, JournalError> {
    let storage: Arc<dyn Storage> = Arc::new(SimStorage::with_files(files.clone()));
    let mut recovery = Journal::open(storage, config(Durability::Disk))?;
    let mut found = Vec::new();
    let replayed = recovery.replay(from, |position, bytes| {
        found.push((position, bytes.to_vec()));
        Ok::<(), std::convert::Infallible>(())
    });
    match replayed {
        Ok(_) => Ok(found),
        Err(holdfast::ledger::embedded::journal::ReplayError::Journal(error)) => Err(error),
        Err(error) => panic!("{error}"),
    }
}

/// Holds what was found against what may be there: every record after `from`, in order, at least
/// up to `acknowledged`, none after `appended`. `ends` are the last sequences of the epochs so far.
pub(crate) fn judge(
    found: &[Found],
    from: u64,
    acknowledged: u64,
    appended: u64,
    ends: &[u64],
) -> Result<u64, String> {
    let mut next = from + 1;
    for (position, bytes) in found {
        if position.sequence != next {
            return Err(format!("{} where {next} should be", position.sequence));
        }
        let epoch = 1 + ends.iter().filter(|end| **end < next).count();
        if position.epoch != u32::try_from(epoch).unwrap() {
            return Err(format!(
                "{next} has epoch {} and not {epoch}",
                position.epoch
            ));
        }
        if *bytes != record(position.epoch, next) {
            return Err(format!("{next} is not what was appended"));
        }
        next += 1;
    }
    let last = next - 1;
    if last < acknowledged {
        return Err(format!(
            "{acknowledged} was acknowledged, but the last one found is {last}"
        ));
    }
    if last > appended {
        return Err(format!("{appended} were appended, but {last} were found"));
    }
    Ok(last)
}
