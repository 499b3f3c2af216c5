//! What the scripts tell of SKUs beside what was asked for: see `lua/lib/deficit.lua`.

use super::Malformed;
use super::pack::Reader;
use super::refusal::units;
use super::water;
use crate::ledger::event::{Body, DeficitTold, LowWaterTold, TermsNoted};

/// Values of what is told of a SKU.
const VALUES: usize = 5;

/// What is told.
const NORMAL: i64 = 0;
const LOW: i64 = 1;
const DEFICIT: i64 = 2;
const TERMS: i64 = 3;

/// What a batch tells: with the sequence of each.
pub(super) fn all<'a>(reader: &mut Reader<'a>) -> Result<Vec<(u64, Body<'a>)>, Malformed> {
    let count = reader.array()? / VALUES;
    (0..count).map(|_| one(reader)).collect()
}

fn one<'a>(reader: &mut Reader<'a>) -> Result<(u64, Body<'a>), Malformed> {
    let sequence = reader.narrow()?;
    let (sku, what) = (reader.text()?, reader.int()?);
    let body = match what {
        NORMAL | LOW => Body::LowWater(LowWaterTold {
            sku,
            low: what == LOW,
            available: units(reader)?,
            suspended: reader.int()? == 1,
        }),
        DEFICIT => Body::Deficit(DeficitTold {
            sku,
            deficit: units(reader)?,
            was: units(reader)?,
        }),
        TERMS => {
            let (safety, mark) = (reader.int()?, reader.bytes()?);
            let terms = water::terms(safety, mark)?;
            Body::TermsNoted(TermsNoted { sku, terms })
        }
        _ => return Err(Malformed),
    };
    Ok((sequence, body))
}
