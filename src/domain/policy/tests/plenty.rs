//! What is said to be within every limit at once, against each limit by itself.

use super::*;

/// Whatever is said to suffice is what the whole tree lets the channel take.
#[test]
fn what_surely_is_within_every_limit_is_granted_by_each() {
    let mut rng = Rng(23);
    let (mut sufficed, mut granted) = (0, 0);
    while granted < 50_000 {
        let document = random_document(&mut rng, 9);
        let Ok(policy) = Policy::compile(&document, index_of) else {
            continue;
        };
        let rule = policy.in_force("any", UnixMillis(5)).unwrap();
        // From about what is kept to the most that can be counted.
        let scale = [1, 4, 100, Units::MAX.get() / 300][rng.index(4)];
        for _ in 0..8 {
            let mut uses = random_uses(&mut rng, document.channels.len());
            if rng.one_in(2) {
                uses.iter_mut().for_each(|of| of.moved = 0);
            }
            let uses = Uses::from_parts(UnixMillis(0), uses);
            let supply = Supply {
                on_hand: units(scale * rng.below(300)),
                free: units(scale * rng.below(300)),
            };
            let taken = units(rng.below(3) * rng.below(9));
            let asked = units(rng.below(supply.free.get() + 2));
            let channel = ChannelIx(u16::try_from(rng.index(document.channels.len() + 2)).unwrap());
            let mine = Taken::of(channel, taken);
            let bound = rule.room(channel, supply, &uses, &mine);
            let room = bound.map_or(supply.free, |bound| bound.room);
            let suffices = rule.suffices(asked, supply, &uses, taken);
            let context =
                || format!("{document:?} {uses:?} {channel:?} {supply:?} {taken} {asked}");
            assert!(!suffices || asked <= room, "{}", context());
            let claim = Claim { channel, rule };
            let told = claim.bound(asked, supply, &uses, &mine);
            assert_eq!(told, bound.filter(|_| !suffices), "{}", context());
            sufficed += u32::from(suffices && !uses.is_empty());
            granted += u32::from(asked <= room);
        }
    }
    assert!(sufficed > 5_000, "{sufficed} of {granted}");
}
