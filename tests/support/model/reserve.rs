//! Holding units.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast::domain::stock::Selling;
use holdfast::domain::verdict::{Limit, Outcome, Refusal, Shortage, Verdict};
use holdfast::domain::{NodeIx, Units};

use super::super::script::{Ask, Script};
use super::{Booking, Bug, Model, Row, units};

/// What earlier lines of the same command took, by SKU, and by SKU and pin.
#[derive(Default)]
struct Taken<'a> {
    all: BTreeMap<&'a str, i128>,
    pinned: BTreeMap<(&'a str, u16), i128>,
    /// By the channel whose share it is of.
    charged: BTreeMap<&'a str, BTreeMap<u16, i128>>,
}

/// What a line may take.
struct Found {
    room: i128,
    /// What binds it.
    limit: Limit,
    /// The channel of whose share it is; `None`: of the seller's.
    charged: Option<u16>,
}

impl Model {
    pub(super) fn reserve(&mut self, now: i64, key: &str, id: u128, script: &Script) -> Verdict {
        let Script::Reserve {
            channel,
            reference,
            ttl,
            partial,
            lines,
        } = script
        else {
            unreachable!("only reserves come here")
        };
        if let Some(line) = lines
            .iter()
            .find(|line| !self.items.contains_key(&line.sku))
        {
            return Err(Refusal::UnknownSku {
                sku: line.sku.as_str().into(),
            });
        }
        for line in lines {
            self.expire(now, &line.sku);
        }
        let mut taken = Taken::default();
        let mut shortages = Vec::new();
        let mut rows = Vec::new();
        for line in lines {
            let requested = i128::from(line.quantity);
            let claim = Some((now, *channel, requested));
            let found = self.room(&line.sku, line.node, &taken, claim);
            let Found {
                room,
                limit,
                charged,
            } = found;
            let granted = requested.min(room);
            if granted < requested {
                shortages.push(shortage(line, room, limit));
            }
            if !self.has(Bug::LinesApart) {
                *taken.all.entry(&line.sku).or_default() += granted;
                let user = charged.unwrap_or(*channel);
                let of_sku = taken.charged.entry(&line.sku).or_default();
                *of_sku.entry(user).or_default() += granted;
                if let Some(node) = line.node {
                    *taken.pinned.entry((&line.sku, node)).or_default() += granted;
                }
            }
            rows.push(Row {
                charged,
                ..row(line, granted)
            });
        }
        let nothing = rows.iter().all(|row| row.granted == 0);
        if !shortages.is_empty() && (!partial || nothing) {
            return Err(Refusal::InsufficientStock {
                shortages: shortages.into(),
            });
        }
        self.book(
            key,
            Booking {
                id,
                channel: *channel,
                reference: reference.clone(),
                created: now,
                touched: now,
                deadline: now + i64::from(*ttl),
                rows,
            },
        );
        Ok(Outcome::Reservation(self.bookings[key].view()))
    }

    fn book(&mut self, key: &str, booking: Booking) {
        for (at, row) in booking.rows.iter().enumerate() {
            let item = self.items.get_mut(&row.sku).unwrap();
            item.moves += 1;
            if row.granted > 0 {
                item.open.insert((key.to_owned(), at));
            }
        }
        if let Some(reference) = &booking.reference {
            self.references
                .insert((booking.channel, reference.clone()), key.to_owned());
        }
        let skus: Vec<String> = booking.rows.iter().map(|row| row.sku.clone()).collect();
        Arc::make_mut(&mut self.bookings).insert(key.to_owned(), booking);
        skus.iter().for_each(|sku| self.settle_water(sku));
    }

    /// The most a line may take, and what binds it: of the limits that bind alike the first in the
    /// order suspended, stock, safety, cap and protection, node, what the node keeps. `claim` is when,
    /// who asks, and for how much: where the own share does not do, the first that does of those that it
    /// may use is charged, or the one with the most; what binds is still told of the own one.
    fn room(
        &self,
        sku: &str,
        node: Option<u16>,
        taken: &Taken<'_>,
        claim: Option<(i64, u16, i128)>,
    ) -> Found {
        let found = |share, charged| {
            let (room, limit) = self.room_under(sku, node, taken, share);
            Found {
                room,
                limit,
                charged,
            }
        };
        let Some((now, who, asked)) = claim else {
            return found(None, None);
        };
        let none = BTreeMap::new();
        let charged = taken.charged.get(sku).unwrap_or(&none);
        let free = self.free(sku, taken);
        let share = |of| self.share(now, sku, of, (free, charged));
        let own = share(who);
        let mut best = found(own, None);
        for lender in self.fallback(who) {
            let told = share(lender).zip(own);
            let told = told.map(|((room, _), (_, limit))| (room, limit));
            let lent = found(told, Some(lender));
            if best.room < asked && lent.room > best.room {
                best = lent;
            }
        }
        best
    }

    /// What nobody has and anybody might take.
    fn free(&self, sku: &str, taken: &Taken<'_>) -> i128 {
        let item = &self.items[sku];
        let kept_back = if self.has(Bug::SafetyForgotten) {
            0
        } else {
            item.kept_back()
        };
        (self.unpromised(sku, taken) - kept_back).max(0)
    }

    fn unpromised(&self, sku: &str, taken: &Taken<'_>) -> i128 {
        let taken = taken.all.get(sku).copied().unwrap_or(0);
        (self.items[sku].on_hand() - self.promised(sku) - taken).max(0)
    }

    fn room_under(
        &self,
        sku: &str,
        node: Option<u16>,
        taken: &Taken<'_>,
        share: Option<(i128, Limit)>,
    ) -> (i128, Limit) {
        let item = &self.items[sku];
        let mut limits = Vec::new();
        if item.settings.selling == Selling::Suspended || item.stops() {
            limits.push((0, Limit::Suspended));
        }
        limits.push((self.unpromised(sku, taken), Limit::Stock));
        limits.push((self.free(sku, taken), Limit::Safety));
        limits.extend(share);
        if let Some(node) = node.filter(|_| !self.has(Bug::PinForgotten)) {
            let taken_here = taken.pinned.get(&(sku, node)).copied().unwrap_or(0);
            let here = item.place(node).on_hand - self.pinned(sku, node) - taken_here;
            limits.push((here.max(0), Limit::Node));
            if !self.has(Bug::NodeSafetyForgotten) {
                limits.push(((here - item.kept_at(node)).max(0), Limit::Safety));
            }
        }
        let least = limits.iter().map(|(room, _)| *room).min().unwrap();
        limits.into_iter().find(|(room, _)| *room == least).unwrap()
    }

    /// The most a channel may take of a SKU now, and what binds it.
    pub(crate) fn room_of(&self, sku: &str, channel: u16, now: i64) -> Option<(Units, Limit)> {
        self.items.get(sku)?;
        let claim = (now, channel, i128::MAX);
        let found = self.room(sku, None, &Taken::default(), Some(claim));
        Some((units(found.room), found.limit))
    }

    /// The most a line may take of a SKU now, and what binds it.
    pub(super) fn room_now(&self, sku: &str, node: Option<u16>) -> (i128, Limit) {
        self.room_under(sku, node, &Taken::default(), None)
    }
}

fn shortage(line: &Ask, room: i128, limit: Limit) -> Shortage {
    Shortage {
        sku: line.sku.as_str().into(),
        node: line.node.map(NodeIx),
        requested: units(i128::from(line.quantity)),
        available: units(room),
        limit,
        next: None,
        bound: None,
    }
}

fn row(line: &Ask, granted: i128) -> Row {
    Row {
        sku: line.sku.clone(),
        pin: line.node,
        requested: i128::from(line.quantity),
        granted,
        held: granted,
        ..Row::default()
    }
}
