//! The answers that were given last: what would have to be named if the store had lost them.

use std::collections::VecDeque;

use super::Marker;
use crate::ledger::Position;
use crate::limits::{STORE_RECENT_BATCHES_MAX, STORE_RECENT_COMMANDS_MAX};

/// A command that was answered, and the sequence of its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledged {
    /// Its identity; of a reservation also the reservation's.
    pub id: u128,
    /// Where its event stands.
    pub sequence: u64,
}

/// The end of the chain: a SHA-1 in hexadecimal digits.
type Tip = [u8; 40];

fn tip_of(text: &[u8]) -> Tip {
    let mut tip = [0; 40];
    for (place, byte) in tip.iter_mut().zip(text) {
        *place = *byte;
    }
    tip
}

#[derive(Debug, Clone, Copy)]
struct Batch {
    position: Position,
    tip: Tip,
    commands: usize,
}

/// A bounded memory of answers.
#[derive(Debug, Default)]
pub(super) struct Recent {
    batches: VecDeque<Batch>,
    commands: VecDeque<Acknowledged>,
    is_forgetful: bool,
}

impl Recent {
    /// Adds the commands of a batch that ended there.
    pub(super) fn add(
        &mut self,
        position: Position,
        tip: &[u8],
        acknowledged: impl Iterator<Item = Acknowledged>,
    ) {
        let before = self.commands.len();
        self.commands.extend(acknowledged);
        let commands = self.commands.len() - before;
        if commands == 0 {
            return;
        }
        self.batches.push_back(Batch {
            position,
            tip: tip_of(tip),
            commands,
        });
        while self.batches.len() > STORE_RECENT_BATCHES_MAX
            || self.commands.len() > STORE_RECENT_COMMANDS_MAX
        {
            let oldest = self.batches.pop_front();
            let commands = oldest.map_or(0, |batch| batch.commands);
            self.commands.drain(..commands.min(self.commands.len()));
            self.is_forgetful = true;
        }
    }

    pub(super) fn into_remembered(self) -> Remembered {
        // Lanes add side by side, so that neighbours may be the wrong way round.
        let mut ends: Vec<(Position, Tip)> = self
            .batches
            .iter()
            .map(|batch| (batch.position, batch.tip))
            .collect();
        ends.sort_unstable_by_key(|(position, _)| *position);
        Remembered {
            ends,
            commands: self.commands.into(),
            is_all: !self.is_forgetful,
        }
    }
}

/// Whether a batch in the store ends where one of ours did.
pub(in crate::ledger::remote) fn is_end(found: &Marker, ours: &(Position, Tip)) -> bool {
    found.position.sequence == ours.0.sequence && tip_of(&found.tip) == ours.1
}

/// What is known of the answers that were given last.
#[derive(Debug, Default)]
pub struct Remembered {
    /// Where batches ended, in order.
    pub(in crate::ledger::remote) ends: Vec<(Position, Tip)>,
    /// Their commands.
    pub commands: Vec<Acknowledged>,
    /// Nothing was forgotten since the instance started.
    pub is_all: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(sequence: u64) -> Position {
        Position {
            shard: 0,
            epoch: 1,
            sequence,
        }
    }

    fn add(recent: &mut Recent, sequence: u64, commands: u64) {
        let ids = (0..commands).map(|id| Acknowledged {
            id: id.into(),
            sequence,
        });
        recent.add(at(sequence), b"tip", ids);
    }

    #[test]
    fn the_oldest_batches_are_forgotten_whole() {
        let mut recent = Recent::default();
        let half = u64::try_from(STORE_RECENT_COMMANDS_MAX / 2).unwrap();
        for sequence in [2, 1, 3] {
            add(&mut recent, sequence, half);
        }
        add(&mut recent, 4, 0);
        let remembered = recent.into_remembered();
        let ends: Vec<u64> = remembered.ends.iter().map(|(at, _)| at.sequence).collect();
        assert_eq!(ends, [1, 3]);
        assert_eq!(remembered.commands.len(), STORE_RECENT_COMMANDS_MAX);
        assert!(!remembered.is_all);
    }

    #[test]
    fn single_commands_are_bounded_as_well() {
        let mut recent = Recent::default();
        let batches = u64::try_from(STORE_RECENT_BATCHES_MAX).unwrap();
        (0..=batches).for_each(|sequence| add(&mut recent, sequence, 1));
        let remembered = recent.into_remembered();
        assert_eq!(remembered.commands.len(), STORE_RECENT_BATCHES_MAX);
        assert_eq!(remembered.ends.first().unwrap().0, at(1));
    }
}
