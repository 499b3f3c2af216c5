//! Campaigns as the ledger asks them.

use super::classes::Class;
use super::compile::{Found, Policy, window};
use super::document::{Campaign, Document, Every};
use super::layer::Layer;
use super::limits::Limits;
use super::tree::Tree;
use crate::domain::settings::Terms;
use crate::domain::time::{Ttl, UnixMillis};

/// Where a campaign stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CampaignState {
    /// It has not begun.
    Planned,
    /// It is on.
    Running,
    /// It is on, and nothing that it rests on may be edited.
    Frozen,
    /// It has ended.
    Over,
}

impl CampaignState {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Frozen => "frozen",
            Self::Over => "over",
        }
    }
}

impl Campaign {
    /// Where it stands.
    pub fn state(&self, now: UnixMillis) -> CampaignState {
        if now < self.from {
            CampaignState::Planned
        } else if self.until <= now {
            CampaignState::Over
        } else if self.freeze {
            CampaignState::Frozen
        } else {
            CampaignState::Running
        }
    }
}

/// The terms of a campaign.
#[derive(Debug)]
pub struct CampaignTerms {
    /// Its name.
    pub name: Box<str>,
    /// Its first moment.
    pub from: UnixMillis,
    /// The first moment after it.
    pub until: UnixMillis,
    /// How long a hold lives whose caller names no time.
    pub hold: Option<Ttl>,
    /// Whether nothing that it rests on may be edited meanwhile.
    pub freeze: bool,
    /// What it says beside limits.
    pub(super) terms: Terms,
    every: Option<Every>,
    limits: Option<Limits>,
}

impl CampaignTerms {
    /// Whether it is on.
    pub fn is_running(&self, now: UnixMillis) -> bool {
        self.from <= now && now < self.until
    }

    pub(super) const fn limits(&self) -> Option<&Limits> {
        self.limits.as_ref()
    }

    pub(super) const fn every(&self) -> Option<Every> {
        self.every
    }

    /// What it is as a rule, where it has limits.
    pub(super) fn rule(&self, now: UnixMillis) -> Option<Found<'_>> {
        let limits = self.limits.as_ref()?;
        Some((&self.name, window(self.from, self.every, now), limits))
    }
}

impl Policy {
    /// The campaign that a SKU is in.
    pub fn campaign_of(&self, sku: &str, now: UnixMillis) -> Option<&CampaignTerms> {
        if self.campaigns.is_empty() {
            return None;
        }
        self.running(self.classes.of(sku)?, now)
    }

    /// The campaign that forbids edits; of several the one that does so longest.
    pub fn frozen(&self, now: UnixMillis) -> Option<&CampaignTerms> {
        let campaigns = self.campaigns.iter();
        let frozen = campaigns.filter(|of| of.freeze && of.is_running(now));
        frozen.max_by_key(|of| of.until)
    }

    /// The next moment at which a campaign begins or ends to forbid edits: until then
    /// [`frozen`](Self::frozen) says the same.
    pub fn next_freeze(&self, now: UnixMillis) -> Option<UnixMillis> {
        let freezing = self.campaigns.iter().filter(|of| of.freeze);
        let moments = freezing.flat_map(|of| [of.from, of.until]);
        moments.filter(|at| *at > now).min()
    }

    /// How long a hold of these SKUs lives whose caller names no time: the shortest that one of
    /// their campaigns says.
    pub fn hold_of<'a>(
        &self,
        skus: impl IntoIterator<Item = &'a str>,
        now: UnixMillis,
    ) -> Option<Ttl> {
        let campaigns = skus.into_iter().map(|sku| self.campaign_of(sku, now));
        campaigns.flatten().filter_map(|of| of.hold).min()
    }

    /// The campaign of a class. At no moment are there two.
    pub(super) fn running(&self, class: &Class, now: UnixMillis) -> Option<&CampaignTerms> {
        let terms = |number: &u32| self.campaigns.get(usize::try_from(*number).ok()?);
        let has_begun = |number: &u32| terms(number).is_some_and(|of| of.from <= now);
        let begun = class.campaigns.partition_point(has_begun);
        let last = begun.checked_sub(1).and_then(|at| class.campaigns.get(at));
        last.and_then(terms).filter(|of| of.is_running(now))
    }
}

/// The campaigns in order of time, and which of them a SKU is in.
pub(super) fn compile<'d>(
    document: &'d Document,
    tree: &Tree<'_>,
) -> (Box<[CampaignTerms]>, Layer<'d>) {
    let mut in_order: Vec<_> = document.campaigns.iter().collect();
    in_order.sort_by_key(|campaign| campaign.from);
    let mut sold = Layer::default();
    for (number, campaign) in (0..).zip(&in_order) {
        sold.add(document.sold(&campaign.items), number);
    }
    let terms = in_order.into_iter().map(|campaign| CampaignTerms {
        name: campaign.name.as_str().into(),
        from: campaign.from,
        until: campaign.until,
        hold: campaign
            .hold_seconds
            .and_then(|seconds| Ttl::from_millis(seconds.checked_mul(1_000)?)),
        freeze: campaign.freeze,
        terms: campaign.terms,
        every: campaign.every,
        limits: (!campaign.limits.is_empty()).then(|| Limits::new(&campaign.limits, tree)),
    });
    (terms.collect(), sold)
}
