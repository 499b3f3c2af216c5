//! The shape of a policy's JSON. The rule book's types know no wire format; these are nothing else.

use serde::{Deserialize, Serialize};

use super::campaign_form::{CampaignForm, ChangeSetForm};
use super::deficit_form::DeficitsForm;
use super::terms_form::{LevelForm, MarkForm, terms};
use super::value_form::{Moment, PercentForm, UnitsForm};
use crate::domain::percent::Percent;
use crate::domain::policy::{
    Against, Amount, Document, Entry, Every, LimitOn, Protection, Rule, Scope, Selector, Set, Tag,
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DocumentForm {
    #[serde(default)]
    channels: Vec<EntryForm>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sets: Vec<SetForm>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<TagForm>,
    #[serde(default)]
    rules: Vec<RuleForm>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    change_sets: Vec<ChangeSetForm>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    campaigns: Vec<CampaignForm>,
    #[serde(default, skip_serializing_if = "DeficitsForm::is_usual")]
    deficits: DeficitsForm,
}

impl From<DocumentForm> for Document {
    fn from(form: DocumentForm) -> Self {
        Self {
            channels: all(form.channels),
            sets: all(form.sets),
            tags: all(form.tags),
            rules: all(form.rules),
            change_sets: all(form.change_sets),
            campaigns: all(form.campaigns),
            deficit_order: form.deficits.into(),
        }
    }
}

impl From<&Document> for DocumentForm {
    fn from(document: &Document) -> Self {
        Self {
            channels: all(&document.channels),
            sets: all(&document.sets),
            tags: all(&document.tags),
            rules: all(&document.rules),
            change_sets: all(&document.change_sets),
            campaigns: all(&document.campaigns),
            deficits: document.deficit_order.into(),
        }
    }
}

pub(super) fn all<A, B: From<A>>(items: impl IntoIterator<Item = A>) -> Vec<B> {
    items.into_iter().map(Into::into).collect()
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryForm {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rank: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fallback: Option<Vec<String>>,
}

impl From<EntryForm> for Entry {
    fn from(form: EntryForm) -> Self {
        let EntryForm {
            name,
            parent,
            rank,
            fallback,
        } = form;
        Self {
            name,
            parent,
            rank,
            fallback,
        }
    }
}

impl From<&Entry> for EntryForm {
    fn from(entry: &Entry) -> Self {
        let Entry {
            name,
            parent,
            rank,
            fallback,
        } = entry.clone();
        Self {
            name,
            parent,
            rank,
            fallback,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TagForm {
    name: String,
    skus: Vec<String>,
}

impl From<TagForm> for Tag {
    fn from(form: TagForm) -> Self {
        let TagForm { name, skus } = form;
        Self { name, skus }
    }
}

impl From<&Tag> for TagForm {
    fn from(tag: &Tag) -> Self {
        let Tag { name, skus } = tag.clone();
        Self { name, skus }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SetFields {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    skus: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "SetFields", into = "SetFields")]
struct SetForm(Set);

impl TryFrom<SetFields> for SetForm {
    type Error = &'static str;

    fn try_from(fields: SetFields) -> Result<Self, Self::Error> {
        let selector = match (fields.prefix, fields.skus, fields.tag) {
            (Some(prefix), None, None) => Selector::Prefix(prefix),
            (None, Some(skus), None) => Selector::Skus(skus),
            (None, None, Some(tag)) => Selector::Tag(tag),
            (_, _, _) => return Err("a set has one of prefix, skus and tag"),
        };
        let name = fields.name;
        Ok(Self(Set { name, selector }))
    }
}

impl From<SetForm> for SetFields {
    fn from(SetForm(set): SetForm) -> Self {
        let mut fields = Self {
            name: set.name,
            prefix: None,
            skus: None,
            tag: None,
        };
        match set.selector {
            Selector::Prefix(prefix) => fields.prefix = Some(prefix),
            Selector::Skus(skus) => fields.skus = Some(skus),
            Selector::Tag(tag) => fields.tag = Some(tag),
        }
        fields
    }
}

impl From<SetForm> for Set {
    fn from(SetForm(set): SetForm) -> Self {
        set
    }
}

impl From<&Set> for SetForm {
    fn from(set: &Set) -> Self {
        Self(set.clone())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFields {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sku: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    set: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    default: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<Moment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Moment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every: Option<EveryForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limits: Option<Vec<LimitForm>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    safety_stock: Option<LevelForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    low_water: Option<MarkForm>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "RuleFields", into = "RuleFields")]
pub(super) struct RuleForm(Rule);

impl TryFrom<RuleFields> for RuleForm {
    type Error = &'static str;

    fn try_from(fields: RuleFields) -> Result<Self, Self::Error> {
        let scope = match (fields.sku, fields.set, fields.default) {
            (Some(sku), None, false) => Scope::Sku(sku),
            (None, Some(set), false) => Scope::Set(set),
            (None, None, true) => Scope::Default,
            (_, _, _) => return Err("a rule has one of sku, set and \"default\": true"),
        };
        let terms = terms(fields.safety_stock, fields.low_water);
        if fields.limits.is_none() && terms.is_none() {
            return Err("a rule has limits, safety_stock or low_water");
        }
        Ok(Self(Rule {
            id: fields.id,
            scope,
            from: fields.from.map(|Moment(at)| at),
            until: fields.until.map(|Moment(at)| at),
            every: fields.every.map(Into::into),
            frees: !terms.is_none() && fields.limits.as_ref().is_some_and(Vec::is_empty),
            limits: all(fields.limits.unwrap_or_default()),
            terms,
        }))
    }
}

impl From<RuleForm> for RuleFields {
    fn from(RuleForm(rule): RuleForm) -> Self {
        let says_limits = rule.says_limits();
        let (sku, set, default) = match rule.scope {
            Scope::Sku(sku) => (Some(sku), None, false),
            Scope::Set(set) => (None, Some(set), false),
            Scope::Default => (None, None, true),
        };
        Self {
            id: rule.id,
            sku,
            set,
            default,
            from: rule.from.map(Moment),
            until: rule.until.map(Moment),
            every: rule.every.map(Into::into),
            limits: says_limits.then(|| all(rule.limits)),
            safety_stock: rule.terms.safety.map(LevelForm),
            low_water: rule.terms.low_water.map(MarkForm),
        }
    }
}

impl From<RuleForm> for Rule {
    fn from(RuleForm(rule): RuleForm) -> Self {
        rule
    }
}

impl From<&Rule> for RuleForm {
    fn from(rule: &Rule) -> Self {
        Self(rule.clone())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EveryForm {
    Day,
    Week,
}

impl From<EveryForm> for Every {
    fn from(form: EveryForm) -> Self {
        match form {
            EveryForm::Day => Self::Day,
            EveryForm::Week => Self::Week,
        }
    }
}

impl From<Every> for EveryForm {
    fn from(every: Every) -> Self {
        match every {
            Every::Day => Self::Day,
            Every::Week => Self::Week,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitForm {
    channel: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cap: Option<CapForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    protection: Option<ProtectionForm>,
}

impl From<LimitForm> for LimitOn {
    fn from(form: LimitForm) -> Self {
        Self {
            channel: form.channel,
            cap: form.cap.map(|CapForm(amount)| amount),
            protection: form.protection.map(|ProtectionForm(kept)| kept),
        }
    }
}

impl From<LimitOn> for LimitForm {
    fn from(limit: LimitOn) -> Self {
        Self {
            channel: limit.channel,
            cap: limit.cap.map(CapForm),
            protection: limit.protection.map(ProtectionForm),
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CapFields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    percent: Option<PercentForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    units: Option<UnitsForm>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "CapFields", into = "CapFields")]
struct CapForm(Amount);

impl TryFrom<CapFields> for CapForm {
    type Error = &'static str;

    fn try_from(fields: CapFields) -> Result<Self, Self::Error> {
        amount(fields.percent, fields.units).map(Self)
    }
}

impl From<CapForm> for CapFields {
    fn from(CapForm(amount): CapForm) -> Self {
        let (percent, units) = amount_fields(amount);
        Self { percent, units }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProtectionFields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    percent: Option<PercentForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    units: Option<UnitsForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    against: Option<AgainstForm>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "ProtectionFields", into = "ProtectionFields")]
struct ProtectionForm(Protection);

impl TryFrom<ProtectionFields> for ProtectionForm {
    type Error = &'static str;

    fn try_from(fields: ProtectionFields) -> Result<Self, Self::Error> {
        Ok(Self(Protection {
            amount: amount(fields.percent, fields.units)?,
            against: match fields.against {
                None | Some(AgainstForm::All) => Against::All,
                Some(AgainstForm::LowerRanks) => Against::LowerRanks,
            },
        }))
    }
}

impl From<ProtectionForm> for ProtectionFields {
    fn from(ProtectionForm(kept): ProtectionForm) -> Self {
        let (percent, units) = amount_fields(kept.amount);
        Self {
            percent,
            units,
            against: match kept.against {
                Against::All => None,
                Against::LowerRanks => Some(AgainstForm::LowerRanks),
            },
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AgainstForm {
    All,
    LowerRanks,
}

fn amount(percent: Option<PercentForm>, units: Option<UnitsForm>) -> Result<Amount, &'static str> {
    match (percent, units) {
        (Some(PercentForm(Percent(points))), None) => Ok(Amount::Percent(points)),
        (None, Some(UnitsForm(units))) => Ok(Amount::Units(units)),
        (_, _) => Err("one of percent and units is needed"),
    }
}

fn amount_fields(amount: Amount) -> (Option<PercentForm>, Option<UnitsForm>) {
    match amount {
        Amount::Percent(points) => (Some(PercentForm(Percent(points))), None),
        Amount::Units(units) => (None, Some(UnitsForm(units))),
    }
}
