//! What a campaign needs of one SKU.

use super::super::document::Amount;
use super::super::limits::EntryLimit;
use super::{Finding, Plan, SkuFacts, StockFacts, add};
use crate::domain::stock::Selling;
use crate::domain::units::Units;

/// `expected` is what all channels are expected to sell of it.
pub(super) fn check(
    plan: &Plan<'_>,
    facts: &SkuFacts<'_>,
    expected: Units,
    findings: &mut Vec<Finding>,
) {
    let sku = facts.sku;
    let mut push = |finding: Finding| findings.push(finding.of_sku(sku));
    let Some(stock) = &facts.stock else {
        push(Finding::error(
            "unknown_sku",
            "nothing is known of this SKU; every hold of it will be refused",
            "set its stock, or take it out of the campaign",
        ));
        return;
    };
    selling(stock, &mut push);
    limits(plan, sku, stock, &mut push);
    nodes(plan, stock, &mut push);
    low_water(stock, expected, &mut push);
}

fn selling(stock: &StockFacts, push: &mut impl FnMut(Finding)) {
    if stock.selling == Selling::Suspended {
        push(Finding::error(
            "suspended",
            "selling is suspended; every hold will be refused",
            "set selling to on before the campaign",
        ));
    }
    if !stock.deficit.is_zero() {
        let deficit = stock.deficit;
        push(Finding::error(
            "deficit_open",
            format!("{deficit} units more are promised than are there"),
            "add the missing units, or release reservations",
        ));
    }
}

/// Caps and protections against what there is at the most: on hand and shipped in the window, less
/// safety.
fn limits(plan: &Plan<'_>, sku: &str, stock: &StockFacts, push: &mut impl FnMut(Finding)) {
    let supply = add(stock.at_nodes, plan.shipped(sku, stock));
    let pool = supply.left_after(stock.safety);
    for limit in &plan.campaign.limits {
        if let Some(Amount::Units(cap)) = limit.cap
            && cap > pool
        {
            let channel = &limit.channel;
            let finding = Finding::error(
                "cap_above_pool",
                format!("the cap of {channel} is {cap}, but there are {pool}: it limits nothing"),
                format!("lower the cap, or add {} units", cap.left_after(pool)),
            );
            push(finding.of_channel(channel));
        }
    }
    let rule = plan.policy.in_force(sku, plan.moment());
    let kept = rule.map_or(Units::ZERO, |rule| kept(rule.limits().each(), supply));
    if kept > pool {
        push(Finding::error(
            "protection_above_supply",
            format!("{kept} units are to be kept for channels, but there are {pool}"),
            format!("protect less, or add {} units", kept.left_after(pool)),
        ));
    }
}

/// What all protections keep together. Innermost first: an entry needs its own, or what those below
/// it need, whichever is more.
fn kept(limits: &[EntryLimit], supply: Units) -> Units {
    let mut below = vec![Units::ZERO; limits.len()];
    let mut top = Units::ZERO;
    for (at, limit) in limits.iter().enumerate().rev() {
        let own = limit.protection.map(|of| match of.amount {
            Amount::Percent(share) => supply.share_up(share),
            Amount::Units(units) => units,
        });
        let inner = below.get(at).copied().unwrap_or_default();
        let need = own.unwrap_or_default().max(inner);
        let parent = limit.parent.map(usize::from);
        let above = parent.and_then(|parent| below.get_mut(parent));
        let above = above.unwrap_or(&mut top);
        *above = add(*above, need);
    }
    top
}

fn nodes(plan: &Plan<'_>, stock: &StockFacts, push: &mut impl FnMut(Finding)) {
    let nodes = &plan.campaign.nodes;
    if stock.at_nodes.is_zero() {
        let place = if nodes.is_empty() {
            "anywhere".to_owned()
        } else {
            format!("at {}", nodes.join(", "))
        };
        push(Finding::error(
            "no_stock",
            format!("nothing is on hand {place}"),
            "set stock there, or name the nodes that have it",
        ));
    }
    let bound = plan.stale_after_seconds;
    if let Some(ago) = stock.counted_seconds_ago.filter(|ago| *ago > bound) {
        push(Finding::error(
            "stale_count",
            format!("the oldest count of its stock is {ago} s old, more than {bound} s"),
            "send its counts again, and look why they stay out",
        ));
    }
}

/// Low water, now and when what is expected of this SKU is sold.
fn low_water(stock: &StockFacts, expected: Units, push: &mut impl FnMut(Finding)) {
    let Some(mark) = stock.low_water else { return };
    let available = stock.available;
    if available <= mark {
        push(Finding::warning(
            "low_stock",
            format!("{available} units are available, the low-water mark is {mark}"),
            "add stock, or lower low_water",
        ));
        return;
    }
    if !expected.is_zero() && available.left_after(expected) <= mark {
        push(Finding::warning(
            "will_run_low",
            format!("{expected} of {available} units are expected to be sold; it is low at {mark}"),
            "add stock, or lower low_water for the campaign",
        ));
    }
}
