//! What a request says outside its body: key, precondition, request id, query.

use std::borrow::Cow;

use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, IF_MATCH};

use crate::http::catalog;
use crate::http::error::Problem;
use crate::limits::KEY_BYTES_MAX;

/// Longest request id that is taken over from the caller.
const REQUEST_ID_BYTES_MAX: usize = 128;

fn is_visible(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_graphic)
}

/// The value of a header that may come once; `Err`: it came more than once.
fn once<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h HeaderValue>, ()> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        Err(())
    } else {
        Ok(first)
    }
}

/// The idempotency key, if there is one: bare or in double quotes.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let invalid = |why: &'static str| Problem::plain(&catalog::KEY_INVALID, why);
    let Ok(value) = once(headers, "idempotency-key") else {
        return Err(invalid("Idempotency-Key was given more than once."));
    };
    let Some(value) = value else { return Ok(None) };
    let bytes = value.as_bytes();
    let bare = bytes
        .strip_prefix(b"\"")
        .and_then(|b| b.strip_suffix(b"\""))
        .unwrap_or(bytes);
    let key = str::from_utf8(bare)
        .ok()
        .filter(|_| is_visible(bare) && !bare.contains(&b'"'));
    match key {
        Some("") => Err(invalid("Idempotency-Key must not be empty.")),
        Some(key) if key.len() > KEY_BYTES_MAX => {
            Err(invalid("Idempotency-Key must be at most 255 characters."))
        }
        Some(key) => Ok(Some(key)),
        None => Err(invalid(
            "Idempotency-Key may hold visible ASCII characters only.",
        )),
    }
}

/// The idempotency key, which must be there.
pub fn required_key(headers: &HeaderMap) -> Result<&str, Problem> {
    idempotency_key(headers)?.ok_or_else(|| {
        Problem::plain(
            &catalog::KEY_MISSING,
            "Add an Idempotency-Key header: any text that is unique to this intent.",
        )
    })
}

/// The body is JSON, or nobody says what it is.
pub fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    let given = value.as_bytes();
    let essence = given
        .split(|b| *b == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    if essence.eq_ignore_ascii_case(b"application/json")
        || essence.to_ascii_lowercase().ends_with(b"+json")
    {
        return Ok(());
    }
    let detail = format!(
        "Content-Type is {}; send application/json.",
        String::from_utf8_lossy(essence).escape_debug()
    );
    Err(Problem::plain(&catalog::UNSUPPORTED_MEDIA_TYPE, detail))
}

/// What `If-Match` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMatch {
    /// The header is missing.
    Missing,
    /// `*`.
    Any,
    /// This version.
    Version(u32),
    /// An entity tag that no version has.
    Other,
}

/// Reads `If-Match`.
pub fn if_match(headers: &HeaderMap) -> Result<IfMatch, Problem> {
    let invalid = || {
        let detail = "If-Match takes one entity tag as GET answers it, for instance \"v3\", or *.";
        Problem::plain(&catalog::INVALID_PARAMETER, detail)
    };
    let Ok(value) = once(headers, IF_MATCH.as_str()) else {
        return Err(invalid());
    };
    let Some(value) = value else {
        return Ok(IfMatch::Missing);
    };
    let text = value.to_str().map_err(|_error| invalid())?.trim();
    if text == "*" {
        return Ok(IfMatch::Any);
    }
    let tag = text
        .strip_prefix('"')
        .and_then(|t| t.strip_suffix('"'))
        .ok_or_else(invalid)?;
    let version = tag.strip_prefix('v').and_then(|digits| digits.parse().ok());
    Ok(version.map_or(IfMatch::Other, IfMatch::Version))
}

/// The caller's request id, if it sent a usable one.
pub fn request_id(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get("x-request-id").filter(|value| {
        let bytes = value.as_bytes();
        (1..=REQUEST_ID_BYTES_MAX).contains(&bytes.len()) && is_visible(bytes)
    })
}

/// Names and values of a query string.
pub fn query(text: Option<&str>) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let pairs = text
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty());
    pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

fn decoded(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|b| matches!(b, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let hex = |b: Option<&u8>| {
        char::from(*b?)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'+' => out.push(b' '),
            b'%' => match (hex(after.first()), hex(after.get(1))) {
                (Some(high), Some(low)) => {
                    out.push(high * 16 + low);
                    rest = after.get(2..).unwrap_or_default();
                }
                (None, _) | (_, None) => out.push(b'%'),
            },
            other => out.push(*other),
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// A query parameter that this call does not take.
pub fn unknown_parameter(name: &str, known: &str) -> Problem {
    let detail = format!(
        "Parameter {} is not known here; known: {known}.",
        name.escape_debug()
    );
    Problem::plain(&catalog::INVALID_PARAMETER, detail)
}

/// A parameter that cannot be used.
pub fn invalid_parameter(name: &str, why: impl std::fmt::Display) -> Problem {
    Problem::plain(
        &catalog::INVALID_PARAMETER,
        format!("Parameter {name} {why}."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_bytes(value).unwrap());
        headers
    }

    #[test]
    fn keys_are_bare_or_quoted() {
        let key = |value: &[u8]| {
            idempotency_key(&with("idempotency-key", value)).map(|k| k.map(str::to_owned))
        };
        assert_eq!(key(b"a-1"), Ok(Some("a-1".to_owned())));
        assert_eq!(key(b"\"a-1\""), Ok(Some("a-1".to_owned())));
        assert_eq!(key(&[b'k'; 255]), Ok(Some("k".repeat(255))));
        for bad in [
            &b""[..],
            b"\"\"",
            b"a b",
            b"\"a",
            b"a\"b",
            b"\xe4\xb8\xad",
            &[b'k'; 256],
        ] {
            assert!(key(bad).is_err(), "{bad:?}");
        }
        assert_eq!(idempotency_key(&HeaderMap::new()), Ok(None));
        let mut twice = with("idempotency-key", b"a");
        twice.append("idempotency-key", HeaderValue::from_static("a"));
        assert!(idempotency_key(&twice).is_err());
    }

    #[test]
    fn entity_tags() {
        let tag = |value: &[u8]| if_match(&with("if-match", value));
        assert_eq!(tag(b"*"), Ok(IfMatch::Any));
        assert_eq!(tag(b"\"v17\""), Ok(IfMatch::Version(17)));
        assert_eq!(tag(b"\"x\""), Ok(IfMatch::Other));
        assert!(tag(b"v17").is_err());
        assert_eq!(if_match(&HeaderMap::new()), Ok(IfMatch::Missing));
    }

    #[test]
    fn queries_are_decoded() {
        let pairs: Vec<_> = query(Some("a=1&b=x%20y+z&c&d=%zz&e=%e4%b8%ad&&f=%")).collect();
        let flat: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (&**n, &**v)).collect();
        let expected = [
            ("a", "1"),
            ("b", "x y z"),
            ("c", ""),
            ("d", "%zz"),
            ("e", "中"),
            ("f", "%"),
        ];
        assert_eq!(flat, expected);
    }

    #[test]
    fn media_types() {
        for good in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/x+json",
        ] {
            assert!(
                check_media_type(&with("content-type", good.as_bytes())).is_ok(),
                "{good}"
            );
        }
        for bad in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "",
            "json",
        ] {
            assert!(
                check_media_type(&with("content-type", bad.as_bytes())).is_err(),
                "{bad}"
            );
        }
    }
}
