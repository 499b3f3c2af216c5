//! What the clients of a history are going to do: everything but the order in which it happens.

use super::words::{Key, SKUS, Step, Units, Verb, Wish};
use std::ops::Range;

use crate::support::rng::Rng;

/// What becomes of a request and its reply on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Heard,
    /// It never arrives, and its caller does not know.
    RequestLost,
    ReplyLost,
    /// It arrives when its caller has gone on.
    Late,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Planned {
    pub(crate) client: usize,
    pub(crate) step: Step,
    pub(crate) fate: Fate,
    /// Whether others come before it is sent, and before its answer is there.
    pub(crate) yields: [bool; 2],
}

/// See the module's documentation.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) number: u64,
    pub(crate) steps: Vec<Planned>,
}

/// How large a history is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) clients: usize,
    pub(crate) calls: usize,
}

pub(crate) const SMALL: Size = Size {
    clients: 4,
    calls: 100,
};
pub(crate) const LARGE: Size = Size {
    clients: 8,
    calls: 400,
};

/// What may happen in a history.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// The clock is moved, and holds expire.
    pub(crate) is_timed: bool,
    /// Requests and replies are lost by those who send them.
    pub(crate) is_lossy: bool,
}

struct Maker {
    rng: Rng,
    skus: usize,
    /// Reservations may be of several SKUs.
    is_joined: bool,
    kind: Kind,
    /// What was asked so far.
    asked: Vec<(Key, Wish)>,
    /// Keys of reservations.
    reserves: Vec<Key>,
    next: Key,
}

impl Plan {
    pub(crate) fn draw(number: u64, size: Size, kind: Kind) -> Self {
        let mut rng = Rng::new(number);
        let skus = 1 + rng.index(SKUS);
        let is_joined = rng.percent(40);
        let clients = rng.index(size.clients - 1) + 2;
        let mut maker = Maker {
            rng,
            skus,
            is_joined,
            kind,
            asked: Vec::new(),
            reserves: Vec::new(),
            next: 0,
        };
        let steps = (0..size.calls).map(|at| maker.planned(at, size.calls, clients));
        Self {
            number,
            steps: steps.collect(),
        }
    }

    pub(crate) fn of(&self, client: usize) -> impl Iterator<Item = &Planned> {
        self.steps.iter().filter(move |step| step.client == client)
    }

    /// By how much the clock is moved in all.
    pub(crate) fn passes(&self) -> i64 {
        let moves = self.steps.iter().map(|planned| match planned.step {
            Step::Clock { by } => by,
            Step::Ask { .. } | Step::Look { .. } => 0,
        });
        moves.sum()
    }
}

/// Plans with a clock that moves, a third of which loses requests and replies.
pub(crate) fn mixed(numbers: Range<u64>, size: Size) -> Vec<Plan> {
    let kind = |number: u64| Kind {
        is_timed: true,
        is_lossy: number.is_multiple_of(3),
    };
    let plan = |number| Plan::draw(number, size, kind(number));
    numbers.map(plan).collect()
}

const DAY: u32 = 86_400_000;

impl Maker {
    fn planned(&mut self, at: usize, calls: usize, clients: usize) -> Planned {
        let step = self.step(at, calls);
        let is_command = matches!(step, Step::Ask { .. });
        let fate = if !self.kind.is_lossy || !is_command {
            Fate::Heard
        } else {
            // A few in a history of any size: each may stand anywhere behind its beginning, or nowhere, so
            // that there is twice as much to search with every one.
            match self.rng.index(calls) {
                0 => Fate::RequestLost,
                1 | 2 => Fate::ReplyLost,
                3 | 4 => Fate::Late,
                _ => Fate::Heard,
            }
        };
        Planned {
            client: self.rng.index(clients),
            step,
            fate,
            yields: [self.rng.percent(15), self.rng.percent(15)],
        }
    }

    fn step(&mut self, at: usize, calls: usize) -> Step {
        // A few times in a history.
        if self.kind.is_timed && self.rng.index(calls) < 4 {
            let by = 5 * i64::try_from(self.rng.between(1, 8)).unwrap_or(1);
            return Step::Clock { by };
        }
        if self.rng.percent(8) {
            return Step::Look { sku: self.sku() };
        }
        if self.rng.percent(12) && !self.asked.is_empty() {
            let at = self.recent(self.asked.len());
            let (key, wish) = self.asked[at];
            let wish = if self.rng.percent(85) {
                wish
            } else {
                wish_like(wish)
            };
            return Step::Ask { key, wish };
        }
        // First there must be something to be had.
        let wish = if at < self.skus * 2 && self.rng.percent(70) {
            self.count()
        } else {
            self.wish()
        };
        let key = self.next;
        self.next += 1;
        if matches!(wish, Wish::Reserve { .. }) {
            self.reserves.push(key);
        }
        self.asked.push((key, wish));
        Step::Ask { key, wish }
    }

    fn sku(&mut self) -> usize {
        self.rng.index(self.skus)
    }

    /// One of the last few.
    fn recent(&mut self, len: usize) -> usize {
        len - 1 - self.rng.index(len.min(8))
    }

    fn wish(&mut self) -> Wish {
        match self.rng.below(100) {
            0..=45 => self.reserve(),
            46..=85 if !self.reserves.is_empty() => self.act(),
            86..=93 => self.adjust(),
            _ => self.count(),
        }
    }

    fn few(&mut self, least: u64, most: u64) -> u16 {
        u16::try_from(self.rng.between(least, most)).unwrap_or(1)
    }

    fn reserve(&mut self) -> Wish {
        let mut units = Units::default();
        let sku = self.sku();
        units[sku] = self.few(1, 3);
        if self.is_joined && self.rng.percent(30) {
            let other = self.sku();
            units[other] = self.few(1, 2);
        }
        Wish::Reserve {
            units,
            ttl: self.ttl(),
            partial: self.rng.percent(25),
        }
    }

    fn ttl(&mut self) -> u32 {
        if self.kind.is_timed {
            u32::from(self.few(10, 100))
        } else {
            DAY
        }
    }

    fn act(&mut self) -> Wish {
        let at = self.recent(self.reserves.len());
        let target = self.reserves[at];
        let verb = match self.rng.below(100) {
            0..=34 => Verb::Confirm,
            35..=69 => Verb::Release,
            70..=84 => Verb::Extend(self.ttl()),
            _ => Verb::Ship,
        };
        Wish::Act { target, verb }
    }

    fn adjust(&mut self) -> Wish {
        let by = self.rng.pick(&[-3, -2, -1, 1, 2, 3, 4]);
        Wish::Adjust {
            sku: self.sku(),
            by,
        }
    }

    fn count(&mut self) -> Wish {
        let change_from = self.rng.percent(40).then(|| self.few(0, 6));
        Wish::Set {
            sku: self.sku(),
            on_hand: self.few(2, 8),
            change_from,
        }
    }
}

/// Something else about the same SKUs.
fn wish_like(wish: Wish) -> Wish {
    match wish {
        Wish::Set { sku, .. } => Wish::Adjust { sku, by: 1 },
        Wish::Adjust { sku, by } => Wish::Adjust { sku, by: by + 1 },
        Wish::Reserve {
            units,
            ttl,
            partial,
        } => Wish::Reserve {
            units: units.map(|units| 2 * units),
            ttl,
            partial,
        },
        Wish::Act { target, verb } => Wish::Act {
            target,
            verb: match verb {
                Verb::Confirm => Verb::Release,
                Verb::Release | Verb::Extend(_) | Verb::Ship => Verb::Confirm,
            },
        },
    }
}
