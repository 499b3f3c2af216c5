//! Random commands about dated supply: announcements, promises for days, all that may become of them,
//! and what changes the stock and the settings under them.

use std::sync::LazyLock;

use holdfast::domain::command::{
    Act, AdjustItem, Channel, Command, InboundCommand, LineRequest, Lines, PutInbound, PutSettings,
    ReceiveInbound, Reserve, SetItem, StockChange, StockCommand, TransferItem, Verb,
};
use holdfast::domain::policy::Document;
use holdfast::domain::stock::{Safety, Selling};
use holdfast::domain::{
    ChannelIx, Day, HoldTtl, InboundKind, Level, LowWater, NodeIx, NodeSafety, ReservationId,
    Setting, Sku, Ttl, Units, UnixMillis, WhileLow,
};

use crate::support::history::{CHANNEL_NAMES, NODES, SKUS};
use crate::support::policies;
use crate::support::rng::Rng;

pub(crate) const DAY_MS: i64 = 86_400_000;
const NAMES: [&str; 6] = ["po-0", "po-1", "po-2", "po-3", "PO-3", "r"];

/// What nodes keep back, of which a command takes one.
static NODE_SAFETIES: LazyLock<[NodeSafety; 4]> = LazyLock::new(|| {
    let of = |nodes: &[(u16, Safety)]| {
        let nodes = nodes.iter().map(|(node, level)| (NodeIx(*node), *level));
        NodeSafety::new(nodes.collect()).unwrap()
    };
    [
        of(&[]),
        of(&[(0, Safety::Units(units(2)))]),
        of(&[(1, Safety::Percent(4_000)), (3, Safety::Units(units(1)))]),
        of(&[(0, Safety::Percent(2_500)), (2, Safety::Units(units(4)))]),
    ]
});

fn units(n: u64) -> Units {
    Units::new(n).unwrap()
}

/// So many of a SKU at the first node.
pub(crate) fn count(name: &'static str, on_hand: u64) -> Command<'static> {
    let item = SetItem {
        sku: Sku::new(name).unwrap(),
        node: NodeIx::MAIN,
        on_hand: Some(units(on_hand)),
        unavailable: None,
        change_from: None,
    };
    Command::Stock(StockCommand {
        change: StockChange::Set(vec![item]),
        reason: "count",
        operator: None,
    })
}

/// Random commands, all of which are kept in texts that live for ever.
pub(crate) struct Maker {
    pub(crate) rng: Rng,
    pub(crate) now: i64,
    /// Whether there are low-water marks.
    pub(crate) marks: bool,
}

impl Maker {
    fn sku(&mut self) -> Sku<'static> {
        Sku::new(self.rng.pick(&SKUS)).unwrap()
    }

    fn node(&mut self) -> NodeIx {
        NodeIx(u16::try_from(self.rng.below(u64::from(NODES))).unwrap())
    }

    /// Mostly from today on.
    fn day(&mut self, most: u64) -> Day {
        let ahead = u16::try_from(self.rng.below(most)).unwrap();
        let back = u16::from(self.rng.percent(10));
        let today = Day::of(UnixMillis(self.now)).get();
        Day::new(today + ahead - back).unwrap()
    }

    fn some<T>(&mut self, one: impl Fn(&mut Self) -> T) -> Vec<T> {
        let count = if self.rng.percent(60) {
            1
        } else {
            self.rng.between(2, 4)
        };
        (0..count).map(|_| one(self)).collect()
    }

    fn announce(&mut self) -> InboundCommand<'static> {
        let kinds = [
            InboundKind::InTransit,
            InboundKind::Presale,
            InboundKind::Return,
        ];
        InboundCommand::Put(self.some(|maker| {
            let is_far = maker.rng.percent(3);
            PutInbound {
                sku: maker.sku(),
                id: maker.rng.pick(&NAMES),
                kind: maker.rng.pick(&kinds),
                node: maker.node(),
                due: maker.day(if is_far { 400 } else { 8 }),
                quantity: units(maker.rng.below(9)),
            }
        }))
    }

    fn receive(&mut self) -> InboundCommand<'static> {
        InboundCommand::Receive(self.some(|maker| ReceiveInbound {
            sku: maker.sku(),
            id: maker.rng.pick(&NAMES),
            quantity: units(maker.rng.below(5)),
            is_final: maker.rng.percent(15),
        }))
    }

    fn line(&mut self) -> LineRequest<'static> {
        LineRequest {
            sku: self.sku(),
            node: self.rng.percent(40).then(|| self.node()),
            quantity: units(self.rng.between(1, 5)),
            by: self.rng.percent(70).then(|| self.day(9)),
        }
    }

    fn reserve(&mut self) -> Command<'static> {
        let channel = self.rng.index(CHANNEL_NAMES.len());
        Command::Reserve(Reserve {
            channel: Channel {
                name: CHANNEL_NAMES[channel],
                index: Some(ChannelIx(u16::try_from(channel).unwrap())),
            },
            reference: self.rng.percent(20).then_some("order"),
            ttl: HoldTtl::Asked(Ttl::from_millis(self.ttl()).unwrap()),
            allow_partial: self.rng.percent(30),
            lines: Lines::try_new(self.some(Self::line)).unwrap(),
        })
    }

    fn ttl(&mut self) -> u32 {
        // Hardly two end at the same moment: each ledger has an order of its own within one.
        u32::try_from(self.rng.between(1, 4) * 43_200_000 + self.rng.below(1_000_000)).unwrap()
    }

    /// Anything but what needs a reservation.
    pub(crate) fn any(&mut self) -> Command<'static> {
        match self.rng.below(14) {
            0..=2 => Command::Inbound(self.announce()),
            3..=4 => Command::Inbound(self.receive()),
            5 if self.rng.percent(60) => self.stock(),
            5 => self.settings(),
            _ => self.reserve(),
        }
    }

    /// One of what was made, mostly a late one, of which something is left.
    pub(crate) fn one_of(&mut self, made: usize) -> Option<usize> {
        if made == 0 {
            return None;
        }
        let at = self.rng.index(made);
        let recent = made.saturating_sub(12);
        Some(if self.rng.percent(80) {
            at.max(recent)
        } else {
            at
        })
    }

    pub(crate) fn act(&mut self, id: ReservationId) -> Act<'static> {
        let from = self.rng.percent(40).then(|| self.node());
        let verb = match self.rng.below(12) {
            0..=3 => Verb::Confirm,
            4 => Verb::Release,
            5 => Verb::Extend(Ttl::from_millis(self.ttl()).unwrap()),
            6..=8 => Verb::Ship { from },
            9 => Verb::Return {
                restock: self.rng.percent(70),
                to: from,
            },
            _ => Verb::Transfer { to: self.node() },
        };
        let lines = self.rng.percent(30).then(|| {
            let line = LineRequest {
                by: None,
                ..self.line()
            };
            Lines::try_new([line]).unwrap()
        });
        let lines = lines.filter(|_| !matches!(verb, Verb::Extend(_)));
        Act { id, verb, lines }
    }

    fn stock(&mut self) -> Command<'static> {
        let change = match self.rng.below(4) {
            0 => StockChange::Transfer(self.some(|maker| TransferItem {
                sku: maker.sku(),
                from: maker.node(),
                to: maker.node(),
                quantity: units(maker.rng.between(1, 3)),
            })),
            1 => StockChange::Adjust(self.some(|maker| AdjustItem {
                sku: maker.sku(),
                node: maker.node(),
                on_hand: i64::try_from(maker.rng.below(6)).unwrap() - 2,
                unavailable: 0,
                change_from: None,
            })),
            _ => StockChange::Set(self.some(|maker| SetItem {
                sku: maker.sku(),
                node: maker.node(),
                on_hand: Some(units(maker.rng.below(8))),
                unavailable: None,
                change_from: None,
            })),
        };
        Command::Stock(StockCommand {
            change,
            reason: "count",
            operator: None,
        })
    }

    /// A policy, mostly without faults.
    pub(crate) fn policy(&mut self) -> Document {
        policies::random(&mut self.rng, false)
    }

    fn settings(&mut self) -> Command<'static> {
        let safety = match self.rng.below(4) {
            0 => Some(Setting::Own(Safety::Units(units(self.rng.below(3))))),
            1 => Some(Setting::Own(Safety::Percent(
                u16::try_from(self.rng.below(3_000)).unwrap(),
            ))),
            _ => None,
        };
        let selling = match self.rng.below(8) {
            0 => Some(Selling::Suspended),
            1..=3 => Some(Selling::On),
            _ => None,
        };
        let node_safety = self
            .rng
            .percent(20)
            .then(|| self.rng.index(NODE_SAFETIES.len()));
        let node_safety = node_safety.map(|at| &NODE_SAFETIES[at]);
        let mark = (self.marks && self.rng.percent(30)).then(|| {
            self.rng.percent(70).then(|| LowWater {
                mark: Level::Units(units(self.rng.below(4))),
                resume: self
                    .rng
                    .percent(50)
                    .then(|| Level::Units(units(self.rng.between(4, 7)))),
                then: if self.rng.percent(40) {
                    WhileLow::Suspend
                } else {
                    WhileLow::Sell
                },
            })
        });
        Command::PutSettings(PutSettings {
            sku: self.sku(),
            safety,
            node_safety,
            selling,
            low_water: mark.map(Setting::Own),
            if_version: None,
            over: None,
        })
    }
}
