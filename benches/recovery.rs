//! Opening a data folder: from the journal alone, and from a snapshot with a short tail.
#![expect(clippy::expect_used, reason = "a benchmark ends at the first surprise")]

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use holdfast::blocking::wait_for;

const SKUS: u64 = 100_000;
const RESERVATIONS: u64 = 200_000;
const TAIL: u64 = 10_000;

fn recovery(c: &mut Criterion) {
    let mut group = c.benchmark_group("recovery");
    group.sample_size(10);
    for (name, snapshot) in [("journal alone", false), ("snapshot and tail", true)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let engine = support::open(folder.path());
        support::fill(&engine, SKUS);
        let channel = wait_for(engine.make_channel("bench")).expect("a new channel");
        support::reserve(&engine, channel, SKUS, 0, RESERVATIONS - TAIL);
        if snapshot {
            engine.snapshot().expect("a snapshot");
        }
        support::reserve(&engine, channel, SKUS, RESERVATIONS, TAIL);
        engine.close().expect("a clean close");
        drop(engine);
        group.throughput(Throughput::Elements(RESERVATIONS));
        group.bench_function(name, |b| {
            b.iter(|| {
                let engine = support::open(folder.path());
                engine.close().expect("a clean close");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, recovery);
criterion_main!(benches);
