//! Many histories on every server.

use crate::batches::run;
use crate::partition::Partition;
use crate::server::{Kind, Server};
use crate::support::amount::asked;
use crate::support::check::{Coverage, listing, shrink};
use crate::support::history::{Maker, Step};
use holdfast::ledger::remote::script::BATCH;

/// Runs a history; on a difference shrinks it and says all there is to know.
pub(crate) fn check(
    partition: &mut Partition,
    seed: u64,
    history: &[Step],
) -> Result<Coverage, String> {
    let first = match run(partition, seed, history) {
        Ok(coverage) => return Ok(coverage),
        Err(first) => first,
    };
    let upto = &history[..history.len().min(first.step + 1)];
    let partition = std::cell::RefCell::new(partition);
    let fails = |tried: &[Step]| run(&mut partition.borrow_mut(), seed, tried).err();
    let least = shrink(upto, |tried| fails(tried).is_some());
    let what = fails(&least).map_or_else(|| first.what.clone(), |m| m.what);
    Err(format!(
        "seed {seed}, step {}: {}\nleast history ({} steps): {what}\n{}",
        first.step,
        first.what,
        least.len(),
        listing(&least)
    ))
}

fn run_many(kind: Kind, first_seed: u64, commands: usize) -> Coverage {
    let server = Server::start(kind);
    let mut partition = Partition::fresh(&server, BATCH, 0);
    let mut left = commands;
    let mut coverage = Coverage::new();
    for seed in (first_seed..).step_by(2) {
        let mut maker = Maker::new(seed);
        // Every other pair: a store without a policy must not know of any.
        maker.policies = seed % 4 >= 2;
        maker.terms = seed % 8 >= 6;
        maker.share_moves = if maker.policies { 8 } else { 1 };
        let history = maker.history(1_500);
        let seen = check(&mut partition, seed, &history);
        for (code, times) in seen.unwrap_or_else(|report| panic!("{kind:?}: {report}")) {
            *coverage.entry(code).or_default() += times;
            left = left.saturating_sub(usize::try_from(times).unwrap());
        }
        if left == 0 {
            break;
        }
    }
    coverage
}

#[test]
fn scripts_agree_with_the_model_on_every_server() {
    let half = asked("HOLDFAST_DIFFERENTIAL_COMMANDS").unwrap_or(500_000) / 2;
    let seen: Vec<Coverage> = std::thread::scope(|scope| {
        let runs = Kind::ALL.map(|kind| {
            let first_seed = u64::from(kind == Kind::Valkey);
            scope.spawn(move || run_many(kind, first_seed, half))
        });
        runs.map(|run| run.join().unwrap()).into()
    });
    for coverage in seen {
        assert!(
            coverage.len() >= 25 && coverage.contains_key("over_share"),
            "not every answer was met: {coverage:?}"
        );
    }
}
