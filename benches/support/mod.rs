//! What the benches of the ledger share: a filled engine, and commands to feed it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark ends at the first surprise"
)]

use std::path::Path;

use holdfast::clock::Clock;
use holdfast::domain::command::{
    Channel, Command, Keyed, LineRequest, Lines, Reserve, SetItem, StockChange, StockCommand,
};
use holdfast::domain::{HoldTtl, NodeIx, Sku, Ttl, Units};
use holdfast::engine::{Engine, EngineConfig};
use holdfast::ledger::{Durability, LedgerError, Position};
use holdfast::telemetry::Meters;

/// The allocator of the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Opens an engine on a folder: level `os`, no snapshots but those asked for.
pub(crate) fn open(folder: &Path) -> Engine {
    let mut config = EngineConfig::new(Clock::system(), Meters::new());
    config.journal.durability = Durability::Os;
    config.snapshot_every = u64::MAX;
    Engine::open(folder, config).unwrap()
}

/// Stocks that many SKUs with more than anybody can take.
pub(crate) fn fill(engine: &Engine, skus: u64) {
    for from in (0..skus).step_by(1_000) {
        // Not all names at once: what the allocator keeps of them would count as the ledger's.
        let names = from..skus.min(from + 1_000);
        let names: Vec<String> = names.map(|n| format!("sku-{n:08}")).collect();
        let item = |sku| SetItem {
            sku: Sku::new(sku).unwrap(),
            node: NodeIx::MAIN,
            on_hand: Some(Units::new(1_000_000_000).unwrap()),
            unavailable: None,
            change_from: None,
        };
        let change = StockChange::Set(names.iter().map(|sku| item(sku)).collect());
        let command = Command::Stock(StockCommand {
            change,
            reason: "bench",
            operator: None,
        });
        let key = engine.key(&format!("seed-{from}"), &command);
        engine
            .execute_blocking(&Keyed { key, command })
            .unwrap()
            .verdict
            .unwrap();
    }
}

/// Decimal digits without an allocation: a caller has the name in its request, in cache.
fn write_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap();
        number /= 10;
    }
}

/// Reserves one unit `n` times, keys counted from `from`; waits for durability at the end only, as
/// a caller with many requests in flight does.
pub(crate) fn reserve(engine: &Engine, channel: Channel<'_>, skus: u64, from: u64, n: u64) {
    let mut last = Position::default();
    let mut name = *b"sku-00000000";
    for at in from..from + n {
        let pick = (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20) % skus;
        write_digits(&mut name[4..], pick);
        let sku = Sku::new(str::from_utf8(&name).unwrap()).unwrap();
        let quantity = Units::new(1).unwrap();
        let command = Command::Reserve(Reserve {
            channel,
            reference: None,
            ttl: HoldTtl::Asked(Ttl::from_millis(900_000).unwrap()),
            allow_partial: false,
            lines: Lines::try_new([LineRequest {
                sku,
                node: None,
                quantity,
                by: None,
            }])
            .unwrap(),
        });
        let mut digits = [0_u8; 16];
        for (place, digit) in digits.iter_mut().rev().enumerate() {
            *digit = b'a' + u8::try_from((at >> (4 * place)) & 15).unwrap();
        }
        let key = engine.key(str::from_utf8(&digits).unwrap(), &command);
        let keyed = Keyed { key, command };
        loop {
            match engine.submit(&keyed) {
                Ok(answer) => {
                    last = answer.position;
                    break;
                }
                Err(LedgerError::Overloaded) => engine.wait_blocking(last).unwrap(),
                Err(error) => panic!("{error}"),
            }
        }
    }
    engine.wait_blocking(last).unwrap();
}
