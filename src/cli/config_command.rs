//! `holdfast config check | show | init`

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use serde_json::json;

use super::args::{ConfigAction, ConfigFlags};
use super::{Exit, Failure, load_config, output};
use crate::config::{self, DEFAULT_TOML, Setting};

/// Checks, shows or writes the configuration.
pub fn run(action: &ConfigAction) -> Result<(), Failure> {
    match action {
        ConfigAction::Check(flags) => check(flags),
        ConfigAction::Show(flags) => show(flags),
        ConfigAction::Init { file: None } => output::line(DEFAULT_TOML.trim_end()),
        ConfigAction::Init { file: Some(path) } => init(path),
    }
}

fn check(flags: &ConfigFlags) -> Result<(), Failure> {
    if !flags.output.is_json() {
        load_config(&flags.flags())?;
        return output::line("the configuration is valid");
    }
    let problems = config::load(&flags.flags())
        .err()
        .map(|p| p.0)
        .unwrap_or_default();
    let list: Vec<_> = problems
        .iter()
        .map(|p| json!({"key": p.key, "origin": p.origin, "fix": p.fix}))
        .collect();
    output::json(&json!({"valid": list.is_empty(), "problems": list}))?;
    if list.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(
            Exit::Config,
            format!("{} mistakes in the configuration", list.len()),
        ))
    }
}

fn show(flags: &ConfigFlags) -> Result<(), Failure> {
    let loaded = load_config(&flags.flags())?;
    if flags.output.is_json() {
        let list: Vec<_> = loaded
            .settings
            .iter()
            .map(|s| json!({"key": s.key, "value": s.value, "origin": s.origin}))
            .collect();
        return output::json(&json!({"settings": list}));
    }
    output::line(&to_toml(&loaded.settings))
}

fn to_toml(settings: &[Setting]) -> String {
    let mut lines = Vec::new();
    let mut section = "";
    for Setting {
        key,
        value,
        is_number,
        origin,
    } in settings
    {
        let (its_section, name) = key.split_once('.').unwrap_or(("", key));
        if its_section != section {
            section = its_section;
            lines.push(format!("\n[{section}]"));
        }
        let value = if *is_number {
            value.clone()
        } else {
            format!("{value:?}")
        };
        let line = format!("{name} = {value}");
        lines.push(format!("{line:<32} # {origin}"));
    }
    lines.join("\n")
}

fn init(path: &Path) -> Result<(), Failure> {
    let failure = |e| {
        Failure::new(
            Exit::Failed,
            format!("cannot write {}: {e}", path.display()),
        )
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(failure)?;
    file.write_all(DEFAULT_TOML.as_bytes()).map_err(failure)?;
    output::note(&format!("wrote {}", path.display()));
    Ok(())
}
