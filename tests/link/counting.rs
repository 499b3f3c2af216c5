//! A ledger reduced to what the link and the batcher rely on: each command id is counted once, and
//! answered the same way ever after.

use bytes::Bytes;
use holdfast::ledger::remote::batcher::{Format, Question, Settle, Weight};
use holdfast::telemetry::Script;

/// Counts new ids; answers a known one with its number. Every call writes, or a wait behind it
/// would prove nothing.
pub(crate) const COUNT: &str = "#!lua
local META, NUMBERS, EFFECTS = KEYS[1], KEYS[2], KEYS[3]
local argument, batch_id = ARGV[1], ARGV[2]
if redis.call('HEXISTS', META, 'ledger') == 0 then
  return redis.error_reply('UNINITIALISED this partition has no ledger')
end
redis.call('HINCRBY', META, 'calls', 1)
local reply = { batch_id }
for at = 1, #argument, 16 do
  local id = string.sub(argument, at, at + 15)
  local number = redis.call('HGET', NUMBERS, id)
  if not number then
    number = string.format('%016d', redis.call('HINCRBY', META, 'effects', 1))
    redis.call('HINCRBY', EFFECTS, id, 1)
    redis.call('HSET', NUMBERS, id, number)
  end
  reply[#reply + 1] = number
end
return table.concat(reply)
";

/// The same without looking whether the id is known: what a retry then does.
pub(crate) fn forgetful() -> String {
    let forgets = COUNT.replace("if not number then", "if true then");
    assert_ne!(forgets, COUNT);
    forgets
}

/// The same without writing anything for an id that is known.
pub(crate) fn mute() -> String {
    let bump = "redis.call('HINCRBY', META, 'calls', 1)\n";
    let inside = format!("if not number then\n    {bump}");
    let mute = COUNT
        .replace(bump, "")
        .replace("if not number then\n", &inside);
    assert_ne!(mute, COUNT);
    mute
}

/// The same script, for a store without memory to spare.
pub(crate) fn relief(script: &str) -> String {
    script.replacen("#!lua", "#!lua flags=allow-oom", 1)
}

/// A command id.
pub(crate) type Id = [u8; 16];

/// What a command asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count {
    pub(crate) id: Id,
    pub(crate) script: Script,
}

impl Settle for Count {}

/// The format of batches of [`Count`].
#[derive(Debug)]
pub(crate) struct Counting;

impl Format for Counting {
    type Command = Count;
    type Reply = Vec<Id>;
    type Malformed = String;
    type Before = ();

    fn weigh(&self, command: &Count) -> Weight {
        Weight {
            lines: 1,
            bytes: 16,
            script: command.script,
            partition: 0,
        }
    }

    fn pack(&self, commands: &[&Count]) -> Result<Vec<u8>, String> {
        Ok(commands.iter().flat_map(|command| command.id).collect())
    }

    fn parse(&self, bytes: Bytes, asked: Question<'_>) -> Result<Vec<Id>, String> {
        let mut parts = bytes.chunks(16);
        if parts.next() != Some(asked.batch_id) {
            return Err("the reply to another batch".to_owned());
        }
        let numbers: Result<Vec<Id>, _> = parts.map(Id::try_from).collect();
        let numbers = numbers.map_err(|error| error.to_string())?;
        let commands = asked.commands;
        if numbers.len() == commands {
            Ok(numbers)
        } else {
            Err(format!("{} answers to {commands} commands", numbers.len()))
        }
    }

    fn before(&self, _partition: u16) {}

    fn note(&self, _: Question<'_>, (): (), _reply: &Vec<Id>, _commands: &[&Count]) -> bool {
        true
    }

    fn is_deferred(&self, _reply: &Vec<Id>, _at: usize) -> bool {
        false
    }
}
