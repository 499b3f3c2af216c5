//! Time as a value. Moments and durations are different types.

use crate::limits::TTL_MS_MAX;

/// A moment: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// This moment plus a duration; the end of time where that overflows.
    #[must_use]
    pub fn after(self, ttl: Ttl) -> Self {
        Self(self.0.saturating_add(i64::from(ttl.0)))
    }

    /// Whether a deadline at this moment has passed at `now`. The deadline itself is already too late.
    pub fn is_due(self, now: Self) -> bool {
        self <= now
    }
}

/// How long a hold lives: 1 ms to 30 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ttl(u32);

impl Ttl {
    /// One millisecond.
    pub const SHORTEST: Self = Self(1);

    /// A duration in milliseconds; `None` for zero or above [`TTL_MS_MAX`].
    pub const fn from_millis(ms: u32) -> Option<Self> {
        if ms == 0 || ms > TTL_MS_MAX {
            None
        } else {
            Some(Self(ms))
        }
    }

    /// The duration in milliseconds.
    pub const fn as_millis(self) -> u32 {
        self.0
    }
}

/// How long a new hold lives, and who says so.
///
/// A command is known again by what its caller said: when the default is another one by the time of
/// a repetition, the command is still the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldTtl {
    /// The caller asked for it.
    Asked(Ttl),
    /// The caller named none, so it is the configured default.
    Default(Ttl),
}

impl HoldTtl {
    /// The duration.
    pub const fn get(self) -> Ttl {
        match self {
            Self::Asked(ttl) | Self::Default(ttl) => ttl,
        }
    }

    /// The duration that the caller asked for.
    pub const fn asked(self) -> Option<Ttl> {
        match self {
            Self::Asked(ttl) => Some(ttl),
            Self::Default(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_lives_from_one_millisecond_to_the_bound() {
        let allowed = |ms| Ttl::from_millis(ms).map(Ttl::as_millis);
        assert_eq!(allowed(0), None);
        assert_eq!(allowed(1), Some(1));
        assert_eq!(allowed(TTL_MS_MAX), Some(TTL_MS_MAX));
        assert_eq!(allowed(TTL_MS_MAX + 1), None);
    }
}
