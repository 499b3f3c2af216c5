//! Shares as people write them: percent with at most two decimals. Kept in basis points.

use std::fmt;

/// A share in basis points, shown as a percent number: 1250 is `12.5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percent(pub u16);

impl Percent {
    /// Reads a decimal number such as `12.5`. Text, because that is exact where arithmetic on a
    /// binary fraction is not.
    pub fn parse(text: &str) -> Option<Self> {
        if !text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return None;
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let hundredths = match fraction.len() {
            0 => 0,
            1 => fraction.parse::<u16>().ok()?.checked_mul(10)?,
            2 => fraction.parse().ok()?,
            _ => return None,
        };
        let whole = whole.parse::<u16>().ok()?.checked_mul(100)?;
        whole.checked_add(hundredths).map(Self)
    }

    /// A whole number of percent.
    pub fn whole(percent: u64) -> Option<Self> {
        let points = percent.checked_mul(100)?;
        u16::try_from(points).ok().map(Self)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, hundredths) = (self.0 / 100, self.0 % 100);
        match (hundredths / 10, hundredths % 10) {
            (0, 0) => write!(f, "{whole}"),
            (tenths, 0) => write!(f, "{whole}.{tenths}"),
            (tenths, hundredths) => write!(f, "{whole}.{tenths}{hundredths}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_share_is_read_as_it_is_shown() {
        for points in 0..=u16::MAX {
            let text = Percent(points).to_string();
            assert_eq!(Percent::parse(&text), Some(Percent(points)), "{text}");
            let long = format!("{}.{:02}", points / 100, points % 100);
            assert_eq!(Percent::parse(&long), Some(Percent(points)), "{long}");
        }
        for bad in ["", "-1", "-0.5", "12.345", "655.36", "1e2", "1.+5", " 1"] {
            assert_eq!(Percent::parse(bad), None, "{bad}");
        }
        assert_eq!(Percent::whole(60), Some(Percent(6_000)));
        assert_eq!(Percent::whole(656), None);
        assert_eq!(Percent::whole(u64::MAX), None);
    }
}
