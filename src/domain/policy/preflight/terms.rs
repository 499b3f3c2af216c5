//! The terms of a campaign, and what else is written for the same time.

use std::collections::HashSet;

use super::super::document::{ChangeSet, Scope, Selection};
use super::{Finding, Plan};

pub(super) fn check(plan: &Plan<'_>, findings: &mut Vec<Finding>) {
    if plan.skus.is_empty() {
        findings.push(Finding::error(
            "nothing_sold",
            "no SKU is in the set of the campaign",
            "set stock of the SKUs, or correct the set",
        ));
    }
    if plan.is_cut {
        findings.push(Finding::warning(
            "skus_left_out",
            format!(
                "it sells more SKUs than are looked at: these findings are about {} of its SKUs; what \
                 is expected of all of them together was not checked",
                plan.skus.len()
            ),
            "try the campaign with smaller sets, each by itself, to see the others",
        ));
    }
    payment(plan, findings);
    for node in plan.unknown_nodes {
        findings.push(Finding::error(
            "unknown_node",
            format!("nobody ever named node {node}, for stock or for safety stock"),
            "correct the name in nodes, or set stock there first",
        ));
    }
    let sold: HashSet<_> = plan.skus.iter().map(|of| of.sku).collect();
    for set in &plan.document.change_sets {
        if is_shadowed(plan, &sold, set) {
            findings.push(Finding::warning(
                "change_set_shadowed",
                format!(
                    "change set {} has rules for the same SKUs and time; the limits of the \
                     campaign go before them",
                    set.name
                ),
                "write into the campaign what is to apply, or move the change set",
            ));
        }
    }
}

fn payment(plan: &Plan<'_>, findings: &mut Vec<Finding>) {
    let campaign = plan.campaign;
    let Some(payment) = campaign.payment_seconds else {
        return;
    };
    let usual = plan.usual_hold.as_millis().div_euclid(1_000);
    let hold = campaign.hold_seconds.unwrap_or(usual);
    if hold < payment {
        findings.push(Finding::error(
            "hold_shorter_than_payment",
            format!("a hold lives {hold} s, but a buyer has {payment} s to pay"),
            format!("set hold_seconds to {payment} at least"),
        ));
    }
}

/// Whether the limits of the campaign go before a rule of that set.
fn is_shadowed(plan: &Plan<'_>, sold: &HashSet<&str>, set: &ChangeSet) -> bool {
    let campaign = plan.campaign;
    !campaign.limits.is_empty()
        && set.rules.iter().any(|rule| {
            let (from, until) = set.period(rule);
            let is_meanwhile = from < campaign.until && campaign.from < until;
            is_meanwhile && is_for(plan, sold, &rule.scope)
        })
}

fn is_for(plan: &Plan<'_>, sold: &HashSet<&str>, scope: &Scope) -> bool {
    match scope {
        Scope::Sku(sku) => sold.contains(sku.as_str()),
        Scope::Default => true,
        Scope::Set(name) => {
            let set = plan.document.set(name);
            match set.map(|set| plan.document.selection(&set.selector)) {
                Some(Selection::Listed(skus)) => skus.iter().any(|of| sold.contains(of.as_str())),
                Some(Selection::Prefix(prefix)) => sold.iter().any(|of| of.starts_with(prefix)),
                None => false,
            }
        }
    }
}
