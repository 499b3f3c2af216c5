//! How long a hold lives.

use super::super::command::Reserve;
use super::super::policy::Policy;
use super::super::time::{HoldTtl, Ttl, UnixMillis};

/// How long the hold of a reservation lives: as its caller asks; or as the campaigns of its SKUs
/// say, the shortest; or as is usual.
pub fn hold_ttl(reserve: &Reserve<'_>, policy: Option<&Policy>, now: UnixMillis) -> Ttl {
    match reserve.ttl {
        HoldTtl::Asked(ttl) => ttl,
        HoldTtl::Default(usual) => {
            let lines = reserve.lines.as_slice().iter();
            usual_hold(lines.map(|line| line.sku.as_str()), usual, policy, now)
        }
    }
}

/// [`hold_ttl`] of a reservation of these SKUs whose caller names no time.
pub fn usual_hold<'a>(
    skus: impl IntoIterator<Item = &'a str>,
    usual: Ttl,
    policy: Option<&Policy>,
    now: UnixMillis,
) -> Ttl {
    let campaigns = policy.and_then(|policy| policy.hold_of(skus, now));
    campaigns.unwrap_or(usual)
}
