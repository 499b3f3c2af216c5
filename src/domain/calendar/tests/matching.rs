//! Units assigned to promises one by one: the largest matching there is, by augmenting paths (H. W.
//! Kuhn, *The Hungarian Method for the Assignment Problem*, 1955). It shares nothing with the
//! timeline but the meaning of a day.

use super::{TODAY, World};

/// One unit that is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Want {
    /// The latest moment; 0 is now.
    pub(super) until: u16,
    pub(super) pin: Option<u16>,
}

/// One unit that there is or will be.
#[derive(Debug, Clone, Copy)]
struct Unit {
    from: u16,
    node: u16,
}

/// Units and wants, and who serves whom.
#[derive(Debug, Clone)]
pub(super) struct Matching {
    units: Vec<Unit>,
    wants: Vec<Want>,
    /// The want that each unit serves.
    serves: Vec<Option<usize>>,
    unserved: u64,
}

/// The moment that a day stands for.
pub(super) fn moment(day: Option<u16>, today: u16) -> u16 {
    day.filter(|day| *day >= today).unwrap_or(0)
}

impl Matching {
    pub(super) fn of(world: &World) -> Self {
        Self::on(world, TODAY)
    }

    pub(super) fn on(world: &World, today: u16) -> Self {
        let mut matching = Self {
            units: Vec::new(),
            wants: Vec::new(),
            serves: Vec::new(),
            unserved: 0,
        };
        for (node, count) in &world.on_hand {
            matching.add(0, *node, *count);
        }
        for (node, due, count) in world.inbound.iter().filter(|(_, due, _)| *due >= today) {
            matching.add(*due, *node, *count);
        }
        for (day, pin, count) in &world.promises {
            let until = moment(*day, today);
            for _ in 0..*count {
                matching.want(Want { until, pin: *pin });
            }
        }
        matching
    }

    fn add(&mut self, from: u16, node: u16, count: u64) {
        for _ in 0..count {
            self.units.push(Unit { from, node });
            self.serves.push(None);
        }
    }

    /// Adds one more; whether it can be served with all that could before.
    pub(super) fn want(&mut self, want: Want) -> bool {
        self.wants.push(want);
        let mut tried = vec![false; self.units.len()];
        let served = self.serve(self.wants.len() - 1, &mut tried);
        self.unserved += u64::from(!served);
        served
    }

    fn serve(&mut self, want: usize, tried: &mut [bool]) -> bool {
        let Want { until, pin } = self.wants[want];
        for at in 0..self.units.len() {
            let Unit { from, node } = self.units[at];
            if tried[at] || from > until || pin.is_some_and(|pin| pin != node) {
                continue;
            }
            tried[at] = true;
            let free = match self.serves[at] {
                None => true,
                Some(other) => self.serve(other, tried),
            };
            if free {
                self.serves[at] = Some(want);
                return true;
            }
        }
        false
    }

    /// Units that nothing serves, however they are assigned.
    pub(super) fn unserved(&self) -> u64 {
        self.unserved
    }

    /// The most units of one kind that could be wanted as well.
    pub(super) fn room(&self, want: Want) -> u64 {
        let mut more = self.clone();
        let mut room = 0;
        while more.want(want) {
            room += 1;
        }
        room
    }
}
