//! Everything that a seed simulates, as those who act in it see it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use holdfast::clock::{Monotonic, monotonic};
use holdfast::domain::hash::Hasher;
use holdfast::ledger::Position;
use holdfast::ledger::remote::script::Keys;

use crate::fake_store::cluster::Cluster;
use crate::fake_store::store::Store;
use crate::faults::{Counts, Fault, Sometimes};
use crate::instance::Instance;
use crate::places::Places;
use crate::run::Seed;
use crate::sim::film::Film;
use crate::support::check::START;
use crate::support::rng::Rng;
use crate::support::script::Script;
use crate::witness::Call;

/// First part of the ledger's keys in the store.
pub(crate) const NAMESPACE: &str = "hf";

/// Something that is done wrong on purpose, to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// A caller that asks again does so under another key.
    NewKeys,
    /// The store counts copies as if the connection had written nothing.
    VacuousWait,
    /// The level waits for no copies.
    NothingAwaited,
}

/// What a seed decides before anything happens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) partitions: u16,
    /// With more than one they are a cluster, else there are Sentinels.
    pub(crate) stores: usize,
}

impl Plan {
    const fn of(seed: u64) -> Self {
        let (partitions, stores) = match seed % 4 {
            0 | 2 => (1, 1),
            1 => (4, 1),
            _ => (4, 2),
        };
        Self { partitions, stores }
    }

    /// Whether all changes have one order.
    pub(crate) const fn has_one_order(self) -> bool {
        self.partitions == 1
    }
}

/// A simulated world. Clones are the same one.
#[derive(Clone)]
pub(crate) struct World(Rc<Inner>);

struct Inner {
    begun: Monotonic,
    rng: RefCell<Rng>,
    film: RefCell<Film>,
    counts: RefCell<Counts>,
    stores: RefCell<Vec<Rc<Store>>>,
    /// They are one.
    cluster: RefCell<Option<Rc<Cluster>>>,
    instances: RefCell<Vec<Rc<Instance>>>,
    calls: RefCell<Vec<Call>>,
    mirrored: RefCell<Vec<(u128, Position)>>,
    sent: RefCell<BTreeMap<String, Sent>>,
    tickets: Cell<u64>,
    /// Keys of commands that were done, or of which somebody could not be told.
    perhaps_done: RefCell<BTreeSet<String>>,
    /// Nothing goes wrong any more.
    is_calm: Cell<bool>,
    sabotage: Option<Sabotage>,
    plan: Plan,
    places: Cell<Option<Places>>,
    broken: RefCell<Option<String>>,
}

/// What was sent under a key.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    /// When anybody did so first.
    pub(crate) ticket: u64,
    pub(crate) scripts: Vec<Script>,
}

impl World {
    pub(crate) fn new(seed: &Seed) -> Self {
        Self(Rc::new(Inner {
            begun: monotonic(),
            rng: RefCell::new(Rng::new(seed.number)),
            film: RefCell::new(Film::new(seed.reel)),
            counts: RefCell::default(),
            stores: RefCell::default(),
            cluster: RefCell::default(),
            instances: RefCell::default(),
            calls: RefCell::default(),
            mirrored: RefCell::default(),
            sent: RefCell::default(),
            tickets: Cell::new(0),
            perhaps_done: RefCell::default(),
            is_calm: Cell::new(true),
            sabotage: seed.sabotage,
            plan: Plan::of(seed.number),
            places: Cell::default(),
            broken: RefCell::default(),
        }))
    }

    /// Milliseconds since the beginning.
    pub(crate) fn millis(&self) -> i64 {
        i64::try_from(self.0.begun.elapsed().as_millis()).unwrap()
    }

    /// What a clock on the wall says.
    pub(crate) fn wall(&self) -> i64 {
        START + self.millis()
    }

    /// Takes down what somebody did.
    pub(crate) fn note(&self, who: &str, what: fmt::Arguments<'_>) {
        self.0.film.borrow_mut().note(self.millis(), who, what);
    }

    pub(crate) fn film(&self) -> (u64, u64) {
        self.0.film.borrow().hash()
    }

    pub(crate) fn fired(&self, fault: Fault) {
        self.0.counts.borrow_mut().fired(fault);
    }

    pub(crate) fn saw(&self, what: Sometimes) {
        self.0.counts.borrow_mut().saw(what);
    }

    pub(crate) fn counts(&self) -> Counts {
        self.0.counts.borrow().clone()
    }

    pub(crate) fn below(&self, end: u64) -> u64 {
        self.0.rng.borrow_mut().below(end)
    }

    pub(crate) fn between(&self, first: u64, last: u64) -> u64 {
        self.0.rng.borrow_mut().between(first, last)
    }

    pub(crate) fn percent(&self, chance: u64) -> bool {
        self.0.rng.borrow_mut().percent(chance)
    }

    pub(crate) fn index(&self, len: usize) -> usize {
        self.0.rng.borrow_mut().index(len)
    }

    /// Sleeps for some milliseconds of these.
    pub(crate) async fn pause(&self, first: u64, last: u64) {
        let millis = self.between(first, last);
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    /// The ledger is there; what it is made of is known from now on.
    pub(crate) fn survey(&self) {
        let seed = self.field(Keys::new(NAMESPACE, 0).meta(), b"seed");
        let seed = seed.unwrap();
        let seed = std::str::from_utf8(&seed).unwrap().parse().unwrap();
        let places = Places::new(Hasher::new(seed), self.0.plan.partitions);
        self.0.places.set(Some(places));
    }

    pub(crate) fn places(&self) -> Places {
        self.0.places.get().unwrap()
    }

    pub(crate) fn plan(&self) -> Plan {
        self.0.plan
    }

    /// The id of the reservation that a command acts on.
    pub(crate) fn target(&self, script: &Script) -> u128 {
        let Some(key) = script.target() else { return 0 };
        let sent = self.0.sent.borrow();
        let scripts = sent.get(key).into_iter().flat_map(|sent| &sent.scripts);
        let made = scripts
            .into_iter()
            .find(|one| matches!(one, Script::Reserve { .. }));
        let home = made.map_or(0, |made| self.places().of(made, 0)[0]);
        self.places().id_at(key, home)
    }

    /// The ids of a command in its partitions, at home first.
    pub(crate) fn ids(&self, key: &str, script: &Script) -> Vec<u128> {
        let places = self.places();
        let of = places.of(script, self.target(script)).into_iter();
        of.map(|partition| places.id_at(key, partition)).collect()
    }

    /// The id of a command at home.
    pub(crate) fn id(&self, key: &str, script: &Script) -> u128 {
        self.ids(key, script)[0]
    }

    /// A field of a hash, wherever that is.
    fn field(&self, key: &str, field: &[u8]) -> Option<Bytes> {
        let stores = self.0.stores.borrow();
        stores
            .iter()
            .find_map(|store| store.field(store.primary(), key, field))
    }

    /// Whether a primary has recorded the command with this identity.
    pub(crate) fn is_recorded(&self, id: u128) -> bool {
        let keys = Keys::new(NAMESPACE, self.places().of_id(id));
        self.field(keys.records(), &id.to_be_bytes()).is_some()
    }

    pub(crate) fn fail(&self, what: String) {
        self.0.broken.borrow_mut().get_or_insert(what);
    }

    /// Begins something that may go on for ever, but must not panic.
    pub(crate) fn begin(&self, work: impl Future<Output = ()> + 'static) {
        let (world, work) = (self.clone(), tokio::task::spawn_local(work));
        tokio::task::spawn_local(async move {
            if let Err(error) = work.await {
                world.fail(error.to_string());
            }
        });
    }

    /// Nobody needs the store and the instances any more. They hold the world, which holds them.
    pub(crate) fn end(&self) {
        drop(self.0.stores.take());
        drop(self.0.cluster.take());
        drop(self.0.instances.take());
    }

    /// What was wrong first.
    pub(crate) fn broken(&self) -> Option<String> {
        self.0.broken.borrow().clone()
    }

    pub(crate) fn is_sabotaged(&self, by: Sabotage) -> bool {
        self.0.sabotage == Some(by)
    }

    /// Whether the store is to lose what was acknowledged, after which nothing goes on.
    pub(crate) fn loses(&self) -> bool {
        self.is_sabotaged(Sabotage::NothingAwaited) || self.is_sabotaged(Sabotage::VacuousWait)
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.0.is_calm.get()
    }

    pub(crate) fn set_calm(&self, is_calm: bool) {
        self.0.is_calm.set(is_calm);
    }

    /// A command with this key was done, or nobody can say.
    pub(crate) fn may_be_done(&self, key: &str) {
        self.0.perhaps_done.borrow_mut().insert(key.to_owned());
    }

    pub(crate) fn is_perhaps_done(&self, key: &str) -> bool {
        self.0.perhaps_done.borrow().contains(key)
    }

    pub(crate) fn set_stores(&self, stores: Vec<Rc<Store>>) {
        if stores.len() > 1 {
            *self.0.cluster.borrow_mut() = Some(Cluster::new(stores.clone()));
        }
        *self.0.stores.borrow_mut() = stores;
    }

    pub(crate) fn stores(&self) -> Vec<Rc<Store>> {
        self.0.stores.borrow().clone()
    }

    /// One of the stores.
    pub(crate) fn store(&self) -> Rc<Store> {
        let stores = self.0.stores.borrow();
        Rc::clone(&stores[self.index(stores.len())])
    }

    pub(crate) fn cluster(&self) -> Option<Rc<Cluster>> {
        self.0.cluster.borrow().clone()
    }

    pub(crate) fn add(&self, instance: Rc<Instance>) {
        self.0.instances.borrow_mut().push(instance);
    }

    /// Those that have not ended.
    pub(crate) fn instances(&self) -> Vec<Rc<Instance>> {
        let all = self.0.instances.borrow();
        all.iter().filter(|one| one.is_open()).cloned().collect()
    }

    /// All that there ever were.
    pub(crate) fn all_instances(&self) -> Vec<Rc<Instance>> {
        self.0.instances.borrow().clone()
    }

    pub(crate) fn ticket(&self) -> u64 {
        self.0.tickets.set(self.0.tickets.get() + 1);
        self.0.tickets.get()
    }

    /// Somebody begins to send a command with this key.
    pub(crate) fn sends(&self, key: &str, script: &Script) -> u64 {
        let ticket = self.ticket();
        let mut all = self.0.sent.borrow_mut();
        let sent = all.entry(key.to_owned()).or_insert_with(|| Sent {
            ticket,
            scripts: Vec::new(),
        });
        sent.scripts.push(script.clone());
        ticket
    }

    /// Everything that was sent, by key.
    pub(crate) fn sent(&self) -> BTreeMap<String, Sent> {
        self.0.sent.borrow().clone()
    }

    pub(crate) fn record(&self, call: Call) {
        self.0.calls.borrow_mut().push(call);
    }

    /// A mirror refused the command with this identity, as of there.
    pub(crate) fn mirrored(&self, id: u128, as_of: Position) {
        self.0.mirrored.borrow_mut().push((id, as_of));
    }

    pub(crate) fn all_mirrored(&self) -> Vec<(u128, Position)> {
        self.0.mirrored.borrow().clone()
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.0.calls.borrow().clone()
    }
}
