//! The format of the batcher's own tests.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::queue::{Entry, Queue};
use super::{Format, Place, Question, Settle, Weight};
use crate::clock::monotonic;
use crate::ledger::LedgerError;
use crate::telemetry::Script;

/// A command that cannot be put into a batch.
pub(super) const UNPACKABLE: u8 = 255;

/// The answer of another history.
pub(super) const ELSEWHERE: u8 = 254;

/// Partitions that numbers belong to.
pub(super) const PARTITIONS: usize = 4;

/// Commands are numbers; the odd ones need memory. A reply lists those that are answered.
pub(super) struct Numbers;

/// Whoever waits for an answer.
pub(super) type Waiter = oneshot::Receiver<Result<Place<Vec<u8>>, LedgerError>>;

impl Settle for u8 {}

impl Format for Numbers {
    type Command = u8;
    type Reply = Vec<u8>;
    type Malformed = &'static str;
    type Before = ();

    fn weigh(&self, command: &u8) -> Weight {
        let script = if command % 2 == 1 {
            Script::Batch
        } else {
            Script::Relief
        };
        Weight {
            lines: 1,
            bytes: 1,
            script,
            partition: u16::from(command / 64),
        }
    }

    fn pack(&self, commands: &[&u8]) -> Result<Vec<u8>, &'static str> {
        let bytes: Vec<u8> = commands.iter().map(|command| **command).collect();
        let packs = !bytes.contains(&UNPACKABLE);
        packs.then_some(bytes).ok_or("cannot be packed")
    }

    fn parse(&self, bytes: Bytes, asked: Question<'_>) -> Result<Vec<u8>, &'static str> {
        let (echo, answers) = bytes.split_at(16.min(bytes.len()));
        let is_whole = echo == asked.batch_id && answers.len() == asked.commands;
        is_whole.then(|| answers.to_vec()).ok_or("odd")
    }

    fn before(&self, _partition: u16) {}

    fn note(&self, _: Question<'_>, (): (), reply: &Vec<u8>, _commands: &[&u8]) -> bool {
        !reply.contains(&ELSEWHERE)
    }

    fn is_deferred(&self, reply: &Vec<u8>, at: usize) -> bool {
        reply[at] == 0
    }
}

/// Puts a number into a queue.
pub(super) fn submit(queue: &Arc<Queue<u8, Vec<u8>>>, command: u8) -> Waiter {
    let (waiter, receiver) = oneshot::channel();
    queue.push(Entry {
        command,
        weight: Numbers.weigh(&command),
        waiter,
        since: monotonic(),
        sent: None,
        is_in_doubt: false,
    });
    receiver
}
