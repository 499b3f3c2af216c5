//! Faults of a remote ledger that need code of their own; see [`crate::sabotage`].

use super::RemoteLedger;
use super::format::Packed;
use crate::domain::command::{Act, Command, CommandKey, Keyed, LineRequest, Verb};
use crate::domain::verdict::ReservationLine;
use crate::domain::{ChannelIx, Line, Outcome, Reservation, ReservationId, UnixMillis};
use crate::ledger::{Answer, LedgerError, Position};
use crate::sabotage::{Fault, is_on};

impl RemoteLedger {
    /// A grant by the mirror, of which the store hears nothing.
    pub(super) fn accept_by_mirror(&self, keyed: &Keyed<'_>) -> Option<Answer> {
        let (Command::Reserve(reserve), Some(_)) = (&keyed.command, &self.mirror) else {
            return None;
        };
        let granted = |line: &LineRequest<'_>| ReservationLine {
            sku: line.sku.as_str().into(),
            requested: line.quantity,
            line: Line {
                held: line.quantity,
                ..Line::pinned(line.node)
            },
        };
        let lines = reserve.lines.as_slice().iter().map(granted).collect();
        is_on(Fault::MirrorAccepts).then(|| Answer {
            verdict: Ok(Outcome::Reservation(Reservation {
                id: ReservationId(keyed.key.id),
                channel: reserve.channel.index.unwrap_or(ChannelIx::UNNAMED),
                reference: None,
                created_at: self.clock.now(),
                deadline: UnixMillis(i64::MAX),
                lines,
            })),
            replayed: false,
            position: self.durable(0),
            told_after: self.durable(0),
            mirror_age: None,
        })
    }

    /// Gives back what a reservation holds of which nobody knows whether it was made.
    pub(super) async fn release_unknown(
        &self,
        keyed: &Keyed<'_>,
        partition: u16,
        error: Option<&LedgerError>,
    ) {
        let is_reserve = matches!(keyed.command, Command::Reserve(_));
        if !is_reserve || error != Some(&LedgerError::Unknown) || !is_on(Fault::ReleaseOnUnknown) {
            return;
        }
        let release = Keyed {
            key: CommandKey {
                id: !keyed.key.id,
                fingerprint: 0,
            },
            command: Command::Act(Act {
                id: ReservationId(keyed.key.id),
                verb: Verb::Release,
                lines: None,
            }),
        };
        let packed = Packed::command(&release).to(partition);
        drop(self.batcher.submit(packed).await);
    }

    /// The last event of a partition, durable or not.
    pub(super) async fn unproven_end(
        &self,
        proven: Result<Position, LedgerError>,
        shard: u16,
    ) -> Result<Position, LedgerError> {
        if !is_on(Fault::FeedAhead) {
            return proven;
        }
        let mut question = redis::cmd("HMGET");
        question
            .arg(self.partitions.keys(shard)?.meta())
            .arg(&["seq", "epoch"]);
        let caller = self.rare.caller(shard);
        let asked = self
            .rare
            .run(async move { caller.ask::<(u64, u32)>(&question).await });
        let (sequence, epoch) = asked.await?.map_err(|_error| LedgerError::Unavailable)?;
        Ok(Position {
            shard,
            epoch,
            sequence,
        })
    }
}
