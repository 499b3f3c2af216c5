//! The shape of shares, units and moments in a policy's JSON.

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::percent::Percent;
use crate::domain::{Units, UnixMillis};
use crate::ledger::time_text;
use crate::limits::UNITS_MAX;

pub(super) struct PercentForm(pub(super) Percent);

impl<'de> Deserialize<'de> for PercentForm {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct PercentVisitor;
        impl Visitor<'_> for PercentVisitor {
            type Value = PercentForm;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a percentage with at most two decimals")
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<PercentForm, E> {
                let found = Percent::whole(value).map(PercentForm);
                found.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(value), &self))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<PercentForm, E> {
                let found = Percent::parse(&value.to_string()).map(PercentForm);
                found.ok_or_else(|| E::invalid_value(Unexpected::Float(value), &self))
            }
        }
        input.deserialize_any(PercentVisitor)
    }
}

impl Serialize for PercentForm {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let Percent(points) = self.0;
        if points.is_multiple_of(100) {
            output.serialize_u16(points / 100)
        } else {
            // The binary fraction nearest to it, whose shortest decimal form is what is meant.
            output.serialize_f64(f64::from(points) / 100.0)
        }
    }
}

pub(super) struct UnitsForm(pub(super) Units);

impl<'de> Deserialize<'de> for UnitsForm {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let found = Units::new(u64::deserialize(input)?).map(Self);
        found.ok_or_else(|| D::Error::custom(format_args!("more than {UNITS_MAX} units")))
    }
}

impl Serialize for UnitsForm {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.serialize_u64(self.0.get())
    }
}

/// A moment of the years 1970 to 9999, which are those that the text of an answer can say.
pub(super) struct Moment(pub(super) UnixMillis);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        let sayable = |at: &UnixMillis| {
            let text = time_text::to_text(*at);
            str::from_utf8(&text).ok().and_then(time_text::parse) == Some(*at)
        };
        let found = time_text::parse(&text).filter(sayable).map(Self);
        found.ok_or_else(|| D::Error::custom("must be a moment like 2026-06-01T18:00:00Z"))
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let text = time_text::to_text(self.0);
        let text = str::from_utf8(&text).unwrap_or_default();
        match text.strip_suffix(".000Z") {
            Some(to_the_second) => output.collect_str(&format_args!("{to_the_second}Z")),
            None => output.serialize_str(text),
        }
    }
}
