//! Items of an export as a partition keeps them: the arguments of `lua/import.lua`.

use std::collections::BTreeMap;

use super::command::{CHANNEL_LETTER, NODE_LETTER, reference_field};
use super::pack::Writer;
use super::{kept, policy};
use crate::domain::command::CommandKey;
use crate::domain::{Units, UnixMillis};
use crate::ledger::Gauges;
use crate::ledger::export::{Answer, BadItem, Head, Held, Line, Name, Sku};
use crate::ledger::names::DEFAULT_NODE;
use crate::ledger::policy::PolicyVersion;

/// What goes into a partition with one call.
#[derive(Debug, Default)]
pub struct Part {
    stock: Flat,
    names: Flat,
    records: Flat,
    /// Ids and records that stand there unless something else does.
    signposts: Flat,
    /// Channel and reference, id, when it was made, sequence.
    references: Flat,
    /// Fields of the policy, and the versions that are kept.
    policy: Flat,
    versions: Flat,
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

/// What was put into a partition so far.
#[derive(Debug, Default)]
pub struct Counts {
    stock: u64,
    records: u64,
    signposts: u64,
    nodes: u64,
    channels: u64,
    gauges: Gauges,
    /// When the ledger made its latest decision.
    at: UnixMillis,
}

impl Part {
    /// Bytes of it, about.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds the name of a node.
    pub fn node(&mut self, name: &Name, counts: &mut Counts) -> Result<(), BadItem> {
        self.name(NODE_LETTER, name, &mut counts.nodes)
    }

    /// Adds the name of a channel.
    pub fn channel(&mut self, name: &Name, counts: &mut Counts) -> Result<(), BadItem> {
        self.name(CHANNEL_LETTER, name, &mut counts.channels)
    }

    /// Adds a SKU.
    pub fn sku(&mut self, sku: &Sku, counts: &mut Counts) -> Result<(), BadItem> {
        let stock = sku.stock()?;
        let bytes = kept::stock(&stock);
        counts
            .gauges
            .missing
            .note(Units::ZERO, stock.deficit_told());
        self.bytes += sku.sku.len() + bytes.len();
        self.stock.text(sku.sku.as_bytes());
        self.stock.text(&bytes);
        counts.stock += 1;
        Ok(())
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

    /// Adds a reservation at home. `elsewhere` says of each line whether another partition has it.
    pub fn home(
        &mut self,
        held: &Held,
        elsewhere: Vec<bool>,
        counts: &mut Counts,
    ) -> Result<(), BadItem> {
        let here = held.lines.iter().zip(&elsewhere);
        let here: Vec<&Line> = here
            .filter_map(|(line, is_elsewhere)| (!is_elsewhere).then_some(line))
            .collect();
        counts.gauges.open_lines += open(&here)?;
        self.due(held, &held.lines);
        if let Some(reference) = &held.reference {
            self.references
                .text(&reference_field(held.channel(), reference));
            self.references.text(&held.id().0.to_be_bytes());
            let made = u64::try_from(held.created_ms).unwrap_or(0);
            self.references.number(made);
            self.references.number(held.sequence);
        }
        let record = if elsewhere.contains(&true) {
            kept::whole(held, elsewhere)?
        } else {
            kept::reservation(held)?
        };
        self.record(held.id().0, &record, counts);
        Ok(())
    }

    /// Adds the lines that a reservation has here, and that is at home elsewhere.
    pub fn part(
        &mut self,
        held: &Held,
        lines: &[&Line],
        counts: &mut Counts,
    ) -> Result<(), BadItem> {
        counts.gauges.open_lines += open(lines)?;
        self.due(held, lines.iter().copied());
        self.record(held.id().0, &kept::elsewhere(held, lines)?, counts);
        Ok(())
    }

    /// Held lines end by themselves. Home notes what becomes of all of them.
    fn due<'a>(&mut self, held: &Held, lines: impl IntoIterator<Item = &'a Line>) {
        if lines.into_iter().any(|line| line.held > 0) {
            let ids = self.deadlines.entry(held.deadline_ms).or_default();
            ids.extend(held.id().0.to_be_bytes());
        }
    }

    /// Adds a signpost with this id that leads to what was decided by this key.
    pub fn signpost(&mut self, id: u128, key: CommandKey, sequence: u64, counts: &mut Counts) {
        let record = kept::signpost(key, sequence, counts.at, key.id);
        counts.signposts += 1;
        self.bytes += record.len();
        self.signposts.text(&id.to_be_bytes());
        self.signposts.text(&record);
    }

    /// Adds what another command was answered; gives its key.
    pub fn answer(&mut self, answer: &Answer, counts: &mut Counts) -> Result<CommandKey, BadItem> {
        let bytes = answer.bytes()?;
        let (key, event) = answer.read(0, &bytes)?;
        let record = kept::answer(key, &event).ok_or(BadItem::ANSWER)?;
        self.record(key.id, &record, counts);
        Ok(key)
    }

    /// Adds a field of the policy.
    pub fn policy(&mut self, (field, value): &policy::Field) {
        self.bytes += field.len() + value.len();
        self.policy.text(field);
        self.policy.text(value);
    }

    /// Adds a version of the policy.
    pub fn version(&mut self, version: &PolicyVersion) {
        let kept = policy::kept_version(version);
        self.bytes += kept.len();
        self.versions.text(version.version.to_string().as_bytes());
        self.versions.text(&kept);
    }

    /// As the script takes it.
    pub fn pack(&self) -> Vec<u8> {
        let mut w = Writer::default();
        let lists = [
            &self.stock,
            &self.names,
            &self.records,
            &self.signposts,
            &self.references,
        ];
        lists.iter().for_each(|list| list.put(&mut w));
        w.array(2 * self.deadlines.len());
        for (deadline, ids) in &self.deadlines {
            w.bytes(deadline.to_string().as_bytes());
            w.bytes(ids);
        }
        self.policy.put(&mut w);
        self.versions.put(&mut w);
        w.0
    }
}

/// Lines with held or committed units.
fn open(lines: &[&Line]) -> Result<u64, BadItem> {
    let mut open = 0;
    for line in lines {
        open += u64::from(!line.state()?.open().is_zero());
    }
    Ok(open)
}

/// What the meta of a partition says that is being made.
#[derive(Debug, Clone, Copy)]
pub struct Made<'h> {
    /// What it is made of.
    pub head: &'h Head,
    /// Whether there are signposts.
    pub has_signposts: bool,
    /// Names the ledger.
    pub ledger: u128,
    /// Version of the layout.
    pub schema: u32,
    /// Partitions of the ledger.
    pub partitions: u16,
    /// The version of its policy; 0: there is none.
    pub policy: u64,
}

impl Counts {
    /// Nothing yet, of a ledger where the latest decision was made then.
    pub fn at(at: UnixMillis) -> Self {
        Self {
            at,
            ..Self::default()
        }
    }

    /// The part that makes the names complete. `given` are those that a partition counts as given
    /// which has none to give: the first node, and all channels.
    pub fn last_part(&self, given: Option<usize>) -> Part {
        let mut part = Part::default();
        let (mut nodes, mut channels) = (self.nodes, self.channels);
        if let Some(given) = given {
            part.names
                .text(format!("{NODE_LETTER}:{DEFAULT_NODE}").as_bytes());
            part.names.text(b"0");
            (nodes, channels) = (1, u64::try_from(given).unwrap_or(u64::MAX));
        }
        for (letter, count) in [(NODE_LETTER, nodes), (CHANNEL_LETTER, channels)] {
            part.names.text(letter.as_bytes());
            part.names.text(count.to_string().as_bytes());
        }
        part
    }

    /// What the last step takes: the meta, and how much there must be. The epoch is a later one,
    /// since the other copy of the ledger may have gone on.
    pub fn finish(&self, made: &Made<'_>) -> Vec<u8> {
        let head = made.head;
        let mut fields = vec![
            ("ledger", format!("{:032x}", made.ledger)),
            ("schema", made.schema.to_string()),
            ("partitions", made.partitions.to_string()),
            ("seed", head.seed.0.to_string()),
            ("epoch", head.epoch.saturating_add(1).to_string()),
            ("seq", head.sequence.to_string()),
            ("base", head.sequence.to_string()),
            ("base_epoch", head.epoch.to_string()),
            ("tip", String::new()),
            ("now", head.now_ms.max(0).to_string()),
            ("open", self.gauges.open_lines.to_string()),
            ("short", self.gauges.missing.skus.to_string()),
            ("missing", self.gauges.missing.units.to_string()),
        ];
        if made.policy > 0 {
            fields.push(("policy", made.policy.to_string()));
        }
        if made.has_signposts {
            fields.push(("moved", head.now_ms.max(0).to_string()));
        }
        let mut w = Writer::default();
        w.array(2 * fields.len());
        for (name, value) in fields {
            w.bytes(name.as_bytes());
            w.bytes(value.as_bytes());
        }
        let least = [self.stock, self.records];
        let most = [self.stock, self.records + self.signposts];
        w.array(4);
        for counts in [least, most] {
            counts.iter().for_each(|count| w.uint(*count));
        }
        w.0
    }
}
