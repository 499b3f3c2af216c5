//! What is kept of a reservation is read as it was.

use super::kept;
use super::record::{Kept, Record};
use crate::domain::verdict::{Reservation, ReservationLine};
use crate::domain::{self, ChannelIx, Day, NodeIx, ReservationId, Ttl, Units, UnixMillis};
use crate::ledger::export::{Held, Line, Making};

fn units(n: u64) -> Units {
    Units::new(n).unwrap()
}

fn line(sku: &str, pin: Option<NodeIx>, day: Option<u16>) -> ReservationLine {
    ReservationLine {
        sku: sku.into(),
        requested: units(3),
        line: domain::Line {
            pin,
            day: day.and_then(Day::new),
            held: units(3),
            ..domain::Line::default()
        },
    }
}

fn held(lines: Vec<ReservationLine>) -> Held {
    let pins: Vec<_> = lines.iter().map(|of| of.line.pin).collect();
    let making = Making {
        fingerprint: 7,
        sequence: 9,
        ttl: Ttl::SHORTEST,
        touched: UnixMillis(11),
    };
    let view = Reservation {
        id: ReservationId(5),
        channel: ChannelIx(2),
        reference: None,
        created_at: UnixMillis(10),
        deadline: UnixMillis(20),
        lines: lines.into(),
    };
    Held::new(making, &view, pins.into_iter())
}

/// What a reader of the record of these lines is shown.
fn read_back(record: &[u8]) -> Vec<domain::Line> {
    let Kept::Reservation(booking) = Record::parse(record).unwrap().kept else {
        panic!("no reservation");
    };
    booking.lines.iter().map(|(_, _, line)| *line).collect()
}

#[test]
fn days_and_channels_of_lines_come_back_and_cost_other_records_nothing() {
    let dated = held(vec![
        line("a", None, Some(20_000)),
        line("a", Some(NodeIx(1)), None),
        line("b", None, Some(1)),
    ]);
    let expected: Vec<_> = dated.lines.iter().map(|of| of.state().unwrap()).collect();
    let record = kept::reservation(&dated).unwrap();
    assert_eq!(read_back(&record), expected);
    let elsewhere = vec![false, true, false];
    assert_eq!(
        read_back(&kept::whole(&dated, elsewhere).unwrap()),
        expected
    );
    let parts: Vec<&Line> = dated.lines.iter().skip(1).collect();
    let record = kept::elsewhere(&dated, &parts).unwrap();
    assert_eq!(read_back(&record), expected[1..]);

    let mut lent = dated.clone();
    lent.lines[1].charged_to = Some(0);
    let expected: Vec<_> = lent.lines.iter().map(|of| of.state().unwrap()).collect();
    assert_eq!(expected[1].charged_to, Some(ChannelIx(0)));
    assert_eq!(read_back(&kept::reservation(&lent).unwrap()), expected);
    let parts: Vec<&Line> = lent.lines.iter().skip(1).collect();
    let record = kept::elsewhere(&lent, &parts).unwrap();
    assert_eq!(read_back(&record), expected[1..]);

    let usual = held(vec![line("a", None, None)]);
    let count = kept::reservation(&usual).unwrap();
    assert!(count.ends_with(&[0, 0]), "no line states follow");
}
