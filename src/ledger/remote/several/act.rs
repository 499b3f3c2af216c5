//! Acting on a reservation over several partitions: every part that will move is tied, home decides,
//! the parts follow.

use super::super::wire::record::Booking;
use super::super::wire::reply::{Item, unrecorded};
use super::super::wire::several::{
    Decided, Share, Step, booking, encode_act_whole, encode_follow, encode_tie,
};
use super::super::{RemoteLedger, senseless};
use super::{ATTEMPTS, all_of};
use crate::domain::command::{Act, CommandKey, Keyed, LineRequest, Verb};
use crate::domain::decide::{Amounts, LineFacts, units_asked};
use crate::domain::{Line, Refusal, ReservationId, Sku, Units};
use crate::ledger::{Answer, LedgerError};
use crate::telemetry::Script;

/// A part that will move.
struct Tied {
    partition: u16,
    /// The numbers of its lines among all.
    lines: Vec<usize>,
    /// Of its own lines, the number and the units that will move.
    amounts: Vec<(usize, Units)>,
}

/// How an attempt ended.
enum Course {
    /// Home has decided.
    Answered(Box<Answer>),
    /// Something else was decided meanwhile; this is home's record then.
    Anew(Vec<u8>),
}

/// How the tying went.
enum Tying {
    /// All are tied, or the stock of some does not allow it.
    Tied(Vec<Refusal>),
    /// Home has decided something else meanwhile.
    Stale,
    /// Not a matter of stock.
    Refused(Refusal),
}

impl RemoteLedger {
    /// Acts on the reservation that this record at home is of.
    pub(super) async fn act_in_several(
        &self,
        keyed: &Keyed<'_>,
        act: &Act<'_>,
        mut record: Vec<u8>,
    ) -> Result<Answer, LedgerError> {
        for _ in 0..ATTEMPTS {
            match self.try_to_act(keyed, act, &record).await? {
                Course::Answered(answer) => return Ok(*answer),
                Course::Anew(newer) => record = newer,
            }
        }
        Err(LedgerError::Overloaded)
    }

    /// Acts on what this record at home says.
    async fn try_to_act(
        &self,
        keyed: &Keyed<'_>,
        act: &Act<'_>,
        record: &[u8],
    ) -> Result<Course, LedgerError> {
        let home = self.partitions.of_id(act.id);
        let found = booking(record).map_err(senseless)?;
        let found = found.filter(Booking::is_whole);
        let Some((whole, ties)) = found.as_ref().and_then(|w| Some((w, w.ties.as_ref()?))) else {
            let refusal = unrecorded(Refusal::UnknownReservation);
            return Ok(Course::Answered(refusal.into()));
        };
        let version = ties.version;
        let parts = self.parts_of(act, whole);
        let refused = match self.tie(act, version, &parts, whole).await? {
            Tying::Tied(refused) => refused,
            Tying::Refused(refusal) => return Ok(Course::Answered(unrecorded(refusal).into())),
            Tying::Stale => {
                self.settle_parts(act.id, &parts).await?;
                return Ok(Course::Anew(self.record_at(home, act.id.0).await?));
            }
        };
        let bytes = encode_act_whole(keyed.key, act, version, &refused).map_err(senseless)?;
        let lines = whole.lines.len();
        let decided = self.decisive((home, keyed.key.id), bytes, lines);
        let (reply, at) = decided.await?;
        if let Item::Several = reply.answer(at, keyed).map_err(senseless)? {
            let newer = reply.record(at).map_err(senseless)?.to_vec();
            return Ok(Course::Anew(newer));
        }
        // What home decided stands; a part that is not reached now follows later.
        self.lead(keyed.key, act, &parts).await;
        let answer = self.answer((reply, at), keyed).await?;
        Ok(Course::Answered(answer.into()))
    }

    /// The parts that an act moves.
    fn parts_of(&self, act: &Act<'_>, whole: &Booking<'_>) -> Vec<Tied> {
        let facts = |(sku, _, line): &(&'_ str, Units, Line)| (sku.to_string(), *line);
        let all: Vec<(String, Line)> = whole.lines.iter().map(facts).collect();
        let facts: Vec<LineFacts<'_>> = all
            .iter()
            .map(|(sku, line)| LineFacts { sku, line: *line })
            .collect();
        let held = facts.iter().enumerate();
        let held = held.filter(|(_, fact)| !fact.line.held.is_zero());
        let amounts: Amounts = match (act.verb, units_asked(act, &facts)) {
            (Verb::Extend(_), Ok(_)) => held.map(|(at, fact)| (at, fact.line.held)).collect(),
            (_, Ok(Some(amounts))) => amounts,
            // Home refuses it, or finds it done: nothing moves.
            _ => return Vec::new(),
        };
        let shares = self.shares_of(whole);
        let moved = shares.into_iter().filter_map(|share| {
            let lines: Vec<usize> = share.lines.iter().map(|(number, _)| *number).collect();
            let is_elsewhere = lines.first().is_some_and(|number| !whole.is_here(*number));
            let own = |(number, units): &(usize, Units)| {
                let at = lines.iter().position(|line| line == number)?;
                Some((at, *units))
            };
            let amounts: Vec<(usize, Units)> = amounts.iter().filter_map(own).collect();
            let part = Tied {
                partition: share.partition,
                lines,
                amounts,
            };
            (is_elsewhere && !part.amounts.is_empty()).then_some(part)
        });
        moved.collect()
    }

    /// The lines of a reservation by partition.
    pub(super) fn shares_of<'a>(&self, whole: &Booking<'a>) -> Vec<Share<'a>> {
        let lines: Vec<LineRequest<'a>> = whole
            .lines
            .iter()
            .filter_map(|(sku, quantity, line)| {
                Some(LineRequest {
                    sku: Sku::new(sku).ok()?,
                    node: line.pin,
                    quantity: *quantity,
                    by: None,
                })
            })
            .collect();
        self.partitions.shares(&lines)
    }

    async fn tie(
        &self,
        act: &Act<'_>,
        version: u64,
        parts: &[Tied],
        whole: &Booking<'_>,
    ) -> Result<Tying, LedgerError> {
        let needs_stock = matches!(
            act.verb,
            Verb::Ship { .. } | Verb::Return { .. } | Verb::Transfer { .. }
        );
        let tie = |part: &Tied| {
            let amounts = if needs_stock { &*part.amounts } else { &[] };
            let bytes = encode_tie(act, version, amounts);
            self.step(part.partition, bytes, part.lines.len(), Script::Relief)
        };
        let mut refused = Vec::new();
        for (tied, part) in all_of(parts.iter().map(tie)).await.into_iter().zip(parts) {
            let (reply, at) = tied?;
            match reply.step(at).map_err(senseless)?.0 {
                Step::Refused(short @ Refusal::InsufficientStock { .. }) => refused.push(short),
                Step::Refused(other) => return Ok(Tying::Refused(other)),
                Step::Record(record) => {
                    let found = booking(record).map_err(senseless)?;
                    let Some(found) = found else {
                        tracing::error!(id = %act.id, "a part of a reservation is missing");
                        return Err(LedgerError::Unavailable);
                    };
                    if found
                        .ties
                        .as_ref()
                        .is_none_or(|ties| ties.version != version)
                    {
                        return Ok(Tying::Stale);
                    }
                    if has_ended(part, &found, whole) {
                        // The clock of its node is ahead of home's: soon home says so, too.
                        return Err(LedgerError::Unavailable);
                    }
                }
                Step::Placed(_) | Step::Done | Step::Late => {
                    return Err(senseless(super::super::wire::Malformed));
                }
            }
        }
        Ok(Tying::Tied(refused))
    }

    /// Has the parts follow what home says now.
    async fn lead(&self, key: CommandKey, act: &Act<'_>, parts: &[Tied]) {
        if parts.is_empty() {
            return;
        }
        if let Err(error) = self.try_to_lead(key, act.id, Some(act), parts).await {
            tracing::debug!(%error, "a part follows later");
        }
    }

    async fn try_to_lead(
        &self,
        key: CommandKey,
        id: ReservationId,
        act: Option<&Act<'_>>,
        parts: &[Tied],
    ) -> Result<(), LedgerError> {
        let home = self.partitions.of_id(id);
        let record = self.record_at(home, id.0).await?;
        let found = booking(&record).map_err(senseless)?;
        let Some(whole) = found else { return Ok(()) };
        let follow = |part: &Tied| {
            let what = decided(&whole, &part.lines);
            let bytes = encode_follow(key, id.0, act, &what);
            self.step(part.partition, bytes, part.lines.len(), Script::Relief)
        };
        for followed in all_of(parts.iter().map(follow)).await {
            let (reply, at) = followed?;
            if let Step::Refused(refusal) = reply.step(at).map_err(senseless)?.0 {
                tracing::warn!(%id, ?refusal, "a part cannot follow yet");
            }
        }
        Ok(())
    }

    /// Ends whatever act is on its way, so that parts that wait for home can follow it.
    async fn settle_parts(&self, id: ReservationId, parts: &[Tied]) -> Result<(), LedgerError> {
        self.end_acts(id).await?;
        self.try_to_lead(nobody(id), id, None, parts).await
    }

    /// Has one part follow its home, after no act on its way can be decided any more.
    pub(super) async fn settle_part(
        &self,
        id: ReservationId,
        partition: u16,
    ) -> Result<(), LedgerError> {
        let record = self.end_acts(id).await?;
        let found = booking(&record).map_err(senseless)?;
        let Some(whole) = found.filter(Booking::is_whole) else {
            return Ok(());
        };
        let shares = self.shares_of(&whole).into_iter();
        let own = shares.filter(|share| share.partition == partition);
        let parts: Vec<Tied> = own
            .map(|share| Tied {
                partition,
                lines: share.lines.iter().map(|(number, _)| *number).collect(),
                amounts: Vec::new(),
            })
            .collect();
        self.try_to_lead(nobody(id), id, None, &parts).await
    }

    /// Has home count one decision more; its record then.
    async fn end_acts(&self, id: ReservationId) -> Result<Vec<u8>, LedgerError> {
        let home = self.partitions.of_id(id);
        let record = self.record_at(home, id.0).await?;
        let found = booking(&record).map_err(senseless)?;
        let Some(ties) = found.and_then(|whole| whole.ties) else {
            return Ok(record);
        };
        let bytes = super::super::wire::several::encode_bump(id.0, ties.version);
        let (reply, at) = self.step(home, bytes, 1, Script::Relief).await?;
        Ok(reply.record(at).map_err(senseless)?.to_vec())
    }
}

/// The key under which a part follows an act that nobody remembers.
const fn nobody(id: ReservationId) -> CommandKey {
    CommandKey {
        id: id.0,
        fingerprint: 0,
    }
}

/// What home says of these lines.
fn decided(whole: &Booking<'_>, lines: &[usize]) -> Decided {
    let states = lines.iter().filter_map(|number| whole.lines.get(*number));
    Decided {
        version: whole.ties.as_ref().map_or(0, |ties| ties.version),
        deadline: whole.deadline,
        lines: states.map(|(_, _, line)| *line).collect(),
    }
}

/// Whether a part has given back what home still holds.
fn has_ended(part: &Tied, found: &Booking<'_>, whole: &Booking<'_>) -> bool {
    let lines = part.lines.iter().zip(&found.lines);
    lines.into_iter().any(|(number, (_, _, here))| {
        let at_home = whole.lines.get(*number);
        at_home.is_some_and(|(_, _, line)| here.expired > line.expired)
    })
}
