//! The policy as a ledger keeps it: versions of one text, of which the last is in force.

mod campaign_form;
mod deficit_form;
pub mod diff;
mod form;
mod history;
mod shape;
mod terms_form;
#[cfg(test)]
mod tests;
pub mod text;
mod value_form;

use std::sync::Arc;

pub use self::history::History;
use self::text::TextFault;
use super::{LedgerError, Share};
use crate::domain::decide;
use crate::domain::policy::{Claim, Document, Fault, Holdings, InForce, Policy};
use crate::domain::{ChannelIx, Day, Frozen, Sku, Stock, UnixMillis};

/// One version of the policy, as it was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyVersion {
    /// Counts the versions from 1.
    pub version: u64,
    /// When it was put.
    pub at: UnixMillis,
    /// By whom; may be empty.
    pub operator: Box<str>,
    /// Why; may be empty.
    pub reason: Box<str>,
    /// Why a freeze was overridden; empty where none was.
    pub over: Box<str>,
    /// The document as canonical JSON.
    pub text: Arc<str>,
}

/// What is to be put.
#[derive(Debug, Clone, Copy)]
pub struct PolicyPut<'a> {
    /// The document as JSON.
    pub text: &'a str,
    /// The version that must be in force; 0 stands for none. `None`: any.
    pub expected: Option<u64>,
    /// By whom.
    pub operator: &'a str,
    /// Why.
    pub reason: &'a str,
    /// Why a freeze is overridden; empty: it is not.
    pub over: &'a str,
}

/// A policy that may be put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedPolicy {
    /// What it says.
    pub document: Document,
    /// Its canonical text.
    pub text: String,
    /// Whether it is against the freeze of a campaign.
    pub is_overridden: bool,
    /// When that may be otherwise; `None`: never.
    pub holds_until: Option<UnixMillis>,
}

impl PolicyPut<'_> {
    /// Finds everything that may be wrong with it while that policy is in force.
    pub fn check(
        &self,
        in_force: Option<&PolicyInForce>,
        now: UnixMillis,
    ) -> Result<CheckedPolicy, PutPolicyError> {
        let (document, text) = self.sound(in_force)?;
        let policy = in_force.map(|of| &of.policy);
        Ok(CheckedPolicy {
            document,
            text,
            is_overridden: decide::policy_edit(policy, now, self.over)?,
            holds_until: policy.and_then(|policy| policy.next_freeze(now)),
        })
    }

    /// The same where nothing is to be put: a freeze is no fault of the document. What it says, and
    /// the campaign that keeps it from being put now.
    pub fn try_out(
        &self,
        in_force: Option<&PolicyInForce>,
        now: UnixMillis,
    ) -> Result<(Document, Option<Frozen>), PutPolicyError> {
        let (document, _) = self.sound(in_force)?;
        let policy = in_force.map(|of| &of.policy);
        let frozen = decide::policy_edit(policy, now, self.over).err();
        Ok((document, frozen))
    }

    /// The document and its canonical text, without faults, after the version that it follows.
    fn sound(
        &self,
        in_force: Option<&PolicyInForce>,
    ) -> Result<(Document, String), PutPolicyError> {
        let (document, text) = text::canonical(self.text)?;
        let current = in_force.map_or(0, |of| of.version.version);
        if self.expected.is_some_and(|expected| expected != current) {
            return Err(PutPolicyError::VersionMismatch { current });
        }
        Policy::compile(&document, |_| None).map_err(PutPolicyError::Faults)?;
        Ok((document, text))
    }
}

/// Faults in words: `1 fault`, `2 faults`.
#[must_use]
pub fn how_many(faults: &[Fault]) -> String {
    match faults.len() {
        1 => "1 fault".to_owned(),
        several => format!("{several} faults"),
    }
}

/// Why a policy was not put.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PutPolicyError {
    /// The text is no document.
    #[error("not a policy: {0}")]
    Malformed(String),
    /// The document has faults.
    #[error("the policy has {}", how_many(.0))]
    Faults(Vec<Fault>),
    /// Another version is in force than was expected; 0: none.
    #[error("version {current} is in force")]
    VersionMismatch {
        /// That version.
        current: u64,
    },
    /// A campaign has frozen what would change.
    #[error("campaign {campaign} keeps the policy as it is")]
    Frozen {
        /// Its name.
        campaign: Box<str>,
        /// Until then.
        until: UnixMillis,
    },
    /// There is no room for another channel's name.
    #[error("too many channels")]
    TooManyChannels,
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<Frozen> for PutPolicyError {
    fn from(Frozen { campaign, until }: Frozen) -> Self {
        Self::Frozen { campaign, until }
    }
}

impl From<TextFault> for PutPolicyError {
    fn from(fault: TextFault) -> Self {
        Self::Malformed(fault.to_string())
    }
}

/// The policy in force with its document. Compiled once, shared.
#[derive(Debug)]
pub struct PolicyInForce {
    /// Which version, and its text.
    pub version: PolicyVersion,
    /// What the text says.
    pub document: Document,
    /// What the ledger asks.
    pub policy: Policy,
}

/// What of the policy is in force for a SKU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkuPolicy {
    /// The version of the policy; 0: there is none.
    pub version: u64,
    /// The rule in force, and the beginning of its window.
    pub rule: Option<(Box<str>, UnixMillis)>,
    /// How channels stand under it.
    pub shares: Vec<ChannelShare>,
    /// The shares that can be moved between channels.
    pub holdings: Holdings,
    /// Moment of the answer.
    pub as_of: UnixMillis,
}

/// How a channel stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelShare {
    /// Which.
    pub channel: ChannelIx,
    /// What is its own.
    pub share: Share,
    /// Whose shares it may use when its own does not do, in that order.
    pub fallback: Box<[ChannelIx]>,
}

impl SkuPolicy {
    /// Of this stock: for each channel with limits in the rule in force, or for the one asked for.
    pub fn of(
        sku: Sku<'_>,
        stock: &Stock,
        policy: Option<&PolicyInForce>,
        channel: Option<ChannelIx>,
        now: UnixMillis,
    ) -> Self {
        let rule = policy.and_then(|of| of.policy.in_force(sku.as_str(), now));
        let supply = stock.supply_now(Day::of(now));
        let share = |rule: InForce<'_>, channel| ChannelShare {
            channel,
            share: Share::of(stock, Claim { channel, rule }, supply),
            fallback: rule.fallbacks(channel).into(),
        };
        let shares = rule.map(|rule| match channel {
            Some(channel) => vec![share(rule, channel)],
            None => rule.entries().map(|of| share(rule, of)).collect(),
        });
        let holdings = rule.map(|rule| rule.holdings(supply, stock.uses()));
        Self {
            version: policy.map_or(0, |policy| policy.version.version),
            holdings: holdings.unwrap_or_default(),
            rule: rule.map(|rule| (rule.id().into(), rule.window())),
            shares: shares.unwrap_or_default(),
            as_of: now,
        }
    }
}

impl PolicyInForce {
    /// Checks and compiles a document, which the version's text says.
    pub fn compile(
        version: PolicyVersion,
        document: Document,
        channel_index: impl Fn(&str) -> Option<ChannelIx>,
    ) -> Result<Self, PutPolicyError> {
        let policy = Policy::compile(&document, channel_index).map_err(PutPolicyError::Faults)?;
        Ok(Self {
            version,
            document,
            policy,
        })
    }

    /// Compiles a version that was kept.
    pub fn read(
        version: PolicyVersion,
        channel_index: impl Fn(&str) -> Option<ChannelIx>,
    ) -> Result<Self, PutPolicyError> {
        let document = text::parse(&version.text)?;
        Self::compile(version, document, channel_index)
    }
}
