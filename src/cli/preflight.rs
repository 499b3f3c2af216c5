//! `holdfast preflight`: what would go wrong in a campaign.

use std::fs;

use serde_json::Value;

use super::args::Preflight;
use super::wire::{Connection, Response, authority};
use super::{Exit, Failure, output, unreadable};

/// Prints what was found; a campaign with findings is a failure of its own.
pub fn run(arguments: &Preflight) -> Result<(), Failure> {
    let mut connection = Connection::open(authority(&arguments.server)?)?;
    let stale = arguments.stale_after;
    let query = stale.map(|seconds| format!("?stale_after_seconds={seconds}"));
    let query = query.unwrap_or_default();
    let path = format!("/v1/campaigns/{}/preflight{query}", arguments.campaign);
    let response = match &arguments.file {
        None => connection.get(&path)?,
        Some(file) => {
            let text = fs::read_to_string(file).map_err(|error| unreadable(file, &error))?;
            connection.post_text(&path, &text)?
        }
    };
    if response.status != 200 {
        return Err(refused(&response));
    }
    if arguments.output.is_json() {
        output::json(&response.body)?;
    } else {
        output::line(&told(&response.body))?;
    }
    judge(&response.body)
}

/// Why there was no pre-flight, with every fault of a policy.
fn refused(response: &Response) -> Failure {
    let faults = response.body.get("errors").and_then(Value::as_array);
    let faults = faults.into_iter().flatten();
    let faults =
        faults.map(|fault| format!("  {}: {}", text(fault, "path"), text(fault, "message")));
    let mut lines = vec![format!("the server says {}", response.problem())];
    lines.extend(faults);
    Failure::new(Exit::Failed, lines.join("\n"))
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or_default()
}

fn findings(report: &Value) -> u64 {
    number(report, "errors") + number(report, "warnings")
}

/// The report for people: each finding with what it is about, and its fix below it.
fn told(report: &Value) -> String {
    let (campaign, state) = (text(report, "campaign"), text(report, "state"));
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
    let (severity, code) = (text(finding, "severity"), text(finding, "code"));
    let about = [text(finding, "sku"), text(finding, "channel")];
    let about: Vec<_> = about.into_iter().filter(|of| !of.is_empty()).collect();
    let about = match about.join(", ") {
        nothing if nothing.is_empty() => nothing,
        about => format!(" {about}:"),
    };
    let (message, fix) = (text(finding, "message"), text(finding, "fix"));
    format!("{severity:<7} {code}:{about} {message}\n        {fix}")
}

fn judge(report: &Value) -> Result<(), Failure> {
    match findings(report) {
        0 => Ok(()),
        found => {
            let campaign = text(report, "campaign");
            let message = format!("campaign {campaign} has {found} findings");
            Err(Failure::new(Exit::Violation, message))
        }
    }
}
