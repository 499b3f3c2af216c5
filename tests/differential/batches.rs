//! A history in batches, against scripts and model at once.

use std::collections::BTreeMap;
use std::fmt::Debug;

use holdfast::domain::command::{CommandKey, Keyed};
use holdfast::domain::hash::Hasher;
use holdfast::domain::policy::{Document, Policy};
use holdfast::domain::stock::NodeStock;
use holdfast::domain::{ChannelIx, Day, NodeIx, Refusal, ReservationId, Sku, UnixMillis};
use holdfast::ledger::policy::text;
use holdfast::ledger::remote::wire::command::{Read, Table, encode, encode_expire, encode_read};
use holdfast::ledger::remote::wire::reply::BatchReply;
use holdfast::ledger::{Availability, StockView};

use crate::partition::{Partition, answer};
use crate::support::check::{Coverage, Mismatch, START, unexplained};
use crate::support::history::{CHANNELS, NODES, REFERENCES, SKUS, Step, entry_names};
use crate::support::model::{Model, Reply, is_recorded};
use crate::support::rng::Rng;
use crate::support::script::Script;

/// Most commands of a batch.
const BATCH_MAX: u64 = 24;

/// A command as it waits for its batch.
pub(crate) struct Waiting<'h> {
    key: &'h str,
    script: &'h Script,
}

struct Run<'a, 'h> {
    partition: &'a mut Partition,
    hasher: Hasher,
    model: Model,
    rng: Rng,
    wall: i64,
    now: i64,
    waiting: Vec<Waiting<'h>>,
    batch: usize,
    reserves: Vec<&'h str>,
    sequences: BTreeMap<&'h str, u64>,
    last: u64,
    coverage: Coverage,
}

/// Runs a history on a fresh partition; `Err` says where the first difference is.
pub(crate) fn run(
    partition: &mut Partition,
    seed: u64,
    history: &[Step],
) -> Result<Coverage, Mismatch> {
    partition.clear(seed);
    give_names(partition);
    let mut run = Run {
        partition,
        hasher: Hasher::new(seed),
        model: Model::default(),
        rng: Rng::new(seed),
        wall: START,
        now: START,
        waiting: Vec::new(),
        batch: 1,
        reserves: Vec::new(),
        sequences: BTreeMap::new(),
        last: 0,
        coverage: Coverage::new(),
    };
    for (at, step) in history.iter().enumerate() {
        run.step(step).map_err(|what| Mismatch { step: at, what })?;
    }
    let end = history.len();
    run.end().map_err(|what| Mismatch { step: end, what })?;
    Ok(run.coverage)
}

/// The names that the embedded ledger of the tests has, in the same order.
pub(crate) fn give_names(partition: &mut Partition) {
    let nodes = (1..NODES).map(|n| (Table::Nodes, format!("n{n}")));
    let channels = entry_names().map(|name| (Table::Channels, name.to_owned()));
    let names: Vec<_> = nodes.chain(channels).collect();
    let indexes = partition.name(START, &names);
    let expected = (1..NODES).chain((0..).zip(entry_names()).map(|(at, _)| at));
    let expected = expected.map(Some);
    assert!(indexes.into_iter().eq(expected));
}

/// Puts a document without faults, after its channels have their indexes.
pub(crate) fn put_policy(partition: &mut Partition, now: i64, document: &Document) -> Policy {
    let channels = { document.channels.iter() }.map(|of| (Table::Channels, of.name.clone()));
    let names: Vec<_> = channels.collect();
    let indexes = partition.name(now, &names);
    let index_of = |name: &str| {
        let at = names.iter().position(|(_, known)| known == name)?;
        indexes[at].map(ChannelIx)
    };
    let policy = Policy::compile(document, index_of).unwrap();
    partition.put_policy(now, &policy, &text::write(document));
    policy
}

fn same<T: PartialEq + Debug>(what: &str, scripts: &T, model: &T) -> Result<(), String> {
    if scripts == model {
        return Ok(());
    }
    Err(format!(
        "{what}\n  scripts: {scripts:?}\n  model:   {model:?}"
    ))
}

/// The command as the engine sends it.
pub(crate) fn keyed<'h>(hasher: Hasher, key: &str, script: &'h Script) -> Keyed<'h> {
    let target = script.target().map_or(0, |target| hasher.key(target));
    let command = script.command(target);
    Keyed {
        key: CommandKey {
            id: hasher.key(key),
            fingerprint: hasher.fingerprint(&command),
        },
        command,
    }
}

fn sku(text: &str) -> Sku<'_> {
    Sku::new(text).unwrap()
}

impl<'h> Run<'_, 'h> {
    fn step(&mut self, step: &'h Step) -> Result<(), String> {
        match step {
            Step::Command { key, script } => {
                self.waiting.push(Waiting { key, script });
                if self.waiting.len() < self.batch {
                    return Ok(());
                }
                self.send()
            }
            Step::Clock(by) => {
                self.send()?;
                self.wall += by;
                Ok(())
            }
            Step::Policy(document) => {
                self.send()?;
                self.put_policy(document);
                Ok(())
            }
            Step::Tick | Step::Restart | Step::Snapshot => {
                self.send()?;
                self.ask(&[encode_expire()]).map(drop)
            }
            Step::Compare => {
                self.send()?;
                self.compare()
            }
        }
    }

    fn put_policy(&mut self, document: &Document) {
        if Policy::compile(document, |_| None).is_err() {
            *self.coverage.entry("policy_faults").or_default() += 1;
            return;
        }
        self.now = self.now.max(self.wall);
        put_policy(self.partition, self.wall, document);
        self.model.put_policy(document);
        *self.coverage.entry("policy").or_default() += 1;
    }

    /// Whatever is counted again agrees with its records.
    fn end(&mut self) -> Result<(), String> {
        self.send()?;
        same(
            "violations",
            &self.partition.recount()?.violations,
            &Vec::new(),
        )
    }

    /// Sends what waits, and compares every answer.
    fn send(&mut self) -> Result<(), String> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        let keyed = waiting.iter().map(|w| keyed(self.hasher, w.key, w.script));
        let keyed: Vec<Keyed<'_>> = keyed.collect();
        let commands: Vec<Vec<u8>> = keyed.iter().map(encode).collect();
        let reply = self.ask(&commands)?;
        for (at, (waiting, keyed)) in waiting.iter().zip(&keyed).enumerate() {
            let given = answer(&reply, at, keyed);
            let script = waiting.script;
            let expected = self
                .model
                .execute(self.now, waiting.key, keyed.key.id, script);
            self.count(&expected);
            let label = format!("verdict of {}", waiting.key);
            same(
                &label,
                &unexplained(given.verdict.clone()),
                &expected.verdict,
            )?;
            same("replayed", &given.replayed, &expected.replayed)?;
            if matches!(script, Script::Reserve { .. }) && given.verdict.is_ok() && !given.replayed
            {
                self.reserves.push(waiting.key);
            }
            let sequence = given.position.sequence;
            if given.replayed {
                let first = self.sequences.get(waiting.key);
                same("sequence of a replay", &Some(&sequence), &first)?;
            } else if is_recorded(&given.verdict) {
                if sequence <= self.last {
                    return Err(format!("sequence {sequence} is not after {}", self.last));
                }
                self.last = sequence;
                self.sequences.insert(waiting.key, sequence);
            }
        }
        same(
            "last sequence",
            &reply.header().last,
            &self.last.max(reply.header().last),
        )?;
        self.batch = usize::try_from(self.rng.between(1, BATCH_MAX)).unwrap();
        Ok(())
    }

    fn count(&mut self, expected: &Reply) {
        let code = expected
            .verdict
            .as_ref()
            .map_or_else(Refusal::code, |_| "done");
        let code = if expected.replayed { "replayed" } else { code };
        *self.coverage.entry(code).or_default() += 1;
    }

    /// One call; the scripts' time goes on with it.
    fn ask(&mut self, commands: &[Vec<u8>]) -> Result<BatchReply, String> {
        self.now = self.now.max(self.wall);
        let reply = self.partition.call(self.wall, commands);
        let reply = reply.map_err(|error| format!("the script failed: {error}"))?;
        same("now", &reply.header().now, &UnixMillis(self.now))?;
        if reply.header().backlog {
            return Err("a backlog of expiries in a small history".to_owned());
        }
        Ok(reply)
    }

    fn compare(&mut self) -> Result<(), String> {
        let recent = self.reserves.len().saturating_sub(40);
        let reserves = self.reserves[recent..].to_vec();
        let mut reads: Vec<Vec<u8>> = Vec::new();
        for key in &reserves {
            let id = self.hasher.key(key);
            reads.push(encode_read(&Read::Reservation(ReservationId(id))));
            reads.push(encode_read(&Read::Settle(id)));
        }
        reads.extend(SKUS.iter().map(|name| encode_read(&Read::Stock(sku(name)))));
        for channel in (0..CHANNELS).map(ChannelIx) {
            reads.extend(REFERENCES.map(|name| encode_read(&Read::Reference(channel, name))));
        }
        let reply = self.ask(&reads)?;
        self.model.expire_all(self.now);
        let mut at = 0;
        for key in reserves {
            let id = self.hasher.key(key);
            let seen = reply.reservation(at, id).unwrap();
            same(
                &format!("reservation {key}"),
                &seen,
                &self.model.reservation(key),
            )?;
            let settled = reply.settled(at + 1, id).unwrap().map(|a| Reply {
                verdict: unexplained(a.verdict),
                replayed: a.replayed,
            });
            same(&format!("settled {key}"), &settled, &self.model.settle(key))?;
            at += 2;
        }
        for name in SKUS {
            self.compare_sku(&reply, at, name)?;
            at += 1;
        }
        for channel in 0..CHANNELS {
            for reference in REFERENCES {
                let seen = reply.by_reference(at).unwrap();
                let expected = self.model.by_reference(channel, reference);
                same(
                    &format!("latest of {channel} {reference}"),
                    &seen,
                    &expected,
                )?;
                at += 1;
            }
        }
        Ok(())
    }

    fn compare_sku(&self, reply: &BatchReply, at: usize, name: &str) -> Result<(), String> {
        let stock = reply.stock(at);
        let stock = stock.map_err(|error| format!("stock of {name}: {error}"))?;
        for node in std::iter::once(None).chain((0..NODES).map(Some)) {
            let seen = stock
                .as_ref()
                .map(|stock| Availability::of(stock, node.map(NodeIx), reply.header().now));
            let expected = self.model.availability(name, node, self.now);
            same(
                &format!("availability of {name} at {node:?}"),
                &seen,
                &expected,
            )?;
        }
        let mut view = stock.as_ref().map(|stock| StockView::of(stock, Day::FIRST));
        if let Some(view) = &mut view {
            view.nodes.iter_mut().for_each(|node| node.counted = 0);
            view.nodes.retain(|n| *n != NodeStock::empty(n.node));
        }
        same(&format!("stock of {name}"), &view, &self.model.stock(name))
    }
}
