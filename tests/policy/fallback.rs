//! Shares that other channels use, through the whole engine: kept with the line, over a restart.

use holdfast::blocking::wait_for;
use holdfast::domain::command::Verb;
use holdfast::domain::verdict::Limit;
use holdfast::domain::{NodeIx, Outcome, Refusal, Reservation, Sku, Verdict};
use holdfast::ledger::{About, Consistency};

use crate::desk::{Desk, everything, id_of};

/// `live` may use what `shop` has left.
fn live_lends() -> String {
    everything(
        r#"{"name":"live","fallback":["shop"]},{"name":"shop"}"#,
        r#"{"channel":"live","cap":{"units":10}},{"channel":"shop","cap":{"units":30}}"#,
    )
}

fn made(verdict: &Verdict) -> &Reservation {
    match verdict {
        Ok(Outcome::Reservation(made)) => made,
        other => panic!("no reservation: {other:?}"),
    }
}

/// Of each line whether it is charged to `shop`.
fn is_of_shop(desk: &Desk, reservation: &Reservation) -> Vec<bool> {
    let shop = wait_for(desk.engine.make_channel("shop")).unwrap().index;
    let lines = reservation.lines.iter();
    lines
        .map(|line| line.line.charged_to.is_some() && line.line.charged_to == shop)
        .collect()
}

#[test]
fn what_is_of_anothers_share_counts_there_for_the_life_of_the_line() {
    let mut desk = Desk::new();
    desk.set("stock", "s", 100);
    desk.put(&live_lends(), 0).unwrap();
    let own = desk.hold("own", "live", "s", 10);
    assert_eq!(is_of_shop(&desk, made(&own)), [false]);
    let lent = desk.hold("lent", "live", "s", 12);
    assert_eq!(is_of_shop(&desk, made(&lent)), [true]);
    let id = id_of(&lent);
    assert_eq!((desk.room("live", "s"), desk.room("shop", "s")), (18, 18));

    desk = desk.restarted();
    assert_eq!((desk.room("live", "s"), desk.room("shop", "s")), (18, 18));
    let kept = wait_for(desk.engine.reservation(id)).unwrap().unwrap();
    assert_eq!(is_of_shop(&desk, &kept), [true]);
    let again = desk.hold("lent", "live", "s", 12);
    assert_eq!(again, lent, "the same key gets the same answer");

    // What its own share gets back is its own again; what was lent goes back to who lent it.
    desk.act("back", id_of(&own), Verb::Release).unwrap();
    assert_eq!((desk.room("live", "s"), desk.room("shop", "s")), (18, 18));
    desk.act("confirm", id, Verb::Confirm).unwrap();
    desk.act("move", id, Verb::Transfer { to: NodeIx::MAIN })
        .unwrap();
    desk.act("ship", id, Verb::Ship { from: None }).unwrap();
    assert_eq!((desk.room("live", "s"), desk.room("shop", "s")), (18, 18));
    desk = desk.restarted();
    assert_eq!((desk.room("live", "s"), desk.room("shop", "s")), (18, 18));

    // Of its own again, and then lent: what goes back goes back to who lent it.
    let own = desk.hold("own again", "live", "s", 10);
    assert_eq!(is_of_shop(&desk, made(&own)), [false]);
    let lent = desk.hold("lent again", "live", "s", 5);
    assert_eq!(is_of_shop(&desk, made(&lent)), [true]);
    assert_eq!(desk.room("shop", "s"), 13);
    desk.act("give back", id_of(&lent), Verb::Release).unwrap();
    assert_eq!((desk.room("live", "s"), desk.room("shop", "s")), (18, 18));
    desk.act("own back", id_of(&own), Verb::Release).unwrap();

    let third = desk.hold("third", "live", "s", 18);
    assert_eq!(desk.room("shop", "s"), 0);
    desk.clock.advance(3_600_000);
    assert_eq!(desk.room("shop", "s"), 18, "it expired");
    let gone = desk.act("late", id_of(&third), Verb::Confirm);
    assert_eq!(gone, Err(Refusal::Expired));
}

#[test]
fn availability_is_what_would_pass_and_a_refusal_says_so() {
    let desk = Desk::new();
    desk.set("stock", "s", 100);
    desk.put(&live_lends(), 0).unwrap();
    desk.hold("own", "live", "s", 8).unwrap();
    let live = wait_for(desk.engine.make_channel("live")).unwrap().index;
    let about = About {
        node: None,
        channel: live,
    };
    let sku = Sku::new("s").unwrap();
    let shown = desk.engine.availability(sku, about, Consistency::Strong);
    let shown = wait_for(shown).unwrap().unwrap();
    assert_eq!((shown.available.get(), shown.limit), (30, Limit::Cap));
    assert_eq!(shown.share.unwrap().left.get(), 30);
    let Err(Refusal::InsufficientStock { shortages }) = desk.hold("31", "live", "s", 31) else {
        panic!("more than any share has")
    };
    let bound = shortages[0].bound.unwrap();
    assert_eq!(shortages[0].available.get(), 30);
    assert_eq!((Some(bound.channel), bound.units.get()), (live, 10));
    desk.hold("30", "live", "s", 30).unwrap();
}
