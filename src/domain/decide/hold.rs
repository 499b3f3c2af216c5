//! How long a hold lives.

use super::super::command::{Lines, Reserve};
use super::super::policy::Policy;
use super::super::time::{HoldTtl, Ttl, UnixMillis};

/// How long the hold of a reservation lives: as its caller asks; or as the campaigns of its SKUs
/// say, the shortest; or as is usual.
pub fn hold_ttl(reserve: &Reserve<'_>, policy: Option<&Policy>, now: UnixMillis) -> Ttl {
    match reserve.ttl {
        HoldTtl::Asked(ttl) => ttl,
        HoldTtl::Default(usual) => usual_hold(&reserve.lines, usual, policy, now),
    }
}

/// [`hold_ttl`] of a reservation whose caller names no time.
pub fn usual_hold(lines: &Lines<'_>, usual: Ttl, policy: Option<&Policy>, now: UnixMillis) -> Ttl {
    let skus = lines.as_slice().iter().map(|line| line.sku.as_str());
    let campaigns = policy.and_then(|policy| policy.hold_of(skus, now));
    campaigns.unwrap_or(usual)
}
