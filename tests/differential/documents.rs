//! Random policies over the channels and SKUs of histories.

use holdfast::domain::policy::{
    Against, Amount, Campaign, ChangeSet, Document, Entry, Every, Items, LimitOn, Policy,
    Protection, Rule, Scope, Selector, Set,
};
use holdfast::domain::{ChannelIx, UnixMillis};

use crate::support::check::START;
use crate::support::history::{CHANNEL_NAMES, GROUP_NAMES, SKUS, entry_names};
use crate::support::policies::{fallbacks, random_terms};
use crate::support::rng::Rng;
use crate::support::script::units;

/// The index of a channel or group of histories.
pub(crate) fn index_of(name: &str) -> Option<ChannelIx> {
    let at = entry_names().position(|known| known == name)?;
    u16::try_from(at).ok().map(ChannelIx)
}

/// A document without faults, and what it is compiled to.
pub(crate) fn random(rng: &mut Rng) -> (Document, Policy) {
    loop {
        let document = draw(rng);
        if let Ok(policy) = Policy::compile(&document, index_of) {
            return (document, policy);
        }
    }
}

/// One that may have faults.
fn draw(rng: &mut Rng) -> Document {
    let channels = tree(rng);
    let listed = |skus: &[&str]| Selector::Skus(skus.iter().map(ToString::to_string).collect());
    let sets = [
        ("some", listed(&SKUS[1..3])),
        ("few", listed(&SKUS[..1])),
        ("beginning", Selector::Prefix(SKUS[3].to_owned())),
    ];
    let set = |(name, selector): (&str, Selector)| Set {
        name: name.to_owned(),
        selector,
    };
    let mut document = Document {
        sets: sets.map(set).into(),
        ..Document::default()
    };
    let scopes = [
        Scope::Default,
        Scope::Sku(SKUS[0].to_owned()),
        Scope::Set("some".to_owned()),
        Scope::Set("beginning".to_owned()),
    ];
    for scope in &scopes {
        for dated in [false, true] {
            if rng.percent(60) {
                let rule = rule(rng, &channels, scope, dated, document.rules.len());
                document.rules.push(rule);
            }
        }
    }
    if rng.percent(40) {
        let (from, scope) = (moment(rng), scopes[rng.index(scopes.len())].clone());
        document.change_sets.push(ChangeSet {
            name: "change".to_owned(),
            from,
            until: rng.percent(70).then(|| after(rng, from)),
            rules: vec![rule(rng, &channels, &scope, false, 90)],
        });
    }
    if rng.percent(40) {
        document.campaigns.push(campaign(rng, &channels));
    }
    document.channels = channels;
    document
}

fn tree(rng: &mut Rng) -> Vec<Entry> {
    let names = GROUP_NAMES.into_iter().chain(CHANNEL_NAMES);
    let mut channels: Vec<Entry> = Vec::new();
    for name in names {
        if rng.percent(10) {
            continue;
        }
        let parent = (!channels.is_empty() && rng.percent(60))
            .then(|| channels[rng.index(channels.len())].name.clone());
        let rank = { rng.percent(50) }.then(|| u16::try_from(rng.between(1, 3)).unwrap());
        let name = name.to_owned();
        channels.push(Entry {
            name,
            parent,
            rank,
            fallback: None,
        });
    }
    fallbacks(rng, &mut channels);
    channels
}

fn moment(rng: &mut Rng) -> UnixMillis {
    UnixMillis(START + i64::try_from(rng.below(60_000)).unwrap() - 20_000)
}

fn after(rng: &mut Rng, from: UnixMillis) -> UnixMillis {
    UnixMillis(from.0 + 1 + i64::try_from(rng.below(30_000)).unwrap())
}

/// Half of the windows that repeat began long ago, so that one ends soon.
fn rule(rng: &mut Rng, channels: &[Entry], scope: &Scope, dated: bool, at: usize) -> Rule {
    let mut rule = Rule {
        frees: false,
        terms: random_terms(rng),
        id: format!("r{at}"),
        scope: scope.clone(),
        from: None,
        until: None,
        every: None,
        limits: limits(rng, channels),
    };
    if dated && rng.percent(50) {
        let day = Every::Day.as_millis();
        let ago = day * i64::try_from(rng.between(1, 3)).unwrap();
        rule.from = Some(UnixMillis(moment(rng).0 - ago));
        rule.every = Some(Every::Day);
    } else if dated {
        let from = moment(rng);
        rule.from = Some(from);
        rule.until = Some(after(rng, from));
    }
    rule
}

fn campaign(rng: &mut Rng, channels: &[Entry]) -> Campaign {
    let from = moment(rng);
    Campaign {
        terms: random_terms(rng),
        name: "sale".to_owned(),
        from,
        until: after(rng, from),
        items: if rng.percent(50) {
            Items::Set(rng.pick(&["few", "beginning"]).to_owned())
        } else {
            Items::Skus(vec![SKUS[2].to_owned()])
        },
        limits: if rng.percent(80) {
            limits(rng, channels)
        } else {
            Vec::new()
        },
        every: None,
        hold_seconds: None,
        payment_seconds: None,
        nodes: Vec::new(),
        expected: Vec::new(),
        freeze: rng.percent(50),
    }
}

fn limits(rng: &mut Rng, channels: &[Entry]) -> Vec<LimitOn> {
    let mut limits = Vec::new();
    for entry in channels {
        if rng.percent(35) {
            continue;
        }
        let cap = rng.percent(50).then(|| amount(rng, 10_000));
        let protection = (cap.is_none() || rng.percent(40)).then(|| Protection {
            amount: amount(rng, 3_000),
            against: if rng.percent(60) {
                Against::All
            } else {
                Against::LowerRanks
            },
        });
        limits.push(LimitOn {
            channel: entry.name.clone(),
            cap,
            protection,
        });
    }
    limits
}

fn amount(rng: &mut Rng, percent_max: u64) -> Amount {
    if rng.percent(50) {
        Amount::Units(units(rng.below(14)))
    } else {
        Amount::Percent(u16::try_from(rng.below(percent_max + 1)).unwrap())
    }
}
