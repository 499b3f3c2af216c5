//! Random histories: few SKUs, few nodes, tiny stocks, so that every refusal is common.

use holdfast::domain::command::Verb;
use holdfast::domain::policy::Document;
use holdfast::domain::stock::{Safety, Selling};
use holdfast::domain::{Level, LowWater, NodeIx, NodeSafety, Setting, Ttl, WhileLow};

use super::policies;
use super::rng::Rng;
use super::script::{AdjustAsk, Ask, MoveAsk, Script, SetAsk, ShareAsk, units};

/// One step of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// A command under a key.
    Command { key: String, script: Script },
    /// The wall clock moves by that many milliseconds; it may go backwards.
    Clock(i64),
    /// One pass of what runs in the background.
    Tick,
    /// The ledger is closed and opened again.
    Restart,
    /// A snapshot is written.
    Snapshot,
    /// A policy is put; with faults, it is not.
    Policy(Document),
    /// Every balance is compared.
    Compare,
}

pub(crate) const SKUS: [&str; 6] = ["a", "b", "c", "d", "e", "never"];
pub(crate) const REFERENCES: [&str; 4] = ["o-1", "o-2", "o-3", "o-4"];
/// Nodes and channels have indexes below these.
pub(crate) const NODES: u16 = 4;
pub(crate) const CHANNELS: u16 = 3;
pub(crate) const CHANNEL_NAMES: [&str; 3] = ["channel-0", "channel-1", "channel-2"];
/// Groups above the channels; they sell nothing themselves, but their shares may be used.
pub(crate) const GROUP_NAMES: [&str; 2] = ["group-0", "group-1"];

/// The names of channels and groups by index.
pub(crate) fn entry_names() -> impl Iterator<Item = &'static str> + Clone {
    CHANNEL_NAMES.into_iter().chain(GROUP_NAMES)
}

const MAX: u64 = 1_000_000_000_000;

/// Makes histories from a seed.
#[expect(clippy::struct_excessive_bools, reason = "each is chosen by itself")]
pub(crate) struct Maker {
    rng: Rng,
    /// What was sent before: to send it again, or to act on what it made.
    sent: Vec<(String, Script)>,
    reserves: Vec<String>,
    /// How often the ledger is closed, snapshots are taken and everything is compared, each one in
    /// that many steps.
    pub(crate) restart_every: u64,
    pub(crate) compare_every: u64,
    /// Whether the wall clock may go backwards.
    pub(crate) backwards: bool,
    /// For a ledger of several partitions: no key is used again with another content, which would be
    /// another command where that lies in other partitions; and low water ends where it began, since
    /// what is placed in one and taken back for want of stock in another could leave a SKU low.
    pub(crate) in_parts: bool,
    /// Whether policies are put.
    pub(crate) policies: bool,
    /// Whether policies say safety stocks and low-water marks. When they are noted is not for the model
    /// to know, so nothing may depend on how a SKU became low.
    pub(crate) terms: bool,
    /// Of a hundred commands, those that move share between channels.
    pub(crate) share_moves: u64,
    /// Prefix of the keys.
    pub(crate) prefix: String,
}

impl From<Rng> for Maker {
    fn from(rng: Rng) -> Self {
        Self {
            rng,
            sent: Vec::new(),
            reserves: Vec::new(),
            restart_every: 600,
            compare_every: 40,
            backwards: true,
            in_parts: false,
            policies: false,
            terms: false,
            share_moves: 0,
            prefix: String::new(),
        }
    }
}

impl Maker {
    pub(crate) fn new(seed: u64) -> Self {
        Self::from(Rng::new(seed))
    }

    /// A whole history, stock first.
    pub(crate) fn history(&mut self, steps: usize) -> Vec<Step> {
        let mut history: Vec<Step> = (0..4).map(|_| self.fresh(Self::set)).collect();
        while history.len() < steps {
            history.push(self.step());
        }
        history.push(Step::Compare);
        history
    }

    fn step(&mut self) -> Step {
        if self.rng.below(self.restart_every) == 0 {
            return if self.rng.percent(50) {
                Step::Restart
            } else {
                Step::Snapshot
            };
        }
        if self.policies && self.rng.below(25) == 0 {
            return Step::Policy(policies::random(&mut self.rng, self.terms));
        }
        if self.rng.below(self.compare_every) == 0 {
            return Step::Compare;
        }
        match self.rng.below(100) {
            0..=5 => Step::Clock(self.clock()),
            6 => Step::Tick,
            _ => self.command(),
        }
    }

    fn clock(&mut self) -> i64 {
        match self.rng.below(10) {
            0 if self.backwards => -i64::try_from(self.rng.below(5_000)).unwrap(),
            0 | 1 => i64::try_from(self.rng.below(20_000)).unwrap(),
            _ => i64::try_from(self.rng.below(300)).unwrap(),
        }
    }

    /// The next command, with its key.
    pub(crate) fn command(&mut self) -> Step {
        if self.rng.percent(5) && !self.sent.is_empty() {
            let at = self.recent(self.sent.len());
            let (key, script) = self.sent[at].clone();
            if self.rng.percent(70) || self.in_parts {
                return Step::Command { key, script };
            }
            let script = self.script();
            return Step::Command { key, script };
        }
        self.fresh(Self::script)
    }

    fn fresh(&mut self, script: impl Fn(&mut Self) -> Script) -> Step {
        let script = script(self);
        let key = format!("{}k{}", self.prefix, self.sent.len());
        if matches!(script, Script::Reserve { .. }) {
            self.reserves.push(key.clone());
        }
        self.sent.push((key.clone(), script.clone()));
        Step::Command { key, script }
    }

    /// An index, mostly of the last few.
    fn recent(&mut self, len: usize) -> usize {
        let back = if self.rng.percent(85) {
            len.min(12)
        } else {
            len
        };
        len - 1 - self.rng.index(back)
    }

    fn script(&mut self) -> Script {
        if self.rng.percent(self.share_moves) {
            return self.shares();
        }
        match self.rng.below(100) {
            0..=37 => self.reserve(),
            38..=79 => self.act(),
            80..=87 => self.set(),
            88..=92 => self.adjust(),
            93..=96 => self.shift(),
            _ => self.settings(),
        }
    }

    fn sku(&mut self) -> String {
        let known = if self.rng.percent(1) {
            SKUS.len()
        } else {
            SKUS.len() - 1
        };
        SKUS[self.rng.index(known)].to_owned()
    }

    fn node(&mut self) -> u16 {
        u16::try_from(self.rng.below(u64::from(NODES))).unwrap()
    }

    fn pin(&mut self) -> Option<u16> {
        if self.rng.percent(60) {
            None
        } else {
            Some(self.node())
        }
    }

    fn quantity(&mut self) -> u64 {
        match self.rng.below(60) {
            0 => self.rng.between(MAX / 8, MAX / 4),
            1 => MAX / 4,
            2..=9 => self.rng.between(4, 12),
            _ => self.rng.between(1, 4),
        }
    }

    fn asks(&mut self, most: u64) -> Vec<Ask> {
        let count = if self.rng.percent(60) {
            1
        } else {
            self.rng.between(1, most)
        };
        let same = self.rng.percent(30).then(|| self.sku());
        let mut asks = Vec::new();
        for _ in 0..count {
            let sku = same.clone().unwrap_or_else(|| self.sku());
            asks.push(Ask {
                sku,
                node: self.pin(),
                quantity: self.quantity(),
            });
        }
        asks
    }

    fn reserve(&mut self) -> Script {
        let named = self.rng.percent(40);
        Script::Reserve {
            channel: u16::try_from(self.rng.below(u64::from(CHANNELS))).unwrap(),
            reference: named.then(|| self.rng.pick(&REFERENCES).to_owned()),
            ttl: u32::try_from(self.ttl()).unwrap(),
            partial: self.rng.percent(35),
            lines: self.asks(4),
        }
    }

    fn ttl(&mut self) -> u64 {
        match self.rng.below(10) {
            0 => 1,
            1..=4 => self.rng.between(1, 1_000),
            5..=8 => self.rng.between(1_000, 20_000),
            _ => 30 * 24 * 3_600 * 1_000,
        }
    }

    fn act(&mut self) -> Script {
        let target = if self.reserves.is_empty() || self.rng.percent(1) {
            "nobody".to_owned()
        } else {
            let at = self.recent(self.reserves.len());
            self.reserves[at].clone()
        };
        let verb = match self.rng.below(20) {
            0..=6 => Verb::Confirm,
            7..=9 => Verb::Release,
            10..=11 => Verb::Extend(Ttl::from_millis(u32::try_from(self.ttl()).unwrap()).unwrap()),
            12..=15 => Verb::Ship {
                from: self.pin().map(NodeIx),
            },
            16..=17 => Verb::Return {
                restock: self.rng.percent(60),
                to: if self.rng.percent(50) {
                    None
                } else {
                    Some(NodeIx(self.node()))
                },
            },
            _ => Verb::Transfer {
                to: NodeIx(self.node()),
            },
        };
        let by_lines = !matches!(verb, Verb::Extend(_)) && self.rng.percent(40);
        let lines = by_lines.then(|| self.lines_of(&target));
        Script::Act {
            target,
            verb,
            lines,
        }
    }

    /// Lines that mostly are lines of the reservation.
    fn lines_of(&mut self, target: &str) -> Vec<Ask> {
        let made = self.sent.iter().rev().find(|(key, _)| key == target);
        let Some((_, Script::Reserve { lines, .. })) = made else {
            return self.asks(3);
        };
        let lines = lines.clone();
        if self.rng.percent(4) {
            return self.asks(3);
        }
        let mut asks = Vec::new();
        for line in lines {
            if self.rng.percent(70) || asks.is_empty() {
                let node = if self.rng.percent(50) {
                    line.node
                } else {
                    None
                };
                let quantity = match self.rng.below(10) {
                    0 => line.quantity + 1,
                    1..=5 => line.quantity,
                    _ => self.rng.between(1, line.quantity),
                };
                asks.push(Ask {
                    sku: line.sku,
                    node,
                    quantity,
                });
            }
        }
        asks
    }

    fn count(&mut self) -> u64 {
        match self.rng.below(40) {
            0 => MAX,
            1 => MAX / 2,
            2..=5 => 0,
            _ => self.rng.between(0, 14),
        }
    }

    fn set(&mut self) -> Script {
        let mut items = Vec::new();
        for _ in 0..self.rng.between(1, 3) {
            items.push(SetAsk {
                sku: SKUS[self.rng.index(SKUS.len() - 1)].to_owned(),
                node: self.node(),
                on_hand: if self.rng.percent(90) {
                    Some(self.count())
                } else {
                    None
                },
                unavailable: if self.rng.percent(15) {
                    Some(self.count())
                } else {
                    None
                },
                change_from: self.expectation(),
            });
        }
        Script::Set {
            reason: "count".to_owned(),
            items,
        }
    }

    fn expectation(&mut self) -> Option<u64> {
        if self.rng.percent(75) {
            None
        } else {
            Some(self.rng.below(6))
        }
    }

    fn delta(&mut self) -> i64 {
        match self.rng.below(80) {
            0 => i64::MIN,
            1 => i64::MAX,
            2 => i64::try_from(MAX).unwrap(),
            3 => -i64::try_from(MAX).unwrap(),
            _ => i64::try_from(self.rng.below(16)).unwrap() - 5,
        }
    }

    fn adjust(&mut self) -> Script {
        let mut items = Vec::new();
        for _ in 0..self.rng.between(1, 3) {
            items.push(AdjustAsk {
                sku: self.sku(),
                node: self.node(),
                on_hand: self.delta(),
                unavailable: if self.rng.percent(80) {
                    0
                } else {
                    self.delta()
                },
                change_from: self.expectation(),
            });
        }
        Script::Adjust {
            reason: self.rng.pick(&["found", "lost"]).to_owned(),
            items,
        }
    }

    fn shift(&mut self) -> Script {
        let mut items = Vec::new();
        for _ in 0..self.rng.between(1, 3) {
            let (from, to) = (self.node(), self.node());
            items.push(MoveAsk {
                sku: self.sku(),
                from,
                to,
                quantity: self.rng.between(1, 6),
            });
        }
        Script::Move {
            reason: "balance".to_owned(),
            items,
        }
    }

    fn low_water(&mut self) -> LowWater {
        let mark = self.level(0, 6, 4_000);
        let resume = !self.in_parts && !self.terms && self.rng.percent(60);
        LowWater {
            mark,
            resume: resume.then(|| self.level(5, 12, 9_000)),
            then: if self.rng.percent(40) {
                WhileLow::Suspend
            } else {
                WhileLow::Sell
            },
        }
    }

    fn level(&mut self, least: u64, most: u64, points: u64) -> Level {
        if self.rng.percent(60) {
            Level::Units(units(self.rng.between(least, most)))
        } else {
            Level::Percent(u16::try_from(self.rng.below(points)).unwrap())
        }
    }

    fn shares(&mut self) -> Script {
        let mut items = Vec::new();
        for _ in 0..self.rng.between(1, 3) {
            let from = u16::try_from(self.rng.below(u64::from(CHANNELS))).unwrap();
            let further = u16::try_from(self.rng.between(1, u64::from(CHANNELS) - 1)).unwrap();
            items.push(ShareAsk {
                sku: self.sku(),
                from,
                to: (from + further) % CHANNELS,
                units: self.rng.between(1, 4),
            });
        }
        Script::Shares { items }
    }

    /// Of some nodes, none, or all.
    fn node_safety(&mut self) -> NodeSafety {
        let mut nodes = Vec::new();
        for node in 0..NODES {
            if self.rng.percent(40) {
                nodes.push((NodeIx(node), self.level(0, 4, 6_000)));
            }
        }
        NodeSafety::new(nodes).unwrap()
    }

    fn settings(&mut self) -> Script {
        let safety = match self.rng.below(6) {
            0 => Some(Setting::Own(Safety::Units(units(0)))),
            1 => Some(Setting::Own(Safety::Units(units(self.rng.between(1, 5))))),
            2 => Some(Setting::Own(Safety::Percent(
                u16::try_from(self.rng.between(0, 10_000)).unwrap(),
            ))),
            3 => Some(Setting::Own(Safety::Percent(500))),
            4 => Some(Setting::AsPolicy),
            _ => None,
        };
        let node_safety = self.rng.percent(25).then(|| self.node_safety());
        let selling = match self.rng.below(8) {
            0 => Some(Selling::Suspended),
            1..=5 => Some(Selling::On),
            _ => None,
        };
        let low_water = match self.rng.below(6) {
            0 => Some(Setting::Own(None)),
            1..=3 => Some(Setting::Own(Some(self.low_water()))),
            4 => Some(Setting::AsPolicy),
            _ => None,
        };
        let if_version = self
            .rng
            .percent(20)
            .then(|| u32::try_from(self.rng.below(6)).unwrap());
        let sku = SKUS[self.rng.index(SKUS.len() - 1)].to_owned();
        Script::Settings {
            sku,
            safety,
            node_safety,
            selling,
            low_water,
            if_version,
        }
    }
}
