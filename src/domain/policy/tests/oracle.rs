//! `room` against the words of docs/POLICY.md: parents are walked by name, nothing is numbered.

use super::*;
use crate::domain::verdict::Limit;

struct Oracle<'d> {
    document: &'d Document,
    uses: &'d [ChannelUse],
    on_hand: i128,
    /// Who asks.
    asker: String,
    taken: i128,
}

impl Oracle<'_> {
    fn entry(&self, name: &str) -> Option<&Entry> {
        self.document.channels.iter().find(|of| of.name == name)
    }

    /// The entry itself and those above it.
    fn line(&self, name: &str) -> Vec<String> {
        let mut line = Vec::new();
        let mut next = self.entry(name);
        while let Some(entry) = next {
            line.push(entry.name.clone());
            next = entry
                .parent
                .as_deref()
                .and_then(|parent| self.entry(parent));
        }
        line
    }

    fn rank(&self, name: &str) -> u16 {
        let line = self.line(name);
        let rank = line.iter().find_map(|of| self.entry(of).unwrap().rank);
        rank.unwrap_or(u16::MAX)
    }

    /// Entries with limits in the order that decides who comes first: by rank among siblings, then
    /// as written.
    fn order(&self, parent: Option<&str>, into: &mut Vec<String>) {
        let channels = self.document.channels.iter();
        let mut children: Vec<_> = channels
            .filter(|of| of.parent.as_deref() == parent)
            .collect();
        children.sort_by_key(|of| of.rank.unwrap_or(u16::MAX));
        for child in children {
            into.push(child.name.clone());
            self.order(Some(&child.name), into);
        }
    }

    fn limit(&self, name: &str) -> Option<&LimitOn> {
        let limits = &self.document.rules[0].limits;
        limits.iter().find(|limit| limit.channel == name)
    }

    fn limited(&self) -> Vec<String> {
        let mut all = Vec::new();
        self.order(None, &mut all);
        all.retain(|name| self.limit(name).is_some());
        all
    }

    /// Those with limits right below an entry with limits, or at the top.
    fn right_below(&self, parent: Option<&str>) -> Vec<String> {
        let mut found = self.limited();
        found.retain(|name| {
            let line = self.line(name);
            let above = line[1..].iter().find(|above| self.limit(above).is_some());
            above.map(String::as_str) == parent
        });
        found
    }

    fn sum(&self, name: &str, of: impl Fn(&ChannelUse) -> i128) -> i128 {
        let inside = |one: &&ChannelUse| {
            let channel = format!("c{}", one.channel.0);
            self.line(&channel).iter().any(|above| above == name)
        };
        self.uses.iter().filter(inside).map(of).sum()
    }

    fn used(&self, name: &str) -> i128 {
        let asks = self.line(&self.asker).iter().any(|above| above == name);
        let taken = if asks { self.taken } else { 0 };
        taken + self.sum(name, |one| i128::from(one.total().get()))
    }

    fn supply(&self) -> i128 {
        let shipped = self.uses.iter().map(|one| i128::from(one.shipped.get()));
        self.on_hand + shipped.sum::<i128>()
    }

    fn amount(&self, name: &str, amount: Amount, up: bool) -> i128 {
        let base = match amount {
            Amount::Units(units) => i128::from(units.get()),
            Amount::Percent(share) => {
                let product = self.supply() * i128::from(share);
                if up {
                    (product + 9_999) / 10_000
                } else {
                    product / 10_000
                }
            }
        };
        // What is moved to a share that is a cap changes no protection.
        let is_meant = |one: &ChannelUse| !up || self.share_is_protection(one.channel);
        let moved = |one: &ChannelUse| i128::from(if is_meant(one) { one.moved } else { 0 });
        (base + self.sum(name, moved)).max(0)
    }

    /// Whether the limits that count for a channel, its own or the nearest above, have no cap.
    fn share_is_protection(&self, channel: ChannelIx) -> bool {
        let line = self.line(&format!("c{}", channel.0));
        let limit = line.iter().find_map(|name| self.limit(name));
        limit.is_some_and(|limit| limit.cap.is_none())
    }

    fn cap_left(&self, name: &str) -> Option<i128> {
        let cap = self.limit(name)?.cap?;
        Some((self.amount(name, cap, false) - self.used(name)).max(0))
    }

    fn open(&self, name: &str, core_only: bool) -> i128 {
        let Some(protection) = self.limit(name).and_then(|limit| limit.protection) else {
            return 0;
        };
        let binds = match protection.against {
            Against::All => true,
            Against::LowerRanks => !core_only && self.rank(&self.asker) > self.rank(name),
        };
        let rest = self.amount(name, protection.amount, true) - self.used(name);
        if binds { rest.max(0) } else { 0 }
    }

    fn need(&self, name: &str, core_only: bool) -> i128 {
        let below = self.right_below(Some(name));
        let below: i128 = below.iter().map(|of| self.need(of, core_only)).sum();
        let need = self.open(name, core_only).max(below);
        self.cap_left(name).map_or(need, |left| need.min(left))
    }

    /// The largest open protection in a subtree, as far as it is kept.
    fn largest(&self, name: &str) -> (i128, String) {
        let mut largest = (self.open(name, false), name.to_owned());
        for below in self.right_below(Some(name)) {
            let inner = self.largest(&below);
            if inner.0 > largest.0 {
                largest = inner;
            }
        }
        largest.0 = largest.0.min(self.need(name, false));
        largest
    }

    fn room(&self, free: i128) -> (i128, Option<(Limit, String)>) {
        let mut room = free;
        let mut bound = None;
        let mut path = self.line(&self.asker);
        path.retain(|name| self.limit(name).is_some());
        let mut above: Option<String> = None;
        loop {
            let next = path.pop();
            let here = self.right_below(above.as_deref());
            let own = here.iter().position(|name| Some(name) == next.as_ref());
            let mut all = 0;
            let mut before = 0;
            let mut largest = (0, String::new());
            for (at, name) in here.iter().enumerate().filter(|(at, _)| Some(*at) != own) {
                all += self.need(name, false);
                if own.is_some_and(|own| at < own) {
                    before += self.need(name, true);
                }
                let kept = self.largest(name);
                if kept.0 > largest.0 {
                    largest = kept;
                }
            }
            let mut left = (room - all).max(0);
            if let Some(next) = &next {
                left = left.max((room - before).min(self.need(next, true)));
            }
            if left < room {
                room = left;
                bound = Some((Limit::Protection, largest.1));
            }
            let Some(next) = next else {
                return (room, bound);
            };
            if let Some(left) = self.cap_left(&next) {
                let of_protection = matches!(bound, Some((Limit::Protection, _)));
                if left < room || (left == room && of_protection) {
                    room = left;
                    bound = Some((Limit::Cap, next.clone()));
                }
            }
            above = Some(next);
        }
    }
}

#[test]
fn room_is_what_the_definitions_say() {
    let mut rng = Rng(7);
    let (mut compared, mut capped, mut protected) = (0, 0, 0);
    while compared < 100_000 {
        let document = random_document(&mut rng, 9);
        let Ok(policy) = Policy::compile(&document, index_of) else {
            continue;
        };
        let in_force = policy.in_force("any", UnixMillis(5)).unwrap();
        for _ in 0..8 {
            let count = document.channels.len();
            let uses = random_uses(&mut rng, count);
            let taken = rng.below(3) * rng.below(9);
            let (on_hand, free) = (rng.below(150), rng.below(120));
            let asker = ChannelIx(u16::try_from(rng.index(count + 2)).unwrap());
            let oracle = Oracle {
                document: &document,
                uses: &uses,
                on_hand: on_hand.into(),
                asker: format!("c{}", asker.0),
                taken: taken.into(),
            };
            let (room, bound) = oracle.room(free.into());
            let supply = Supply {
                on_hand: units(on_hand),
                free: units(free),
            };
            let uses = Uses::from_parts(UnixMillis(0), uses.iter().copied());
            let found = in_force.room(asker, supply, &uses, &Taken::of(asker, units(taken)));
            let named = found.map(|found| (found.limit, policy.name(found.entry).to_owned()));
            let left = found.map_or(free, |found| found.room.get());
            let context = || format!("{document:?} {uses:?} {asker:?} {supply:?} {taken}");
            assert_eq!((i128::from(left), named), (room, bound), "{}", context());
            compared += 1;
            capped += u32::from(found.is_some_and(|found| found.limit == Limit::Cap));
            protected += u32::from(found.is_some_and(|found| found.limit == Limit::Protection));
        }
    }
    assert!(capped > 5_000 && protected > 5_000, "{capped} {protected}");
}
