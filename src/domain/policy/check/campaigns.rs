//! Campaigns: what they sell, on which terms, and that no SKU is in two at once.

use std::collections::{BTreeMap, HashSet};

use super::{Faults, limits, overlaps, terms};
use crate::domain::policy::document::{Campaign, Document, Items};
use crate::domain::policy::layer::Layer;
use crate::domain::policy::tree::Tree;
use crate::limits::{POLICY_CAMPAIGNS_MAX, TTL_MS_MAX};

pub(super) fn check(document: &Document, tree: &Tree<'_>, faults: &mut Faults) {
    let (of, campaigns) = ("campaigns", &document.campaigns);
    faults.at_most(
        of,
        "too_many_campaigns",
        campaigns.len(),
        POLICY_CAMPAIGNS_MAX,
    );
    faults.names(of, "name", campaigns.iter().map(|of| of.name.as_str()));
    for (at, campaign) in campaigns.iter().enumerate() {
        let path = format!("campaigns[{at}]");
        faults.period(&path, (campaign.from, campaign.until), campaign.every);
        items(&path, document, &campaign.items, faults);
        limits::check(&path, &campaign.limits, tree, faults);
        terms::check(&path, &campaign.terms, faults);
        times(&path, campaign, faults);
        nodes(&path, &campaign.nodes, faults);
        expected(&path, document, campaign, tree, faults);
    }
    sold_twice(document, faults);
}

fn items(path: &str, document: &Document, items: &Items, faults: &mut Faults) {
    match items {
        Items::Skus(skus) => {
            if skus.is_empty() {
                faults.add(format!("{path}.skus"), "no_skus", "nothing is sold");
            }
            for (at, sku) in skus.iter().enumerate() {
                faults.sku(format_args!("{path}.skus[{at}]"), sku);
            }
        }
        Items::Set(set) if document.set(set).is_none() => {
            let path = format!("{path}.set");
            faults.add(path, "unknown_set", format!("no set {set}"));
        }
        Items::Set(_) => {}
    }
}

fn times(path: &str, campaign: &Campaign, faults: &mut Faults) {
    let longest = TTL_MS_MAX / 1_000;
    for (seconds, key) in [
        (campaign.hold_seconds, "hold_seconds"),
        (campaign.payment_seconds, "payment_seconds"),
    ] {
        if seconds.is_some_and(|seconds| seconds == 0 || seconds > longest) {
            let path = format!("{path}.{key}");
            faults.add(path, "out_of_range", format!("must be 1 to {longest}"));
        }
    }
}

fn nodes(path: &str, nodes: &[String], faults: &mut Faults) {
    let mut seen = HashSet::new();
    for (at, node) in nodes.iter().enumerate() {
        let path = format!("{path}.nodes[{at}]");
        faults.name(&path, node);
        if !seen.insert(node) {
            faults.add(path, "duplicate_name", format!("{node} is there already"));
        }
    }
}

fn expected(
    path: &str,
    document: &Document,
    campaign: &Campaign,
    tree: &Tree<'_>,
    faults: &mut Faults,
) {
    let mut seen = HashSet::new();
    for (at, of) in campaign.expected.iter().enumerate() {
        let path = format!("{path}.expected[{at}]");
        let channel = &of.channel;
        if tree.find(channel).is_none() {
            let path = format!("{path}.channel");
            faults.add(path, "unknown_channel", format!("no channel {channel}"));
        }
        let sold = document.sold(&campaign.items);
        if let Some(sku) = of.sku.as_deref().filter(|sku| !sold.contains(sku)) {
            let path = format!("{path}.sku");
            let message = format!("{sku} is not sold in this campaign");
            faults.add(path, "sku_not_in_campaign", message);
        }
        if !seen.insert((channel, &of.sku)) {
            let message = "the same is expected already";
            faults.add(path, "duplicate_expected", message);
        }
    }
}

/// A SKU is in one campaign at most at any moment. A campaign is reported once, with the first SKU
/// or prefix that it shares.
fn sold_twice(document: &Document, faults: &mut Faults) {
    let mut sold = Layer::default();
    for (number, campaign) in (0..).zip(&document.campaigns) {
        sold.add(document.sold(&campaign.items), number);
    }
    let named = sold.skus().map(|sku| {
        let all = sold.naming(sku).chain(sold.covering(sku));
        (all.collect::<Vec<_>>(), sku)
    });
    let covered = sold.prefixes().map(|of| (sold.covering(of).collect(), of));
    // Whatever is sold in the same campaigns is looked at once.
    let mut together: BTreeMap<Vec<u32>, &str> = BTreeMap::new();
    for (campaigns, what) in named.chain(covered) {
        let first = together.entry(campaigns).or_insert(what);
        *first = what.min(first);
    }
    let mut shared = BTreeMap::new();
    for (campaigns, what) in together {
        let periods = campaigns.iter().filter_map(|number| {
            let at = usize::try_from(*number).ok()?;
            let campaign = document.campaigns.get(at)?;
            Some(((campaign.from, campaign.until), at))
        });
        for (at, other) in overlaps(periods.collect()) {
            shared.entry(at).or_insert((what, other));
        }
    }
    for (at, (what, other)) in shared {
        let message = format!("{what} is in campaigns[{other}] too, at the same time");
        faults.add(format!("campaigns[{at}]"), "sku_in_two_campaigns", message);
    }
}
