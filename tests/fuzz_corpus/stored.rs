//! What a real store says and keeps, for the corpus of what reads it.

use std::collections::BTreeMap;

use bytes::Bytes;
use holdfast::domain::command::{Command, Keyed};
use holdfast::domain::hash::Hasher;
use holdfast::domain::policy::Policy;
use holdfast::domain::{ChannelIx, ReservationId, Sku, UnixMillis};
use holdfast::ledger::policy::text;
use holdfast::ledger::remote::script::BATCH;
use holdfast::ledger::remote::wire::batch::batch;
use holdfast::ledger::remote::wire::command::{Read, Table, encode, encode_read};

use crate::checks::dated_commands::{Maker, count};
use crate::partition::Partition;
use crate::seeds::Files;
use crate::server::{Kind, Server};
use crate::support::check::START;
use crate::support::history::{NODES, SKUS, entry_names};
use crate::support::policies;
use crate::support::rng::Rng;

const BATCHES: usize = 12;
const COMMANDS: usize = 5;

/// Entries of the stream, a reply to reads, and what is kept of stock and of records.
pub(crate) fn replies() -> Files {
    let server = Server::start(Kind::Valkey);
    let mut partition = Partition::fresh(&server, BATCH, 7);
    let ids = decide(&mut partition);
    let mut files = Vec::new();
    for (number, (argument, reply)) in entries(&mut partition).into_iter().enumerate() {
        files.push((format!("entry-{number:02}"), packed(&argument, &reply)));
    }
    let reads = SKUS.map(|sku| encode_read(&Read::Stock(Sku::new(sku).unwrap())));
    let records = ids.iter().map(|id| encode_read(&Read::Settle(*id)));
    let commands: Vec<_> = { reads.into_iter().chain([encode_read(&Read::Names)]) }
        .chain(records.take(8))
        .collect();
    let (argument, reply) = ask(&mut partition, &commands);
    files.push((String::from("reads"), packed(&argument, &reply)));
    for (name, key) in [
        ("stock", partition.keys.stock().to_owned()),
        ("record", partition.keys.records().to_owned()),
        ("version", partition.keys.versions().to_owned()),
    ] {
        let mut ask = redis::cmd("HGETALL");
        let kept: BTreeMap<Bytes, Bytes> = ask.arg(key).query(&mut partition.connection).unwrap();
        for (number, bytes) in kept.into_values().take(5).enumerate() {
            files.push((format!("{name}-{number}"), packed(&[], &bytes)));
        }
    }
    files
}

/// An input: the length of the batch, the batch, its reply.
fn packed(argument: &[u8], reply: &[u8]) -> Vec<u8> {
    let length = u16::try_from(argument.len()).unwrap().to_le_bytes();
    [&length, argument, reply].concat()
}

/// Gives names, a policy, and commands of every kind; the ids of the commands.
fn decide(partition: &mut Partition) -> Vec<u128> {
    let nodes = (0..NODES).map(|node| match node {
        0 => (Table::Nodes, String::from("main")),
        _ => (Table::Nodes, format!("n{node}")),
    });
    let channels = entry_names().map(|name| (Table::Channels, name.to_owned()));
    partition.name(START, &nodes.chain(channels).collect::<Vec<_>>());
    let document = policies::random(&mut Rng::new(3), true);
    let index = |name: &str| {
        let at = entry_names().position(|known| known == name)?;
        u16::try_from(at).ok().map(ChannelIx)
    };
    let policy = Policy::compile(&document, index).unwrap();
    partition.put_policy(START, &policy, &text::write(&document));
    let mut maker = Maker {
        rng: Rng::new(5),
        now: START,
        marks: true,
    };
    let hasher = Hasher::new(7);
    let mut ids = Vec::new();
    for number in 0..BATCHES {
        let commands: Vec<Vec<u8>> = (0..COMMANDS)
            .map(|at| {
                let command = next(&mut maker, &ids, number * COMMANDS + at);
                let key = holdfast::domain::command::CommandKey {
                    id: hasher.key(&format!("key-{number}-{at}")),
                    fingerprint: hasher.fingerprint(&command),
                };
                ids.push(key.id);
                encode(&Keyed { key, command })
            })
            .collect();
        partition.call(maker.now, &commands).unwrap();
        maker.now += 4_000;
    }
    ids
}

fn next(maker: &mut Maker, ids: &[u128], number: usize) -> Command<'static> {
    if let Some(sku) = SKUS.get(number) {
        return count(sku, 30);
    }
    let is_act = maker.rng.percent(40);
    match maker.one_of(ids.len()).filter(|_| is_act) {
        Some(at) => Command::Act(maker.act(ReservationId(ids[at]))),
        None => maker.any(),
    }
}

/// The stream's entries, as they stand there.
fn entries(partition: &mut Partition) -> Vec<(Bytes, Bytes)> {
    let mut ask = redis::cmd("XRANGE");
    ask.arg(partition.keys.events()).arg("-").arg("+");
    let entries: Vec<(String, Vec<Bytes>)> = ask.query(&mut partition.connection).unwrap();
    let fields = entries.into_iter().map(|(_, fields)| {
        let [_, argument, _, reply] = fields.try_into().unwrap();
        (argument, reply)
    });
    fields.collect()
}

/// One call, and what came back as it is.
fn ask(partition: &mut Partition, commands: &[Vec<u8>]) -> (Vec<u8>, Vec<u8>) {
    let argument = batch(commands.iter().map(Vec::as_slice)).unwrap();
    let mut call = partition.script.prepare_invoke();
    call.key(&partition.keys.all()[..])
        .arg(&argument)
        .arg(&[9; 16]);
    call.arg(UnixMillis(START).0 + 1_000_000);
    let reply = call.invoke(&mut partition.connection).unwrap();
    (argument, reply)
}
