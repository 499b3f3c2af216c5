//! Moves of share: what may be moved, and that none makes share that nobody gave.

use super::*;
use crate::domain::time::UnixMillis;
use crate::domain::uses::Uses;

const SUPPLY: u64 = 1_000;

/// A document's rule over what is used and was moved.
struct Table {
    policy: Policy,
    uses: Uses,
}

impl Table {
    /// Of entries with what they are below of, and limits: cap and protection in units.
    fn new(entries: &[(&str, Option<&str>, Option<u64>, Option<u64>)]) -> Self {
        let amount = |most: u64| Amount::Units(units(most));
        let mut only = rule("only", Scope::Default);
        let limits = entries.iter().filter(|of| of.2.or(of.3).is_some());
        let limits = limits.map(|of| limit(of.0, of.2.map(amount), of.3.map(amount)));
        only.limits = limits.collect();
        let document = Document {
            channels: entries.iter().map(|of| entry(of.0, of.1, None)).collect(),
            rules: vec![only],
            ..Document::default()
        };
        Self {
            policy: Policy::compile(&document, index_of).unwrap(),
            uses: Uses::default(),
        }
    }

    fn using(mut self, channel: u16, open: u64) -> Self {
        let used = ChannelUse {
            open: units(open),
            ..ChannelUse::none(ChannelIx(channel))
        };
        self.uses = Uses::from_parts(UnixMillis(0), [used]);
        self
    }

    fn rule(&self) -> InForce<'_> {
        self.policy.in_force("any", UnixMillis(5)).unwrap()
    }

    fn supply() -> Supply {
        Supply {
            on_hand: units(SUPPLY),
            free: units(SUPPLY),
        }
    }

    fn movable(&self, from: u16, to: u16) -> Result<u64, u16> {
        let between = (ChannelIx(from), ChannelIx(to));
        let found = self.rule().movable(between, Self::supply(), &self.uses);
        found.map(Units::get).map_err(|channel| channel.0)
    }

    fn shift(&mut self, from: u16, to: u16, most: u64) {
        let between = (ChannelIx(from), ChannelIx(to));
        let moved = self.uses.move_share(between, units(most), UnixMillis(0));
        moved.unwrap();
    }

    fn standing(&self, channel: u16) -> Standing {
        self.rule()
            .standing(ChannelIx(channel), Self::supply(), &self.uses)
    }

    fn cap(&self, channel: u16) -> u64 {
        self.standing(channel).cap.unwrap().get()
    }

    /// What is kept from who is in none of the entries.
    fn kept(&self) -> u64 {
        let left = self.standing(ChannelIx::UNNAMED.0).left;
        SUPPLY - left.get()
    }
}

#[test]
fn a_group_gives_what_its_other_channels_left_of_it() {
    let groups = [
        ("c0", None, Some(50), None),
        ("c1", Some("c0"), Some(40), None),
        ("c2", Some("c0"), Some(50), None),
        ("c3", None, Some(50), None),
        ("c4", Some("c3"), Some(50), None),
    ];
    let mut table = Table::new(&groups).using(2, 45);
    assert_eq!(table.movable(1, 4), Ok(5));
    assert_eq!(table.movable(1, 2), Ok(40), "within the group");
    table.shift(1, 4, 5);
    assert_eq!(
        [0, 1, 2, 3, 4].map(|of| table.cap(of)),
        [45, 35, 50, 55, 55]
    );
    assert_eq!((table.movable(1, 4), table.movable(0, 3)), (Ok(0), Ok(0)));
}

#[test]
fn a_channel_gives_no_more_than_its_group_has() {
    let groups = [
        ("c0", None, Some(20), None),
        ("c1", Some("c0"), Some(100), None),
        ("c2", None, Some(10), None),
    ];
    let mut table = Table::new(&groups);
    assert_eq!(table.movable(1, 2), Ok(20));
    table.shift(1, 2, 20);
    assert_eq!([0, 1, 2].map(|of| table.cap(of)), [0, 80, 30]);
    assert_eq!(table.movable(1, 2), Ok(0));
    assert_eq!(table.movable(2, 1), Ok(30), "and back");
}

#[test]
fn a_cap_moves_without_the_protection_beside_it() {
    let channels = [
        ("c0", None, Some(300), Some(20)),
        ("c1", None, Some(600), Some(100)),
    ];
    let mut table = Table::new(&channels);
    assert_eq!((table.kept(), table.movable(0, 1)), (120, Ok(300)));
    table.shift(0, 1, 300);
    assert_eq!([0, 1].map(|of| table.cap(of)), [0, 900]);
    assert_eq!(table.kept(), 100, "what no cap lets be used is not kept");
    let protected = table.standing(1).protected;
    assert_eq!(protected, Some(units(100)));
}

#[test]
fn a_cap_becomes_protection_only_as_far_as_protection_became_cap() {
    let channels = [
        ("c0", None, Some(300), None),
        ("c1", None, None, Some(50)),
        ("c2", None, None, Some(10)),
    ];
    let mut table = Table::new(&channels);
    assert_eq!((table.movable(0, 1), table.movable(1, 0)), (Ok(0), Ok(50)));
    table.shift(1, 0, 30);
    assert_eq!((table.cap(0), table.kept()), (330, 30));
    table.shift(1, 2, 20);
    assert_eq!((table.movable(1, 0), table.kept()), (Ok(0), 30));
    assert_eq!((table.movable(0, 1), table.movable(0, 2)), (Ok(30), Ok(30)));
    table.shift(0, 1, 30);
    assert_eq!((table.cap(0), table.kept()), (300, 60));
    assert_eq!(table.movable(0, 1), Ok(0));
}

#[test]
fn a_group_gives_no_protection_that_those_below_it_need() {
    let groups = [
        ("c0", None, None, Some(40)),
        ("c1", Some("c0"), None, Some(30)),
        ("c2", None, None, Some(5)),
    ];
    let mut table = Table::new(&groups);
    assert_eq!((table.kept(), table.movable(0, 2)), (45, Ok(10)));
    assert_eq!(table.movable(1, 2), Ok(30));
    table.shift(1, 2, 30);
    assert_eq!(table.kept(), 45, "its group keeps as much less");
}

#[test]
fn nothing_moves_between_an_entry_and_one_below_it_or_one_without_limits() {
    let entries = [
        ("c0", None, Some(50), None),
        ("c1", Some("c0"), Some(10), None),
        ("c2", None, None, None),
    ];
    let table = Table::new(&entries);
    assert_eq!((table.movable(0, 1), table.movable(1, 0)), (Err(1), Err(0)));
    assert_eq!((table.movable(0, 0), table.movable(0, 2)), (Err(0), Err(2)));
    assert_eq!((table.movable(2, 0), table.movable(7, 2)), (Err(2), Err(7)));
}

/// Over random trees: the caps that have none above them never grow in sum, except by what was a
/// protection, and what is kept never grows by the move of a protection. Nor does either by what is
/// proposed, all of which passes.
#[test]
fn no_move_makes_share_that_nobody_gave() {
    let mut rng = Rng(23);
    let (mut moves, mut of_caps, mut proposed) = (0, 0, 0);
    while moves < 20_000 {
        let mut document = random_document(&mut rng, 9);
        for limit in &mut document.rules[0].limits {
            if let Some(protection) = &mut limit.protection {
                protection.against = Against::All;
            }
        }
        let Ok(policy) = Policy::compile(&document, index_of) else {
            continue;
        };
        let count = u16::try_from(document.channels.len()).unwrap();
        let mut uses = random_uses(&mut rng, document.channels.len());
        uses.iter_mut().for_each(|of| of.moved = 0);
        let uses = Uses::from_parts(UnixMillis(0), uses);
        let mut table = Table { policy, uses };
        let outermost = outermost_caps(&table, &document);
        let caps = |table: &Table| outermost.iter().map(|of| table.cap(*of)).sum::<u64>();
        for _ in 0..8 {
            let from = u16::try_from(rng.index(count.into())).unwrap();
            let to = u16::try_from(rng.index(count.into())).unwrap();
            let Some(most) = table.movable(from, to).ok().filter(|most| *most > 0) else {
                continue;
            };
            let gives_cap = table.standing(from).cap.is_some();
            let before = (caps(&table), table.kept());
            table.shift(from, to, 1 + rng.below(most));
            let context = || format!("{from} to {to}: {document:?} {:?}", table.uses);
            if gives_cap {
                assert!(caps(&table) <= before.0, "{}", context());
                of_caps += 1;
            } else {
                assert!(table.kept() <= before.1, "{}", context());
            }
            moves += 1;
        }
        let holdings = table.rule().holdings(Table::supply(), &table.uses);
        for step in rebalance(&holdings, Weight::Even) {
            let (from, to) = (step.from.0, step.to.0);
            let most = table.movable(from, to).unwrap();
            assert!(step.units.get() <= most, "{step:?} {most}");
            table.shift(from, to, step.units.get());
            proposed += 1;
        }
    }
    assert!(of_caps > 5_000 && proposed > 2_000, "{of_caps} {proposed}");
}

/// The channels with a cap that have none above them with one.
fn outermost_caps(table: &Table, document: &Document) -> Vec<u16> {
    let find = |name: &str| document.channels.iter().find(|of| of.name == name);
    let number = |of: &Entry| index_of(&of.name).unwrap().0;
    let is_capped = |of: &Entry| table.standing(number(of)).cap.is_some();
    let is_outermost = |of: &&Entry| {
        let parent = |of: &&Entry| find(of.parent.as_deref()?);
        let mut above = std::iter::successors(parent(of), parent);
        is_capped(of) && !above.any(is_capped)
    };
    let found = document.channels.iter().filter(is_outermost);
    found.map(number).collect()
}

#[test]
fn a_channel_uses_what_those_below_it_use_whoever_has_limits() {
    let group = [
        ("c0", None, None, None),
        ("c1", Some("c0"), Some(50), None),
        ("c2", None, Some(50), None),
    ];
    let used = |table: &Table, channel| table.standing(channel).used.get();
    let table = Table::new(&group).using(1, 7);
    assert_eq!(
        [0, 1, 2, 9].map(|channel| used(&table, channel)),
        [7, 7, 0, 0]
    );
    let unnamed = Table::new(&group).using(9, 4);
    assert_eq!([0, 1, 9].map(|channel| used(&unnamed, channel)), [0, 0, 4]);
}
