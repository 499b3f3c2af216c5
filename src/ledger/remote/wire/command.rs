//! One command as bytes, ready to stand in a batch.
//!
//! Ids, SKUs and references are marked, so that [`super::batch`] can put each into a list once and
//! a number in its place.

use super::inbound;
use super::pack::{EXT_FIELD, EXT_ID, EXT_SKU, EXT_TARGET, Writer};
use super::{node_safety, water};
use crate::domain::command::{
    Act, AdjustItem, Command, CommandKey, Keyed, LineRequest, MoveShares, PutSettings, Reserve,
    SetItem, StockChange, StockCommand, TransferItem, Verb,
};
use crate::domain::stock::{Safety, Selling};
use crate::domain::{ChannelIx, NodeIx, ReservationId, Setting, Sku, Units};
use crate::limits::{CHANNELS_MAX, NODES_MAX, UNITS_MAX};

pub(super) const RESERVE: u64 = 1;
pub(super) const CONFIRM: u64 = 2;
pub(super) const RELEASE: u64 = 3;
pub(super) const EXTEND: u64 = 4;
pub(super) const SHIP: u64 = 5;
pub(super) const RETURN: u64 = 6;
pub(super) const TRANSFER: u64 = 7;
pub(super) const STOCK_SET: u64 = 8;
pub(super) const STOCK_ADJUST: u64 = 9;
pub(super) const STOCK_TRANSFER: u64 = 10;
pub(super) const PUT_SETTINGS: u64 = 11;
pub(super) const READ_STOCK: u64 = 12;
pub(super) const READ_RECORD: u64 = 13;
pub(super) const READ_REFERENCE: u64 = 14;
pub(super) const READ_NAMES: u64 = 15;
pub(super) const NAME: u64 = 16;
pub(super) const FORGET: u64 = 17;
pub(super) const EXPIRE: u64 = 18;
pub(super) const RESERVE_ONE: u64 = 19;
pub(super) const PLACE: u64 = 20;
pub(super) const QUOTE: u64 = 21;
pub(super) const ENTIRE: u64 = 22;
pub(super) const REFUSE: u64 = 23;
pub(super) const UNDO: u64 = 24;
pub(super) const TIE: u64 = 25;
pub(super) const ACT_WHOLE: u64 = 26;
pub(super) const BUMP: u64 = 27;
pub(super) const FOLLOW: u64 = 28;
pub(super) const READ_TIES: u64 = 29;
pub(super) const PUT_POLICY: u64 = 30;
// 31 and 32 stand with what is announced.
pub(super) const QUOTE_LATER: u64 = 33;
pub(super) const MOVE_SHARES: u64 = 40;

/// Letter of the table of nodes.
pub const NODE_LETTER: &str = "n";
/// Letter of that of channels.
pub const CHANNEL_LETTER: &str = "c";

/// What is read in a batch; it sees what the commands before it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read<'a> {
    /// Stock, settings and availability of a SKU.
    Stock(Sku<'a>),
    /// A reservation as it stands.
    Reservation(ReservationId),
    /// The latest reservation of a channel with this reference.
    Reference(ChannelIx, &'a str),
    /// What a command id was answered.
    Settle(u128),
    /// All names of nodes and channels.
    Names,
}

/// Which table a name is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Nodes.
    Nodes,
    /// Channels.
    Channels,
}

/// A command.
pub fn encode(keyed: &Keyed<'_>) -> Vec<u8> {
    let mut writer = Writer(Vec::with_capacity(128));
    match &keyed.command {
        Command::Reserve(reserve) => put_reserve(&mut writer, keyed.key, reserve),
        Command::Act(act) => put_act(&mut writer, keyed.key, act),
        Command::Stock(stock) => put_stock(&mut writer, keyed.key, stock),
        Command::PutSettings(put) => put_settings(&mut writer, keyed.key, put),
        Command::Inbound(change) => inbound::put(&mut writer, keyed.key, change),
        Command::MoveShares(moves) => put_shares(&mut writer, keyed.key, moves),
    }
    writer.0
}

/// A read.
pub fn encode_read(read: &Read<'_>) -> Vec<u8> {
    let mut w = Writer::default();
    match read {
        Read::Stock(sku) => {
            w.uint(READ_STOCK);
            w.ext(EXT_SKU, sku.as_str().as_bytes());
        }
        Read::Reservation(id) => {
            w.uint(READ_RECORD);
            w.id(EXT_TARGET, id.0);
        }
        Read::Settle(id) => {
            w.uint(READ_RECORD);
            w.id(EXT_ID, *id);
        }
        Read::Reference(channel, reference) => {
            w.uint(READ_REFERENCE);
            w.ext(EXT_FIELD, &reference_field(*channel, reference));
        }
        Read::Names => w.uint(READ_NAMES),
    }
    w.0
}

/// Gives a name an index, if it has none yet and there is room.
pub fn encode_name(table: Table, name: &str) -> Vec<u8> {
    let (letter, most) = match table {
        Table::Nodes => (NODE_LETTER, NODES_MAX),
        Table::Channels => (CHANNEL_LETTER, CHANNELS_MAX),
    };
    let mut w = Writer::default();
    w.uint(NAME);
    w.bytes(letter.as_bytes());
    w.bytes(name.as_bytes());
    w.count(most);
    w.0
}

/// Forgets what an id stands for, if its retention is over.
pub fn encode_forget(id: u128, answers_ms: u64, refusals_ms: u64) -> Vec<u8> {
    let mut w = Writer::default();
    w.uint(FORGET);
    w.id(EXT_TARGET, id);
    w.uint(answers_ms);
    w.uint(refusals_ms);
    w.0
}

/// Does nothing but what every call does: gives back what is past its deadline.
pub fn encode_expire() -> Vec<u8> {
    let mut w = Writer::default();
    w.uint(EXPIRE);
    w.0
}

/// Field of a channel's reference in the store.
pub(super) fn reference_field(channel: ChannelIx, reference: &str) -> Vec<u8> {
    let mut field = channel.0.to_le_bytes().to_vec();
    field.extend_from_slice(reference.as_bytes());
    field
}

/// A pin: 0 for none, else the index plus one.
pub(super) fn pin(node: Option<NodeIx>) -> u64 {
    node.map_or(0, |node| u64::from(node.0) + 1)
}

fn maybe_text(w: &mut Writer, text: Option<&str>) {
    match text {
        Some(text) => w.bytes(text.as_bytes()),
        None => w.flag(false),
    }
}

/// A quantity, or -1 for none.
fn maybe_units(w: &mut Writer, units: Option<Units>) {
    match units {
        Some(units) => w.uint(units.get()),
        None => w.int(-1),
    }
}

pub(super) fn put_key(w: &mut Writer, kind: u64, key: CommandKey) {
    w.uint(kind);
    w.id(EXT_ID, key.id);
    w.bytes(&key.fingerprint.to_le_bytes());
}

pub(super) fn put_lines(w: &mut Writer, lines: &[LineRequest<'_>]) {
    w.count(lines.len());
    lines.iter().for_each(|line| put_line(w, line));
}

pub(super) fn put_line(w: &mut Writer, line: &LineRequest<'_>) {
    w.ext(EXT_SKU, line.sku.as_str().as_bytes());
    w.uint(pin(line.node));
    w.uint(line.quantity.get());
}

/// Added to the flag for partial grants where [`put_bys`] follows the lines.
pub(super) const LATER: u64 = 2;

/// Whether any line may be had on a later day.
pub(super) fn is_later(lines: &[LineRequest<'_>]) -> bool {
    lines.iter().any(|line| line.by.is_some())
}

/// Whether a part is welcome, and whether any line may be had later.
pub(super) fn put_flags(w: &mut Writer, reserve: &Reserve<'_>, lines: &[LineRequest<'_>]) {
    let later = if is_later(lines) { LATER } else { 0 };
    w.uint(u64::from(reserve.allow_partial) + later);
}

/// The last day of each line, 0 for none; nothing where no line has one.
pub(super) fn put_bys(w: &mut Writer, lines: &[LineRequest<'_>]) {
    for line in lines.iter().filter(|_| is_later(lines)) {
        w.uint(line.by.map_or(0, |day| u64::from(day.get())));
    }
}

/// What the record of a reservation keeps of the command: see `lua/lib/records.lua`.
pub(super) fn made(
    key: CommandKey,
    reserve: &Reserve<'_>,
    reference: Option<&str>,
    lines: &[LineRequest<'_>],
) -> Vec<u8> {
    let mut w = Writer(Vec::with_capacity(64));
    w.0.extend(key.fingerprint.to_le_bytes());
    // Always in three bytes: the script puts the index there where it is not known yet.
    w.0.push(0xcd);
    w.0.extend(index(reserve).0.to_be_bytes());
    w.array(2 + 3 * lines.len());
    maybe_text(&mut w, reference);
    w.uint(u64::from(reserve.ttl.get().as_millis()));
    for line in lines {
        w.uint(pin(line.node));
        w.uint(line.quantity.get());
        w.bytes(line.sku.as_str().as_bytes());
    }
    w.0
}

/// The same of one line, up to the text of its SKU, which stands in the batch anyway.
fn made_up_to_sku(key: CommandKey, reserve: &Reserve<'_>, line: &LineRequest<'_>) -> Vec<u8> {
    let mut made = made_of(key, reserve);
    made.truncate(made.len() - line.sku.as_str().len());
    made
}

fn made_of(key: CommandKey, reserve: &Reserve<'_>) -> Vec<u8> {
    made(key, reserve, reserve.reference, reserve.lines.as_slice())
}

/// The channel's index; any where it is not known.
fn index(reserve: &Reserve<'_>) -> ChannelIx {
    reserve.channel.index.unwrap_or(ChannelIx(0))
}

fn put_reserve(w: &mut Writer, key: CommandKey, reserve: &Reserve<'_>) {
    let ttl = u64::from(reserve.ttl.get().as_millis());
    let is_plain = reserve.channel.index.is_some() && !reserve.allow_partial;
    if let ([line @ LineRequest { by: None, .. }], None, true) =
        (reserve.lines.as_slice(), reserve.reference, is_plain)
    {
        w.uint(RESERVE_ONE);
        w.uint(ttl);
        w.uint(pin(line.node));
        w.id(EXT_ID, key.id);
        w.bytes(&made_up_to_sku(key, reserve, line));
        w.ext(EXT_SKU, line.sku.as_str().as_bytes());
        w.uint(line.quantity.get());
        return;
    }
    w.uint(RESERVE);
    w.id(EXT_ID, key.id);
    put_flags(w, reserve, reserve.lines.as_slice());
    w.bytes(&made_of(key, reserve));
    w.uint(ttl);
    let field = reserve
        .reference
        .map(|reference| reference_field(index(reserve), reference));
    w.bytes(&field.unwrap_or_default());
    let name = Some(reserve.channel.name).filter(|_| reserve.channel.index.is_none());
    w.bytes(name.unwrap_or_default().as_bytes());
    put_lines(w, reserve.lines.as_slice());
    put_bys(w, reserve.lines.as_slice());
}

/// A verb and its two numbers.
pub(super) fn verb(verb: Verb) -> (u64, u64, u64) {
    match verb {
        Verb::Confirm => (CONFIRM, 0, 0),
        Verb::Release => (RELEASE, 0, 0),
        Verb::Extend(ttl) => (EXTEND, u64::from(ttl.as_millis()), 0),
        Verb::Ship { from } => (SHIP, pin(from), 0),
        Verb::Return { restock, to } => (RETURN, u64::from(restock), pin(to)),
        Verb::Transfer { to } => (TRANSFER, u64::from(to.0), 0),
    }
}

fn put_act(w: &mut Writer, key: CommandKey, act: &Act<'_>) {
    let (kind, a, b) = verb(act.verb);
    put_key(w, kind, key);
    w.id(EXT_TARGET, act.id.0);
    w.uint(a);
    w.uint(b);
    let lines = act.lines.as_ref();
    put_lines(w, lines.map_or(&[], |lines| lines.as_slice()));
}

fn put_stock(w: &mut Writer, key: CommandKey, stock: &StockCommand<'_>) {
    let kind = match stock.change {
        StockChange::Set(_) => STOCK_SET,
        StockChange::Adjust(_) => STOCK_ADJUST,
        StockChange::Transfer(_) => STOCK_TRANSFER,
    };
    put_key(w, kind, key);
    w.bytes(stock.reason.as_bytes());
    maybe_text(w, stock.operator);
    w.count(stock.change.len());
    match &stock.change {
        StockChange::Set(items) => items.iter().for_each(|item| put_set(w, item)),
        StockChange::Adjust(items) => items.iter().for_each(|item| put_adjust(w, item)),
        StockChange::Transfer(items) => items.iter().for_each(|item| put_transfer(w, item)),
    }
}

fn put_set(w: &mut Writer, item: &SetItem<'_>) {
    w.ext(EXT_SKU, item.sku.as_str().as_bytes());
    w.uint(u64::from(item.node.0));
    maybe_units(w, item.on_hand);
    maybe_units(w, item.unavailable);
    maybe_units(w, item.change_from);
}

fn put_adjust(w: &mut Writer, item: &AdjustItem<'_>) {
    // A difference beyond twice the largest quantity is refused whatever there is, and the refusal
    // does not name it; a Lua number could not hold every one.
    let most = UNITS_MAX.cast_signed().saturating_mul(2);
    w.ext(EXT_SKU, item.sku.as_str().as_bytes());
    w.uint(u64::from(item.node.0));
    w.int(item.on_hand.clamp(-most, most));
    w.int(item.unavailable.clamp(-most, most));
    maybe_units(w, item.change_from);
}

fn put_transfer(w: &mut Writer, item: &TransferItem<'_>) {
    w.ext(EXT_SKU, item.sku.as_str().as_bytes());
    w.uint(u64::from(item.from.0));
    w.uint(u64::from(item.to.0));
    w.uint(item.quantity.get());
}

fn put_shares(w: &mut Writer, key: CommandKey, moves: &MoveShares<'_>) {
    put_key(w, MOVE_SHARES, key);
    w.bytes(moves.reason.as_bytes());
    maybe_text(w, moves.operator);
    w.count(moves.items.len());
    for item in &moves.items {
        w.ext(EXT_SKU, item.sku.as_str().as_bytes());
        w.uint(u64::from(item.from.0));
        w.uint(u64::from(item.to.0));
        w.uint(item.units.get());
    }
}

fn put_settings(w: &mut Writer, key: CommandKey, put: &PutSettings<'_>) {
    put_key(w, PUT_SETTINGS, key);
    w.ext(EXT_SKU, put.sku.as_str().as_bytes());
    let (safety, share) = match put.safety {
        None => (-1, 0),
        Some(Setting::AsPolicy) => (-2, 0),
        Some(Setting::Own(Safety::Units(units))) => (units.get().cast_signed(), 0),
        Some(Setting::Own(Safety::Percent(basis_points))) => (i64::from(basis_points), 1),
    };
    w.int(safety);
    w.uint(share);
    w.int(match put.selling {
        None => -1,
        Some(Selling::On) => 0,
        Some(Selling::Suspended) => 1,
    });
    match put.low_water {
        None => w.flag(false),
        Some(Setting::AsPolicy) => w.flag(true),
        Some(Setting::Own(low_water)) => w.bytes(&water::pack(low_water)),
    }
    w.int(put.if_version.map_or(-1, i64::from));
    w.bytes(put.over.unwrap_or_default().as_bytes());
    match put.node_safety {
        None => w.flag(false),
        Some(nodes) => w.bytes(&node_safety::pack(nodes)),
    }
}
