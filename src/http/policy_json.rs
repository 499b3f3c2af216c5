//! The policy as JSON: versions, differences, how channels stand, and why one was not put.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::domain::policy::{Amount, Fault, ShareStep};
use crate::domain::verdict::{BoundBy, Limit, MovedShare};
use crate::domain::{ChannelIx, Units, UnixMillis};
use crate::http::catalog;
use crate::http::json::Json;
use crate::http::names::Names;
use crate::ledger::Share;
use crate::ledger::policy::diff::Differences;
use crate::ledger::policy::{PolicyVersion, SkuPolicy};

/// What a version says of itself: members of an object, without braces.
pub fn version_members(json: &mut Json, found: &PolicyVersion) {
    json.raw(r#""version":"#).number(found.version);
    json.raw(r#","at":"#).time(found.at);
    json.raw(r#","operator":"#).text(&found.operator);
    json.raw(r#","reason":"#).text(&found.reason);
    json.raw(r#","override":"#).text(&found.over);
}

/// A version with its document.
pub fn version(json: &mut Json, found: &PolicyVersion) {
    json.raw("{");
    version_members(json, found);
    json.raw(r#","policy":"#).raw(&found.text).raw("}");
}

/// All versions, without their documents.
pub fn versions(json: &mut Json, found: &[PolicyVersion]) {
    json.raw(r#"{"versions":["#);
    for (at, one) in found.iter().enumerate() {
        json.comma(at == 0).raw("{");
        version_members(json, one);
        json.raw("}");
    }
    json.raw("]}");
}

/// `"changes"`: what a policy changes of the one before.
pub fn changes(json: &mut Json, found: &Differences) {
    json.raw(r#""changes":{"#);
    for (at, (part, difference)) in found.iter().enumerate() {
        json.comma(at == 0).plain(part).raw(":{");
        let lists = [
            ("added", &difference.added),
            ("removed", &difference.removed),
            ("changed", &difference.changed),
        ];
        for (at, (name, list)) in lists.into_iter().enumerate() {
            json.comma(at == 0).plain(name).raw(":[");
            for (at, one) in list.iter().enumerate() {
                json.comma(at == 0).text(one);
            }
            json.raw("]");
        }
        json.raw("}");
    }
    json.raw("}");
}

/// What is in force for a SKU.
pub fn of_sku(json: &mut Json, sku: &str, found: &SkuPolicy, names: Names<'_>) {
    json.raw(r#"{"sku":"#).plain(sku);
    json.raw(r#","version":"#).number(found.version);
    let rule = found.rule.as_ref();
    json.raw(r#","rule":"#)
        .maybe_text(rule.map(|(id, _)| &**id));
    json.raw(r#","window":"#);
    window_or_null(json, rule.map(|(_, window)| *window));
    json.raw(r#","as_of":"#).time(found.as_of);
    json.raw(r#","channels":["#);
    for (at, of) in found.shares.iter().enumerate() {
        json.comma(at == 0).raw(r#"{"channel":"#);
        names.write_channel(of.channel, json);
        json.raw(",");
        share_members(json, &of.share, names);
        if !of.fallback.is_empty() {
            json.raw(r#","fallback":["#);
            for (at, channel) in of.fallback.iter().enumerate() {
                json.comma(at == 0);
                names.write_channel(*channel, json);
            }
            json.raw("]");
        }
        json.raw("}");
    }
    json.raw("]}");
}

/// Moves of share that are proposed, as the call takes them that makes them.
pub fn proposed(
    json: &mut Json,
    sku: &str,
    (found, steps): (&SkuPolicy, &[ShareStep]),
    names: Names<'_>,
) {
    json.raw(r#"{"sku":"#).plain(sku);
    json.raw(r#","version":"#).number(found.version);
    json.raw(r#","as_of":"#).time(found.as_of);
    json.raw(r#","items":["#);
    for (at, step) in steps.iter().enumerate() {
        json.comma(at == 0).raw(r#"{"sku":"#).plain(sku);
        json.raw(r#","from":"#);
        names.write_channel(step.from, json);
        json.raw(r#","to":"#);
        names.write_channel(step.to, json);
        json.raw(r#","units":"#).units(step.units).raw("}");
    }
    json.raw("]}");
}

/// Why share was not moved: members of an object, after a comma.
pub fn over_share(
    json: &mut Json,
    sku: &str,
    channel: ChannelIx,
    (requested, possible): (Units, Units),
    names: Names<'_>,
) {
    json.raw(r#","sku":"#).plain(sku);
    json.raw(r#","channel":"#);
    names.write_channel(channel, json);
    json.raw(r#","requested":"#).units(requested);
    json.raw(r#","possible":"#).units(possible);
}

/// Moves of share that were made.
pub fn moved_shares(json: &mut Json, moved: &[MovedShare], names: Names<'_>) {
    json.raw(r#"{"results":["#);
    for (at, one) in moved.iter().enumerate() {
        json.comma(at == 0);
        let channels = (one.from, one.to);
        moved_share(json, &one.sku, channels, (one.units, one.window), names);
    }
    json.raw("]}");
}

/// One move of share, and the window that it counts in.
pub fn moved_share(
    json: &mut Json,
    sku: &str,
    (from, to): (ChannelIx, ChannelIx),
    (units, window): (Units, UnixMillis),
    names: Names<'_>,
) {
    json.raw(r#"{"sku":"#).plain(sku).raw(r#","from":"#);
    names.write_channel(from, json);
    json.raw(r#","to":"#);
    names.write_channel(to, json);
    json.raw(r#","units":"#).units(units);
    json.raw(r#","window":"#);
    window_or_null(json, Some(window));
    json.raw("}");
}

/// The beginning of a window; null where all time is one.
fn window_or_null(json: &mut Json, window: Option<UnixMillis>) {
    match window.filter(|window| *window > UnixMillis::default()) {
        Some(window) => json.time(window),
        None => json.raw("null"),
    };
}

/// How a channel stands: members of an object, without braces.
pub fn share_members(json: &mut Json, share: &Share, names: Names<'_>) {
    json.raw(r#""cap":"#);
    maybe_units(json, share.cap);
    json.raw(r#","protection":"#);
    maybe_units(json, share.protected);
    json.raw(r#","used":"#).units(share.used);
    json.raw(r#","left":"#).units(share.left);
    if let Some((limit, by)) = &share.bound {
        json.raw(r#","bound":{"limit":"#).plain(limit.as_str());
        json.raw(",");
        let rest = |json: &mut Json| {
            json.units(share.left).raw(" left");
        };
        bound_members(json, (*limit, by), rest, names);
        json.raw("}");
    }
}

fn maybe_units(json: &mut Json, units: Option<Units>) {
    match units {
        Some(units) => json.units(units),
        None => json.raw("null"),
    };
}

/// The cap or protection that bound: members of an object, without braces. `rest` ends the sentence
/// that says it, in which nothing needs escaping.
pub fn bound_members(
    json: &mut Json,
    (limit, by): (Limit, &BoundBy),
    rest: impl FnOnce(&mut Json),
    names: Names<'_>,
) {
    json.raw(r#""channel":"#);
    names.write_channel(by.channel, json);
    json.raw(r#","units":"#).units(by.units);
    json.raw(r#","used":"#).units(by.used);
    json.raw(r#","supply":"#).units(by.supply);
    json.raw(r#","text":""#).raw(limit.as_str()).raw(" of ");
    names.with_channel(by.channel, |name| {
        json.raw(name);
    });
    calculation(json, limit, by);
    json.raw("; ");
    rest(json);
    json.raw("\"");
}

/// Like `: 60 % of 1000 = 600, 580 used`. Piece by piece, because every availability that a channel
/// asks for says it.
fn calculation(json: &mut Json, limit: Limit, by: &BoundBy) {
    let BoundBy { supply, units, .. } = *by;
    json.raw(": ");
    let share = match by.amount {
        Amount::Units(share) => {
            json.units(share);
            share
        }
        Amount::Percent(points) => {
            json.percent(points).raw(" % of ").units(supply);
            if limit == Limit::Cap {
                supply.share_down(points)
            } else {
                supply.share_up(points)
            }
        }
    };
    match units.cmp(&share) {
        Ordering::Less => json.raw(" - ").units(share.left_after(units)).raw(" moved"),
        Ordering::Equal => json,
        Ordering::Greater => json.raw(" + ").units(units.left_after(share)).raw(" moved"),
    };
    if units != share || matches!(by.amount, Amount::Percent(_)) {
        json.raw(" = ").units(units);
    }
    json.raw(", ").units(by.used).raw(" used");
}

/// The first fault, and how many more there are.
pub fn fault_detail(faults: &[Fault]) -> Cow<'static, str> {
    match faults {
        [one] => Cow::Owned(format!("{}: {}", one.path, one.message)),
        [one, rest @ ..] => {
            let more = rest.len();
            Cow::Owned(format!("{}: {}; and {more} more", one.path, one.message))
        }
        [] => Cow::Borrowed(catalog::POLICY_INVALID.help),
    }
}

/// Most faults that one answer lists; a document can hold many thousand.
const FAULTS_MAX: usize = 100;

/// `"errors"`: the faults of a policy, after a comma.
pub fn faults(json: &mut Json, faults: &[Fault]) {
    json.raw(r#","errors":["#);
    for (at, fault) in faults.iter().take(FAULTS_MAX).enumerate() {
        json.comma(at == 0).raw(r#"{"path":"#).text(&fault.path);
        json.raw(r#","code":"#).plain(fault.code);
        json.raw(r#","message":"#).text(&fault.message).raw("}");
    }
    json.raw("]");
}
