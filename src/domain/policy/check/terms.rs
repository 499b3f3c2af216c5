//! Safety stock and low-water marks of one rule or campaign.

use super::Faults;
use crate::domain::settings::Terms;
use crate::domain::water::Level;

/// All of what is on hand, in basis points.
const WHOLE: u16 = 10_000;

/// What is said at `owner`.
pub(super) fn check(owner: &str, terms: &Terms, faults: &mut Faults) {
    let mark = terms.low_water.as_ref();
    let levels = [
        ("safety_stock", terms.safety),
        ("low_water", mark.map(|mark| mark.mark)),
        ("low_water.resume", mark.and_then(|mark| mark.resume)),
    ];
    for (of, level) in levels {
        if matches!(level, Some(Level::Percent(share)) if share > WHOLE) {
            let path = format!("{owner}.{of}.percent");
            faults.add(path, "percent_over_100", "more than 100 %");
        }
    }
    if mark.is_some_and(|mark| !mark.resumes_above_mark()) {
        let path = format!("{owner}.low_water.resume");
        faults.add(path, "not_above_mark", "no more than the mark");
    }
}
