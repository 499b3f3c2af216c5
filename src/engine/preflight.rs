//! Campaigns before they begin: gathers what is known, and asks the rule book what would go wrong.

use std::collections::BTreeSet;

use super::Engine;
use crate::domain::policy::preflight::{
    ChannelFacts, Finding, Plan, SkuFacts, StockFacts, preflight,
};
use crate::domain::policy::{Campaign, CampaignState, Document, Policy, Selection};
use crate::domain::stock::NodeStock;
use crate::domain::{ChannelIx, Day, NodeIx, Sku, Stock, Ttl, Units, UnixMillis};
use crate::ledger::LedgerError;
use crate::ledger::export::{Item, Place, WalkError};
use crate::ledger::policy::{PutPolicyError, text};
use crate::limits::{CHANNELS_MAX, PREFLIGHT_PAIRS_MAX, PREFLIGHT_SKUS_MAX};

/// What a pre-flight measures by.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How long a hold lives where nobody says anything.
    pub usual_hold: Ttl,
    /// Counts older than this are stale.
    pub stale_after_seconds: u64,
}

/// What was found in a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Where it stands.
    pub state: CampaignState,
    /// The version of the policy that has it; `None`: one that is not put.
    pub version: Option<u64>,
    /// How many SKUs were looked at.
    pub skus: usize,
    /// What will go wrong, or may.
    pub findings: Vec<Finding>,
    /// When it was looked at.
    pub as_of: UnixMillis,
}

impl Engine {
    /// Looks at a campaign of the policy in force; `None`: it has none of that name. May take long,
    /// and block for as long.
    pub async fn preflight(
        &self,
        name: &str,
        bounds: Bounds,
    ) -> Result<Option<Report>, LedgerError> {
        let Some(found) = self.policy().await? else {
            return Ok(None);
        };
        let Some(campaign) = found.document.campaign(name) else {
            return Ok(None);
        };
        let (document, policy) = (&found.document, &found.policy);
        let report = self.look(document, policy, campaign, bounds).await?;
        Ok(Some(Report {
            version: Some(found.version.version),
            ..report
        }))
    }

    /// The same for a policy that is not put.
    pub async fn preflight_of(
        &self,
        policy: &str,
        name: &str,
        bounds: Bounds,
    ) -> Result<Option<Report>, PutPolicyError> {
        let document = text::parse(policy)?;
        let index = |name: &str| Some(self.channel_of(&document, name).0);
        let policy = Policy::compile(&document, index).map_err(PutPolicyError::Faults)?;
        match document.campaign(name) {
            Some(campaign) => {
                let report = self.look(&document, &policy, campaign, bounds).await?;
                Ok(Some(report))
            }
            None => Ok(None),
        }
    }

    /// The index of a channel, and whether it is known; one that is not gets an index that no
    /// channel has.
    fn channel_of(&self, document: &Document, name: &str) -> (ChannelIx, bool) {
        if let Some(known) = self.known_channel(name) {
            return (known, true);
        }
        let at = document.channels.iter().position(|of| of.name == name);
        let index = CHANNELS_MAX.saturating_add(at.unwrap_or_default());
        (ChannelIx(u16::try_from(index).unwrap_or(u16::MAX)), false)
    }

    async fn look(
        &self,
        document: &Document,
        policy: &Policy,
        campaign: &Campaign,
        bounds: Bounds,
    ) -> Result<Report, LedgerError> {
        let channels = channels(campaign);
        let Looked {
            skus: sold, is_cut, ..
        } = self.sold(document, campaign, channels.len()).await?;
        let nodes = campaign.nodes.iter().map(String::as_str);
        let (known, unknown): (Vec<_>, Vec<_>) = nodes
            .map(|name| (name, self.known_node(name)))
            .partition(|(_, node)| node.is_some());
        let known: Vec<NodeIx> = known.into_iter().filter_map(|(_, node)| node).collect();
        let unknown: Vec<_> = unknown.into_iter().map(|(name, _)| name).collect();
        let now = self.now();
        let today = Day::of(now);
        let mut skus = Vec::with_capacity(sold.len());
        for sku in &sold {
            let named = Sku::new(sku).or(Err(LedgerError::Unavailable))?;
            let stock = self.parts.ledger.whole_stock(named).await?;
            let places = (!campaign.nodes.is_empty()).then_some(&*known);
            // As it will be by what this policy says, not the one in force.
            let terms = policy.terms(sku, now.max(campaign.from));
            let stock = stock.map(|stock| facts(&stock.in_terms(&terms, today), places, now));
            skus.push(SkuFacts { sku, stock });
        }
        let channels: Vec<_> = channels
            .into_iter()
            .map(|name| {
                let (index, is_known) = self.channel_of(document, name);
                ChannelFacts {
                    name,
                    index,
                    is_known,
                }
            })
            .collect();
        let findings = preflight(&Plan {
            document,
            policy,
            campaign,
            now,
            usual_hold: bounds.usual_hold,
            stale_after_seconds: bounds.stale_after_seconds,
            unknown_nodes: &unknown,
            channels: &channels,
            skus: &skus,
            is_cut,
        });
        Ok(Report {
            state: campaign.state(now),
            version: None,
            skus: skus.len(),
            findings,
            as_of: now,
        })
    }

    /// The SKUs of a campaign that names so many channels: first those of which something is
    /// expected. A prefix stands for those that the ledger has.
    async fn sold(
        &self,
        document: &Document,
        campaign: &Campaign,
        channels: usize,
    ) -> Result<Looked, LedgerError> {
        let mut looked = Looked::with_channels(channels);
        let expected = campaign.expected.iter();
        looked.extend(expected.filter_map(|of| of.sku.as_deref()));
        match document.sold(&campaign.items) {
            Selection::Listed(skus) => looked.extend(skus.iter().map(String::as_str)),
            Selection::Prefix(prefix) => self.with_prefix(prefix, &mut looked).await?,
        }
        Ok(looked)
    }

    /// Those with a prefix. It ends when there are more than are looked at.
    async fn with_prefix(&self, prefix: &str, looked: &mut Looked) -> Result<(), LedgerError> {
        let mut place = Place::Skus(0, 0);
        while matches!(place, Place::Skus(..)) && !looked.is_cut {
            let page = self.parts.ledger.export_page(place).await;
            let (items, next) = page.map_err(|error| {
                if let WalkError::Ledger(error) = error {
                    error
                } else {
                    LedgerError::Unavailable
                }
            })?;
            for item in items {
                if let Item::Sku(found) = item
                    && found.sku.starts_with(prefix)
                {
                    looked.add(&found.sku);
                }
            }
            match next {
                Some(next) => place = next,
                None => break,
            }
        }
        Ok(())
    }
}

/// The SKUs that are looked at, each once.
struct Looked {
    skus: BTreeSet<String>,
    /// No more than this many.
    most: usize,
    /// Whether there were more.
    is_cut: bool,
}

impl Looked {
    /// Each is looked at with each of so many channels.
    fn with_channels(channels: usize) -> Self {
        let most = PREFLIGHT_PAIRS_MAX.checked_div(channels);
        Self {
            skus: BTreeSet::new(),
            most: most.map_or(PREFLIGHT_SKUS_MAX, |most| most.min(PREFLIGHT_SKUS_MAX)),
            is_cut: false,
        }
    }

    fn add(&mut self, sku: &str) {
        if self.skus.contains(sku) {
            return;
        }
        if self.skus.len() < self.most {
            self.skus.insert(sku.to_owned());
        } else {
            self.is_cut = true;
        }
    }

    fn extend<'a>(&mut self, skus: impl Iterator<Item = &'a str>) {
        skus.for_each(|sku| self.add(sku));
    }
}

/// The channels that a campaign names, each once.
fn channels(campaign: &Campaign) -> BTreeSet<&str> {
    let limits = campaign.limits.iter().map(|of| of.channel.as_str());
    let expected = campaign.expected.iter().map(|of| of.channel.as_str());
    limits.chain(expected).collect()
}

/// What is known of a stock; `nodes` are those that the campaign ships from, if it says.
fn facts(stock: &Stock, nodes: Option<&[NodeIx]>, now: UnixMillis) -> StockFacts {
    let (here, elsewhere): (Vec<&NodeStock>, Vec<&NodeStock>) = stock
        .nodes()
        .iter()
        .partition(|of| nodes.is_none_or(|nodes| nodes.contains(&of.node)));
    let counted = here
        .iter()
        .filter(|of| !of.on_hand.is_zero() && of.counted > 0);
    let oldest = counted.map(|of| i64::from(of.counted)).min();
    let seconds_ago = oldest.map(|at| now.0.div_euclid(1_000).saturating_sub(at));
    let settings = stock.settings();
    StockFacts {
        selling: settings.selling,
        on_hand: stock.on_hand(),
        at_nodes: sum(here.iter().map(|of| of.on_hand)),
        available: stock.available(Day::of(now)),
        safety: safety_at(stock, &here, &elsewhere),
        low_water: settings.low_water.map(|of| of.mark.of(stock.on_hand())),
        deficit: stock.deficit(Day::of(now)),
        uses: stock.uses().clone(),
        counted_seconds_ago: seconds_ago.map(|ago| u64::try_from(ago).unwrap_or_default()),
    }
}

/// What is kept back here: what these nodes keep, or what the SKU keeps beyond what the other nodes
/// do, whichever is more.
fn safety_at(stock: &Stock, here: &[&NodeStock], elsewhere: &[&NodeStock]) -> Units {
    let kept = |places: &[&NodeStock]| {
        let kept = places.iter().filter_map(|of| stock.safety_at(of));
        sum(kept)
    };
    let own = stock.settings().safety.of(stock.on_hand());
    kept(here).max(own.left_after(kept(elsewhere)))
}

fn sum(units: impl Iterator<Item = Units>) -> Units {
    units.fold(Units::ZERO, |sum, of| {
        sum.checked_add(of).unwrap_or(Units::MAX)
    })
}
