//! The policy, by the words of `docs/POLICY.md`: parents are walked by name, nothing is compiled.

use std::collections::BTreeMap;

use holdfast::domain::policy::{
    Against, Amount, Document, Entry, Every, LimitOn, Rule, Scope, Selector,
};
use holdfast::domain::verdict::{Limit, MovedShare, Outcome, Refusal, Verdict};
use holdfast::domain::{ChannelIx, UnixMillis};

use super::super::history::entry_names;
use super::super::script::ShareAsk;
use super::{Booking, Bug, Model, UNITS_MAX, units};

/// What counts in one window of a SKU, by channel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Window {
    begun: i64,
    shipped: BTreeMap<u16, i128>,
    moved: BTreeMap<u16, i128>,
}

impl Window {
    /// Begins another one, unless it is the one there is.
    fn roll(&mut self, begun: i64) {
        if self.begun != begun {
            *self = Self {
                begun,
                ..Self::default()
            };
        }
    }
}

/// A SKU under the rule in force, as a channel sees it that asks.
pub(super) struct Desk<'m> {
    document: &'m Document,
    limits: &'m [LimitOn],
    /// Whether protections bind.
    keeps: bool,
    asker: &'m str,
    on_hand: i128,
    /// What the channels have open and have shipped in the window, by name.
    open: BTreeMap<&'m str, i128>,
    shipped: BTreeMap<&'m str, i128>,
    /// By how much their shares were moved in it.
    moved: BTreeMap<&'m str, i128>,
}

/// Asks in place of a channel: no entry of any tree, which comes last.
const NOBODY: u16 = u16::MAX;

fn name(channel: u16) -> &'static str {
    entry_names().nth(usize::from(channel)).unwrap()
}

/// Whatever rules may be for that a SKU belongs to, most specific first.
pub(super) fn scopes(document: &Document, sku: &str) -> Vec<Scope> {
    let lists = document.sets.iter().filter(|set| match &set.selector {
        Selector::Prefix(_) => false,
        Selector::Skus(skus) => skus.iter().any(|one| one == sku),
        Selector::Tag(tag) => {
            let tag = document.tags.iter().find(|of| of.name == *tag);
            tag.is_some_and(|tag| tag.skus.iter().any(|one| one == sku))
        }
    });
    let mut prefixes: Vec<_> = document
        .sets
        .iter()
        .filter_map(|set| match &set.selector {
            Selector::Prefix(prefix) if sku.starts_with(prefix) => Some((prefix.len(), set)),
            Selector::Prefix(_) | Selector::Skus(_) | Selector::Tag(_) => None,
        })
        .collect();
    prefixes.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    let named = lists.chain(prefixes.into_iter().map(|(_, set)| set));
    let mut scopes = vec![Scope::Sku(sku.to_owned())];
    scopes.extend(named.map(|set| Scope::Set(set.name.clone())));
    scopes.push(Scope::Default);
    scopes
}

/// The rule in force for a SKU, and the beginning of its window.
fn rule<'d>(document: &'d Document, sku: &str, now: i64) -> Option<(&'d Rule, i64)> {
    let scopes = scopes(document, sku);
    let mut scopes = scopes.iter();
    scopes.find_map(|scope| rule_of(document, scope, now))
}

fn rule_of<'d>(document: &'d Document, scope: &Scope, now: i64) -> Option<(&'d Rule, i64)> {
    let rules = document.rules.iter();
    let mut rules = rules.filter(|rule| rule.scope == *scope && rule.says_limits());
    let dated = rules.clone().find_map(|rule| {
        let from = rule.from?.0;
        let until = rule.until.map_or(i64::MAX, |until| until.0);
        (from <= now && now < until).then_some((rule, from))
    });
    if let Some((rule, from)) = dated {
        let begun = rule.every.map_or(from, |every| {
            let length = match every {
                Every::Day => 86_400_000,
                Every::Week => 604_800_000,
            };
            now - (now - from) % length
        });
        return Some((rule, begun));
    }
    rules.find(|rule| rule.from.is_none()).map(|rule| (rule, 0))
}

impl Model {
    pub(crate) fn put_policy(&mut self, document: &Document) {
        self.policy = Some(document.clone());
    }

    /// Units of a line count as shipped in the window in force.
    pub(super) fn count_shipped(&mut self, now: i64, key: &str, at: usize, quantity: i128) {
        let booking = &self.bookings[key];
        let (channel, sku) = (self.user(booking, at), booking.rows[at].sku.clone());
        let found = self.policy.as_ref().and_then(|of| rule(of, &sku, now));
        let begun = found.map_or(0, |(_, begun)| begun);
        let window = &mut self.items.get_mut(&sku).unwrap().window;
        window.roll(begun);
        *window.shipped.entry(channel).or_default() += quantity;
    }

    /// The most of a SKU that caps and protections leave a channel of what is free, and which of
    /// them it is; `None`: they leave all of it.
    pub(super) fn share(
        &self,
        now: i64,
        sku: &str,
        channel: u16,
        (free, taken): (i128, &BTreeMap<u16, i128>),
    ) -> Option<(i128, Limit)> {
        self.desk(now, sku, channel, taken)?.0.room(free)
    }

    /// The channel that a line counts for.
    fn user(&self, booking: &Booking, row: usize) -> u16 {
        let charged = booking.rows[row].charged;
        charged
            .filter(|_| !self.has(Bug::ChargedToSeller))
            .unwrap_or(booking.channel)
    }

    /// Whose shares a channel may use when its own does not do: its own list, or that of the nearest
    /// entry above that has one.
    pub(super) fn fallback(&self, channel: u16) -> Vec<u16> {
        let channels = self.policy.iter().flat_map(|of| &of.channels);
        let find = |name: &str| channels.clone().find(|of| of.name == name);
        let first = find(name(channel));
        let mut line = std::iter::successors(first, |of| find(of.parent.as_deref()?));
        let list = line.find_map(|of| of.fallback.as_ref());
        let number = |of: &String| {
            let at = entry_names().position(|name| name == of)?;
            u16::try_from(at).ok()
        };
        list.into_iter().flatten().filter_map(number).collect()
    }

    /// How a SKU looks to a channel, and the beginning of its window; `None` where no rule is in
    /// force.
    fn desk(
        &self,
        now: i64,
        sku: &str,
        channel: u16,
        taken: &BTreeMap<u16, i128>,
    ) -> Option<(Desk<'_>, i64)> {
        let document = self.policy.as_ref()?;
        let (rule, begun) = rule(document, sku, now)?;
        let item = &self.items[sku];
        let mut open: BTreeMap<&str, i128> = BTreeMap::new();
        for (key, row) in &item.open {
            let booking = &self.bookings[key];
            let user = self.user(booking, *row);
            *open.entry(name(user)).or_default() += booking.rows[*row].open();
        }
        for (user, units) in taken {
            *open.entry(name(*user)).or_default() += units;
        }
        let counted = item.window.shipped.iter();
        let forgets = self.has(Bug::ShippedUncounted);
        let counted = counted.filter(|_| item.window.begun == begun && !forgets);
        let moved = item.window.moved.iter();
        let moved = moved.filter(|_| item.window.begun == begun);
        let desk = Desk {
            document,
            limits: &rule.limits,
            keeps: !self.has(Bug::NothingKept),
            asker: if channel == NOBODY { "" } else { name(channel) },
            on_hand: item.on_hand(),
            open,
            shipped: counted.map(|(of, units)| (name(*of), *units)).collect(),
            moved: moved.map(|(of, by)| (name(*of), *by)).collect(),
        };
        Some((desk, begun))
    }

    /// Moves share, each item after those before it; all or none.
    pub(super) fn move_shares(&mut self, now: i64, items: &[ShareAsk]) -> Verdict {
        for item in items {
            self.expire(now, &item.sku);
        }
        let before = self.items.clone();
        let mut moved = Vec::new();
        for item in items {
            match self.move_share(now, item) {
                Ok(one) => moved.push(one),
                Err(refusal) => {
                    self.items = before;
                    return Err(refusal);
                }
            }
        }
        Ok(Outcome::Shares(moved))
    }

    fn move_share(&mut self, now: i64, ask: &ShareAsk) -> Result<MovedShare, Refusal> {
        let sku: Box<str> = ask.sku.as_str().into();
        if !self.items.contains_key(&ask.sku) {
            return Err(Refusal::UnknownSku { sku });
        }
        let desk = self.desk(now, &ask.sku, NOBODY, &BTreeMap::new());
        let found = match &desk {
            Some((desk, _)) => desk.movable(name(ask.from), name(ask.to)),
            None => Err(true),
        };
        let possible = found.unwrap_or(0);
        if found.is_err() || possible < i128::from(ask.units) {
            let lacking = if found == Err(false) {
                ask.to
            } else {
                ask.from
            };
            return Err(Refusal::OverShare {
                sku,
                channel: ChannelIx(lacking),
                requested: units(i128::from(ask.units)),
                possible: units(possible),
            });
        }
        let begun = desk.map_or(0, |(_, begun)| begun);
        let item = self.items.get_mut(&ask.sku).unwrap();
        item.moves += 1;
        item.window.roll(begun);
        *item.window.moved.entry(ask.from).or_default() -= i128::from(ask.units);
        *item.window.moved.entry(ask.to).or_default() += i128::from(ask.units);
        Ok(MovedShare {
            sku,
            from: ChannelIx(ask.from),
            to: ChannelIx(ask.to),
            units: units(i128::from(ask.units)),
            window: UnixMillis(begun),
        })
    }
}

impl Desk<'_> {
    fn entry(&self, name: &str) -> Option<&Entry> {
        self.document.channels.iter().find(|of| of.name == name)
    }

    /// The entry itself and those above it.
    fn line(&self, name: &str) -> Vec<&str> {
        let first = self.entry(name);
        let above = |of: &&Entry| self.entry(of.parent.as_deref()?);
        std::iter::successors(first, above)
            .map(|of| of.name.as_str())
            .collect()
    }

    fn rank(&self, name: &str) -> u16 {
        let line = self.line(name);
        let rank = line.iter().find_map(|of| self.entry(of)?.rank);
        rank.unwrap_or(u16::MAX)
    }

    fn limit(&self, name: &str) -> Option<&LimitOn> {
        self.limits.iter().find(|limit| limit.channel == name)
    }

    /// Entries in order, siblings by rank, then as written.
    fn in_order<'s>(&'s self, parent: Option<&str>, into: &mut Vec<&'s str>) {
        let channels = self.document.channels.iter();
        let mut children: Vec<_> = channels
            .filter(|of| of.parent.as_deref() == parent)
            .collect();
        children.sort_by_key(|of| of.rank.unwrap_or(u16::MAX));
        for child in children {
            into.push(&child.name);
            self.in_order(Some(&child.name), into);
        }
    }

    /// Those with limits whose nearest entry above with limits is that one.
    fn right_below(&self, parent: Option<&str>) -> Vec<&str> {
        let mut found = Vec::new();
        self.in_order(None, &mut found);
        found.retain(|name| {
            let line = self.line(name);
            let mut above = line.iter().skip(1);
            self.limit(name).is_some()
                && above.find(|of| self.limit(of).is_some()).copied() == parent
        });
        found
    }

    fn used(&self, name: &str) -> i128 {
        let inside = |channel: &&str| self.line(channel).contains(&name);
        let sum = |of: &BTreeMap<&str, i128>| -> i128 {
            let counted = of.iter().filter(|(channel, _)| inside(channel));
            counted.map(|(_, units)| *units).sum()
        };
        sum(&self.open) + sum(&self.shipped)
    }

    fn cap(&self, name: &str, amount: Amount) -> i128 {
        let inside = |channel: &str| self.line(channel).contains(&name);
        (self.written(amount, false) + self.moved_to(inside)).max(0)
    }

    fn protection(&self, name: &str, amount: Amount) -> i128 {
        let inside =
            |channel: &str| self.line(channel).contains(&name) && self.share_is_protection(channel);
        (self.written(amount, true) + self.moved_to(inside)).max(0)
    }

    fn moved_to(&self, is_meant: impl Fn(&str) -> bool) -> i128 {
        let moved = self.moved.iter().filter(|(channel, _)| is_meant(channel));
        moved.map(|(_, by)| *by).sum()
    }

    /// Whether what is moved to a channel is moved to a protection: the limits that count for it,
    /// its own or the nearest above, have no cap.
    fn share_is_protection(&self, name: &str) -> bool {
        let limit = self.line(name).into_iter().find_map(|of| self.limit(of));
        limit.is_some_and(|limit| limit.cap.is_none())
    }

    /// An amount without what was moved.
    fn written(&self, amount: Amount, up: bool) -> i128 {
        match amount {
            Amount::Units(units) => i128::from(units.get()),
            Amount::Percent(share) => {
                let supply = self.on_hand + self.shipped.values().sum::<i128>();
                // No quantity is larger.
                let product = supply.min(UNITS_MAX) * i128::from(share);
                (product + if up { 9_999 } else { 0 }) / 10_000
            }
        }
    }

    fn cap_left(&self, name: &str) -> Option<i128> {
        let cap = self.limit(name)?.cap?;
        Some((self.cap(name, cap) - self.used(name)).max(0))
    }

    /// The most that may be moved; or whether it is the giver who has no share for that, else the
    /// taker. The one who asks must come last, so that every protection binds.
    fn movable(&self, from: &str, to: &str) -> Result<i128, bool> {
        let gives = self.limit(from).ok_or(true)?;
        let gets = self.limit(to).ok_or(false)?;
        let (givers, takers) = (self.line(from), self.line(to));
        if givers.contains(&to) || takers.contains(&from) {
            return Err(false);
        }
        let own = self.cap_left(from).unwrap_or_else(|| {
            let kept = gives.protection.map(|of| self.protection(from, of.amount));
            let below = self.right_below(Some(from)).into_iter();
            let below: i128 = below.map(|of| self.need(of, false)).sum();
            ((kept.unwrap_or(0) - self.used(from)).max(0) - below).max(0)
        });
        let groups = givers.iter().skip(1).filter(|of| !takers.contains(of));
        let caps = groups.filter_map(|of| self.cap_left(of));
        let most = caps.fold(own, i128::min);
        Ok(if gives.cap.is_some() && gets.cap.is_none() {
            let to_protections = self.moved_to(|channel| self.share_is_protection(channel));
            most.min((-to_protections).max(0))
        } else {
            most
        })
    }

    /// What is still kept for an entry itself; `firmly`: against anybody.
    fn open_need(&self, name: &str, firmly: bool) -> i128 {
        let Some(kept) = self.limit(name).and_then(|limit| limit.protection) else {
            return 0;
        };
        let lower = self.rank(self.asker) > self.rank(name);
        let binds = self.keeps && (kept.against == Against::All || (!firmly && lower));
        let rest = self.protection(name, kept.amount) - self.used(name);
        if binds { rest.max(0) } else { 0 }
    }

    fn need(&self, name: &str, firmly: bool) -> i128 {
        let below = self.right_below(Some(name));
        let below: i128 = below.iter().map(|of| self.need(of, firmly)).sum();
        let need = self.open_need(name, firmly).max(below);
        self.cap_left(name).map_or(need, |left| need.min(left))
    }

    fn room(&self, free: i128) -> Option<(i128, Limit)> {
        let (mut room, mut bound) = (free, None);
        let mut path = self.line(self.asker);
        path.retain(|name| self.limit(name).is_some());
        let mut above: Option<&str> = None;
        loop {
            let next = path.pop();
            let here = self.right_below(above);
            let others = here.iter().filter(|name| Some(**name) != next);
            let all: i128 = others.map(|name| self.need(name, false)).sum();
            let before = here.iter().take_while(|name| Some(**name) != next);
            let before: i128 = before.map(|name| self.need(name, true)).sum();
            let mut left = (room - all).max(0);
            if let Some(next) = next {
                left = left.max((room - before).min(self.need(next, true)));
            }
            if left < room {
                (room, bound) = (left, Some(Limit::Protection));
            }
            let Some(next) = next else {
                return bound.map(|limit| (room, limit));
            };
            if let Some(left) = self.cap_left(next)
                && (left < room || (left == room && bound == Some(Limit::Protection)))
            {
                (room, bound) = (left, Some(Limit::Cap));
            }
            above = Some(next);
        }
    }
}
