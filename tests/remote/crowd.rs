//! A crowd over three instances wants more of one SKU than there is.

use std::collections::{BTreeMap, BTreeSet};

use holdfast::blocking::wait_for;
use holdfast::domain::Outcome;
use holdfast::domain::command::Keyed;
use holdfast::ledger::Answer;

use crate::instance::{Instance, Place, hold, set};
use crate::server::{Kind, Server};
use crate::support::rng::Rng;
use crate::support::script::Script;

const HOT: u64 = 1_000;
const OTHERS: usize = 50;
const INSTANCES: usize = 3;
const THREADS: usize = 8;
const ROUNDS: usize = 40;
const AT_ONCE: usize = 8;
const TTL: u32 = 86_400_000;

/// What a caller sent and was told.
struct Told {
    key: String,
    script: Script,
    answer: Answer,
}

fn wish(rng: &mut Rng) -> Script {
    if rng.percent(70) {
        hold("hot", rng.between(1, 2), TTL)
    } else {
        hold(&format!("sku-{}", rng.index(OTHERS)), 1, TTL)
    }
}

fn in_a_batch(instance: &Instance, wishes: &[(String, Script)]) -> Vec<Answer> {
    let commands: Vec<_> = wishes
        .iter()
        .map(|(key, script)| {
            let command = script.command(0);
            let key = instance.0.key(key, &command);
            Keyed { key, command }
        })
        .collect();
    let answers = wait_for(instance.0.execute_batch(&commands));
    answers.into_iter().map(Result::unwrap).collect()
}

/// One caller: single calls and batches in turn, and now and then a key again, elsewhere.
fn caller(instances: &[Instance], at: usize) -> Vec<Told> {
    let mut rng = Rng::new(u64::try_from(at).unwrap());
    let mut told: Vec<Told> = Vec::new();
    for round in 0..ROUNDS {
        let instance = &instances[at % INSTANCES];
        let count = if round % 2 == 0 { 1 } else { AT_ONCE };
        let wishes: Vec<(String, Script)> = (0..count)
            .map(|n| (format!("{at}-{round}-{n}"), wish(&mut rng)))
            .collect();
        let answers = match &wishes[..] {
            [(key, script)] => vec![instance.execute(key, script)],
            many => in_a_batch(instance, many),
        };
        for ((key, script), answer) in wishes.into_iter().zip(answers) {
            assert!(!answer.replayed);
            told.push(Told {
                key,
                script,
                answer,
            });
        }
        let earlier = &told[rng.index(told.len())];
        let again = instances[(at + 1) % INSTANCES].execute(&earlier.key, &earlier.script);
        assert_eq!(again.verdict, earlier.answer.verdict, "{}", earlier.key);
        assert_eq!(again.position, earlier.answer.position, "{}", earlier.key);
        assert!(again.replayed);
    }
    told
}

fn judge(told: &[Told], instance: &Instance) {
    let mut held: BTreeMap<String, u64> = BTreeMap::new();
    let mut places = BTreeSet::new();
    for Told { answer, key, .. } in told {
        assert!(places.insert(answer.position), "{key} stands with another");
        if let Ok(Outcome::Reservation(made)) = &answer.verdict {
            for line in &made.lines {
                *held.entry(line.sku.to_string()).or_default() += line.line.held.get();
            }
        }
    }
    assert_eq!(held["hot"], HOT);
    for (sku, units) in held {
        let [_, found, _] = instance.units(&sku);
        assert_eq!(found, units, "{sku}");
    }
    instance.recounts_clean();
}

fn run(kind: Kind) {
    let server = Server::start(kind);
    let place = Place::new(&server);
    let instances: Vec<Instance> = (0..INSTANCES).map(|_| place.open_named()).collect();
    instances[0].execute("hot", &set("hot", HOT));
    for n in 0..OTHERS {
        let sku = format!("sku-{n}");
        instances[0].execute(&sku, &set(&sku, 20));
    }
    let told: Vec<Told> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..INSTANCES * THREADS)
            .map(|at| {
                let instances = &instances;
                scope.spawn(move || caller(instances, at))
            })
            .collect();
        let told = callers.into_iter().map(|caller| caller.join().unwrap());
        told.flatten().collect()
    });
    judge(&told, &instances[1]);
    // The whole of it is told the same way by an instance that was not there.
    let late = place.open();
    for Told {
        key,
        script,
        answer,
    } in told.iter().step_by(17)
    {
        assert_eq!(late.execute(key, script).verdict, answer.verdict);
    }
}

#[test]
fn a_crowd_over_three_instances_gets_every_unit_once() {
    for kind in Kind::ALL {
        run(kind);
    }
}
