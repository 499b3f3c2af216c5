//! Every kind of record comes back as it was written, and nothing else is taken for one.

use smallvec::smallvec;

use super::*;
use crate::domain::policy::Amount;
use crate::domain::stock::{Safety, Selling};
use crate::domain::verdict::{BoundBy, Excess, Frozen, Limit, Refusal, Shortage, Stale};
use crate::domain::{
    Inbound, InboundKind, Level, LowWater, NodeSafety, Own, Settings, Terms, Units, WhileLow,
};
use crate::ledger::event::{
    InboundChanged, InboundItem, InboundVerb, ShareMove, SharesMoved, StockChanged, StockItem,
    StockVerb,
};

fn units(n: u64) -> Units {
    Units::new(n).unwrap()
}

fn key(n: u128) -> CommandKey {
    CommandKey {
        id: n << 64 | 7,
        fingerprint: 0xfeed,
    }
}

/// A shortage for each of these caps.
fn capped(amounts: [Amount; 2]) -> Box<[Shortage]> {
    let shortage = |amount| Shortage {
        sku: "x".into(),
        node: None,
        requested: units(4),
        available: units(3),
        limit: Limit::Cap,
        bound: Some(BoundBy {
            channel: ChannelIx(9),
            amount,
            supply: units(1_000),
            units: units(600),
            used: units(597),
        }),
        next: None,
    };
    amounts.map(shortage).into()
}

/// A shortage for each limit.
fn of_every_limit() -> Box<[Shortage]> {
    let limits = [
        Limit::Suspended,
        Limit::Stock,
        Limit::Safety,
        Limit::Node,
        Limit::Cap,
        Limit::Protection,
        Limit::Inbound,
        Limit::Later,
        Limit::Date,
    ];
    let shortage = |limit| Shortage {
        sku: "x".into(),
        node: None,
        requested: Units::MAX,
        available: units(0),
        limit,
        bound: None,
        next: Day::new(20_800).filter(|_| limit == Limit::Date),
    };
    limits.map(shortage).into()
}

fn refusals_of_dates() -> [Refusal; 4] {
    [
        Refusal::UnknownInbound {
            sku: "x".into(),
            id: "po-1".into(),
        },
        Refusal::OverReceipt {
            sku: "x".into(),
            id: "po-1".into(),
            requested: units(5),
            open: units(4),
        },
        Refusal::DueTooLate {
            sku: "x".into(),
            id: "po-1".into(),
            due: Day::FIRST.later(9),
            latest: Day::FIRST,
        },
        Refusal::TooManyInbound { sku: "x".into() },
    ]
}

fn refusals() -> Vec<Refusal> {
    let lines = || -> Box<[Excess]> {
        let node = Some(NodeIx(3));
        Box::new([Excess {
            sku: "a".into(),
            node,
            requested: units(5),
            possible: units(4),
        }])
    };
    vec![
        Refusal::KeyReused,
        Refusal::UnknownSku { sku: "x".into() },
        Refusal::InsufficientStock {
            shortages: capped([Amount::Units(units(7)), Amount::Percent(6_000)]),
        },
        Refusal::InsufficientStock {
            shortages: of_every_limit(),
        },
        Refusal::UnknownReservation,
        Refusal::UnknownLine {
            sku: "y".into(),
            node: Some(NodeIx(0)),
        },
        Refusal::Expired,
        Refusal::Released,
        Refusal::Shipped,
        Refusal::NotHeld,
        Refusal::NotConfirmed,
        Refusal::NotShipped,
        Refusal::OverConfirm { lines: lines() },
        Refusal::OverRelease { lines: lines() },
        Refusal::OverShip { lines: lines() },
        Refusal::OverReturn { lines: lines() },
        Refusal::PartialTransfer { lines: lines() },
        Refusal::ChangeFromStale {
            items: Box::new([Stale {
                sku: "z".into(),
                node: NodeIx(9),
                change_from: units(1),
                on_hand: units(2),
            }]),
        },
        Refusal::NegativeStock {
            sku: "n".into(),
            node: NodeIx(1),
            on_hand: units(3),
            unavailable: units(0),
        },
        Refusal::TooMany { sku: "t".into() },
        Refusal::VersionMismatch { actual: 12 },
        Refusal::OverShare {
            sku: "s".into(),
            channel: ChannelIx(8),
            requested: units(5),
            possible: units(0),
        },
        Refusal::Frozen(Frozen {
            campaign: "drop".into(),
            until: UnixMillis(1_780_336_800_000),
        }),
    ]
}

fn acted() -> Body<'static> {
    let node = NodeIx(2);
    let moves = smallvec![
        Move::Hold(units(1)),
        Move::Commit(units(2)),
        Move::ReleaseHeld(units(3)),
        Move::ReleaseCommitted(units(4)),
        Move::Expire(units(5)),
        Move::Ship(node, units(6)),
        Move::Restock(node, units(7)),
        Move::Quarantine(node, units(8)),
        Move::Repin(node),
    ];
    let after = Line {
        pin: Some(node),
        day: Day::new(u16::MAX),
        charged_to: Some(ChannelIx(u16::MAX)),
        committed: units(9),
        ..Line::default()
    };
    Body::Acted(Acted {
        id: ReservationId(u128::MAX),
        key: key(9),
        verb: VerbKind::Transfer,
        channel: ChannelIx(4),
        reference: Some("order 1"),
        created_at: UnixMillis(-5),
        deadline: UnixMillis(i64::MAX),
        lines: smallvec![ActedLine {
            sku: "a",
            requested: units(10),
            after,
            moves,
            window: UnixMillis(-3),
        }],
    })
}

fn reserved() -> Body<'static> {
    let line = ReservedLine {
        sku: "a",
        pin: None,
        day: None,
        charged_to: None,
        requested: units(2),
        held: units(1),
    };
    Body::Reserved(Reserved {
        id: ReservationId(1),
        fingerprint: u64::MAX,
        channel: ChannelIx(1),
        reference: None,
        ttl_ms: 900_000,
        lines: smallvec![
            line,
            ReservedLine {
                pin: Some(NodeIx(0)),
                day: Some(Day::FIRST),
                ..line
            },
            ReservedLine {
                charged_to: Some(ChannelIx(0)),
                ..line
            }
        ],
    })
}

fn shares_moved() -> Body<'static> {
    let item = ShareMove {
        sku: "a",
        from: ChannelIx(1),
        to: ChannelIx(2),
        units: units(30),
        window: UnixMillis(-1),
    };
    Body::SharesMoved(SharesMoved {
        key: key(4),
        reason: "",
        operator: Some("li"),
        items: vec![item, item],
    })
}

fn policy_put() -> Body<'static> {
    Body::PolicyPut {
        version: 3,
        operator: "anna",
        reason: "",
        over: "the lorry is late",
        text: "{}",
    }
}

fn bodies() -> Vec<Body<'static>> {
    let item = StockItem {
        sku: "a",
        node: NodeIx(1),
        on_hand_before: units(1),
        on_hand: units(2),
        unavailable_before: units(3),
        unavailable: units(4),
        available: units(5),
        version: u64::MAX,
    };
    vec![
        Body::Opened { before: 7 },
        policy_put(),
        shares_moved(),
        Body::NodeNamed {
            node: NodeIx(u16::MAX),
            name: "hangzhou-1",
        },
        Body::ChannelNamed {
            channel: ChannelIx(0),
            name: "douyin",
        },
        reserved(),
        acted(),
        Body::TermsNoted(TermsNoted {
            sku: "a",
            terms: Terms {
                safety: Some(Level::Percent(50)),
                low_water: Some(LowWater::at(Level::Units(units(3)))),
            },
        }),
        Body::LowWater(LowWaterTold {
            sku: "a",
            low: true,
            available: units(2),
            suspended: true,
        }),
        Body::Expired {
            id: ReservationId(5),
            line: 499,
            sku: "b",
            units: units(3),
        },
        Body::StockChanged(StockChanged {
            key: key(1),
            verb: StockVerb::Transfer,
            reason: "库存盘点",
            operator: Some("li"),
            items: vec![item, item],
        }),
        Body::InboundChanged(InboundChanged {
            key: key(4),
            verb: InboundVerb::Receive,
            items: [
                InboundKind::InTransit,
                InboundKind::Presale,
                InboundKind::Return,
            ]
            .map(inbound_item)
            .into(),
        }),
    ]
}

/// Settings that were put, and some that were put against a freeze.
fn settings_put() -> [Body<'static>; 2] {
    let settings = Settings {
        safety: Safety::Percent(250),
        node_safety: NodeSafety::new(vec![
            (NodeIx(3), Level::Percent(10_000)),
            (NodeIx(0), Level::Units(units(7))),
        ])
        .unwrap(),
        selling: Selling::Suspended,
        low_water: Some(LowWater {
            mark: Level::Units(units(0)),
            resume: Some(Level::Percent(1_000)),
            then: WhileLow::Suspend,
        }),
        own: Own {
            safety: true,
            low_water: false,
        },
        version: 3,
    };
    let put = |before, after, over| Body::SettingsPut {
        key: key(2),
        sku: "a",
        before,
        after,
        over,
    };
    let none = Settings::default();
    [
        put(none.clone(), settings.clone(), ""),
        put(settings, none, "recall"),
    ]
}

fn inbound_item(kind: InboundKind) -> InboundItem<'static> {
    InboundItem {
        sku: "a",
        entry: Inbound {
            id: "po-17".into(),
            kind,
            node: NodeIx(2),
            due: Day::FIRST,
            units: units(6),
        },
        received: units(7),
        on_hand: units(8),
        version: 9,
    }
}

fn every_body() -> Vec<Body<'static>> {
    let refused = |refusal| Body::Refused {
        key: key(3),
        refusal,
    };
    bodies()
        .into_iter()
        .chain(settings_put())
        .chain(refusals().into_iter().map(refused))
        .chain(refusals_of_dates().map(refused))
        .collect()
}

fn encoded(at: UnixMillis, body: &Body<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(at, body, &mut bytes);
    let length = u32::from_le_bytes(bytes[..4].try_into().unwrap());
    assert_eq!(usize::try_from(length).unwrap(), bytes.len() - 4);
    bytes.split_off(4)
}

#[test]
fn every_record_comes_back() {
    let position = Position {
        shard: 0,
        epoch: 1,
        sequence: 2,
    };
    for at in [0, -1, i64::MAX, i64::MIN, 1_700_000_000_000].map(UnixMillis) {
        for body in every_body() {
            let bytes = encoded(at, &body);
            let event = decode(position, &bytes).unwrap();
            let again = encoded(event.at, &event.body);
            assert_eq!((event.position, &again), (position, &bytes), "{body:?}");
            assert_eq!(format!("{:?}", event.body), format!("{body:?}"));
            assert_eq!(is_refusal(&bytes), matches!(body, Body::Refused { .. }));
        }
    }
}

#[test]
fn cut_or_longer_records_are_damage() {
    for body in every_body() {
        let mut bytes = encoded(UnixMillis(1), &body);
        for cut in 0..bytes.len() {
            assert!(
                decode(Position::default(), &bytes[..cut]).is_err(),
                "{body:?} cut at {cut}"
            );
        }
        bytes.push(0);
        assert_eq!(
            decode(Position::default(), &bytes),
            Err(BadRecord),
            "{body:?}"
        );
    }
}

#[test]
fn damaged_bytes_never_panic() {
    for body in every_body() {
        let bytes = encoded(UnixMillis(1), &body);
        for at in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                let _either = decode(Position::default(), &damaged).is_ok();
            }
        }
    }
}

#[test]
fn a_number_that_is_too_large_is_no_number() {
    let mut most = Vec::new();
    Writer(&mut most).number(u64::MAX);
    assert_eq!(Reader(&most).number(), Ok(u64::MAX));
    let mut beyond = [0x80; 10];
    for last in [2, 0x7f] {
        beyond[9] = last;
        assert_eq!(Reader(&beyond).number(), Err(BadRecord));
    }
}
