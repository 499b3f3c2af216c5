//! A batch of commands as the argument of a script.
//!
//! Five MessagePack lists, one after the other: the SKUs that the commands name; the ids; the
//! commands, all in one flat list, with places (from 1) in these two where they name one; the
//! places of the ids that are acted on or read; the channels and references to look up. The store
//! then needs one call to read all stocks, one for all records, and no table of its own. The usual
//! reservations that follow one another stand in a run, which says once what they have in common.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::Malformed;
use super::command::RESERVE_ONE;
use super::pack::{EXT_FIELD, EXT_ID, EXT_SKU, EXT_TARGET, Reader, Value, Writer};

/// Texts in order of their first appearance, each once.
#[derive(Default)]
struct Distinct<'a> {
    places: HashMap<&'a [u8], usize>,
    list: Vec<&'a [u8]>,
}

impl<'a> Distinct<'a> {
    fn place(&mut self, text: &'a [u8]) -> usize {
        let next = self.list.len() + 1;
        let place = *self.places.entry(text).or_insert(next);
        if place == next {
            self.list.push(text);
        }
        place
    }

    fn write(&self, writer: &mut Writer) {
        writer.array(self.list.len());
        self.list.iter().for_each(|text| writer.bytes(text));
    }
}

/// A batch on its way: what its lists have so far.
#[derive(Default)]
struct Draft<'a> {
    skus: Distinct<'a>,
    ids: Distinct<'a>,
    fields: Distinct<'a>,
    targets: Vec<usize>,
    is_target: HashSet<usize>,
    values: usize,
    commands: Writer,
    /// The reservations of one line that came last.
    run: Option<Run<'a>>,
}

/// Reservations of one line, whose ids stand in a row.
struct Run<'a> {
    /// Time to live and pin, as they came.
    common: &'a [u8],
    first: usize,
    count: usize,
    /// Of each what its record keeps, the place of its SKU, and the units.
    each: Writer,
}

/// Values of a run before the first reservation: kind, number, first place, time to live, pin.
const RUN_HEAD: usize = 5;
/// Values of each.
const RUN_EACH: usize = 3;

impl<'a> Draft<'a> {
    fn add(&mut self, command: &'a [u8]) -> Result<(), Malformed> {
        let mut reader = Reader(command);
        if reader.int() == Ok(RESERVE_ONE.cast_signed()) {
            return self.add_to_run(reader);
        }
        self.end_run();
        let mut reader = Reader(command);
        while !reader.0.is_empty() {
            let before = reader.0;
            let value = reader.value()?;
            self.values += 1;
            let Value::Ext(kind, bytes) = value else {
                let length = before.len() - reader.0.len();
                self.commands.0.extend(before.iter().take(length));
                continue;
            };
            let place = self.place(kind, bytes)?;
            self.commands.count(place);
        }
        Ok(())
    }

    fn add_to_run(&mut self, mut reader: Reader<'a>) -> Result<(), Malformed> {
        let common = reader.raw(2)?;
        let (Value::Ext(id_kind, id), made) = (reader.value()?, reader.raw(1)?) else {
            return Err(Malformed);
        };
        let (Value::Ext(sku_kind, sku), units) = (reader.value()?, reader.raw(1)?) else {
            return Err(Malformed);
        };
        let first = self.place(id_kind, id)?;
        let fits = |run: &Run<'_>| run.common == common && run.first + run.count == first;
        if !self.run.as_ref().is_some_and(fits) {
            self.end_run();
        }
        let place = self.place(sku_kind, sku)?;
        let run = self.run.get_or_insert_with(|| Run {
            common,
            first,
            count: 0,
            each: Writer::default(),
        });
        run.count += 1;
        run.each.0.extend_from_slice(made);
        run.each.count(place);
        run.each.0.extend_from_slice(units);
        Ok(())
    }

    fn end_run(&mut self) {
        let Some(run) = self.run.take() else { return };
        self.values += RUN_HEAD + RUN_EACH * run.count;
        self.commands.uint(RESERVE_ONE);
        self.commands.count(run.count);
        self.commands.count(run.first);
        self.commands.0.extend_from_slice(run.common);
        self.commands.0.extend_from_slice(&run.each.0);
    }

    fn place(&mut self, kind: u8, bytes: &'a [u8]) -> Result<usize, Malformed> {
        match kind {
            EXT_SKU => Ok(self.skus.place(bytes)),
            EXT_ID => Ok(self.ids.place(bytes)),
            EXT_FIELD => Ok(self.fields.place(bytes)),
            EXT_TARGET => {
                let place = self.ids.place(bytes);
                if self.is_target.insert(place) {
                    self.targets.push(place);
                }
                Ok(place)
            }
            _ => Err(Malformed),
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.end_run();
        let mut writer = Writer(Vec::with_capacity(self.commands.0.len() * 2 + 64));
        self.skus.write(&mut writer);
        self.ids.write(&mut writer);
        writer.array(self.values);
        writer.0.extend_from_slice(&self.commands.0);
        writer.array(self.targets.len());
        self.targets.iter().for_each(|place| writer.count(*place));
        self.fields.write(&mut writer);
        writer.0
    }
}

/// The argument for these commands, as [`super::command`] encoded them.
pub fn batch<'a>(commands: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, Malformed> {
    let mut draft = Draft::default();
    for command in commands {
        draft.add(command)?;
    }
    Ok(draft.finish())
}

/// An argument, taken apart again.
pub(super) struct Argument<'a> {
    skus: Vec<&'a str>,
    ids: Vec<u128>,
    /// The flat list of commands.
    pub(super) commands: Reader<'a>,
}

impl<'a> Argument<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        let count = reader.array()?;
        let skus = (0..count)
            .map(|_| reader.text())
            .collect::<Result<_, _>>()?;
        let count = reader.array()?;
        let ids = (0..count).map(|_| reader.id()).collect::<Result<_, _>>()?;
        let count = reader.array()?;
        let start = reader.0;
        reader.skip_many(count)?;
        let flat: Range<usize> = 0..start.len() - reader.0.len();
        Ok(Self {
            skus,
            ids,
            commands: Reader(start.get(flat).ok_or(Malformed)?),
        })
    }

    pub(super) fn id(&self, place: usize) -> Result<u128, Malformed> {
        at(&self.ids, place)
    }

    pub(super) fn sku(&self, place: usize) -> Result<&'a str, Malformed> {
        at(&self.skus, place)
    }
}

/// What stands at a place, counted from 1.
fn at<T: Copy>(list: &[T], place: usize) -> Result<T, Malformed> {
    let index = place.checked_sub(1).ok_or(Malformed)?;
    list.get(index).copied().ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use super::super::command::{encode, encode_expire};
    use super::*;
    use crate::domain::command::{
        Channel, Command, CommandKey, Keyed, LineRequest, Lines, Reserve,
    };
    use crate::domain::{ChannelIx, HoldTtl, NodeIx, Sku, Ttl, Units};

    fn reserve(id: u128, ttl: u32, node: Option<NodeIx>) -> Vec<u8> {
        let line = LineRequest {
            sku: Sku::new("sku").unwrap(),
            node,
            quantity: Units::new(1).unwrap(),
            by: None,
        };
        let command = Command::Reserve(Reserve {
            channel: Channel {
                name: "web",
                index: Some(ChannelIx(0)),
            },
            reference: None,
            ttl: HoldTtl::Asked(Ttl::from_millis(ttl).unwrap()),
            allow_partial: false,
            lines: Lines::try_new([line]).unwrap(),
        });
        let fingerprint = 1;
        let key = CommandKey { id, fingerprint };
        encode(&Keyed { key, command })
    }

    /// Number and first place of each run.
    fn runs(commands: &[Vec<u8>]) -> Vec<(usize, usize)> {
        let argument = batch(commands.iter().map(Vec::as_slice)).unwrap();
        let mut reader = Argument::parse(&argument).unwrap().commands;
        let mut runs = Vec::new();
        while !reader.0.is_empty() {
            if reader.int() == Ok(RESERVE_ONE.cast_signed()) {
                let (count, first) = (reader.narrow().unwrap(), reader.narrow().unwrap());
                reader.skip_many(2 + RUN_EACH * count).unwrap();
                runs.push((count, first));
            }
        }
        runs
    }

    #[test]
    fn reservations_of_one_line_that_follow_one_another_are_one_run() {
        let minute = |id| reserve(id, 60_000, None);
        assert_eq!(runs(&[minute(1), minute(2), minute(3)]), [(3, 1)]);
        let split = [minute(1), encode_expire(), minute(2), minute(3)];
        assert_eq!(runs(&split), [(1, 1), (2, 2)]);
    }

    #[test]
    fn a_run_has_one_time_to_live_one_pin_and_ids_that_were_not_there_before() {
        let commands = [
            reserve(1, 60_000, None),
            reserve(2, 90_000, None),
            reserve(3, 90_000, Some(NodeIx::MAIN)),
            reserve(4, 90_000, Some(NodeIx::MAIN)),
            reserve(4, 90_000, Some(NodeIx::MAIN)),
            reserve(1, 90_000, Some(NodeIx::MAIN)),
            reserve(5, 90_000, Some(NodeIx::MAIN)),
        ];
        let expected = [(1, 1), (1, 2), (2, 3), (1, 4), (1, 1), (1, 5)];
        assert_eq!(runs(&commands), expected);
    }
}
