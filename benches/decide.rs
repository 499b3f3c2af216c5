//! The rule book alone: no locks, no journal.
#![expect(clippy::unwrap_used, reason = "bench code: fixed input")]

use criterion::{Criterion, criterion_group, criterion_main};
use holdfast::domain::command::{Act, LineRequest, Lines, Verb};
use holdfast::domain::decide::{self, LineFacts};
use holdfast::domain::line::Move;
use holdfast::domain::stock::NodeStock;
use holdfast::domain::{
    Day, Line, NodeIx, ReservationId, Settings, Sku, Stock, Units, UnixMillis, Uses,
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

criterion_group!(benches, decide);
criterion_main!(benches);
