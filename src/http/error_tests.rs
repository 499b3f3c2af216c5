//! Refusals as problems.

use super::*;
use crate::domain::{Day, NodeIx, Units, UnixMillis};

/// One of each that is about dated supply.
fn of_dates() -> [Refusal; 4] {
    let sku = || Box::from("a");
    let id = || Box::from("po-1");
    let zero = Units::ZERO;
    [
        Refusal::UnknownInbound {
            sku: sku(),
            id: id(),
        },
        Refusal::OverReceipt {
            sku: sku(),
            id: id(),
            requested: zero,
            open: zero,
        },
        Refusal::DueTooLate {
            sku: sku(),
            id: id(),
            due: Day::FIRST,
            latest: Day::FIRST,
        },
        Refusal::TooManyInbound { sku: sku() },
    ]
}

/// One refusal of each kind.
fn refusals() -> Vec<Refusal> {
    let sku = || Box::from("a");
    let (node, zero) = (NodeIx::MAIN, Units::ZERO);
    let mut all = vec![
        Refusal::KeyReused,
        Refusal::UnknownSku { sku: sku() },
        Refusal::InsufficientStock {
            shortages: Box::default(),
        },
        Refusal::UnknownReservation,
        Refusal::UnknownLine {
            sku: sku(),
            node: None,
        },
        Refusal::Expired,
        Refusal::Released,
        Refusal::Shipped,
        Refusal::NotHeld,
        Refusal::NotConfirmed,
        Refusal::NotShipped,
    ];
    all.extend([
        Refusal::OverConfirm {
            lines: Box::default(),
        },
        Refusal::OverRelease {
            lines: Box::default(),
        },
        Refusal::OverShip {
            lines: Box::default(),
        },
        Refusal::OverReturn {
            lines: Box::default(),
        },
        Refusal::PartialTransfer {
            lines: Box::default(),
        },
        Refusal::ChangeFromStale {
            items: Box::default(),
        },
        Refusal::NegativeStock {
            sku: sku(),
            node,
            on_hand: zero,
            unavailable: zero,
        },
        Refusal::TooMany { sku: sku() },
        Refusal::OverShare {
            sku: sku(),
            channel: crate::domain::ChannelIx(0),
            requested: zero,
            possible: zero,
        },
        Refusal::VersionMismatch { actual: 3 },
        Refusal::Frozen(Frozen {
            campaign: "drop".into(),
            until: UnixMillis(0),
        }),
    ]);
    all.extend(of_dates());
    all
}

#[test]
fn the_code_of_a_refusal_is_the_same_everywhere() {
    for refusal in refusals() {
        assert_eq!(refusal_kind(&refusal).code, refusal.code());
    }
}

#[test]
fn refusals_have_the_statuses_of_the_contract() {
    for refusal in refusals() {
        let status = refusal_kind(&refusal).status.as_u16();
        let expected = match refusal.code() {
            "idempotency_key_reused" => 422,
            "unknown_sku" | "unknown_reservation" => 404,
            "version_mismatch" => 412,
            _ => 409,
        };
        assert_eq!(status, expected, "{refusal:?}");
    }
}
