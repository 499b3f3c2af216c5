//! A cluster in which primaries are replaced: reservations over several partitions are all or
//! nothing throughout, and go on where their parts are now.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast::clock::monotonic;
use holdfast::ledger::remote::wire::record::{Kept as Stored, Phase, Record};

use crate::client::{Client, SKUS};
use crate::judge::judge;
use crate::server::{Server, pause, verify_with};
use crate::support::nodes::Nodes;
use crate::support::server::Kind;
use crate::{Load, rounds_wanted, stock_up};

/// Units of every SKU at the start.
const OPENING: i64 = 400;

/// Longest wait for answers after a fault; a failure, not a pace.
const PATIENCE: Duration = Duration::from_mins(1);

/// How much is done at a node before and after it takes over: more than is under way at a time.
const WORK: u64 = 50;

/// What happens to a primary.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// SIGKILL.
    Kill,
    /// SIGSTOP, and SIGCONT when its replica has taken over.
    Freeze,
    /// `CLUSTER FAILOVER`.
    Planned,
}

const FAULTS: [Fault; 3] = [Fault::Freeze, Fault::Kill, Fault::Planned];

/// The epoch in which a node was last given its slots; it grows when it takes some over.
fn epoch_of(nodes: &Nodes, at: usize) -> u64 {
    let info: String = nodes.nodes[at].ask(&["CLUSTER", "INFO"]).unwrap();
    let of = |line: &str| line.strip_prefix("cluster_my_epoch:")?.trim().parse().ok();
    info.lines().find_map(of).unwrap()
}

/// Waits until a node has done that much more.
pub(crate) fn until_worked(nodes: &Nodes, at: usize) {
    let (before, begun) = (nodes.work_of(at), monotonic());
    while nodes.work_of(at) < before + WORK {
        assert!(begun.elapsed() < PATIENCE, "node {at} does nothing");
        pause(Duration::from_millis(10));
    }
}

/// Makes the fault at a primary under load, and waits until its replica has taken over and the
/// primary follows it.
fn strike(nodes: &mut Nodes, at: usize, fault: Fault) {
    until_worked(nodes, at);
    let before = epoch_of(nodes, at);
    match fault {
        Fault::Kill => nodes.nodes[at].kill(),
        Fault::Freeze => nodes.nodes[at].freeze(),
        Fault::Planned => nodes.hand_over(at),
    }
    let replica = nodes.until_promoted(at);
    match fault {
        Fault::Kill => nodes.nodes[at].restart(),
        Fault::Freeze => nodes.nodes[at].thaw(),
        Fault::Planned => {}
    }
    nodes.until_copied(replica, at);
    assert!(epoch_of(nodes, replica) > before, "{fault:?}: no new epoch");
    until_worked(nodes, replica);
}

/// Load on both instances, and one fault after the other, until everybody has been answered since.
fn under_load(nodes: &mut Nodes, instances: [SocketAddr; 2], clients: &mut [Client], shift: usize) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = Load(&is_over);
        for (at, client) in clients.iter_mut().enumerate() {
            let (address, is_over) = (instances[at % 2], &is_over);
            scope.spawn(move || {
                client.persist(address, |_| !is_over.load(Ordering::Relaxed));
                let (answered, begun) = (client.answered, monotonic());
                client.persist(address, |client| {
                    client.answered < answered + 20 && begun.elapsed() < PATIENCE
                });
                assert!(client.answered > answered, "no answers after the faults");
            });
        }
        let faults = FAULTS.into_iter().cycle().skip(shift);
        for (fault, sku) in faults.zip(SKUS).take(FAULTS.len()) {
            // Whoever has it by now; a ledger deals its SKUs out as it likes.
            strike(nodes, nodes.holder(sku), fault);
        }
        drop(load);
    });
}

/// What the store keeps of a reservation over several partitions under its id.
enum Kept {
    /// The reservation itself, which home has made.
    Whole,
    /// A part that follows its home.
    Part,
    /// A part that waits for its home.
    Tied,
    /// What was placed at home, and is no reservation yet or any more.
    Placed,
}

/// All of them, and whether each holds anything.
fn kept(nodes: &Nodes) -> Vec<(u128, Kept, bool)> {
    let mut all = Vec::new();
    for (id, record) in nodes.records() {
        let Ok(Record {
            kept: Stored::Reservation(booking),
            ..
        }) = Record::parse(&record)
        else {
            continue;
        };
        let Some(ties) = &booking.ties else { continue };
        let kept = match (ties.is_home, ties.phase) {
            (true, Phase::Bound) => Kept::Whole,
            (true, Phase::Loose) => Kept::Placed,
            (false, Phase::Bound) => Kept::Tied,
            (false, Phase::Loose) => Kept::Part,
        };
        let mut lines = booking.lines.iter();
        all.push((id, kept, lines.any(|(_, _, line)| !line.held.is_zero())));
    }
    all
}

/// Waits until whatever was left half-way is moved on: no part waits for its home, and nothing is
/// held for what is no reservation. Returns how many parts there are.
fn until_moved_on(nodes: &Nodes) -> usize {
    let begun = monotonic();
    loop {
        let all = kept(nodes);
        let whole: HashSet<u128> = { all.iter() }
            .filter(|(_, kept, _)| matches!(kept, Kept::Whole))
            .map(|(id, ..)| *id)
            .collect();
        let is_half = |(id, kept, holds): &&(u128, Kept, bool)| {
            matches!(kept, Kept::Tied) || (*holds && !whole.contains(id))
        };
        let half = all.iter().filter(is_half).count();
        if half == 0 {
            return all.len() - whole.len();
        }
        assert!(begun.elapsed() < PATIENCE, "{half} are left half-way");
        pause(Duration::from_millis(50));
    }
}

fn survive(kind: Kind, seed: u64) {
    let mut nodes = Nodes::start_replicated(kind);
    for node in &nodes.nodes {
        node.tell(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    }
    let url = nodes.address();
    let settings = [("HOLDFAST_REMOTE__REPLICAS", "1")];
    let serve = || Server::spawn_at("replica", &url, &settings).until_ready();
    let (mut one, at_one) = serve();
    stock_up(at_one, OPENING);
    let (mut other, at_other) = serve();
    let client = |n: u64| Client::new(&format!("c{n}"), seed * 10 + n);
    let mut clients: Vec<Client> = (0..6).map(client).collect();
    let shift = usize::try_from(seed).unwrap() % FAULTS.len();
    under_load(&mut nodes, [at_one, at_other], &mut clients, shift);
    let parts = until_moved_on(&nodes);
    assert!(
        parts > 100,
        "{parts} parts are no load over several partitions"
    );
    for address in [at_one, at_other] {
        let faults = judge(address, &mut clients, OPENING);
        assert!(
            faults.is_empty(),
            "{kind:?}: {faults:#?}\n{}\n--- the other:\n{}",
            one.kill(),
            other.kill()
        );
    }
    let answered: u64 = clients.iter().map(|client| client.answered).sum();
    let unknown: u64 = clients.iter().map(|client| client.unknown).sum();
    println!("{kind:?}, cluster: {answered} answered, {unknown} unknown on the way");
    for server in [&mut one, &mut other] {
        let (status, log) = server.stop();
        assert!(status.success(), "{status}:\n{log}");
        assert!(!log.contains("missing in the store"), "{log}");
    }
    let (clean, said) = verify_with(&["--store", &url, "--durability", "memory"]);
    assert!(clean, "{said}");
}

#[test]
fn nothing_acknowledged_at_replica_is_lost_where_primaries_of_a_cluster_are_replaced() {
    for round in 0..rounds_wanted() {
        std::thread::scope(|scope| {
            for (at, kind) in Kind::ALL.into_iter().enumerate() {
                let seed = u64::try_from(2 * round + at).unwrap();
                scope.spawn(move || survive(kind, seed));
            }
        });
    }
}
