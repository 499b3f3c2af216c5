//! Moves of share between channels.

use super::EmbeddedLedger;
use super::scratch::Scratch;
use crate::domain::Sku;
use crate::domain::command::{CommandKey, MoveShares};
use crate::domain::decide;
use crate::ledger::event::{Body, ShareMove, SharesMoved};
use crate::ledger::{Answer, LedgerError};

impl EmbeddedLedger {
    pub(super) fn move_shares(
        &self,
        key: CommandKey,
        command: &MoveShares<'_>,
    ) -> Result<Answer, LedgerError> {
        let skus: Vec<Sku<'_>> = command.items.iter().map(|item| item.sku).collect();
        let mut records = self.state.pool.records(&[key.id])?;
        if let Some(answer) = self.answered(&records, key) {
            return answer.map(|answer| answer.in_order_of(&skus));
        }
        let shards = skus.iter().map(|sku| self.shard(*sku)).collect();
        let mut stock = self.state.pool.stock(shards)?;
        let _hold = self.state.pool.hold_timer();
        let now = self.now();
        let mut scratch = Scratch::new();
        self.expire(&mut stock, now, &mut scratch)?;
        let verdict = decide::shares(
            &command.items,
            |sku| self.locked_stock(&stock, sku),
            |sku| stock.shard(self.shard(sku))?.rule(sku.as_str(), now),
        );
        let windows = match verdict {
            Err(refusal) => return self.refuse(&mut records, key, now, refusal, scratch),
            Ok(windows) => windows,
        };
        let items = command.items.iter().zip(windows);
        let items: Vec<_> = items
            .map(|(item, window)| ShareMove {
                sku: item.sku.as_str(),
                from: item.from,
                to: item.to,
                units: item.units,
                window,
            })
            .collect();
        for (moved, sku) in items.iter().zip(skus) {
            self.change_locked(&mut stock, sku, |stock| {
                stock.move_share(moved.from, moved.to, moved.units, moved.window)
            })?;
        }
        let body = Body::SharesMoved(SharesMoved {
            key,
            reason: command.reason,
            operator: command.operator,
            items,
        });
        let answer = self.conclude(&mut records, key, now, body, scratch)?;
        stock.note_change(answer.position.sequence);
        Ok(answer)
    }
}
