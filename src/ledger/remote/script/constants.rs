//! Puts the constants of a script where they are used.
//!
//! Lua has no constants: a name of a fixed number is a local variable, and every function that uses
//! it looks for it when it is made, among all others that were ever used in that way. A script makes
//! its functions anew at each call, and that search was a quarter of a small call's time.
//!
//! A constant is a name in capitals that `local` gives an integer, and the same one wherever it
//! does. Lines keep their numbers, so that an error of the store names the line of the source.

use std::collections::HashMap;

/// Names and numbers; none: several numbers, or something else.
type Constants<'a> = HashMap<&'a str, Option<&'a str>>;

/// The script with its constants in place.
pub fn inlined(source: &str) -> String {
    #[cfg(feature = "sabotage")]
    let source = &*crate::sabotage::spoiled(source);
    let declared: Vec<_> = declarations(source).collect();
    let constants = constants_of(&declared);
    let is_constant = |name: &&str| matches!(constants.get(name), Some(Some(_)));
    let mut script = String::with_capacity(source.len());
    let mut rest = source;
    for Declaration { text, names, .. } in &declared {
        let Some((before, after)) = rest.split_once(text) else {
            continue;
        };
        put(&mut script, before, &constants);
        let (list, values) = text.split_once('=').unwrap_or((text, ""));
        if names.iter().all(is_constant) {
            script.extend(text.chars().filter(|letter| *letter == '\n'));
        } else {
            script.push_str(list);
            script.push('=');
            put(&mut script, values, &constants);
        }
        rest = after;
    }
    put(&mut script, rest, &constants);
    script
}

/// Names in capitals and what `local` gives them.
struct Declaration<'a> {
    text: &'a str,
    names: Vec<&'a str>,
    values: Vec<&'a str>,
}

fn constants_of<'a>(declared: &[Declaration<'a>]) -> Constants<'a> {
    let mut constants = Constants::new();
    for Declaration { names, values, .. } in declared {
        for (at, name) in names.iter().enumerate() {
            let value = values.get(at).copied();
            let number = value.filter(|text| is_integer(text));
            let known = constants.entry(*name).or_insert(number);
            if *known != number {
                *known = None;
            }
        }
    }
    constants
}

/// All of them, in order.
fn declarations(source: &str) -> impl Iterator<Item = Declaration<'_>> {
    let starts = source.match_indices("local ").map(|(at, _)| at);
    starts.filter_map(|at| {
        let is_first = source.get(..at)?.trim_end_matches(' ').ends_with('\n') || at == 0;
        let text = source.get(at..)?;
        let (names, after) = text.strip_prefix("local ")?.split_once('=')?;
        let is_list =
            |letter: u8| is_capital(letter) || letter.is_ascii_whitespace() || letter == b',';
        // The values may begin in the next line; they end with their line.
        let start = after.len() - after.trim_start().len();
        let end = start + after.get(start..)?.find('\n')?;
        let length = text.len() - after.len() + end;
        let parts = |list| str::split(list, ',').map(str::trim).collect();
        (is_first && names.bytes().all(is_list)).then_some(Declaration {
            text: text.get(..length)?,
            names: parts(names),
            values: parts(after.get(..end)?),
        })
    })
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
}

const fn is_capital(letter: u8) -> bool {
    letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == b'_'
}

/// Appends a piece of the source, comments and texts as they are.
fn put(script: &mut String, piece: &str, constants: &Constants<'_>) {
    let mut rest = piece;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '\'' | '"' => end_of_text(rest, first),
            _ if is_of_name(first) => rest.find(|c| !is_of_name(c)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (word, after) = rest.split_at(length);
        let is_field = script.ends_with('.') && !script.ends_with("..") || is_assigned(after);
        match constants.get(word) {
            Some(Some(number)) if !is_field => {
                // Behind a minus, a number below zero would begin a comment.
                script.extend(["(", number, ")"]);
            }
            _ => script.push_str(word),
        }
        rest = after;
    }
}

fn is_of_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

/// Where a text in quotes ends.
fn end_of_text(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, letter) in rest.char_indices().skip(1) {
        if letter == quote && !is_escaped {
            return at + 1;
        }
        is_escaped = letter == '\\' && !is_escaped;
    }
    rest.len()
}

/// Whether what stands before this gets a value, as a field of a table does.
fn is_assigned(after: &str) -> bool {
    let after = after.trim_start();
    after.starts_with('=') && !after.starts_with("==")
}

#[cfg(test)]
mod tests {
    use super::super::{BATCH, BATCH_OF_MANY, RELIEF, RELIEF_OF_MANY};
    use super::*;

    #[test]
    fn a_number_stands_where_its_name_stood() {
        let source = "local A, B_2 =\n  1, -2\nif x == A then return -B_2 end\n";
        assert_eq!(inlined(source), "\n\nif x == (1) then return -(-2) end\n");
    }

    #[test]
    fn what_is_no_constant_stays() {
        for source in [
            "local A = KEYS[1]\nreturn A\n",
            "local C, c = 3, 4\nreturn C, c\n",
            "local A = 1\nlocal A = 2\nreturn A\n",
            "local A = B\nreturn A\n",
        ] {
            assert_eq!(inlined(source), source);
        }
        let in_part = inlined("local A, B = 1, f()\nlocal C = A\nreturn A, B, C\n");
        assert_eq!(
            in_part,
            "local A, B = 1, f()\nlocal C = (1)\nreturn (1), B, C\n"
        );
    }

    #[test]
    fn texts_comments_and_fields_are_left_alone() {
        let rest = "return 'A', \"A\\\"A\", t.A, { A = 2 }, XA, A1 -- A\n";
        assert_eq!(
            inlined(&format!("local A = 1\n{rest}")),
            format!("\n{rest}")
        );
        assert_eq!(inlined("local A = 1\nreturn x..A\n"), "\nreturn x..(1)\n");
    }

    #[test]
    fn no_script_has_a_number_with_a_name_left() {
        for source in [BATCH, RELIEF] {
            for left in declarations(&inlined(source)) {
                let is_number = left.values.iter().all(|value| is_integer(value));
                assert!(!is_number, "{}", left.text);
            }
        }
    }

    #[test]
    fn lines_keep_their_numbers() {
        for source in [BATCH, RELIEF, BATCH_OF_MANY, RELIEF_OF_MANY] {
            assert_eq!(inlined(source).lines().count(), source.lines().count());
        }
    }
}
