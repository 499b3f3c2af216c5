//! The versions of a policy that are kept.

use std::collections::VecDeque;

use super::PolicyVersion;
use crate::limits::POLICY_VERSIONS_KEPT;

/// The last versions, oldest first; the last one is in force.
#[derive(Debug, Clone, Default)]
pub struct History(VecDeque<PolicyVersion>);

impl History {
    /// The version in force; 0: none.
    pub fn current(&self) -> u64 {
        self.last().map_or(0, |last| last.version)
    }

    /// What is in force.
    pub fn last(&self) -> Option<&PolicyVersion> {
        self.0.back()
    }

    /// Adds the version that follows, and forgets the oldest beyond
    /// [`POLICY_VERSIONS_KEPT`]. Whether it did: nothing else can be added. What is read from
    /// where older ones were forgotten may begin with any.
    pub fn add(&mut self, version: PolicyVersion) -> bool {
        let follows = match self.last() {
            Some(last) => last.version.checked_add(1) == Some(version.version),
            None => version.version > 0,
        };
        if follows {
            self.0.push_back(version);
            if self.0.len() > POLICY_VERSIONS_KEPT {
                self.0.pop_front();
            }
        }
        follows
    }

    /// All that are kept, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &PolicyVersion> {
        self.0.iter()
    }

    /// All that are kept, newest first.
    pub fn newest_first(&self) -> Vec<PolicyVersion> {
        self.iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UnixMillis;

    fn version(version: u64) -> PolicyVersion {
        PolicyVersion {
            version,
            at: UnixMillis(0),
            operator: "".into(),
            reason: "".into(),
            over: "".into(),
            text: "{}".into(),
        }
    }

    #[test]
    fn the_last_versions_are_kept_without_gaps() {
        let mut history = History::default();
        assert_eq!(history.current(), 0);
        assert!(!history.add(version(0)));
        for number in 5..=30 {
            assert!(history.add(version(number)));
            for wrong in [number - 1, number, number + 2] {
                assert!(!history.add(version(wrong)), "{wrong} after {number}");
            }
        }
        let kept: Vec<u64> = history.newest_first().iter().map(|of| of.version).collect();
        assert_eq!(kept, (15..=30).rev().collect::<Vec<_>>());
        assert_eq!(history.current(), 30);
    }
}
