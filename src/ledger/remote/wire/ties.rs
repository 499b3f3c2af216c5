//! What the record of a reservation over several partitions has more than others: see
//! `lua/lib/ties.lua`.

use super::Malformed;
use super::record::Integers;

/// What a reservation over several partitions has in each: see `lua/several.lua`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ties {
    /// It is the record at home, which has all lines; else a part, with lines of its own.
    pub is_home: bool,
    /// At home: all parts are placed. Of a part: it waits for its home.
    pub phase: Phase,
    /// Decisions of home; of a part, the last one that it knows.
    pub version: u64,
    /// At home, of each line, whether it lies elsewhere.
    pub elsewhere: Vec<bool>,
}

/// See [`Ties`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It is being placed; or, of a part, it ends by itself at its deadline.
    Loose,
    /// It is held; or, of a part, it waits for its home.
    Bound,
}

impl Ties {
    /// Reads those of a record with so many lines, at home or elsewhere.
    pub(super) fn take(
        from: &mut Integers<'_>,
        is_home: bool,
        lines: usize,
    ) -> Result<Self, Malformed> {
        let phase = match from.next::<8>()? {
            1 => Phase::Loose,
            2 => Phase::Bound,
            _ => return Err(Malformed),
        };
        let version = from.next::<8>()?;
        // The verb that a part is tied for, and its numbers: for the scripts alone.
        for _ in 0..3 {
            from.next::<8>()?;
        }
        let elsewhere = (0..if is_home { lines } else { 0 }).map(|_| Ok(from.next::<8>()? == 1));
        Ok(Self {
            is_home,
            phase,
            version,
            elsewhere: elsewhere.collect::<Result<_, Malformed>>()?,
        })
    }
}
