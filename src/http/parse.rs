//! From bytes to commands: reads JSON, then checks the sense of it and lists every mistake.

use std::borrow::Cow;

use serde::Deserialize;
use serde_path_to_error::{Path, Segment};

use crate::domain::command::{LineRequest, Lines};
use crate::domain::ids::check_name;
use crate::domain::percent::Percent;
use crate::domain::{Day, NodeIx, Sku, Ttl, Units};
use crate::http::catalog;
use crate::http::dto::{LineBody, Num, Text};
use crate::http::error::{Issues, Problem};
use crate::http::list::TOO_LONG;
use crate::http::names::Names;
use crate::ledger::time_text;
use crate::limits::{TTL_MS_MAX, UNITS_MAX};

/// A body as text.
pub fn text(body: &[u8]) -> Result<&str, Problem> {
    str::from_utf8(body).map_err(|error| {
        let detail = format!("The body is not UTF-8 at byte {}.", error.valid_up_to());
        Problem::plain(&catalog::MALFORMED_BODY, detail)
    })
}

/// Reads a body. A failure is read a second time with the path to the value, for the detail.
pub fn json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    let text = text(body)?;
    // Serde would take an array for a struct, member by member in their order here.
    match text.trim_ascii_start().bytes().next() {
        Some(b'{') => serde_json::from_str(text).map_err(|error| malformed::<T>(text, &error)),
        Some(_) => Err(not_an_object("The body must be a JSON object.")),
        None => Err(not_an_object("The body is empty; send a JSON object.")),
    }
}

#[cold]
fn not_an_object(detail: &'static str) -> Problem {
    Problem::plain(&catalog::MALFORMED_BODY, detail)
}

/// Reads a body that may be empty.
pub fn json_or_default<'a, T: Deserialize<'a> + Default>(body: &'a [u8]) -> Result<T, Problem> {
    if body.iter().all(u8::is_ascii_whitespace) {
        Ok(T::default())
    } else {
        json(body)
    }
}

#[cold]
fn malformed<'a, T: Deserialize<'a>>(text: &'a str, error: &serde_json::Error) -> Problem {
    let mut reader = serde_json::Deserializer::from_str(text);
    let path = serde_path_to_error::deserialize::<_, T>(&mut reader)
        .err()
        .map(|error| error.path().clone());
    let message = error.to_string();
    if message.starts_with(TOO_LONG) {
        let detail = message.split(" at line ").next().unwrap_or_default();
        let mut issues = Issues::default();
        let pointer = path.as_ref().map(pointer).unwrap_or_default();
        issues.push(format_args!("{pointer}"), "too_many", detail.to_owned());
        return Problem::Invalid(issues);
    }
    // Field names and values of the wrong type are repeated in the message, however long.
    let message = shortened(&message);
    let path = path.map(|path| path.to_string()).filter(|path| path != ".");
    let detail = match path {
        Some(path) => format!("{}: {message}.", shortened(&path)),
        None => format!("{message}."),
    };
    Problem::plain(&catalog::MALFORMED_BODY, detail)
}

/// A path as a JSON pointer.
fn pointer(path: &Path) -> String {
    let mut text = String::new();
    for segment in path {
        text.push('/');
        match segment {
            Segment::Seq { index } => text.push_str(&index.to_string()),
            Segment::Map { .. } | Segment::Enum { .. } | Segment::Unknown => {
                text.push_str(&segment.to_string());
            }
        }
    }
    text
}

/// Most characters of a detail that repeats what the caller sent.
const DETAIL_CHARS_MAX: usize = 300;

/// Both ends of a text that is too long: what is wrong stands in front, and where at the end.
fn shortened(text: &str) -> Cow<'_, str> {
    let half = DETAIL_CHARS_MAX / 2;
    let cut = |at: Option<(usize, char)>| at.map(|(at, _)| at);
    let (head, tail) = (
        cut(text.char_indices().nth(half)),
        cut(text.char_indices().rev().nth(half)),
    );
    match (head, tail) {
        (Some(head), Some(tail)) if head < tail => {
            let head = text.get(..head).unwrap_or_default();
            let tail = text.get(tail..).unwrap_or_default();
            Cow::Owned(format!("{head} ... {tail}"))
        }
        (_, _) => Cow::Borrowed(text),
    }
}

/// A text that must be there.
pub fn required<'t>(
    issues: &mut Issues,
    at: std::fmt::Arguments<'_>,
    text: Option<&'t Text<'_>>,
) -> Option<&'t str> {
    let found = text.map(Text::as_str);
    if found.is_none() {
        issues.push(at, "missing", "is required");
    }
    found
}

/// A SKU that must be there.
pub fn sku<'t>(
    issues: &mut Issues,
    at: std::fmt::Arguments<'_>,
    text: Option<&'t Text<'_>>,
) -> Option<Sku<'t>> {
    match Sku::new(required(issues, at, text)?) {
        Ok(sku) => Some(sku),
        Err(why) => {
            issues.push(at, "invalid_sku", why.to_string());
            None
        }
    }
}

/// The name of a channel or node.
pub fn name<'t>(
    issues: &mut Issues,
    at: std::fmt::Arguments<'_>,
    text: &'t str,
) -> Option<&'t str> {
    check_name(text)
        .map_err(|why| issues.push(at, "invalid_name", why.to_string()))
        .ok()
}

/// A node that must be known already. Left out is `None` and no mistake.
pub fn known_node(
    issues: &mut Issues,
    at: std::fmt::Arguments<'_>,
    text: Option<&Text<'_>>,
    names: Names<'_>,
) -> Option<NodeIx> {
    let name = name(issues, at, text?.as_str())?;
    let known = names.known_node(name);
    if known.is_none() {
        issues.push(
            at,
            "unknown_node",
            "no stock was ever put at a node of this name",
        );
    }
    known
}

/// A text of at most `max` bytes; left out is `None` and no mistake.
pub fn bounded<'t>(
    issues: &mut Issues,
    at: std::fmt::Arguments<'_>,
    text: Option<&'t Text<'_>>,
    max: usize,
) -> Option<&'t str> {
    let text = text?.as_str();
    if text.is_empty() || text.len() > max {
        issues.push(at, "invalid_length", format!("must be 1 to {max} bytes"));
        return None;
    }
    Some(text)
}

/// Units from `min` on; left out is `None` and no mistake.
pub fn units(
    issues: &mut Issues,
    at: std::fmt::Arguments<'_>,
    value: Option<Num>,
    min: u64,
) -> Option<Units> {
    let found = match value? {
        Num::Whole(value) if value >= min => Units::new(value),
        Num::Whole(_) | Num::Negative(_) | Num::Float(_) => None,
    };
    if found.is_none() {
        let detail = format!("must be a whole number from {min} to {UNITS_MAX}");
        issues.push(at, "out_of_range", detail);
    }
    found
}

/// A difference of units; left out is zero and no mistake.
pub fn delta(issues: &mut Issues, at: std::fmt::Arguments<'_>, value: Option<Num>) -> i64 {
    let found = match value {
        None => Some(0),
        Some(Num::Whole(value)) => i64::try_from(value).ok(),
        Some(Num::Negative(value)) => Some(value),
        Some(Num::Float(_)) => None,
    };
    if let Some(value) = found.filter(|value| value.unsigned_abs() <= UNITS_MAX) {
        return value;
    }
    let detail = format!("must be a whole number from -{UNITS_MAX} to {UNITS_MAX}");
    issues.push(at, "out_of_range", detail);
    0
}

/// A time to live in whole seconds; left out is `None` and no mistake.
pub fn ttl(issues: &mut Issues, at: std::fmt::Arguments<'_>, value: Option<Num>) -> Option<Ttl> {
    let found = match value? {
        Num::Whole(seconds) => seconds.checked_mul(1_000),
        Num::Negative(_) | Num::Float(_) => None,
    };
    let found = found
        .and_then(|ms| u32::try_from(ms).ok())
        .and_then(Ttl::from_millis);
    if found.is_none() {
        let detail = format!(
            "must be a whole number of seconds from 1 to {}",
            TTL_MS_MAX / 1_000
        );
        issues.push(at, "out_of_range", detail);
    }
    found
}

/// Percent, 0 to 100 with at most two decimals, as basis points.
pub fn percent(issues: &mut Issues, at: std::fmt::Arguments<'_>, value: Num) -> Option<u16> {
    let found = match value {
        Num::Whole(whole) => Percent::whole(whole),
        Num::Negative(_) => None,
        Num::Float(value) => Percent::parse(&value.to_string()),
    };
    let found = found.map(|Percent(points)| points);
    let found = found.filter(|points| *points <= 10_000);
    if found.is_none() {
        issues.push(
            at,
            "out_of_range",
            "must be 0 to 100 with at most two decimals",
        );
    }
    found
}

/// The quantity of an item, which must be there.
pub fn quantity(issues: &mut Issues, at: usize, found: Option<Num>, least: u64) -> Option<Units> {
    let place = format_args!("/items/{at}/quantity");
    if found.is_none() {
        issues.push(place, "missing", "is required");
    }
    units(issues, place, found, least)
}

/// A day that may be left out.
pub fn day(
    issues: &mut Issues,
    at: std::fmt::Arguments<'_>,
    text: Option<&Text<'_>>,
) -> Option<Day> {
    let day = time_text::parse_day(text?.as_str());
    if day.is_none() {
        issues.push(at, "invalid", "must be a day such as 2026-12-24");
    }
    day
}

/// What lines are for.
#[derive(Debug, Clone, Copy)]
pub enum LinesOf {
    /// A new reservation, and the latest day of the lines that name none.
    New(Option<Day>),
    /// A reservation that there is.
    Existing,
}

/// The latest day of a line.
fn latest(
    issues: &mut Issues,
    at: std::fmt::Arguments<'_>,
    found: Option<&Text<'_>>,
    of: LinesOf,
) -> Option<Day> {
    match (of, found) {
        (LinesOf::Existing, Some(_)) => {
            issues.push(at, "unexpected", "belongs to new reservations only");
            None
        }
        (LinesOf::Existing, None) => None,
        (LinesOf::New(_), Some(_)) => day(issues, at, found),
        (LinesOf::New(by), None) => by,
    }
}

/// Lines of a command; `None` after a mistake.
pub fn lines<'t>(
    issues: &mut Issues,
    base: &str,
    found: &'t [LineBody<'_>],
    names: Names<'_>,
    of: LinesOf,
) -> Option<Lines<'t>> {
    let line = |(at, line): (usize, &'t LineBody<'_>)| {
        let sku = sku(issues, format_args!("{base}/{at}/sku"), line.sku.as_ref());
        let place = format_args!("{base}/{at}/quantity");
        if line.quantity.is_none() {
            issues.push(place, "missing", "is required");
        }
        let quantity = units(issues, place, line.quantity, 1);
        let place = format_args!("{base}/{at}/node");
        let node = known_node(issues, place, line.node.as_ref(), names);
        let good_node = line.node.is_none() || node.is_some();
        let by = latest(issues, format_args!("{base}/{at}/by"), line.by.as_ref(), of);
        Some(LineRequest {
            sku: sku?,
            node,
            quantity: quantity?,
            by,
        })
        .filter(|_| good_node)
    };
    let parsed: smallvec::SmallVec<[Option<LineRequest<'t>>; 2]> =
        found.iter().enumerate().map(line).collect();
    if parsed.iter().any(Option::is_none) {
        return None;
    }
    match Lines::try_new(parsed.into_iter().flatten()) {
        Ok(lines) => Some(lines),
        Err(error) => {
            issues.push_lines(base, error);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(value: Num) -> Option<u16> {
        percent(&mut Issues::default(), format_args!("/p"), value)
    }

    #[test]
    fn percent_is_exact() {
        for hundredths in 0..=10_000_u16 {
            let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
            let value: Num = serde_json::from_str(&text).unwrap();
            assert_eq!(points(value), Some(hundredths), "{text}");
        }
        for bad in [
            "100.01",
            "-1",
            "-0.5",
            "12.345",
            "1e-7",
            "1e300",
            "101",
            "18446744073709551615",
        ] {
            assert_eq!(points(serde_json::from_str(bad).unwrap()), None, "{bad}");
        }
    }

    #[test]
    fn only_an_object_is_a_body() {
        let detail = |body: &[u8]| match json::<LineBody<'_>>(body) {
            Ok(_) => "accepted".to_owned(),
            Err(problem) => format!("{problem:?}"),
        };
        assert_eq!(detail(br#"{"sku":"a","quantity":1}"#), "accepted");
        assert!(detail(br#"["a",1,null]"#).contains("must be a JSON object"));
        assert!(detail(b" \n").contains("is empty"));
    }

    #[test]
    fn detail_names_the_field_and_the_place() {
        let body = br#"{"lines":[{"sku":"a","quantity":1},{"sku":7,"quantity":1}]}"#;
        let problem = json::<crate::http::dto::LinesBody<'_>>(body).unwrap_err();
        let Problem::Plain(_, detail) = problem else {
            panic!("{problem:?}")
        };
        assert!(detail.starts_with("lines[1].sku: invalid type"), "{detail}");
        assert!(detail.contains("line 1 column"), "{detail}");
    }

    #[test]
    fn every_mistake_is_listed() {
        let body = br#"[{"sku":"a b","quantity":0},{"quantity":-1},{"sku":"a"},{"sku":"a","quantity":1.5}]"#;
        let found: Vec<LineBody<'_>> = serde_json::from_slice(body).unwrap();
        let mut issues = Issues::default();
        for (at, line) in found.iter().enumerate() {
            sku(&mut issues, format_args!("/{at}/sku"), line.sku.as_ref());
            units(
                &mut issues,
                format_args!("/{at}/quantity"),
                line.quantity,
                1,
            );
        }
        let text = format!("{issues:?}");
        for pointer in [
            "/0/sku",
            "/0/quantity",
            "/1/sku",
            "/1/quantity",
            "/3/quantity",
        ] {
            assert!(text.contains(pointer), "{pointer}: {text}");
        }
    }
}
