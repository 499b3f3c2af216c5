//! The rules: what each record may do.

use crate::Fault;
use crate::form::{Move, Part, Policy, Record};
use crate::line::{Line, Reservation, States};
use crate::names::{AllNames, Id, id};
use crate::room::{self, Safety};
use crate::shard::{Shard, settings, unknown};
use crate::stock::{Name, Stock, Terms};

/// Kinds that move no units.
const NEUTRAL: [&str; 7] = [
    "ledger.opened",
    "node.named",
    "channel.named",
    "shares.moved",
    "sku.low_water",
    "sku.deficit",
    "command.refused",
];

const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// The day of a moment; the first and last are those that can be named.
fn day_of(at: i64) -> u16 {
    u16::try_from(at.div_euclid(DAY_MS).max(1)).unwrap_or(u16::MAX)
}

fn missing(what: &str) -> Fault {
    Fault::new(format!("no `{what}`"), format!("`{what}`, as its kind has"))
}

pub(crate) fn wanted<T>(value: Option<T>, what: &str) -> Result<T, Fault> {
    value.ok_or_else(|| missing(what))
}

/// A record, the shard it changes, and its names.
pub(crate) struct Step<'s> {
    pub(crate) shard: &'s mut Shard,
    pub(crate) names: &'s mut AllNames,
    pub(crate) at: i64,
}

/// Does what a record says, if it may.
pub(crate) fn apply(
    shard: &mut Shard,
    names: &mut AllNames,
    record: &Record<'_>,
) -> Result<(), Fault> {
    let expected = shard.stands.sequence.saturating_add(1);
    if record.seq != expected {
        let found = format!("record {}", record.seq);
        return Err(Fault::new(found, format!("record {expected}")));
    }
    if record.epoch < shard.epoch {
        let expected = format!("at least {}", shard.epoch);
        return Err(Fault::new(format!("epoch {}", record.epoch), expected));
    }
    let mut step = Step {
        at: record.at,
        shard,
        names,
    };
    step.apply(record)?;
    shard.epoch = record.epoch;
    shard.stands.sequence = record.seq;
    shard.stands.at = shard.stands.at.max(record.at);
    shard.forget();
    Ok(())
}

impl Step<'_> {
    fn apply(&mut self, record: &Record<'_>) -> Result<(), Fault> {
        if let Some(command) = record.command {
            self.shard.note_command(self.at, command)?;
        }
        match record.kind {
            "reservation.created" => self.make(record),
            "reservation.expired" => self.expire(record),
            "reservation.confirmed"
            | "reservation.released"
            | "reservation.extended"
            | "reservation.shipped"
            | "reservation.returned"
            | "reservation.transferred" => self.act(record),
            "stock.set" | "stock.adjusted" | "stock.transferred" => self.change_stock(record),
            "inbound.put" | "inbound.received" => self.change_inbound(record),
            "sku.settings_changed" | "sku.terms_changed" => {
                let settings = settings(self.names, wanted(record.settings.as_ref(), "settings")?);
                self.stock(wanted(record.sku, "sku")?, true)?.settings = settings;
                Ok(())
            }
            "policy.put" => self.put_policy(record),
            kind if NEUTRAL.contains(&kind) => Ok(()),
            kind => Err(Fault::new(
                format!("a record of kind {kind:?}"),
                "a kind that this program knows",
            )),
        }
    }

    /// The stock of a SKU at the moment of the record; some kinds make a SKU known.
    pub(crate) fn stock(&mut self, sku: &str, may_be_new: bool) -> Result<&mut Stock, Fault> {
        let name = self.names.skus.number(sku);
        self.numbered(name, may_be_new)
    }

    fn numbered(&mut self, name: Name, may_be_new: bool) -> Result<&mut Stock, Fault> {
        let skus = &mut self.shard.skus;
        let sku = if may_be_new {
            skus.entry(name).or_default()
        } else {
            skus.get_mut(&name).ok_or_else(unknown)?
        };
        if self.at < sku.at {
            return Err(Fault::new(
                format!(
                    "moment {}, before that of another record of the SKU",
                    self.at
                ),
                format!("{} or later", sku.at),
            ));
        }
        sku.at = self.at;
        Ok(&mut sku.stock)
    }

    fn put_policy(&mut self, record: &Record<'_>) -> Result<(), Fault> {
        let version = wanted(record.version, "version")?;
        let text = wanted(record.text.clone(), "text")?;
        let before = self
            .shard
            .policy
            .as_ref()
            .map_or(0, |policy| policy.version);
        if version <= before {
            return Err(Fault::new(
                format!("policy version {version}"),
                format!("a later one than {before}"),
            ));
        }
        self.shard.policy = Some(Policy { version, text });
        Ok(())
    }

    fn make(&mut self, record: &Record<'_>) -> Result<(), Fault> {
        let id = id(wanted(record.id, "id")?, "rsv_")?;
        let deadline = wanted(record.deadline, "deadline")?;
        let channel = self
            .names
            .channels
            .number(wanted(record.channel, "channel")?);
        self.is_new(&id)?;
        if deadline < self.at {
            return Err(Fault::new(
                format!("deadline {deadline}"),
                format!("none before the moment it is made, {}", self.at),
            ));
        }
        let parts = wanted(record.lines.as_ref(), "lines")?;
        let lines = parts.iter().map(|part| self.hold(part, channel));
        let lines: Box<[Line]> = lines.collect::<Result<_, Fault>>()?;
        let made = Reservation {
            channel,
            deadline,
            touched: self.at,
            lines,
        };
        // In one of several shards there may be nothing of it.
        if !made.is_open() && self.shard.head.shards == 1 {
            return Err(Fault::new("a reservation of no units", "at least one"));
        }
        self.shard.reservations.insert(id, made);
        Ok(())
    }

    /// Whether an id may come now. Where there are several shards, what was placed in one of them and
    /// taken back, since another had too little, may be placed again.
    fn is_new(&self, id: &Id) -> Result<(), Fault> {
        let Some(known) = self.shard.reservations.get(id) else {
            return Ok(());
        };
        let may_again = self.shard.head.shards > 1 && !known.is_open();
        if may_again || !known.is_remembered(self.at, self.shard.head.retention_ms) {
            return Ok(());
        }
        Err(Fault::new(
            "the reservation is made again",
            "each id once, as long as its key is remembered",
        ))
    }

    fn hold(&mut self, part: &Part<'_>, own: Name) -> Result<Line, Fault> {
        let units = part.held;
        let terms = Terms {
            sku: self.names.skus.number(part.sku),
            node: part.node.map(|node| self.names.nodes.number(node)),
            day: part.day,
            channel: { part.charged_to }.map_or(own, |name| self.names.channels.number(name)),
        };
        let today = day_of(self.at);
        let stock = self.numbered(terms.sku, false)?;
        let is_dated = !stock.inbound.is_empty();
        let before = is_dated.then(|| stock.clone());
        stock.hold(units)?;
        stock.charge(terms.channel, units)?;
        stock.bind(&terms, units)?;
        if units > 0 {
            if stock.settings.suspended {
                return Err(Fault::new("a promise of a suspended SKU", "none"));
            }
            match &before {
                Some(before) => room::check(before, stock, &terms, today, Safety::Kept)?,
                None => room::check_now(stock, &terms)?,
            }
        }
        let units = States {
            held: units,
            ..States::default()
        };
        Ok(Line { terms, units })
    }

    /// The reservation, taken out until the record is done with it.
    fn taken(&mut self, record: &Record<'_>) -> Result<(Id, Reservation), Fault> {
        let text = wanted(record.id, "id")?;
        let id = id(text, "rsv_")?;
        let taken = self.shard.reservations.remove(&id).ok_or_else(|| {
            Fault::new(
                format!("{text} is acted on, which is not known"),
                "a reservation that was made before",
            )
        });
        Ok((id, taken?))
    }

    fn put_back(&mut self, id: Id, reservation: Reservation) {
        if !reservation.is_open() {
            self.shard.note_closed(self.at, id);
        }
        self.shard.reservations.insert(id, reservation);
    }

    fn expire(&mut self, record: &Record<'_>) -> Result<(), Fault> {
        let (id, mut reservation) = self.taken(record)?;
        if self.at < reservation.deadline {
            return Err(Fault::new(
                format!("units expire at {}", self.at),
                format!("not before their deadline, {}", reservation.deadline),
            ));
        }
        let sku = self.names.skus.number(wanted(record.sku, "sku")?);
        let line = wanted(record.line, "line")?;
        let line = { reservation.lines.get_mut(line) }.filter(|line| line.terms.sku == sku);
        let line = line.ok_or_else(|| Fault::new("no such line", "a line of the reservation"))?;
        let units = wanted(record.units, "units")?;
        if units != line.units.held {
            let expected = format!("all that are held, {}", line.units.held);
            return Err(Fault::new(format!("{units} units expire"), expected));
        }
        self.go_back(line, |of| &mut of.held, |of| &mut of.expired, units)?;
        self.put_back(id, reservation);
        Ok(())
    }

    /// Promised units go back to what is there.
    fn go_back(
        &mut self,
        line: &mut Line,
        from: fn(&mut States) -> &mut u64,
        to: fn(&mut States) -> &mut u64,
        units: u64,
    ) -> Result<(), Fault> {
        let was = line.units;
        line.units.pass(from, to, units)?;
        let terms = line.terms;
        let stock = self.numbered(terms.sku, false)?;
        stock.unhold(was.held - line.units.held)?;
        stock.uncommit(was.committed - line.units.committed)?;
        stock.discharge(terms.channel, units)?;
        stock.unbind(&terms, units)
    }

    fn act(&mut self, record: &Record<'_>) -> Result<(), Fault> {
        wanted(record.command, "command")?;
        let parts = wanted(record.lines.as_ref(), "lines")?;
        if parts.is_empty() && record.kind != "reservation.extended" {
            // What was done before is asked for again.
            return self.touch(record);
        }
        let (id, mut reservation) = self.taken(record)?;
        self.is_in_time(&reservation)?;
        let deadline = self.deadline_after(record, reservation.deadline)?;
        for part in parts {
            let number = wanted(part.line, "line")?;
            let sku = self.names.skus.number(part.sku);
            let line = { reservation.lines.get_mut(number) }.filter(|of| of.terms.sku == sku);
            let line = line.ok_or_else(|| Fault::new("no such line", "one of the reservation"))?;
            for step in wanted(part.moves.as_ref(), "moves")? {
                self.move_units(record.kind, line, step)?;
            }
            let said = states(part)?;
            if line.units != said {
                let expected = format!("{:?}", line.units);
                return Err(Fault::new(format!("line {number} has {said:?}"), expected));
            }
        }
        (reservation.deadline, reservation.touched) = (deadline, self.at);
        self.put_back(id, reservation);
        Ok(())
    }

    fn touch(&mut self, record: &Record<'_>) -> Result<(), Fault> {
        let id = id(wanted(record.id, "id")?, "rsv_")?;
        let Some(known) = self.shard.reservations.get(&id) else {
            return Ok(());
        };
        let deadline = self.deadline_after(record, known.deadline)?;
        let Some(known) = self.shard.reservations.get_mut(&id) else {
            return Ok(());
        };
        known.deadline = deadline;
        known.touched = self.at;
        if !known.is_open() {
            self.shard.note_closed(self.at, id);
        }
        Ok(())
    }

    /// The deadline afterwards. What is placed in one of several shards takes over the deadline of the
    /// next attempt, and that changes nothing else; and a shard follows what another has decided, an
    /// extension and what came after it in one step.
    fn deadline_after(&self, record: &Record<'_>, before: i64) -> Result<i64, Fault> {
        let deadline = wanted(record.deadline, "deadline")?;
        let may_move = record.kind == "reservation.extended" || self.shard.head.shards > 1;
        if deadline == before || may_move && deadline > before {
            return Ok(deadline);
        }
        Err(Fault::new(
            format!("deadline {deadline}"),
            format!("{before}, or a later one if it is extended"),
        ))
    }

    /// Units that are past their deadline can only expire. A shard follows what another has decided in
    /// time, a little later.
    fn is_in_time(&self, reservation: &Reservation) -> Result<(), Fault> {
        let is_late = self.at >= reservation.deadline && reservation.is_held();
        if is_late && self.shard.head.shards == 1 {
            return Err(Fault::new(
                format!("held units are acted on at {}", self.at),
                format!("before their deadline, {}", reservation.deadline),
            ));
        }
        Ok(())
    }

    /// Whether records of this kind do that. A shard follows what another has decided, and may follow
    /// several acts in one step.
    fn may_do(&self, kind: &str, verb: &str) -> bool {
        self.shard.head.shards > 1
            || matches!(
                (kind, verb),
                ("reservation.confirmed", "commit")
                    | ("reservation.released", "release_held" | "release_committed")
                    | ("reservation.shipped", "ship")
                    | ("reservation.returned", "restock" | "quarantine")
                    | ("reservation.transferred", "repin")
            )
    }

    fn move_units(&mut self, kind: &str, line: &mut Line, step: &Move<'_>) -> Result<(), Fault> {
        let units = || wanted(step.units, "units");
        let node = wanted(step.node, "node").map(|node| self.names.nodes.number(node));
        if !self.may_do(kind, step.verb) {
            return Err(Fault::new(
                format!("{kind} does {:?}", step.verb),
                "a move of that kind of record",
            ));
        }
        match step.verb {
            "commit" => {
                let units = units()?;
                line.units
                    .pass(|of| &mut of.held, |of| &mut of.committed, units)?;
                let stock = self.numbered(line.terms.sku, false)?;
                stock.unhold(units)?;
                stock.commit(units)
            }
            "release_held" => {
                self.go_back(line, |of| &mut of.held, |of| &mut of.released, units()?)
            }
            "release_committed" => self.go_back(
                line,
                |of| &mut of.committed,
                |of| &mut of.released,
                units()?,
            ),
            "ship" => self.ship(line, node?, units()?),
            "restock" | "quarantine" => {
                let (node, units) = (node?, units()?);
                if units > line.units.away() {
                    return Err(Fault::new(
                        format!("{units} units come back"),
                        format!("at most {}, which left", line.units.away()),
                    ));
                }
                line.units.returned += units;
                let stock = self.numbered(line.terms.sku, false)?;
                stock.arrive(node, units, step.verb == "restock")
            }
            "repin" => self.repin(line, node?),
            other => Err(Fault::new(
                format!("the move {other:?}"),
                "one that there is",
            )),
        }
    }

    fn ship(&mut self, line: &mut Line, node: Name, units: u64) -> Result<(), Fault> {
        if line.terms.node.is_some_and(|pin| pin != node) {
            return Err(Fault::new(
                "another node ships than the one promised",
                "the node of the line",
            ));
        }
        let today = day_of(self.at);
        let is_dated = {
            let stock = self.numbered(line.terms.sku, false)?;
            !stock.inbound.is_empty() || !stock.dated.is_empty()
        };
        let before = is_dated.then(|| {
            self.shard
                .skus
                .get(&line.terms.sku)
                .map(|of| of.stock.clone())
        });
        self.go_back(line, |of| &mut of.committed, |of| &mut of.shipped, units)?;
        let at = Terms {
            node: Some(node),
            ..line.terms
        };
        let stock = self.numbered(line.terms.sku, false)?;
        stock.leave(node, units)?;
        if let Some(before) = before.flatten() {
            return room::check(&before, stock, &at, today, Safety::Free);
        }
        let place = stock.node(node);
        if line.terms.node.is_none() && place.pinned > place.on_hand {
            return Err(Fault::new(
                format!(
                    "{} units are left where {} are promised",
                    place.on_hand, place.pinned
                ),
                "what is promised there stays there",
            ));
        }
        Ok(())
    }

    fn repin(&mut self, line: &mut Line, node: Name) -> Result<(), Fault> {
        let units = line.units.open();
        let (old, today) = (line.terms, day_of(self.at));
        let new = Terms {
            node: Some(node),
            ..old
        };
        let stock = self.numbered(old.sku, false)?;
        let before = stock.clone();
        stock.unbind(&old, units)?;
        stock.bind(&new, units)?;
        line.terms = new;
        if old.node == new.node {
            return Ok(());
        }
        room::check(&before, stock, &new, today, Safety::Free)
    }
}

fn states(part: &Part<'_>) -> Result<States, Fault> {
    Ok(States {
        held: part.held,
        committed: wanted(part.committed, "committed")?,
        shipped: wanted(part.shipped, "shipped")?,
        released: wanted(part.released, "released")?,
        expired: wanted(part.expired, "expired")?,
        returned: wanted(part.returned, "returned")?,
    })
}
