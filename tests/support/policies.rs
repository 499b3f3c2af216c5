//! Random policies for histories: few entries, small limits, periods that begin and end soon.

use holdfast::domain::policy::{
    Against, Amount, Campaign, ChangeSet, Document, Entry, Every, Items, LimitOn, Protection, Rule,
    Scope, Selector, Set,
};
use holdfast::domain::{Level, LowWater, Terms, Units, UnixMillis, WhileLow};

use super::check::START;
use super::history::{CHANNEL_NAMES, GROUP_NAMES, SKUS};
use super::rng::Rng;

/// A document, mostly without faults; with `terms` it says safety stocks and low-water marks too.
pub(crate) fn random(rng: &mut Rng, terms: bool) -> Document {
    let mut document = Document {
        channels: channels(rng),
        ..Document::default()
    };
    if rng.percent(10) {
        return document;
    }
    document.sets = sets(rng);
    let mut scopes = vec![Scope::Default];
    scopes.extend(document.sets.iter().map(|set| Scope::Set(set.name.clone())));
    scopes.push(Scope::Sku(rng.pick(&SKUS).to_owned()));
    for scope in scopes {
        if rng.percent(70) {
            document.rules.push(rule(rng, &scope, None));
        }
        if rng.percent(50) {
            let from = START + i64::try_from(rng.below(400_000)).unwrap() - 200_000;
            document.rules.push(rule(rng, &scope, Some(from)));
        }
    }
    if terms {
        say_terms(rng, &mut document);
    }
    for (at, rule) in document.rules.iter_mut().enumerate() {
        rule.id = format!("rule-{at}");
    }
    document
}

/// Has the rules of a document say more than limits, and puts a change set and a campaign in that
/// say nothing else.
fn say_terms(rng: &mut Rng, document: &mut Document) {
    for rule in &mut document.rules {
        rule.terms = random_terms(rng);
        if !rule.terms.is_none() && rng.percent(40) {
            rule.limits.clear();
        }
    }
    let mut scopes = vec![Scope::Default, Scope::Sku(rng.pick(&SKUS).to_owned())];
    scopes.extend(document.sets.iter().map(|set| Scope::Set(set.name.clone())));
    if rng.percent(50) {
        let (from, until) = period(rng);
        let said = |scope: &Scope| Rule {
            terms: random_terms(rng),
            ..empty_rule(scope.clone())
        };
        let mut rules: Vec<Rule> = scopes.iter().map(said).collect();
        rules.retain(|rule| !rule.terms.is_none());
        for (at, rule) in rules.iter_mut().enumerate() {
            rule.id = format!("change-{at}");
        }
        document.change_sets.push(ChangeSet {
            name: "changes".to_owned(),
            from,
            until: Some(until),
            rules,
        });
    }
    if rng.percent(50) {
        let (from, until) = period(rng);
        document.campaigns.push(Campaign {
            name: "campaign".to_owned(),
            from,
            until,
            items: Items::Skus(vec![SKUS[rng.index(SKUS.len())].to_owned()]),
            limits: Vec::new(),
            terms: random_terms(rng),
            every: None,
            hold_seconds: None,
            payment_seconds: None,
            nodes: Vec::new(),
            expected: Vec::new(),
            freeze: false,
        });
    }
}

fn period(rng: &mut Rng) -> (UnixMillis, UnixMillis) {
    let from = START + i64::try_from(rng.below(400_000)).unwrap() - 200_000;
    let length = i64::try_from(rng.between(1, 200_000)).unwrap();
    (UnixMillis(from), UnixMillis(from + length))
}

/// Few units, and no resume: see `Maker::terms`.
pub(crate) fn random_terms(rng: &mut Rng) -> Terms {
    let safety = rng.percent(50).then(|| level(rng, 3_000, 4));
    let low_water = rng.percent(40).then(|| LowWater {
        mark: level(rng, 4_000, 5),
        resume: None,
        then: if rng.percent(40) {
            WhileLow::Suspend
        } else {
            WhileLow::Sell
        },
    });
    Terms { safety, low_water }
}

fn level(rng: &mut Rng, points: u64, most: u64) -> Level {
    match amount(rng, points, most) {
        Amount::Percent(points) => Level::Percent(points),
        Amount::Units(units) => Level::Units(units),
    }
}

fn empty_rule(scope: Scope) -> Rule {
    Rule {
        frees: false,
        id: String::new(),
        scope,
        from: None,
        until: None,
        every: None,
        limits: Vec::new(),
        terms: Terms::NONE,
    }
}

fn channels(rng: &mut Rng) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for name in GROUP_NAMES.into_iter().chain(CHANNEL_NAMES) {
        let above = entries.len();
        if rng.percent(85) {
            let parent = above > 0 && rng.percent(60);
            entries.push(Entry {
                name: name.to_owned(),
                parent: parent.then(|| entries[rng.index(above)].name.clone()),
                rank: rng
                    .percent(50)
                    .then(|| u16::try_from(rng.between(1, 3)).unwrap()),
                fallback: None,
            });
        }
    }
    fallbacks(rng, &mut entries);
    // Some come before the entry above them.
    if let Some(last) = entries.pop() {
        let at = rng.index(entries.len() + 1);
        entries.insert(at, last);
    }
    entries
}

/// Lists of others, none of whom is below.
pub(crate) fn fallbacks(rng: &mut Rng, entries: &mut [Entry]) {
    for at in 0..entries.len() {
        if rng.percent(60) {
            continue;
        }
        let mut list: Vec<String> = Vec::new();
        for _ in 0..rng.below(4) {
            let other = rng.index(entries.len());
            let name = &entries[other].name;
            if !is_at_or_above(entries, at, other) && !list.contains(name) {
                list.push(name.clone());
            }
        }
        entries[at].fallback = Some(list);
    }
}

/// Whether one entry is another or above it.
fn is_at_or_above(entries: &[Entry], above: usize, at: usize) -> bool {
    let parent = |at: &usize| {
        let name = entries[*at].parent.as_ref()?;
        entries.iter().position(|entry| entry.name == *name)
    };
    std::iter::successors(Some(at), parent).any(|at| at == above)
}

fn sets(rng: &mut Rng) -> Vec<Set> {
    let set = |name: &str, selector| Set {
        name: name.to_owned(),
        selector,
    };
    let mut sets = Vec::new();
    if rng.percent(40) {
        let skus = vec![SKUS[0].to_owned(), SKUS[1].to_owned()];
        sets.push(set("list", Selector::Skus(skus)));
    }
    if rng.percent(40) {
        sets.push(set("prefix", Selector::Prefix(rng.pick(&SKUS).to_owned())));
    }
    sets
}

fn rule(rng: &mut Rng, scope: &Scope, from: Option<i64>) -> Rule {
    let every = from.is_some() && rng.percent(20);
    let until = from.filter(|_| !every).map(|from| {
        let length = i64::try_from(rng.between(1, 200_000)).unwrap();
        UnixMillis(from + length)
    });
    let mut limits = Vec::new();
    for name in GROUP_NAMES.into_iter().chain(CHANNEL_NAMES) {
        if rng.percent(50) {
            limits.push(limit(rng, name));
        }
    }
    Rule {
        from: from.map(UnixMillis),
        until,
        every: every.then_some(Every::Day),
        limits,
        ..empty_rule(scope.clone())
    }
}

fn limit(rng: &mut Rng, channel: &str) -> LimitOn {
    let capped = rng.percent(50);
    let protection = (!capped || rng.percent(30)).then(|| Protection {
        amount: amount(rng, 2_000, 4),
        against: if rng.percent(30) {
            Against::LowerRanks
        } else {
            Against::All
        },
    });
    LimitOn {
        channel: channel.to_owned(),
        cap: capped.then(|| amount(rng, 10_000, 14)),
        protection,
    }
}

fn amount(rng: &mut Rng, points: u64, most: u64) -> Amount {
    if rng.percent(50) {
        Amount::Percent(u16::try_from(rng.below(points + 1)).unwrap())
    } else {
        Amount::Units(Units::new(rng.below(most + 1)).unwrap())
    }
}
