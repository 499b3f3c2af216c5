//! The library `cmsgpack` of the store's Lua.
//!
//! What it writes depends on its own rules, not only on MessagePack's: whole numbers are integers
//! however they came to be, a number that a single float can hold is one, and a table is an array if
//! its keys are exactly those of one.

#![expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::float_cmp,
    reason = "numbers of Lua are doubles, and which of them are integers is the question"
)]

use mlua::{Error, Lua, MultiValue, Result, Table, Value};

/// Tables within tables that are written; deeper ones are nil.
const DEPTH_MAX: usize = 16;

/// The table of functions.
pub(super) fn library(lua: &Lua) -> Result<Table> {
    let library = lua.create_table()?;
    library.set("pack", lua.create_function(pack)?)?;
    library.set("unpack", lua.create_function(unpack)?)?;
    library.set("unpack_one", lua.create_function(unpack_one)?)?;
    Ok(library)
}

fn pack(lua: &Lua, values: MultiValue) -> Result<mlua::LuaString> {
    let mut bytes = Vec::new();
    for value in &values {
        put(value, 0, &mut bytes)?;
    }
    lua.create_string(bytes)
}

fn put(value: &Value, depth: usize, to: &mut Vec<u8>) -> Result<()> {
    match value {
        Value::Boolean(false) => to.push(0xc2),
        Value::Boolean(true) => to.push(0xc3),
        Value::Integer(number) => put_integer(*number, to),
        Value::Number(number) => put_number(*number, to),
        Value::String(text) => put_text(&text.as_bytes(), to),
        Value::Table(table) if depth < DEPTH_MAX => put_table(table, depth + 1, to)?,
        _ => to.push(0xc0),
    }
    Ok(())
}

fn put_number(number: f64, to: &mut Vec<u8>) {
    let short = number as f32;
    if number.is_finite() && number as i64 as f64 == number {
        put_integer(number as i64, to);
    } else if f64::from(short) == number {
        to.push(0xca);
        to.extend_from_slice(&short.to_be_bytes());
    } else {
        to.push(0xcb);
        to.extend_from_slice(&number.to_be_bytes());
    }
}

fn put_integer(number: i64, to: &mut Vec<u8>) {
    let bytes = number.to_be_bytes();
    let (kind, length) = match number {
        -32..=127 => return to.push(bytes[7]),
        128..=0xff => (0xcc, 1),
        0x100..=0xffff => (0xcd, 2),
        0x1_0000..=0xffff_ffff => (0xce, 4),
        0x1_0000_0000.. => (0xcf, 8),
        -0x80..=-33 => (0xd0, 1),
        -0x8000..=-0x81 => (0xd1, 2),
        -0x8000_0000..=-0x8001 => (0xd2, 4),
        _ => (0xd3, 8),
    };
    to.push(kind);
    to.extend_from_slice(&bytes[8 - length..]);
}

fn put_text(text: &[u8], to: &mut Vec<u8>) {
    put_head(
        text.len(),
        (0xa0, 32),
        &[(0xd9, 1), (0xda, 2), (0xdb, 4)],
        to,
    );
    to.extend_from_slice(text);
}

/// A length: within the first byte where it is below `small`, or in as many bytes as it needs.
fn put_head(length: usize, small: (u8, usize), large: &[(u8, usize)], to: &mut Vec<u8>) {
    let bytes = length.to_be_bytes();
    if length < small.1 {
        return to.push(small.0 | bytes[7]);
    }
    let fits = |size: usize| length < 1 << (8 * size);
    let (kind, size) = *large.iter().find(|(_, size)| fits(*size)).unwrap();
    to.push(kind);
    to.extend_from_slice(&bytes[8 - size..]);
}

/// Number of elements of an array; `None`: it is a map.
fn array_length(table: &Table) -> Result<Option<usize>> {
    let (mut count, mut most) = (0, 0);
    for pair in table.pairs::<Value, Value>() {
        let (Value::Integer(key), _) = pair? else {
            return Ok(None);
        };
        let Some(key) = usize::try_from(key).ok().filter(|key| *key > 0) else {
            return Ok(None);
        };
        count += 1;
        most = most.max(key);
    }
    Ok((most == count).then_some(count))
}

fn put_table(table: &Table, depth: usize, to: &mut Vec<u8>) -> Result<()> {
    if let Some(length) = array_length(table)? {
        put_head(length, (0x90, 16), &[(0xdc, 2), (0xdd, 4)], to);
        for at in 1..=length {
            put(&table.raw_get(at)?, depth, to)?;
        }
        return Ok(());
    }
    let pairs: Vec<(Value, Value)> = table.pairs().collect::<Result<_>>()?;
    put_head(pairs.len(), (0x80, 16), &[(0xde, 2), (0xdf, 4)], to);
    for (key, value) in pairs {
        put(&key, depth, to)?;
        put(&value, depth, to)?;
    }
    Ok(())
}

fn unpack(lua: &Lua, text: mlua::LuaString) -> Result<MultiValue> {
    let bytes = text.as_bytes();
    let mut reader = Reader { lua, rest: &bytes };
    let mut values = Vec::new();
    while !reader.rest.is_empty() {
        values.push(reader.value()?);
    }
    Ok(values.into_iter().collect())
}

/// The value at a place counted from 0, after the place of the next one; -1: there is none.
fn unpack_one(lua: &Lua, (text, offset): (mlua::LuaString, Option<usize>)) -> Result<MultiValue> {
    let bytes = text.as_bytes();
    let offset = offset.unwrap_or(0);
    let rest = bytes
        .get(offset..)
        .filter(|rest| !rest.is_empty() || offset == 0);
    let rest = rest.ok_or_else(|| Error::runtime("Start offset greater than input length."))?;
    let mut reader = Reader { lua, rest };
    let value = if rest.is_empty() {
        None
    } else {
        Some(reader.value()?)
    };
    let next = bytes.len() - reader.rest.len();
    let next = if reader.rest.is_empty() {
        -1
    } else {
        i64::try_from(next).unwrap()
    };
    Ok(std::iter::once(Value::Integer(next)).chain(value).collect())
}

struct Reader<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let missing = || Error::runtime("Missing bytes in input.");
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(missing)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.bytes(N)?.try_into().unwrap())
    }

    fn length(&mut self, bytes: usize) -> Result<usize> {
        let bytes = self.bytes(bytes)?;
        Ok(bytes
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
    }

    fn value(&mut self) -> Result<Value> {
        let [kind] = self.array()?;
        let number = |number: f64| Ok(Value::Number(number));
        match kind {
            0x00..=0x7f => number(kind.into()),
            0x80..=0x8f => self.map(usize::from(kind & 0x0f)),
            0x90..=0x9f => self.list(usize::from(kind & 0x0f)),
            0xa0..=0xbf => self.text(usize::from(kind & 0x1f)),
            0xc0 => Ok(Value::Nil),
            0xc2 | 0xc3 => Ok(Value::Boolean(kind == 0xc3)),
            0xca => number(f32::from_be_bytes(self.array()?).into()),
            0xcb => number(f64::from_be_bytes(self.array()?)),
            0xcc => number(self.array::<1>()?[0].into()),
            0xcd => number(u16::from_be_bytes(self.array()?).into()),
            0xce => number(u32::from_be_bytes(self.array()?).into()),
            0xcf => number(u64::from_be_bytes(self.array()?) as f64),
            0xd0 => number(i8::from_be_bytes(self.array()?).into()),
            0xd1 => number(i16::from_be_bytes(self.array()?).into()),
            0xd2 => number(i32::from_be_bytes(self.array()?).into()),
            0xd3 => number(i64::from_be_bytes(self.array()?) as f64),
            0xc4 | 0xd9 => self.counted(1, Self::text),
            0xc5 | 0xda => self.counted(2, Self::text),
            0xc6 | 0xdb => self.counted(4, Self::text),
            0xdc => self.counted(2, Self::list),
            0xdd => self.counted(4, Self::list),
            0xde => self.counted(2, Self::map),
            0xdf => self.counted(4, Self::map),
            0xe0..=0xff => number(i8::from_be_bytes([kind]).into()),
            _ => Err(Error::runtime("Bad data format in input.")),
        }
    }

    fn counted(
        &mut self,
        bytes: usize,
        of: fn(&mut Self, usize) -> Result<Value>,
    ) -> Result<Value> {
        let length = self.length(bytes)?;
        of(self, length)
    }

    fn text(&mut self, length: usize) -> Result<Value> {
        let text = self.bytes(length)?;
        Ok(Value::String(self.lua.create_string(text)?))
    }

    fn list(&mut self, length: usize) -> Result<Value> {
        let table = self.lua.create_table()?;
        for at in 1..=length {
            table.raw_set(at, self.value()?)?;
        }
        Ok(Value::Table(table))
    }

    fn map(&mut self, length: usize) -> Result<Value> {
        let table = self.lua.create_table()?;
        for _ in 0..length {
            let key = self.value()?;
            table.raw_set(key, self.value()?)?;
        }
        Ok(Value::Table(table))
    }
}
