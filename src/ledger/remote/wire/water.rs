//! Low-water marks as the scripts keep them: see `lua/lib/water.lua`.

use super::Malformed;
use crate::domain::{Level, LowWater, Terms, Units, WhileLow};

/// How the mark and what ends it are meant.
const MARK_SHARE: u8 = 1;
const RESUMES: u8 = 2;
const RESUME_SHARE: u8 = 4;
const SUSPENDS: u8 = 8;

/// Bytes of a level, and of a mark.
pub(super) const LEVEL_BYTES: usize = 5;
pub(super) const MARK_BYTES: usize = 2 * LEVEL_BYTES + 1;

pub(super) fn number(level: Level) -> (u64, bool) {
    match level {
        Level::Units(units) => (units.get(), false),
        Level::Percent(points) => (u64::from(points), true),
    }
}

pub(super) fn level(number: u64, is_share: bool) -> Result<Level, Malformed> {
    Ok(if is_share {
        Level::Percent(u16::try_from(number).or(Err(Malformed))?)
    } else {
        Level::Units(Units::new(number).ok_or(Malformed)?)
    })
}

/// A mark as a text; empty for none.
pub(super) fn pack(low_water: Option<LowWater>) -> Vec<u8> {
    let Some(found) = low_water else {
        return Vec::new();
    };
    let (mark, is_share) = number(found.mark);
    let (resume, is_resume_share) = found.resume.map_or((0, false), number);
    let flags = [
        (is_share, MARK_SHARE),
        (found.resume.is_some(), RESUMES),
        (is_resume_share, RESUME_SHARE),
        (found.then == WhileLow::Suspend, SUSPENDS),
    ];
    let how = { flags.iter() }.map(|(is_set, flag)| u8::from(*is_set) * flag);
    let mut bytes = Vec::with_capacity(MARK_BYTES);
    bytes.extend(mark.to_le_bytes().iter().take(LEVEL_BYTES));
    bytes.extend(resume.to_le_bytes().iter().take(LEVEL_BYTES));
    bytes.push(how.sum());
    bytes
}

/// Reads a mark.
pub(super) fn unpack(bytes: &[u8]) -> Result<Option<LowWater>, Malformed> {
    let [mark @ .., how] = bytes else {
        return Ok(None);
    };
    let (mark, resume) = mark.split_at_checked(LEVEL_BYTES).ok_or(Malformed)?;
    if resume.len() != LEVEL_BYTES {
        return Err(Malformed);
    }
    let number = |bytes: &[u8]| { bytes.iter().rev() }.fold(0, |sum, b| (sum << 8) | u64::from(*b));
    let resume = level(number(resume), how & RESUME_SHARE > 0)?;
    Ok(Some(LowWater {
        mark: level(number(mark), how & MARK_SHARE > 0)?,
        resume: Some(resume).filter(|_| how & RESUMES > 0),
        then: if how & SUSPENDS > 0 {
            WhileLow::Suspend
        } else {
            WhileLow::Sell
        },
    }))
}

/// What the scripts tell of what the policy says, in numbers as [`said`] gives them.
pub(super) fn terms(safety: i64, mark: &[u8]) -> Result<Terms, Malformed> {
    let safety = u64::try_from(safety).ok();
    let safety = safety.map(|number| level(number / 2, number % 2 == 1));
    Ok(Terms {
        safety: safety.transpose()?,
        low_water: unpack(mark)?,
    })
}

/// What the policy says as the scripts take it: twice the units, or twice the share and one more, -1
/// for nothing; and the mark, of which none is `None`.
pub(super) fn said(terms: &Terms) -> (i64, Option<Vec<u8>>) {
    let safety = terms.safety.map_or(-1, |level| {
        let (number, is_share) = number(level);
        number.cast_signed() * 2 + i64::from(is_share)
    });
    (safety, terms.low_water.map(|mark| pack(Some(mark))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_comes_back() {
        let levels = [
            Level::Units(Units::ZERO),
            Level::Units(Units::MAX),
            Level::Percent(10_000),
        ];
        for mark in levels {
            for resume in levels.map(Some).into_iter().chain([None]) {
                for then in [WhileLow::Sell, WhileLow::Suspend] {
                    let mark = Some(LowWater { mark, resume, then });
                    let bytes = pack(mark);
                    assert_eq!(bytes.len(), MARK_BYTES);
                    assert_eq!(unpack(&bytes), Ok(mark));
                    assert_eq!(unpack(&bytes[1..]), Err(Malformed));
                }
            }
        }
        assert_eq!(unpack(&pack(None)), Ok(None));
    }
}
