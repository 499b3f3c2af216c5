//! One of each mistake is found, with its fix; and nothing is found where there is none.

use super::*;
use crate::domain::policy::{
    Amount, ChangeSet, Entry, Expected, Items, LimitOn, Protection, Rule, Scope,
};
use crate::domain::uses::ChannelUse;

const LIVE: ChannelIx = ChannelIx(1);
const SHOP: ChannelIx = ChannelIx(2);

fn units(n: u64) -> Units {
    Units::new(n).unwrap()
}

fn limit(channel: &str, cap: Option<u64>, protection: Option<Amount>) -> LimitOn {
    LimitOn {
        channel: channel.into(),
        cap: cap.map(|cap| Amount::Units(units(cap))),
        protection: protection.map(|amount| Protection {
            amount,
            against: super::super::Against::All,
        }),
    }
}

fn expected(channel: &str, n: u64, sku: Option<&str>) -> Expected {
    Expected {
        channel: channel.into(),
        units: units(n),
        sku: sku.map(Into::into),
    }
}

/// From 100 to 200: `live` may take 60 of each SKU, 20 are kept for `shop`.
fn clean() -> Document {
    let entry = |name: &str| Entry {
        name: name.into(),
        parent: None,
        rank: None,
        fallback: None,
    };
    let campaign = Campaign {
        terms: crate::domain::Terms::NONE,
        name: "drop".into(),
        from: UnixMillis(100),
        until: UnixMillis(200),
        items: Items::Skus(vec!["a".into(), "b".into()]),
        limits: vec![
            limit("live", Some(60), None),
            limit("shop", None, Some(Amount::Percent(2_000))),
        ],
        every: None,
        hold_seconds: Some(900),
        payment_seconds: Some(900),
        nodes: vec!["main".into()],
        expected: vec![
            expected("live", 60, Some("a")),
            expected("live", 50, Some("b")),
            expected("shop", 80, None),
        ],
        freeze: true,
    };
    Document {
        channels: vec![entry("live"), entry("shop")],
        campaigns: vec![campaign],
        ..Document::default()
    }
}

fn stock(on_hand: u64) -> StockFacts {
    StockFacts {
        selling: Selling::On,
        on_hand: units(on_hand),
        at_nodes: units(on_hand),
        available: units(on_hand),
        safety: Units::ZERO,
        low_water: None,
        deficit: Units::ZERO,
        uses: Uses::EMPTY,
        counted_seconds_ago: Some(60),
    }
}

/// What the test changes before it asks.
struct Case {
    document: Document,
    skus: Vec<SkuFacts<'static>>,
    unknown_nodes: Vec<&'static str>,
    is_shop_known: bool,
    is_cut: bool,
    now: i64,
}

impl Case {
    fn clean() -> Self {
        let fact = |sku| SkuFacts {
            sku,
            stock: Some(stock(100)),
        };
        Self {
            document: clean(),
            skus: vec![fact("a"), fact("b")],
            unknown_nodes: Vec::new(),
            is_shop_known: true,
            is_cut: false,
            now: 0,
        }
    }

    fn campaign(&mut self) -> &mut Campaign {
        &mut self.document.campaigns[0]
    }

    fn stock(&mut self) -> &mut StockFacts {
        self.skus[0].stock.as_mut().unwrap()
    }

    fn found(&self) -> Vec<Finding> {
        let index = |name: &str| match name {
            "live" => Some(LIVE),
            "shop" => Some(SHOP),
            _ => None,
        };
        let policy = Policy::compile(&self.document, index).unwrap();
        let channel = |name, index, is_known| ChannelFacts {
            name,
            index,
            is_known,
        };
        preflight(&Plan {
            document: &self.document,
            policy: &policy,
            campaign: &self.document.campaigns[0],
            now: UnixMillis(self.now),
            usual_hold: Ttl::from_millis(600_000).unwrap(),
            stale_after_seconds: 3_600,
            unknown_nodes: &self.unknown_nodes,
            channels: &[
                channel("live", LIVE, true),
                channel("shop", SHOP, self.is_shop_known),
            ],
            skus: &self.skus,
            is_cut: self.is_cut,
        })
    }
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(Case::clean().found(), []);
}

/// A mistake with its code, the SKU and the channel that are named, and a part of the fix.
type Mistake = (
    &'static str,
    Option<&'static str>,
    Option<&'static str>,
    &'static str,
    fn(&mut Case),
);

fn change_set(case: &mut Case, scope: Scope) {
    let rule = Rule {
        frees: false,
        terms: crate::domain::Terms::NONE,
        id: "r".into(),
        scope,
        from: None,
        until: None,
        every: None,
        limits: Vec::new(),
    };
    case.document.change_sets.push(ChangeSet {
        name: "june".into(),
        from: UnixMillis(150),
        until: None,
        rules: vec![rule],
    });
}

const MISTAKES: &[Mistake] = &[
    ("campaign_over", None, None, "set from and until", |of| {
        of.now = 200;
    }),
    ("nothing_sold", None, None, "correct the set", |of| {
        of.skus.clear();
        of.campaign().expected.clear();
    }),
    (
        "hold_shorter_than_payment",
        None,
        None,
        "set hold_seconds to 901",
        |of| of.campaign().payment_seconds = Some(901),
    ),
    (
        "hold_shorter_than_payment",
        None,
        None,
        "set hold_seconds to 900",
        // Ten minutes by configuration.
        |of| of.campaign().hold_seconds = None,
    ),
    ("unknown_node", None, None, "correct the name", |of| {
        of.unknown_nodes = vec!["mian"];
    }),
    (
        "change_set_shadowed",
        None,
        None,
        "move the change set",
        |of| {
            change_set(of, Scope::Sku("b".into()));
        },
    ),
    (
        "channel_never_seen",
        None,
        Some("shop"),
        "compare the name",
        |of| of.is_shop_known = false,
    ),
    (
        "expected_above_reach",
        Some("a"),
        Some("live"),
        "add 1 units",
        |of| of.campaign().expected[0].units = units(61),
    ),
    ("expected_above_pool", None, None, "add 10 units", |of| {
        of.campaign().expected[2].units = units(100);
    }),
    ("unknown_sku", Some("a"), None, "set its stock", |of| {
        of.skus[0].stock = None;
        of.campaign().expected = vec![expected("live", 50, None)];
    }),
    ("suspended", Some("a"), None, "set selling to on", |of| {
        of.stock().selling = Selling::Suspended;
    }),
    ("deficit_open", Some("a"), None, "missing units", |of| {
        of.stock().deficit = units(3);
    }),
    (
        "cap_above_pool",
        Some("a"),
        Some("live"),
        "add 5 units",
        |of| {
            of.stock().at_nodes = units(65);
            of.stock().safety = units(10);
        },
    ),
    (
        "protection_above_supply",
        Some("a"),
        None,
        "add 1 units",
        // 20 % of 100 for the shop and 61 for `live`, of 80.
        |of| {
            of.stock().safety = units(20);
            of.campaign().limits[0] = limit("live", None, Some(Amount::Units(units(61))));
            of.campaign().expected[2].units = units(70);
        },
    ),
    ("no_stock", Some("a"), None, "name the nodes", |of| {
        of.stock().at_nodes = Units::ZERO;
        of.campaign().limits.clear();
    }),
    ("stale_count", Some("a"), None, "send its counts", |of| {
        of.stock().counted_seconds_ago = Some(3_601);
    }),
    ("low_stock", Some("a"), None, "lower low_water", |of| {
        of.stock().low_water = Some(units(100));
    }),
    ("will_run_low", Some("a"), None, "lower low_water", |of| {
        of.stock().low_water = Some(units(40));
    }),
];

#[test]
fn each_mistake_is_found_alone_with_its_fix() {
    for (code, sku, channel, fix, change) in MISTAKES {
        let mut case = Case::clean();
        change(&mut case);
        let found = case.found();
        let [finding] = &found[..] else {
            panic!("{code}: {found:?}")
        };
        let about = (finding.sku.as_deref(), finding.channel.as_deref());
        assert_eq!((finding.code, about), (*code, (*sku, *channel)));
        assert!(finding.fix.contains(fix), "{finding:?}");
    }
}

/// A change set hides nothing that is for other SKUs, ends before, or meets a campaign without limits.
#[test]
fn what_is_no_mistake_is_not_found() {
    let fine: [fn(&mut Case); 7] = [
        |of| change_set(of, Scope::Sku("c".into())),
        |of| {
            change_set(of, Scope::Default);
            let set = &mut of.document.change_sets[0];
            (set.from, set.until) = (UnixMillis(50), Some(UnixMillis(100)));
        },
        |of| {
            change_set(of, Scope::Default);
            of.document.change_sets[0].from = UnixMillis(200);
        },
        |of| {
            change_set(of, Scope::Default);
            of.campaign().limits.clear();
        },
        |of| of.stock().low_water = Some(units(39)),
        |of| {
            of.stock().low_water = Some(units(99));
            of.campaign().expected.clear();
        },
        // As much as there is.
        |of| of.campaign().limits[0] = limit("live", Some(100), None),
    ];
    for (at, change) in fine.iter().enumerate() {
        let mut case = Case::clean();
        change(&mut case);
        assert_eq!(case.found(), [], "{at}");
    }
}

#[test]
fn all_mistakes_are_found_at_once() {
    let mut case = Case::clean();
    let change = |code: &str, case: &mut Case| {
        let mut mistakes = MISTAKES.iter();
        let mistake = mistakes.find(|(of, ..)| *of == code).unwrap();
        mistake.4(case);
    };
    let codes = [
        "hold_shorter_than_payment",
        "unknown_node",
        "change_set_shadowed",
        "channel_never_seen",
        "expected_above_reach",
        "expected_above_pool",
        "suspended",
        "deficit_open",
        "cap_above_pool",
        "stale_count",
        "low_stock",
    ];
    for code in codes {
        change(code, &mut case);
    }
    let found: Vec<_> = case.found().iter().map(|of| of.code).collect();
    assert_eq!(found, codes);
}

#[test]
fn what_is_sold_already_counts_once_the_campaign_is_on() {
    let mut case = Case::clean();
    let shipped = ChannelUse {
        shipped: units(40),
        ..ChannelUse::none(LIVE)
    };
    let stock = case.stock();
    stock.uses = Uses::from_parts(UnixMillis(100), [shipped]);
    (stock.on_hand, stock.at_nodes, stock.available) = (units(60), units(60), units(60));
    case.campaign().expected[2].units = units(90);
    case.now = 150;
    assert_eq!(case.found(), [], "40 of 60 are sold, 60 of 100 are left");
    case.campaign().expected[2].units = units(91);
    let found: Vec<_> = case.found().iter().map(|of| of.code).collect();
    assert_eq!(found, ["expected_above_pool"]);
}

#[test]
fn what_is_shipped_already_is_part_of_what_caps_and_protections_are_of() {
    let mut case = Case::clean();
    case.campaign().expected.clear();
    case.campaign().limits[1] = limit("shop", None, Some(Amount::Units(units(50))));
    let shipped = ChannelUse {
        shipped: units(60),
        ..ChannelUse::none(LIVE)
    };
    let stock = case.stock();
    stock.uses = Uses::from_parts(UnixMillis(100), [shipped]);
    (stock.on_hand, stock.at_nodes, stock.available) = (units(40), units(40), units(40));
    case.now = 150;
    assert!(codes(&case).is_empty());
    case.stock().safety = units(51);
    assert_eq!(codes(&case), ["cap_above_pool", "protection_above_supply"]);
}

fn codes(case: &Case) -> Vec<&'static str> {
    case.found().iter().map(|of| of.code).collect()
}

#[test]
fn a_fallback_lets_a_channel_sell_more() {
    let mut case = Case::clean();
    case.campaign().expected = vec![expected("live", 90, Some("a"))];
    assert_eq!(codes(&case), ["expected_above_reach"]);
    case.document.channels[0].fallback = Some(vec!["shop".into()]);
    assert!(codes(&case).is_empty());
}

#[test]
fn what_a_channel_sold_of_a_fallbacks_share_counts() {
    let mut case = Case::clean();
    case.document.channels[0].fallback = Some(vec!["shop".into()]);
    case.campaign().limits = vec![limit("live", Some(50), None), limit("shop", Some(40), None)];
    case.campaign().expected = vec![expected("live", 90, Some("a"))];
    assert!(codes(&case).is_empty());
    // 50 of its own share and 10 of the shop's; 30 are left there.
    let open = |channel, n| ChannelUse {
        open: units(n),
        ..ChannelUse::none(channel)
    };
    let stock = case.stock();
    stock.uses = Uses::from_parts(UnixMillis(100), [open(LIVE, 50), open(SHOP, 10)]);
    stock.available = units(40);
    case.now = 150;
    assert!(codes(&case).is_empty());
    case.campaign().expected[0].units = units(91);
    assert_eq!(codes(&case), ["expected_above_reach"]);
}

#[test]
fn use_counts_once_where_the_fallback_is_the_group() {
    let mut case = Case::clean();
    case.document.channels[0].parent = Some("shop".into());
    case.document.channels[0].fallback = Some(vec!["shop".into()]);
    case.campaign().limits = vec![limit("live", Some(50), None), limit("shop", Some(70), None)];
    case.campaign().expected = vec![expected("live", 70, Some("a"))];
    let used = ChannelUse {
        open: units(50),
        ..ChannelUse::none(LIVE)
    };
    let stock = case.stock();
    stock.uses = Uses::from_parts(UnixMillis(100), [used]);
    stock.available = units(50);
    case.now = 150;
    assert!(codes(&case).is_empty());
    case.campaign().expected[0].units = units(71);
    assert_eq!(
        codes(&case),
        ["expected_above_reach"],
        "20 are left of the group's"
    );
}

#[test]
fn nothing_is_said_of_all_skus_where_some_were_left_out() {
    let mut case = Case::clean();
    let sold = ["a", "b", "left-out"].map(Into::into);
    case.campaign().items = Items::Skus(sold.into());
    case.campaign().expected = vec![
        expected("shop", 1_000, None),
        expected("live", 60, Some("a")),
        expected("live", 60, Some("left-out")),
    ];
    let whole = [
        "expected_above_reach",
        "expected_above_reach",
        "expected_above_pool",
    ];
    assert_eq!(codes(&case), whole);
    case.is_cut = true;
    assert_eq!(codes(&case), ["skus_left_out"]);
    case.campaign().expected[1].units = units(61);
    assert_eq!(codes(&case), ["skus_left_out", "expected_above_reach"]);
}
