//! What would go wrong in a campaign, found before it begins.
//!
//! Pure: whoever asks brings what is known of the SKUs, nodes and channels.

mod channels;
mod sku;
mod terms;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use super::compile::Policy;
use super::document::{Campaign, Document};
use crate::domain::ids::ChannelIx;
use crate::domain::stock::Selling;
use crate::domain::time::{Ttl, UnixMillis};
use crate::domain::units::Units;
use crate::domain::uses::Uses;

/// A campaign, and what is known of what it needs.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// The document that has it.
    pub document: &'a Document,
    /// That document compiled, with an index for each of its channels.
    pub policy: &'a Policy,
    /// The campaign.
    pub campaign: &'a Campaign,
    /// The moment.
    pub now: UnixMillis,
    /// How long a hold lives where nobody says anything.
    pub usual_hold: Ttl,
    /// Counts older than this are stale.
    pub stale_after_seconds: u64,
    /// The nodes of the campaign that nobody knows.
    pub unknown_nodes: &'a [&'a str],
    /// The channels that the campaign names.
    pub channels: &'a [ChannelFacts<'a>],
    /// What it sells, in the order of the names.
    pub skus: &'a [SkuFacts<'a>],
    /// Whether it sells more than that. Then nothing is said of what all its SKUs have together.
    pub is_cut: bool,
}

/// What is known of a channel.
#[derive(Debug, Clone, Copy)]
pub struct ChannelFacts<'a> {
    /// Its name.
    pub name: &'a str,
    /// The index that the policy knows it by.
    pub index: ChannelIx,
    /// Whether it was ever seen.
    pub is_known: bool,
}

/// What is known of a SKU.
#[derive(Debug, Clone)]
pub struct SkuFacts<'a> {
    /// Which.
    pub sku: &'a str,
    /// Its stock; `None`: it is unknown.
    pub stock: Option<StockFacts>,
}

/// What is known of the stock of a SKU.
#[derive(Debug, Clone)]
pub struct StockFacts {
    /// On sale or not.
    pub selling: Selling,
    /// Usable units over all nodes.
    pub on_hand: Units,
    /// Usable units at the nodes of the campaign; over all nodes where it names none.
    pub at_nodes: Units,
    /// Units that can still be promised.
    pub available: Units,
    /// Units kept back of those at the nodes of the campaign.
    pub safety: Units,
    /// Available units at or under which it is low.
    pub low_water: Option<Units>,
    /// Units promised beyond what is there.
    pub deficit: Units,
    /// What each channel uses.
    pub uses: Uses,
    /// How long ago the node with stock whose count is oldest was counted, in seconds; `None`:
    /// nobody knows.
    pub counted_seconds_ago: Option<u64>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The campaign will not go as it is written.
    Error,
    /// It may be meant so.
    Warning,
}

impl Severity {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Something that will go wrong, or may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What, for a program.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The SKU it is about.
    pub sku: Option<Box<str>>,
    /// The channel it is about.
    pub channel: Option<Box<str>>,
    /// What, for a person.
    pub message: String,
    /// What to do about it.
    pub fix: String,
}

impl Finding {
    fn new(
        severity: Severity,
        code: &'static str,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            code,
            severity,
            sku: None,
            channel: None,
            message: message.into(),
            fix: fix.into(),
        }
    }

    fn error(code: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message, fix)
    }

    fn warning(code: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message, fix)
    }

    fn of_sku(self, sku: &str) -> Self {
        Self {
            sku: Some(sku.into()),
            ..self
        }
    }

    fn of_channel(self, channel: &str) -> Self {
        Self {
            channel: Some(channel.into()),
            ..self
        }
    }
}

/// Everything that will go wrong, or may: first about the campaign, then about its channels, then
/// SKU by SKU.
pub fn preflight(plan: &Plan<'_>) -> Vec<Finding> {
    if plan.campaign.until <= plan.now {
        return vec![Finding::error(
            "campaign_over",
            "the campaign is over, and will not begin again",
            "set from and until to the time it is meant for, or take it out of the policy",
        )];
    }
    let mut findings = Vec::new();
    terms::check(plan, &mut findings);
    channels::check(plan, &mut findings);
    let expected = plan.expected_by_sku();
    for facts in plan.skus {
        let expected = expected.get(facts.sku).copied().unwrap_or_default();
        sku::check(plan, facts, expected, &mut findings);
    }
    findings
}

impl Plan<'_> {
    /// The moment whose rules and windows count: now, or the campaign's first.
    fn moment(&self) -> UnixMillis {
        self.now.max(self.campaign.from)
    }

    fn has_begun(&self) -> bool {
        self.campaign.from <= self.now
    }

    /// The stocks that there are.
    fn stocks(&self) -> impl Iterator<Item = (&str, &StockFacts)> {
        let skus = self.skus.iter();
        skus.filter_map(|of| Some((of.sku, of.stock.as_ref()?)))
    }

    /// What is known of a SKU; `None`: it was not looked at.
    fn facts(&self, sku: &str) -> Option<&SkuFacts<'_>> {
        let at = self.skus.binary_search_by(|of| of.sku.cmp(sku)).ok()?;
        self.skus.get(at)
    }

    /// What all channels are expected to sell of single SKUs.
    fn expected_by_sku(&self) -> HashMap<&str, Units> {
        let mut sums: HashMap<&str, Units> = HashMap::new();
        for expected in &self.campaign.expected {
            if let Some(sku) = &expected.sku {
                let sum = sums.entry(sku).or_default();
                *sum = add(*sum, expected.units);
            }
        }
        sums
    }

    /// No more than this could a channel sell of a SKU in the campaign: what it may still take of its
    /// own share and those of its fallbacks, and once it has begun what it has taken of them.
    ///
    /// An upper bound: a fallback's use is not told apart by who made it, and what fallbacks under one
    /// cap have left counts for each of them.
    fn reach(&self, sku: &str, stock: &StockFacts, channel: ChannelIx) -> Units {
        let supply = super::Supply {
            on_hand: stock.on_hand,
            free: stock.available,
        };
        let Some(rule) = self.policy.in_force(sku, self.moment()) else {
            return stock.available;
        };
        let shares = [channel];
        let shares = shares.iter().chain(rule.fallbacks(channel));
        let standings = shares.map(|of| rule.standing(*of, supply, &stock.uses));
        let (left, used) = standings.fold((Units::ZERO, Units::ZERO), |(left, used), of| {
            (add(left, of.left), add(used, of.used))
        });
        // A fallback may be above the channel or another fallback, and have their use in its own.
        let used = used.min(self.used(stock, rule.window()));
        add(left.min(supply.free), used)
    }

    /// What all channels could sell of a SKU together.
    fn pool(&self, sku: &str, stock: &StockFacts) -> Units {
        add(stock.available, self.used(stock, self.window(sku)))
    }

    /// The beginning of the window that use and supply of a SKU are counted in.
    fn window(&self, sku: &str) -> UnixMillis {
        let rule = self.policy.in_force(sku, self.moment());
        rule.map_or(UnixMillis::default(), |rule| rule.window())
    }

    /// What all channels have used in a window since the campaign began.
    fn used(&self, stock: &StockFacts, window: UnixMillis) -> Units {
        let used = stock.uses.in_window(window).map(|of| of.total());
        let used = self.has_begun().then(|| sum(used));
        used.unwrap_or_default()
    }

    /// What of it was shipped.
    fn shipped(&self, sku: &str, stock: &StockFacts) -> Units {
        let shipped = stock.uses.in_window(self.window(sku)).map(|of| of.shipped);
        let shipped = self.has_begun().then(|| sum(shipped));
        shipped.unwrap_or_default()
    }
}

fn add(a: Units, b: Units) -> Units {
    a.checked_add(b).unwrap_or(Units::MAX)
}

fn sum(units: impl Iterator<Item = Units>) -> Units {
    units.fold(Units::ZERO, add)
}
