//! What a store answers and keeps: any bytes as an entry of the stream and as a reply, and any bytes
//! as the record of an id, the stock of a SKU and a version of the policy.
//!
//! Two bytes, little-endian, are the length of the batch as it was sent; its bytes follow, and the
//! reply is the rest.

use bytes::Bytes;
use holdfast::domain::command::{Channel, Command, CommandKey, Keyed, LineRequest, Lines, Reserve};
use holdfast::domain::{ChannelIx, HoldTtl, NodeIx, Sku, Ttl, Units};
use holdfast::ledger::export::Item;
use holdfast::ledger::remote::wire::event::Entry;
use holdfast::ledger::remote::wire::import::{Counts, Part};
use holdfast::ledger::remote::wire::reply::BatchReply;
use holdfast::ledger::remote::wire::{export, policy, several};

/// A batch takes no more commands; see `limits`.
const COMMANDS_MAX: usize = holdfast::limits::STORE_BATCH_COMMANDS_MAX;

/// Reads all that there is to read.
pub fn check(bytes: &[u8]) -> bool {
    let Some((length, rest)) = bytes.split_first_chunk() else {
        return false;
    };
    let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
    let (argument, reply) = rest.split_at(length);
    let is_kept = kept(reply);
    let (argument, reply) = [argument, reply].map(Bytes::copy_from_slice).into();
    let Ok(entry) = Entry::parse(argument, Bytes::clone(&reply)) else {
        return is_kept;
    };
    drop(entry.events());
    let read = entry.reply();
    assert!(read.len() <= COMMANDS_MAX);
    for at in 0..read.len() {
        result(read, at);
    }
    // As a reply it must repeat the id of its batch, which is its first text.
    if let Some(id) = reply.get(2..18).and_then(|id| id.try_into().ok()) {
        drop(BatchReply::parse(reply.clone(), id, read.len()));
    }
    true
}

/// The result at a place, as whatever it may be.
fn result(reply: &BatchReply, at: usize) {
    for lines in [1, 2] {
        drop(reply.answer(at, &reserve(lines)));
    }
    reply.is_deferred(at);
    reply.recorded(at);
    drop((reply.settled(at, 7), reply.fingerprint(at)));
    drop((reply.reservation(at, 7), reply.by_reference(at)));
    drop((reply.stock(at), reply.names(at), reply.named(at)));
    drop((reply.forgotten(at), reply.swapped(at), reply.step(at)));
    drop(reply.ties(at));
    if let Ok(record) = reply.record(at) {
        kept(record);
    }
}

/// Bytes as they are kept under an id, a SKU or a version.
fn kept(bytes: &[u8]) -> bool {
    const ID: [u8; 16] = [7; 16];
    drop(several::booking(bytes));
    let version = policy::version(1, bytes);
    drop((export::with_ties(&ID, bytes), export::answer(&[(7, bytes)])));
    let found = export::record(&ID, bytes);
    let is_known = version.is_ok() || found.is_ok();
    let item = match found {
        Ok(export::Found::Item(item)) => Some(*item),
        Ok(export::Found::Change(_) | export::Found::Nothing) | Err(_) => None,
    };
    let items: Vec<Item> = { item.into_iter() }
        .chain(export::sku(b"sku", bytes))
        .collect();
    items.iter().for_each(import);
    is_known || !items.is_empty()
}

/// What is exported is read back the same, and can be packed for another store or says why not.
fn import(item: &Item) {
    let line = serde_json::to_vec(item).unwrap();
    assert_eq!(serde_json::from_slice::<Item>(&line).unwrap(), *item);
    let (mut part, mut counts) = (Part::default(), Counts::default());
    let packed = match item {
        Item::Sku(sku) => part.sku(sku, &mut counts),
        Item::Reservation(held) => part.home(held, vec![false; held.lines.len()], &mut counts),
        Item::Answer(answer) => part.answer(answer, &mut counts).map(drop),
        Item::Node(_) | Item::Channel(_) | Item::Policy(_) => return,
    };
    assert!(packed.is_err() || !part.pack().is_empty());
}

fn reserve(lines: usize) -> Keyed<'static> {
    let requests = ["a", "b"].into_iter().take(lines).map(|sku| LineRequest {
        sku: Sku::new(sku).unwrap(),
        node: Some(NodeIx::MAIN),
        quantity: Units::new(2).unwrap(),
        by: None,
    });
    Keyed {
        key: CommandKey {
            id: 7,
            fingerprint: 8,
        },
        command: Command::Reserve(Reserve {
            channel: Channel {
                name: "web",
                index: Some(ChannelIx(0)),
            },
            reference: None,
            ttl: HoldTtl::Asked(Ttl::from_millis(1_000).unwrap()),
            allow_partial: true,
            lines: Lines::try_new(requests).unwrap(),
        }),
    }
}
