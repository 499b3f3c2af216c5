//! What is announced for a day, and what arrives.

use smallvec::SmallVec;

use super::EmbeddedLedger;
use super::pool::StockGuards;
use super::scratch::Scratch;
use crate::domain::Day;
use crate::domain::command::{CommandKey, InboundCommand};
use crate::domain::decide::{self, Arrival};
use crate::domain::stock::Change;
use crate::ledger::event::{Body, InboundChanged, InboundItem, InboundVerb};
use crate::ledger::{Answer, LedgerError};

impl EmbeddedLedger {
    pub(super) fn change_inbound(
        &self,
        key: CommandKey,
        command: &InboundCommand<'_>,
    ) -> Result<Answer, LedgerError> {
        let skus = command.skus();
        let mut records = self.state.pool.records(&[key.id])?;
        if let Some(answer) = self.answered(&records, key) {
            return answer.map(|answer| answer.in_order_of(&skus));
        }
        let mut stock = self
            .state
            .pool
            .stock(skus.iter().map(|sku| self.shard(*sku)).collect())?;
        let _hold = self.state.pool.hold_timer();
        let now = self.now();
        let mut scratch = Scratch::new();
        self.expire(&mut stock, now, &mut scratch)?;
        self.note_terms_of(&mut stock, &skus, now, &mut scratch);
        let verdict = decide::inbound(command, Day::of(now), |sku| self.locked_stock(&stock, sku));
        let arrivals = match verdict {
            Err(refusal) => return self.refuse(&mut records, key, now, refusal, scratch),
            Ok(arrivals) => arrivals,
        };
        for arrival in &arrivals {
            self.note_terms_of_new(&mut stock, arrival.sku, now, &mut scratch)?;
        }
        let items = arrivals.iter().map(|item| self.arrive(&mut stock, item));
        let items = items.collect::<Result<_, _>>()?;
        let changed = arrivals
            .iter()
            .filter_map(|item| self.slot(&stock, item.sku));
        let changed: SmallVec<[_; 4]> = changed.collect();
        let changed = changed.into_iter().map(|place| (place, Change::Supply));
        self.settle_skus(&mut stock, changed, now, &mut scratch);
        let body = Body::InboundChanged(InboundChanged {
            key,
            verb: match command {
                InboundCommand::Put(_) => InboundVerb::Put,
                InboundCommand::Receive(_) => InboundVerb::Receive,
            },
            items,
        });
        let answer = self.conclude(&mut records, key, now, body, scratch)?;
        stock.note_change(answer.position.sequence);
        Ok(answer)
    }

    /// Does what was decided, and tells how it stands right afterwards.
    fn arrive<'a>(
        &self,
        stock: &mut StockGuards<'_>,
        arrival: &Arrival<'a>,
    ) -> Result<InboundItem<'a>, LedgerError> {
        let (received, entry) = (arrival.received, &arrival.entry);
        self.change_locked(stock, arrival.sku, |stock| {
            stock.receive_inbound(entry.clone(), received)?;
            Ok(InboundItem {
                sku: arrival.sku.as_str(),
                entry: entry.clone(),
                received,
                on_hand: stock.node(entry.node).on_hand,
                version: stock.version(),
            })
        })
    }
}
