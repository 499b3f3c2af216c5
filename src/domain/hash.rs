//! Hashes that are part of stored data, so they must never change: XXH3 with the ledger's seed.
//!
//! XXH3 is the published algorithm of the xxHash family. The seed is secret to one ledger, so a
//! caller cannot aim for collisions.

use smallvec::SmallVec;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use super::command::{
    Act, AdjustItem, Command, InboundCommand, LineRequest, Lines, MoveShares, PutInbound,
    PutSettings, ReceiveInbound, Reserve, SetItem, StockChange, StockCommand, TransferItem, Verb,
};
use super::ids::{ChannelIx, NodeIx};
use super::settings::Setting;
use super::stock::Selling;
use super::units::Units;
use super::water::{Level, LowWater, WhileLow};

/// Seeded hashes of one ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hasher {
    seed: u64,
}

impl Hasher {
    /// Hashes with this seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// What makes them this ledger's.
    pub const fn seed(self) -> u64 {
        self.seed
    }

    /// Identity of the command with this idempotency key.
    pub fn key(self, key: &str) -> u128 {
        xxh3_128_with_seed(key.as_bytes(), self.seed)
    }

    /// Hash of a SKU: picks its shard and its place there.
    pub fn sku(self, sku: &str) -> u64 {
        xxh3_64_with_seed(sku.as_bytes(), self.seed)
    }

    /// Hash of a channel's reference. The channel is part of what is hashed, not of the seed: XXH3
    /// combines short inputs and the seed by exclusive or, so that neighbouring seeds give equal
    /// hashes to neighbouring references.
    pub fn reference(self, channel: ChannelIx, reference: &str) -> u64 {
        let mut bytes: SmallVec<[u8; 256]> = SmallVec::from_slice(&channel.0.to_le_bytes());
        bytes.extend_from_slice(reference.as_bytes());
        xxh3_64_with_seed(&bytes, self.seed)
    }

    /// Fingerprint of a command's content: equal content, equal fingerprint.
    pub fn fingerprint(self, command: &Command<'_>) -> u64 {
        let mut print = Fingerprint::new();
        print.command(command);
        xxh3_64_with_seed(print.bytes(), self.seed)
    }
}

/// Stands for a time to live that the caller left out. Never that of a hold: the shortest is 1 ms.
const NO_TTL: u64 = 0;

/// Goes before the latest day that a caller takes. No length of a name that could stand there is so
/// large, and lines without such a day are what they were before there was one.
const BY: u64 = 1 << 32;

/// Feeds a command's content, each part with its length or a tag, so that no two contents feed
/// the same bytes. Collected first and hashed at once: the streaming state of XXH3 costs more to
/// set up than the usual one-line reservation costs to hash.
struct Fingerprint {
    /// The bytes as long as they fit: to append a number is then one store.
    short: [u8; SHORT],
    len: usize,
    /// All bytes once they do not fit.
    long: Vec<u8>,
}

/// Content of a reservation of some lines.
const SHORT: usize = 256;

impl Fingerprint {
    const fn new() -> Self {
        Self {
            short: [0; SHORT],
            len: 0,
            long: Vec::new(),
        }
    }

    fn bytes(&self) -> &[u8] {
        self.short.get(..self.len).unwrap_or(&self.long)
    }

    #[inline]
    fn put(&mut self, part: &[u8]) {
        let start = self.len;
        self.len = start.saturating_add(part.len());
        match self.short.get_mut(start..self.len) {
            Some(place) => place.copy_from_slice(part),
            None => self.put_long(start, part),
        }
    }

    #[cold]
    fn put_long(&mut self, start: usize, part: &[u8]) {
        if self.long.is_empty() {
            let before = self.short.get(..start).unwrap_or_default();
            self.long.extend_from_slice(before);
        }
        self.long.extend_from_slice(part);
    }

    fn tag(&mut self, tag: u8) {
        self.put(&[tag]);
    }

    fn number(&mut self, value: u64) {
        self.put(&value.to_le_bytes());
    }

    fn signed(&mut self, value: i64) {
        self.put(&value.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(u64::try_from(text.len()).unwrap_or(u64::MAX));
        self.put(text.as_bytes());
    }

    fn maybe_text(&mut self, text: Option<&str>) {
        self.tag(u8::from(text.is_some()));
        self.text(text.unwrap_or_default());
    }

    fn maybe_node(&mut self, node: Option<NodeIx>) {
        self.number(node.map_or(u64::MAX, |n| u64::from(n.0)));
    }

    fn maybe_units(&mut self, units: Option<Units>) {
        self.number(units.map_or(u64::MAX, Units::get));
    }

    fn maybe_level(&mut self, level: Option<Level>) {
        match level {
            None => self.tag(0),
            Some(Level::Units(units)) => {
                self.tag(1);
                self.number(units.get());
            }
            Some(Level::Percent(basis_points)) => {
                self.tag(2);
                self.number(u64::from(basis_points));
            }
        }
    }

    fn node_safety(&mut self, nodes: &[(NodeIx, Level)]) {
        // No text is that long.
        self.tag(u8::MAX);
        self.number(u64::try_from(nodes.len()).unwrap_or(u64::MAX));
        for (node, level) in nodes {
            self.maybe_node(Some(*node));
            self.maybe_level(Some(*level));
        }
    }

    fn safety(&mut self, put: Option<Setting<Level>>) {
        match put {
            None => self.maybe_level(None),
            Some(Setting::Own(level)) => self.maybe_level(Some(level)),
            Some(Setting::AsPolicy) => self.tag(3),
        }
    }

    fn low_water(&mut self, put: Option<Setting<Option<LowWater>>>) {
        self.tag(match put {
            None => 0,
            Some(Setting::Own(_)) => 1,
            Some(Setting::AsPolicy) => 2,
        });
        let Some(Setting::Own(Some(found))) = put else {
            self.maybe_level(None);
            return;
        };
        self.maybe_level(Some(found.mark));
        self.maybe_level(found.resume);
        self.tag(match found.then {
            WhileLow::Sell => 1,
            WhileLow::Suspend => 2,
        });
    }

    fn command(&mut self, command: &Command<'_>) {
        match command {
            Command::Reserve(reserve) => self.reserve(reserve),
            Command::Act(act) => self.act(act),
            Command::Stock(stock) => self.stock(stock),
            Command::PutSettings(put) => self.settings(put),
            Command::Inbound(inbound) => self.inbound(inbound),
            Command::MoveShares(moves) => self.shares(moves),
        }
    }

    fn shares(&mut self, moves: &MoveShares<'_>) {
        self.tag(6);
        self.text(moves.reason);
        self.maybe_text(moves.operator);
        for item in &moves.items {
            self.text(item.sku.as_str());
            self.number(u64::from(item.from.0));
            self.number(u64::from(item.to.0));
            self.number(item.units.get());
        }
    }

    fn lines(&mut self, lines: &Lines<'_>) {
        for LineRequest {
            sku,
            node,
            quantity,
            by,
        } in lines.as_slice()
        {
            self.text(sku.as_str());
            self.maybe_node(*node);
            self.number(quantity.get());
            if let Some(by) = by {
                self.number(BY | u64::from(by.get()));
            }
        }
    }

    fn reserve(&mut self, reserve: &Reserve<'_>) {
        self.tag(1);
        self.text(reserve.channel.name);
        self.maybe_text(reserve.reference);
        self.number(
            reserve
                .ttl
                .asked()
                .map_or(NO_TTL, |ttl| ttl.as_millis().into()),
        );
        self.tag(u8::from(reserve.allow_partial));
        self.lines(&reserve.lines);
    }

    fn act(&mut self, act: &Act<'_>) {
        self.tag(2);
        self.put(&act.id.0.to_le_bytes());
        match act.verb {
            Verb::Confirm => self.tag(1),
            Verb::Release => self.tag(2),
            Verb::Extend(ttl) => {
                self.tag(3);
                self.number(u64::from(ttl.as_millis()));
            }
            Verb::Ship { from } => {
                self.tag(4);
                self.maybe_node(from);
            }
            Verb::Return { restock, to } => {
                self.tag(5);
                self.tag(u8::from(restock));
                self.maybe_node(to);
            }
            Verb::Transfer { to } => {
                self.tag(6);
                self.maybe_node(Some(to));
            }
        }
        if let Some(lines) = &act.lines {
            self.lines(lines);
        }
    }

    fn stock(&mut self, stock: &StockCommand<'_>) {
        self.tag(3);
        self.text(stock.reason);
        self.maybe_text(stock.operator);
        match &stock.change {
            StockChange::Set(items) => {
                self.tag(1);
                items.iter().for_each(|item| self.set_item(item));
            }
            StockChange::Adjust(items) => {
                self.tag(2);
                items.iter().for_each(|item| self.adjust_item(item));
            }
            StockChange::Transfer(items) => {
                self.tag(3);
                items.iter().for_each(|item| self.transfer_item(item));
            }
        }
    }

    fn set_item(&mut self, item: &SetItem<'_>) {
        self.text(item.sku.as_str());
        self.maybe_node(Some(item.node));
        self.maybe_units(item.on_hand);
        self.maybe_units(item.unavailable);
        self.maybe_units(item.change_from);
    }

    fn adjust_item(&mut self, item: &AdjustItem<'_>) {
        self.text(item.sku.as_str());
        self.maybe_node(Some(item.node));
        self.signed(item.on_hand);
        self.signed(item.unavailable);
        self.maybe_units(item.change_from);
    }

    fn transfer_item(&mut self, item: &TransferItem<'_>) {
        self.text(item.sku.as_str());
        self.maybe_node(Some(item.from));
        self.maybe_node(Some(item.to));
        self.number(item.quantity.get());
    }

    fn inbound(&mut self, command: &InboundCommand<'_>) {
        self.tag(5);
        match command {
            InboundCommand::Put(items) => {
                self.tag(1);
                items.iter().for_each(|item| self.put_inbound(item));
            }
            InboundCommand::Receive(items) => {
                self.tag(2);
                items.iter().for_each(|item| self.receive_inbound(item));
            }
        }
    }

    fn put_inbound(&mut self, item: &PutInbound<'_>) {
        self.text(item.sku.as_str());
        self.text(item.id);
        self.text(item.kind.as_str());
        self.maybe_node(Some(item.node));
        self.number(u64::from(item.due.get()));
        self.number(item.quantity.get());
    }

    fn receive_inbound(&mut self, item: &ReceiveInbound<'_>) {
        self.text(item.sku.as_str());
        self.text(item.id);
        self.number(item.quantity.get());
        self.tag(u8::from(item.is_final));
    }

    fn settings(&mut self, put: &PutSettings<'_>) {
        self.tag(4);
        self.text(put.sku.as_str());
        self.safety(put.safety);
        self.tag(match put.selling {
            None => 0,
            Some(Selling::On) => 1,
            Some(Selling::Suspended) => 2,
        });
        self.low_water(put.low_water);
        self.number(put.if_version.map_or(u64::MAX, u64::from));
        // Nothing for those without: their fingerprints are those of before there was any.
        if let Some(over) = put.over {
            self.text(over);
        }
        if let Some(nodes) = put.node_safety {
            self.node_safety(nodes.nodes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::command::Channel;
    use super::super::ids::Sku;
    use super::super::time::{HoldTtl, Ttl};
    use super::*;

    fn reserve(ttl: HoldTtl) -> Command<'static> {
        let line = LineRequest {
            sku: Sku::new("A").unwrap(),
            node: None,
            quantity: Units::new(2).unwrap(),
            by: None,
        };
        reserve_lines(ttl, Lines::try_new([line]).unwrap())
    }

    fn reserve_lines(ttl: HoldTtl, lines: Lines<'_>) -> Command<'_> {
        Command::Reserve(Reserve {
            channel: Channel {
                name: "web",
                index: Some(ChannelIx(3)),
            },
            reference: None,
            ttl,
            allow_partial: false,
            lines,
        })
    }

    /// Fingerprints are stored: a journal of another day must still know its commands again.
    #[test]
    fn the_bytes_of_a_fingerprint_stay_as_they_are() {
        let mut bytes = vec![1];
        bytes.extend(3_u64.to_le_bytes());
        bytes.extend(b"web");
        bytes.push(0);
        bytes.extend(0_u64.to_le_bytes());
        bytes.extend(900_000_u64.to_le_bytes());
        bytes.push(0);
        bytes.extend(1_u64.to_le_bytes());
        bytes.push(b'A');
        bytes.extend(u64::MAX.to_le_bytes());
        bytes.extend(2_u64.to_le_bytes());
        let command = reserve(HoldTtl::Asked(Ttl::from_millis(900_000).unwrap()));
        let print = Hasher::new(7).fingerprint(&command);
        assert_eq!(print, xxh3_64_with_seed(&bytes, 7));
    }

    #[test]
    fn a_fingerprint_of_many_lines_has_all_their_bytes() {
        let names: Vec<String> = (10..40).map(|n| format!("sku-{n}")).collect();
        let one = Units::new(1).unwrap();
        for count in [1, 2, 7, 8, 9, 10, 30] {
            let lines = names.iter().take(count).map(|name| LineRequest {
                sku: Sku::new(name).unwrap(),
                node: Some(NodeIx(4)),
                quantity: one,
                by: None,
            });
            let ttl = HoldTtl::Default(Ttl::from_millis(1).unwrap());
            let command = reserve_lines(ttl, Lines::try_new(lines).unwrap());
            let mut bytes = vec![1];
            bytes.extend(3_u64.to_le_bytes());
            bytes.extend(b"web");
            bytes.extend([0; 9 + 8 + 1]);
            for name in names.iter().take(count) {
                bytes.extend(6_u64.to_le_bytes());
                bytes.extend(name.as_bytes());
                bytes.extend(4_u64.to_le_bytes());
                bytes.extend(1_u64.to_le_bytes());
            }
            let print = Hasher::new(7).fingerprint(&command);
            assert_eq!(print, xxh3_64_with_seed(&bytes, 7), "{count} lines");
        }
    }

    #[test]
    fn a_default_is_no_part_of_what_the_caller_said() {
        let hasher = Hasher::new(7);
        let print = |ttl| hasher.fingerprint(&reserve(ttl));
        let (short, long) = (Ttl::from_millis(1).unwrap(), Ttl::from_millis(2).unwrap());
        let defaulted = print(HoldTtl::Default(short));
        assert_eq!(defaulted, print(HoldTtl::Default(long)));
        assert_ne!(defaulted, print(HoldTtl::Asked(short)));
        assert_ne!(print(HoldTtl::Asked(short)), print(HoldTtl::Asked(long)));
    }

    #[test]
    fn neighbouring_channels_and_references_hash_apart() {
        let hasher = Hasher::new(7);
        let mut seen = HashSet::new();
        for channel in 0..64 {
            for order in 0..64 {
                let channel = ChannelIx(channel);
                for reference in [format!("o-{order}"), format!("order-2026-{order}")] {
                    assert!(
                        seen.insert(hasher.reference(channel, &reference)),
                        "{channel:?} {reference}"
                    );
                }
            }
        }
    }
}
