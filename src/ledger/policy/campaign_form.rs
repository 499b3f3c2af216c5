//! The shape of change sets and campaigns in a policy's JSON.

use serde::{Deserialize, Serialize};

use super::form::{EveryForm, LimitForm, RuleForm, all};
use super::terms_form::{LevelForm, MarkForm, terms};
use super::value_form::{Moment, UnitsForm};
use crate::domain::policy::{Campaign, ChangeSet, Expected, Items};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeSetForm {
    name: String,
    from: Moment,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Moment>,
    rules: Vec<RuleForm>,
}

impl From<ChangeSetForm> for ChangeSet {
    fn from(form: ChangeSetForm) -> Self {
        Self {
            name: form.name,
            from: form.from.0,
            until: form.until.map(|Moment(at)| at),
            rules: all(form.rules),
        }
    }
}

impl From<&ChangeSet> for ChangeSetForm {
    fn from(set: &ChangeSet) -> Self {
        Self {
            name: set.name.clone(),
            from: Moment(set.from),
            until: set.until.map(Moment),
            rules: all(&set.rules),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CampaignFields {
    name: String,
    from: Moment,
    until: Moment,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    skus: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    set: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    limits: Vec<LimitForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    safety_stock: Option<LevelForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    low_water: Option<MarkForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every: Option<EveryForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hold_seconds: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payment_seconds: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    nodes: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    expected: Vec<ExpectedForm>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    freeze: bool,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "CampaignFields", into = "CampaignFields")]
pub(super) struct CampaignForm(Campaign);

impl TryFrom<CampaignFields> for CampaignForm {
    type Error = &'static str;

    fn try_from(fields: CampaignFields) -> Result<Self, Self::Error> {
        let items = match (fields.skus, fields.set) {
            (Some(skus), None) => Items::Skus(skus),
            (None, Some(set)) => Items::Set(set),
            (_, _) => return Err("a campaign has one of skus and set"),
        };
        Ok(Self(Campaign {
            name: fields.name,
            from: fields.from.0,
            until: fields.until.0,
            items,
            limits: all(fields.limits),
            terms: terms(fields.safety_stock, fields.low_water),
            every: fields.every.map(Into::into),
            hold_seconds: fields.hold_seconds,
            payment_seconds: fields.payment_seconds,
            nodes: fields.nodes,
            expected: all(fields.expected),
            freeze: fields.freeze,
        }))
    }
}

impl From<CampaignForm> for CampaignFields {
    fn from(CampaignForm(campaign): CampaignForm) -> Self {
        let (skus, set) = match campaign.items {
            Items::Skus(skus) => (Some(skus), None),
            Items::Set(set) => (None, Some(set)),
        };
        Self {
            name: campaign.name,
            from: Moment(campaign.from),
            until: Moment(campaign.until),
            skus,
            set,
            limits: all(campaign.limits),
            safety_stock: campaign.terms.safety.map(LevelForm),
            low_water: campaign.terms.low_water.map(MarkForm),
            every: campaign.every.map(Into::into),
            hold_seconds: campaign.hold_seconds,
            payment_seconds: campaign.payment_seconds,
            nodes: campaign.nodes,
            expected: all(campaign.expected),
            freeze: campaign.freeze,
        }
    }
}

impl From<CampaignForm> for Campaign {
    fn from(CampaignForm(campaign): CampaignForm) -> Self {
        campaign
    }
}

impl From<&Campaign> for CampaignForm {
    fn from(campaign: &Campaign) -> Self {
        Self(campaign.clone())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedForm {
    channel: String,
    units: UnitsForm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sku: Option<String>,
}

impl From<ExpectedForm> for Expected {
    fn from(form: ExpectedForm) -> Self {
        Self {
            channel: form.channel,
            units: form.units.0,
            sku: form.sku,
        }
    }
}

impl From<Expected> for ExpectedForm {
    fn from(expected: Expected) -> Self {
        Self {
            channel: expected.channel,
            units: UnitsForm(expected.units),
            sku: expected.sku,
        }
    }
}
