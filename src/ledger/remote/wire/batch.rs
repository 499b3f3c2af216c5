//! A batch of commands as the argument of a script.
//!
//! Five MessagePack lists, one after the other: the SKUs that the commands name; the ids; the
//! commands, all in one flat list, with places (from 1) in these two where they name one; the
//! places of the ids that are acted on or read; the channels and references to look up. The store
//! then needs one call to read all stocks, one for all records, and no table of its own.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::Malformed;
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
}

impl<'a> Draft<'a> {
    fn add(&mut self, command: &'a [u8]) -> Result<(), Malformed> {
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

    fn finish(self) -> Vec<u8> {
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
    pub(super) ids: Vec<u128>,
    /// The flat list of commands.
    pub(super) commands: Reader<'a>,
}

impl<'a> Argument<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        let skus = reader.array()?;
        reader.skip_many(skus)?;
        let count = reader.array()?;
        let ids = (0..count).map(|_| reader.id()).collect::<Result<_, _>>()?;
        let count = reader.array()?;
        let start = reader.0;
        reader.skip_many(count)?;
        let flat: Range<usize> = 0..start.len() - reader.0.len();
        Ok(Self {
            ids,
            commands: Reader(start.get(flat).ok_or(Malformed)?),
        })
    }

    pub(super) fn id(&self, place: usize) -> Result<u128, Malformed> {
        let at = place.checked_sub(1).ok_or(Malformed)?;
        self.ids.get(at).copied().ok_or(Malformed)
    }
}
