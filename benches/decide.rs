//! The rule book alone: no locks, no journal.
#![expect(clippy::unwrap_used, reason = "bench code: fixed input")]

use criterion::{Criterion, criterion_group, criterion_main};
use holdfast::domain::command::{Act, LineRequest, Lines, Verb};
use holdfast::domain::decide::{self, LineFacts};
use holdfast::domain::line::Move;
use holdfast::domain::policy::{
    Against, Amount, Claim, Document, Entry, LimitOn, Policy, Protection, Rule, Scope,
};
use holdfast::domain::stock::NodeStock;
use holdfast::domain::{
    ChannelIx, Day, Line, NodeIx, ReservationId, Settings, Sku, Stock, Units, UnixMillis, Uses,
};
use std::hint::black_box;

fn stock(on_hand: u64) -> Stock {
    let place = NodeStock {
        on_hand: Units::new(on_hand).unwrap(),
        ..NodeStock::empty(NodeIx::MAIN)
    };
    let nodes = [place].into_iter().collect();
    Stock::from_parts(
        nodes,
        Units::ZERO,
        Units::ZERO,
        Settings::default(),
        Uses::EMPTY,
        1,
    )
}

fn line(sku: &str) -> LineRequest<'_> {
    LineRequest {
        sku: Sku::new(sku).unwrap(),
        node: None,
        quantity: Units::new(2).unwrap(),
        by: None,
    }
}

fn decide(c: &mut Criterion) {
    let plenty = stock(1_000_000);
    let sold_out = stock(0);
    let one = Lines::try_new([line("sku-1")]).unwrap();
    let five_names = ["a", "b", "c", "d", "e"];
    let five = Lines::try_new(five_names.map(line)).unwrap();
    c.bench_function("decide/reserve accepted, 1 line", |b| {
        b.iter(|| {
            decide::reserve(
                black_box(&one),
                false,
                Day::FIRST,
                |_| Some(&plenty),
                |_| None,
            )
        });
    });
    c.bench_function("decide/reserve accepted, 5 lines", |b| {
        b.iter(|| {
            decide::reserve(
                black_box(&five),
                false,
                Day::FIRST,
                |_| Some(&plenty),
                |_| None,
            )
        });
    });
    c.bench_function("decide/reserve refused, 1 line", |b| {
        b.iter(|| {
            decide::reserve(
                black_box(&one),
                false,
                Day::FIRST,
                |_| Some(&sold_out),
                |_| None,
            )
        });
    });
    let mut held = Line::default();
    held.apply(Move::Hold(Units::new(2).unwrap())).unwrap();
    let facts = [LineFacts {
        sku: "sku-1",
        line: held,
    }];
    let act = Act {
        id: ReservationId(1),
        verb: Verb::Confirm,
        lines: None,
    };
    c.bench_function("decide/confirm, 1 line", |b| {
        b.iter(|| {
            let (deadline, now) = (UnixMillis(10), UnixMillis(5));
            decide::act(black_box(&act), deadline, now, &facts, |_| Some(&plenty))
        });
    });
}

/// Levels of the tree; the channel that asks is on the last one.
const LEVELS: u16 = 8;

/// The channel that asks.
const ASKS: ChannelIx = ChannelIx(2 * (LEVELS - 1));

/// Two entries on every level, a cap of 99 % and a protection of 1 % on each.
fn limits() -> Policy {
    let name = |level: u16, which: u16| format!("c{}", 2 * level + which);
    let places = (0..LEVELS).flat_map(|level| [(level, 0), (level, 1)]);
    let channels = places.clone().map(|(level, which)| Entry {
        name: name(level, which),
        parent: level.checked_sub(1).map(|above| name(above, 0)),
        rank: None,
        fallback: None,
    });
    let limits = places.map(|(level, which)| LimitOn {
        channel: name(level, which),
        cap: Some(Amount::Percent(9_900)),
        protection: Some(Protection {
            amount: Amount::Percent(100),
            against: Against::All,
        }),
    });
    let rule = Rule {
        terms: holdfast::domain::Terms::NONE,
        id: "everything".to_owned(),
        scope: Scope::Default,
        from: None,
        until: None,
        every: None,
        frees: false,
        limits: limits.collect(),
    };
    let document = Document {
        channels: channels.collect(),
        rules: vec![rule],
        ..Document::default()
    };
    Policy::compile(&document, |name| name.get(1..)?.parse().ok().map(ChannelIx)).unwrap()
}

fn policy(c: &mut Criterion) {
    let policy = limits();
    let claim = |sku| {
        Some(Claim {
            channel: ASKS,
            rule: policy.in_force(sku, UnixMillis(0))?,
        })
    };
    let one = Lines::try_new([line("sku-1")]).unwrap();
    let reserve = |stock: &Stock| {
        decide::reserve(
            black_box(&one),
            false,
            Day::FIRST,
            |_| Some(stock),
            |_| claim("sku-1"),
        )
    };
    let (plenty, scarce) = (stock(1_000_000), stock(10));
    c.bench_function("policy/reserve accepted, 8 levels, plenty", |b| {
        b.iter(|| reserve(&plenty));
    });
    c.bench_function("policy/reserve refused, 8 levels", |b| {
        b.iter(|| reserve(&scarce));
    });
    c.bench_function("policy/standing, 8 levels", |b| {
        b.iter(|| {
            let claim = claim(black_box("sku-1")).unwrap();
            claim.standing(plenty.supply(Units::ZERO), plenty.uses())
        });
    });
}

criterion_group!(benches, decide, policy);
criterion_main!(benches);
