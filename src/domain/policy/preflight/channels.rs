//! What the channels of a campaign are expected to sell.

use super::{Finding, Plan, sum};
use crate::domain::policy::document::Expected;
use crate::domain::units::Units;

pub(super) fn check(plan: &Plan<'_>, findings: &mut Vec<Finding>) {
    for channel in plan.channels.iter().filter(|of| !of.is_known) {
        let name = channel.name;
        let finding = Finding::warning(
            "channel_never_seen",
            format!("channel {name} has neither sold anything nor been in a policy"),
            "compare the name with the one that the channel sends",
        );
        findings.push(finding.of_channel(name));
    }
    for expected in &plan.campaign.expected {
        if let Some(reach) = reach(plan, expected)
            && expected.units > reach
        {
            findings.push(above_reach(expected, reach));
        }
    }
    if plan.is_cut {
        return;
    }
    let all = sum(plan.campaign.expected.iter().map(|of| of.units));
    let pool = sum(plan.stocks().map(|(sku, stock)| plan.pool(sku, stock)));
    if all > pool {
        findings.push(Finding::error(
            "expected_above_pool",
            format!("{all} units are expected to be sold, there are {pool}"),
            format!("add {} units, or expect less", all.left_after(pool)),
        ));
    }
}

/// No more than this could a channel sell of what is expected; `None`: not all that it takes to tell
/// was looked at.
fn reach(plan: &Plan<'_>, expected: &Expected) -> Option<Units> {
    let channel = plan.channels.iter().find(|of| of.name == expected.channel);
    let Some(channel) = channel else {
        return Some(Units::ZERO);
    };
    let of = |(sku, stock)| plan.reach(sku, stock, channel.index);
    let Some(sku) = expected.sku.as_deref() else {
        return (!plan.is_cut).then(|| sum(plan.stocks().map(of)));
    };
    match plan.facts(sku) {
        Some(facts) => {
            let reach = facts.stock.as_ref().map(|stock| of((sku, stock)));
            Some(reach.unwrap_or_default())
        }
        None => (!plan.is_cut).then_some(Units::ZERO),
    }
}

fn above_reach(expected: &Expected, reach: Units) -> Finding {
    let Expected {
        channel,
        units,
        sku,
    } = expected;
    let of = sku
        .as_deref()
        .map_or(String::new(), |sku| format!(" of {sku}"));
    let finding = Finding::error(
        "expected_above_reach",
        format!("{channel} is expected to sell {units} units{of}, but could take {reach}"),
        format!(
            "raise its cap, lower what is kept for others, or add {} units",
            units.left_after(reach)
        ),
    );
    let finding = finding.of_channel(channel);
    match sku {
        Some(sku) => finding.of_sku(sku),
        None => finding,
    }
}
