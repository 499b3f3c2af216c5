//! Answers as JSON, written by hand: the shapes are those of [`dto`](super::dto), and the tests
//! compare the two.

use crate::domain::calendar::Bucket;
use crate::domain::stock::Selling;
use crate::domain::verdict::{
    Excess, InboundResult, ReservationLine, Shortage, Stale, StockResult,
};
use crate::domain::{
    Day, Inbound, Level, Line, LowWater, NodeIx, Outcome, Refusal, Reservation, Settings, Terms,
    WhileLow,
};
use crate::http::json::Json;
use crate::http::names::Names;
use crate::http::policy_json;
use crate::ledger::{Availability, StockView};

/// What a command achieved.
pub fn outcome(json: &mut Json, outcome: &Outcome, names: Names<'_>) {
    match outcome {
        Outcome::Reservation(found) => reservation(json, found, names),
        Outcome::Stock(results) => stock_results(json, results, names),
        Outcome::Shares(moved) => policy_json::moved_shares(json, moved, names),
        Outcome::Inbound(results) => inbound_results(json, results, names),
        Outcome::Settings {
            sku,
            settings: found,
        } => settings(json, sku, found, names),
    }
}

/// A reservation.
pub fn reservation(json: &mut Json, found: &Reservation, names: Names<'_>) {
    let id = found.id.to_text();
    json.raw(r#"{"id":"#)
        .plain(str::from_utf8(&id).unwrap_or_default());
    json.raw(r#","state":"#)
        .plain(found.state().as_str())
        .raw(r#","channel":"#);
    names.write_channel(found.channel, json);
    json.raw(r#","reference":"#)
        .maybe_text(found.reference.as_deref());
    json.raw(r#","created_at":"#).time(found.created_at);
    json.raw(r#","expires_at":"#);
    match found.expires_at() {
        Some(at) => json.time(at),
        None => json.raw("null"),
    };
    let partial = found.lines.iter().any(|l| l.requested > l.line.quantity());
    json.raw(r#","partial":"#)
        .bool(partial)
        .raw(r#","lines":["#);
    for (at, line) in found.lines.iter().enumerate() {
        json.comma(at == 0);
        reservation_line(json, line, names);
    }
    json.raw("]}");
}

fn reservation_line(json: &mut Json, found: &ReservationLine, names: Names<'_>) {
    let line = &found.line;
    json.raw(r#"{"sku":"#).plain(&found.sku).raw(r#","node":"#);
    names.write_pin(line.pin, json);
    json.raw(r#","requested":"#).units(found.requested);
    json.raw(r#","quantity":"#).units(line.quantity());
    json.raw(r#","held":"#).units(line.held);
    json.raw(r#","committed":"#).units(line.committed);
    json.raw(r#","shipped":"#).units(line.shipped);
    json.raw(r#","released":"#).units(line.released);
    json.raw(r#","expired":"#).units(line.expired);
    json.raw(r#","returned":"#).units(line.returned);
    promise_terms(json, line, names);
    json.raw("}");
}

/// What only some lines have: the day that units are promised for, and the channel of whose share
/// they are where that is another than the reservation's.
pub fn promise_terms(json: &mut Json, line: &Line, names: Names<'_>) {
    promise_date(json, line.day);
    if let Some(channel) = line.charged_to {
        json.raw(r#","charged_to":"#);
        names.write_channel(channel, json);
    }
}

/// The day that units are promised for, where they were promised for one.
fn promise_date(json: &mut Json, day: Option<Day>) {
    if let Some(day) = day {
        json.raw(r#","promise_date":"#).day(day);
    }
}

fn inbound_results(json: &mut Json, results: &[InboundResult], names: Names<'_>) {
    json.raw(r#"{"results":["#);
    for (at, item) in results.iter().enumerate() {
        json.comma(at == 0)
            .raw(r#"{"sku":"#)
            .plain(&item.sku)
            .raw(",");
        inbound_members(json, &item.entry, names);
        json.raw(r#","received":"#).units(item.received);
        json.raw(r#","on_hand":"#).units(item.on_hand);
        json.raw(r#","version":"#).number(item.version).raw("}");
    }
    json.raw("]}");
}

/// The members of what is announced.
pub fn inbound_members(json: &mut Json, entry: &Inbound, names: Names<'_>) {
    json.raw(r#""id":"#).plain(&entry.id);
    json.raw(r#","kind":"#).plain(entry.kind.as_str());
    json.raw(r#","node":"#);
    names.write_node(entry.node, json);
    json.raw(r#","due":"#).day(entry.due);
    json.raw(r#","open":"#).units(entry.units);
}

fn stock_results(json: &mut Json, results: &[StockResult], names: Names<'_>) {
    json.raw(r#"{"results":["#);
    for (at, item) in results.iter().enumerate() {
        json.comma(at == 0)
            .raw(r#"{"sku":"#)
            .plain(&item.sku)
            .raw(r#","node":"#);
        names.write_node(item.node, json);
        json.raw(r#","on_hand":"#).units(item.on_hand);
        json.raw(r#","unavailable":"#).units(item.unavailable);
        json.raw(r#","available":"#).units(item.available);
        json.raw(r#","version":"#).number(item.version).raw("}");
    }
    json.raw("]}");
}

/// Settings of a SKU.
pub fn settings(json: &mut Json, sku: &str, found: &Settings, names: Names<'_>) {
    json.raw(r#"{"sku":"#).plain(sku).raw(",");
    settings_members(json, found, names);
    json.raw(r#","version":"#).number(found.version).raw("}");
}

/// The settings, without braces, SKU and version.
pub fn settings_members(json: &mut Json, found: &Settings, names: Names<'_>) {
    json.raw(r#""safety_stock":{"#);
    level(json, found.safety);
    json.raw(r#"},"node_safety":["#);
    for (at, (node, keep)) in found.node_safety.nodes().iter().enumerate() {
        json.comma(at == 0).raw(r#"{"node":"#);
        names.write_node(*node, json);
        json.raw(",");
        level(json, *keep);
        json.raw("}");
    }
    json.raw(r#"],"selling":"#)
        .plain(selling_word(found.selling))
        .raw(r#","low_water":"#);
    mark(json, found.low_water, "null");
    own_settings(json, found);
}

/// What of the settings is the SKU's own, as it was put.
fn own_settings(json: &mut Json, found: &Settings) {
    json.raw(r#","own":{"safety_stock":"#);
    safety(json, Some(found.safety).filter(|_| found.own.safety));
    json.raw(r#","low_water":"#);
    if found.own.low_water {
        mark(json, found.low_water, "false");
    } else {
        json.raw("null");
    }
    json.raw("}");
}

/// What the policy says of a SKU, members without braces.
pub fn terms_members(json: &mut Json, found: &Terms) {
    json.raw(r#""safety_stock":"#);
    safety(json, found.safety);
    json.raw(r#","low_water":"#);
    mark(json, found.low_water, "null");
}

fn safety(json: &mut Json, found: Option<Level>) {
    let Some(found) = found else {
        json.raw("null");
        return;
    };
    json.raw("{");
    level(json, found);
    json.raw("}");
}

fn mark(json: &mut Json, found: Option<LowWater>, none: &str) {
    match found {
        Some(mark) => low_water(json, &mark),
        None => drop(json.raw(none)),
    }
}

fn low_water(json: &mut Json, found: &LowWater) {
    json.raw("{");
    level(json, found.mark);
    if let Some(resume) = found.resume {
        json.raw(r#","resume":{"#);
        level(json, resume);
        json.raw("}");
    }
    json.raw(r#","then":"#)
        .plain(while_low_word(found.then))
        .raw("}");
}

/// `"units"` or `"percent"`, without braces.
fn level(json: &mut Json, found: Level) {
    match found {
        Level::Units(units) => json.raw(r#""units":"#).units(units),
        Level::Percent(points) => json.raw(r#""percent":"#).percent(points),
    };
}

/// The word of the API.
pub const fn while_low_word(then: WhileLow) -> &'static str {
    match then {
        WhileLow::Sell => "event",
        WhileLow::Suspend => "suspend",
    }
}

/// The word of the API.
pub const fn selling_word(selling: Selling) -> &'static str {
    match selling {
        Selling::On => "on",
        Selling::Suspended => "suspended",
    }
}

/// Stock of a SKU.
pub fn stock(json: &mut Json, sku: &str, found: &StockView, today: Day, names: Names<'_>) {
    json.raw(r#"{"sku":"#).plain(sku);
    json.raw(r#","on_hand":"#).units(found.on_hand);
    json.raw(r#","unavailable":"#).units(found.unavailable);
    json.raw(r#","held":"#).units(found.held);
    json.raw(r#","committed":"#).units(found.committed);
    json.raw(r#","safety_stock":"#).units(found.safety_stock);
    json.raw(r#","available":"#).units(found.available);
    json.raw(r#","deficit":"#).units(found.deficit);
    json.raw(r#","low":"#).bool(found.low);
    json.raw(r#","suspended":"#).bool(found.suspended);
    json.raw(r#","selling":"#)
        .plain(selling_word(found.settings.selling));
    json.raw(r#","version":"#)
        .number(found.version)
        .raw(r#","nodes":["#);
    let node_safety = &found.settings.node_safety;
    for (at, place) in found.nodes.iter().enumerate() {
        json.comma(at == 0).raw(r#"{"node":"#);
        names.write_node(place.node, json);
        json.raw(r#","on_hand":"#).units(place.on_hand);
        json.raw(r#","unavailable":"#).units(place.unavailable);
        json.raw(r#","pinned":"#).units(place.pinned);
        if let Some(kept) = node_safety.of(place.node, place.on_hand) {
            json.raw(r#","safety_stock":"#).units(kept);
        }
        json.raw("}");
    }
    json.raw("]");
    if !found.inbound.is_empty() {
        json.raw(r#","inbound":["#);
        announced(json, &found.inbound, today, names);
        json.raw("]");
    }
    json.raw("}");
}

/// What is announced of a SKU.
pub fn inbound(json: &mut Json, sku: &str, found: &[Inbound], today: Day, names: Names<'_>) {
    json.raw(r#"{"sku":"#).plain(sku).raw(r#","items":["#);
    announced(json, found, today, names);
    json.raw("]}");
}

fn announced(json: &mut Json, found: &[Inbound], today: Day, names: Names<'_>) {
    for (at, entry) in found.iter().enumerate() {
        json.comma(at == 0).raw("{");
        inbound_members(json, entry, names);
        json.raw(r#","overdue":"#).bool(entry.due < today).raw("}");
    }
}

/// What may be promised of a SKU.
pub fn availability(
    json: &mut Json,
    sku: &str,
    (channel, node): (Option<&str>, Option<&str>),
    until: Option<Day>,
    found: &Availability,
    names: Names<'_>,
) {
    json.raw(r#"{"sku":"#)
        .plain(sku)
        .raw(r#","channel":"#)
        .maybe_text(channel);
    json.raw(r#","node":"#).maybe_text(node);
    json.raw(r#","available":"#).units(found.available);
    json.raw(r#","as_of":"#).time(found.as_of);
    json.raw(r#","limits":{"stock":"#).units(found.on_hand);
    json.raw(r#","safety_stock":"#).units(found.safety_stock);
    json.raw(r#","promised":"#).units(found.promised);
    if let Some(units) = found.at_node {
        json.raw(r#","node":"#).units(units);
    }
    if let Some(units) = found.safety_at_node {
        json.raw(r#","node_safety_stock":"#).units(units);
    }
    json.raw(r#","limit":"#).plain(found.limit.as_str());
    if let Some(share) = &found.share {
        json.raw(",");
        policy_json::share_members(json, share, names);
    }
    json.raw("}");
    dates(json, &found.dates, until);
    json.raw("}");
}

/// What may be promised for later days; nothing where nothing is announced.
fn dates(json: &mut Json, found: &[Bucket], until: Option<Day>) {
    if found.is_empty() {
        return;
    }
    json.raw(r#","dates":["#);
    let dated = found
        .iter()
        .filter_map(|bucket| Some((bucket.day?, bucket)));
    let dated = dated.filter(|(day, _)| until.is_none_or(|until| *day <= until));
    for (at, (day, bucket)) in dated.enumerate() {
        json.comma(at == 0).raw(r#"{"date":"#).day(day);
        json.raw(r#","available":"#).units(bucket.available);
        json.raw(r#","limit":"#)
            .plain(bucket.limit.as_str())
            .raw("}");
    }
    json.raw("]");
}

/// What a refusal says beyond its code and detail: members of the problem, each after a comma.
pub fn refusal_members(json: &mut Json, refusal: &Refusal, names: Names<'_>) {
    match refusal {
        Refusal::InsufficientStock { shortages: found } => shortages(json, found, names),
        Refusal::OverConfirm { lines }
        | Refusal::OverRelease { lines }
        | Refusal::OverShip { lines }
        | Refusal::OverReturn { lines }
        | Refusal::PartialTransfer { lines } => excesses(json, lines, names),
        Refusal::ChangeFromStale { items } => stale(json, items, names),
        Refusal::UnknownSku { sku }
        | Refusal::TooMany { sku }
        | Refusal::TooManyInbound { sku } => {
            json.raw(r#","sku":"#).plain(sku);
        }
        Refusal::UnknownLine { sku, node } => place(json, sku, *node, names),
        Refusal::NegativeStock {
            sku,
            node,
            on_hand,
            unavailable,
        } => {
            place(json, sku, Some(*node), names);
            json.raw(r#","on_hand":"#).units(*on_hand);
            json.raw(r#","unavailable":"#).units(*unavailable);
        }
        Refusal::OverShare {
            sku,
            channel,
            requested,
            possible,
        } => policy_json::over_share(json, sku, *channel, (*requested, *possible), names),
        Refusal::UnknownInbound { sku, id } => announcement(json, sku, id),
        Refusal::OverReceipt {
            sku,
            id,
            requested,
            open,
        } => {
            announcement(json, sku, id);
            json.raw(r#","requested":"#).units(*requested);
            json.raw(r#","open":"#).units(*open);
        }
        Refusal::DueTooLate {
            sku,
            id,
            due,
            latest,
        } => {
            announcement(json, sku, id);
            json.raw(r#","due":"#).day(*due);
            json.raw(r#","latest":"#).day(*latest);
        }
        Refusal::VersionMismatch { actual } => {
            json.raw(r#","version":"#).number(*actual);
        }
        Refusal::Frozen(frozen) => {
            json.raw(r#","campaign":"#).plain(&frozen.campaign);
            json.raw(r#","until":"#).time(frozen.until);
        }
        Refusal::KeyReused
        | Refusal::UnknownReservation
        | Refusal::Expired
        | Refusal::Released
        | Refusal::Shipped
        | Refusal::NotHeld
        | Refusal::NotConfirmed
        | Refusal::NotShipped => {}
    }
}

fn announcement(json: &mut Json, sku: &str, id: &str) {
    json.raw(r#","sku":"#).plain(sku).raw(r#","id":"#);
    json.plain(id);
}

fn place(json: &mut Json, sku: &str, node: Option<NodeIx>, names: Names<'_>) {
    json.raw(r#","sku":"#).plain(sku).raw(r#","node":"#);
    names.write_pin(node, json);
}

fn shortages(json: &mut Json, found: &[Shortage], names: Names<'_>) {
    json.raw(r#","shortages":["#);
    for (at, short) in found.iter().enumerate() {
        json.comma(at == 0)
            .raw(r#"{"sku":"#)
            .plain(&short.sku)
            .raw(r#","node":"#);
        names.write_pin(short.node, json);
        json.raw(r#","requested":"#).units(short.requested);
        json.raw(r#","available":"#).units(short.available);
        json.raw(r#","short":"#).units(short.short());
        json.raw(r#","limit":"#).plain(short.limit.as_str());
        if let Some(day) = short.next {
            json.raw(r#","next_date":"#).day(day);
        }
        if let Some(by) = &short.bound {
            json.raw(",");
            let rest = |json: &mut Json| {
                json.units(short.available).raw(" would have passed");
            };
            policy_json::bound_members(json, (short.limit, by), rest, names);
        }
        json.raw("}");
    }
    json.raw("]");
}

fn excesses(json: &mut Json, found: &[Excess], names: Names<'_>) {
    json.raw(r#","lines":["#);
    for (at, excess) in found.iter().enumerate() {
        json.comma(at == 0)
            .raw(r#"{"sku":"#)
            .plain(&excess.sku)
            .raw(r#","node":"#);
        names.write_pin(excess.node, json);
        json.raw(r#","requested":"#).units(excess.requested);
        json.raw(r#","possible":"#).units(excess.possible).raw("}");
    }
    json.raw("]");
}

fn stale(json: &mut Json, found: &[Stale], names: Names<'_>) {
    json.raw(r#","stale":["#);
    for (at, item) in found.iter().enumerate() {
        json.comma(at == 0)
            .raw(r#"{"sku":"#)
            .plain(&item.sku)
            .raw(r#","node":"#);
        names.write_node(item.node, json);
        json.raw(r#","change_from":"#).units(item.change_from);
        json.raw(r#","on_hand":"#).units(item.on_hand).raw("}");
    }
    json.raw("]");
}
