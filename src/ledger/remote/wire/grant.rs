//! What a line of a reservation got: its units, or with them its day and the channel whose share it is
//! of, as `GRANT` in `lua/lib/records.lua` packs them.

use super::Malformed;
use super::pack::{Reader, Value, Writer};
use super::record::Integers;
use super::refusal::units;
use crate::domain::decide::Grant;
use crate::domain::{ChannelIx, Day};

/// Bytes of a quantity.
const UNITS_BYTES: usize = 5;

/// Reads it.
pub(super) fn take(reader: &mut Reader<'_>) -> Result<Grant, Malformed> {
    let mut ahead = *reader;
    let Value::Bytes(packed) = ahead.value()? else {
        return Ok(Grant {
            units: units(reader)?,
            day: None,
            charged_to: None,
        });
    };
    *reader = ahead;
    let mut from = Integers(packed);
    Ok(Grant {
        units: from.units()?,
        day: Day::new(from.index()?),
        charged_to: from.user()?,
    })
}

/// Writes it.
pub(super) fn put(w: &mut Writer, grant: &Grant) {
    if grant.day.is_none() && grant.charged_to.is_none() {
        return w.uint(grant.units.get());
    }
    let units = grant.units.get().to_le_bytes();
    let day = grant.day.map_or(0, Day::get).to_le_bytes();
    let user = user(grant.charged_to).to_le_bytes();
    let packed = units.iter().take(UNITS_BYTES).chain(&day).chain(&user);
    w.bytes(&packed.copied().collect::<Vec<_>>());
}

/// The channel whose share a line is of, plus one; 0: that of its reservation.
pub(super) fn user(charged_to: Option<ChannelIx>) -> u16 {
    charged_to.map_or(0, |ChannelIx(channel)| channel.saturating_add(1))
}
