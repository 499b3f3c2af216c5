//! Faults put into real histories, one at a time. The search must see every one that leaves no order;
//! where it finds one, that is held against the independent model, which shows that the history with
//! the fault in it is one that could have been.

use std::collections::BTreeMap;

use crate::embedded::play;
use crate::linear::judge::{Verdict, judge};
use crate::linear::plan::{Kind, LARGE, Plan, SMALL, Size};
use crate::linear::wanted;
use crate::linear::words::{
    Booking, Call, Heard, History, Key, No, Said, Stage, Step, Units, Verb, Wish,
};
use crate::replay::replay;
use crate::support::rng::Rng;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// Done for refused, or refused for done.
    Flipped,
    /// A count is one too many.
    OneMore,
    /// Two calls of the same kind have each other's answers.
    Swapped,
    /// It was over before that began which it depends on.
    TooEarly,
    /// A repetition was answered as if it were the first.
    NotRepeated,
    /// A repetition took effect, and was answered so.
    DoneTwice,
    /// A hold was granted and nobody knows of it any more.
    Forgotten,
    /// A deadline is later than it should be.
    Deadline,
    /// A look shows what was there before.
    Stale,
}

impl Fault {
    const ALL: [Self; 9] = [
        Self::Flipped,
        Self::OneMore,
        Self::Swapped,
        Self::TooEarly,
        Self::NotRepeated,
        Self::DoneTwice,
        Self::Forgotten,
        Self::Deadline,
        Self::Stale,
    ];

    /// Whether there is always somebody who notices. A hold that is made twice or forgotten shows only if
    /// somebody comes who is refused for it, or sees it; an answer may be as right as the true one where
    /// calls overlap.
    const fn is_certain(self) -> bool {
        matches!(self, Self::TooEarly | Self::NotRepeated | Self::Deadline)
    }

    /// Puts it in; `None` if the call does not lend itself to it.
    fn put(self, history: &History, at: usize, rng: &mut Rng) -> Option<History> {
        let mut calls = history.calls.clone();
        let call = calls[at];
        let (answered, heard) = call.end?;
        let mut say = |said| calls[at].end = Some((answered, Heard { said, ..heard }));
        match self {
            Self::Flipped => say(flipped(history, &call, heard.said)?),
            Self::OneMore => say(one_more(heard.said)?),
            Self::Deadline => say(later(heard.said)?),
            Self::Swapped => swap(&mut calls, at, rng)?,
            Self::TooEarly => hurry(&mut calls, at)?,
            Self::NotRepeated if heard.replayed => {
                calls[at].end = Some((answered, Heard::first(heard.said)));
            }
            Self::DoneTwice if heard.replayed => calls[at] = done_twice(call)?,
            Self::Forgotten => forget(&mut calls, at)?,
            Self::Stale => look_back(&mut calls, at)?,
            Self::NotRepeated | Self::DoneTwice => return None,
        }
        Some(History::new(history.began, calls))
    }
}

/// The same history with tickets apart, so that a call fits between any two.
fn spread(mut history: History) -> History {
    for call in &mut history.calls {
        call.sent *= 4;
        if let Some((answered, _)) = &mut call.end {
            *answered *= 4;
        }
    }
    history
}

fn flipped(history: &History, call: &Call, said: Said) -> Option<Said> {
    let Step::Ask { key, wish } = call.step else {
        return None;
    };
    let like = |stage| {
        Said::Refused(if stage == Stage::Held {
            No::NotHeld
        } else {
            No::Expired
        })
    };
    Some(match (wish, said) {
        (Wish::Reserve { units, .. }, Said::Reservation(_)) => {
            Said::Refused(No::Short(units.map(|units| (units > 0).then(|| units - 1))))
        }
        (Wish::Reserve { units, ttl, .. }, Said::Refused(No::Short(_))) => {
            Said::Reservation(granted(history, call, (key, units, ttl)))
        }
        (Wish::Act { .. }, Said::Reservation(booking)) => like(booking.stage),
        (Wish::Act { target, .. }, Said::Refused(_)) => {
            let mut said = { history.calls.iter() }.filter_map(|of| Some(of.end?.1.said));
            said.find(|said| matches!(said, Said::Reservation(made) if made.key == target))?
        }
        (Wish::Set { .. } | Wish::Adjust { .. }, Said::Stock { .. }) => {
            Said::Refused(No::Negative { on_hand: 0 })
        }
        _ => return None,
    })
}

/// The reservation that a call might have been granted.
fn granted(history: &History, call: &Call, (key, units, ttl): (Key, Units, u32)) -> Booking {
    let before = { history.calls.iter() }.filter(|of| of.answered() < call.sent);
    let passed = before.map(|of| match of.step {
        Step::Clock { by } => by,
        Step::Ask { .. } | Step::Look { .. } => 0,
    });
    let created = history.began.unwrap_or(0) + passed.sum::<i64>();
    Booking {
        key,
        created,
        deadline: created + i64::from(ttl),
        requested: units,
        granted: units,
        stage: Stage::Held,
    }
}

fn one_more(said: Said) -> Option<Said> {
    Some(match said {
        Said::Stock { on_hand, available } => Said::Stock {
            on_hand,
            available: available + 1,
        },
        Said::Seen(Some([on_hand, held, committed])) => {
            Said::Seen(Some([on_hand, held + 1, committed]))
        }
        Said::Refused(No::Short(short)) => {
            Said::Refused(No::Short(short.map(|room| room.map(|room| room + 1))))
        }
        Said::Refused(No::Stale { on_hand }) => Said::Refused(No::Stale {
            on_hand: on_hand + 1,
        }),
        Said::Reservation(mut booking) => {
            let most = booking.granted.iter_mut().max()?;
            *most += 1;
            Said::Reservation(booking)
        }
        Said::Seen(None) | Said::Refused(_) | Said::Moved | Said::Nonsense => return None,
    })
}

fn later(said: Said) -> Option<Said> {
    let Said::Reservation(mut booking) = said else {
        return None;
    };
    booking.deadline += 1;
    Some(Said::Reservation(booking))
}

/// The kind of a call, as far as answers are alike.
fn kind(step: Step) -> Option<u8> {
    match step {
        Step::Ask { wish, .. } => Some(match wish {
            Wish::Set { .. } | Wish::Adjust { .. } => 0,
            Wish::Reserve { .. } => 1,
            Wish::Act { .. } => 2,
        }),
        Step::Look { .. } => Some(3),
        Step::Clock { .. } => None,
    }
}

fn swap(calls: &mut [Call], at: usize, rng: &mut Rng) -> Option<()> {
    let other = rng.index(calls.len());
    let is_alike = kind(calls[at].step)? == kind(calls[other].step)?;
    let ((here, one), (there, two)) = (calls[at].end?, calls[other].end?);
    (calls[at].end, calls[other].end) = (Some((here, two)), Some((there, one)));
    (is_alike && one != two).then_some(())
}

/// What moved a reservation on was over before anybody had asked for that.
fn hurry(calls: &mut [Call], at: usize) -> Option<()> {
    let Step::Ask {
        wish: Wish::Act { target, .. },
        ..
    } = calls[at].step
    else {
        return None;
    };
    let (_, heard) = calls[at].end?;
    let is_made = |of: &&Call| matches!(of.step, Step::Ask { key, .. } if key == target);
    let asked = { calls.iter() }.filter(is_made).map(|of| of.sent).min()?;
    calls[at].sent = asked - 2;
    calls[at].end = Some((asked - 1, heard));
    let is_done = matches!(heard.said, Said::Reservation(_));
    (is_done && !heard.replayed).then_some(())
}

/// The same command under a key of its own.
fn done_twice(mut call: Call) -> Option<Call> {
    let Step::Ask { key, wish } = &mut call.step else {
        return None;
    };
    let (answered, heard) = call.end?;
    let Said::Reservation(mut booking) = heard.said else {
        return None;
    };
    // No plan has that many.
    *key += 10_000;
    if matches!(wish, Wish::Reserve { .. }) {
        booking.key = *key;
    } else if !matches!(
        wish,
        Wish::Act {
            verb: Verb::Extend(_),
            ..
        }
    ) {
        // Whatever else is done to a reservation, doing it again is no fault.
        return None;
    }
    call.end = Some((answered, Heard::first(Said::Reservation(booking))));
    Some(call)
}

/// Takes out a hold that nothing else in the history names.
fn forget(calls: &mut Vec<Call>, at: usize) -> Option<()> {
    let Step::Ask {
        key,
        wish: Wish::Reserve { .. },
    } = calls[at].step
    else {
        return None;
    };
    let names = |of: &Call| match of.step {
        Step::Ask {
            key: own,
            wish: Wish::Act { target, .. },
        } => own == key || target == key,
        Step::Ask { key: own, .. } => own == key,
        Step::Look { .. } | Step::Clock { .. } => false,
    };
    let is_alone = { calls.iter() }.filter(|of| names(of)).count() == 1;
    let is_held = matches!(calls[at].end?.1.said, Said::Reservation(_));
    calls.remove(at);
    (is_alone && is_held).then_some(())
}

/// A look is answered as the one before it was, which saw something else.
fn look_back(calls: &mut [Call], at: usize) -> Option<()> {
    let (answered, heard) = calls[at].end?;
    let is_before = |of: &&Call| of.step == calls[at].step && of.answered() < calls[at].sent;
    let (_, before) = { calls.iter() }.rev().find(is_before)?.end?;
    calls[at].end = Some((answered, before));
    let is_look = matches!(calls[at].step, Step::Look { .. });
    (is_look && before != heard).then_some(())
}

/// How many mutants there were of a fault, and how many of them had an order all the same.
type Counts = BTreeMap<Fault, [u32; 2]>;

fn try_faults(histories: Vec<History>, each: usize, rng: &mut Rng, counts: &mut Counts) {
    for history in histories {
        let history = spread(history);
        assert!(matches!(judge(&history).0, Verdict::Legal(_)));
        let mut tried = 0;
        while tried < each {
            let fault = rng.pick(&Fault::ALL);
            let Some(mutant) = fault.put(&history, rng.index(history.calls.len()), rng) else {
                continue;
            };
            tried += 1;
            let count = counts.entry(fault).or_default();
            count[0] += 1;
            match judge(&mutant).0 {
                Verdict::Illegal(_) => {}
                Verdict::Undecided => panic!("{fault:?}: not decided"),
                Verdict::Legal(orders) => {
                    count[1] += 1;
                    for (part, order) in orders {
                        replay(&part, &order).unwrap_or_else(|why| panic!("{fault:?}: {why}"));
                    }
                }
            }
        }
    }
}

fn plans(numbers: std::ops::Range<u64>, size: Size) -> Vec<Plan> {
    let kind = Kind {
        is_timed: true,
        is_lossy: false,
    };
    numbers
        .map(|number| Plan::draw(number, size, kind))
        .collect()
}

#[test]
fn every_fault_that_leaves_no_order_is_seen() {
    let mut rng = Rng::new(26);
    let mut counts = Counts::new();
    let small = (wanted() / 400).max(30);
    let large = small + small / 3;
    try_faults(play(&plans(0..small, SMALL)), 40, &mut rng, &mut counts);
    try_faults(play(&plans(small..large, LARGE)), 40, &mut rng, &mut counts);
    println!("mutants, and those that could have been: {counts:?}");
    for fault in Fault::ALL {
        let [mutants, legal] = counts.get(&fault).copied().unwrap_or_default();
        assert!(mutants > 0, "{fault:?} was never put in");
        assert!(
            !fault.is_certain() || legal == 0,
            "{fault:?}: {legal} of {mutants} unseen"
        );
    }
}
