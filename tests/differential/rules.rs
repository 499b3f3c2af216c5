//! What a rule allows, by the rule book and by the script: random policies, uses and claims, many in
//! one call.

use holdfast::domain::policy::{Policy, Supply, Taken};
use holdfast::domain::verdict::Limit;
use holdfast::domain::{ChannelIx, ChannelUse, UnixMillis, Uses};
use holdfast::ledger::remote::script::inlined;
use holdfast::ledger::remote::wire::policy;

use crate::documents::random;
use crate::server::{Kind, Server};
use crate::support::check::START;
use crate::support::history::{CHANNELS, SKUS};
use crate::support::rng::Rng;
use crate::support::script::units;

/// The script's functions, and what asks them: of each case the rule, number, rank, supply, what is
/// free and whom share is to be moved to, then the uses as the functions take them. Who is bound by
/// no limit may have all.
const ASKED: &str = concat!(
    "#!lua\nlocal floor, max, min = math.floor, math.max, math.min\n",
    "local UNITS_MAX, BY_CAP, BY_PROTECTION = 1000000000000, 5, 6\n",
    include_str!("../../lua/lib/rule.lua"),
    "
local rooms, rule = {}, unfold(folded(ARGV[1]))
for i = 2, #ARGV do
  local uses = {}
  for text in string.gmatch(ARGV[i], '%S+') do uses[#uses + 1] = tonumber(text) end
  local number, rank, supply, free, to =
    table.remove(uses, 1), table.remove(uses, 1), table.remove(uses, 1), table.remove(uses, 1),
    table.remove(uses, 1)
  local used, moved = no_sums(rule)
  for u = 1, #uses, 3 do charge(rule, used, moved, uses[u], uses[u + 1], uses[u + 2]) end
  local room, limit, at, units, count =
    allowed(rule, used, moved, supply, number, rank, free)
  rooms[#rooms + 1] = room
    and string.format('%d %d EntryIx(%d) %d %d', room, limit, rule[1][at], units, count) or 'all'
  local giver, taker = innermost(rule, number), innermost(rule, to)
  local most = nil
  if giver > 0 and taker > 0 and rule[1][giver] == number and rule[1][taker] == to then
    most = movable(rule, used, moved, supply, 65535, giver, taker)
  end
  rooms[#rooms] = rooms[#rooms] .. '; ' .. (most and string.format('%d', most) or 'none')
end
return rooms
"
);

/// Rules, and questions about each.
const RULES: usize = 400;
const CASES: usize = 60;

struct Case {
    channel: ChannelIx,
    to: ChannelIx,
    supply: Supply,
    uses: Uses,
    taken: u64,
}

fn quantity(rng: &mut Rng) -> u64 {
    match rng.below(12) {
        0 => rng.below(1_000_000_000_000),
        1 => 1_000_000_000_000,
        2 | 3 => 0,
        _ => rng.below(30),
    }
}

fn case(rng: &mut Rng, window: UnixMillis) -> Case {
    let on_hand = quantity(rng);
    let mut uses = Vec::new();
    for channel in 0..=CHANNELS {
        if rng.percent(30) {
            continue;
        }
        uses.push(ChannelUse {
            channel: ChannelIx(channel),
            open: units(quantity(rng)),
            shipped: units(quantity(rng)),
            moved: if rng.percent(60) {
                0
            } else {
                i64::try_from(rng.below(40)).unwrap() - 20
            },
        });
    }
    let mut channel = || ChannelIx(u16::try_from(rng.below(u64::from(CHANNELS) + 1)).unwrap());
    let (from, to) = (channel(), channel());
    let is_theirs = rng.percent(80);
    let theirs = if is_theirs { window } else { UnixMillis(7) };
    Case {
        channel: from,
        to,
        supply: Supply {
            on_hand: units(on_hand),
            free: units(rng.below(on_hand + 1)),
        },
        uses: Uses::from_parts(theirs, uses),
        taken: if rng.percent(70) { 0 } else { rng.below(5) },
    }
}

impl Case {
    fn written(&self, policy: &Policy, window: UnixMillis) -> String {
        let parts = policy.parts();
        let seat = |channel: ChannelIx| {
            let seat = parts
                .channels
                .get(usize::from(channel.0))
                .copied()
                .flatten();
            seat.map_or((-1, u16::MAX), |(number, rank)| (i64::from(number), rank))
        };
        let counted: Vec<ChannelUse> = self.uses.in_window(window).collect();
        let on_hand = self.supply.on_hand;
        let supply = counted.iter().fold(on_hand, |sum, of| {
            sum.checked_add(of.shipped)
                .unwrap_or(holdfast::domain::Units::MAX)
        });
        let (number, rank) = seat(self.channel);
        let asked = format!(
            "{number} {rank} {supply} {} {}",
            self.supply.free,
            seat(self.to).0
        );
        let uses = counted
            .iter()
            .map(|of| format!("{} {} {}", seat(of.channel).0, of.total(), of.moved));
        let taken = format!("{number} {} 0", self.taken);
        let all: Vec<String> = std::iter::once(asked).chain(uses).chain([taken]).collect();
        all.join(" ")
    }
}

#[test]
fn a_rule_allows_in_a_script_what_it_allows_in_the_rule_book() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let mut connection = server.connect();
        let source = inlined(ASKED);
        let mut rng = Rng::new(11);
        let (mut met, mut moved) = ([0; 3], 0);
        for _ in 0..RULES {
            let (_, policy) = random(&mut rng);
            let sku = SKUS[rng.index(SKUS.len())];
            let now = UnixMillis(START + i64::try_from(rng.below(40_000)).unwrap());
            let Some(rule) = policy.in_force(sku, now) else {
                continue;
            };
            let cases: Vec<Case> = (0..CASES).map(|_| case(&mut rng, rule.window())).collect();
            let mut ask = redis::cmd("EVAL");
            ask.arg(&source).arg(0).arg(policy::rule(rule.limits()));
            for case in &cases {
                ask.arg(case.written(&policy, rule.window()));
            }
            let told: Vec<String> = ask.query(&mut connection).unwrap();
            for (case, told) in cases.iter().zip(told) {
                let taken = Taken::of(case.channel, units(case.taken));
                let bound = rule.room(case.channel, case.supply, &case.uses, &taken);
                let expected = match bound {
                    None => "all".to_owned(),
                    Some(bound) => {
                        let limit = if bound.limit == Limit::Cap { 5 } else { 6 };
                        met[limit - 4] += 1;
                        let (room, entry) = (bound.room, bound.entry);
                        format!("{room} {limit} {entry:?} {} {}", bound.units, bound.used)
                    }
                };
                met[0] += usize::from(bound.is_none());
                let context = || format!("{kind:?}: {}", case.written(&policy, rule.window()));
                let (told, movable) = told.split_once("; ").unwrap();
                assert_eq!(told, expected, "{}", context());
                // What is taken beside the uses counts only for the room.
                if case.taken == 0 {
                    let most = rule.movable((case.channel, case.to), case.supply, &case.uses);
                    let expected = most.map_or("none".to_owned(), |most| most.to_string());
                    assert_eq!(movable, expected, "{}", context());
                    moved += usize::from(most.is_ok_and(|most| most.get() > 0));
                }
            }
        }
        assert!(met.iter().all(|times| *times > 500), "{met:?}");
        assert!(moved > 500, "{moved}");
    }
}
