//! Moments as RFC 3339 text, UTC, milliseconds.
//!
//! Calendar arithmetic after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"
//! (`civil_from_days`, `days_from_civil`): an era is 400 years of 146,097 days, and a year begins
//! in March, so that the leap day is its last.

use crate::domain::{Day, UnixMillis};

/// Length of the text of a moment: `2026-11-23T01:02:03.004Z`.
pub const TIME_TEXT_BYTES: usize = 24;

/// Length of the text of a day: `2026-11-23`.
pub const DATE_TEXT_BYTES: usize = 10;

const DAY_MS: i64 = 86_400_000;
/// 9999-12-31T23:59:59.999Z: the last moment that the format can say.
const LAST: i64 = 253_402_300_799_999;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: i64 = 719_468;
const ERA_DAYS: i64 = 146_097;

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + EPOCH_DAYS;
    let era = z.div_euclid(ERA_DAYS);
    let day_of_era = z.rem_euclid(ERA_DAYS);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * ERA_DAYS + day_of_era - EPOCH_DAYS
}

fn put(out: &mut [u8], mut value: i64) {
    for slot in out.iter_mut().rev() {
        *slot = b'0' + u8::try_from(value % 10).unwrap_or_default();
        value /= 10;
    }
}

/// The text of a moment. Moments outside the years 1970 to 9999 are clamped to them.
pub fn to_text(at: UnixMillis) -> [u8; TIME_TEXT_BYTES] {
    let ms = at.0.clamp(0, LAST);
    let (year, month, day) = civil_from_days(ms.div_euclid(DAY_MS));
    let in_day = ms.rem_euclid(DAY_MS);
    let mut out = *b"0000-00-00T00:00:00.000Z";
    let fields = [
        (0..4, year),
        (5..7, month),
        (8..10, day),
        (11..13, in_day / 3_600_000),
        (14..16, in_day / 60_000 % 60),
        (17..19, in_day / 1_000 % 60),
        (20..23, in_day % 1_000),
    ];
    for (place, value) in fields {
        if let Some(digits) = out.get_mut(place) {
            put(digits, value);
        }
    }
    out
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0_i64, |sum, b| {
        b.is_ascii_digit()
            .then(|| sum.saturating_mul(10).saturating_add(i64::from(b - b'0')))
    })
}

fn days_of_month(year: i64, month: i64) -> i64 {
    let next = if month == 12 {
        (year + 1, 1)
    } else {
        (year, month + 1)
    };
    days_from_civil(next.0, next.1, 1) - days_from_civil(year, month, 1)
}

/// Offset of a zone (`Z`, `+08:00`) in milliseconds.
fn zone(text: &[u8]) -> Option<i64> {
    match text {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
            let ms = (hours * 60 + minutes) * 60_000;
            let fits = hours <= 23 && minutes <= 59;
            fits.then_some(if *sign == b'+' { ms } else { -ms })
        }
        [..] => None,
    }
}

/// Reads a day, `2026-11-23`. `None` when it is not one.
pub fn parse_day(text: &str) -> Option<Day> {
    Day::new(u16::try_from(days_of(text.as_bytes())?).ok()?)
}

fn days_of(text: &[u8]) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text else {
        return None;
    };
    let (year, month) = (digits(&[y1, y2, y3, y4])?, digits(&[m1, m2])?);
    let day = digits(&[d1, d2])?;
    let fits = (1..=12).contains(&month) && (1..=days_of_month(year, month)).contains(&day);
    fits.then(|| days_from_civil(year, month, day))
}

/// Reads RFC 3339, any zone; digits beyond the millisecond are dropped. `None` when it is not one.
pub fn parse(text: &str) -> Option<UnixMillis> {
    let (day, rest) = text.as_bytes().split_at_checked(DATE_TEXT_BYTES)?;
    let (time, rest) = rest.split_at_checked(9)?;
    let marks = [(time.get(3), b':'), (time.get(6), b':')];
    if marks.iter().any(|(found, mark)| *found != Some(mark))
        || !matches!(time.first(), Some(b'T' | b't' | b' '))
    {
        return None;
    }
    let days = days_of(day)?;
    let hour = digits(time.get(1..3)?)?;
    let (minute, second) = (digits(time.get(4..6)?)?, digits(time.get(7..)?)?);
    let fits = hour <= 23 && minute <= 59 && second <= 60;
    if !fits {
        return None;
    }
    let (fraction, rest) = match rest.strip_prefix(b".") {
        Some(rest) => {
            let end = rest
                .iter()
                .position(|b| !b.is_ascii_digit())
                .unwrap_or(rest.len());
            rest.split_at_checked(end)
                .filter(|(fraction, _)| !fraction.is_empty())?
        }
        None => rest.split_at(0),
    };
    let ms = (0..3).fold(0, |sum, at| {
        sum * 10 + fraction.get(at).map_or(0, |b| i64::from(b - b'0'))
    });
    let seconds = (hour * 60 + minute) * 60 + second;
    Some(UnixMillis(
        days * DAY_MS + seconds * 1_000 + ms - zone(rest)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(ms: i64) -> String {
        String::from_utf8(to_text(UnixMillis(ms)).to_vec()).unwrap()
    }

    #[test]
    fn known_moments() {
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(text(1_709_251_199_999), "2024-02-29T23:59:59.999Z");
        assert_eq!(text(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
        assert_eq!(text(-1), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(i64::MAX), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn every_day_round_trips() {
        for day in 0..=LAST / DAY_MS {
            let (year, month, of_month) = civil_from_days(day);
            assert_eq!(days_from_civil(year, month, of_month), day);
        }
        for ms in (0..LAST).step_by(86_399_999_999) {
            assert_eq!(parse(&text(ms)), Some(UnixMillis(ms)));
        }
    }

    #[test]
    fn other_forms_are_read() {
        for same in [
            "2026-11-11T12:00:00Z",
            "2026-11-11T20:00:00+08:00",
            "2026-11-11t12:00:00.0009z",
            "2026-11-11 11:30:00.000-00:30",
        ] {
            assert_eq!(parse(same), Some(UnixMillis(1_794_398_400_000)), "{same}");
        }
        for bad in [
            "",
            "2026-11-11",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-11T24:00:00Z",
            "2026-11-11T12:00:00",
            "2026-11-11T12:00:00.Z",
            "2026-11-11T12:00:00+8",
            "x026-11-11T12:00:00Z",
            "2026-11-11T12:00:00ZZ",
            "二〇二六年十一月",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
