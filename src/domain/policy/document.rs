//! The policy document as it is written.

use super::super::time::UnixMillis;
use super::super::units::Units;

/// A whole policy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Document {
    /// The tree of channels and groups of channels.
    pub channels: Vec<Entry>,
    /// Sets of SKUs that rules may name.
    pub sets: Vec<Set>,
    /// Named lists of SKUs that sets may name.
    pub tags: Vec<Tag>,
    /// What is allowed.
    pub rules: Vec<Rule>,
}

/// A channel, or a group of them: a group is what others name as their parent. Each may sell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// The group that it belongs to.
    pub parent: Option<String>,
    /// 1 comes first; without one, that of its parent, and last of all where there is none.
    pub rank: Option<u16>,
}

/// SKUs that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: String,
    /// Which SKUs.
    pub selector: Selector,
}

/// Which SKUs are in a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// All that begin with this.
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

/// Limits of some SKUs for some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub id: String,
    /// Which SKUs.
    pub scope: Scope,
    /// From when on it is in force; without one, when no other rule of its scope is.
    pub from: Option<UnixMillis>,
    /// When it ends.
    pub until: Option<UnixMillis>,
    /// How often its window begins anew.
    pub every: Option<Every>,
    /// The limits.
    pub limits: Vec<LimitOn>,
}

/// Which SKUs a rule is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// One.
    Sku(String),
    /// Those of a set.
    Set(String),
    /// All that no other rule in force is about.
    Default,
}

/// How often a window begins anew, counted from the beginning of the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    /// 24 hours.
    Day,
    /// Seven of them.
    Week,
}

impl Every {
    /// In milliseconds.
    pub const fn millis(self) -> i64 {
        match self {
            Self::Day => 24 * 3_600_000,
            Self::Week => 7 * 24 * 3_600_000,
        }
    }
}

/// What a channel or group may take at most, and what is kept for it at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitOn {
    /// Who.
    pub channel: String,
    /// At most.
    pub cap: Option<Amount>,
    /// At least.
    pub protection: Option<Protection>,
}

/// A part of the supply of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// In basis points: hundredths of a percent.
    Percent(u16),
    /// In units.
    Units(Units),
}

/// Units that are kept for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection {
    /// How many.
    pub amount: Amount,
    /// From whom.
    pub against: Against,
}

/// Whom a protection binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// Everybody else.
    All,
    /// Those whose rank comes after.
    LowerRanks,
}
