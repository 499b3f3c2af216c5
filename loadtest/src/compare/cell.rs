//! What is measured: one list for the engine by itself, one for a ledger in a store.

use serde::Serialize;

use crate::run::Scenario;
use crate::server::Durability;
use crate::template::Choice;

/// Who answers, and how durably.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Subject {
    /// The no-op server, over HTTP.
    Noop,
    /// The engine with a ledger of its own, over HTTP.
    Embedded(Durability),
    /// The engine with a ledger in the store, over HTTP.
    Store(Durability),
    /// Reservations without HTTP.
    Ledger(Way, Durability),
}

/// Ways to make a reservation from a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Way {
    /// holdfast's engine in the caller's process, its ledger in the store.
    Holdfast,
    /// A plain script, one call a request, each on a connection out of a pool.
    Pool,
    /// The same script, one call a request, all on the same few connections.
    Shared,
    /// One statement of PostgreSQL.
    Postgres,
}

impl Way {
    const ALL: [Self; 4] = [Self::Holdfast, Self::Pool, Self::Shared, Self::Postgres];

    fn word(self) -> &'static str {
        match self {
            Self::Holdfast => "holdfast",
            Self::Pool => "pool",
            Self::Shared => "shared",
            Self::Postgres => "postgres",
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Work {
    /// Requests over HTTP; so many reservations in each, if it is a batch.
    Http(Scenario, usize),
    /// Reservations of one unit each.
    Reserve(Choice),
}

/// One thing that is measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Cell {
    pub(crate) name: String,
    pub(crate) work: Work,
    /// Connections, or callers where there is no HTTP.
    pub(crate) in_flight: usize,
    pub(crate) subject: Subject,
    /// Caps and protections on every SKU.
    pub(crate) is_limited: bool,
    /// Names of the cells that the ratios are to, the first of them for the table.
    pub(crate) yardsticks: Vec<String>,
    pub(crate) in_quick: bool,
}

impl Subject {
    fn words(self) -> String {
        match self {
            Self::Noop => "no-op".to_owned(),
            Self::Embedded(level) => level.word().to_owned(),
            Self::Store(level) => format!("store {}", level.word()),
            Self::Ledger(way, level) => format!("{} {}", way.word(), level.word()),
        }
    }
}

fn kind(work: Work) -> String {
    let batch = |kind: &str, size: usize| format!("{kind} of {size}");
    match work {
        Work::Http(Scenario::ReserveHot, _) => "reserve hot".to_owned(),
        Work::Http(Scenario::ReserveSpread, _) => "reserve spread".to_owned(),
        Work::Http(Scenario::Soldout, _) => "sold out".to_owned(),
        Work::Http(Scenario::Atp, _) => "atp".to_owned(),
        Work::Http(Scenario::AtpBulk, size) => batch("atp", size),
        Work::Http(Scenario::Cycle, _) => "cycle".to_owned(),
        Work::Http(Scenario::BatchHot, size) => batch("batch hot", size),
        Work::Http(Scenario::BatchSpread, size) => batch("batch spread", size),
        Work::Http(Scenario::ClientHot, _) => "client hot".to_owned(),
        Work::Http(Scenario::ClientSpread, _) => "client spread".to_owned(),
        Work::Reserve(Choice::Hot) => "ledger hot".to_owned(),
        Work::Reserve(Choice::Spread) => "ledger spread".to_owned(),
    }
}

impl Cell {
    fn name_of(work: Work, in_flight: usize, subject: Subject) -> String {
        format!("{}, {in_flight}, {}", kind(work), subject.words())
    }

    fn new(work: Work, in_flight: usize, subject: Subject, in_quick: bool) -> Self {
        let named = |work, subject| Self::name_of(work, in_flight, subject);
        let reserve = Work::Http(Scenario::ReserveHot, 0);
        let mut yardsticks = Vec::new();
        match (work, subject) {
            (_, Subject::Noop) => {}
            (Work::Http(Scenario::Atp, _), _) => yardsticks.push(named(work, Subject::Noop)),
            (
                Work::Http(Scenario::ReserveHot | Scenario::ReserveSpread | Scenario::Soldout, _),
                _,
            ) => yardsticks.push(named(reserve, Subject::Noop)),
            (Work::Http(_, _) | Work::Reserve(_), _) => {}
        }
        match subject {
            Subject::Store(level) if level != Durability::Memory => {
                yardsticks.push(named(work, Subject::Store(Durability::Memory)));
            }
            Subject::Ledger(Way::Holdfast, level) => {
                let others = [Way::Shared, Way::Pool, Way::Postgres];
                let name = |way| named(work, Subject::Ledger(way, level));
                yardsticks.extend(others.map(name));
            }
            Subject::Noop
            | Subject::Embedded(_)
            | Subject::Store(_)
            | Subject::Ledger(Way::Pool | Way::Shared | Way::Postgres, _) => {}
        }
        Self {
            name: Self::name_of(work, in_flight, subject),
            work,
            in_flight,
            subject,
            is_limited: false,
            yardsticks,
            in_quick,
        }
    }

    /// The same with caps and protections on every SKU, compared with itself without them.
    fn limited(self) -> Self {
        Self {
            name: format!("{}, limited", self.name),
            is_limited: true,
            yardsticks: vec![self.name],
            ..self
        }
    }

    fn http(scenario: Scenario, connections: usize, subject: Subject, in_quick: bool) -> Self {
        Self::new(Work::Http(scenario, 0), connections, subject, in_quick)
    }

    fn batch(scenario: Scenario, size: usize, subject: Subject, in_quick: bool) -> Self {
        Self::new(Work::Http(scenario, size), 4, subject, in_quick)
    }
}

/// The no-op server, which both lists compare with.
pub(crate) fn noop() -> Vec<Cell> {
    let noop = |scenario, connections| {
        let in_quick = scenario == Scenario::ReserveHot || connections == 64;
        Cell::http(scenario, connections, Subject::Noop, in_quick)
    };
    [Scenario::ReserveHot, Scenario::Atp]
        .into_iter()
        .flat_map(|scenario| [noop(scenario, 64), noop(scenario, 256)])
        .collect()
}

/// The engine by itself.
pub(crate) fn embedded() -> Vec<Cell> {
    use Durability::{Disk, Os};
    let on_disk = Subject::Embedded(Disk);
    let mut cells = Vec::new();
    for connections in [64, 256] {
        for subject in [on_disk, Subject::Embedded(Os)] {
            let cell = |scenario, quick| Cell::http(scenario, connections, subject, quick);
            cells.push(cell(Scenario::ReserveHot, true));
            cells.push(cell(Scenario::ReserveSpread, false));
        }
        let cell = |scenario, quick| Cell::http(scenario, connections, on_disk, quick);
        cells.push(cell(Scenario::Soldout, connections == 256));
        cells.push(cell(Scenario::Atp, connections == 64));
        let limited = [Scenario::ReserveHot, Scenario::ReserveSpread, Scenario::Atp];
        cells.extend(limited.map(|scenario| cell(scenario, false).limited()));
    }
    cells.push(Cell::http(Scenario::Cycle, 256, on_disk, false));
    for scenario in [Scenario::BatchHot, Scenario::BatchSpread] {
        let is_spread = scenario == Scenario::BatchSpread;
        cells.push(Cell::batch(scenario, 1_000, on_disk, false));
        cells.push(Cell::batch(scenario, 8_192, on_disk, is_spread));
    }
    let bulk = Cell::batch(Scenario::AtpBulk, 1_000, on_disk, false);
    cells.extend([bulk.clone(), bulk.limited()]);
    for scenario in [Scenario::ClientHot, Scenario::ClientSpread] {
        let is_spread = scenario == Scenario::ClientSpread;
        cells.push(Cell::http(scenario, 64, on_disk, false));
        cells.push(Cell::http(scenario, 1_024, on_disk, is_spread));
    }
    cells
}

/// Ledgers in a store, at these levels.
pub(crate) fn store(levels: &[Durability]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for level in levels.iter().copied() {
        cells.extend(ledger(level));
        let is_memory = level == Durability::Memory;
        let subject = Subject::Store(level);
        for connections in [64, 256] {
            let cell = |scenario, quick| Cell::http(scenario, connections, subject, quick);
            cells.push(cell(Scenario::ReserveHot, connections == 256));
            cells.push(cell(Scenario::ReserveSpread, false));
            cells.push(cell(Scenario::Soldout, is_memory && connections == 256));
            let limited = [Scenario::ReserveHot, Scenario::ReserveSpread];
            cells.extend(limited.map(|scenario| cell(scenario, false).limited()));
        }
        for scenario in [Scenario::BatchHot, Scenario::BatchSpread] {
            let quick = is_memory && scenario == Scenario::BatchSpread;
            cells.push(Cell::batch(scenario, 1_000, subject, quick));
        }
    }
    cells
}

/// Without HTTP.
fn ledger(level: Durability) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (callers, in_quick) in [(64, false), (256, true), (1_024, false)] {
        for choice in [Choice::Hot, Choice::Spread] {
            for way in Way::ALL {
                // It has clients of its own, not callers, and no standby to wait for.
                let is_like_others = callers == 256 && level != Durability::Replica;
                if way == Way::Postgres && !is_like_others {
                    continue;
                }
                let in_quick = in_quick && level == Durability::Memory;
                let subject = Subject::Ledger(way, level);
                cells.push(Cell::new(Work::Reserve(choice), callers, subject, in_quick));
            }
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_cell_has_a_name_of_its_own_and_its_yardsticks_are_measured() {
        use Durability::{Disk, Memory, Replica};
        let cells = [noop(), embedded(), store(&[Memory, Disk, Replica])].concat();
        let names: BTreeSet<&String> = cells.iter().map(|cell| &cell.name).collect();
        assert_eq!(names.len(), cells.len());
        for cell in &cells {
            let missing = |name: &&String| !names.contains(*name) && !name.contains("postgres");
            let missing: Vec<_> = cell.yardsticks.iter().filter(missing).collect();
            assert!(missing.is_empty(), "{}: {missing:?}", cell.name);
        }
    }
}
