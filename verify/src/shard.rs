//! How a shard stands, from its opening through its records to its closing.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::Fault;
use crate::form::{self, Head, Policy, Stands};
use crate::line::{Line, Reservation, States};
use crate::names::{AllNames, Id, id};
use crate::stock::{Announced, Name, Node, Settings, Stock, Terms};

/// A SKU and when it was last touched.
#[derive(Debug, Default)]
pub(crate) struct Sku {
    pub(crate) stock: Stock,
    pub(crate) at: i64,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) head: Head,
    pub(crate) stands: Stands,
    pub(crate) epoch: u32,
    pub(crate) policy: Option<Policy>,
    pub(crate) skus: HashMap<Name, Sku>,
    pub(crate) reservations: HashMap<Id, Reservation>,
    /// Reservations without open units, and since when.
    closed: VecDeque<(i64, Id)>,
    /// Commands that cannot come again yet, and when they were done; and in that order.
    commands: HashMap<Id, i64>,
    done: VecDeque<(i64, Id)>,
}

/// What was said of how a shard stands at its end.
#[derive(Debug, Default)]
pub(crate) struct Said {
    skus: HashSet<Name>,
    reservations: HashSet<Id>,
    has_policy: bool,
}

impl Shard {
    pub(crate) fn new(head: &Head, stands: Stands) -> Self {
        Self {
            head: head.clone(),
            stands,
            epoch: 0,
            policy: None,
            skus: HashMap::new(),
            reservations: HashMap::new(),
            closed: VecDeque::new(),
            commands: HashMap::new(),
            done: VecDeque::new(),
        }
    }

    pub(crate) fn open_policy(&mut self, policy: Policy) -> Result<(), Fault> {
        self.some_history()?;
        match self.policy.replace(policy) {
            None => Ok(()),
            Some(_) => Err(Fault::new("a second policy", "one policy in force")),
        }
    }

    fn some_history(&self) -> Result<(), Fault> {
        match self.stands.sequence {
            0 => Err(Fault::new(
                "something stands before the first record",
                "nothing",
            )),
            _ => Ok(()),
        }
    }

    pub(crate) fn open_sku(
        &mut self,
        names: &mut AllNames,
        said: &form::Sku<'_>,
    ) -> Result<(), Fault> {
        self.some_history()?;
        let at = self.stands.at;
        let stock = stock(names, said)?;
        let sku = names.skus.number(said.sku);
        match self.skus.insert(sku, Sku { stock, at }) {
            None => Ok(()),
            Some(_) => Err(Fault::new("a SKU that stood before", "each SKU once")),
        }
    }

    pub(crate) fn open_reservation(
        &mut self,
        names: &mut AllNames,
        said: &form::Reservation<'_>,
    ) -> Result<(), Fault> {
        self.some_history()?;
        let id = id(said.id, "rsv_")?;
        let reservation = reservation(names, said);
        if !reservation.stands(self.stands.at, self.head.returns_ms) {
            return Err(Fault::new(
                "nothing can happen to the reservation",
                "open units, or units that may come back",
            ));
        }
        for line in &reservation.lines {
            let sku = self.skus.get_mut(&line.terms.sku);
            let stock = &mut sku.ok_or_else(unknown)?.stock;
            let (terms, units) = (&line.terms, &line.units);
            stock.dated_of_opening(terms, units.open())?;
        }
        if !reservation.is_open() {
            self.closed.push_back((said.touched, id));
        }
        match self.reservations.insert(id, reservation) {
            None => Ok(()),
            Some(_) => Err(Fault::new("an id that stood before", "each id once")),
        }
    }

    /// After the opening: what each SKU says is promised must be what its reservations add up to.
    pub(crate) fn opened(&mut self) -> Result<(), Fault> {
        let mut sums: HashMap<Name, Stock> = HashMap::new();
        for reservation in self.reservations.values() {
            for Line { terms, units } in &reservation.lines {
                let sum = sums.entry(terms.sku).or_default();
                sum.hold(units.held)?;
                sum.commit(units.committed)?;
                sum.charge(terms.channel, units.open())?;
                sum.bind(terms, units.open())?;
            }
        }
        for (name, sku) in &self.skus {
            if sku.stock.sums() != sums.remove(name).unwrap_or_default() {
                return Err(Fault::new(
                    "the reservations before this line do not add up to what their SKUs say",
                    "the same units held, committed, pinned and charged",
                ));
            }
        }
        let mut closed: Vec<_> = self.closed.drain(..).collect();
        closed.sort_unstable();
        self.closed = closed.into();
        Ok(())
    }

    /// Notes that a reservation has no open units any more.
    pub(crate) fn note_closed(&mut self, at: i64, id: Id) {
        self.closed.push_back((at, id));
    }

    /// A command is done. It cannot be done again while its key is remembered; where there are several
    /// shards one command takes several steps.
    pub(crate) fn note_command(&mut self, at: i64, command: &str) -> Result<(), Fault> {
        if self.head.shards > 1 {
            return Ok(());
        }
        let id = id(command, "cmd_")?;
        let retention_ms = self.head.retention_ms;
        let is_old = |done: i64| at.saturating_sub(done) > retention_ms;
        while let Some((done, old)) = self.done.front().copied().filter(|(done, _)| is_old(*done)) {
            self.done.pop_front();
            if self.commands.get(&old) == Some(&done) {
                self.commands.remove(&old);
            }
        }
        self.done.push_back((at, id));
        match self.commands.insert(id, at) {
            Some(done) if !is_old(done) => Err(Fault::new(
                format!("{command} is done again"),
                "each command once, as long as its key is remembered",
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// Forgets reservations to which nothing can happen any more, and whose ids may come again.
    pub(crate) fn forget(&mut self) {
        let (at, head) = (self.stands.at, &self.head);
        while let Some((since, _)) = self.closed.front() {
            if at.saturating_sub(*since) <= head.returns_ms {
                return;
            }
            let Some((_, id)) = self.closed.pop_front() else {
                return;
            };
            let over = |of: &Reservation| {
                !of.stands(at, head.returns_ms) && !of.is_remembered(at, head.retention_ms)
            };
            if self.reservations.get(&id).is_some_and(over) {
                self.reservations.remove(&id);
            }
        }
    }

    pub(crate) fn close_policy(&self, said: &mut Said, policy: &Policy) -> Result<(), Fault> {
        if said.has_policy || self.policy.as_ref() != Some(policy) {
            return Err(Fault::new(
                format!("policy version {} stands at the end", policy.version),
                "the last that was put",
            ));
        }
        said.has_policy = true;
        Ok(())
    }

    pub(crate) fn close_sku(
        &self,
        names: &mut AllNames,
        said: &mut Said,
        found: &form::Sku<'_>,
    ) -> Result<(), Fault> {
        let name = names.skus.number(found.sku);
        let mut stock = stock(names, found)?;
        let known = &self.skus.get(&name).ok_or_else(unknown)?.stock;
        // The line does not repeat what its reservations say.
        stock.dated.clone_from(&known.dated);
        if stock != *known {
            return Err(Fault::new(
                format!("SKU {} stands otherwise at the end", found.sku),
                told(known),
            ));
        }
        if said.skus.insert(name) {
            Ok(())
        } else {
            Err(Fault::new("a SKU that stood before", "each SKU once"))
        }
    }

    pub(crate) fn close_reservation(
        &self,
        names: &mut AllNames,
        said: &mut Said,
        found: &form::Reservation<'_>,
    ) -> Result<(), Fault> {
        let id = id(found.id, "rsv_")?;
        let known = self.reservations.get(&id);
        let stands = |of: &&Reservation| of.stands(self.stands.at, self.head.returns_ms);
        let known = known.filter(stands).ok_or_else(|| {
            Fault::new(
                format!("reservation {} stands at the end", found.id),
                "none of this id with open units, or units that may come back",
            )
        })?;
        if reservation(names, found) != *known {
            return Err(Fault::new(
                format!("reservation {} stands otherwise at the end", found.id),
                format!("{known:?}"),
            ));
        }
        if said.reservations.insert(id) {
            Ok(())
        } else {
            Err(Fault::new("an id that stood before", "each id once"))
        }
    }

    /// After the closing: nothing was left out. Says how many SKUs and reservations stand.
    pub(crate) fn closed(&self, said: &Said) -> Result<(u64, u64), Fault> {
        let standing = self.reservations.values();
        let standing = standing.filter(|of| of.stands(self.stands.at, self.head.returns_ms));
        let count = standing.count();
        if said.has_policy != self.policy.is_some() {
            return Err(Fault::new("no policy stands at the end", "the last one"));
        }
        let counted = (said.skus.len(), said.reservations.len());
        if counted != (self.skus.len(), count) {
            return Err(Fault::new(
                format!(
                    "{} SKUs and {} reservations stand at the end",
                    counted.0, counted.1
                ),
                format!("{} and {count}", self.skus.len()),
            ));
        }
        let number = |count| u64::try_from(count).unwrap_or(u64::MAX);
        Ok((number(counted.0), number(counted.1)))
    }
}

pub(crate) fn unknown() -> Fault {
    Fault::new(
        "a SKU that is not known",
        "a SKU that has stock or settings",
    )
}

/// How a SKU stands, for people.
fn told(stock: &Stock) -> String {
    let Stock {
        held,
        committed,
        nodes,
        channels,
        ..
    } = stock;
    let on_hand = stock.on_hand();
    let pinned: u64 = nodes.values().map(|node| node.pinned).sum();
    let charged: u64 = channels.values().sum();
    format!(
        "{on_hand} on hand, {held} held, {committed} committed, {pinned} pinned, {charged} charged"
    )
}

pub(crate) fn settings(names: &mut AllNames, said: &form::Settings<'_>) -> Settings {
    let nodes = said.node_safety.iter();
    Settings {
        safety: said.safety,
        node_safety: nodes
            .map(|of| (names.nodes.number(of.node), of.keeps))
            .collect(),
        suspended: said.suspended,
    }
}

fn stock(names: &mut AllNames, said: &form::Sku<'_>) -> Result<Stock, Fault> {
    let settings = settings(names, &said.settings);
    let mut stock = Stock {
        settings,
        held: said.held,
        committed: said.committed,
        ..Stock::default()
    };
    for found in &said.nodes {
        let node = Node {
            on_hand: found.on_hand,
            unavailable: found.unavailable,
            pinned: found.pinned,
        };
        stock.nodes.insert(names.nodes.number(found.node), node);
    }
    for found in &said.channels {
        stock.charge(names.channels.number(found.channel), found.units)?;
    }
    for found in &said.inbound {
        let entry = Announced {
            node: names.nodes.number(found.node),
            due: found.due,
            units: found.units,
        };
        stock.inbound.insert((*found.id).into(), entry);
    }
    Ok(stock)
}

fn reservation(names: &mut AllNames, said: &form::Reservation<'_>) -> Reservation {
    let channel = names.channels.number(said.channel);
    let line = |found: &form::Standing<'_>| Line {
        terms: Terms {
            sku: names.skus.number(found.sku),
            node: found.node.map(|node| names.nodes.number(node)),
            day: found.day,
            channel: { found.charged_to }.map_or(channel, |name| names.channels.number(name)),
        },
        units: States {
            held: found.held,
            committed: found.committed,
            shipped: found.shipped,
            released: found.released,
            expired: found.expired,
            returned: found.returned,
        },
    };
    Reservation {
        channel,
        deadline: said.deadline,
        touched: said.touched,
        lines: said.lines.iter().map(line).collect(),
    }
}
