//! Histories that one can judge by looking at them, and small ones of any kind, judged by trying every
//! order.

use crate::linear::judge::{Verdict, judge};
use crate::linear::shelf::{Care, Shelf};
use crate::linear::words::{
    Booking, Call, Heard, History, Key, No, Said, Stage, Step, Units, Verb, Wish,
};
use crate::replay::replay;
use crate::support::rng::Rng;

const BEGAN: i64 = 1_000;
const TTL: u32 = 10;
/// One of the first SKU.
const UNIT: Units = [1, 0, 0];

fn told(sent: u64, answered: u64, step: Step, said: Said) -> Call {
    Call {
        sent,
        step,
        end: Some((answered, Heard::first(said))),
    }
}

fn repeated(sent: u64, answered: u64, step: Step, said: Said) -> Call {
    let heard = Heard {
        said,
        replayed: true,
    };
    Call {
        sent,
        step,
        end: Some((answered, heard)),
    }
}

fn unheard(sent: u64, step: Step) -> Call {
    Call {
        sent,
        step,
        end: None,
    }
}

fn ask(key: Key, wish: Wish) -> Step {
    Step::Ask { key, wish }
}

/// One unit, under a key.
fn hold(key: Key) -> Step {
    hold_of(key, UNIT)
}

fn hold_of(key: Key, units: Units) -> Step {
    let wish = Wish::Reserve {
        units,
        ttl: TTL,
        partial: false,
    };
    ask(key, wish)
}

fn act(key: Key, target: Key, verb: Verb) -> Step {
    ask(key, Wish::Act { target, verb })
}

fn held(key: Key) -> Said {
    held_of(key, UNIT)
}

fn held_of(key: Key, units: Units) -> Said {
    Said::Reservation(booking(key, units))
}

fn booking(key: Key, units: Units) -> Booking {
    Booking {
        key,
        created: BEGAN,
        deadline: BEGAN + i64::from(TTL),
        requested: units,
        granted: units,
        stage: Stage::Held,
    }
}

fn moved(key: Key, stage: Stage) -> Said {
    Said::Reservation(booking(key, UNIT).at(stage))
}

const SOLD_OUT: Said = Said::Refused(No::Short([Some(0), None, None]));

/// So many units are there before anything else.
fn stock(sku: usize, on_hand: u16) -> Call {
    let wish = Wish::Set {
        sku,
        on_hand,
        change_from: None,
    };
    let at = u64::try_from(sku).unwrap() * 2;
    let key = 900 + Key::try_from(sku).unwrap();
    let available = on_hand;
    let said = Said::Stock { on_hand, available };
    told(at, at + 1, ask(key, wish), said)
}

fn look(sku: usize) -> Step {
    Step::Look { sku }
}

fn saw(held: u16) -> Said {
    Said::Seen(Some([1, held, 0]))
}

/// One unit of the first SKU, and these calls.
fn over_one(calls: Vec<Call>) -> History {
    over(vec![stock(0, 1)], calls)
}

fn over(mut stock: Vec<Call>, calls: Vec<Call>) -> History {
    stock.extend(calls);
    History::new(Some(BEGAN), stock)
}

fn is_legal(history: &History) -> bool {
    match judge(history).0 {
        Verdict::Legal(orders) => {
            for (part, order) in orders {
                replay(&part, &order).unwrap_or_else(|fault| panic!("{fault}\n{part:#?}"));
            }
            true
        }
        Verdict::Illegal(_) => false,
        Verdict::Undecided => panic!("not decided: {history:?}"),
    }
}

fn assert_legal(calls: Vec<Call>) {
    let history = over_one(calls);
    assert!(is_legal(&history), "has an order: {history:#?}");
}

fn assert_illegal(calls: Vec<Call>) {
    let history = over_one(calls);
    assert!(!is_legal(&history), "has no order: {history:#?}");
}

#[test]
fn of_two_who_want_the_last_unit_one_gets_it() {
    let both = |second| {
        vec![
            told(10, 13, hold(1), held(1)),
            told(11, 12, hold(2), second),
        ]
    };
    assert_legal(both(SOLD_OUT));
    assert_illegal(both(held(2)));
    // Refused before anybody had asked for it.
    assert_illegal(vec![
        told(10, 11, hold(1), SOLD_OUT),
        told(12, 13, hold(2), held(2)),
    ]);
}

#[test]
fn what_was_given_back_before_cannot_be_missing() {
    let release = act(2, 1, Verb::Release);
    let story = |asked| {
        vec![
            told(10, 11, hold(1), held(1)),
            told(12, 16, release, moved(1, Stage::Released)),
            told(asked, asked + 1, hold(3), SOLD_OUT),
        ]
    };
    assert_legal(story(14));
    assert_illegal(story(17));
}

#[test]
fn what_nobody_heard_of_may_have_happened_then_or_later_but_not_before() {
    let refused = told(12, 13, hold(2), SOLD_OUT);
    assert_legal(vec![unheard(10, hold(1)), refused]);
    assert_illegal(vec![refused, unheard(14, hold(1))]);
    assert_illegal(vec![refused]);
    let looks = |first, second| {
        vec![
            unheard(10, hold(1)),
            told(11, 12, look(0), saw(first)),
            told(13, 14, look(0), saw(second)),
        ]
    };
    assert_legal(looks(0, 0));
    assert_legal(looks(0, 1));
    assert_legal(looks(1, 1));
    assert_illegal(looks(1, 0));
}

#[test]
fn what_is_asked_twice_is_done_once() {
    let first = told(10, 11, hold(1), held(1));
    assert_legal(vec![first, repeated(12, 13, hold(1), held(1))]);
    assert_illegal(vec![first, told(12, 13, hold(1), held(1))]);
    assert_illegal(vec![repeated(8, 9, hold(1), held(1)), first]);
    // Nobody heard the first answer, and both attempts took effect.
    let two = |held| {
        let twice = vec![
            unheard(10, hold(1)),
            told(12, 13, hold(1), self::held(1)),
            told(14, 15, look(0), Said::Seen(Some([2, held, 0]))),
        ];
        over(vec![stock(0, 2)], twice)
    };
    assert!(is_legal(&two(1)));
    assert!(!is_legal(&two(2)));
    let other = act(1, 1, Verb::Confirm);
    let reused = Said::Refused(No::KeyReused);
    assert_legal(vec![first, told(12, 13, other, reused)]);
    assert_illegal(vec![told(8, 9, other, reused), first]);
}

#[test]
fn nothing_expires_before_its_time_or_stays_beyond_it() {
    let first = told(10, 11, hold(1), held(1));
    let clock = |sent, answered| told(sent, answered, Step::Clock { by: 10 }, Said::Moved);
    let confirm = act(2, 1, Verb::Confirm);
    let expired = Said::Refused(No::Expired);
    let confirmed = moved(1, Stage::Committed);
    assert_legal(vec![first, clock(12, 20), told(13, 14, confirm, expired)]);
    assert_legal(vec![first, clock(12, 20), told(13, 14, confirm, confirmed)]);
    assert_illegal(vec![first, told(13, 14, confirm, expired), clock(15, 20)]);
    assert_illegal(vec![first, clock(12, 13), told(15, 16, confirm, confirmed)]);
}

#[test]
fn a_reservation_is_made_before_it_is_moved_on() {
    let confirm = act(2, 1, Verb::Confirm);
    let confirmed = told(10, 11, confirm, moved(1, Stage::Committed));
    assert_legal(vec![confirmed, told(9, 14, hold(1), held(1))]);
    assert_illegal(vec![confirmed, told(12, 14, hold(1), held(1))]);
    let unknown = Said::Refused(No::UnknownReservation);
    assert_legal(vec![
        told(10, 13, confirm, unknown),
        told(9, 12, hold(1), held(1)),
    ]);
    assert_illegal(vec![
        told(13, 14, confirm, unknown),
        told(9, 12, hold(1), held(1)),
    ]);
}

#[test]
fn lines_of_a_reservation_are_held_together() {
    let both = [1, 1, 0];
    let story = |second| {
        let calls = vec![
            told(10, 20, hold_of(1, both), held_of(1, both)),
            told(11, 12, look(0), saw(1)),
            told(13, 14, look(1), saw(second)),
        ];
        over(vec![stock(0, 1), stock(1, 1)], calls)
    };
    assert!(is_legal(&story(1)));
    assert!(!is_legal(&story(0)));
    // Apart, the same looks are of two that have nothing to do with each other.
    let apart = vec![
        told(10, 20, hold(1), held(1)),
        told(10, 20, hold_of(2, [0, 1, 0]), held_of(2, [0, 1, 0])),
        told(11, 12, look(0), saw(1)),
        told(13, 14, look(1), saw(0)),
    ];
    assert!(is_legal(&over(vec![stock(0, 1), stock(1, 1)], apart)));
}

/// Whether any order of the answered calls with any of the others gives all answers: all of them are
/// tried, one after the other.
fn any_order(history: &History, order: &mut Vec<usize>) -> bool {
    let calls = &history.calls;
    let answered = |at: &usize| calls[*at].end.is_some();
    let is_whole = (0..calls.len())
        .filter(answered)
        .all(|at| order.contains(&at));
    if is_whole && gives_all_answers(history, order) {
        return true;
    }
    (0..calls.len()).any(|at| {
        if order.contains(&at) {
            return false;
        }
        order.push(at);
        let is_found = any_order(history, order);
        order.pop();
        is_found
    })
}

fn gives_all_answers(history: &History, order: &[usize]) -> bool {
    let calls = &history.calls;
    let is_late = |(place, at): (usize, &usize)| {
        { &order[..place] }
            .iter()
            .any(|before| calls[*at].answered() < calls[*before].sent)
    };
    if order.iter().enumerate().any(is_late) {
        return false;
    }
    let care = Care::of(calls.iter().map(|call| call.step));
    let mut shelf = Shelf::of(history);
    order.iter().all(|at| {
        let call = &calls[*at];
        let (heard, change) = shelf.answer(call.step);
        shelf.apply(change, &care);
        call.end.is_none_or(|(_, told)| told == heard)
    })
}

fn any_step(rng: &mut Rng) -> Step {
    let key = Key::try_from(rng.below(4)).unwrap();
    let target = Key::try_from(rng.below(4)).unwrap();
    match rng.below(10) {
        0 => look(rng.index(2)),
        1 => Step::Clock { by: 10 },
        2 | 3 => act(
            key,
            target,
            rng.pick(&[Verb::Confirm, Verb::Release, Verb::Extend(20)]),
        ),
        4 => hold_of(key, [0, 1, 0]),
        5 => hold_of(key, [1, 1, 0]),
        6 => {
            let sku = rng.index(2);
            ask(key, Wish::Adjust { sku, by: -1 })
        }
        _ => hold(key),
    }
}

/// A few calls with answers of some order, which need not agree with their times, and one answer of
/// which may be another's.
fn any_history(rng: &mut Rng) -> History {
    let mut calls = vec![stock(0, 1), stock(1, 1)];
    let care = Care::default();
    let mut shelf = Shelf::new(Some(BEGAN));
    for call in &calls {
        shelf.apply(shelf.answer(call.step).1, &care);
    }
    let all = Care::of((0..4).flat_map(|key| [hold(key), hold(key), act(key, key, Verb::Ship)]));
    for _ in 0..rng.between(2, 4) {
        let step = any_step(rng);
        let (heard, change) = shelf.answer(step);
        shelf.apply(change, &all);
        let sent = 10 + rng.below(12);
        let answered = sent + 1 + rng.below(6);
        let is_heard = matches!(step, Step::Clock { .. }) || rng.percent(80);
        calls.push(Call {
            sent: sent * 10 + u64::try_from(calls.len()).unwrap(),
            step,
            end: is_heard.then_some((answered * 10 + 9, heard)),
        });
    }
    History::new(Some(BEGAN), calls)
}

#[test]
fn the_search_says_what_all_orders_say() {
    let mut counts = [0; 2];
    let mut rng = Rng::new(24);
    for _ in 0..4_000 {
        let history = any_history(&mut rng);
        let is_any = any_order(&history, &mut Vec::new());
        assert_eq!(is_legal(&history), is_any, "{history:#?}");
        counts[usize::from(is_any)] += 1;
    }
    println!("without an order, with one: {counts:?}");
    assert!(counts.iter().all(|count| *count > 500), "{counts:?}");
}
