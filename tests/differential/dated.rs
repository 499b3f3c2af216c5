//! Dated supply: the same random commands, in batches of random size to the scripts and one by one to the
//! embedded ledger, whose promises `tests/model` holds against an assignment of unit to promise. And
//! the check is checked: scripts with a fault put in must be told from those without.

use std::sync::Arc;

use holdfast::blocking::wait_for;
use holdfast::clock::Clock;
use holdfast::domain::command::{Command, Keyed};
use holdfast::domain::policy::Document;
use holdfast::domain::{
    ChannelIx, Day, NodeIx, Outcome, ReservationId, Sku, Stock, UnixMillis, Verdict,
};
use holdfast::engine::Engine;
use holdfast::ledger::remote::script::BATCH;
use holdfast::ledger::remote::wire::command::{Read, encode, encode_read};
use holdfast::ledger::remote::wire::reply::BatchReply;
use holdfast::ledger::{About, Consistency, StockView};

use crate::batches::{give_names, put_policy};
use crate::dated_commands::{DAY_MS, Maker, count};
use crate::partition::{Partition, answer};
use crate::server::{Kind, Server};
use crate::support::check::START;
use crate::support::driven;
use crate::support::history::{NODES, SKUS};
use crate::support::memory::Memory;
use crate::support::rng::Rng;

const BATCHES: usize = 80;
const BATCH_MAX: u64 = 10;

struct Run<'p> {
    partition: &'p mut Partition,
    embedded: Engine,
    clock: Clock,
    maker: Maker,
    made: Vec<ReservationId>,
    sent: usize,
}

fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    scripts: &T,
    embedded: &T,
) -> Result<(), String> {
    if scripts == embedded {
        return Ok(());
    }
    Err(format!(
        "{what}\n  scripts:  {scripts:?}\n  embedded: {embedded:?}"
    ))
}

impl Run<'_> {
    /// The commands of a batch. None acts on what another one of them makes.
    fn commands(&mut self) -> Vec<Command<'static>> {
        let mut commands = Vec::new();
        for _ in 0..self.maker.rng.between(1, BATCH_MAX) {
            let acts = self.maker.rng.percent(30);
            let target = self.maker.one_of(self.made.len()).filter(|_| acts);
            commands.push(match target {
                Some(at) => Command::Act(self.maker.act(self.made[at])),
                None => self.maker.any(),
            });
        }
        commands
    }

    fn ask(&mut self, commands: &[Vec<u8>]) -> Result<BatchReply, String> {
        let reply = self.partition.call(self.maker.now, commands);
        reply.map_err(|error| format!("the script failed: {error}"))
    }

    fn send(&mut self, commands: Vec<Command<'static>>) -> Result<(), String> {
        let mut keyed = Vec::new();
        for command in commands {
            self.sent += 1;
            let again = self.maker.rng.percent(10);
            let key = self.embedded.key(&format!("k{}", self.sent), &command);
            let one = Keyed { key, command };
            keyed.extend(again.then(|| one.clone()));
            keyed.push(one);
        }
        let packed: Vec<Vec<u8>> = keyed.iter().map(encode).collect();
        let reply = self.ask(&packed)?;
        for (at, keyed) in keyed.iter().enumerate() {
            let ours = self.embedded.submit(keyed).unwrap();
            let theirs = answer(&reply, at, keyed);
            let what = format!("{:?}", keyed.command);
            same(&what, &theirs.verdict, &ours.verdict)?;
            same(&what, &theirs.replayed, &ours.replayed)?;
            self.note(&ours.verdict);
        }
        Ok(())
    }

    fn note(&mut self, verdict: &Verdict) {
        if let Ok(Outcome::Reservation(made)) = verdict
            && !self.made.contains(&made.id)
        {
            self.made.push(made.id);
        }
    }

    fn put_policy(&mut self, document: &Document) {
        if driven::put_policy(&self.embedded, document)
            .unwrap()
            .is_some()
        {
            put_policy(self.partition, self.maker.now, document);
        }
    }

    /// What can be read of every SKU.
    fn compare(&mut self) -> Result<(), String> {
        let reads = SKUS.map(|name| encode_read(&Read::Stock(Sku::new(name).unwrap())));
        let reply = self.ask(&reads)?;
        for (at, name) in SKUS.into_iter().enumerate() {
            let stock = reply.stock(at);
            let stock = stock.map_err(|error| format!("stock of {name}: {error}"))?;
            self.compare_sku(name, stock.as_ref())?;
        }
        Ok(())
    }

    fn compare_sku(&self, name: &str, stock: Option<&Stock>) -> Result<(), String> {
        let sku = Sku::new(name).unwrap();
        let today = Day::of(UnixMillis(self.maker.now));
        let ours = wait_for(self.embedded.stock(sku)).unwrap();
        let theirs = stock.map(|stock| StockView::of(stock, today));
        let bare = |view: Option<StockView>| {
            view.map(|mut view| {
                view.nodes.iter_mut().for_each(|place| place.counted = 0);
                view
            })
        };
        same(&format!("stock of {name}"), &bare(theirs), &bare(ours))?;
        for at in 0..=NODES {
            let about = About {
                node: at.checked_sub(1).map(NodeIx),
                channel: None::<ChannelIx>,
            };
            let ours = self.embedded.availability(sku, about, Consistency::Strong);
            let ours = wait_for(ours).unwrap();
            let now = UnixMillis(self.maker.now);
            let theirs =
                stock.map(|stock| holdfast::ledger::Availability::of(stock, about.node, now));
            same(&format!("availability of {name}"), &theirs, &ours)?;
        }
        Ok(())
    }
}

/// Runs a history on a fresh partition; `Err` says what differs.
pub(crate) fn run(partition: &mut Partition, seed: u64) -> Result<(), String> {
    partition.clear(seed);
    give_names(partition);
    let clock = Clock::manual(UnixMillis(START));
    let storage = Arc::new(Memory::with_seed(seed));
    let mut run = Run {
        partition,
        embedded: driven::open(storage, clock.clone(), None),
        clock,
        maker: Maker {
            rng: Rng::new(seed),
            now: START,
            marks: true,
        },
        made: Vec::new(),
        sent: 0,
    };
    let done = batches(&mut run, seed);
    run.embedded.close().unwrap();
    done?;
    let violations = run.partition.recount()?.violations;
    same("violations", &violations, &Vec::new())
}

fn batches(run: &mut Run<'_>, seed: u64) -> Result<(), String> {
    run.send(SKUS.map(|name| count(name, 4)).to_vec())?;
    for batch in 0..BATCHES {
        let commands = run.commands();
        run.send(commands)?;
        if batch % 20 == 10 && seed % 2 == 1 {
            let document = run.maker.policy();
            run.put_policy(&document);
        }
        if batch % 5 == 4 {
            let by = i64::try_from(run.maker.rng.below(2)).unwrap() * DAY_MS;
            run.maker.now += by + i64::try_from(run.maker.rng.below(40_000_000)).unwrap();
            run.clock.set(UnixMillis(run.maker.now));
            run.compare()?;
        }
    }
    Ok(())
}

#[test]
fn scripts_keep_dated_supply_like_the_embedded_ledger_on_every_server() {
    std::thread::scope(|scope| {
        for kind in Kind::ALL {
            scope.spawn(move || {
                let server = Server::start(kind);
                let mut partition = Partition::fresh(&server, BATCH, 0);
                for seed in 0..16 {
                    if let Err(what) = run(&mut partition, seed) {
                        panic!("{kind:?}, seed {seed}: {what}");
                    }
                }
            });
        }
    });
}

/// What is wrong, the text that is right, and what stands there instead.
const FAULTS: [(&str, &str, &str); 18] = [
    (
        "what is needed later is promised",
        "if left <= least then least, at_least = left, at end",
        "least, at_least = left, at",
    ),
    (
        "no safety stock is kept back of what comes",
        "least_beside = min(least_beside, left - line.safety[at])",
        "least_beside = min(least_beside, left)",
    ),
    (
        "pins for later count from now on",
        "      add_change(line, of.pin - 1, 1, of.units)\n",
        "",
    ),
    (
        "a node gives away what it needs later",
        "unpromised[at] = unpromised[at] + sign * least[at]",
        "unpromised[at] = unpromised[at] + sign * course[at]",
    ),
    (
        "a pin takes nothing from what comes earlier",
        "local earlier = node.earlier[from] + node.least[from]",
        "local earlier = node.earlier[from] + node.least[1]",
    ),
    (
        "a line waits for the last day",
        "local best = first_with(units, 1, last)\n",
        "local best = first_with(units, last, last)\n",
    ),
    (
        "what went back is promised for its day",
        "  owe(stock, pin, -units, day)\nend",
        "  owe(stock, pin, -units)\nend",
    ),
    (
        "lines before are not counted",
        "      owe(draft, pin, granted, day)\n",
        "",
    ),
    (
        "what others need earlier leaves before its day",
        "  if room < units then\n    return short_of(line, from",
        "  if room < 0 then\n    return short_of(line, from",
    ),
    (
        "a pin breaks a promise",
        "if dated().is_harmed(before, dated().timeline(pinned)) then return 0 end",
        "",
    ),
    (
        "caps are of what is on hand alone",
        "line.supply[moment_of(line, day)]",
        "line.supply[1]",
    ),
    (
        "a timeline is asked that is not true any more",
        "known.version == stock[VERSION] and ",
        "",
    ),
    (
        "what comes no more is still announced",
        "local left = cmds[i + 3] == 1 and 0 or known.units - units",
        "local left = known.units - units",
    ),
    (
        "nobody is told of a later day",
        "local next = later and days[later]",
        "local next = nil",
    ),
    (
        "what was promised since counts for now alone",
        "for i = at, #line.days do line.unpromised[i] = line.unpromised[i] - units end",
        "line.unpromised[at] = line.unpromised[at] - units",
    ),
    (
        "a node keeps what was pinned to it since",
        "for i = at, #course do course[i] = course[i] - units end",
        "",
    ),
    (
        "a refusal outlives what it was for",
        "line.version, line.nodes, line.refused = stock[VERSION], {}, {}",
        "line.version, line.nodes = stock[VERSION], {}",
    ),
    (
        "days are passed over on which the share of another would do",
        "is_under = is_under or is_under_caps(rule, list[i], units)",
        "is_under = is_under",
    ),
];

#[test]
fn every_fault_about_days_is_noticed() {
    let server = Server::start(Kind::Redis);
    for (what, right, wrong) in FAULTS {
        assert!(BATCH.contains(right), "{what}: nothing to put it into");
        let source = BATCH.replace(right, wrong);
        let mut partition = Partition::fresh(&server, &source, 0);
        let noticed = (0..500).any(|seed| run(&mut partition, seed).is_err());
        assert!(noticed, "{what}: went unnoticed");
    }
}
