//! Which unit serves which promise for a day: each unit of its own, one by one, as nobody would do it who
//! has many.

use std::collections::BTreeMap;

use holdfast::domain::{Day, Line};

/// The latest moment of a promise, or the first of what is given. None, and days that have passed:
/// now.
pub(crate) fn until(day: Option<Day>, today: u16) -> u16 {
    day.map_or(0, Day::get) * u16::from(day.is_some_and(|day| day.get() >= today))
}

/// What a SKU has and owes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Supply {
    pub(crate) on_hand: BTreeMap<u16, u64>,
    pub(crate) inbound: BTreeMap<String, (u16, Day, u64)>,
}

/// Units to give and wants to serve, and which want each unit serves.
pub(crate) struct Assignment {
    given: Vec<(u16, u16)>,
    wants: Vec<(u16, Option<u16>)>,
    serves: Vec<Option<usize>>,
    pub(crate) unserved: u64,
}

impl Assignment {
    pub(crate) fn of<'a>(
        supply: &Supply,
        lines: impl Iterator<Item = &'a Line>,
        today: u16,
    ) -> Self {
        let mut given = Vec::new();
        for (node, count) in &supply.on_hand {
            given.extend((0..*count).map(|_| (0, *node)));
        }
        for (node, due, count) in supply.inbound.values() {
            if due.get() >= today {
                given.extend((0..*count).map(|_| (until(Some(*due), today), *node)));
            }
        }
        let serves = vec![None; given.len()];
        let mut all = Self {
            given,
            wants: Vec::new(),
            serves,
            unserved: 0,
        };
        for line in lines {
            for _ in 0..line.open().get() {
                all.want(until(line.day, today), line.pin.map(|node| node.0));
            }
        }
        all
    }

    pub(crate) fn want(&mut self, until: u16, pin: Option<u16>) -> bool {
        self.wants.push((until, pin));
        let mut seen = vec![false; self.given.len()];
        let served = self.serve(self.wants.len() - 1, &mut seen);
        self.unserved += u64::from(!served);
        served
    }

    fn serve(&mut self, want: usize, seen: &mut [bool]) -> bool {
        let (until, pin) = self.wants[want];
        for at in 0..self.given.len() {
            let (from, node) = self.given[at];
            if seen[at] || from > until || pin.is_some_and(|pin| pin != node) {
                continue;
            }
            seen[at] = true;
            if self.serves[at].is_none_or(|other| self.serve(other, seen)) {
                self.serves[at] = Some(want);
                return true;
            }
        }
        false
    }

    /// So many more can be served with all that can be now.
    pub(crate) fn takes(mut self, count: u64, until: u16, pin: Option<u16>) -> bool {
        (0..count).all(|_| self.want(until, pin))
    }

    /// The most that could be wanted as well.
    pub(crate) fn room(mut self, until: u16, pin: Option<u16>) -> u64 {
        let mut room = 0;
        while self.want(until, pin) {
            room += 1;
        }
        room
    }
}
