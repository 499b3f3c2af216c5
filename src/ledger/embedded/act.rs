//! Confirm, release, extend, ship, return, transfer: moving a reservation on.

use smallvec::SmallVec;

use super::EmbeddedLedger;
use super::pool::{RecordGuards, StockGuards};
use super::record_shard::{LineRef, Record};
use super::scratch::Scratch;
use crate::domain::command::{Act, CommandKey, Verb};
use crate::domain::decide::{self, ActPlan, LineFacts};
use crate::domain::line::Move;
use crate::domain::stock::Change;
use crate::domain::{Refusal, Stock, UnixMillis};
use crate::ledger::event::{Acted, ActedLine, Body, VerbKind};
use crate::ledger::{Answer, LedgerError};

/// The kind of a verb, for events and metrics.
pub(super) const fn kind(verb: Verb) -> VerbKind {
    match verb {
        Verb::Confirm => VerbKind::Confirm,
        Verb::Release => VerbKind::Release,
        Verb::Extend(_) => VerbKind::Extend,
        Verb::Ship { .. } => VerbKind::Ship,
        Verb::Return { .. } => VerbKind::Return,
        Verb::Transfer { .. } => VerbKind::Transfer,
    }
}

impl EmbeddedLedger {
    pub(super) fn act(&self, key: CommandKey, act: &Act<'_>) -> Result<Answer, LedgerError> {
        let mut records = self.state.pool.records(&[key.id, act.id.0])?;
        if let Some(answer) = self.answered(&records, key) {
            return answer;
        }
        let head = records
            .of(act.id.0)
            .and_then(|s| s.get(act.id.0))
            .and_then(Record::head);
        let Some(head) = head else {
            let unknown = Refusal::UnknownReservation;
            return self.refuse(&mut records, key, self.now(), unknown, Scratch::new());
        };
        let refs = head.lines;
        let mut stock = self
            .state
            .pool
            .stock(refs.iter().map(|line| usize::from(line.shard)).collect())?;
        let hold = self.state.pool.hold_timer();
        let now = self.now();
        let mut scratch = Scratch::new();
        self.expire(&mut stock, now, &mut scratch)?;
        let acting = Acting {
            act,
            refs: &refs,
            now,
        };
        let answer = match acting.decide(&stock) {
            Err(refusal) => self.refuse(&mut records, key, now, refusal, scratch),
            Ok(plan) => self.carry_out(key, &acting, &plan, &mut records, &mut stock, scratch),
        };
        drop(hold);
        answer
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the locked state travels with the command"
    )]
    fn carry_out(
        &self,
        key: CommandKey,
        acting: &Acting<'_, '_>,
        plan: &ActPlan,
        records: &mut RecordGuards<'_>,
        stock: &mut StockGuards<'_>,
        mut scratch: Scratch,
    ) -> Result<Answer, LedgerError> {
        for (at, step) in &plan.moves {
            let line = acting.refs.get(*at).ok_or(LedgerError::Unavailable)?;
            let shard = stock
                .shard_mut(usize::from(line.shard))
                .ok_or(LedgerError::Unavailable)?;
            let owner = shard.lines.get(line.slot).map(|entry| entry.stock);
            if let Some(owner) = owner {
                self.note_terms(shard, owner, acting.now, &mut scratch);
            }
            let window = shard.window_of(line.slot, acting.now);
            shard
                .step(line.slot, *step, window)
                .map_err(|bad| self.broken(bad))?;
        }
        if let Some(deadline) = plan.deadline {
            for line in acting.refs {
                if let Some(shard) = stock.shard_mut(usize::from(line.shard)) {
                    shard.extend(line.slot, deadline);
                }
            }
        }
        let owners = acting.owners(plan, stock);
        self.settle_skus(stock, owners.into_iter(), acting.now, &mut scratch);
        let id = acting.act.id;
        let touched = records.of_mut(id.0).and_then(|shard| shard.get_mut(id.0));
        touched.ok_or(LedgerError::Unavailable)?.touch(acting.now);
        let record = records.of(id.0).and_then(|shard| shard.get(id.0));
        let (created_at, head) = record
            .and_then(|r| Some((r.at, r.head()?)))
            .ok_or(LedgerError::Unavailable)?;
        let channel = head.channel;
        let reference: Option<Box<str>> = head.reference.map(Into::into);
        let body = Acted {
            id,
            key,
            verb: kind(acting.act.verb),
            channel,
            reference: reference.as_deref(),
            created_at,
            deadline: acting.deadline(stock),
            lines: acting.lines(plan, stock),
        };
        let answer = self.conclude(records, key, acting.now, Body::Acted(body), scratch)?;
        stock.note_change(answer.position.sequence);
        Ok(answer)
    }
}

/// Where the SKUs of lines are, and what an act changes of them.
type Owners = SmallVec<[((usize, u32), Change); 2]>;

/// An act and the lines it is about.
struct Acting<'a, 'r> {
    act: &'a Act<'r>,
    refs: &'a [LineRef],
    now: UnixMillis,
}

impl Acting<'_, '_> {
    fn entry<'s>(
        stock: &'s StockGuards<'_>,
        line: &LineRef,
    ) -> Option<(
        &'s super::stock_shard::LineEntry,
        &'s super::stock_shard::StockEntry,
    )> {
        let shard = stock.shard(usize::from(line.shard))?;
        let entry = shard.lines.get(line.slot)?;
        Some((entry, shard.stocks.get(entry.stock)?))
    }

    /// Shard and slot of the stock of each line that is moved.
    fn owners(&self, plan: &ActPlan, stock: &StockGuards<'_>) -> Owners {
        let owner = |(at, line): (usize, &LineRef)| {
            let is_moved = plan.moves.iter().any(|(moved, _)| *moved == at);
            let (entry, _) = is_moved.then(|| Self::entry(stock, line))??;
            Some(((usize::from(line.shard), entry.stock), Change::Promises))
        };
        self.refs.iter().enumerate().filter_map(owner).collect()
    }

    fn deadline(&self, stock: &StockGuards<'_>) -> UnixMillis {
        let first = self.refs.first().and_then(|line| Self::entry(stock, line));
        first.map_or(UnixMillis::default(), |(entry, _)| entry.deadline())
    }

    fn decide(&self, stock: &StockGuards<'_>) -> Result<ActPlan, Refusal> {
        let facts: SmallVec<[LineFacts<'_>; 2]> = self
            .refs
            .iter()
            .filter_map(|line| Self::entry(stock, line))
            .map(|(entry, owner)| LineFacts {
                sku: owner.sku(),
                line: entry.line(),
            })
            .collect();
        decide::act(self.act, self.deadline(stock), self.now, &facts, |at| {
            let (_, owner) = Self::entry(stock, self.refs.get(at)?)?;
            Some(&owner.stock)
        })
    }

    fn lines<'s>(
        &self,
        plan: &ActPlan,
        stock: &'s StockGuards<'_>,
    ) -> SmallVec<[ActedLine<'s>; 1]> {
        let moves_of = |at: usize| -> SmallVec<[Move; 1]> {
            let mine = plan.moves.iter().filter(move |(line, _)| *line == at);
            mine.map(|(_, step)| *step).collect()
        };
        let window_of = |moves: &[Move], stock: &Stock| {
            let is_shipped = moves.iter().any(|step| matches!(step, Move::Ship(..)));
            // It was just shipped in that.
            let window = is_shipped.then(|| stock.uses().window());
            window.unwrap_or_default()
        };
        let lines = self.refs.iter().enumerate();
        lines
            .filter_map(|(at, line)| {
                let (entry, owner) = Self::entry(stock, line)?;
                let moves = moves_of(at);
                Some(ActedLine {
                    sku: owner.sku(),
                    requested: line.requested,
                    after: entry.line(),
                    window: window_of(&moves, &owner.stock),
                    moves,
                })
            })
            .collect()
    }
}
