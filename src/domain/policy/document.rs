//! The policy as its author writes it: names and amounts, nothing resolved, nothing checked.

use crate::domain::deficit::Order;
use crate::domain::settings::Terms;
use crate::domain::time::UnixMillis;
use crate::domain::units::Units;

/// All channels with their tree, all rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Document {
    /// The tree of channels.
    pub channels: Vec<Entry>,
    /// Sets of SKUs that rules may name.
    pub sets: Vec<Set>,
    /// Lists of SKUs that sets may name.
    pub tags: Vec<Tag>,
    /// The rules, in any order.
    pub rules: Vec<Rule>,
    /// Rules that replace others for a time.
    pub change_sets: Vec<ChangeSet>,
    /// Sales with terms of their own.
    pub campaigns: Vec<Campaign>,
    /// Whose promises a deficit touches first.
    pub deficit_order: Order,
}

/// A channel, or a group: an entry that others name as their parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// The entry that it belongs to.
    pub parent: Option<String>,
    /// 1 is first. Without one: that of the nearest entry above that has one, or last.
    pub rank: Option<u16>,
    /// Whose shares it may use when its own does not do, in that order. Without a list: that of the
    /// nearest entry above that has one.
    pub fallback: Option<Vec<String>>,
}

/// A set of SKUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: String,
    /// Which SKUs.
    pub selector: Selector,
}

/// What a set contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// Every SKU that begins so.
    Prefix(String),
    /// These.
    Skus(Vec<String>),
    /// Those of a tag.
    Tag(String),
}

/// The SKUs that something stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection<'d> {
    /// These.
    Listed(&'d [String]),
    /// Every SKU that begins so.
    Prefix(&'d str),
}

impl<'d> Selection<'d> {
    /// The SKUs that are named one by one.
    pub const fn listed(self) -> &'d [String] {
        match self {
            Self::Listed(skus) => skus,
            Self::Prefix(_) => &[],
        }
    }

    /// Whether a SKU is one of them.
    pub fn contains(self, sku: &str) -> bool {
        match self {
            Self::Listed(skus) => skus.iter().any(|of| of == sku),
            Self::Prefix(prefix) => sku.starts_with(prefix),
        }
    }
}

/// A named list of SKUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Its name.
    pub name: String,
    /// Its SKUs.
    pub skus: Vec<String>,
}

/// Limits for some SKUs, for some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub id: String,
    /// For which SKUs.
    pub scope: Scope,
    /// The first moment of its period.
    pub from: Option<UnixMillis>,
    /// The first moment after its period.
    pub until: Option<UnixMillis>,
    /// How often a new window begins inside the period.
    pub every: Option<Every>,
    /// The limits.
    pub limits: Vec<LimitOn>,
    /// It is about limits even where it says something else and has none: there shall be none.
    pub frees: bool,
    /// What it says for SKUs whose own settings leave it to the policy.
    pub terms: Terms,
}

/// Rules that go before the ordinary ones from one moment to another. Before and afterwards it is as
/// if they were not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeSet {
    /// Its name.
    pub name: String,
    /// The first moment at which it applies.
    pub from: UnixMillis,
    /// The first moment at which it does not any more; without one: for ever.
    pub until: Option<UnixMillis>,
    /// What a rule leaves out of its period it has from the set.
    pub rules: Vec<Rule>,
}

/// A sale of some SKUs, for some time, on terms that go before all rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Campaign {
    /// Its name.
    pub name: String,
    /// Its first moment.
    pub from: UnixMillis,
    /// The first moment after it.
    pub until: UnixMillis,
    /// What is sold.
    pub items: Items,
    /// The limits. Without any, those that are in force anyway.
    pub limits: Vec<LimitOn>,
    /// What it says for SKUs whose own settings leave it to the policy.
    pub terms: Terms,
    /// How often a new window begins inside the campaign.
    pub every: Option<Every>,
    /// How long a hold lives whose caller names no time.
    pub hold_seconds: Option<u32>,
    /// How long a buyer has to pay.
    pub payment_seconds: Option<u32>,
    /// The nodes that ship it; none: any.
    pub nodes: Vec<String>,
    /// What the channels are expected to sell.
    pub expected: Vec<Expected>,
    /// Whether the policy, and the settings of these SKUs, may not be edited meanwhile.
    pub freeze: bool,
}

/// The SKUs of a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Items {
    /// These.
    Skus(Vec<String>),
    /// Those of a set.
    Set(String),
}

/// What a channel is expected to sell in a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Which channel.
    pub channel: String,
    /// How many units.
    pub units: Units,
    /// Of which SKU; of all of them together without one.
    pub sku: Option<String>,
}

/// The SKUs that a rule is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One SKU.
    Sku(String),
    /// Those of a set.
    Set(String),
    /// All that have no other rule in force.
    Default,
}

/// From a moment until just before another.
pub type Period = (UnixMillis, UnixMillis);

/// How often a window begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    /// Every 24 hours.
    Day,
    /// Every seven days.
    Week,
}

impl Every {
    /// Its length.
    pub const fn as_millis(self) -> i64 {
        match self {
            Self::Day => 24 * 3_600 * 1_000,
            Self::Week => 7 * 24 * 3_600 * 1_000,
        }
    }
}

/// The limits of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitOn {
    /// Which entry of the tree.
    pub channel: String,
    /// The most that it may use.
    pub cap: Option<Amount>,
    /// The least that is kept for it.
    pub protection: Option<Protection>,
}

/// How much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// That share of the supply of the window, in basis points (6,000 = 60 %).
    Percent(u16),
    /// That many.
    Units(Units),
}

/// A minimum that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection {
    /// How much.
    pub amount: Amount,
    /// From whom.
    pub against: Against,
}

/// Whom a protection binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Against {
    /// All other entries.
    #[default]
    All,
    /// Only those with a larger rank number.
    LowerRanks,
}

impl Rule {
    /// Whether it says what channels may take. One without limits says that there are none, unless
    /// it is there for something else.
    pub fn says_limits(&self) -> bool {
        !self.limits.is_empty() || self.frees || self.terms.is_none()
    }

    /// Its period; `None`: always.
    pub fn period(&self) -> Option<Period> {
        let until = self.until.unwrap_or(END_OF_TIME);
        self.from.map(|from| (from, until))
    }
}

impl ChangeSet {
    /// The period of one of its rules.
    pub fn period(&self, rule: &Rule) -> Period {
        let until = rule.until.or(self.until).unwrap_or(END_OF_TIME);
        (rule.from.unwrap_or(self.from), until)
    }
}

/// For periods without an end.
const END_OF_TIME: UnixMillis = UnixMillis(i64::MAX);

impl Document {
    /// The campaign of that name.
    pub fn campaign(&self, name: &str) -> Option<&Campaign> {
        self.campaigns.iter().find(|of| of.name == name)
    }

    /// What a campaign sells; nothing where its set is unknown.
    pub fn sold<'a>(&'a self, items: &'a Items) -> Selection<'a> {
        match items {
            Items::Skus(skus) => Selection::Listed(skus),
            Items::Set(name) => self
                .set(name)
                .map_or(Selection::Listed(&[]), |set| self.selection(&set.selector)),
        }
    }

    /// The set of that name.
    pub fn set(&self, name: &str) -> Option<&Set> {
        self.sets.iter().find(|set| set.name == name)
    }

    /// The SKUs of a selector; none where its tag is unknown.
    pub fn selection<'a>(&'a self, selector: &'a Selector) -> Selection<'a> {
        match selector {
            Selector::Prefix(prefix) => Selection::Prefix(prefix),
            Selector::Skus(skus) => Selection::Listed(skus),
            Selector::Tag(name) => {
                let tag = self.tags.iter().find(|tag| tag.name == *name);
                Selection::Listed(tag.map_or(&[], |tag| &tag.skus))
            }
        }
    }
}
