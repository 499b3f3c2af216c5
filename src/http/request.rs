//! What a request says outside its body: key, precondition, request id, query.

use std::borrow::Cow;

use hyper::Version;
use hyper::header::{
    CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, IF_MATCH,
    TRANSFER_ENCODING,
};
use hyper::http::request::Parts;

use crate::http::catalog;
use crate::http::error::Problem;
use crate::limits::{KEY_BYTES_MAX, TARGET_BYTES_MAX};

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

/// The rule of idempotency keys, wherever they stand; the error says what is wrong.
pub fn check_key(key: &[u8]) -> Result<&str, &'static str> {
    if key.is_empty() {
        return Err("must not be empty");
    }
    if key.len() > KEY_BYTES_MAX {
        return Err("must be at most 255 characters");
    }
    str::from_utf8(key)
        .ok()
        .filter(|_| is_visible(key) && !key.contains(&b'"'))
        .ok_or("may hold visible ASCII characters only, and no quotes")
}

/// A key without the double quotes it may stand in.
pub fn bare_key(key: &[u8]) -> &[u8] {
    key.strip_prefix(b"\"")
        .and_then(|key| key.strip_suffix(b"\""))
        .unwrap_or(key)
}

/// The idempotency key, if there is one: bare or in double quotes.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let invalid = |why| Problem::plain(&catalog::KEY_INVALID, format!("Idempotency-Key {why}."));
    let Ok(value) = once(headers, "idempotency-key") else {
        return Err(invalid("was given more than once"));
    };
    let Some(value) = value else { return Ok(None) };
    check_key(bare_key(value.as_bytes()))
        .map(Some)
        .map_err(invalid)
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

/// What must be right of every head, whatever is asked for.
///
/// That Content-Length and Transfer-Encoding do not come together is seen to by hyper: the latter
/// holds, and the connection is closed after the answer (RFC 9112, 6.1).
pub fn check_head(parts: &Parts) -> Result<(), Problem> {
    let headers = &parts.headers;
    let target = parts.uri.path_and_query().map_or(0, |of| of.as_str().len());
    if target > TARGET_BYTES_MAX {
        let kind = &catalog::URI_TOO_LONG;
        return Err(Problem::plain(kind, kind.help));
    }
    if parts.version == Version::HTTP_11 && !matches!(once(headers, HOST.as_str()), Ok(Some(_))) {
        let detail = "A request of HTTP/1.1 has one Host header.";
        return Err(Problem::plain(&catalog::MALFORMED_REQUEST, detail));
    }
    let is = |name: &HeaderName, word: &[u8]| {
        let mut values = headers.get_all(name).iter();
        values.all(|value| value.as_bytes().eq_ignore_ascii_case(word))
    };
    if !is(&TRANSFER_ENCODING, b"chunked") {
        let detail = "Transfer-Encoding takes chunked only.";
        return Err(Problem::plain(&catalog::UNSUPPORTED_TRANSFER, detail));
    }
    if !is(&CONTENT_ENCODING, b"identity") {
        let detail = "Send the body as it is: Content-Encoding takes identity only.";
        return Err(Problem::plain(&catalog::UNSUPPORTED_ENCODING, detail));
    }
    Ok(())
}

/// What `If-Match` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMatch {
    /// The header is missing.
    Missing,
    /// `*`.
    Any,
    /// This version.
    Version(u64),
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
pub fn pairs(text: Option<&str>) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let pairs = text
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty());
    pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

/// The values of these parameters. Any other is refused, and so is one that comes twice: whoever
/// wrote it meant something, and it would not happen.
pub fn query<'q, const N: usize>(
    text: Option<&'q str>,
    known: [&'static str; N],
) -> Result<[Option<Cow<'q, str>>; N], Problem> {
    let mut values = [const { None }; N];
    for (name, value) in pairs(text) {
        let at = known.iter().position(|known| *known == name);
        match at.and_then(|at| values.get_mut(at)) {
            None => return Err(unknown_parameter(&name, &known)),
            Some(Some(_)) => return Err(invalid_parameter(&name, "was given more than once")),
            Some(empty) => *empty = Some(value),
        }
    }
    Ok(values)
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

fn unknown_parameter(name: &str, known: &[&str]) -> Problem {
    let name = name.escape_debug();
    let detail = if known.is_empty() {
        format!("Parameter {name} is not known here; this call takes none.")
    } else {
        let known = known.join(", ");
        format!("Parameter {name} is not known here; known: {known}.")
    };
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
        let pairs: Vec<_> = pairs(Some("a=1&b=x%20y+z&c&d=%zz&e=%e4%b8%ad&&f=%")).collect();
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
    fn parameters_are_known_and_come_once() {
        let (key, channel) = (Some("k".into()), None);
        assert_eq!(query(Some("key=k"), ["key", "channel"]), Ok([key, channel]));
        assert_eq!(query(Some("&"), []), Ok([]));
        for bad in ["key=1&key=1", "kez=1", "key=1&%6bey=2"] {
            assert!(query(Some(bad), ["key"]).is_err(), "{bad}");
        }
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
