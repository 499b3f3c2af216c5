//! Texts of policies.

use super::text::{parse, write};
use crate::domain::deficit::Order;
use crate::domain::policy::{
    Against, Amount, Campaign, ChangeSet, Document, Entry, Every, Expected, Items, LimitOn,
    Protection, Rule, Scope, Selector, Set, Tag,
};
use crate::domain::{Level, LowWater, Terms, Units, UnixMillis, WhileLow};

/// The document that `docs/POLICY.md` begins with.
fn documented() -> &'static str {
    let page = include_str!("../../../docs/POLICY.md");
    let (_, rest) = page.split_once("```json\n").unwrap();
    rest.split_once("```").unwrap().0
}

/// What stands between fences of JSON on a page.
fn examples(page: &str) -> Vec<&str> {
    let blocks = page.split("```json\n").skip(1);
    blocks
        .map(|rest| rest.split_once("```").unwrap().0)
        .collect()
}

#[test]
fn every_example_of_the_manual_is_read() {
    let of_policy = examples(include_str!("../../../docs/POLICY.md"));
    assert_eq!(of_policy.len(), 5);
    for text in of_policy {
        assert!(parse(text).is_ok(), "{text}");
    }
    let of_campaigns = examples(include_str!("../../../docs/CAMPAIGNS.md"));
    assert_eq!(of_campaigns.len(), 1);
    for text in of_campaigns {
        let text = format!("{{\"campaigns\":[{text}]}}");
        assert!(parse(&text).is_ok(), "{text}");
    }
}

#[test]
fn the_document_of_the_manual_is_read_as_it_is_meant() {
    let document = parse(documented()).unwrap();
    assert_eq!(document.channels.len(), 4);
    assert_eq!(document.channels[1].parent.as_deref(), Some("live"));
    assert_eq!(document.sets[2].selector, Selector::Tag("glass".into()));
    assert_eq!(document.tags[0].skus, ["VASE-1", "VASE-2"]);
    let [everything, show] = &document.rules[..] else {
        panic!("two rules")
    };
    assert_eq!(everything.scope, Scope::Default);
    assert_eq!(everything.limits[0].cap, Some(Amount::Percent(6_000)));
    assert_eq!(show.scope, Scope::Set("drops".into()));
    assert_eq!(show.from, Some(UnixMillis(1_780_336_800_000)));
    assert_eq!(show.every, Some(Every::Day));
    let kept = show.limits[0].protection.unwrap();
    assert_eq!(kept.against, Against::LowerRanks);
    assert_eq!(kept.amount, Amount::Units(Units::new(100).unwrap()));
    // Only white space is in the text that the canonical one has not.
    let compact: String = documented().split_whitespace().collect();
    assert_eq!(write(&document), compact);
}

fn says(text: &str, path: &str, message: &str) {
    let fault = parse(text).unwrap_err();
    assert_eq!(fault.path, path, "{text}: {fault}");
    assert!(fault.message.contains(message), "{text}: {fault}");
}

#[test]
fn a_text_that_is_no_document_says_where_and_why() {
    let long = " ".repeat(1_048_577);
    for (text, path, message) in [
        ("", "", "must be a JSON object"),
        ("[]", "", "must be a JSON object"),
        (&long, "", "longer than 1048576 bytes"),
        (r#"{"channels":[]} x"#, "", "trailing characters"),
        (
            r#"{"channels":[["live",null,1]]}"#,
            "channels[0]",
            "invalid type: sequence, expected an object or a text",
        ),
        (r#"{"channels":["live"]}"#, "channels[0]", "invalid type"),
        (r#"{"chanels":[]}"#, "chanels", "unknown field `chanels`"),
        (
            r#"{"channels":[{"name":"a","rank":70000}]}"#,
            "channels[0].rank",
            "expected u16",
        ),
        (
            r#"{"sets":[{"name":"a","prefix":"A","tag":"b"}]}"#,
            "sets[0]",
            "one of prefix, skus and tag",
        ),
        (
            r#"{"campaigns":[{"name":"a","from":"2026-06-01T00:00:00Z","until":"2026-06-02T00:00:00Z"}]}"#,
            "campaigns[0]",
            "one of skus and set",
        ),
        (
            r#"{"rules":[{"id":"a","limits":[]}]}"#,
            "rules[0]",
            "one of sku, set and",
        ),
    ] {
        says(text, path, message);
    }
}

#[test]
fn a_rule_that_is_none_says_where_and_why() {
    let moment = "must be a moment like";
    for (inside, path, message) in [
        (r#""from":"2026-06-01""#, "from", moment),
        (r#""from":"1969-12-31T23:59:59Z""#, "from", moment),
        (r#""until":"9999-12-31T23:59:59-01:00""#, "until", moment),
        (r#""every":"month""#, "every", "unknown variant `month`"),
    ] {
        let text = format!(r#"{{"rules":[{{"id":"a","default":true,{inside},"limits":[]}}]}}"#);
        says(&text, &format!("rules[0].{path}"), message);
    }
    for (inside, path) in [
        (r#""safety_stock":5"#, "safety_stock"),
        (r#""low_water":5"#, "low_water"),
    ] {
        let text = format!(r#"{{"rules":[{{"id":"a","default":true,{inside}}}]}}"#);
        says(
            &text,
            &format!("rules[0].{path}"),
            "expected an object with percent or units",
        );
    }
    let decimals = "a percentage with at most two decimals";
    let one = "one of percent and units";
    for (inside, path, message) in [
        (r#""cap":{"percent":12.345}"#, ".cap.percent", decimals),
        (r#""cap":{"percent":-1}"#, ".cap.percent", decimals),
        (
            r#""cap":{"units":1000000000001}"#,
            ".cap.units",
            "more than 1000000000000",
        ),
        (r#""cap":[60]"#, ".cap[0]", "expected an object or a text"),
        (r#""cap":{"percent":1,"units":1}"#, ".cap", one),
        (
            r#""cap":{"against":"all"}"#,
            ".cap.against",
            "unknown field `against`",
        ),
        (r#""protection":{"against":"all"}"#, ".protection", one),
    ] {
        let limits = format!(r#"[{{"channel":"c",{inside}}}]"#);
        let text = format!(r#"{{"rules":[{{"id":"a","default":true,"limits":{limits}}}]}}"#);
        says(&text, &format!("rules[0].limits[0]{path}"), message);
    }
}

#[test]
fn every_percentage_is_written_and_read_exactly() {
    for points in 0..=u16::MAX {
        let document = only(Amount::Percent(points));
        let text = write(&document);
        assert_eq!(parse(&text).as_ref(), Ok(&document), "{text}");
    }
    let text = write(&only(Amount::Percent(1_234)));
    assert!(text.contains(r#""cap":{"percent":12.34}"#), "{text}");
}

#[test]
fn documents_round_trip() {
    let mut random = Random(7);
    for _ in 0..2_000 {
        let document = random.document();
        let text = write(&document);
        let read = parse(&text).unwrap();
        assert_eq!(read, document, "{text}");
        assert_eq!(write(&read), text);
    }
}

/// One rule for everything with a cap.
fn only(cap: Amount) -> Document {
    let limit = LimitOn {
        channel: "c".into(),
        cap: Some(cap),
        protection: None,
    };
    let rule = Rule {
        frees: false,
        id: "only".into(),
        scope: Scope::Default,
        from: None,
        until: None,
        every: None,
        limits: vec![limit],
        terms: Terms::NONE,
    };
    Document {
        rules: vec![rule],
        ..Document::default()
    }
}

/// xorshift64*, as the other random tests use.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % end
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(2) == 0).then(|| make(self))
    }

    fn few<T>(&mut self, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(4)).map(|_| make(self)).collect()
    }

    /// Any text: what is checked later is no matter of the form.
    fn text(&mut self) -> String {
        let all = ['a', 'Z', '0', '.', '"', '\\', '\n', 'é', '汉'];
        self.few(|of| all[usize::try_from(of.below(9)).unwrap()])
            .into_iter()
            .collect()
    }

    fn short(&mut self) -> u16 {
        u16::try_from(self.below(65_536)).unwrap()
    }

    fn moment(&mut self) -> UnixMillis {
        let second = self.below(253_402_300_800);
        let part = self.maybe(|of| of.below(1_000)).unwrap_or(0);
        UnixMillis(i64::try_from(second * 1_000 + part).unwrap())
    }

    fn amount(&mut self) -> Amount {
        if self.below(2) == 0 {
            Amount::Percent(self.short())
        } else {
            Amount::Units(Units::new(self.below(Units::MAX.get() + 1)).unwrap())
        }
    }

    fn level(&mut self) -> Level {
        match self.amount() {
            Amount::Percent(share) => Level::Percent(share),
            Amount::Units(units) => Level::Units(units),
        }
    }

    fn terms(&mut self) -> Terms {
        Terms {
            safety: self.maybe(Self::level),
            low_water: self.maybe(|of| LowWater {
                mark: of.level(),
                resume: of.maybe(Self::level),
                then: of.maybe(|_| WhileLow::Sell).unwrap_or(WhileLow::Suspend),
            }),
        }
    }

    fn limit(&mut self) -> LimitOn {
        LimitOn {
            channel: self.text(),
            cap: self.maybe(Self::amount),
            protection: self.maybe(|of| Protection {
                amount: of.amount(),
                against: of.maybe(|_| Against::LowerRanks).unwrap_or_default(),
            }),
        }
    }

    fn rule(&mut self) -> Rule {
        let (limits, terms) = (self.few(Self::limit), self.terms());
        let may_free = limits.is_empty() && !terms.is_none();
        Rule {
            frees: may_free && self.below(2) == 0,
            id: self.text(),
            scope: match self.below(3) {
                0 => Scope::Sku(self.text()),
                1 => Scope::Set(self.text()),
                _ => Scope::Default,
            },
            from: self.maybe(Self::moment),
            until: self.maybe(Self::moment),
            every: self.maybe(|of| of.maybe(|_| Every::Day).unwrap_or(Every::Week)),
            limits,
            terms,
        }
    }

    fn set(&mut self) -> Set {
        Set {
            name: self.text(),
            selector: match self.below(3) {
                0 => Selector::Prefix(self.text()),
                1 => Selector::Skus(self.few(Self::text)),
                _ => Selector::Tag(self.text()),
            },
        }
    }

    fn seconds(&mut self) -> u32 {
        u32::from(self.short())
    }

    fn campaign(&mut self) -> Campaign {
        Campaign {
            name: self.text(),
            from: self.moment(),
            until: self.moment(),
            items: match self.below(2) {
                0 => Items::Skus(self.few(Self::text)),
                _ => Items::Set(self.text()),
            },
            limits: self.few(Self::limit),
            terms: self.terms(),
            every: self.maybe(|_| Every::Day),
            hold_seconds: self.maybe(Self::seconds),
            payment_seconds: self.maybe(Self::seconds),
            nodes: self.few(Self::text),
            expected: self.few(|of| Expected {
                channel: of.text(),
                units: Units::new(of.below(1_000)).unwrap(),
                sku: of.maybe(Self::text),
            }),
            freeze: self.below(2) == 0,
        }
    }

    fn document(&mut self) -> Document {
        Document {
            channels: self.few(|of| Entry {
                name: of.text(),
                parent: of.maybe(Self::text),
                rank: of.maybe(Self::short),
                fallback: of.maybe(|of| of.few(Self::text)),
            }),
            sets: self.few(Self::set),
            tags: self.few(|of| Tag {
                name: of.text(),
                skus: of.few(Self::text),
            }),
            rules: self.few(Self::rule),
            change_sets: self.few(|of| ChangeSet {
                name: of.text(),
                from: of.moment(),
                until: of.maybe(Self::moment),
                rules: of.few(Self::rule),
            }),
            campaigns: self.few(Self::campaign),
            deficit_order: Order::WORDS[usize::try_from(self.below(4)).unwrap()].1,
        }
    }
}
