//! The policy against its own definitions, done naively.
#![expect(
    clippy::arithmetic_side_effects,
    reason = "test code: small numbers, and checked where it is built"
)]

mod campaigns;
mod faults;
mod moving;
mod oracle;
mod plenty;
mod resolution;
mod selling;
mod terms;

use super::*;
use crate::domain::ids::ChannelIx;
use crate::domain::settings::Terms;
use crate::domain::time::UnixMillis;
use crate::domain::units::Units;
use crate::domain::uses::{ChannelUse, Uses};

/// xorshift64*, as the other random tests use.
pub(in crate::domain) struct Rng(pub(in crate::domain) u64);

impl Rng {
    pub(in crate::domain) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % end
    }

    pub(in crate::domain) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(u64::try_from(len).unwrap())).unwrap()
    }

    pub(in crate::domain) fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }
}

fn units(n: u64) -> Units {
    Units::new(n).unwrap()
}

fn entry(name: &str, parent: Option<&str>, rank: Option<u16>) -> Entry {
    Entry {
        name: name.into(),
        parent: parent.map(Into::into),
        rank,
        fallback: None,
    }
}

/// A rule without a period and without limits.
fn rule(id: &str, scope: Scope) -> Rule {
    Rule {
        frees: false,
        terms: Terms::NONE,
        id: id.into(),
        scope,
        from: None,
        until: None,
        every: None,
        limits: Vec::new(),
    }
}

/// A campaign without terms.
fn campaign(name: &str, (from, until): (i64, i64), items: Items) -> Campaign {
    Campaign {
        terms: Terms::NONE,
        name: name.into(),
        from: UnixMillis(from),
        until: UnixMillis(until),
        items,
        limits: Vec::new(),
        every: None,
        hold_seconds: None,
        payment_seconds: None,
        nodes: Vec::new(),
        expected: Vec::new(),
        freeze: false,
    }
}

fn limit(channel: &str, cap: Option<Amount>, protection: Option<Amount>) -> LimitOn {
    LimitOn {
        channel: channel.into(),
        cap,
        protection: protection.map(|amount| Protection {
            amount,
            against: Against::All,
        }),
    }
}

/// Channels are named by their index: `c7` is number 7.
fn index_of(name: &str) -> Option<ChannelIx> {
    name.strip_prefix('c')?.parse().ok().map(ChannelIx)
}

fn random_amount(rng: &mut Rng, percent_max: u64) -> Amount {
    if rng.one_in(2) {
        Amount::Units(units(rng.below(40)))
    } else {
        Amount::Percent(u16::try_from(rng.below(percent_max + 1)).unwrap())
    }
}

/// A tree of up to `max` entries, of which parents may come after their children, with one rule
/// without a period for everything. It may have faults.
fn random_document(rng: &mut Rng, max: usize) -> Document {
    let count = 1 + rng.index(max);
    let mut channels: Vec<Entry> = Vec::new();
    for at in 0..count {
        let parent = (at > 0 && !rng.one_in(3)).then(|| format!("c{}", rng.index(at)));
        let rank = rng
            .one_in(2)
            .then(|| 1 + u16::try_from(rng.below(3)).unwrap());
        channels.push(entry(&format!("c{at}"), parent.as_deref(), rank));
    }
    let mut only = rule("only", Scope::Default);
    for entry in &channels {
        if rng.one_in(3) {
            continue;
        }
        let cap = rng.one_in(2).then(|| random_amount(rng, 10_000));
        let kept = (cap.is_none() || rng.one_in(2)).then(|| random_amount(rng, 4_000));
        let mut limit = limit(&entry.name, cap, kept);
        if let Some(protection) = limit.protection.as_mut().filter(|_| rng.one_in(3)) {
            protection.against = Against::LowerRanks;
        }
        only.limits.push(limit);
    }
    let turn = rng.index(count);
    channels.rotate_left(turn);
    Document {
        channels,
        rules: vec![only],
        ..Document::default()
    }
}

/// Some of the channels of a tree with so many, and one more.
fn random_uses(rng: &mut Rng, count: usize) -> Vec<ChannelUse> {
    let mut uses = Vec::new();
    for channel in 0..=count {
        if rng.one_in(2) {
            uses.push(ChannelUse {
                channel: ChannelIx(u16::try_from(channel).unwrap()),
                open: units(rng.below(25)),
                shipped: units(rng.below(25)),
                moved: i64::try_from(rng.below(11)).unwrap() - 5,
            });
        }
    }
    uses
}
