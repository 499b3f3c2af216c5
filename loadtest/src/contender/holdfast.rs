//! holdfast's engine in this process, its ledger in the store.

use holdfast::blocking::wait_for;
use holdfast::cli::open::{self, InStore};
use holdfast::config::{Flags, load_from};
use holdfast::domain::command::{
    Channel, Command, Keyed, LineRequest, Lines, Reserve, SetItem, StockChange, StockCommand,
};
use holdfast::domain::{HoldTtl, NodeIx, Sku, Ttl, Units};
use holdfast::engine::Engine;

use super::{Contender, HOLD_SECONDS};
use crate::Failure;
use crate::store::Store;
use crate::template::sku;

/// An open engine; its ledger is removed from the store at the end.
pub(crate) struct Holdfast {
    engine: Engine,
    channel: Channel<'static>,
}

impl Holdfast {
    /// Opens the ledger of a store, and makes it where there is none.
    pub(crate) fn open(store: &Store) -> Result<Self, Failure> {
        let environment = store.settings();
        let environment = environment.map(|(name, value)| (name.into(), value.into()));
        let loaded = load_from(&Flags::default(), environment)?;
        let opened = open::engine(&loaded.config, InStore::Made);
        let engine = opened.map_err(|why| why.found)?.engine;
        let made = wait_for(engine.make_channel("web"));
        let channel = made.map_err(|why| format!("no channel: {why:?}"))?;
        Ok(Self { engine, channel })
    }

    /// Counts everything again; units promised.
    pub(crate) fn recount(&self) -> Result<u64, Failure> {
        let found = wait_for(self.engine.recount())?;
        if found.violation_count == 0 {
            return Ok(found.units_promised);
        }
        let violations = found.violations.join("; ");
        Err(format!("{} violations: {violations}", found.violation_count).into())
    }

    /// Removes the ledger from the store.
    pub(crate) fn discard(self) -> Result<(), Failure> {
        wait_for(self.engine.discard())?;
        Ok(self.engine.close()?)
    }
}

impl Contender for Holdfast {
    type Local = (Engine, Channel<'static>);

    fn seed(&self, skus: u64, on_hand: u64) -> Result<(), Failure> {
        let on_hand = Some(Units::new(on_hand).ok_or("too many units")?);
        let names: Vec<String> = (0..skus).map(sku).collect();
        for (number, names) in names.chunks(1_000).enumerate() {
            let items = names.iter().map(|name| {
                Ok(SetItem {
                    sku: Sku::new(name).map_err(|why| why.to_string())?,
                    node: NodeIx::MAIN,
                    on_hand,
                    unavailable: None,
                    change_from: None,
                })
            });
            let command = Command::Stock(StockCommand {
                change: StockChange::Set(items.collect::<Result<_, Failure>>()?),
                reason: "load test",
                operator: None,
            });
            let key = self.engine.key(&format!("seed-{number}"), &command);
            let answer = self.engine.execute_blocking(&Keyed { key, command })?;
            answer.verdict.map_err(|refusal| refusal.code())?;
        }
        Ok(())
    }

    async fn enter(&self) -> Result<Self::Local, Failure> {
        self.engine.install_lane();
        Ok((self.engine.clone(), self.channel))
    }

    async fn reserve(local: &Self::Local, key: &str, sku: &str) -> Result<bool, Failure> {
        let (engine, channel) = local;
        let line = LineRequest {
            sku: Sku::new(sku).map_err(|why| why.to_string())?,
            node: None,
            quantity: Units::new(1).ok_or("no unit")?,
            by: None,
        };
        let ttl = Ttl::from_millis(HOLD_SECONDS * 1_000).ok_or("no time")?;
        let command = Command::Reserve(Reserve {
            channel: *channel,
            reference: None,
            ttl: HoldTtl::Asked(ttl),
            allow_partial: false,
            lines: Lines::try_new([line]).map_err(|why| format!("{why:?}"))?,
        });
        let key = engine.key(key, &command);
        let answer = engine.execute(&Keyed { key, command }).await?;
        Ok(answer.verdict.is_ok())
    }

    fn promised(&self) -> Result<u64, Failure> {
        self.recount()
    }
}
