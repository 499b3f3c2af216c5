//! The files of the repository, and Rust text without its comments and literals.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A text file of the repository.
#[derive(Debug)]
pub(crate) struct Source {
    /// Path from the root of the repository, with `/`.
    pub(crate) path: String,
    /// What it says.
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.has_extension("rs")
    }

    pub(crate) fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|found| found == extension)
    }

    pub(crate) fn is_under(&self, folder: &str) -> bool {
        self.path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.starts_with('/'))
    }

    /// The checks hold the words that they forbid.
    pub(crate) fn is_tidy_itself(&self) -> bool {
        self.is_under("tests/tidy")
    }

    /// Rust code with comments and the inside of literals blanked out; lines stay where they are.
    pub(crate) fn code(&self) -> String {
        blank(&self.text)
    }
}

/// Everything that is, or is about to be, under version control.
pub(crate) struct Repository {
    pub(crate) sources: Vec<Source>,
}

impl Repository {
    pub(crate) fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let paths = listed_by_git(root).unwrap_or_else(|| walk(root));
        let read = |path: String| {
            let text = fs::read_to_string(root.join(&path)).ok()?;
            Some(Source { path, text })
        };
        Self {
            sources: paths.into_iter().filter_map(read).collect(),
        }
    }
}

fn listed_by_git(root: &Path) -> Option<Vec<String>> {
    let list = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(list)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let paths: Vec<String> = text
        .split('\0')
        .filter(|path| !path.is_empty())
        .map(str::to_owned)
        .collect();
    (output.status.success() && !paths.is_empty()).then_some(paths)
}

/// For an unpacked archive, which has no history.
fn walk(root: &Path) -> Vec<String> {
    let skipped = |name: &str| ["target", "data", ".git", ".tools"].contains(&name);
    let mut folders: Vec<PathBuf> = vec![root.to_owned()];
    let mut paths = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !skipped(&entry.file_name().to_string_lossy()) {
                folders.push(path);
            } else if let Ok(relative) = path.strip_prefix(root) {
                paths.push(relative.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    paths
}

/// Blanks comments and literals. Knows enough of Rust's lexical grammar for that and no more.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(
                chars[at..end]
                    .iter()
                    .map(|c| if *c == '\n' { '\n' } else { ' ' }),
            );
            at = end;
        }
    }
    out
}

/// Where the comment or literal that starts here ends; `at` itself if none starts here.
fn literal_end(chars: &[char], at: usize) -> usize {
    let get = |i: usize| chars.get(i).copied().unwrap_or('\0');
    match (get(at), get(at + 1)) {
        ('/', '/') => find(chars, at, |c| c == '\n'),
        ('/', '*') => block_comment_end(chars, at),
        ('"', _) => quoted_end(chars, at + 1, '"'),
        ('r', '"' | '#') if !continues_a_word(chars, at) => raw_end(chars, at + 1).unwrap_or(at),
        ('\'', '\\') => quoted_end(chars, at + 1, '\''),
        ('\'', _) if get(at + 2) == '\'' => at + 3,
        _ => at,
    }
}

fn continues_a_word(chars: &[char], at: usize) -> bool {
    let before = at
        .checked_sub(1)
        .and_then(|i| chars.get(i))
        .copied()
        .unwrap_or(' ');
    (before.is_alphanumeric() || before == '_') && before != 'b'
}

fn find(chars: &[char], from: usize, is_end: impl Fn(char) -> bool) -> usize {
    chars
        .iter()
        .skip(from)
        .position(|c| is_end(*c))
        .map_or(chars.len(), |n| from + n)
}

fn quoted_end(chars: &[char], from: usize, quote: char) -> usize {
    let mut at = from;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

fn block_comment_end(chars: &[char], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0_usize);
    loop {
        match (chars.get(at), chars.get(at + 1)) {
            (Some('/'), Some('*')) => (at, depth) = (at + 2, depth + 1),
            (Some('*'), Some('/')) => (at, depth) = (at + 2, depth - 1),
            (Some(_), _) => at += 1,
            (None, _) => return chars.len(),
        }
        if depth == 0 {
            return at;
        }
    }
}

/// The end of a raw string whose first `#` or quote is at `from`; `None` for `r#name`.
fn raw_end(chars: &[char], from: usize) -> Option<usize> {
    let open = find(chars, from, |c| c != '#');
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let hashes = open - from;
    let mut at = open + 1;
    loop {
        at = find(chars, at, |c| c == '"') + 1;
        let closing = chars
            .iter()
            .skip(at)
            .take(hashes)
            .filter(|c| **c == '#')
            .count();
        if closing == hashes || at >= chars.len() {
            return Some((at + hashes).min(chars.len()));
        }
    }
}

#[test]
fn comments_and_literals_are_blanked_and_lines_kept() {
    let text = "a /* x /* y */ z */ b // c\nd \"e\\\"f\" 'g' '\\'' h<'i> r#\"j\"k\"# b\"l\" r#m";
    let code = blank(text);
    assert_eq!(code.lines().count(), 2);
    let words: Vec<&str> = code.split_whitespace().collect();
    assert_eq!(words, ["a", "b", "d", "h<'i>", "b", "r#m"]);
}
