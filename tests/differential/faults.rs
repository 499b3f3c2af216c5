//! What a script leaves behind when one of its calls fails: nothing, everything, or a partition that
//! refuses to go on.

use holdfast::domain::hash::Hasher;
use holdfast::ledger::remote::script::{BATCH, RELIEF, inlined};
use holdfast::ledger::remote::wire::command::encode;

use crate::batches::keyed;
use crate::partition::Partition;
use crate::server::{Kind, Server};
use crate::support::check::START;
use crate::support::history::{Maker, Step};
use crate::support::script::Script;

/// The script with every call to the store counted; the call with this number fails.
pub(crate) fn failing_at(source: &str, call: usize) -> String {
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
    let source = source.replace("local call = redis.call\n", &counted);
    source.replace("redis.pcall('XADD'", "pcall_of_store('XADD'")
}

/// Commands of every kind, in the order of a history.
pub(crate) fn commands(seed: u64, count: usize) -> Vec<(String, Script)> {
    let history = Maker::new(seed).history(count);
    let commands = history.into_iter().filter_map(|step| match step {
        Step::Command { key, script } => Some((key, script)),
        Step::Clock(_)
        | Step::Tick
        | Step::Restart
        | Step::Snapshot
        | Step::Policy(_)
        | Step::Compare => None,
    });
    commands.collect()
}

pub(crate) fn encoded(scripts: &[(String, Script)]) -> Vec<Vec<u8>> {
    let hasher = Hasher::new(0);
    let keyed = scripts
        .iter()
        .map(|(key, script)| keyed(hasher, key, script));
    keyed.map(|keyed| encode(&keyed)).collect()
}

/// An hour later everything that is held expires, so that every kind of call is made.
pub(crate) const LATER: i64 = START + 3_600_000;

/// Lets every call to the store fail in turn, in a batch of these commands after those before.
fn fail_everywhere(kind: Kind, source: &str, before: &[Vec<u8>], last: &[Vec<u8>]) {
    let server = Server::start(kind);
    // Of a key that is not known yet: a repetition would write no event.
    let (_, first) = commands(5, 1).remove(0);
    let anything = encoded(&[("another".to_owned(), first)]);
    let prepare = |source: &str| {
        let mut partition = Partition::fresh(&server, BATCH, 0);
        partition.call(START, before).unwrap();
        partition.script = redis::Script::new(&inlined(source));
        partition
    };
    let mut whole = prepare(source);
    whole.call(LATER, last).unwrap();
    let all_done = whole.dump();
    let mut stopped = 0;
    for call in 1.. {
        let mut partition = prepare(&failing_at(source, call));
        let untouched = partition.dump();
        let Err(failed) = partition.call(LATER, last) else {
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
        partition.script = redis::Script::new(&inlined(BATCH));
        let refused = partition.call(LATER, &anything).unwrap_err();
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

/// What may be done when there is no memory.
fn acts(scripts: &[(String, Script)]) -> Vec<(String, Script)> {
    let is_act = |(_, script): &&(String, Script)| matches!(script, Script::Act { .. });
    scripts.iter().filter(is_act).cloned().collect()
}

#[test]
fn a_call_that_fails_leaves_nothing_or_stops_the_partition() {
    let scripts = commands(5, 400);
    let (before, last) = scripts.split_at(300);
    let only_acts = acts(last);
    assert!(only_acts.len() > 10);
    for kind in Kind::ALL {
        fail_everywhere(kind, BATCH, &encoded(before), &encoded(last));
        fail_everywhere(kind, RELIEF, &encoded(before), &encoded(&only_acts));
    }
}

/// The server looks at its memory before a script starts, and not while it runs.
#[test]
fn memory_that_ends_anywhere_in_a_batch_leaves_nothing_or_all_of_it() {
    const STEP: u64 = 4 * 1024;
    let scripts = commands(5, 400);
    let (before, last) = scripts.split_at(300);
    let (before, last) = (encoded(before), encoded(last));
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let prepare = || {
            let mut partition = Partition::fresh(&server, BATCH, 0);
            partition.call(START, &before).unwrap();
            partition
        };
        let mut whole = prepare();
        whole.call(LATER, &last).unwrap();
        let all_done = whole.dump();
        let limit = |bytes: u64| {
            let mut command = redis::cmd("CONFIG");
            command.arg("SET").arg("maxmemory").arg(bytes);
            command.exec(&mut server.connect()).unwrap();
        };
        let (mut refused, mut done) = (0, 0);
        // From a limit that is exceeded already to one that the batch does not reach.
        for steps in 0..64 {
            let mut partition = prepare();
            let untouched = partition.dump();
            limit((used_memory(&server) + steps * STEP).saturating_sub(8 * STEP));
            let called = partition.call(LATER, &last);
            limit(0);
            let found = partition.dump();
            if let Err(error) = called {
                assert_eq!(error.code(), Some("OOM"), "{kind:?}: {error}");
                assert!(found == untouched, "{kind:?}: refused, and not untouched");
                refused += 1;
            } else {
                assert!(found == all_done, "{kind:?}: answered, and not all done");
                done += 1;
            }
        }
        assert!(refused > 0 && done > 0, "{kind:?}: {refused} and {done}");
    }
}

fn used_memory(server: &Server) -> u64 {
    let mut command = redis::cmd("INFO");
    let info: String = command.arg("memory").query(&mut server.connect()).unwrap();
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"));
    line.unwrap().trim().parse().unwrap()
}
