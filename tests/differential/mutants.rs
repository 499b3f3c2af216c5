//! The check is itself checked: scripts with a fault put in must be told from those without.

use crate::histories::check;
use crate::partition::Partition;
use crate::server::{Kind, Server};
use crate::support::history::Maker;
use holdfast::ledger::remote::script::BATCH;

/// What is wrong, the text that is right, and what stands there instead.
const FAULTS: [(&str, &str, &str); 38] = [
    (
        "one unit too many is promised",
        "if room < units or user then return false end",
        "if room + 1 < units or user then return false end",
    ),
    (
        "what is kept is not left where there seems to be plenty",
        "totals.used - taken) - totals.kept\n",
        "totals.used - taken)\n",
    ),
    (
        "the smallest cap is not looked at where there seems to be plenty",
        "min(free, totals.least - totals.used - taken) - totals.kept",
        "free - totals.kept",
    ),
    (
        "one unit too many is promised to a line alone",
        "if room < units then\n        local short =",
        "if room + 1 < units then\n        local short =",
    ),
    (
        "a place of a stock is left folded up",
        "local last = SETTINGS + N_FIELDS * (#rest - from + 1) / NODE_BYTES",
        "local last = SETTINGS + N_FIELDS * ((#rest - from + 1) / NODE_BYTES - 1)",
    ),
    (
        "a channel still uses what went back",
        "stock[OPEN], stock.totals, stock.sums = stock[OPEN] - units, nil, nil\n",
        "",
    ),
    (
        "whoever was in front used what it used before the batch",
        "charged[stock[FRONT]], stock.charged = stock[OPEN], charged",
        "stock.charged = charged",
    ),
    (
        "lines before are not counted",
        "taken = taken + units\n",
        "taken = taken\n",
    ),
    (
        "what is lent counts for who asked",
        "units, users and users[line] or channel, ",
        "units, channel, ",
    ),
    (
        "the share of the first fallback is not the first",
        "if most >= wanted then break end",
        "",
    ),
    (
        "what lines before took of other shares is not counted there",
        "by_share[user] = (by_share[user] or 0) + units\n",
        "",
    ),
    (
        "what is lent goes back to who asked",
        "local user = line.user or booking.channel",
        "local user = booking.channel",
    ),
    (
        "pins are ignored",
        "if free < room then room, limit = free, BY_NODE end",
        "",
    ),
    (
        "safety stock is ignored",
        "if above < room then room, limit = above, BY_SAFETY end",
        "",
    ),
    (
        "the safety stock of a node is ignored",
        "local above = max(free - kept_of(stock, pin - 1), 0)",
        "local above = free",
    ),
    (
        "the safety stocks of nodes are not summed",
        "safety = max(safety, kept_of(stock))",
        "safety = max(safety, kept_of(stock, 0))",
    ),
    (
        "a node keeps more than it has",
        "sum = sum + min(units, on_hand)",
        "sum = sum + units",
    ),
    (
        "a low SKU is low no more above its mark",
        "available <= mark or was_low and available < resume",
        "available <= mark",
    ),
    (
        "a SKU is suspended for good",
        "put_flag(stock, IS_STOPPED, low and suspends)",
        "if low and suspends then put_flag(stock, IS_STOPPED, true) end",
    ),
    (
        "an act does not make a SKU low",
        "    watch(line.place)\n",
        "",
    ),
    (
        "what expires does not end that a SKU is low",
        "if is_first or has_bit(stock[FLAGS], IS_LOW) then settle_low(line.place) end",
        "",
    ),
    (
        "what the policy says is not noted before a command looks at it",
        "elseif policy then\n      note_terms(at)",
        "elseif false then",
    ),
    (
        "a reservation alone is judged by what the policy said before",
        "if policy then note_terms(place) end\n      if has_supply",
        "if has_supply",
    ),
    (
        "the policy goes before a safety stock of the SKU's own",
        "if not has_bit(flags, OWN_SAFETY)\n    and (stock[SAFETY]",
        "if (stock[SAFETY]",
    ),
    (
        "what the policy says for a time it says for good",
        "if all[i] <= now and now < all[i + 1] then",
        "if all[i] <= now then",
    ),
    (
        "a new SKU does without what the policy says",
        "if stocks[at] or not follow(at, stock) then return end",
        "if true then return end",
    ),
    (
        "fingerprints are ignored",
        "FINGERPRINT_END) ~= fingerprint then",
        "FINGERPRINT_END) == nil then",
    ),
    (
        "nothing expires",
        "if not booking or booking.deadline > now then return end",
        "if booking or not booking then return end",
    ),
    (
        "the deadline itself is not too late",
        "booking.deadline > now then return end",
        "booking.deadline >= now then return end",
    ),
    (
        "a release takes committed units first",
        "min(max(lines[n][L_HELD] - (gone[n] or 0), 0), units)",
        "max(units - lines[n][L_COMMITTED], 0)",
    ),
    (
        "extending may shorten",
        "if now + a > booking.deadline then",
        "if now + a ~= booking.deadline then",
    ),
    (
        "unpinned goods are shipped from what others pinned",
        "local free = max(stock[at + N_ON_HAND] - stock[at + N_PINNED], 0)",
        "local free = stock[at + N_ON_HAND]",
    ),
    (
        "one unit of share too many is moved",
        "if possible < units then return over_share",
        "if possible + 1 < units then return over_share",
    ),
    (
        "a group gives more share than it has",
        "most, above = min(most, is.left[above]), parents[above]",
        "above = parents[above]",
    ),
    (
        "a cap becomes a protection that nobody gave",
        "if caps[from] >= 0 and caps[to] < 0 then",
        "if false then",
    ),
    (
        "a protection beside a cap moves with it",
        "caps[at] < 0 and shifted[at] or 0",
        "shifted[at]",
    ),
    (
        "who gives share keeps it",
        "shift(stock, from, -units) and shift(stock, to, units)",
        "shift(stock, to, units)",
    ),
    (
        "share that was moved counts in the next window",
        "roll_uses(stock, policy.window(at))\n",
        "",
    ),
];

#[test]
fn every_fault_of_a_script_is_noticed() {
    let server = Server::start(Kind::Redis);
    for (what, right, wrong) in FAULTS {
        assert!(BATCH.contains(right), "{what}: nothing to put it into");
        let source = BATCH.replace(right, wrong);
        let mut partition = Partition::fresh(&server, &source, 0);
        let noticed = (0..200).any(|seed| {
            let mut maker = Maker::new(seed);
            maker.policies = seed % 2 == 1;
            maker.terms = seed % 4 == 3;
            maker.share_moves = if maker.policies { 8 } else { 0 };
            let history = maker.history(600);
            check(&mut partition, seed, &history).is_err()
        });
        assert!(noticed, "{what}: went unnoticed");
    }
}
