//! Level `replica`: what was acknowledged survives each fault of the primary.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast::clock::monotonic;

use crate::client::Client;
use crate::judge::judge;
use crate::net::CLIENT;
use crate::server::pause;
use crate::stack::Stack;
use crate::support::server::Kind;
use crate::{Load, rounds_wanted, stock_up};

/// Units of every SKU at the start.
const OPENING: i64 = 400;

/// Scenarios at the same time: each mostly waits for the Sentinels.
const AT_ONCE: usize = FAULTS.len();

/// Longest wait for answers after a fault; a failure, not a pace.
const PATIENCE: Duration = Duration::from_mins(1);

/// What happens to the primary.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// SIGKILL.
    Kill,
    /// SIGSTOP, and SIGCONT when another one has taken over.
    Freeze,
    /// It is cut off from everybody, the client with it.
    CutWithClient,
    /// It is cut off from everybody, the client included.
    CutAlone,
    /// The link to one replica is down for a while; before that has caught up the primary's machine
    /// dies.
    FlapThenDeath,
}

const FAULTS: [Fault; 5] = [
    Fault::Kill,
    Fault::Freeze,
    Fault::CutWithClient,
    Fault::CutAlone,
    Fault::FlapThenDeath,
];

/// Makes the fault, waits until another primary is there, and brings the old one back.
fn strike(stack: &mut Stack, fault: Fault) {
    let primary = stack.stores[0].address;
    match fault {
        Fault::Kill => stack.stores[0].store.kill(),
        Fault::Freeze => stack.stores[0].store.freeze(),
        Fault::CutWithClient => {
            let side = [primary, CLIENT];
            stack.net.cut(&side, &stack.others(&side));
        }
        Fault::CutAlone => stack.net.cut(&[primary], &stack.others(&[primary])),
        Fault::FlapThenDeath => {
            let lagging = stack.stores[2].address;
            stack.net.cut(&[primary], &[lagging]);
            stack.until_behind(lagging);
            stack.die();
            stack.net.heal();
        }
    }
    let promoted = stack.moved();
    match fault {
        Fault::Kill | Fault::FlapThenDeath => stack.bring_back(promoted),
        Fault::Freeze => stack.stores[0].store.thaw(),
        Fault::CutWithClient | Fault::CutAlone => stack.net.heal(),
    }
    stack.is_back(promoted);
}

/// Load, the fault, and load until everybody has been answered since.
fn under_load(stack: &mut Stack, fault: Fault, instances: [SocketAddr; 2], clients: &mut [Client]) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = Load(&is_over);
        for (at, client) in clients.iter_mut().enumerate() {
            let (address, is_over) = (instances[at % 2], &is_over);
            scope.spawn(move || {
                client.persist(address, |_| !is_over.load(Ordering::Relaxed));
                // Not before it has been answered after the fault.
                let (answered, begun) = (client.answered, monotonic());
                client.persist(address, |client| {
                    client.answered < answered + 20 && begun.elapsed() < PATIENCE
                });
                assert!(client.answered > answered, "no answers after {fault:?}");
            });
        }
        pause(Duration::from_millis(1_500));
        strike(stack, fault);
        drop(load);
    });
}

fn survive(kind: Kind, fault: Fault, seed: u64) {
    let mut stack = Stack::start(kind);
    let settings = [("HOLDFAST_REMOTE__REPLICAS", "2")];
    let (mut one, at_one) = stack.serve("replica", &settings);
    stock_up(at_one, OPENING);
    let (mut other, at_other) = stack.serve("replica", &settings);
    let client = |n: u64| Client::new(&format!("c{n}"), seed * 10 + n);
    let mut clients: Vec<Client> = (0..6).map(client).collect();
    under_load(&mut stack, fault, [at_one, at_other], &mut clients);
    let logs = |one: &mut crate::server::Server, other: &mut crate::server::Server| {
        format!("{}\n--- the other:\n{}", one.kill(), other.kill())
    };
    for address in [at_one, at_other] {
        let faults = judge(address, &mut clients, OPENING);
        assert!(
            faults.is_empty(),
            "{kind:?}, {fault:?}: {faults:#?}\n{}",
            logs(&mut one, &mut other)
        );
    }
    let answered: u64 = clients.iter().map(|client| client.answered).sum();
    let unknown: u64 = clients.iter().map(|client| client.unknown).sum();
    println!("{kind:?}, {fault:?}: {answered} answered, {unknown} unknown on the way");
    assert!(answered > 100, "{answered} calls are no load");
    for server in [&mut one, &mut other] {
        let (status, log) = server.stop();
        assert!(status.success(), "{status}:\n{log}");
        assert!(!log.contains("missing in the store"), "{log}");
    }
}

#[test]
fn nothing_acknowledged_at_replica_is_lost_by_any_fault_of_the_primary() {
    let rounds = rounds_wanted();
    let scenario = |n: usize| {
        let fault = FAULTS[n % FAULTS.len()];
        // Each fault meets both servers in turn.
        let kind = Kind::ALL[(n % FAULTS.len() + n / FAULTS.len()) % 2];
        survive(kind, fault, u64::try_from(n).unwrap());
    };
    let left = Mutex::new(0..rounds * FAULTS.len());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = left.lock().unwrap().next();
                    match next {
                        Some(n) => scenario(n),
                        None => return,
                    }
                }
            });
        }
    });
}
