//! A primary, its replicas, and what becomes of them.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::cluster::Cluster;
use super::database::{Command, Held, is_word};
use super::facts;
use super::interpreter::Interpreter;
use super::node::{Answer, Effect, Node, Session, Sync};
use super::reply::Reply;
use crate::support::rng::Rng;

/// What a store is like.
pub(crate) struct Settings {
    pub(crate) replicas: usize,
    pub(crate) sync: Sync,
    /// Longest time that a change is on its way to a replica, in milliseconds.
    pub(crate) lag: u64,
    /// What the clock of a node that is not off says, in milliseconds.
    pub(crate) wall: Box<dyn Fn() -> i64>,
    pub(crate) seed: u64,
    /// A fault to be noticed: `WAIT` asks for nothing, as on a connection that has not written.
    pub(crate) counts_nothing: bool,
}

/// Nodes that hold the same, or should.
pub(crate) struct Store {
    nodes: RefCell<Vec<Node>>,
    interpreter: Rc<Interpreter>,
    settings: Settings,
    rng: RefCell<Rng>,
    /// The primary as the Sentinels know it.
    primary: Cell<usize>,
    /// A node was stopped, started, or given another part to play.
    pub(super) changed: Notify,
    /// What it belongs to, and its number there.
    cluster: OnceCell<(Weak<Cluster>, usize)>,
}

/// Now, in the time of the runtime, which may be a paused one.
#[expect(
    clippy::disallowed_methods,
    reason = "the store lives in the runtime's time"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}

impl Store {
    pub(crate) fn new(interpreter: Rc<Interpreter>, settings: Settings) -> Rc<Self> {
        let node = |at| Node::new(at == 0, settings.sync);
        Rc::new(Self {
            nodes: RefCell::new((0..=settings.replicas).map(node).collect()),
            interpreter,
            rng: RefCell::new(Rng::new(settings.seed)),
            primary: Cell::new(0),
            changed: Notify::new(),
            cluster: OnceCell::new(),
            settings,
        })
    }

    /// The primary as the Sentinels know it.
    pub(crate) fn primary(&self) -> usize {
        self.primary.get()
    }

    pub(crate) fn count(&self) -> usize {
        self.nodes.borrow().len()
    }

    pub(crate) fn is_up(&self, at: usize) -> bool {
        self.nodes.borrow()[at].is_up
    }

    /// Changes when a node starts anew.
    pub(super) fn life(&self, at: usize) -> u64 {
        self.nodes.borrow()[at].life
    }

    pub(super) fn is_primary(&self, at: usize) -> bool {
        self.nodes.borrow()[at].is_primary
    }

    /// It is one of a cluster.
    pub(super) fn join(&self, cluster: &Rc<Cluster>, number: usize) {
        let joined = self.cluster.set((Rc::downgrade(cluster), number));
        assert!(joined.is_ok(), "a store of one cluster only");
    }

    /// What a node of a cluster says to what it does not serve.
    fn turned_away(&self, at: usize, session: &mut Session, command: &Command) -> Option<Reply> {
        let (cluster, number) = self.cluster.get()?;
        let is_asking = is_word(command.first(), "ASKING");
        let was_sent = std::mem::replace(&mut session.is_sent, is_asking);
        let away = cluster
            .upgrade()?
            .turned_away((*number, at), command, was_sent);
        session.is_broken |= away.is_some() && session.is_queueing();
        away
    }

    /// Does a command at a node.
    pub(super) fn execute(&self, at: usize, session: &mut Session, command: &Command) -> Answer {
        self.catch_up();
        if let Some(reply) = self.turned_away(at, session, command) {
            return Answer::Now(reply);
        }
        let nodes = &mut *self.nodes.borrow_mut();
        let copies = self.copied_by(nodes, at);
        let is_cluster = self.cluster.get().is_some();
        if let Some(reply) = facts::about(&nodes[at], copies.len(), is_cluster, command) {
            return Answer::Now(reply);
        }
        let node = &mut nodes[at];
        node.database.micros = ((self.settings.wall)() + node.skew) * 1_000;
        let before = node.log.len();
        let answer = node.execute(&self.interpreter, session, command);
        self.send_on(nodes, at, before);
        answer
    }

    /// What a node has done beyond that goes on its way to those that copy it.
    fn send_on(&self, nodes: &mut [Node], at: usize, before: usize) {
        let new = nodes[at].log.len() - before;
        let mut rng = self.rng.borrow_mut();
        for replica in self.copied_by(nodes, at) {
            for _ in 0..new {
                let lag = Duration::from_millis(rng.below(self.settings.lag + 1));
                let last = nodes[replica].due.back().copied();
                let due = (now() + lag).max(last.unwrap_or_else(now));
                nodes[replica].due.push_back(due);
            }
        }
    }

    /// Whether a node has a key.
    pub(super) fn has(&self, at: usize, key: &Bytes) -> bool {
        self.nodes.borrow()[at].database.object(key).is_some()
    }

    /// The primary gives away the first key that is one of these.
    pub(super) fn give(&self, is_one: impl Fn(&Bytes) -> bool) -> Option<(Bytes, Held)> {
        let (nodes, at) = (&mut *self.nodes.borrow_mut(), self.primary.get());
        let before = nodes[at].log.len();
        let given = nodes[at].give(is_one);
        self.send_on(nodes, at, before);
        given
    }

    /// The primary takes a key that another store gave away.
    pub(super) fn receive(&self, key: Bytes, held: Held) {
        let (nodes, at) = (&mut *self.nodes.borrow_mut(), self.primary.get());
        let before = nodes[at].log.len();
        nodes[at].apply(&Rc::new(Effect::Came(key, held)));
        self.send_on(nodes, at, before);
    }

    /// Whether every replica has all that the primary has.
    pub(crate) fn is_even(&self) -> bool {
        self.catch_up();
        let nodes = self.nodes.borrow();
        let length = nodes[self.primary.get()].log.len();
        nodes.iter().all(|node| node.log.len() == length)
    }

    /// A field of a hash of a node, looked at from outside.
    pub(crate) fn field(&self, at: usize, key: &str, field: &[u8]) -> Option<Bytes> {
        let field = Bytes::copy_from_slice(field);
        let command = vec!["HGET".into(), key.to_owned().into(), field];
        let database = &mut self.nodes.borrow_mut()[at].database;
        match database.execute(&command).0 {
            Reply::Bulk(found) => Some(found),
            _ => None,
        }
    }

    /// The nodes that copy this one: only the latest primary has any, and one that it replaced knows
    /// nothing of that yet.
    fn copied_by(&self, nodes: &[Node], at: usize) -> Vec<usize> {
        let is_copied = at == self.primary.get() && nodes[at].is_primary && nodes[at].is_up;
        let is_copy = |of: usize| of != at && nodes[of].is_up && !nodes[of].is_primary;
        (0..nodes.len())
            .filter(|of| is_copied && is_copy(*of))
            .collect()
    }

    /// Replicas have what has come to them by now.
    fn catch_up(&self) {
        let nodes = &mut *self.nodes.borrow_mut();
        let primary = self.primary.get();
        for replica in self.copied_by(nodes, primary) {
            while !nodes[replica].is_frozen
                && nodes[replica].due.front().is_some_and(|due| *due <= now())
            {
                nodes[replica].due.pop_front();
                let next = nodes[replica].log.len();
                let effect = Rc::clone(&nodes[primary].log[next]);
                nodes[replica].apply(&effect);
            }
        }
    }

    /// When the next replica has more than now; `None`: nothing is on its way.
    pub(super) fn next_arrival(&self) -> Option<Instant> {
        let nodes = self.nodes.borrow();
        let moving = self.copied_by(&nodes, self.primary.get()).into_iter();
        let moving = moving.filter(|at| !nodes[*at].is_frozen);
        moving.filter_map(|at| nodes[at].due.front().copied()).min()
    }

    /// How many replicas have this much of a primary's log, and whether it has synced that itself.
    pub(super) fn copies(&self, at: usize, length: usize, on_disk: bool) -> (usize, usize) {
        self.catch_up();
        let length = if self.settings.counts_nothing {
            0
        } else {
            length
        };
        let nodes = self.nodes.borrow();
        let has = |node: &Node| length <= if on_disk { node.synced } else { node.log.len() };
        let replicas = self.copied_by(&nodes, at).into_iter();
        let copies = replicas.filter(|at| has(&nodes[*at])).count();
        (usize::from(has(&nodes[at])), copies)
    }
}

/// What happens to the nodes.
impl Store {
    /// Stops a node. What was not on disk is gone if its machine stops as well.
    pub(crate) fn crash(&self, at: usize, machine_too: bool) {
        self.catch_up();
        let node = &mut self.nodes.borrow_mut()[at];
        node.is_up = false;
        node.life += 1;
        if !machine_too {
            node.synced = node.log.len();
        }
        self.changed.notify_waiters();
    }

    /// Starts a node with what is on its disk, as what it was told to be when it stopped. One that
    /// is not the primary any more copies the one that is.
    pub(crate) fn start(&self, at: usize) {
        let nodes = &mut *self.nodes.borrow_mut();
        let synced = nodes[at].synced;
        nodes[at].restart(synced);
        let primary = self.primary.get();
        nodes[at].is_primary = at == primary;
        if at == primary {
            // Its log may be shorter than what others have of it: they copy it anew.
            (0..nodes.len()).for_each(|other| self.attach(nodes, other));
        } else {
            self.attach(nodes, at);
        }
        self.changed.notify_waiters();
    }

    /// Starts a node without anything: its disk was lost, or it never wrote to one.
    pub(crate) fn start_empty(&self, at: usize) {
        self.nodes.borrow_mut()[at].synced = 0;
        self.start(at);
    }

    /// A node begins to copy the primary: what it lacks where that continues it, else everything.
    fn attach(&self, nodes: &mut [Node], at: usize) {
        let primary = self.primary.get();
        if at == primary || !nodes[at].is_up || !nodes[primary].is_up {
            return;
        }
        let (mut copy, of) = (
            std::mem::replace(&mut nodes[at], Node::new(false, self.settings.sync)),
            primary,
        );
        copy.is_primary = false;
        if copy.is_behind(&nodes[of]) {
            let missing = nodes[of].log.len() - copy.log.len();
            copy.due = std::iter::repeat_n(now(), missing).collect();
        } else {
            copy.copy(&nodes[of]);
        }
        nodes[at] = copy;
    }

    /// Nothing more reaches a replica for now.
    pub(crate) fn freeze(&self, at: usize) {
        self.catch_up();
        self.nodes.borrow_mut()[at].is_frozen = true;
    }

    pub(crate) fn thaw(&self, at: usize) {
        self.nodes.borrow_mut()[at].is_frozen = false;
        self.changed.notify_waiters();
    }

    /// The Sentinels hear how far each replica is. Until the next time they go by this.
    pub(crate) fn report(&self) {
        self.catch_up();
        for node in &mut *self.nodes.borrow_mut() {
            node.heard = node.log.len();
        }
    }

    /// The Sentinels make the replica that they remember to be furthest the primary. The old one, if
    /// it is up, goes on as long as nobody tells it.
    pub(crate) fn fail_over(&self) -> Option<usize> {
        self.catch_up();
        let nodes = &mut *self.nodes.borrow_mut();
        let old = self.primary.get();
        let up = (0..nodes.len()).filter(|at| *at != old && nodes[*at].is_up);
        let chosen = up.max_by_key(|at| (nodes[*at].heard, *at))?;
        self.primary.set(chosen);
        nodes[chosen].is_primary = true;
        nodes[chosen].is_frozen = false;
        nodes[chosen].due.clear();
        nodes[chosen].life += 1;
        for other in (0..nodes.len()).filter(|at| *at != old) {
            self.attach(nodes, other);
        }
        self.changed.notify_waiters();
        Some(chosen)
    }

    /// A primary that was replaced is told so.
    pub(crate) fn demote(&self, at: usize) {
        let nodes = &mut *self.nodes.borrow_mut();
        if nodes[at].is_up && at != self.primary.get() {
            self.attach(nodes, at);
            nodes[at].life += 1;
        }
        self.changed.notify_waiters();
    }

    pub(crate) fn forget_scripts(&self, at: usize) {
        self.nodes.borrow_mut()[at].forget_scripts();
    }

    /// Puts on disk what a node has written.
    pub(crate) fn sync(&self, at: usize) {
        let node = &mut self.nodes.borrow_mut()[at];
        node.synced = node.log.len();
        self.changed.notify_waiters();
    }

    pub(crate) fn fill_memory(&self, is_full: bool) {
        let mut nodes = self.nodes.borrow_mut();
        nodes.iter_mut().for_each(|node| node.is_full = is_full);
    }

    /// Sets a node's clock off, in milliseconds.
    pub(crate) fn skew(&self, at: usize, millis: i64) {
        self.nodes.borrow_mut()[at].skew = millis;
    }
}
