//! The answer that an event stands for. One function serves the first answer, every repetition of
//! it, and recovery, so they cannot differ.

use crate::domain::verdict::{
    InboundResult, MovedShare, Outcome, Reservation, ReservationLine, StockResult, Verdict,
};
use crate::domain::{Sku, UnixMillis};
use crate::ledger::event::{
    Acted, Body, InboundChanged, InboundItem, Reserved, ShareMove, SharesMoved, StockChanged,
    StockVerb,
};
use crate::ledger::{Answer, LedgerError};

/// Takes back the answers that are not durable.
pub(super) fn withhold(
    answers: &mut [Result<Answer, LedgerError>],
    durable: u64,
    error: LedgerError,
) {
    for answer in answers {
        if matches!(answer, Ok(answer) if answer.told_after.sequence > durable) {
            *answer = Err(error);
        }
    }
}

/// The verdict of the command that caused this event; `None` for events without a command.
pub(super) fn verdict_of(at: UnixMillis, body: Body<'_>) -> Option<Verdict> {
    match body {
        Body::Opened { .. }
        | Body::NodeNamed { .. }
        | Body::ChannelNamed { .. }
        | Body::Expired { .. }
        | Body::TermsNoted(_)
        | Body::LowWater(_)
        | Body::Deficit(_)
        | Body::PolicyPut { .. } => None,
        Body::Reserved(reserved) => Some(Ok(Outcome::Reservation(made(at, &reserved)))),
        Body::Acted(acted) => Some(Ok(Outcome::Reservation(moved(&acted)))),
        Body::StockChanged(changed) => Some(Ok(Outcome::Stock(stock_results(&changed)))),
        Body::SharesMoved(moved) => Some(Ok(Outcome::Shares(shares(&moved)))),
        Body::SettingsPut { sku, after, .. } => Some(Ok(Outcome::Settings {
            sku: sku.into(),
            settings: after,
        })),
        Body::InboundChanged(changed) => Some(Ok(Outcome::Inbound(inbound_results(changed)))),
        Body::Refused { refusal, .. } => Some(Err(refusal)),
    }
}

fn shares(moved: &SharesMoved<'_>) -> Vec<MovedShare> {
    let items = moved.items.iter();
    let share = |item: &ShareMove<'_>| MovedShare {
        sku: item.sku.into(),
        from: item.from,
        to: item.to,
        units: item.units,
        window: item.window,
    };
    items.map(share).collect()
}

fn made(at: UnixMillis, reserved: &Reserved<'_>) -> Reservation {
    let ttl = i64::from(reserved.ttl_ms);
    Reservation {
        id: reserved.id,
        channel: reserved.channel,
        reference: reserved.reference.map(Into::into),
        created_at: at,
        deadline: UnixMillis(at.0.saturating_add(ttl)),
        lines: reserved
            .lines
            .iter()
            .map(|line| ReservationLine {
                sku: line.sku.into(),
                requested: line.requested,
                line: line.made(),
            })
            .collect(),
    }
}

fn moved(acted: &Acted<'_>) -> Reservation {
    Reservation {
        id: acted.id,
        channel: acted.channel,
        reference: acted.reference.map(Into::into),
        created_at: acted.created_at,
        deadline: acted.deadline,
        lines: acted
            .lines
            .iter()
            .map(|line| ReservationLine {
                sku: line.sku.into(),
                requested: line.requested,
                line: line.after,
            })
            .collect(),
    }
}

impl Answer {
    /// The same, with the results of a change of stock, of shares or of what is announced in the order of
    /// its SKUs: what is read back has that of the places where they were decided.
    #[must_use]
    pub(super) fn in_order_of(mut self, skus: &[Sku<'_>]) -> Self {
        match &mut self.verdict {
            Ok(Outcome::Stock(results)) => order(results, skus, |one| &one.sku),
            Ok(Outcome::Shares(results)) => order(results, skus, |one| &one.sku),
            Ok(Outcome::Inbound(results)) => order(results, skus, |one| &one.sku),
            Ok(Outcome::Reservation(_) | Outcome::Settings { .. }) | Err(_) => {}
        }
        self
    }
}

/// Puts results into the order of the SKUs that they are of; those of one SKU stay in theirs.
fn order<T>(results: &mut Vec<T>, skus: &[Sku<'_>], sku: impl Fn(&T) -> &str) {
    let mut ordered = Vec::with_capacity(results.len());
    for wanted in skus {
        let found = { results.iter() }.position(|one| sku(one) == wanted.as_str());
        ordered.extend(found.map(|at| results.remove(at)));
    }
    *results = ordered;
}

fn inbound_results(changed: InboundChanged<'_>) -> Vec<InboundResult> {
    let result = |item: InboundItem<'_>| InboundResult {
        sku: item.sku.into(),
        entry: item.entry,
        received: item.received,
        on_hand: item.on_hand,
        version: item.version,
    };
    changed.items.into_iter().map(result).collect()
}

fn stock_results(changed: &StockChanged<'_>) -> Vec<StockResult> {
    // A transfer's items come in pairs; its answer names the receiving node.
    let (skip, step) = match changed.verb {
        StockVerb::Set | StockVerb::Adjust => (0, 1),
        StockVerb::Transfer => (1, 2),
    };
    changed
        .items
        .iter()
        .skip(skip)
        .step_by(step)
        .map(|item| StockResult {
            sku: item.sku.into(),
            node: item.node,
            on_hand: item.on_hand,
            unavailable: item.unavailable,
            available: item.available,
            version: item.version,
        })
        .collect()
}
