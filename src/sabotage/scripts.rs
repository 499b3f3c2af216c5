//! Faults in the scripts, as other text.

use super::armed::chosen;
use super::{Fault, is_on};

/// A fault, what is right, and what stands there instead.
type Swap = (Fault, &'static str, &'static str);

const SWAPS: [Swap; 9] = [
    (
        Fault::MuteDuplicate,
        "call('HSET', META, 'seq'",
        "if seq == before then return reply end\ncall('HSET', META, 'seq'",
    ),
    (
        Fault::NoDedupe,
        "  if record then return past, answered(record, sub(made, 1, 8)) end\n",
        "",
    ),
    (
        Fault::NoDedupe,
        "    if record then\n      other = answered(record, sub(made, 1, 8))\n    elseif not stock",
        "    if not stock",
    ),
    (
        Fault::WriteBeforeCheck,
        "  if short and (backlog",
        "  if short then take(channel, first, last, grants) end\n  if short and (backlog",
    ),
    (
        Fault::WriteBeforeCheck,
        "        local short = { REFUSED, INSUFFICIENT_STOCK }\n        add_short",
        "        hold(stock, pin, room, channel)\n        touch_stock(place)\n        \
         local short = { REFUSED, INSUFFICIENT_STOCK }\n        add_short",
    ),
    (
        Fault::BlindReaper,
        "if not booking or booking.deadline > now then return end",
        "if not booking then return end",
    ),
    (
        Fault::KeyAfterEffect,
        "put(RECORDS, record_args)\n",
        "local late = call('HGET', META, 'late')\n\
         if late then put(RECORDS, cmsgpack.unpack(late)) end\n\
         local kept, later = {}, {}\n\
         for i = 1, #record_args, 2 do\n\
         local into = byte(record_args[i + 1]) == ANSWER and later or kept\n\
         into[#into + 1], into[#into + 2] = record_args[i], record_args[i + 1]\n\
         end\n\
         put(RECORDS, kept)\n\
         call('HSET', META, 'late', pack(later))\n",
    ),
    (
        Fault::UnknownIsZero,
        "unknown = unknown or { UNRECORDED, UNKNOWN_SKU, skus[at] }",
        "stocks[at] = empty_stock()",
    ),
    (
        Fault::UnknownIsZero,
        "      other = { UNRECORDED, UNKNOWN_SKU, skus[place] }\n",
        "      local short = { REFUSED, INSUFFICIENT_STOCK }\n      \
         add_short(short, place, pin, units, 0)\n      other = short_of(slot, made, short)\n",
    ),
];

/// What only the script with every command has.
const WHOLE: &str = "commands[RESERVE]";

/// The script with the fault that is on. Half a fault proves nothing: where a text is missing, it does
/// not happen.
pub(crate) fn spoiled(source: &str) -> String {
    let swaps = SWAPS.iter().filter(|(fault, ..)| chosen() == Some(*fault));
    let is_half = |(_, right, _): &Swap| source.contains(WHOLE) && !source.contains(right);
    let mut script = source.to_owned();
    if swaps.clone().any(is_half) {
        return script;
    }
    for (fault, right, wrong) in swaps {
        if source.contains(right) && is_on(*fault) {
            script = script.replace(right, wrong);
        }
    }
    script
}
