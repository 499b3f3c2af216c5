//! `holdfast policy get | put | check | versions | rollback`

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::args::{Author, Output, PolicyAction, PolicyServer};
use super::wire::{Connection, authority, text_of};
use super::{Exit, Failure, output, unreadable};
use crate::domain::policy::{Fault, Policy};
use crate::ledger::policy::{how_many, text};

/// Reads, checks or changes the policy of a server.
pub fn run(action: &PolicyAction) -> Result<(), Failure> {
    match action {
        PolicyAction::Get { of } => get(of),
        PolicyAction::Put {
            file,
            after,
            author,
            of,
        } => put(file, *after, author, of),
        PolicyAction::Check {
            file,
            server,
            output,
        } => match server {
            Some(server) => check_at(file, server, *output),
            None => check(file, *output),
        },
        PolicyAction::Versions { of } => versions(of),
        PolicyAction::Rollback {
            version,
            author,
            of,
        } => rollback(*version, author, of),
    }
}

fn connect(of: &PolicyServer) -> Result<Connection, Failure> {
    connect_to(&of.server)
}

fn connect_to(server: &str) -> Result<Connection, Failure> {
    Connection::open(authority(server)?)
}

fn get(of: &PolicyServer) -> Result<(), Failure> {
    output::json(&connect(of)?.get("/v1/policy")?.done()?)
}

fn put(file: &Path, after: Option<u64>, author: &Author, of: &PolicyServer) -> Result<(), Failure> {
    let text = read(file)?;
    let condition = match after {
        // Where there is none, there is nothing to match.
        Some(0) => String::new(),
        Some(version) => format!("if-match: \"v{version}\"\r\n"),
        None => "if-match: *\r\n".to_owned(),
    };
    let path = format!("/v1/policy?{}", author_query(author));
    let answer = connect(of)?.send("PUT", &path, &condition, &text)?;
    tell_changes(&answer.done()?, of.output)
}

/// Looks at the document alone.
fn check(file: &Path, to: Output) -> Result<(), Failure> {
    let text = read(file)?;
    let document = text::parse(&text)
        .map_err(|fault| Failure::new(Exit::Failed, format!("{}: {fault}", file.display())))?;
    let faults = match Policy::compile(&document, |_| None) {
        Ok(_) => Vec::new(),
        Err(faults) => faults,
    };
    if faults.is_empty() {
        return if to.is_json() {
            output::json(&json!({"faults": []}))
        } else {
            output::line("the policy has no faults")
        };
    }
    if to.is_json() {
        let fault = |of: &Fault| json!({"path": of.path, "code": of.code, "message": of.message});
        let faults: Vec<Value> = faults.iter().map(fault).collect();
        output::json(&json!({"faults": faults}))?;
    }
    let mut message = format!("{}: the policy has {}", file.display(), how_many(&faults));
    for fault in &faults {
        message = format!(
            "{message}\n  {}: {} ({})",
            fault.path, fault.message, fault.code
        );
    }
    Err(Failure::new(Exit::Failed, message))
}

/// Asks a server what the document would change there.
fn check_at(file: &Path, server: &str, to: Output) -> Result<(), Failure> {
    let text = read(file)?;
    let path = "/v1/policy?dry_run=true";
    let answer = connect_to(server)?.send("PUT", path, "if-match: *\r\n", &text)?;
    tell_changes(&answer.done()?, to)
}

fn rollback(version: u64, author: &Author, of: &PolicyServer) -> Result<(), Failure> {
    let mut body = json!({"version": version});
    for (name, text) in texts(author) {
        if let Some(members) = body.as_object_mut().filter(|_| !text.is_empty()) {
            members.insert(name.to_owned(), text.into());
        }
    }
    let answer = connect(of)?.send("POST", "/v1/policy/rollback", "", &body.to_string())?;
    tell_changes(&answer.done()?, of.output)
}

fn versions(of: &PolicyServer) -> Result<(), Failure> {
    let answer = connect(of)?.get("/v1/policy/versions")?.done()?;
    if of.output.is_json() {
        return output::json(&answer);
    }
    let list = answer.get("versions").and_then(Value::as_array);
    let lines: Vec<String> = list.into_iter().flatten().map(version_line).collect();
    if lines.is_empty() {
        return output::line("there is no policy");
    }
    output::line(&lines.join("\n"))
}

fn version_line(version: &Value) -> String {
    let text = |name: &str| text_of(version, name);
    let number = version.get("version").and_then(Value::as_u64);
    let (operator, reason) = (text("operator"), text("reason"));
    let line = format!("{:>6}  {}", number.unwrap_or_default(), text("at"));
    format!("{line}  {operator}  {reason}")
        .trim_end()
        .to_owned()
}

fn read(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|error| unreadable(file, &error))
}

/// Says what was put, or would be.
fn tell_changes(answer: &Value, to: Output) -> Result<(), Failure> {
    if to.is_json() {
        return output::json(answer);
    }
    let mut lines = match answer.get("version").and_then(Value::as_u64) {
        Some(version) => vec![format!("version {version} is in force")],
        None => vec!["the policy has no faults; nothing was changed".to_owned()],
    };
    if let Some(frozen) = answer.get("frozen") {
        let [campaign, until] = ["campaign", "until"].map(|name| text_of(frozen, name));
        lines.push(format!(
            "campaign {campaign} keeps the policy as it is until {until}: wait, or say why with --override"
        ));
    }
    let parts = answer.get("changes").and_then(Value::as_object);
    for (part, changes) in parts.into_iter().flatten() {
        for what in ["added", "removed", "changed"] {
            let names = changes.get(what).and_then(Value::as_array);
            let names: Vec<&str> = names
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            if !names.is_empty() {
                let part = part.replace('_', " ");
                lines.push(format!("{part} {what}: {}", names.join(", ")));
            }
        }
    }
    output::line(&lines.join("\n"))
}

fn texts(author: &Author) -> [(&'static str, &str); 3] {
    [
        ("operator", &author.operator),
        ("reason", &author.reason),
        ("override", &author.over),
    ]
}

/// Who and why, as the parameters of a query.
fn author_query(author: &Author) -> String {
    let given = texts(author).into_iter();
    let given = given.filter(|(_, text)| !text.is_empty());
    let pairs: Vec<String> = given
        .map(|(name, text)| format!("{name}={}", encoded(text)))
        .collect();
    pairs.join("&")
}

fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_holds_any_text() {
        let author = Author {
            operator: "anna".to_owned(),
            reason: "50 % & more, 汉".to_owned(),
            over: String::new(),
        };
        assert_eq!(
            author_query(&author),
            "operator=anna&reason=50%20%25%20%26%20more%2C%20%E6%B1%89"
        );
    }
}
