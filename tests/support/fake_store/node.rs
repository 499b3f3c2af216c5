//! One node: what it has, what of that is on its disk, and what it does with a command.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use bytes::Bytes;
use tokio::time::Instant;

use super::database::{self, Command, Database, Held, is_word};
use super::interpreter::{Interpreter, Script};
use super::reply::{Protocol, Reply};

/// When what was written is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    /// Before it is answered.
    Always,
    /// When the node gets round to it.
    Later,
}

/// What one write did; all of it or nothing reaches a replica and the disk.
#[derive(Debug)]
pub(super) enum Effect {
    Commands(Vec<Command>),
    /// A key came from another store.
    Came(Bytes, Held),
}

/// A node.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each can be so without the others"
)]
pub(super) struct Node {
    pub(super) database: Database,
    /// Everything that it has done since it was empty.
    pub(super) log: Vec<Rc<Effect>>,
    /// How much of that is on disk.
    pub(super) synced: usize,
    pub(super) is_up: bool,
    pub(super) is_primary: bool,
    /// Replicates nothing for now.
    pub(super) is_frozen: bool,
    /// When the next effects of the primary come, one by one. Of a replica only.
    pub(super) due: VecDeque<Instant>,
    /// How much of its log the Sentinels have heard of.
    pub(super) heard: usize,
    /// No memory is left.
    pub(super) is_full: bool,
    pub(super) sync: Sync,
    /// How far its clock is off, in milliseconds.
    pub(super) skew: i64,
    scripts: BTreeMap<String, Rc<Script>>,
    /// Changes when it starts or has another part to play; connections notice.
    pub(super) life: u64,
    calls: u64,
}

/// What a node remembers of a connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) protocol: Protocol,
    /// Length of the log after the last write of this connection; what `WAIT` counts from.
    pub(super) wrote: usize,
    /// Commands between `MULTI` and `EXEC`.
    queued: Option<Vec<Command>>,
    /// One of them was turned away.
    pub(super) is_broken: bool,
    /// The next command was sent here by another node.
    pub(super) is_sent: bool,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            protocol: Protocol::Two,
            wrote: 0,
            queued: None,
            is_broken: false,
            is_sent: false,
        }
    }
}

impl Session {
    /// Whether commands wait for `EXEC`.
    pub(super) const fn is_queueing(&self) -> bool {
        self.queued.is_some()
    }
}

/// What the answer to a command is.
pub(super) enum Answer {
    Now(Reply),
    /// Once as many replicas have all that this connection wrote, or after these milliseconds.
    Copies {
        replicas: usize,
        disks: Option<usize>,
        limit: u64,
    },
}

const READ_ONLY: &str = "READONLY You can't write against a read only replica.";
const NO_MEMORY: &str = "OOM command not allowed when used memory > 'maxmemory'.";
const NO_MEMORY_FOR_SCRIPT: &str =
    "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'";
const READ_ONLY_SCRIPT: &str = "READONLY Can not run script with write flag on readonly replica.";

impl Node {
    pub(super) fn new(is_primary: bool, sync: Sync) -> Self {
        Self {
            database: Database::default(),
            log: Vec::new(),
            synced: 0,
            is_up: true,
            is_primary,
            is_frozen: false,
            due: VecDeque::new(),
            heard: 0,
            is_full: false,
            sync,
            skew: 0,
            scripts: BTreeMap::new(),
            life: 0,
            calls: 0,
        }
    }

    /// Takes over what another node did.
    pub(super) fn apply(&mut self, effect: &Rc<Effect>) {
        match &**effect {
            Effect::Commands(commands) => {
                for command in commands {
                    let (reply, _) = self.database.execute(command);
                    assert!(!matches!(reply, Reply::Error(_)), "{command:?}: {reply:?}");
                }
            }
            Effect::Came(key, held) => self.database.put(key.clone(), held.clone()),
        }
        self.append(Rc::clone(effect));
    }

    /// Gives away the first key that is one of these.
    pub(super) fn give(&mut self, is_one: impl Fn(&Bytes) -> bool) -> Option<(Bytes, Held)> {
        let (key, held) = self.database.take(is_one)?;
        let gone = vec!["UNLINK".into(), key.clone()];
        self.append(Rc::new(Effect::Commands(vec![gone])));
        Some((key, held))
    }

    fn append(&mut self, effect: Rc<Effect>) {
        self.log.push(effect);
        if self.sync == Sync::Always {
            self.synced = self.log.len();
        }
    }

    /// Becomes what another node is.
    pub(super) fn copy(&mut self, other: &Self) {
        self.database = other.database.clone();
        self.log.clone_from(&other.log);
        self.synced = self.log.len();
        self.due.clear();
    }

    /// Whether everything it has done is the beginning of what the other has done.
    pub(super) fn is_behind(&self, other: &Self) -> bool {
        let Some(last) = self.log.len().checked_sub(1) else {
            return true;
        };
        other
            .log
            .get(last)
            .is_some_and(|same| Rc::ptr_eq(same, &self.log[last]))
    }

    /// Has done no more than this; scripts are forgotten, as with every start.
    pub(super) fn restart(&mut self, length: usize) {
        let log = std::mem::take(&mut self.log);
        self.database = Database::default();
        self.due.clear();
        log[..length].iter().for_each(|effect| self.apply(effect));
        self.synced = length;
        self.heard = self.heard.min(length);
        self.scripts.clear();
        self.is_up = true;
        self.life += 1;
    }

    pub(super) fn forget_scripts(&mut self) {
        self.scripts.clear();
    }

    /// Does a command.
    pub(super) fn execute(
        &mut self,
        interpreter: &Interpreter,
        session: &mut Session,
        command: &Command,
    ) -> Answer {
        let over = self.database.expire_keys();
        if self.is_primary && !over.is_empty() {
            self.append(Rc::new(Effect::Commands(over)));
        }
        if let Some(queued) = &mut session.queued
            && !is_word(command.first(), "EXEC")
        {
            queued.push(command.clone());
            return Answer::Now(Reply::Status("QUEUED"));
        }
        match wait_of(command) {
            Some(answer) if self.is_primary => answer,
            Some(_) => Answer::Now(Reply::error(
                "ERR WAIT cannot be used with replica instances.",
            )),
            None => Answer::Now(self.answer(interpreter, session, command)),
        }
    }

    fn answer(
        &mut self,
        interpreter: &Interpreter,
        session: &mut Session,
        command: &Command,
    ) -> Reply {
        let name = command
            .first()
            .map_or(Vec::new(), |name| name.to_ascii_uppercase());
        match name.as_slice() {
            b"EVAL" | b"EVALSHA" => self.script(interpreter, session, command),
            b"SCRIPT" => self.scripts(interpreter, command),
            b"MULTI" => {
                session.queued = Some(Vec::new());
                Reply::OK
            }
            b"EXEC" if std::mem::take(&mut session.is_broken) => {
                session.queued = None;
                Reply::error("EXECABORT Transaction discarded because of previous errors.")
            }
            b"EXEC" => {
                let queued = session.queued.take().unwrap_or_default();
                let done = queued
                    .iter()
                    .map(|command| self.answer(interpreter, session, command));
                Reply::Array(done.collect())
            }
            b"HELLO" => {
                session.protocol = match command.get(1).map(AsRef::as_ref) {
                    Some(b"3") => Protocol::Three,
                    _ => Protocol::Two,
                };
                self.hello()
            }
            b"ROLE" if self.is_primary => {
                let place = i64::try_from(self.log.len()).unwrap();
                Reply::Array(vec![
                    Reply::bulk("master"),
                    Reply::Int(place),
                    Reply::Array(Vec::new()),
                ])
            }
            b"ROLE" => Reply::Array(vec![Reply::bulk("slave")]),
            b"CONFIG" if is_word(command.get(1), "SET") => self.configure(command),
            b"PING" => Reply::Status("PONG"),
            b"CLIENT" | b"SELECT" | b"AUTH" | b"ASKING" => Reply::OK,
            _ => self.plain(session, command),
        }
    }

    /// `CONFIG SET maxmemory`: anything but zero is too little.
    fn configure(&mut self, command: &Command) -> Reply {
        if !is_word(command.get(2), "maxmemory") {
            return Reply::error("ERR Unknown option or number of arguments for CONFIG SET");
        }
        self.is_full = !is_word(command.get(3), "0");
        Reply::OK
    }

    fn hello(&self) -> Reply {
        let pair = |name: &str, value: Reply| (Reply::bulk(name), value);
        Reply::Map(vec![
            pair("server", Reply::bulk("redis")),
            pair("version", Reply::bulk("7.0.15")),
            pair("proto", Reply::Int(3)),
            pair("mode", Reply::bulk("standalone")),
            pair(
                "role",
                Reply::bulk(if self.is_primary { "master" } else { "replica" }),
            ),
            pair("modules", Reply::Array(Vec::new())),
        ])
    }

    fn plain(&mut self, session: &mut Session, command: &Command) -> Reply {
        if let Some(known) = command.first().and_then(|name| database::known(name)) {
            if known.is_write && !self.is_primary {
                return Reply::error(READ_ONLY);
            }
            if known.needs_memory && self.is_full {
                return Reply::error(NO_MEMORY);
            }
        }
        let (reply, repeated) = self.database.execute(command);
        self.wrote(session, repeated.into_iter().collect());
        reply
    }

    fn wrote(&mut self, session: &mut Session, effect: Vec<Command>) {
        if !effect.is_empty() {
            self.append(Rc::new(Effect::Commands(effect)));
            session.wrote = self.log.len();
        }
    }

    fn scripts(&mut self, interpreter: &Interpreter, command: &Command) -> Reply {
        match command.get(2) {
            Some(source) if is_word(command.get(1), "LOAD") => self
                .load(interpreter, source)
                .map_or_else(Reply::Error, |script| Reply::bulk(&script.sha)),
            _ if is_word(command.get(1), "FLUSH") => {
                self.scripts.clear();
                Reply::OK
            }
            _ => Reply::error("ERR unknown subcommand"),
        }
    }

    fn load(&mut self, interpreter: &Interpreter, source: &Bytes) -> Result<Rc<Script>, String> {
        let script = interpreter
            .compile(source)
            .map_err(|what| format!("ERR Error compiling script: {what}"))?;
        self.scripts.insert(script.sha.clone(), Rc::clone(&script));
        Ok(script)
    }

    fn script(
        &mut self,
        interpreter: &Interpreter,
        session: &mut Session,
        command: &Command,
    ) -> Reply {
        let (Some(named), Some(count)) = (command.get(1), command.get(2)) else {
            return Reply::error("ERR wrong number of arguments for 'evalsha' command");
        };
        let script = if is_word(command.first(), "EVAL") {
            match self.load(interpreter, named) {
                Ok(script) => script,
                Err(what) => return Reply::Error(what),
            }
        } else {
            let sha = String::from_utf8_lossy(named).to_lowercase();
            match self.scripts.get(&sha) {
                Some(script) => Rc::clone(script),
                None => return Reply::error("NOSCRIPT No matching script. Please use EVAL."),
            }
        };
        if script.is_declared && !self.is_primary {
            return Reply::error(READ_ONLY_SCRIPT);
        }
        if script.is_declared && !script.allows_oom && self.is_full {
            return Reply::error(NO_MEMORY_FOR_SCRIPT);
        }
        let count = std::str::from_utf8(count)
            .ok()
            .and_then(|text| text.parse().ok());
        let Some((keys, args)) = count.and_then(|count| command[3..].split_at_checked(count))
        else {
            return Reply::error("ERR Number of keys can't be greater than number of args");
        };
        self.calls += 1;
        let ran = interpreter.run(&script, &mut self.database, (keys, args), !self.is_primary);
        self.wrote(session, ran.repeated);
        ran.reply
    }
}

/// `WAIT replicas limit` or `WAITAOF here replicas limit`.
fn wait_of(command: &Command) -> Option<Answer> {
    let number = |at: usize| {
        let text = command.get(at).map(|text| String::from_utf8_lossy(text));
        text.and_then(|text| text.parse::<usize>().ok())
            .unwrap_or(0)
    };
    let limit = |at| u64::try_from(number(at)).unwrap();
    if is_word(command.first(), "WAIT") {
        return Some(Answer::Copies {
            replicas: number(1),
            disks: None,
            limit: limit(2),
        });
    }
    is_word(command.first(), "WAITAOF").then(|| Answer::Copies {
        replicas: number(2),
        disks: Some(number(1)),
        limit: limit(3),
    })
}
