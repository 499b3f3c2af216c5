//! What a script leaves behind when one of its calls fails: nothing, everything, or a partition that
//! refuses to go on.

use holdfast::domain::hash::Hasher;
use holdfast::ledger::remote::script::BATCH;
use holdfast::ledger::remote::wire::command::encode;

use crate::batches::keyed;
use crate::partition::Partition;
use crate::server::{Kind, Server};
use crate::support::check::START;
use crate::support::history::{Maker, Step};
use crate::support::script::Script;

/// The script with every call to the store counted; the call with this number fails.
fn failing_at(call: usize) -> String {
    // One name more than before: a chunk has room for 200.
    let counted = format!(
        "local call, pcall_of_store\n\
         do\n\
           local calls = 0\n\
           local function count(f, ...)\n\
             calls = calls + 1\n\
             if calls == {call} then error({{ err = 'INJECTED' }}) end\n\
             return f(...)\n\
           end\n\
           call = function(...) return count(redis.call, ...) end\n\
           pcall_of_store = function(...) return count(redis.pcall, ...) end\n\
         end\n"
    );
    let source = BATCH.replace("local call = redis.call\n", &counted);
    source.replace("redis.pcall('XADD'", "pcall_of_store('XADD'")
}

/// Commands of every kind, in the order of a history.
fn commands(seed: u64, count: usize) -> Vec<(String, Script)> {
    let history = Maker::new(seed).history(count);
    let commands = history.into_iter().filter_map(|step| match step {
        Step::Command { key, script } => Some((key, script)),
        Step::Clock(_) | Step::Tick | Step::Restart | Step::Snapshot | Step::Compare => None,
    });
    commands.collect()
}

#[test]
fn a_call_that_fails_leaves_nothing_or_stops_the_partition() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let hasher = Hasher::new(0);
        let scripts = commands(5, 400);
        let (before, last) = scripts.split_at(300);
        let encoded = |scripts: &[(String, Script)]| -> Vec<Vec<u8>> {
            let keyed = scripts
                .iter()
                .map(|(key, script)| keyed(hasher, key, script));
            keyed.map(|keyed| encode(&keyed)).collect()
        };
        let (before, last) = (encoded(before), encoded(last));
        let anything = [encode(&keyed(hasher, "another", &scripts[0].1))];
        let prepare = |source: &str| {
            let mut partition = Partition::fresh(&server, BATCH, 0);
            partition.call(START, &before).unwrap();
            partition.script = redis::Script::new(source);
            partition
        };
        // An hour later everything that is held expires, so that every kind of call is made.
        let later = START + 3_600_000;
        let mut whole = prepare(BATCH);
        whole.call(later, &last).unwrap();
        let all_done = whole.dump();
        let mut stopped = 0;
        for call in 1.. {
            let mut partition = prepare(&failing_at(call));
            let untouched = partition.dump();
            let Err(failed) = partition.call(later, &last) else {
                assert!(
                    partition.dump() == all_done,
                    "{kind:?}: all calls, not all done"
                );
                assert!(call > 10, "{kind:?}: only {call} calls were made");
                break;
            };
            assert_eq!(failed.code(), Some("INJECTED"), "{kind:?}: {failed}");
            if partition.dump() == untouched {
                assert_eq!(
                    stopped, 0,
                    "{kind:?}: call {call} leaves nothing after one that did"
                );
                continue;
            }
            stopped += 1;
            partition.script = redis::Script::new(BATCH);
            let refused = partition.call(later, &anything).unwrap_err();
            let code = refused.code();
            assert!(
                code == Some("TORN") || code == Some("INCONSISTENT"),
                "{kind:?}, call {call}: {refused}"
            );
        }
        assert!(
            stopped > 3,
            "{kind:?}: no call failed after the first write"
        );
    }
}
