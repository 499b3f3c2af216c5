//! `holdfast preflight`: what would go wrong in a campaign.

use std::fs;

use serde_json::Value;

use super::args::Preflight;
use super::wire::{Connection, authority, text_of};
use super::{Exit, Failure, output, unreadable};

/// Prints what was found; a campaign with findings is a failure of its own.
pub fn run(arguments: &Preflight) -> Result<(), Failure> {
    let mut connection = Connection::open(authority(&arguments.of.server)?)?;
    let stale = arguments.stale_after;
    let query = stale.map(|seconds| format!("?stale_after_seconds={seconds}"));
    let query = query.unwrap_or_default();
    let path = format!("/v1/campaigns/{}/preflight{query}", arguments.campaign);
    let response = match &arguments.file {
        None => connection.get(&path)?,
        Some(file) => {
            let text = fs::read_to_string(file).map_err(|error| unreadable(file, &error))?;
            connection.send("POST", &path, "", &text)?
        }
    };
    let report = response.done()?;
    if arguments.of.output.is_json() {
        output::json(&report)?;
    } else {
        output::line(&told(&report))?;
    }
    judge(&report)
}

fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or_default()
}

fn findings(report: &Value) -> u64 {
    number(report, "errors") + number(report, "warnings")
}

/// The report for people: each finding with what it is about, and its fix below it.
fn told(report: &Value) -> String {
    let (campaign, state) = (text_of(report, "campaign"), text_of(report, "state"));
    let skus = number(report, "skus");
    let found = match findings(report) {
        0 => "nothing found".to_owned(),
        _ => {
            let (errors, warnings) = (number(report, "errors"), number(report, "warnings"));
            format!("{errors} errors, {warnings} warnings")
        }
    };
    let listed = report.get("findings").and_then(Value::as_array);
    let mut lines = vec![format!(
        "campaign {campaign} ({state}), {skus} SKUs: {found}"
    )];
    lines.extend(listed.into_iter().flatten().map(one));
    lines.join("\n")
}

fn one(finding: &Value) -> String {
    let (severity, code) = (text_of(finding, "severity"), text_of(finding, "code"));
    let about = [text_of(finding, "sku"), text_of(finding, "channel")];
    let about: Vec<_> = about.into_iter().filter(|of| !of.is_empty()).collect();
    let about = match about.join(", ") {
        nothing if nothing.is_empty() => nothing,
        about => format!(" {about}:"),
    };
    let (message, fix) = (text_of(finding, "message"), text_of(finding, "fix"));
    format!("{severity:<7} {code}:{about} {message}\n        {fix}")
}

fn judge(report: &Value) -> Result<(), Failure> {
    match findings(report) {
        0 => Ok(()),
        found => {
            let campaign = text_of(report, "campaign");
            let message = format!("campaign {campaign} has {found} findings");
            Err(Failure::new(Exit::Violation, message))
        }
    }
}
