//! The library `struct` of the store's Lua: numbers and texts at fixed places. Of its letters, those
//! that the scripts use.

#![expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "numbers of Lua are doubles"
)]

use mlua::{Error, Lua, MultiValue, Result, Table, Value};

/// Bytes of a C `long`, where no number says otherwise.
const LONG: usize = 8;
const INT: usize = 4;

/// The table of functions.
pub(super) fn library(lua: &Lua) -> Result<Table> {
    let library = lua.create_table()?;
    library.set("pack", lua.create_function(pack)?)?;
    library.set("unpack", lua.create_function(unpack)?)?;
    Ok(library)
}

/// One letter of a format.
enum Letter {
    Integer {
        bytes: usize,
        is_signed: bool,
    },
    /// Of this length; zero: the whole text, or as the number before says.
    Text(usize),
}

/// Reads a format. Only one byte order is taken: the scripts name it wherever it matters.
fn letters(format: &[u8]) -> Result<Vec<Letter>> {
    let mut letters = Vec::new();
    let mut rest = format;
    while let Some((letter, after)) = rest.split_first() {
        let digits = after
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (number, after) = after.split_at(digits);
        let number: Option<usize> = std::str::from_utf8(number).unwrap().parse().ok();
        rest = after;
        let integer = |bytes, is_signed| Letter::Integer { bytes, is_signed };
        letters.push(match letter {
            b'<' | b' ' => continue,
            b'b' => integer(1, true),
            b'B' => integer(1, false),
            b'h' => integer(2, true),
            b'H' => integer(2, false),
            b'l' => integer(LONG, true),
            b'L' => integer(LONG, false),
            b'i' => integer(number.unwrap_or(INT), true),
            b'I' => integer(number.unwrap_or(INT), false),
            b'c' => Letter::Text(number.unwrap_or(1)),
            _ => return Err(Error::runtime(format!("invalid format option '{letter}'"))),
        });
    }
    Ok(letters)
}

/// A number as the library's C takes one.
fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        Value::Number(number) => Some(*number as i64),
        Value::String(text) => text.to_str().ok()?.trim().parse().ok(),
        _ => None,
    }
}

fn pack(lua: &Lua, (format, values): (mlua::LuaString, MultiValue)) -> Result<mlua::LuaString> {
    let mut bytes = Vec::new();
    let mut values = values.into_iter();
    for (at, letter) in letters(&format.as_bytes())?.into_iter().enumerate() {
        let value = values.next().unwrap_or(Value::Nil);
        let bad = |what| {
            let place = at + 2;
            Error::runtime(format!("bad argument #{place} to 'pack' ({what})"))
        };
        match letter {
            Letter::Integer { bytes: count, .. } => {
                let number = number(&value).ok_or_else(|| bad("number expected"))?;
                bytes.extend_from_slice(&i128::from(number).to_le_bytes()[..count]);
            }
            Letter::Text(length) => {
                let text = lua.coerce_string(value)?;
                let text = text.ok_or_else(|| bad("string expected"))?;
                let text = text.as_bytes();
                let length = if length == 0 { text.len() } else { length };
                let text = text.get(..length);
                bytes.extend_from_slice(text.ok_or_else(|| bad("string too short"))?);
            }
        }
    }
    lua.create_string(bytes)
}

/// The values, and the place after the last one.
fn unpack(
    lua: &Lua,
    (format, data, from): (mlua::LuaString, mlua::LuaString, Option<usize>),
) -> Result<MultiValue> {
    let data = data.as_bytes();
    let mut at = from.unwrap_or(1) - 1;
    let mut values = Vec::new();
    for letter in letters(&format.as_bytes())? {
        let length = match letter {
            Letter::Integer { bytes, .. } => bytes,
            Letter::Text(0) => {
                let size = values.pop().as_ref().and_then(number);
                let size = size.and_then(|size| usize::try_from(size).ok());
                size.ok_or_else(|| Error::runtime("format 'c0' needs a previous size"))?
            }
            Letter::Text(length) => length,
        };
        let part = at.checked_add(length).and_then(|end| data.get(at..end));
        let part = part
            .ok_or_else(|| Error::runtime("bad argument #2 to 'unpack' (data string too short)"))?;
        at += length;
        values.push(match letter {
            Letter::Integer { is_signed, .. } => Value::Number(integer(part, is_signed)),
            Letter::Text(_) => Value::String(lua.create_string(part)?),
        });
    }
    values.push(Value::Number((at + 1) as f64));
    Ok(values.into_iter().collect())
}

fn integer(bytes: &[u8], is_signed: bool) -> f64 {
    let is_negative = is_signed && bytes.last().is_some_and(|last| *last >= 0x80);
    let mut whole = [if is_negative { 0xff } else { 0 }; 16];
    whole[..bytes.len()].copy_from_slice(bytes);
    i128::from_le_bytes(whole) as f64
}
