use std::collections::BTreeMap;

use super::super::ids::{ChannelIx, NodeIx};
use super::super::line::Move;
use super::super::time::UnixMillis;
use super::super::units::Units;
use super::super::uses::{Charge, Uses};
use super::*;

/// Numbers that look random and are the same in every run (Steele's SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn is(&mut self, one_in: u64) -> bool {
        self.roll(one_in) == 0
    }
}

fn units(n: u64) -> Units {
    Units::new(n).unwrap()
}

fn name(channel: u16) -> String {
    format!("c{channel}")
}

fn index(name: &str) -> Option<ChannelIx> {
    name.strip_prefix('c')?.parse().ok().map(ChannelIx)
}

fn entry(channel: u16, parent: Option<u16>, rank: Option<u16>) -> Entry {
    Entry {
        name: name(channel),
        parent: parent.map(name),
        rank,
    }
}

fn rule(id: &str, scope: Scope, limits: Vec<LimitOn>) -> Rule {
    Rule {
        id: id.to_owned(),
        scope,
        from: None,
        until: None,
        every: None,
        limits,
    }
}

fn limit(channel: u16, cap: Option<Amount>, kept: Option<Amount>) -> LimitOn {
    LimitOn {
        channel: name(channel),
        cap,
        protection: kept.map(|amount| Protection {
            amount,
            against: Against::All,
        }),
    }
}

/// A tree of up to ten entries with limits on some.
fn random_document(dice: &mut Dice) -> Document {
    let count = 1 + u16::try_from(dice.roll(10)).unwrap();
    let channels = (0..count).map(|channel| {
        let parent = (channel > 0 && !dice.is(3)).then(|| dice.roll(u64::from(channel)));
        let rank = (!dice.is(3)).then(|| 1 + dice.roll(3));
        entry(
            channel,
            parent.map(|parent| u16::try_from(parent).unwrap()),
            rank.map(|rank| u16::try_from(rank).unwrap()),
        )
    });
    let channels: Vec<Entry> = channels.collect();
    let mut limits = Vec::new();
    for channel in 0..count {
        let mut amount = |percent: u64, most: u64| {
            Some(if dice.is(2) {
                Amount::Percent(u16::try_from(dice.roll(percent * 100)).unwrap())
            } else {
                Amount::Units(units(dice.roll(most)))
            })
        };
        let (cap, kept) = (amount(100, 60), amount(10, 10));
        let against = if dice.is(2) {
            Against::All
        } else {
            Against::LowerRanks
        };
        let (has_cap, is_kept) = (dice.is(2), dice.is(2));
        if has_cap || is_kept {
            limits.push(LimitOn {
                channel: name(channel),
                cap: cap.filter(|_| has_cap),
                protection: kept
                    .filter(|_| is_kept)
                    .map(|amount| Protection { amount, against }),
            });
        }
    }
    Document {
        channels,
        rules: vec![rule("all", Scope::Default, limits)],
        ..Document::default()
    }
}

/// The definitions of docs/POLICY.md, word by word, by walking from child to parent.
struct Oracle<'a> {
    document: &'a Document,
    on_hand: i128,
    uses: BTreeMap<u16, (i128, i128, i128)>,
    asking: u16,
}

impl Oracle<'_> {
    fn parent(&self, name: &str) -> Option<&str> {
        let entry = self
            .document
            .channels
            .iter()
            .find(|entry| entry.name == name);
        entry.and_then(|entry| entry.parent.as_deref())
    }

    fn is_below(&self, name: &str, above: &str) -> bool {
        let parent = self.parent(name);
        name == above || parent.is_some_and(|parent| self.is_below(parent, above))
    }

    fn rank(&self, name: &str) -> i128 {
        let entry = self
            .document
            .channels
            .iter()
            .find(|entry| entry.name == name);
        match entry.map(|entry| (entry.rank, &entry.parent)) {
            Some((Some(rank), _)) => rank.into(),
            Some((None, Some(parent))) => self.rank(parent),
            Some((None, None)) | None => u16::MAX.into(),
        }
    }

    fn sum(&self, above: &str, part: impl Fn(&(i128, i128, i128)) -> i128) -> i128 {
        let below = self
            .uses
            .iter()
            .filter(|(channel, _)| self.is_below(&name(**channel), above));
        below.map(|(_, of)| part(of)).sum()
    }

    fn supply(&self) -> i128 {
        self.on_hand + self.uses.values().map(|of| of.1).sum::<i128>()
    }

    fn amount(&self, of: &str, amount: Amount, up: bool) -> i128 {
        let share = match amount {
            Amount::Units(units) => i128::from(units.get()),
            Amount::Percent(points) => {
                let product = self.supply() * i128::from(points);
                if up {
                    (product + 9_999) / 10_000
                } else {
                    product / 10_000
                }
            }
        };
        (share + self.sum(of, |of| of.2)).max(0)
    }

    fn limit(&self, of: &str) -> Option<&LimitOn> {
        self.document.rules[0]
            .limits
            .iter()
            .find(|limit| limit.channel == of)
    }

    fn cap_left(&self, of: &str) -> Option<i128> {
        let cap = self.limit(of)?.cap?;
        let used = self.sum(of, |of| of.0 + of.1);
        Some((self.amount(of, cap, false) - used).max(0))
    }

    /// What an entry and those below it need of what is free.
    fn need(&self, of: &str) -> i128 {
        let below = self.document.channels.iter();
        let below = below.filter(|entry| entry.parent.as_deref() == Some(of));
        let below: i128 = below.map(|entry| self.need(&entry.name)).sum();
        if self.is_below(&name(self.asking), of) {
            return below;
        }
        let kept = self.limit(of).and_then(|limit| limit.protection);
        let is_bound = |kept: &Protection| {
            kept.against == Against::All || self.rank(&name(self.asking)) > self.rank(of)
        };
        let open = kept.filter(is_bound).map_or(0, |kept| {
            let used = self.sum(of, |of| of.0 + of.1);
            let open = (self.amount(of, kept.amount, true) - used).max(0);
            self.cap_left(of).map_or(open, |left| open.min(left))
        });
        open.max(below)
    }

    fn cap(&self) -> Option<i128> {
        let over = self.document.channels.iter();
        let over = over.filter(|entry| self.is_below(&name(self.asking), &entry.name));
        over.filter_map(|entry| self.cap_left(&entry.name)).min()
    }

    fn blocked(&self) -> i128 {
        let roots = self
            .document
            .channels
            .iter()
            .filter(|entry| entry.parent.is_none());
        roots.map(|entry| self.need(&entry.name)).sum()
    }
}

#[test]
fn shares_are_what_the_definitions_say() {
    let mut dice = Dice(41);
    let (mut capped, mut kept) = (0_u32, 0_u32);
    for _ in 0..20_000 {
        let document = random_document(&mut dice);
        let Ok(policy) = Policy::compile(&document, index) else {
            continue;
        };
        let rule = policy.in_force("x", UnixMillis(5)).unwrap();
        for _ in 0..8 {
            let mut oracle = Oracle {
                document: &document,
                on_hand: i128::from(dice.roll(60)),
                uses: BTreeMap::new(),
                asking: u16::try_from(dice.roll(12)).unwrap(),
            };
            for _ in 0..dice.roll(4) {
                let moved = i128::from(dice.roll(9)) - 4;
                let of = (dice.roll(9).into(), dice.roll(9).into(), moved);
                oracle
                    .uses
                    .insert(u16::try_from(dice.roll(12)).unwrap(), of);
            }
            let used = oracle
                .uses
                .iter()
                .map(|(channel, of)| super::super::uses::ChannelUse {
                    channel: ChannelIx(*channel),
                    open: units(u64::try_from(of.0).unwrap()),
                    shipped: units(u64::try_from(of.1).unwrap()),
                    moved: i64::try_from(of.2).unwrap(),
                });
            let uses = Uses::from_parts(UnixMillis(0), used);
            let supply = Supply {
                on_hand: units(u64::try_from(oracle.on_hand).unwrap()),
                free: units(dice.roll(60)),
            };
            let asking = Some(ChannelIx(oracle.asking));
            let shares = rule.shares(asking, supply, &uses, Units::ZERO);
            let cap = shares.cap.map(|bound| i128::from(bound.room.get()));
            assert_eq!(cap, oracle.cap(), "{document:?} {:?}", oracle.uses);
            let left = (i128::from(supply.free.get()) - oracle.blocked()).max(0);
            let protection = shares.protection.map_or(supply.free, |bound| bound.room);
            assert_eq!(
                i128::from(protection.get()),
                left,
                "{document:?} {:?}",
                oracle.uses
            );
            capped += u32::from(cap.is_some());
            kept += u32::from(shares.protection.is_some());
        }
    }
    assert!(capped > 10_000 && kept > 10_000, "{capped} {kept}");
}

/// A SKU that is sold by channels in turn.
struct Shelf {
    on_hand: u64,
    promised: u64,
    uses: Uses,
}

impl Shelf {
    fn sell(&mut self, policy: &Policy, channel: u16, wanted: u64) -> u64 {
        let rule = policy.in_force("x", UnixMillis(5)).unwrap();
        let supply = Supply {
            on_hand: units(self.on_hand),
            free: units(self.on_hand - self.promised),
        };
        let shares = rule.shares(Some(ChannelIx(channel)), supply, &self.uses, Units::ZERO);
        let bounds = [shares.cap, shares.protection].into_iter().flatten();
        let room = bounds.map(|bound| bound.room).min();
        let got = wanted.min(supply.free.min(room.unwrap_or(Units::MAX)).get());
        self.step(channel, Move::Hold(units(got)));
        self.promised += got;
        got
    }

    fn step(&mut self, channel: u16, step: Move) {
        let window = UnixMillis(0);
        let channel = ChannelIx(channel);
        self.uses.apply(step, Charge { channel, window }).unwrap();
    }

    fn ship(&mut self, channel: u16, count: u64) {
        self.step(channel, Move::Ship(NodeIx::MAIN, units(count)));
        self.on_hand -= count;
        self.promised -= count;
    }
}

fn live_and_others() -> Policy {
    let document = Document {
        channels: (0..4).map(|channel| entry(channel, None, None)).collect(),
        rules: vec![rule(
            "all",
            Scope::Default,
            vec![
                limit(0, Some(Amount::Percent(6_000)), None),
                limit(1, None, Some(Amount::Units(units(150)))),
            ],
        )],
        ..Document::default()
    };
    Policy::compile(&document, index).unwrap()
}

#[test]
fn a_live_channel_gets_sixty_percent_however_it_goes_about_it() {
    let policy = live_and_others();
    let mut shelf = Shelf {
        on_hand: 1_000,
        promised: 0,
        uses: Uses::default(),
    };
    let mut sold = 0;
    loop {
        let got = shelf.sell(&policy, 0, 7);
        if got == 0 {
            break;
        }
        shelf.ship(0, got);
        sold += got;
    }
    assert_eq!(sold, 600);
    assert_eq!(
        shelf.sell(&policy, 2, 1_000),
        250,
        "150 are kept for another"
    );
    assert_eq!(shelf.sell(&policy, 1, 1_000), 150);
    shelf.on_hand += 100;
    assert_eq!(
        shelf.sell(&policy, 0, 100),
        60,
        "a receipt adds to the supply"
    );
}

#[test]
fn what_is_kept_for_a_group_serves_those_below_it() {
    let kept = |n| Some(Amount::Units(units(n)));
    let document = Document {
        channels: vec![
            entry(0, None, None),
            entry(1, Some(0), None),
            entry(2, Some(0), None),
            entry(3, None, None),
        ],
        rules: vec![rule(
            "all",
            Scope::Default,
            vec![limit(0, None, kept(100)), limit(1, None, kept(60))],
        )],
        ..Document::default()
    };
    let policy = Policy::compile(&document, index).unwrap();
    let rule = policy.in_force("x", UnixMillis(0)).unwrap();
    let free = units(200);
    let supply = Supply {
        on_hand: free,
        free,
    };
    let left = |channel| {
        let shares = rule.shares(Some(ChannelIx(channel)), supply, &Uses::EMPTY, Units::ZERO);
        shares.protection.map_or(free, |bound| bound.room).get()
    };
    assert_eq!([left(0), left(1), left(2), left(3)], [140, 200, 140, 100]);
}

#[test]
fn ranks_say_whom_a_prioritised_protection_binds() {
    let mut limits = vec![limit(1, None, Some(Amount::Units(units(5))))];
    limits[0].protection.as_mut().unwrap().against = Against::LowerRanks;
    let document = Document {
        channels: vec![
            entry(0, None, Some(1)),
            entry(1, None, Some(2)),
            entry(2, None, Some(3)),
            entry(3, None, None),
        ],
        rules: vec![rule("all", Scope::Default, limits)],
        ..Document::default()
    };
    let policy = Policy::compile(&document, index).unwrap();
    let rule = policy.in_force("x", UnixMillis(0)).unwrap();
    let supply = Supply {
        on_hand: units(9),
        free: units(9),
    };
    let is_bound = |channel| {
        rule.shares(Some(ChannelIx(channel)), supply, &Uses::EMPTY, Units::ZERO)
            .protection
            .is_some()
    };
    assert_eq!(
        [
            is_bound(0),
            is_bound(1),
            is_bound(2),
            is_bound(3),
            is_bound(9)
        ],
        [false, false, true, true, true]
    );
}

#[test]
fn the_most_special_rule_in_force_counts() {
    let dated = |id: &str, scope, from, until, every| Rule {
        from: Some(UnixMillis(from)),
        until: Some(UnixMillis(until)),
        every,
        ..rule(id, scope, Vec::new())
    };
    let day = Every::Day.millis();
    let list = |skus: &[&str]| Selector::Skus(skus.iter().map(|sku| (*sku).to_owned()).collect());
    let set = |name: &str, selector| Set {
        name: name.to_owned(),
        selector,
    };
    let of = |name: &str| Scope::Set(name.to_owned());
    let document = Document {
        sets: vec![
            set("s", Selector::Prefix("S".to_owned())),
            set("su", Selector::Prefix("SU".to_owned())),
            set("some", list(&["SU-1", "SU-2"])),
            set("tagged", Selector::Tag("cold".to_owned())),
        ],
        tags: vec![Tag {
            name: "cold".to_owned(),
            skus: vec!["ICE".to_owned()],
        }],
        rules: vec![
            rule("default", Scope::Default, Vec::new()),
            rule("s", of("s"), Vec::new()),
            dated("su", of("su"), 100, 200, None),
            rule("tagged", of("tagged"), Vec::new()),
            dated("some", of("some"), 50, 50 + 10 * day, Some(Every::Day)),
            rule("one", Scope::Sku("SU-2".to_owned()), Vec::new()),
            dated("one-dated", Scope::Sku("SU-2".to_owned()), 300, 400, None),
        ],
        ..Document::default()
    };
    let policy = Policy::compile(&document, index).unwrap();
    let found = |sku, now| {
        let rule = policy.in_force(sku, UnixMillis(now)).unwrap();
        (rule.rule(), rule.window().0)
    };
    assert_eq!(found("X", 0), ("default", 0));
    assert_eq!(found("S9", 0), ("s", 0));
    assert_eq!(found("SU-9", 99), ("s", 0));
    assert_eq!(found("SU-9", 100), ("su", 100));
    assert_eq!(found("SU-9", 199), ("su", 100));
    assert_eq!(found("SU-9", 200), ("s", 0));
    assert_eq!(found("SU-1", 49), ("s", 0));
    assert_eq!(found("SU-1", 50 + day - 1), ("some", 50));
    assert_eq!(found("SU-1", 50 + day), ("some", 50 + day));
    assert_eq!(found("SU-1", 50 + 10 * day), ("s", 0));
    assert_eq!(found("SU-2", 299), ("one", 0));
    assert_eq!(found("SU-2", 300), ("one-dated", 300));
    assert_eq!(found("ICE", 0), ("tagged", 0));
}

#[test]
fn every_fault_is_found_and_all_at_once() {
    let (document, expected) = bad_document();
    let faults = check(&document);
    let found: Vec<(&str, &str)> = faults
        .iter()
        .map(|fault| (fault.path.as_str(), fault.code))
        .collect();
    assert_eq!(found, expected);
    assert!(Policy::compile(&document, index).is_err());
}

/// One mistake of each kind.
fn bad_document() -> (Document, Vec<(&'static str, &'static str)>) {
    let percent = |points| Some(Amount::Percent(points));
    let named = |name: &str, parent: Option<&str>| Entry {
        name: name.to_owned(),
        parent: parent.map(str::to_owned),
        rank: None,
    };
    let mut channels = vec![
        named("a", None),
        named("a", None),
        named("b", Some("c")),
        named("c", Some("b")),
        named("d", Some("nobody")),
        named("no good", None),
        Entry {
            rank: Some(0),
            ..named("e", Some("a"))
        },
        named("l0", None),
    ];
    for level in 1..17 {
        channels.push(named(
            &format!("l{level}"),
            Some(&format!("l{}", level - 1)),
        ));
    }
    let skus = |skus: &[&str]| Selector::Skus(skus.iter().map(|sku| (*sku).to_owned()).collect());
    let set = |name: &str, selector| Set {
        name: name.to_owned(),
        selector,
    };
    let of = |name: &str| Scope::Set(name.to_owned());
    let on = |channel: &str, cap, kept: Option<Amount>| LimitOn {
        channel: channel.to_owned(),
        ..limit(0, cap, kept)
    };
    let at = |id: &str, scope, from: i64, until: i64| Rule {
        from: Some(UnixMillis(from)),
        until: Some(UnixMillis(until)),
        ..rule(id, scope, Vec::new())
    };
    let rules = vec![
        rule(
            "r0",
            Scope::Default,
            vec![
                on("a", percent(10_001), None),
                on("e", None, None),
                on("e", percent(10), percent(20)),
                on("x", percent(10), None),
            ],
        ),
        rule(
            "r0",
            Scope::Default,
            vec![
                on("l0", None, percent(6_000)),
                on("a", None, percent(5_000)),
            ],
        ),
        rule(
            "r2",
            of("nothing"),
            vec![on("a", percent(2_000), None), on("e", None, percent(3_000))],
        ),
        at("r3", Scope::Sku("S".to_owned()), 10, 10),
        Rule {
            every: Some(Every::Day),
            ..at("r4", Scope::Sku("T".to_owned()), 0, 10)
        },
        Rule {
            every: Some(Every::Week),
            ..rule("r5", Scope::Sku("U".to_owned()), Vec::new())
        },
        at("r6", Scope::Sku("V".to_owned()), 0, 10),
        at("r7", Scope::Sku("V".to_owned()), 9, 20),
        rule("r8", of("list"), Vec::new()),
        rule("r9", of("tagged"), Vec::new()),
        rule("r10", of("p"), Vec::new()),
        rule("r11", of("q"), Vec::new()),
        rule("r12", Scope::Sku("no good".to_owned()), Vec::new()),
    ];
    let document = Document {
        channels,
        sets: vec![
            set("list", skus(&["A", "A", "B C"])),
            set("tagged", Selector::Tag("t".to_owned())),
            set("p", Selector::Prefix("P".to_owned())),
            set("q", Selector::Prefix("P".to_owned())),
            set("q", Selector::Tag("none".to_owned())),
        ],
        tags: vec![
            Tag {
                name: "t".to_owned(),
                skus: vec!["A".to_owned()],
            },
            Tag {
                name: "t".to_owned(),
                skus: Vec::new(),
            },
        ],
        rules,
    };
    let expected = vec![
        ("channels[1]", "twice"),
        ("channels[2].parent", "cycle"),
        ("channels[3].parent", "cycle"),
        ("channels[4].parent", "unknown_channel"),
        ("channels[5].name", "name"),
        ("channels[6].rank", "rank"),
        ("channels[23].parent", "too_deep"),
        ("sets[0].skus[1]", "twice"),
        ("sets[0].skus[2]", "sku"),
        ("sets[4]", "twice"),
        ("sets[4].tag", "unknown_tag"),
        ("tags[1]", "twice"),
        ("rules[0].limits[0].cap.percent", "percent"),
        ("rules[0].limits[1]", "empty"),
        ("rules[0].limits[2].channel", "twice"),
        ("rules[0].limits[2].protection", "protection_above_cap"),
        ("rules[0].limits[3].channel", "unknown_channel"),
        ("rules[1].id", "twice"),
        ("rules[1].limits", "protection_above_supply"),
        ("rules[2].set", "unknown_set"),
        ("rules[2].limits[1].protection", "protection_above_cap"),
        ("rules[2].limits", "protection_above_supply"),
        ("rules[12].sku", "sku"),
        ("rules[3].until", "period"),
        ("rules[4].every", "period"),
        ("rules[5].every", "period"),
        ("rules[7]", "overlap"),
        ("rules[1]", "overlap"),
        ("sets[1]", "overlap"),
        ("sets[3].prefix", "overlap"),
    ];
    (document, expected)
}
