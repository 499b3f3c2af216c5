//! Callers: each sends commands under keys, waits or gives up, and asks again with the same key until
//! it knows what became of them. Whatever it hears, it tells the judge.

use std::rc::Rc;

use holdfast::domain::command::Command;
use holdfast::domain::hash::Hasher;
use holdfast::domain::stock::{Safety, Selling};
use holdfast::domain::{Setting, Units};
use holdfast::ledger::policy::text;

use crate::crowd::{Crowd, Heard};
use crate::dated;
use crate::faults::Fault;
use crate::support::history::{Maker, NODES, SKUS, Step};
use crate::support::policies;
use crate::support::rng::Rng;
use crate::support::script::{AdjustAsk, Script};

/// What a command says.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Plain(Script),
    Dated(dated::Ask),
}

impl Content {
    /// The key of the reservation that it acts on.
    pub(crate) fn target(&self) -> Option<&str> {
        match self {
            Self::Plain(script) => script.target(),
            Self::Dated(ask) => ask.target(),
        }
    }

    pub(crate) fn command(&self, hasher: Hasher) -> Command<'_> {
        let target = self.target().map_or(0, |key| hasher.key(key));
        match self {
            Self::Plain(script) => script.command(target),
            Self::Dated(ask) => ask.command(target),
        }
    }
}

/// A caller.
pub(crate) struct Caller {
    crowd: Rc<Crowd>,
    name: String,
    maker: Maker,
    dated: dated::Maker,
    policies: Rng,
    /// Keys under which it was told of a reservation.
    granted: Vec<String>,
    /// What it does not know the result of.
    open: Vec<(String, Rc<Content>)>,
}

impl Caller {
    /// The first two send the same commands under the same keys.
    pub(crate) fn new(crowd: &Rc<Crowd>, number: u64) -> Self {
        let own = number.max(1);
        let mut maker = Maker::new(crowd.plan.seed * 100 + own);
        maker.prefix = format!("c{own}.");
        maker.share_moves = 5;
        Self {
            crowd: Rc::clone(crowd),
            name: format!("caller {number}"),
            maker,
            dated: dated::Maker::new(crowd.plan.seed * 100 + number, format!("d{number}.")),
            policies: Rng::new(crowd.plan.seed * 100 + number),
            granted: Vec::new(),
            open: Vec::new(),
        }
    }

    /// Sends its share of the commands, then asks until nothing is unknown.
    pub(crate) async fn live(mut self) {
        let crowd = Rc::clone(&self.crowd);
        let sim = &crowd.sim;
        while let Some(left) = crowd.left.get().checked_sub(1) {
            crowd.left.set(left);
            self.think().await;
            if !self.open.is_empty() && sim.percent(60) {
                self.ask_again().await;
            }
            if sim.percent(4) && !self.granted.is_empty() {
                let key = &self.granted[sim.index(self.granted.len())];
                crowd.read(&self.name, key).await;
            }
            self.send_next().await;
        }
        while !self.open.is_empty() {
            sim.sleep(sim.between(1, 40)).await;
            self.ask_again().await;
        }
        crowd.busy.set(crowd.busy.get() - 1);
    }

    async fn think(&self) {
        let sim = &self.crowd.sim;
        match sim.below(10) {
            0..=5 => sim.pause().await,
            6..=8 => sim.sleep(sim.between(1, 8)).await,
            _ => sim.sleep(sim.between(5, 60)).await,
        }
        let idle = self.crowd.idle_until.get() - sim.now();
        if let Ok(idle @ 1..) = u64::try_from(idle) {
            sim.sleep(idle).await;
        }
    }

    async fn send_next(&mut self) {
        let sim = self.crowd.sim.clone();
        let plan = self.crowd.plan;
        if plan.has_policies && sim.below(150) == 0 {
            return self.put_policy().await;
        }
        let (key, content) = if sim.percent(plan.dated) {
            let (key, ask) = self.dated.next(sim.clock().now());
            (key, Content::Dated(ask))
        } else if sim.percent(8) {
            (
                format!("{}r{}", self.maker.prefix, sim.now()),
                self.restock(),
            )
        } else {
            let (key, script) = self.next_command();
            (key, Content::Plain(script))
        };
        let content = Rc::new(content);
        if sim.percent(3) {
            sim.fired(Fault::SentTwice);
            let (crowd, name) = (Rc::clone(&self.crowd), format!("{}'", self.name));
            let (key, content) = (key.clone(), Rc::clone(&content));
            sim.spawn(async move {
                crowd.attempt(&name, &key, &content).await;
            });
        }
        self.send(key, content).await;
    }

    /// Mostly nothing about reservations that it was never granted.
    fn next_command(&mut self) -> (String, Script) {
        loop {
            let Step::Command { key, script } = self.maker.command() else {
                continue;
            };
            let is_sensible =
                { script.target() }.is_none_or(|key| self.granted.iter().rev().any(|of| of == key));
            if is_sensible || self.crowd.sim.percent(5) {
                return (key, script);
            }
        }
    }

    /// More of a SKU, or what ends that none of it is sold.
    fn restock(&mut self) -> Content {
        let sim = &self.crowd.sim;
        let sku = sim.pick(&SKUS[..5]).to_owned();
        Content::Plain(if sim.percent(30) {
            Script::Settings {
                sku,
                safety: Some(Setting::Own(Safety::Units(Units::ZERO))),
                node_safety: None,
                selling: Some(Selling::On),
                low_water: Some(Setting::Own(None)),
                if_version: None,
            }
        } else {
            Script::Adjust {
                reason: "delivery".to_owned(),
                items: vec![AdjustAsk {
                    sku,
                    node: u16::try_from(sim.below(u64::from(NODES))).unwrap(),
                    on_hand: i64::try_from(sim.between(5, 40)).unwrap(),
                    unavailable: 0,
                    change_from: None,
                }],
            }
        })
    }

    async fn send(&mut self, key: String, content: Rc<Content>) {
        let heard = Box::pin(self.crowd.attempt(&self.name, &key, &content)).await;
        match heard {
            Heard::Answer { is_granted: true } => self.granted.push(key),
            Heard::Answer { is_granted: false } => {}
            // Some try again, some have better things to do.
            Heard::Nothing if self.crowd.sim.percent(50) => {}
            Heard::Nothing | Heard::Unknown => self.open.push((key, content)),
        }
    }

    /// Settles something that it does not know: by its key, or by sending it again.
    async fn ask_again(&mut self) {
        let sim = self.crowd.sim.clone();
        let at = sim.index(self.open.len());
        let (key, content) = self.open.swap_remove(at);
        if sim.percent(20) && self.crowd.look_up(&self.name, &key, &content).await {
            return;
        }
        if matches!(*content, Content::Plain(_)) && sim.percent(5) {
            sim.fired(Fault::KeyReused);
            let Step::Command { script, .. } = self.maker.command() else {
                return;
            };
            let other = Rc::new(Content::Plain(script));
            self.crowd.attempt(&self.name, &key, &other).await;
        }
        self.send(key, content).await;
    }

    async fn put_policy(&mut self) {
        let text = text::write(&policies::random(&mut self.policies, true));
        self.crowd.put_policy(&self.name, &text).await;
    }
}
