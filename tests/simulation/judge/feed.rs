//! The judge reads the feed: every event is a command that somebody sent, does what the model does, and
//! stands where everybody was told it does.

use holdfast::domain::{CommandKey, Refusal, Verdict};
use holdfast::engine::Engine;
use holdfast::ledger::event::{Body, Cursor, Event, VerbKind};
use holdfast::ledger::policy::text;
use holdfast::ledger::{EventsError, Position};

use super::{Claim, First, Judge};
use crate::client::Content;
use crate::crowd::at_once;
use crate::dated::{self, Ask};
use crate::faults::Sometimes;
use crate::support::check::unexplained;
use crate::support::model::{Keeping, Model, Reply, is_recorded};
use crate::support::script::Script;

impl Judge {
    /// Reads on in the event feed, to its end.
    pub(crate) fn read(&mut self, engine: &Engine) -> Result<(), String> {
        loop {
            let after = if self.read == Position::default() {
                Cursor::default()
            } else {
                self.read.into()
            };
            let page = match at_once(engine.events(after, 1_000)) {
                Some(Ok(page)) => page,
                Some(Err(EventsError::Lost { sequence })) => {
                    return Err(format!("what a consumer had read up to {sequence} is lost"));
                }
                Some(Err(error)) => return Err(format!("events after {}: {error}", self.read)),
                None => return Err("reading events waits".to_owned()),
            };
            if page.records.is_empty() {
                return self.settle_doubts();
            }
            for event in page.iter() {
                self.event(&event.map_err(|error| error.to_string())?)?;
            }
        }
    }

    fn event(&mut self, event: &Event<'_>) -> Result<(), String> {
        let (position, at) = (event.position, event.at);
        self.sim.note(
            "event",
            format_args!("{position} of {}: {:?}", at.0, event.body),
        );
        if position.sequence != self.read.sequence + 1 || position.epoch < self.read.epoch {
            return Err(format!("the feed goes from {} to {position}", self.read));
        }
        if at.0 > self.sim.latest() {
            return Err(format!(
                "{position} is of {}, which no clock has shown: {:?}",
                at.0, event.body
            ));
        }
        self.read = position;
        self.body(event)?;
        self.clear_doubts();
        for claim in self.claims.remove(&position.sequence).unwrap_or_default() {
            self.settle(&claim)?;
        }
        Ok(())
    }

    fn body(&mut self, event: &Event<'_>) -> Result<(), String> {
        match &event.body {
            Body::Opened { .. } => self.opened(event.position),
            Body::NodeNamed { .. }
            | Body::ChannelNamed { .. }
            | Body::TermsNoted(_)
            | Body::Deficit(_) => Ok(()),
            Body::LowWater(told) => {
                if told.low {
                    self.sim.saw(Sometimes::Low);
                }
                Ok(())
            }
            Body::PolicyPut { version, text, .. } => self.policy_put(*version, text),
            Body::Expired { id, sku, units, .. } => {
                self.sim.saw(Sometimes::Expired);
                *self.freed.entry((*sku).to_owned()).or_default() += units.get();
                if dated::is_dated(sku) {
                    return self.books.expired(id.0, event.at, *units);
                }
                self.not_early(id.0, event)
            }
            Body::Reserved(made) => {
                let key = CommandKey {
                    id: made.id.0,
                    fingerprint: made.fingerprint,
                };
                self.command(key, event)
            }
            Body::Acted(acted) => self.command(acted.key, event),
            Body::StockChanged(changed) => self.command(changed.key, event),
            Body::SharesMoved(moved) => self.command(moved.key, event),
            Body::InboundChanged(changed) => self.command(changed.key, event),
            Body::SettingsPut { key, .. } | Body::Refused { key, .. } => self.command(*key, event),
        }
    }

    /// A hold may only go back when it is due.
    fn not_early(&self, id: u128, event: &Event<'_>) -> Result<(), String> {
        let asked = self.asked.get(&id);
        let made = asked.and_then(|asked| self.model.reservation(&asked.key));
        match made {
            Some(made) if made.deadline.is_due(event.at) => Ok(()),
            made => Err(format!("expired too early: {made:?} by {event:?}")),
        }
    }

    fn policy_put(&mut self, version: u64, text: &str) -> Result<(), String> {
        if version != self.policy_read + 1 {
            return Err(format!("policy {version} follows {}", self.policy_read));
        }
        if !self.putting.contains(text) {
            return Err(format!("nobody put this policy: {text}"));
        }
        self.policy_read = version;
        self.is_putting = false;
        self.books.has_policies = true;
        let document = text::parse(text).map_err(|fault| fault.to_string())?;
        self.model.put_policy(&document);
        Ok(())
    }

    /// Where the history goes on: what was told beyond it was lost.
    fn opened(&mut self, position: Position) -> Result<(), String> {
        if std::mem::take(&mut self.is_putting) {
            self.sim.saw(Sometimes::PolicyLost);
        }
        if self.policy_told > self.policy_read {
            return Err(format!("policy {} was told and is lost", self.policy_told));
        }
        let lost = self.claims.split_off(&position.sequence);
        if lost.is_empty() {
            return Ok(());
        }
        // Refusals change nothing, so one model will do for all of them.
        let mut model = self.model.clone();
        for claim in lost.into_values().flatten() {
            let key = &self.asked[&claim.id].key;
            if claim.answer.told_after.sequence >= position.sequence {
                return Err(format!("{key} was told and is lost: {claim:?}"));
            }
            self.sim.saw(Sometimes::EarlyLost);
            self.still_refused(&mut model, &claim)?;
        }
        Ok(())
    }

    /// A refusal that was told early and lost: what it was refused for is not.
    fn still_refused(&self, model: &mut Model, claim: &Claim) -> Result<(), String> {
        let asked = &self.asked[&claim.id];
        let mut contents = asked.contents.iter();
        let content = contents.find(|(of, _)| Some(*of) == claim.fingerprint);
        let Some(Content::Plain(script)) = content.map(|(_, content)| &**content) else {
            return Ok(());
        };
        let (at, key) = (claim.decided, &asked.key);
        let (reply, _) = execute(model, at, key, claim.id, script, self.keeping);
        let verdict = unexplained(claim.answer.verdict.clone());
        if unexplained(reply.verdict.clone()) != verdict {
            return Err(format!(
                "{} was refused for what was lost: {verdict:?}, now {:?}",
                asked.key, reply.verdict
            ));
        }
        Ok(())
    }

    /// A command was done.
    fn command(&mut self, key: CommandKey, event: &Event<'_>) -> Result<(), String> {
        let Some(asked) = self.asked.get(&key.id) else {
            return Err(format!("nobody asked for {event:?}"));
        };
        if asked.in_flight == 0 && !asked.is_open {
            return Err(format!("nothing should have happened: {event:?}"));
        }
        let content = asked.contents.iter().find(|(of, _)| *of == key.fingerprint);
        let Some((_, content)) = content.cloned() else {
            return Err(format!("nobody asked for this: {event:?}"));
        };
        let name = asked.key.clone();
        if self.is_recovering && !asked.is_told {
            self.sim.saw(Sometimes::KeptUnacknowledged);
        }
        let verdict = match &*content {
            Content::Plain(script) => Some(self.modelled(&name, key.id, script, event)?),
            Content::Dated(ask) => {
                self.booked(ask, event)?;
                None
            }
        };
        if let Body::Reserved(_) = event.body {
            self.reserved.push(name);
        }
        let asked = self.asked.get_mut(&key.id).unwrap();
        let first = First {
            position: event.position,
            fingerprint: key.fingerprint,
            at: event.at.0,
            verdict,
        };
        // Of what is modelled, the model has said so.
        match asked.first.replace(first) {
            Some(before) if event.at.0 - before.at <= self.keeping.refusals => {
                Err(format!("done twice: {event:?}"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn modelled(
        &mut self,
        key: &str,
        id: u128,
        script: &Script,
        event: &Event<'_>,
    ) -> Result<Verdict, String> {
        let (reply, has_forgotten) =
            execute(&mut self.model, event.at.0, key, id, script, self.keeping);
        if has_forgotten {
            self.sim.saw(Sometimes::Forgotten);
        }
        if reply.replayed || !is_recorded(&reply.verdict) {
            return Err(format!("done twice: {key}: {event:?}, model {reply:?}"));
        }
        let verdict = unexplained(reply.verdict);
        if let Body::Refused { refusal, .. } = &event.body {
            let refused: Verdict = Err(refusal.clone());
            if unexplained(refused) != verdict {
                return Err(format!("{key}: {event:?}, modelled {verdict:?}"));
            }
        } else if verdict.is_err() {
            return Err(format!("{key}: {event:?}, modelled {verdict:?}"));
        }
        self.seen(event);
        Ok(verdict)
    }

    fn booked(&mut self, ask: &Ask, event: &Event<'_>) -> Result<(), String> {
        match (&event.body, ask) {
            (Body::Reserved(made), Ask::Reserve(promise)) => {
                if made.lines.iter().any(|line| line.day.is_some()) {
                    self.sim.saw(Sometimes::Dated);
                }
                self.books.reserved(made, event.at, *promise)
            }
            (Body::Refused { refusal, .. }, Ask::Reserve(promise)) => {
                self.sim.saw(Sometimes::DatedRefused);
                self.books.refused(refusal, event.at, *promise)
            }
            (Body::Refused { .. }, _) => Ok(()),
            (Body::Acted(acted), _) => self.books.acted(acted),
            (Body::StockChanged(changed), _) => {
                self.books.stock_changed(changed);
                Ok(())
            }
            (Body::InboundChanged(changed), _) => {
                if changed.items.iter().any(|item| !item.received.is_zero()) {
                    self.sim.saw(Sometimes::Received);
                }
                self.books.inbound_changed(changed);
                Ok(())
            }
            (body, ask) => Err(format!("{body:?} is no answer to {ask:?}")),
        }
    }

    /// Takes note of what is to be seen sometimes.
    fn seen(&mut self, event: &Event<'_>) {
        match &event.body {
            Body::Reserved(made) => {
                for line in &made.lines {
                    let Some(freed) = self.freed.remove(line.sku) else {
                        continue;
                    };
                    let stock = self.model.stock(line.sku);
                    if stock.is_some_and(|stock| stock.available.get() < freed) {
                        self.sim.saw(Sometimes::SoldAgain);
                    }
                }
            }
            Body::Acted(acted) => match acted.verb {
                VerbKind::Extend => self.sim.saw(Sometimes::Extended),
                VerbKind::Ship => self.sim.saw(Sometimes::Shipped),
                VerbKind::Return => self.sim.saw(Sometimes::Returned),
                VerbKind::Confirm | VerbKind::Release | VerbKind::Transfer => {}
            },
            Body::Refused {
                refusal: Refusal::InsufficientStock { .. },
                ..
            } => self.sim.saw(Sometimes::Refused),
            Body::StockChanged(changed) => {
                let item = changed.items.iter().find(|item| item.available.is_zero());
                let stock = item.and_then(|item| self.model.stock(item.sku));
                if stock.is_some_and(|stock| !stock.deficit.is_zero()) {
                    self.sim.saw(Sometimes::Deficit);
                }
            }
            Body::Opened { .. }
            | Body::NodeNamed { .. }
            | Body::ChannelNamed { .. }
            | Body::Expired { .. }
            | Body::SettingsPut { .. }
            | Body::SharesMoved(_)
            | Body::PolicyPut { .. }
            | Body::TermsNoted(_)
            | Body::LowWater(_)
            | Body::Deficit(_)
            | Body::InboundChanged(_)
            | Body::Refused { .. } => {}
        }
    }
}

/// Does a command in the model, which forgets what it was answered before if it may; whether it did.
fn execute(
    model: &mut Model,
    at: i64,
    key: &str,
    id: u128,
    script: &Script,
    keeping: Keeping,
) -> (Reply, bool) {
    let reply = model.execute(at, key, id, script);
    let is_known = reply.replayed || reply.verdict == Err(Refusal::KeyReused);
    if !is_known {
        return (reply, false);
    }
    // What is due has ended, even if nobody has touched it since.
    model.expire_all(at);
    if !model.may_forget(key, at, keeping) {
        return (reply, false);
    }
    model.forget_key(key);
    (model.execute(at, key, id, script), true)
}
