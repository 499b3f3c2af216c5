//! The embedded ledger in process: pool and journal under one and two threads, one hot SKU and
//! many.
#![expect(clippy::expect_used, reason = "a benchmark ends at the first surprise")]

mod support;

use std::thread;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use holdfast::blocking::wait_for;
use holdfast::clock::monotonic;

fn all_at_once(threads: u64, work: &(impl Fn(u64) + Sync)) {
    thread::scope(|scope| {
        for number in 0..threads {
            scope.spawn(move || work(number));
        }
    });
}

fn reserve(c: &mut Criterion) {
    let mut group = c.benchmark_group("pool/reserve");
    group.throughput(Throughput::Elements(1)).sample_size(10);
    group.measurement_time(Duration::from_secs(5));
    for (name, skus) in [("hot", 1), ("spread", 100_000)] {
        for threads in [1_u64, 2] {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let engine = support::open(folder.path());
            support::fill(&engine, skus);
            let channel = wait_for(engine.make_channel("bench")).expect("a new channel");
            let mut from = 0;
            group.bench_function(BenchmarkId::new(name, threads), |b| {
                b.iter_custom(|count| {
                    let each = count.div_ceil(threads);
                    let timer = monotonic();
                    all_at_once(threads, &|thread| {
                        support::reserve(&engine, channel, skus, from + thread * each, each);
                    });
                    from += each * threads;
                    timer.elapsed()
                });
            });
            engine.close().expect("a clean close");
        }
    }
    group.finish();
}

criterion_group!(benches, reserve);
criterion_main!(benches);
