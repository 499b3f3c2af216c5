//! The only file that reads a clock.

use std::time::{Duration, SystemTime};

use serde::de::{Deserialize, Deserializer, Error};
use tokio::time::Instant;

/// Now. Tests that pause tokio's clock move it by hand.
#[expect(
    clippy::disallowed_methods,
    reason = "this module is the clock of the crate"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Reads an optional RFC 3339 UTC time, for instance `2026-11-23T08:30:00.250Z`.
pub(crate) fn optional_time<'de, D>(deserializer: D) -> Result<Option<SystemTime>, D::Error>
where
    D: Deserializer<'de>,
{
    let text = Option::<crate::Text>::deserialize(deserializer)?;
    text.map(|text| parse(&text).ok_or_else(|| D::Error::custom("not an RFC 3339 UTC time")))
        .transpose()
}

fn parse(text: &str) -> Option<SystemTime> {
    let (date, rest) = text.strip_suffix(['Z', 'z'])?.split_once(['T', 't'])?;
    let mut date = date.splitn(3, '-').map(str::parse::<u64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let (time, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    let mut time = time.splitn(3, ':').map(str::parse::<u64>);
    let (hour, minute, second) = (time.next()?.ok()?, time.next()?.ok()?, time.next()?.ok()?);
    let in_range = (1970..10_000).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !in_range || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Nine digits, with zeros for those left out.
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanos = digits.fold(0, |nanos, digit| nanos * 10 + u64::from(digit - b'0'));
    let seconds = days(year, month, day)? * 86_400 + hour * 3_600 + minute * 60 + second;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds) + Duration::from_nanos(nanos))
}

/// Days since 1970-01-01 of the Gregorian calendar, with the year beginning in March so that the
/// leap day is its last.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let year_from_march = if month > 2 { year } else { year - 1 };
    let month_from_march = (month + 9) % 12;
    let leap_days = year_from_march / 4 - year_from_march / 100 + year_from_march / 400;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    (365 * year_from_march + leap_days + day_of_year).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        let check = |text: &str, millis: u64| {
            let want = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
            assert_eq!(parse(text), Some(want), "{text}");
        };
        check("1970-01-01T00:00:00Z", 0);
        check("2000-02-29T12:00:00Z", 951_825_600_000);
        check("2026-11-23T01:12:18.250Z", 1_795_396_338_250);
        check("2100-03-01T00:00:00.5Z", 4_107_542_400_500);
        for bad in [
            "",
            "2026-11-23",
            "2026-11-23T01:12:18",
            "2026-13-23T01:12:18Z",
            "1-1-1T1:1:1Z",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
