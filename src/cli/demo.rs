//! `serve --demo`: a small catalogue and simulated buyers, so that a newcomer sees something move.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::Failure;
use crate::domain::command::{
    Act, AdjustItem, Channel, Command, Keyed, LineRequest, Lines, Reserve, SetItem, StockChange,
    StockCommand, Verb,
};
use crate::domain::{HoldTtl, NodeIx, ReservationId, Sku, Ttl, Units};
use crate::engine::Engine;
use crate::ledger::{Answer, LedgerError};

/// Names after real products of a grocery's catalogue.
const SKUS: [&str; 40] = [
    "TUNA-6OZ",
    "TOMATO-PASTE-12OZ",
    "JELLY-12OZ",
    "PEANUT-BUTTER-18OZ",
    "CEREAL-BARS-10OZ",
    "KIDS-CEREAL-15OZ",
    "HOT-CHOCOLATE-28OZ",
    "PASTA-SAUCE-26OZ",
    "PICKLES-24OZ",
    "RELISH-16OZ",
    "BBQ-SAUCE-18OZ",
    "SALSA-8OZ",
    "REFRIED-BEANS-16OZ",
    "WHITE-BREAD-20OZ",
    "SAVORY-BREAD-25OZ",
    "SALAD-OIL-64OZ",
    "MAPLE-SYRUP-24OZ",
    "FROSTING-14OZ",
    "CHOCOLATE-COOKIES-7OZ",
    "NOODLE-MIX-1CT",
    "CANNED-PASTA-15OZ",
    "STRING-CHEESE-1OZ",
    "CHEESE-SLICES-12OZ",
    "YOGURT-6OZ",
    "PUDDING-6CT",
    "BACON-12OZ",
    "FISH-PORTIONS-8OZ",
    "FROZEN-PIZZA-9OZ",
    "FROZEN-DINNER-7OZ",
    "CUT-VEGETABLES-10OZ",
    "JUICE-24OZ",
    "SOFT-DRINK-17OZ",
    "ISOTONIC-DRINK-20OZ",
    "BABY-FOOD-6OZ",
    "INFANT-FORMULA-26OZ",
    "LAUNDRY-DETERGENT-64",
    "BATHROOM-CLEANER-32OZ",
    "CANDLES-3CT",
    "PAPER-PLATES-12CT",
    "COUGH-DROPS-40CT",
];
const CHANNELS: [&str; 3] = ["web", "app", "counter"];
/// Pause between operations: about 200 a second.
const PAUSE: Duration = Duration::from_millis(5);
/// Operations from one delivery to the next.
const RESTOCK_EVERY: u64 = 400;
const STOCK_START: u64 = 400;
/// Under this a SKU gets a delivery.
const STOCK_LOW: u64 = 100;
const STOCK_DELIVERY: i64 = 300;
/// Open reservations that the buyers keep; the oldest move on.
const OPEN_MAX: usize = 300;
/// Short, so that some expire before anyone confirms them.
const TTL_MS: u32 = 60_000;

/// What to try while it runs, for the ready message.
pub struct Tour(pub std::net::SocketAddr);

impl fmt::Display for Tour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(address) = self;
        let [sku, ..] = SKUS;
        write!(
            f,
            "demo: 40 SKUs, buyers at about 200 operations a second. Try\n  \
             curl http://{address}/v1/stock/{sku}\n  \
             curl http://{address}/v1/atp/{sku}\n  \
             curl -N -H 'accept: text/event-stream' http://{address}/v1/events\n  \
             curl http://{address}/metrics\n  \
             curl -H 'content-type: application/json' -H 'idempotency-key: mine-1' \\\n    \
             -d '{{\"channel\":\"web\",\"lines\":[{{\"sku\":\"{sku}\",\"quantity\":2}}]}}' \\\n    \
             http://{address}/v1/reservations"
        )
    }
}

/// Fills in the catalogue, then shops until it is cancelled.
pub async fn run(engine: Engine) -> Result<(), Failure> {
    let mut shop = Shop::open(engine)?;
    shop.stock_up().await?;
    let mut timer = tokio::time::interval(PAUSE);
    timer.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        timer.tick().await;
        match shop.step().await {
            Ok(()) | Err(LedgerError::Overloaded) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

struct Shop {
    engine: Engine,
    channels: Vec<Channel<'static>>,
    open: VecDeque<(ReservationId, bool)>,
    /// Makes the keys of this run differ from those of the last.
    start: i64,
    count: u64,
    random: u64,
}

impl Shop {
    fn open(engine: Engine) -> Result<Self, Failure> {
        let channel = |name: &&'static str| {
            engine
                .channel(name)
                .map_err(|e| Failure::new(super::Exit::Failed, format!("channel {name}: {e:?}")))
        };
        let channels = CHANNELS.iter().map(channel).collect::<Result<_, _>>()?;
        let start = engine.now().0;
        Ok(Self {
            engine,
            channels,
            open: VecDeque::new(),
            start,
            count: 0,
            random: 42,
        })
    }

    async fn execute(&mut self, command: Command<'_>) -> Result<Answer, LedgerError> {
        self.count += 1;
        let key = format!("demo-{}-{}", self.start, self.count);
        let keyed = Keyed {
            key: self.engine.key(&key, &command),
            command,
        };
        self.engine.execute(&keyed).await
    }

    /// A number below `bound`, the same in every run.
    fn pick(&mut self, bound: u64) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.random >> 33) % bound
    }

    /// A SKU; the first ones are bought more often.
    fn sku(&mut self) -> Option<Sku<'static>> {
        let most = u64::try_from(SKUS.len()).unwrap_or(1);
        let bound = self.pick(most) + 1;
        let at = usize::try_from(self.pick(bound)).unwrap_or(0);
        SKUS.get(at).and_then(|sku| Sku::new(sku).ok())
    }

    /// Puts stock where there is none; a restart goes on with what is there.
    async fn stock_up(&mut self) -> Result<(), Failure> {
        let mut items = Vec::new();
        for sku in SKUS.iter().filter_map(|sku| Sku::new(sku).ok()) {
            if self.engine.stock(sku).await?.is_none() {
                items.push(SetItem {
                    sku,
                    node: NodeIx::MAIN,
                    on_hand: Units::new(STOCK_START),
                    unavailable: None,
                    change_from: None,
                });
            }
        }
        if !items.is_empty() {
            self.execute(stock_command(StockChange::Set(items), "demo catalogue"))
                .await?;
        }
        Ok(())
    }

    async fn step(&mut self) -> Result<(), LedgerError> {
        if self.count % RESTOCK_EVERY == RESTOCK_EVERY - 1 {
            return self.restock().await;
        }
        let is_full = self.open.len() >= OPEN_MAX;
        match self.pick(10) {
            0..5 if !is_full => self.reserve().await,
            _ => self.advance().await,
        }
    }

    async fn reserve(&mut self) -> Result<(), LedgerError> {
        let mut lines = Vec::new();
        for _ in 0..=self.pick(2) {
            let quantity = Units::new(self.pick(3) + 1);
            if let (Some(sku), Some(quantity)) = (self.sku(), quantity) {
                lines.push(LineRequest {
                    sku,
                    node: None,
                    quantity,
                    by: None,
                });
            }
        }
        let at = usize::try_from(self.pick(3)).unwrap_or(0);
        let (Some(channel), Some(ttl), Ok(lines)) = (
            self.channels.get(at).copied(),
            Ttl::from_millis(TTL_MS),
            Lines::try_new(lines),
        ) else {
            return Ok(());
        };
        let reserve = Reserve {
            channel,
            reference: None,
            ttl: HoldTtl::Asked(ttl),
            allow_partial: false,
            lines,
        };
        let answer = self.execute(Command::Reserve(reserve)).await?;
        if let Ok(crate::domain::Outcome::Reservation(reservation)) = answer.verdict {
            self.open.push_back((reservation.id, false));
        }
        Ok(())
    }

    /// Moves the oldest reservation on: most are confirmed and then shipped, some are given up.
    async fn advance(&mut self) -> Result<(), LedgerError> {
        let Some((id, is_committed)) = self.open.pop_front() else {
            return Ok(());
        };
        let verb = match (is_committed, self.pick(10)) {
            (true, _) => Verb::Ship { from: None },
            (false, 0..8) => Verb::Confirm,
            (false, 8) => Verb::Release,
            // Walked away without a word: the deadline takes care of it.
            (false, _) => return Ok(()),
        };
        let answer = self
            .execute(Command::Act(Act {
                id,
                verb,
                lines: None,
            }))
            .await?;
        if verb == Verb::Confirm && answer.verdict.is_ok() {
            self.open.push_back((id, true));
        }
        Ok(())
    }

    async fn restock(&mut self) -> Result<(), LedgerError> {
        let mut items = Vec::new();
        for sku in SKUS.iter().filter_map(|sku| Sku::new(sku).ok()) {
            let stock = self.engine.stock(sku).await?;
            if stock.is_some_and(|stock| stock.available.get() < STOCK_LOW) {
                items.push(AdjustItem {
                    sku,
                    node: NodeIx::MAIN,
                    on_hand: STOCK_DELIVERY,
                    unavailable: 0,
                    change_from: None,
                });
            }
        }
        if items.is_empty() {
            self.count += 1;
            return Ok(());
        }
        self.execute(stock_command(StockChange::Adjust(items), "demo delivery"))
            .await
            .map(drop)
    }
}

fn stock_command<'a>(change: StockChange<'a>, reason: &'a str) -> Command<'a> {
    Command::Stock(StockCommand {
        change,
        reason,
        operator: Some("demo"),
    })
}
