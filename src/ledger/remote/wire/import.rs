//! Items of an export as the store keeps them: the arguments of `lua/import.lua`.

use std::collections::BTreeMap;

use super::command::{CHANNEL_LETTER, NODE_LETTER, reference_field};
use super::kept;
use super::pack::Writer;
use crate::ledger::export::{Answer, BadItem, Head, Held, Item, Name};

/// Items that go into the store with one call.
#[derive(Debug, Default)]
pub struct Part {
    stock: Flat,
    names: Flat,
    records: Flat,
    /// Channel and reference, id, sequence.
    references: Flat,
    /// Ids by deadline: an entry of the index for all of a deadline.
    deadlines: BTreeMap<i64, Vec<u8>>,
    bytes: usize,
}

/// Values of one list.
#[derive(Debug, Default)]
struct Flat {
    values: usize,
    written: Writer,
}

impl Flat {
    fn text(&mut self, text: &[u8]) {
        self.values += 1;
        self.written.bytes(text);
    }

    fn number(&mut self, number: u64) {
        self.values += 1;
        self.written.uint(number);
    }

    fn put(&self, w: &mut Writer) {
        w.array(self.values);
        w.0.extend_from_slice(&self.written.0);
    }
}

/// What was put into the store so far.
#[derive(Debug, Default)]
pub struct Counts {
    stock: u64,
    records: u64,
    nodes: u64,
    channels: u64,
    open_lines: u64,
}

impl Part {
    /// Bytes of it, about.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds an item.
    pub fn add(&mut self, item: &Item, counts: &mut Counts) -> Result<(), BadItem> {
        match item {
            Item::Node(name) => self.name(NODE_LETTER, name, &mut counts.nodes),
            Item::Channel(name) => self.name(CHANNEL_LETTER, name, &mut counts.channels),
            Item::Sku(sku) => {
                let bytes = kept::stock(&sku.stock()?);
                self.bytes += sku.sku.len() + bytes.len();
                self.stock.text(sku.sku.as_bytes());
                self.stock.text(&bytes);
                counts.stock += 1;
                Ok(())
            }
            Item::Reservation(held) => self.reservation(held, counts),
            Item::Answer(answer) => self.answer(answer, counts),
        }
    }

    /// Indexes are given without gaps.
    fn name(&mut self, letter: &str, name: &Name, count: &mut u64) -> Result<(), BadItem> {
        if u64::from(name.index) != *count {
            return Err(BadItem::NAME);
        }
        *count += 1;
        self.bytes += name.name.len();
        self.names
            .text(format!("{letter}:{}", name.name).as_bytes());
        self.names.text(name.index.to_string().as_bytes());
        Ok(())
    }

    fn record(&mut self, id: u128, record: &[u8], counts: &mut Counts) {
        counts.records += 1;
        self.bytes += record.len();
        self.records.text(&id.to_be_bytes());
        self.records.text(record);
    }

    fn reservation(&mut self, held: &Held, counts: &mut Counts) -> Result<(), BadItem> {
        let id = held.id().0;
        let (mut is_open, mut is_held) = (0, false);
        for line in &held.lines {
            let state = line.state()?;
            is_open += u64::from(!state.open().is_zero());
            is_held |= !state.held.is_zero();
        }
        counts.open_lines += is_open;
        if is_held {
            let ids = self.deadlines.entry(held.deadline_ms).or_default();
            ids.extend(id.to_be_bytes());
        }
        if let Some(reference) = &held.reference {
            self.references
                .text(&reference_field(held.channel(), reference));
            self.references.text(&id.to_be_bytes());
            self.references.number(held.sequence);
        }
        self.record(id, &kept::reservation(held)?, counts);
        Ok(())
    }

    fn answer(&mut self, answer: &Answer, counts: &mut Counts) -> Result<(), BadItem> {
        let bytes = answer.bytes()?;
        let (key, event) = answer.read(0, &bytes)?;
        let record = kept::answer(key, &event).ok_or(BadItem::ANSWER)?;
        self.record(key.id, &record, counts);
        Ok(())
    }

    /// As the script takes it.
    pub fn pack(&self) -> Vec<u8> {
        let mut w = Writer::default();
        for list in [&self.stock, &self.names, &self.records, &self.references] {
            list.put(&mut w);
        }
        w.array(2 * self.deadlines.len());
        for (deadline, ids) in &self.deadlines {
            w.bytes(deadline.to_string().as_bytes());
            w.bytes(ids);
        }
        w.0
    }
}

impl Counts {
    /// The part that makes the names complete.
    pub fn last_part(&self) -> Part {
        let mut part = Part::default();
        for (letter, count) in [(NODE_LETTER, self.nodes), (CHANNEL_LETTER, self.channels)] {
            part.names.text(letter.as_bytes());
            part.names.text(count.to_string().as_bytes());
        }
        part
    }

    /// What the last step takes: the meta, and how much there must be. The epoch is a later one,
    /// since the other copy of the ledger may have gone on.
    pub fn finish(&self, head: &Head, ledger: u128, schema: u32, partitions: u16) -> Vec<u8> {
        let fields = [
            ("ledger", format!("{ledger:032x}")),
            ("schema", schema.to_string()),
            ("partitions", partitions.to_string()),
            ("seed", head.seed.0.to_string()),
            ("epoch", head.epoch.saturating_add(1).to_string()),
            ("seq", head.sequence.to_string()),
            ("base", head.sequence.to_string()),
            ("base_epoch", head.epoch.to_string()),
            ("tip", String::new()),
            ("now", head.now_ms.max(0).to_string()),
            ("open", self.open_lines.to_string()),
        ];
        let mut w = Writer::default();
        w.array(2 * fields.len());
        for (name, value) in fields {
            w.bytes(name.as_bytes());
            w.bytes(value.as_bytes());
        }
        w.array(3);
        // Two names of the hash of names are those of its counters.
        let names = self.nodes + self.channels + 2;
        [self.stock, names, self.records]
            .iter()
            .for_each(|count| w.uint(*count));
        w.0
    }
}
