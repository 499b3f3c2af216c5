//! Reserving in several partitions: the lines are placed in ascending order, at home first, whose
//! record becomes a reservation when all are. A refusal is decided at home as well; then what was
//! placed is given back, at the latest by the deadline that all parts share.

use super::super::format::weight;
use super::super::wire::reply::{told, unrecorded};
use super::super::wire::several::{
    Share, Step, booking, encode_entire, encode_place, encode_quote, encode_refuse,
};
use super::super::{RemoteLedger, senseless};
use super::leftovers::Leftover;
use super::{ATTEMPTS, all_of};
use crate::domain::command::{Command, CommandKey, Keyed, Reserve};
use crate::domain::decide::{Grant, Grants};
use crate::domain::verdict::Shortage;
use crate::domain::{ChannelIx, Line, Refusal, UnixMillis};
use crate::ledger::{Answer, LedgerError};
use crate::telemetry::Script;

/// A reservation on its way.
struct Attempt<'a, 'c> {
    key: CommandKey,
    reserve: &'a Reserve<'c>,
    shares: Vec<Share<'c>>,
}

/// What was placed so far.
#[derive(Default)]
struct Placed {
    /// Names the attempt; set by home.
    deadline: Option<UnixMillis>,
    /// Partitions, home first.
    partitions: Vec<u16>,
    /// Lines elsewhere, and what they got.
    elsewhere: Vec<(usize, Grant)>,
    /// Units of all lines.
    units: u64,
}

/// How an attempt goes on.
enum Course {
    /// All parts are placed.
    Entire,
    /// Home had an answer already.
    Answered(Answer),
    /// It cannot be done.
    Refused(Refusal),
    /// Too late, or another attempt is in the way.
    Lost,
}

/// How the giving up of an attempt ended.
enum GivenUp {
    /// Nothing will become of it.
    Certainly,
    /// Somebody else has made it a reservation, or a refusal, meanwhile.
    TooLate,
    /// Home could not be asked.
    Perhaps,
}

impl RemoteLedger {
    /// Reserves lines of several partitions.
    pub(super) async fn reserve_in_several(
        &self,
        keyed: &Keyed<'_>,
        reserve: &Reserve<'_>,
    ) -> Result<Answer, LedgerError> {
        let shares = self.partitions.shares(reserve.lines.as_slice());
        if reserve.channel.index.is_none() {
            let attempt = Attempt {
                key: keyed.key,
                reserve,
                shares: shares.clone(),
            };
            if let Some(answer) = self.refused_outright(&attempt).await? {
                return Ok(answer);
            }
        }
        let reserve = self.with_channel(reserve).await?;
        let attempt = Attempt {
            key: keyed.key,
            reserve: &reserve,
            shares,
        };
        for _ in 0..ATTEMPTS {
            if let Some(answer) = self.attempt(&attempt).await? {
                let keyed = Keyed {
                    key: keyed.key,
                    command: Command::Reserve(reserve.clone()),
                };
                self.learn(&keyed, &answer).await?;
                return Ok(answer);
            }
        }
        Err(LedgerError::Unavailable)
    }

    /// Refuses what cannot be done before a channel gets an index: made-up names use none up.
    async fn refused_outright(
        &self,
        attempt: &Attempt<'_, '_>,
    ) -> Result<Option<Answer>, LedgerError> {
        let home = attempt.home()?;
        let known = self.record_at(home, attempt.key.id).await?;
        if !known.is_empty() {
            return Ok(None);
        }
        match self.quoted(&attempt.shares, attempt.reserve).await? {
            Some(refusal) => self.refuse(attempt, &Placed::default(), refusal).await,
            None => Ok(None),
        }
    }

    /// One attempt; `None`: it was lost, and nothing is promised by it.
    async fn attempt(&self, attempt: &Attempt<'_, '_>) -> Result<Option<Answer>, LedgerError> {
        let mut placed = Placed::default();
        let ended = match self.place_all(attempt, &mut placed).await {
            Ok(Course::Answered(answer)) => return Ok(Some(answer)),
            Ok(Course::Entire) => self.conclude(attempt, &placed).await,
            Ok(Course::Refused(refusal)) => self.refuse(attempt, &placed, refusal).await,
            Ok(Course::Lost) => Ok(None),
            Err(error) => Err(error),
        };
        match ended {
            Ok(Some(answer)) => Ok(Some(answer)),
            // Whatever was placed would be held until its deadline.
            unanswered => match self.give_up(attempt, &placed).await {
                GivenUp::Certainly => unanswered,
                GivenUp::TooLate => Ok(None),
                GivenUp::Perhaps => Err(LedgerError::Unknown),
            },
        }
    }

    async fn place_all(
        &self,
        attempt: &Attempt<'_, '_>,
        placed: &mut Placed,
    ) -> Result<Course, LedgerError> {
        for (at, share) in attempt.shares.iter().enumerate() {
            if let Some(course) = self.place(attempt, share, placed).await? {
                let Course::Refused(refusal) = course else {
                    return Ok(course);
                };
                // The others are only asked: a refusal names everything that is short.
                let rest = attempt.shares.get(at + 1..).unwrap_or_default();
                let others = self.quoted(rest, attempt.reserve).await?;
                let all = [Some(refusal), others].into_iter().flatten();
                return Ok(join(all, attempt.reserve).map_or(Course::Lost, Course::Refused));
            }
        }
        if placed.units > 0 {
            return Ok(Course::Entire);
        }
        let refusal = self.quoted(&attempt.shares, attempt.reserve).await?;
        Ok(refusal.map_or(Course::Lost, Course::Refused))
    }

    /// Places one share; `None`: go on.
    async fn place(
        &self,
        attempt: &Attempt<'_, '_>,
        share: &Share<'_>,
        placed: &mut Placed,
    ) -> Result<Option<Course>, LedgerError> {
        let is_home = placed.deadline.is_none();
        let bytes = encode_place(attempt.key, attempt.reserve, share, placed.deadline);
        let lines = weight(&attempt.reserve.lines);
        let stepped = self.step(share.partition, bytes, lines, Script::Batch);
        let (reply, at) = stepped.await.inspect_err(|error| {
            if !is_home && *error == LedgerError::Unknown {
                // It may have been placed.
                placed.partitions.push(share.partition);
            }
        })?;
        match reply.step(at).map_err(senseless)?.0 {
            Step::Placed(grants) => {
                let ttl = attempt.reserve.ttl.get();
                let deadline = reply.header().now.after(ttl);
                placed.add(share, deadline, &grants);
                Ok(None)
            }
            Step::Record(record) => {
                let found = booking(record).map_err(senseless)?;
                let found = found.filter(|found| !found.is_whole());
                let Some(found) = found else {
                    let kept = reply.kept_answer(attempt.key.id, record);
                    let kept = kept.map_err(senseless)?;
                    return Ok(Some(match kept.filter(|_| is_home) {
                        Some(answer) => Course::Answered(answer),
                        None => Course::Lost,
                    }));
                };
                // Somebody has placed it before us, with the same command: we go on from there.
                let here = found.lines.iter().enumerate();
                let here = here.filter(|(number, _)| found.is_here(*number));
                let grant = |line: &Line| Grant {
                    units: line.held,
                    day: line.day,
                    charged_to: line.charged_to,
                };
                let grants: Grants = here.map(|(_, (_, _, line))| grant(line)).collect();
                placed.add(share, found.deadline, &grants);
                Ok(None)
            }
            Step::Refused(Refusal::KeyReused) if is_home => {
                Ok(Some(Course::Answered(unrecorded(Refusal::KeyReused))))
            }
            Step::Refused(Refusal::KeyReused) | Step::Late | Step::Done => Ok(Some(Course::Lost)),
            Step::Refused(refusal) => Ok(Some(Course::Refused(refusal))),
        }
    }

    /// What these shares would be refused for.
    async fn quoted(
        &self,
        shares: &[Share<'_>],
        reserve: &Reserve<'_>,
    ) -> Result<Option<Refusal>, LedgerError> {
        let channel = match reserve.channel.index {
            Some(channel) => Some(channel),
            None => self.look_up_channel(reserve.channel.name).await?,
        };
        let channel = channel.unwrap_or(ChannelIx::UNNAMED);
        let quote = |share: &Share<'_>| {
            let (lines, quote) = (share.lines.len(), encode_quote(channel, share));
            self.step(share.partition, quote, lines, Script::Batch)
        };
        let mut refusals = Vec::new();
        for quoted in all_of(shares.iter().map(quote)).await {
            let (reply, at) = quoted?;
            if let Step::Refused(refusal) = reply.step(at).map_err(senseless)?.0 {
                refusals.push(refusal);
            }
        }
        Ok(join(refusals.into_iter(), reserve))
    }

    /// Makes it a reservation; `None`: it was too late.
    async fn conclude(
        &self,
        attempt: &Attempt<'_, '_>,
        placed: &Placed,
    ) -> Result<Option<Answer>, LedgerError> {
        let (home, id) = (attempt.home()?, attempt.key.id);
        let deadline = placed.deadline.unwrap_or_default();
        let bytes = encode_entire(id, deadline, &placed.elsewhere);
        let lines = attempt.reserve.lines.as_slice().len();
        let (reply, at) = self.decisive((home, id), bytes, lines).await?;
        let record = reply.entire(at).map_err(senseless)?;
        match reply.kept_answer(id, record).map_err(senseless)? {
            Some(answer) => {
                if answer.verdict.is_err() {
                    self.undo_parts(attempt, placed).await;
                }
                let replayed = false;
                Ok(Some(Answer { replayed, ..answer }))
            }
            None => Ok(None),
        }
    }

    /// Decides at home that it is refused; what home had decided before counts.
    async fn refuse(
        &self,
        attempt: &Attempt<'_, '_>,
        placed: &Placed,
        refusal: Refusal,
    ) -> Result<Option<Answer>, LedgerError> {
        if !matches!(refusal, Refusal::InsufficientStock { .. }) {
            // No key stands for that one.
            return match self.give_up(attempt, placed).await {
                GivenUp::Certainly => Ok(Some(unrecorded(refusal))),
                GivenUp::TooLate => Ok(None),
                GivenUp::Perhaps => Err(LedgerError::Unknown),
            };
        }
        let bytes = encode_refuse(attempt.key, placed.deadline, &refusal).map_err(senseless)?;
        let home = (attempt.home()?, attempt.key.id);
        let (reply, at) = self.decisive(home, bytes, 1).await?;
        let (step, position) = reply.step(at).map_err(senseless)?;
        if let Step::Record(record) = step {
            let kept = reply.kept_answer(attempt.key.id, record);
            let kept = kept.map_err(senseless)?;
            if kept.as_ref().is_none_or(|kept| kept.verdict.is_err()) {
                self.undo_parts(attempt, placed).await;
            }
            return Ok(kept);
        }
        self.undo_parts(attempt, placed).await;
        Ok(Some(told(Err(refusal), false, position)))
    }

    /// Takes back what was placed, at home first: then nobody can make it a reservation any more. What
    /// is not certain is tried again later.
    async fn give_up(&self, attempt: &Attempt<'_, '_>, placed: &Placed) -> GivenUp {
        let Some(deadline) = placed.deadline else {
            return GivenUp::Certainly;
        };
        match self.undo_at_home(attempt.key, deadline).await {
            Ok(Some(_)) => {
                // Before its caller is answered, and so before it can begin another one.
                self.undo(attempt.parts(placed, 1)).await;
                GivenUp::Certainly
            }
            Ok(None) => GivenUp::TooLate,
            Err(_) => {
                self.leftovers.keep(attempt.parts(placed, 0));
                GivenUp::Perhaps
            }
        }
    }

    /// Parts of what home has refused: its key stands for the refusal, so there is no next attempt.
    async fn undo_parts(&self, attempt: &Attempt<'_, '_>, placed: &Placed) {
        self.undo(attempt.parts(placed, 1)).await;
    }
}

impl Attempt<'_, '_> {
    fn home(&self) -> Result<u16, LedgerError> {
        let first = self.shares.first().map(|share| share.partition);
        first.ok_or(LedgerError::Unavailable)
    }

    /// What was placed, home first, but for the first so many.
    fn parts(&self, placed: &Placed, from: usize) -> Vec<Leftover> {
        let Some(deadline) = placed.deadline else {
            return Vec::new();
        };
        let ttl = i64::from(self.reserve.ttl.get().as_millis());
        let placed_at = UnixMillis(deadline.0.saturating_sub(ttl));
        let part = |partition: &u16| Leftover {
            partition: *partition,
            key: self.key,
            deadline,
            placed_at,
        };
        placed.partitions.iter().skip(from).map(part).collect()
    }
}

impl Placed {
    fn add(&mut self, share: &Share<'_>, deadline: UnixMillis, grants: &[Grant]) {
        let is_home = self.deadline.is_none();
        self.deadline.get_or_insert(deadline);
        self.partitions.push(share.partition);
        for ((number, _), grant) in share.lines.iter().zip(grants) {
            self.units += grant.units.get();
            if !is_home {
                self.elsewhere.push((*number, *grant));
            }
        }
    }
}

/// One refusal from those of several partitions: the first SKU that is unknown, or all that is
/// short, in the order of the lines.
fn join(refusals: impl Iterator<Item = Refusal>, reserve: &Reserve<'_>) -> Option<Refusal> {
    let mut short: Vec<Shortage> = Vec::new();
    let mut unknown: Vec<Box<str>> = Vec::new();
    for refusal in refusals {
        if let Refusal::InsufficientStock { shortages } = refusal {
            short.extend(shortages);
        } else if let Refusal::UnknownSku { sku } = refusal {
            unknown.push(sku);
        } else {
            return Some(refusal);
        }
    }
    // Lines are sorted by SKU, and one partition has all of a SKU.
    unknown.sort_unstable();
    if let Some(sku) = unknown.into_iter().next() {
        return Some(Refusal::UnknownSku { sku });
    }
    let lines = reserve.lines.as_slice();
    let number = |one: &Shortage| lines.iter().position(|line| line.sku.as_str() == &*one.sku);
    short.sort_by_key(number);
    (!short.is_empty()).then(|| Refusal::InsufficientStock {
        shortages: short.into(),
    })
}
