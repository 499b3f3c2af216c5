//! Ids of batches, and pauses that several instances do not share.

use std::time::Duration;

use crate::ledger::remote::random::Random;

/// Makes ids that no other process and no other batch has.
#[derive(Debug, Default)]
pub(super) struct BatchIds(Random);

impl BatchIds {
    pub(super) const fn new(random: Random) -> Self {
        Self(random)
    }

    /// An id that was not used before.
    pub(super) fn next(&self) -> [u8; 16] {
        let (random, number) = self.0.numbered();
        (u128::from(random) << 64 | u128::from(number)).to_le_bytes()
    }

    /// Between half of a pause and the whole of it, so that those who were cut off together do not
    /// come back together.
    pub(super) fn jittered(&self, pause: Duration) -> Duration {
        let random = u32::try_from(self.0.half() % 512).unwrap_or_default();
        pause / 2 + pause * random / 1_024
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_differ_between_batches_and_between_batchers() {
        let batchers = [BatchIds::default(), BatchIds::default()];
        let ids = batchers
            .iter()
            .flat_map(|ids| (0..1_000).map(|_| ids.next()));
        assert_eq!(ids.collect::<BTreeSet<_>>().len(), 2_000);
    }

    #[test]
    fn a_pause_is_never_longer_than_asked_nor_shorter_than_half() {
        let ids = BatchIds::default();
        let pause = Duration::from_millis(100);
        let mut seen = BTreeSet::new();
        for _ in 0..1_000 {
            let jittered = ids.jittered(pause);
            seen.insert(jittered);
            assert!(jittered >= pause / 2 && jittered <= pause, "{jittered:?}");
        }
        assert!(seen.len() > 50, "they would come back together");
    }
}
