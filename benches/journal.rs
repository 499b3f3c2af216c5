//! The journal on a real disk: append with group commit at both levels, and recovery.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first surprise")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use holdfast::ledger::Durability;
use holdfast::ledger::embedded::journal::{Journal, JournalConfig, JournalRecovery};
use holdfast::ledger::embedded::storage::DiskStorage;
use holdfast::telemetry::Meters;

/// About as long as the record of a one-line reservation.
const RECORD_BYTES: usize = 96;

fn config(durability: Durability) -> JournalConfig {
    JournalConfig {
        durability,
        retain_bytes: 0,
        ..JournalConfig::default()
    }
}

fn open(folder: &tempfile::TempDir, durability: Durability) -> JournalRecovery {
    let storage = Arc::new(DiskStorage::open(folder.path()).unwrap());
    Journal::open(storage, config(durability)).unwrap()
}

fn record() -> Vec<u8> {
    let mut bytes = u32::try_from(RECORD_BYTES).unwrap().to_le_bytes().to_vec();
    bytes.extend_from_slice(&[0x5a; RECORD_BYTES]);
    bytes
}

/// `group` records are appended one by one, then waited for: one group commit.
fn append(criterion: &mut Criterion) {
    let mut bench = criterion.benchmark_group("journal/append");
    let record = record();
    for durability in [Durability::Os, Durability::Disk] {
        for group in [1_u64, 64, 1_024, 16_384] {
            let folder = tempfile::tempdir().unwrap();
            let journal = open(&folder, durability).start(Meters::new()).unwrap();
            bench.throughput(Throughput::Elements(group));
            bench.bench_function(BenchmarkId::new(durability.as_str(), group), |bencher| {
                bencher.iter(|| {
                    let mut last = 0;
                    for _ in 0..group {
                        last = journal.append(black_box(&record), 1);
                    }
                    journal.wait_blocking(last).unwrap();
                    // As after a snapshot: segments are used again.
                    journal.release_before(last).unwrap();
                });
            });
            journal.close().unwrap();
        }
    }
    bench.finish();
}

/// Only the critical section: what a caller pays under its locks.
fn enqueue(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let (journal, mut writer) = open(&folder, Durability::Os).start_stepped().unwrap();
    let record = record();
    let mut bench = criterion.benchmark_group("journal/enqueue");
    bench.throughput(Throughput::Elements(10_000));
    bench.bench_function("one", |bencher| {
        bencher.iter_batched(
            || {
                let last = journal.last();
                writer.step().unwrap();
                journal.release_before(last).unwrap();
            },
            |()| {
                for _ in 0..10_000 {
                    black_box(journal.append(black_box(&record), 1));
                }
            },
            criterion::BatchSize::PerIteration,
        );
    });
    bench.finish();
}

/// Opening and replaying about 64 MiB.
fn replay(criterion: &mut Criterion) {
    const RECORDS: u64 = 640_000;
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder, Durability::Os).start(Meters::new()).unwrap();
    let batch = record().repeat(640);
    for _ in 0..RECORDS / 640 {
        let last = journal.append(&batch, 640);
        journal.wait_blocking(last).unwrap();
    }
    journal.close().unwrap();
    drop(journal);
    let mut bench = criterion.benchmark_group("journal/replay");
    bench.sample_size(10);
    for (name, throughput) in [
        ("records", Throughput::Elements(RECORDS)),
        (
            "bytes",
            Throughput::Bytes(RECORDS * u64::try_from(record().len()).unwrap()),
        ),
    ] {
        bench.throughput(throughput);
        bench.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut recovery = open(&folder, Durability::Os);
                let mut bytes = 0;
                let replayed = recovery.replay(0, |_, record| {
                    bytes += record.len();
                    Ok::<(), std::convert::Infallible>(())
                });
                assert_eq!(replayed.unwrap().records, RECORDS);
                black_box(bytes)
            });
        });
    }
    bench.finish();
}

criterion_group!(benches, append, enqueue, replay);
criterion_main!(benches);
