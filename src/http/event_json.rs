//! Events of the feed as JSON.

use crate::domain::command::CommandKey;
use crate::domain::line::Move;
use crate::domain::{NodeIx, ReservationId, Units};
use crate::http::error::refusal_kind;
use crate::http::json::Json;
use crate::http::names::Names;
use crate::http::policy_json;
use crate::http::render;
use crate::ledger::event::{
    Acted, ActedLine, Body, DeficitTold, Event, InboundItem, LowWaterTold, Reserved, SharesMoved,
    StockChanged, StockItem, TermsNoted,
};

/// Writes one event.
pub fn write(json: &mut Json, event: &Event<'_>, names: Names<'_>) {
    write_head(json, event);
    match &event.body {
        Body::Opened { .. } => {
            json.raw(r#","epoch":"#).number(event.position.epoch);
        }
        Body::NodeNamed { name, .. } | Body::ChannelNamed { name, .. } => {
            json.raw(r#","name":"#).plain(name);
        }
        Body::Reserved(reserved) => write_reserved(json, reserved, event, names),
        Body::Acted(acted) => write_acted(json, acted, names),
        Body::Expired {
            id,
            line,
            sku,
            units,
        } => {
            reservation_id(json, *id);
            json.raw(r#","line":"#)
                .number(*line)
                .raw(r#","sku":"#)
                .plain(sku);
            json.raw(r#","units":"#).units(*units);
        }
        Body::StockChanged(changed) => write_stock(json, changed, names),
        Body::InboundChanged(changed) => {
            command_id(json, changed.key);
            write_inbound(json, &changed.items, names);
        }
        Body::SettingsPut {
            key,
            sku,
            before,
            after,
            over,
        } => {
            command_id(json, *key);
            json.raw(r#","sku":"#).plain(sku).raw(r#","before":{"#);
            render::settings_members(json, before, names);
            json.raw(r#"},"after":{"#);
            render::settings_members(json, after, names);
            json.raw(r#"},"version":"#).number(after.version);
            if !over.is_empty() {
                json.raw(r#","override":"#).text(over);
            }
        }
        Body::SharesMoved(moved) => write_shares(json, moved, names),
        Body::PolicyPut {
            version,
            operator,
            reason,
            over,
            ..
        } => {
            json.raw(r#","version":"#).number(*version);
            json.raw(r#","operator":"#).text(operator);
            json.raw(r#","reason":"#).text(reason);
            json.raw(r#","override":"#).text(over);
        }
        Body::TermsNoted(noted) => write_terms(json, noted),
        Body::LowWater(told) => write_low_water(json, told),
        Body::Deficit(told) => write_deficit(json, told),
        Body::Refused { key, refusal } => {
            command_id(json, *key);
            json.raw(r#","code":"#).plain(refusal_kind(refusal).code);
            render::refusal_members(json, refusal, names);
        }
    }
    json.raw("}");
}

/// What every event has.
fn write_head(json: &mut Json, event: &Event<'_>) {
    json.raw(r#"{"position":""#).number(event.position.shard);
    json.raw(".").number(event.position.epoch);
    json.raw(".").number(event.position.sequence);
    json.raw(r#"","sequence":"#).number(event.position.sequence);
    json.raw(r#","type":"#).plain(event.body.kind());
    json.raw(r#","at":"#).time(event.at);
}

fn write_terms(json: &mut Json, noted: &TermsNoted<'_>) {
    json.raw(r#","sku":"#).plain(noted.sku);
    render::terms_members(json.raw(","), &noted.terms);
}

fn write_low_water(json: &mut Json, told: &LowWaterTold<'_>) {
    json.raw(r#","sku":"#).plain(told.sku);
    json.raw(r#","low":"#).bool(told.low);
    json.raw(r#","available":"#).units(told.available);
    json.raw(r#","suspended":"#).bool(told.suspended);
}

fn write_deficit(json: &mut Json, told: &DeficitTold<'_>) {
    json.raw(r#","sku":"#).plain(told.sku);
    json.raw(r#","deficit":"#).units(told.deficit);
    json.raw(r#","was":"#).units(told.was);
}

fn reservation_id(json: &mut Json, id: ReservationId) {
    let text = id.to_text();
    json.raw(r#","reservation":"#)
        .plain(str::from_utf8(&text).unwrap_or_default());
}

/// The command, by the hash of its idempotency key: the key itself is not kept.
fn command_id(json: &mut Json, key: CommandKey) {
    let text = ReservationId(key.id).to_text();
    let text = str::from_utf8(&text).unwrap_or_default();
    json.raw(r#","command":"cmd_"#)
        .raw(text.strip_prefix("rsv_").unwrap_or(text))
        .raw("\"");
}

fn write_reserved(json: &mut Json, found: &Reserved<'_>, event: &Event<'_>, names: Names<'_>) {
    reservation_id(json, found.id);
    json.raw(r#","channel":"#);
    names.write_channel(found.channel, json);
    json.raw(r#","reference":"#).maybe_text(found.reference);
    let deadline = event.at.0.saturating_add(i64::from(found.ttl_ms));
    json.raw(r#","expires_at":"#)
        .time(crate::domain::UnixMillis(deadline));
    json.raw(r#","lines":["#);
    for (at, line) in found.lines.iter().enumerate() {
        json.comma(at == 0)
            .raw(r#"{"sku":"#)
            .plain(line.sku)
            .raw(r#","node":"#);
        names.write_pin(line.pin, json);
        json.raw(r#","requested":"#).units(line.requested);
        json.raw(r#","held":"#).units(line.held);
        render::promise_terms(json, &line.empty(), names);
        json.raw("}");
    }
    json.raw("]");
}

fn write_acted(json: &mut Json, found: &Acted<'_>, names: Names<'_>) {
    reservation_id(json, found.id);
    command_id(json, found.key);
    json.raw(r#","channel":"#);
    names.write_channel(found.channel, json);
    json.raw(r#","reference":"#).maybe_text(found.reference);
    json.raw(r#","expires_at":"#);
    if found.lines.iter().any(|line| !line.after.held.is_zero()) {
        json.time(found.deadline);
    } else {
        json.raw("null");
    }
    json.raw(r#","lines":["#);
    for (at, line) in found.lines.iter().enumerate() {
        json.comma(at == 0);
        write_acted_line(json, line, names);
    }
    json.raw("]");
}

fn write_acted_line(json: &mut Json, found: &ActedLine<'_>, names: Names<'_>) {
    let line = &found.after;
    json.raw(r#"{"sku":"#).plain(found.sku).raw(r#","node":"#);
    names.write_pin(line.pin, json);
    json.raw(r#","requested":"#).units(found.requested);
    let states = [
        ("held", line.held),
        ("committed", line.committed),
        ("shipped", line.shipped),
        ("released", line.released),
        ("expired", line.expired),
        ("returned", line.returned),
    ];
    for (name, units) in states {
        json.raw(",").plain(name).raw(":").units(units);
    }
    render::promise_terms(json, line, names);
    json.raw(r#","moves":["#);
    for (at, step) in found.moves.iter().enumerate() {
        json.comma(at == 0);
        write_move(json, *step, names);
    }
    json.raw("]}");
}

fn write_move(json: &mut Json, step: Move, names: Names<'_>) {
    let (name, units, node): (_, Option<Units>, Option<NodeIx>) = match step {
        Move::Hold(units) => ("hold", Some(units), None),
        Move::Commit(units) => ("commit", Some(units), None),
        Move::ReleaseHeld(units) => ("release_held", Some(units), None),
        Move::ReleaseCommitted(units) => ("release_committed", Some(units), None),
        Move::Expire(units) => ("expire", Some(units), None),
        Move::Ship(node, units) => ("ship", Some(units), Some(node)),
        Move::Restock(node, units) => ("restock", Some(units), Some(node)),
        Move::Quarantine(node, units) => ("quarantine", Some(units), Some(node)),
        Move::Repin(node) => ("repin", None, Some(node)),
    };
    json.raw(r#"{"move":"#).plain(name);
    if let Some(units) = units {
        json.raw(r#","units":"#).units(units);
    }
    if let Some(node) = node {
        json.raw(r#","node":"#);
        names.write_node(node, json);
    }
    json.raw("}");
}

/// By which command, why, and by whom.
fn write_why(json: &mut Json, key: CommandKey, reason: &str, operator: Option<&str>) {
    command_id(json, key);
    json.raw(r#","reason":"#).text(reason);
    json.raw(r#","operator":"#).maybe_text(operator);
}

fn write_stock(json: &mut Json, found: &StockChanged<'_>, names: Names<'_>) {
    write_why(json, found.key, found.reason, found.operator);
    json.raw(r#","items":["#);
    for (at, item) in found.items.iter().enumerate() {
        json.comma(at == 0);
        write_item(json, item, names);
    }
    json.raw("]");
}

fn write_shares(json: &mut Json, found: &SharesMoved<'_>, names: Names<'_>) {
    write_why(json, found.key, found.reason, found.operator);
    json.raw(r#","items":["#);
    for (at, item) in found.items.iter().enumerate() {
        json.comma(at == 0);
        let channels = (item.from, item.to);
        policy_json::moved_share(json, item.sku, channels, (item.units, item.window), names);
    }
    json.raw("]");
}

fn write_inbound(json: &mut Json, items: &[InboundItem<'_>], names: Names<'_>) {
    json.raw(r#","items":["#);
    for (at, item) in items.iter().enumerate() {
        json.comma(at == 0)
            .raw(r#"{"sku":"#)
            .plain(item.sku)
            .raw(",");
        render::inbound_members(json, &item.entry, names);
        json.raw(r#","received":"#).units(item.received);
        json.raw(r#","on_hand":"#).units(item.on_hand);
        json.raw(r#","version":"#).number(item.version).raw("}");
    }
    json.raw("]");
}

fn write_item(json: &mut Json, item: &StockItem<'_>, names: Names<'_>) {
    json.raw(r#"{"sku":"#).plain(item.sku).raw(r#","node":"#);
    names.write_node(item.node, json);
    json.raw(r#","on_hand_before":"#).units(item.on_hand_before);
    json.raw(r#","on_hand":"#).units(item.on_hand);
    json.raw(r#","unavailable_before":"#)
        .units(item.unavailable_before);
    json.raw(r#","unavailable":"#).units(item.unavailable);
    json.raw(r#","available":"#).units(item.available);
    json.raw(r#","version":"#).number(item.version).raw("}");
}
