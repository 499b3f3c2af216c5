//! Answers of the ledger in the words of histories. What those have no word for is nonsense, which no
//! order of calls can give.

use holdfast::domain::line::Line;
use holdfast::domain::verdict::{
    Limit, Outcome, Refusal, Reservation, Shortage, StockResult, Verdict,
};
use holdfast::domain::{NodeIx, Units};
use holdfast::ledger::{Answer, StockView};

use super::names::Names;
use super::words::{Booking, Heard, NEVER, No, SKUS, Said, Stage};

/// The node of all units.
const NODE: NodeIx = NodeIx(0);

impl Names {
    pub(crate) fn heard(&self, answer: &Answer) -> Heard {
        Heard {
            said: self.said(&answer.verdict),
            replayed: answer.replayed,
        }
    }

    pub(crate) fn said(&self, verdict: &Verdict) -> Said {
        let said = match verdict {
            Ok(Outcome::Reservation(made)) => self.booking(made).map(Said::Reservation),
            Ok(Outcome::Stock(results)) => stock(results),
            Ok(Outcome::Shares(_) | Outcome::Inbound(_) | Outcome::Settings { .. }) => None,
            Err(refusal) => self.no(refusal).map(Said::Refused),
        };
        said.unwrap_or(Said::Nonsense)
    }

    fn booking(&self, made: &Reservation) -> Option<Booking> {
        let mut booking = Booking {
            key: self.key_of(made.id.0)?,
            created: 0,
            deadline: NEVER,
            requested: [0; SKUS],
            granted: [0; SKUS],
            stage: Stage::Held,
        };
        if self.is_timed() {
            (booking.created, booking.deadline) = (made.created_at.0, made.deadline.0);
        }
        let mut stages = Vec::new();
        for row in &made.lines {
            let sku = self.sku_of(&row.sku)?;
            booking.requested[sku] = count(row.requested)?;
            if let Some((stage, units)) = place(&row.line)? {
                booking.granted[sku] = units;
                stages.push(stage);
            }
        }
        booking.stage = *stages.first()?;
        stages
            .iter()
            .all(|of| *of == booking.stage)
            .then_some(booking)
    }

    fn no(&self, refusal: &Refusal) -> Option<No> {
        Some(match refusal {
            Refusal::KeyReused => No::KeyReused,
            Refusal::UnknownSku { sku } => No::UnknownSku {
                sku: self.sku_of(sku)?,
            },
            Refusal::UnknownReservation => No::UnknownReservation,
            Refusal::InsufficientStock { shortages } => No::Short(self.short(shortages)?),
            Refusal::Expired => No::Expired,
            Refusal::Released => No::Released,
            Refusal::Shipped => No::Shipped,
            Refusal::NotHeld => No::NotHeld,
            Refusal::NotConfirmed => No::NotConfirmed,
            Refusal::ChangeFromStale { items } => No::Stale {
                on_hand: count(items.first()?.on_hand)?,
            },
            Refusal::NegativeStock { on_hand, .. } => No::Negative {
                on_hand: count(*on_hand)?,
            },
            Refusal::UnknownLine { .. }
            | Refusal::NotShipped
            | Refusal::OverConfirm { .. }
            | Refusal::OverRelease { .. }
            | Refusal::OverShip { .. }
            | Refusal::OverReturn { .. }
            | Refusal::PartialTransfer { .. }
            | Refusal::TooMany { .. }
            | Refusal::VersionMismatch { .. }
            | Refusal::Frozen(_)
            | Refusal::OverShare { .. }
            | Refusal::UnknownInbound { .. }
            | Refusal::OverReceipt { .. }
            | Refusal::DueTooLate { .. }
            | Refusal::TooManyInbound { .. } => return None,
        })
    }

    fn short(&self, shortages: &[Shortage]) -> Option<[Option<u16>; SKUS]> {
        let mut short = [None; SKUS];
        for shortage in shortages {
            let is_plain = shortage.limit == Limit::Stock && shortage.node.is_none();
            let sku = self.sku_of(&shortage.sku).filter(|_| is_plain)?;
            short[sku] = Some(count(shortage.available)?);
        }
        Some(short)
    }
}

/// What a look at the stock of a SKU has shown.
pub(crate) fn seen(view: Option<&StockView>) -> Said {
    let counts = |view: &StockView| {
        let [on_hand, held, committed] = [view.on_hand, view.held, view.committed].map(count);
        Some([on_hand?, held?, committed?])
    };
    match view.map(counts) {
        None => Said::Seen(None),
        Some(Some(counts)) => Said::Seen(Some(counts)),
        Some(None) => Said::Nonsense,
    }
}

fn count(units: Units) -> Option<u16> {
    u16::try_from(units.get()).ok()
}

fn stock(results: &[StockResult]) -> Option<Said> {
    let [one] = results else {
        return None;
    };
    let is_plain = one.node == NODE && one.unavailable.is_zero();
    let (on_hand, available) = (count(one.on_hand)?, count(one.available)?);
    is_plain.then_some(Said::Stock { on_hand, available })
}

/// Where the units of a line are, and how many; the inner `None`: it has none. The outer one: they are
/// not all at the same place.
#[expect(
    clippy::option_option,
    reason = "none, and not one place, are two answers"
)]
fn place(line: &Line) -> Option<Option<(Stage, u16)>> {
    let places = [
        (Stage::Held, line.held),
        (Stage::Committed, line.committed),
        (Stage::Shipped, line.shipped),
        (Stage::Released, line.released),
        (Stage::Expired, line.expired),
    ];
    let mut used = places.into_iter().filter(|(_, units)| !units.is_zero());
    let first = used.next();
    if used.next().is_some() || !line.returned.is_zero() || line.pin.is_some() {
        return None;
    }
    match first {
        Some((stage, units)) => Some(Some((stage, count(units)?))),
        None => Some(None),
    }
}
