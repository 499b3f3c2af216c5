//! Policies: any text is a document or has a reason; a document comes back from its canonical text
//! the same; its faults are told, and one without faults answers every question.

use holdfast::domain::policy::{Document, Policy};
use holdfast::domain::{ChannelIx, Sku, Stock, UnixMillis};
use holdfast::ledger::policy::text::canonical;
use holdfast::ledger::policy::{PolicyInForce, PolicyVersion, SkuPolicy, diff};
use holdfast::ledger::remote::wire::policy::{fields, flat};

/// Reads, writes, checks, compiles and asks.
pub fn check(bytes: &[u8]) -> bool {
    let Ok(given) = str::from_utf8(bytes) else {
        return false;
    };
    let (document, text) = match canonical(given) {
        Ok(read) => read,
        Err(fault) => {
            assert!(!fault.message.is_empty());
            return false;
        }
    };
    assert_eq!(
        canonical(&text).as_ref(),
        Ok(&(document.clone(), text.clone()))
    );
    let channel = |name: &str| {
        let mut entries = document.channels.iter();
        let at = entries.position(|entry| entry.name == name)?;
        u16::try_from(at).ok().map(ChannelIx)
    };
    match Policy::compile(&document, channel) {
        Ok(policy) => {
            ask(&document, text, policy);
            true
        }
        Err(faults) => {
            let is_told = |text: &str| !text.is_empty();
            assert!(!faults.is_empty());
            assert!(
                faults
                    .iter()
                    .all(|of| is_told(of.code) && is_told(&of.message))
            );
            // What is wrong does not depend on which channels are known.
            assert_eq!(Policy::compile(&document, |_| None).err(), Some(faults));
            false
        }
    }
}

/// A policy without faults, at all moments and about all SKUs that it names.
fn ask(document: &Document, text: String, policy: Policy) {
    let differences = diff::compare(document, document);
    let is_same = |of: &diff::Difference| {
        of.added.is_empty() && of.removed.is_empty() && of.changed.is_empty()
    };
    assert!(differences.iter().all(|(_, of)| is_same(of)));
    assert!(!flat(&fields(&policy)).is_empty());
    let version = PolicyVersion {
        version: 1,
        at: UnixMillis(0),
        operator: "".into(),
        reason: "".into(),
        over: "".into(),
        text: text.into(),
    };
    let in_force = PolicyInForce {
        version,
        document: document.clone(),
        policy,
    };
    let stock = Stock::default();
    for moment in moments(document) {
        for name in skus(document) {
            let Ok(sku) = Sku::new(name) else { continue };
            let of = SkuPolicy::of(sku, &stock, Some(&in_force), None, moment);
            // What is for ever has one window, which begins in 1970.
            let window = of.rule.map_or(UnixMillis(0), |(_, window)| window);
            assert!(window.0 <= moment.0.max(0), "{window:?} at {moment:?}");
        }
        let next = in_force.policy.next_freeze(moment);
        assert!(next.is_none_or(|next| next > moment));
    }
}

fn moments(document: &Document) -> impl Iterator<Item = UnixMillis> {
    let rules = document.rules.iter().flat_map(|of| [of.from, of.until]);
    let sets = { document.change_sets.iter() }.flat_map(|of| [Some(of.from), of.until]);
    let campaigns = { document.campaigns.iter() }.flat_map(|of| [Some(of.from), Some(of.until)]);
    let named = rules.chain(sets).chain(campaigns).flatten().take(20);
    let around = |at: UnixMillis| [at.0.saturating_sub(1), at.0, at.0.saturating_add(1)];
    let far = [i64::MIN, 0, i64::MAX];
    named.flat_map(around).chain(far).map(UnixMillis)
}

fn skus(document: &Document) -> impl Iterator<Item = &str> {
    let listed = document.tags.iter().flat_map(|tag| &tag.skus);
    let sets = document.sets.iter().map(|set| &set.name);
    let named = listed.chain(sets).map(String::as_str).take(20);
    named.chain(["a", "b", "sku-1"])
}
