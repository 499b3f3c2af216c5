//! A live channel, three others and a crowd of buyers, over any engines that serve one ledger.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use holdfast::blocking::wait_for;
use holdfast::domain::command::{
    Act, Channel, Command, Keyed, LineRequest, Lines, Reserve, SetItem, StockChange, StockCommand,
    Verb,
};
use holdfast::domain::{
    HoldTtl, NodeIx, Outcome, Refusal, ReservationId, Sku, Ttl, Units, Verdict,
};
use holdfast::engine::Engine;
use holdfast::ledger::policy::PolicyPut;

const STOCK: u64 = 1_000;
const BUYERS: usize = 20_000;
const THREADS: usize = 8;
const ITEM: &str = "s";

/// Live is capped at 60 % of the supply, the shops at 35 % together, so that it does not matter who is
/// faster; and 50 units are kept for the market, whose buyers sleep.
const POLICY: &str = r#"{
    "channels": [{"name": "live"}, {"name": "shops"}, {"name": "market"},
        {"name": "shop", "parent": "shops"}, {"name": "outlet", "parent": "shops"}],
    "rules": [{"id": "all", "default": true, "limits": [
        {"channel": "live", "cap": {"percent": 60}},
        {"channel": "shops", "cap": {"percent": 35}},
        {"channel": "market", "protection": {"units": 50}}]}]}"#;

/// Who bought, by channel.
type Sold = BTreeMap<&'static str, Vec<ReservationId>>;

/// The engines, asked in turn.
struct Shops<'e> {
    engines: &'e [Engine],
    asked: AtomicU64,
}

fn units(n: u64) -> Units {
    Units::new(n).unwrap()
}

impl Shops<'_> {
    fn next(&self) -> (&Engine, u64) {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        let at = usize::try_from(asked).unwrap() % self.engines.len();
        (&self.engines[at], asked)
    }

    fn execute(&self, command: Command<'_>) -> Verdict {
        let (engine, asked) = self.next();
        let key = engine.key(&format!("crowd-{asked}"), &command);
        engine
            .execute_blocking(&Keyed { key, command })
            .unwrap()
            .verdict
    }

    fn put_policy(&self) {
        let put = PolicyPut {
            text: POLICY,
            expected: None,
            operator: "",
            reason: "",
            over: "",
        };
        wait_for(self.next().0.put_policy(&put)).unwrap();
    }

    fn set(&self, on_hand: u64) {
        let item = SetItem {
            sku: Sku::new(ITEM).unwrap(),
            node: NodeIx::MAIN,
            on_hand: Some(units(on_hand)),
            unavailable: None,
            change_from: None,
        };
        let set = Command::Stock(StockCommand {
            change: StockChange::Set(vec![item]),
            reason: "count",
            operator: None,
        });
        self.execute(set).unwrap();
    }

    fn hold(&self, channel: &str, quantity: Units) -> Verdict {
        let line = LineRequest {
            sku: Sku::new(ITEM).unwrap(),
            node: None,
            quantity,
            by: None,
        };
        self.execute(Command::Reserve(Reserve {
            channel: Channel {
                name: channel,
                index: None,
            },
            reference: None,
            ttl: HoldTtl::Asked(Ttl::from_millis(86_400_000).unwrap()),
            allow_partial: false,
            lines: Lines::try_new([line]).unwrap(),
        }))
    }

    fn ship(&self, id: ReservationId) {
        for verb in [Verb::Confirm, Verb::Ship { from: None }] {
            let act = Act {
                id,
                verb,
                lines: None,
            };
            self.execute(Command::Act(act)).unwrap();
        }
    }

    /// The most that a channel can hold now, found by trying.
    fn room(&self, channel: &str) -> u64 {
        match self.hold(channel, Units::MAX) {
            Err(Refusal::InsufficientStock { shortages }) => shortages[0].available.get(),
            other => panic!("everything and more was not refused: {other:?}"),
        }
    }

    /// Every buyer wants one unit. Six in eight come live, the others elsewhere.
    fn storm(&self, buyers: usize) -> Sold {
        let sold = Mutex::new(Sold::new());
        let buy = |buyer: usize| {
            let channel = match buyer % 8 {
                0 => "shop",
                1 => "outlet",
                _ => "live",
            };
            if let Ok(Outcome::Reservation(made)) = self.hold(channel, units(1)) {
                sold.lock()
                    .unwrap()
                    .entry(channel)
                    .or_default()
                    .push(made.id);
            }
        };
        thread::scope(|scope| {
            for part in 0..THREADS {
                let buy = &buy;
                scope.spawn(move || (part..buyers).step_by(THREADS).for_each(buy));
            }
        });
        sold.into_inner().unwrap()
    }
}

fn count(sold: &Sold, channel: &str) -> u64 {
    u64::try_from(sold.get(channel).map_or(0, Vec::len)).unwrap()
}

/// Sells a thousand units to twenty thousand buyers, ships some, receives more, and sells again.
pub(crate) fn a_live_channel_gets_at_most_its_cap(engines: &[Engine]) {
    let shops = Shops {
        engines,
        asked: AtomicU64::default(),
    };
    shops.put_policy();
    shops.set(STOCK);

    let sold = shops.storm(BUYERS);
    assert_eq!(count(&sold, "live"), 600, "exactly the cap");
    let others = count(&sold, "shop") + count(&sold, "outlet");
    assert_eq!(others, STOCK - 600 - 50, "everything but what is kept");
    let mut ids: Vec<_> = sold.values().flatten().collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 950, "no unit is sold twice");
    assert_eq!(shops.room("market"), 50, "the minimum is intact");
    shops.hold("market", units(50)).unwrap();
    assert_eq!(shops.room("shop"), 0, "every unit is sold");

    // What is shipped was used all the same, and what is received makes the supply larger.
    sold["live"].iter().take(200).for_each(|id| shops.ship(*id));
    assert_eq!(shops.room("live"), 0);
    shops.set(STOCK - 200 + 500);
    assert_eq!(shops.room("live"), 300, "60 % of 1,500, less 600");
    let more = shops.storm(BUYERS / 4);
    assert_eq!(count(&more, "live"), 300);
    let others = count(&more, "shop") + count(&more, "outlet");
    assert_eq!(others, 175, "35 % of 1,500, less 350");
    for engine in engines {
        let stock = wait_for(engine.stock(Sku::new(ITEM).unwrap()))
            .unwrap()
            .unwrap();
        assert_eq!(stock.held, units(1_275));
        assert_eq!((stock.available, stock.deficit), (units(25), units(0)));
    }
    let recount = wait_for(engines[0].recount()).unwrap();
    assert_eq!(recount.violations, Vec::<String>::new());
}
