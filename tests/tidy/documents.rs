//! What the documents must say.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::Source;

/// Longest reason: one line of a table.
const REASON_CHARS_MAX: usize = 200;

fn text_of<'a>(sources: &'a [Source], path: &str) -> &'a str {
    sources
        .iter()
        .find(|s| s.path == path)
        .map_or("", |s| &s.text)
}

/// A newcomer finds every top-level module in ARCHITECTURE.md.
pub(crate) fn modules_described(sources: &[Source]) -> Vec<String> {
    let architecture = text_of(sources, "ARCHITECTURE.md");
    let declared = text_of(sources, "src/lib.rs").lines().filter_map(|line| {
        line.trim()
            .trim_start_matches("pub ")
            .strip_prefix("mod ")?
            .strip_suffix(';')
    });
    declared
        .filter(|module| !architecture.contains(&format!("`{module}`")))
        .map(|module| format!("ARCHITECTURE.md does not name `{module}`"))
        .collect()
}

/// The table of docs/DEPENDENCIES.md is exactly what the manifests ask for.
pub(crate) fn dependencies(sources: &[Source]) -> Vec<String> {
    let manifests = sources.iter().filter(|s| s.path.ends_with("Cargo.toml"));
    let wanted: BTreeSet<&str> = manifests.flat_map(|s| direct(&s.text)).collect();
    let listed: BTreeMap<&str, &str> = text_of(sources, "docs/DEPENDENCIES.md")
        .lines()
        .filter_map(row)
        .collect();
    let mut complaints = Vec::new();
    for name in &wanted {
        match listed.get(name).map(|reason| reason.chars().count()) {
            None => complaints.push(format!("docs/DEPENDENCIES.md does not list `{name}`")),
            Some(0) => complaints.push(format!("docs/DEPENDENCIES.md: why `{name}`?")),
            Some(n) if n > REASON_CHARS_MAX => {
                complaints.push(format!(
                    "docs/DEPENDENCIES.md: `{name}` in one line, please"
                ));
            }
            Some(_) => {}
        }
    }
    for name in listed.keys().filter(|name| !wanted.contains(**name)) {
        complaints.push(format!(
            "docs/DEPENDENCIES.md lists `{name}`, which nobody asks for"
        ));
    }
    complaints
}

/// Names in the dependency tables of a manifest, other members of the workspace left out.
fn direct(manifest: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            inside = header.trim_end_matches(']').ends_with("dependencies");
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            let name = line.split([' ', '.', '=']).next().unwrap_or_default();
            let member = name.starts_with("holdfast");
            names.extend(Some(name).filter(|_| !member));
        }
    }
    names
}

/// ``| `name` | reason |`` as name and reason.
fn row(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.strip_prefix("| `")?.split_once('`')?;
    let reason = rest.trim().trim_matches('|').trim();
    Some((name, reason))
}

/// Two commands are all that a newcomer needs.
pub(crate) fn readme_commands(sources: &[Source]) -> Vec<String> {
    let readme = text_of(sources, "README.md");
    ["cargo run --release -- serve", "scripts/test"]
        .into_iter()
        .filter(|command| !readme.lines().any(|line| line.trim().starts_with(command)))
        .map(|command| format!("README.md has no line that says `{command}`"))
        .collect()
}

/// Relative links of the documents point at files that exist.
pub(crate) fn dead_links(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|s| s.has_extension("md")) {
        for target in links(&source.text) {
            let file = resolve(&source.path, target);
            let exists = sources
                .iter()
                .any(|s| s.path == file || s.is_under(file.trim_end_matches('/')));
            if !exists {
                complaints.push(format!("{}: no such file: {file}", source.path));
            }
        }
    }
    complaints
}

fn links(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (at, piece) in text.split("](").enumerate() {
        let target = piece.split([')', ' ', '#']).next().unwrap_or_default();
        let outside = target.is_empty() || target.contains("://") || target.contains('`');
        if at > 0 && !outside && !target.starts_with("mailto:") {
            found.push(target);
        }
    }
    found
}

fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            other => parts.push(other),
        }
    }
    parts.join("/")
}
