//! The check itself is checked: a model with a fault put in must be told from one without.

use std::cell::{RefCell, RefMut};

use holdfast::domain::policy::{Document, Policy};
use holdfast::domain::{Refusal, Reservation, Settings};
use holdfast::ledger::{Answer, Availability, Position, StockView};

use crate::support::check::{START, Subject, check};
use crate::support::history::Maker;
use crate::support::model::{Bug, Model, is_recorded};
use crate::support::script::Script;

/// A model that plays the ledger.
struct Played {
    model: RefCell<Model>,
    wall: i64,
    now: i64,
    sequence: u64,
    positions: std::collections::BTreeMap<String, Position>,
}

impl Played {
    fn new(model: Model) -> Self {
        let positions = std::collections::BTreeMap::new();
        Self {
            model: RefCell::new(model),
            wall: START,
            now: START,
            sequence: 0,
            positions,
        }
    }

    /// The model with everything expired that is due.
    fn caught_up(&self) -> RefMut<'_, Model> {
        let mut model = self.model.borrow_mut();
        model.expire_all(self.now());
        model
    }
}

impl Subject for Played {
    fn id(&self, key: &str) -> u128 {
        key.bytes().fold(7, |id, byte| id * 257 + u128::from(byte))
    }

    fn execute(&mut self, key: &str, script: &Script, _target: u128) -> Answer {
        let now = self.now();
        let id = self.id(key);
        let reply = self.model.get_mut().execute(now, key, id, script);
        if !reply.replayed && reply.verdict != Err(Refusal::KeyReused) {
            self.now = now;
        }
        if reply.replayed {
            let position = self.positions[key];
            return Answer {
                verdict: reply.verdict,
                replayed: true,
                position,
                told_after: position,
                mirror_age: None,
            };
        }
        self.sequence += 1;
        let position = Position {
            shard: 0,
            epoch: 1,
            sequence: self.sequence,
        };
        if is_recorded(&reply.verdict) {
            self.positions.insert(key.to_owned(), position);
        }
        Answer {
            verdict: reply.verdict,
            replayed: false,
            position,
            told_after: position,
            mirror_age: None,
        }
    }

    fn set_clock(&mut self, at: i64) {
        self.wall = at;
    }

    fn now(&self) -> i64 {
        self.now.max(self.wall)
    }

    fn tick(&mut self) {
        self.now = self.now();
    }

    fn restart(&mut self) {
        self.now = self.now();
    }

    fn snapshot(&mut self) {}

    fn put_policy(&mut self, document: &Document) -> bool {
        let is_good = Policy::compile(document, |_| None).is_ok();
        self.now = self.now();
        if is_good {
            self.model.get_mut().put_policy(document);
        }
        is_good
    }

    fn stock(&self, sku: &str) -> Option<StockView> {
        self.caught_up().stock(sku)
    }

    fn settings(&self, sku: &str) -> Option<Settings> {
        self.model.borrow().settings(sku)
    }

    fn availability(&self, sku: &str, node: Option<u16>) -> Option<Availability> {
        self.caught_up().availability(sku, node, self.now())
    }

    fn reservation(&self, id: u128) -> Option<Reservation> {
        self.caught_up().reservation_by_id(id)
    }

    fn by_reference(&self, channel: u16, reference: &str) -> Option<Reservation> {
        self.caught_up().by_reference(channel, reference)
    }

    fn settle(&self, key: &str) -> Option<Answer> {
        let reply = self.model.borrow().settle(key)?;
        let position = self.positions[key];
        Some(Answer {
            verdict: reply.verdict,
            replayed: reply.replayed,
            position,
            told_after: position,
            mirror_age: None,
        })
    }

    fn violations(&self) -> Vec<String> {
        Vec::new()
    }
}

#[test]
fn model_agrees_with_itself_and_meets_every_refusal() {
    let mut coverage = std::collections::BTreeMap::new();
    for seed in 0..40 {
        let history = Maker::new(seed).history(1_000);
        let seen = check(seed, &history, || Played::new(Model::default()));
        for (code, times) in seen.unwrap_or_else(|report| panic!("{report}")) {
            *coverage.entry(code).or_insert(0) += times;
        }
    }
    for code in CODES {
        assert!(
            coverage.get(code).is_some_and(|n| *n >= 5),
            "{code} is rare: {coverage:?}"
        );
    }
}

/// Everything a command can be answered.
const CODES: [&str; 22] = [
    "done",
    "replayed",
    "idempotency_key_reused",
    "unknown_sku",
    "insufficient_stock",
    "unknown_reservation",
    "unknown_line",
    "reservation_expired",
    "reservation_released",
    "reservation_shipped",
    "reservation_not_held",
    "reservation_not_confirmed",
    "reservation_not_shipped",
    "over_confirm",
    "over_release",
    "over_ship",
    "over_return",
    "partial_transfer",
    "change_from_stale",
    "negative_stock",
    "too_many_units",
    "version_mismatch",
];

#[test]
fn every_fault_is_noticed_and_shrunk() {
    for bug in Bug::ALL {
        let report = (0..400).find_map(|seed| {
            let mut maker = Maker::new(seed);
            maker.policies = bug.is_of_policies();
            maker.terms = bug == Bug::TermsForgotten;
            maker.share_moves = if maker.policies { 8 } else { 0 };
            let history = maker.history(600);
            check(seed, &history, || Played::new(Model::with_bug(bug))).err()
        });
        let report = report.unwrap_or_else(|| panic!("{bug:?} went unnoticed"));
        let listed = report
            .lines()
            .filter(|line| line.contains("Command {"))
            .count();
        assert!(
            (1..=12).contains(&listed),
            "{bug:?} shrinks to {listed} commands:\n{report}"
        );
    }
}
