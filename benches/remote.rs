//! Time that the store spends in the script, per reservation: batches of 256 with one line each, all
//! of one SKU and spread over 100,000, on every server. As the store counts it itself
//! (`INFO commandstats`), so that neither the network nor this program is in it.
//!
//! `cargo bench --bench remote -- BATCHES`
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark ends at the first surprise and prints what it measured"
)]

#[path = "../tests/support/partition.rs"]
#[expect(dead_code, reason = "shared with tests")]
mod partition;
#[path = "../tests/support/server.rs"]
mod server;

use holdfast::domain::command::{
    Act, Channel, Command, CommandKey, Keyed, LineRequest, Lines, Reserve, SetItem, StockChange,
    StockCommand, Verb,
};
use holdfast::domain::policy::{
    Against, Amount, Document, Entry, LimitOn, Policy, Protection, Rule, Scope,
};
use holdfast::domain::{ChannelIx, HoldTtl, NodeIx, ReservationId, Sku, Ttl, Units};
use holdfast::ledger::remote::script::BATCH;
use holdfast::ledger::remote::wire::command::encode;
use partition::Partition;
use server::{Kind, Server};

const IN_BATCH: u64 = 256;
const SKUS: u64 = 100_000;

fn main() {
    let batches = std::env::args().skip(1).find_map(|word| word.parse().ok());
    let batches: u64 = batches.unwrap_or(1_000);
    println!("script time per command in batches of {IN_BATCH}, {batches} batches each, µs");
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let mut partition = Partition::fresh(&server, BATCH, 1);
        fill(&mut partition);
        for (label, skus) in [("one SKU", 1), ("100,000 SKUs", SKUS)] {
            let per = measured(&mut partition, batches, |n| reserve(n + skus, n % skus));
            println!("{kind:?}: reserve, {label}: {per}");
            let per = measured(&mut partition, batches, |n| confirm(n, n + skus));
            println!("{kind:?}: confirm, {label}: {per}");
        }
        let per = measured(&mut partition, batches, |n| reserve(n + SKUS, n % SKUS));
        println!("{kind:?}: reserve again with the same keys: {per}");
        put_policy(&mut partition);
        for (label, skus) in [("one SKU", 1), ("100,000 SKUs", SKUS)] {
            let per = measured(&mut partition, batches, |n| {
                reserve(n + (1 << 41) + skus, n % skus)
            });
            println!("{kind:?}: reserve under a policy of six channels, {label}: {per}");
        }
    }
}

/// Runs that many batches of what the function makes, and says the microseconds per command.
fn measured(partition: &mut Partition, batches: u64, make: impl Fn(u64) -> Vec<u8>) -> String {
    redis::cmd("CONFIG")
        .arg("RESETSTAT")
        .exec(&mut partition.connection)
        .unwrap();
    for batch in 0..batches {
        // Neighbours in a batch name SKUs far apart.
        let numbers = (0..IN_BATCH).map(|n| (batch * IN_BATCH + n) * 7_919 % (batches * IN_BATCH));
        let commands: Vec<Vec<u8>> = numbers.map(&make).collect();
        partition.call(1_700_000_000_000, &commands).unwrap();
    }
    let stats: String = redis::cmd("INFO")
        .arg("commandstats")
        .query(&mut partition.connection)
        .unwrap();
    let line = stats
        .lines()
        .find(|line| line.starts_with("cmdstat_evalsha:"));
    let usec = line
        .unwrap()
        .split("usec=")
        .nth(1)
        .unwrap()
        .split(',')
        .next()
        .unwrap();
    let usec: u64 = usec.parse().unwrap();
    let hundredths = usec * 100 / (batches * IN_BATCH);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

fn fill(partition: &mut Partition) {
    for first in (0..SKUS).step_by(1_000) {
        let names: Vec<String> = (first..first + 1_000).map(name).collect();
        let items = names.iter().map(|name| SetItem {
            sku: Sku::new(name).unwrap(),
            node: NodeIx::MAIN,
            on_hand: Units::new(1_000_000_000),
            unavailable: None,
            change_from: None,
        });
        let command = Command::Stock(StockCommand {
            change: StockChange::Set(items.collect()),
            reason: "fill",
            operator: None,
        });
        let key = key(u64::MAX - first);
        partition
            .call(1_600_000_000_000, &[encode(&Keyed { key, command })])
            .unwrap();
    }
}

fn name(sku: u64) -> String {
    format!("sku-{sku:08}")
}

/// Six channels in two groups, with caps and protections, for every SKU.
fn put_policy(partition: &mut Partition) {
    let entry = |name: &str, parent: Option<&str>| Entry {
        name: name.to_owned(),
        parent: parent.map(ToOwned::to_owned),
        rank: None,
        fallback: None,
    };
    let mut channels = vec![
        entry("web", None),
        entry("live", None),
        entry("shops", None),
    ];
    for (name, parent) in [("a", "live"), ("b", "live"), ("c", "shops")] {
        channels.push(entry(name, Some(parent)));
    }
    let limit = |(at, entry): (u16, &Entry)| LimitOn {
        channel: entry.name.clone(),
        cap: Some(Amount::Percent(9_900 - at)),
        protection: (at > 0).then_some(Protection {
            amount: Amount::Percent(at),
            against: Against::All,
        }),
    };
    let rule = Rule {
        terms: holdfast::domain::Terms::NONE,
        id: "all".to_owned(),
        scope: Scope::Default,
        from: None,
        until: None,
        every: None,
        frees: false,
        limits: (0..).zip(&channels).map(limit).collect(),
    };
    let document = Document {
        channels,
        rules: vec![rule],
        ..Document::default()
    };
    let index_of = |name: &str| {
        let at = document.channels.iter().position(|of| of.name == name)?;
        u16::try_from(at).ok().map(ChannelIx)
    };
    let policy = Policy::compile(&document, index_of).unwrap();
    partition.put_policy(1_700_000_000_000, &policy, "");
}

/// As good as a hash: the store hashes it again.
fn key(n: u64) -> CommandKey {
    let high = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    CommandKey {
        id: (u128::from(high) << 64) | u128::from(n),
        fingerprint: high.rotate_left(17),
    }
}

fn reserve(n: u64, sku: u64) -> Vec<u8> {
    let name = name(sku);
    let line = LineRequest {
        sku: Sku::new(&name).unwrap(),
        node: None,
        quantity: Units::new(1).unwrap(),
        by: None,
    };
    let command = Command::Reserve(Reserve {
        channel: Channel {
            name: "web",
            index: Some(ChannelIx(0)),
        },
        reference: None,
        ttl: HoldTtl::Asked(Ttl::from_millis(900_000).unwrap()),
        allow_partial: false,
        lines: Lines::try_new([line]).unwrap(),
    });
    encode(&Keyed {
        key: key(n),
        command,
    })
}

fn confirm(n: u64, reservation: u64) -> Vec<u8> {
    let command = Command::Act(Act {
        id: ReservationId(key(reservation).id),
        verb: Verb::Confirm,
        lines: None,
    });
    encode(&Keyed {
        key: key(n + (1 << 40) + reservation),
        command,
    })
}
