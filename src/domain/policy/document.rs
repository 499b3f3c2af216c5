//! The policy as its author writes it: names and amounts, nothing resolved, nothing checked.

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

impl Document {
    /// The set of that name.
    pub fn set(&self, name: &str) -> Option<&Set> {
        self.sets.iter().find(|set| set.name == name)
    }

    /// The SKUs that a selector lists, by itself or through its tag; a prefix lists none.
    pub fn listed<'a>(&'a self, selector: &'a Selector) -> &'a [String] {
        match selector {
            Selector::Prefix(_) => &[],
            Selector::Skus(skus) => skus,
            Selector::Tag(name) => {
                let tag = self.tags.iter().find(|tag| tag.name == *name);
                tag.map_or(&[], |tag| &tag.skus)
            }
        }
    }
}
