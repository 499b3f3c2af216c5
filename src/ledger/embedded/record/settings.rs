//! Settings of a SKU as bytes.

use super::BadRecord;
use super::bytes::{Reader, Writer};
use crate::domain::Settings;
use crate::domain::stock::{Safety, Selling};

pub(in super::super) fn put_settings(w: &mut Writer<'_>, settings: Settings) {
    match settings.safety {
        Safety::Units(units) => {
            w.byte(1);
            w.units(units);
        }
        Safety::Percent(basis_points) => {
            w.byte(2);
            w.number(u64::from(basis_points));
        }
    }
    w.byte(match settings.selling {
        Selling::On => 1,
        Selling::Suspended => 2,
    });
    w.maybe_units(settings.low_water);
    w.number(u64::from(settings.version));
}

pub(in super::super) fn get_settings(r: &mut Reader<'_>) -> Result<Settings, BadRecord> {
    let safety = match r.byte()? {
        1 => Safety::Units(r.units()?),
        2 => Safety::Percent(r.narrow()?),
        _ => return Err(BadRecord),
    };
    let selling = match r.byte()? {
        1 => Selling::On,
        2 => Selling::Suspended,
        _ => return Err(BadRecord),
    };
    let low_water = r.maybe_units()?;
    Ok(Settings {
        safety,
        selling,
        low_water,
        version: r.narrow()?,
    })
}
