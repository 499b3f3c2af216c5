//! `holdfast verify`: recover, recount everything, compare; change nothing.

use serde_json::json;

use super::args::Verify;
use super::{Failure, judge, load_config, open, output, whole};
use crate::blocking::wait_for;
use crate::config::StoreSettings;
use crate::ledger::Recount;

/// Verifies a data folder and prints what was counted.
pub fn run(arguments: &Verify) -> Result<(), Failure> {
    let config = load_config(&arguments.ledger.flags())?.config;
    let opened = open::engine_to_look(&config)?;
    let recount = wait_for(opened.engine.recount())?;
    let tally = whole::tally(&opened.engine)?;
    let content = tally.map(|tally| tally.content.to_string());
    let durable = opened.engine.health().durable;
    opened.engine.close()?;
    let Recount {
        skus,
        reservations,
        open,
        units_promised,
        units_on_hand,
        deficits,
        ..
    } = recount;
    if arguments.output.is_json() {
        output::json(&json!({
            "data": config.data.display().to_string(),
            "clean": recount.violation_count == 0,
            "skus": skus,
            "reservations": reservations,
            "open_reservations": open,
            "units_on_hand": units_on_hand,
            "units_promised": units_promised,
            "deficits": deficits,
            "violations": recount.violation_count,
            "violation_list": recount.violations,
            "content": content,
            "sequence": durable.sequence,
            "recovery_seconds": opened.took.as_secs_f64(),
        }))?;
    } else {
        output::table(&[
            match &config.store {
                StoreSettings::Embedded => ("data", config.data.display().to_string()),
                StoreSettings::Remote(store) => ("store", store.to_string()),
            },
            ("SKUs", skus.to_string()),
            ("reservations", reservations.to_string()),
            ("open reservations", open.to_string()),
            ("units on hand", units_on_hand.to_string()),
            ("units promised", units_promised.to_string()),
            ("SKUs in deficit", deficits.to_string()),
            (
                "recovered in",
                format!("{:.3} s", opened.took.as_secs_f64()),
            ),
            ("violations", recount.violation_count.to_string()),
            (
                "content",
                content.unwrap_or_else(|| "not counted".to_owned()),
            ),
        ])?;
    }
    judge(&recount)
}
