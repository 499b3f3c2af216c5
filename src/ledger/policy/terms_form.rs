//! The shape of safety stocks and low-water marks in a policy's JSON.

use serde::{Deserialize, Serialize};

use super::value_form::{PercentForm, UnitsForm};
use crate::domain::percent::Percent;
use crate::domain::{Level, LowWater, Terms, WhileLow};

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with percent or units")]
struct LevelFields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    percent: Option<PercentForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    units: Option<UnitsForm>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "LevelFields", into = "LevelFields")]
pub(super) struct LevelForm(pub(super) Level);

impl TryFrom<LevelFields> for LevelForm {
    type Error = &'static str;

    fn try_from(fields: LevelFields) -> Result<Self, Self::Error> {
        level(fields.percent, fields.units).map(Self)
    }
}

impl From<LevelForm> for LevelFields {
    fn from(LevelForm(level): LevelForm) -> Self {
        let (percent, units) = level_fields(level);
        Self { percent, units }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with percent or units")]
struct MarkFields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    percent: Option<PercentForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    units: Option<UnitsForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resume: Option<LevelForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    then: Option<ThenForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ThenForm {
    Event,
    Suspend,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "MarkFields", into = "MarkFields")]
pub(super) struct MarkForm(pub(super) LowWater);

impl TryFrom<MarkFields> for MarkForm {
    type Error = &'static str;

    fn try_from(fields: MarkFields) -> Result<Self, Self::Error> {
        Ok(Self(LowWater {
            mark: level(fields.percent, fields.units)?,
            resume: fields.resume.map(|LevelForm(level)| level),
            then: match fields.then {
                None | Some(ThenForm::Event) => WhileLow::Sell,
                Some(ThenForm::Suspend) => WhileLow::Suspend,
            },
        }))
    }
}

impl From<MarkForm> for MarkFields {
    fn from(MarkForm(mark): MarkForm) -> Self {
        let (percent, units) = level_fields(mark.mark);
        Self {
            percent,
            units,
            resume: mark.resume.map(LevelForm),
            then: match mark.then {
                WhileLow::Sell => None,
                WhileLow::Suspend => Some(ThenForm::Suspend),
            },
        }
    }
}

/// What a rule or a campaign says beside limits.
pub(super) fn terms(safety: Option<LevelForm>, low_water: Option<MarkForm>) -> Terms {
    Terms {
        safety: safety.map(|LevelForm(level)| level),
        low_water: low_water.map(|MarkForm(mark)| mark),
    }
}

fn level(percent: Option<PercentForm>, units: Option<UnitsForm>) -> Result<Level, &'static str> {
    match (percent, units) {
        (Some(PercentForm(Percent(points))), None) => Ok(Level::Percent(points)),
        (None, Some(UnitsForm(units))) => Ok(Level::Units(units)),
        (_, _) => Err("one of percent and units is needed"),
    }
}

fn level_fields(level: Level) -> (Option<PercentForm>, Option<UnitsForm>) {
    match level {
        Level::Percent(points) => (Some(PercentForm(Percent(points))), None),
        Level::Units(units) => (None, Some(UnitsForm(units))),
    }
}
