//! What a store may say when it is met, and in its replies.

use super::*;
use crate::domain::UnixMillis;

fn marker(epoch: u32, sequence: u64, tip: &str) -> Marker {
    Marker {
        position: Position {
            shard: 0,
            epoch,
            sequence,
        },
        tip: tip.as_bytes().to_vec(),
    }
}

fn header(epoch: u32, before: u64, last: u64, tip: &str) -> Header {
    Header {
        epoch,
        now: UnixMillis(0),
        before,
        last,
        tip: tip.to_owned(),
        backlog: false,
        policy: 0,
    }
}

/// After an answer at 1.7, sent at 1.5.
fn seen_seven() -> History {
    let history = History::new(1);
    let command = Acknowledged { id: 1, sequence: 7 };
    let position = marker(1, 5, "").position;
    assert!(history.note(position, &header(1, 5, 7, "seven"), [command].into_iter()));
    assert_eq!(history.seen(), Some(marker(1, 7, "seven")));
    history
}

/// A store that stands there; `at_seen` is where its batch with the change 7 ends.
fn met(history: &History, stands: Marker, at_seen: Option<Marker>) -> Contact {
    Contact {
        marker: Some(stands),
        at_seen,
        seen: history.seen(),
        was_lost: history.is_lost(),
        stopped: None,
    }
}

#[test]
fn a_chain_that_contains_what_was_seen_goes_on() {
    for (stands, at_seen) in [
        (marker(1, 7, "seven"), None),
        (marker(1, 9, "nine"), Some(marker(1, 7, "seven"))),
        // The stream was cut behind it.
        (marker(1, 9, "nine"), None),
        // A loss was accepted: of what was seen, and before.
        (marker(2, 3, "three"), None),
        (marker(2, 9, "nine"), Some(marker(1, 7, "seven"))),
    ] {
        let history = seen_seven();
        history.meet(&met(&history, stands.clone(), at_seen));
        assert!(!history.is_lost(), "{stands:?}");
    }
}

#[test]
fn a_chain_without_what_was_seen_is_lost_whatever_its_length() {
    for (stands, at_seen) in [
        (marker(1, 6, "six"), None),
        (marker(1, 7, "another"), Some(marker(1, 7, "another"))),
        (marker(1, 9, "nine"), Some(marker(1, 7, "another"))),
        (marker(1, 9, "nine"), Some(marker(1, 8, "eight"))),
        (marker(0, 9, "nine"), None),
    ] {
        let history = seen_seven();
        let contact = met(&history, stands.clone(), at_seen);
        assert_eq!(contact.missing(), Some(&marker(1, 7, "seven")));
        history.meet(&contact);
        assert!(history.is_lost(), "{stands:?}");
        let sent_after = history.position();
        let told = history.note(sent_after, &header(1, 7, 8, "eight"), std::iter::empty());
        assert!(!told, "nobody is told anything any more");
    }
}

#[test]
fn a_reply_from_another_history_is_told_to_nobody() {
    for odd in [
        header(1, 6, 9, "behind what was seen when it was sent"),
        header(1, 7, 7, "another end of the same length"),
        header(0, 9, 9, "an older epoch"),
    ] {
        let history = seen_seven();
        assert!(!history.note(history.position(), &odd, std::iter::empty()));
        assert!(history.is_lost(), "{odd:?}");
        assert_eq!(history.seen(), Some(marker(1, 7, "seven")));
    }
}

#[test]
fn replies_that_overtake_each_other_are_no_loss() {
    let history = History::new(1);
    let start = history.position();
    assert!(history.note(start, &header(1, 2, 4, "four"), std::iter::empty()));
    assert!(history.note(start, &header(1, 0, 2, "two"), std::iter::empty()));
    assert_eq!(history.seen(), Some(marker(1, 4, "four")));
    assert!(!history.is_lost());
}

#[test]
fn an_accepted_loss_or_the_return_of_what_was_lost_ends_the_quarantine() {
    for (stands, after) in [
        (marker(2, 6, "six"), marker(2, 6, "six")),
        (marker(1, 7, "seven"), marker(1, 7, "seven")),
    ] {
        let history = seen_seven();
        history.meet(&met(&history, marker(1, 6, "six"), None));
        let stopped = Contact {
            stopped: Some("1.7".to_owned()),
            ..met(&history, stands.clone(), None)
        };
        history.resume(&stopped);
        assert!(history.is_lost(), "nobody has accepted it");
        history.resume(&met(&history, stands, None));
        assert!(!history.is_lost());
        assert_eq!(history.seen(), Some(after));
    }
}

#[test]
fn what_became_lost_after_the_store_was_asked_stays_lost() {
    let history = seen_seven();
    let earlier = met(&history, marker(1, 7, "seven"), None);
    history.meet(&met(&history, marker(1, 6, "six"), None));
    history.resume(&earlier);
    assert!(history.is_lost());
}

#[test]
fn what_was_answered_last_is_remembered_once() {
    let history = seen_seven();
    let remembered = history.take_remembered();
    assert_eq!(remembered.commands, [Acknowledged { id: 1, sequence: 7 }]);
    assert!(remembered.is_all);
    assert_eq!(history.take_remembered().commands, []);
}
