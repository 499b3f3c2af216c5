//! Sorted sets.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::database::{Database, Object, Refused, integer, is_word, syntax_error, wrong_type};
use super::hashes::page_of;
use super::reply::{Reply, score};

/// A double with an order.
#[derive(Debug, Clone, Copy)]
struct Score(f64);

impl PartialEq for Score {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Members by their scores.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SortedSet {
    scores: BTreeMap<Bytes, Score>,
    order: BTreeSet<(Score, Bytes)>,
}

impl SortedSet {
    /// Whether the member is new, and whether anything is different now.
    fn put(&mut self, member: &Bytes, score: Score) -> (bool, bool) {
        let known = self.scores.insert(member.clone(), score);
        if known == Some(score) {
            return (false, false);
        }
        if let Some(known) = known {
            self.order.remove(&(known, member.clone()));
        }
        self.order.insert((score, member.clone()));
        (known.is_none(), true)
    }

    fn remove(&mut self, member: &Bytes) -> bool {
        let known = self.scores.remove(member);
        known.is_some_and(|score| self.order.remove(&(score, member.clone())))
    }

    fn between(&self, (from, to): (Bound, Bound)) -> impl Iterator<Item = &(Score, Bytes)> {
        let is_in = move |score: f64| {
            (if from.is_open {
                score > from.at
            } else {
                score >= from.at
            }) && (if to.is_open {
                score < to.at
            } else {
                score <= to.at
            })
        };
        self.order.iter().filter(move |(score, _)| is_in(score.0))
    }
}

/// An end of a range of scores.
#[derive(Debug, Clone, Copy)]
struct Bound {
    at: f64,
    is_open: bool,
}

fn number(text: &[u8]) -> Result<f64, Refused> {
    let number = match text {
        b"-inf" => Some(f64::NEG_INFINITY),
        b"+inf" | b"inf" => Some(f64::INFINITY),
        _ => std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse().ok()),
    };
    number.ok_or_else(|| Reply::error("ERR value is not a valid float"))
}

fn bound(text: &Bytes) -> Result<Bound, Refused> {
    let open = text.strip_prefix(b"(");
    let at = number(open.unwrap_or(text));
    let at = at.map_err(|_refused| Reply::error("ERR min or max is not a float"))?;
    Ok(Bound {
        at,
        is_open: open.is_some(),
    })
}

fn at<'d>(database: &'d Database, key: &Bytes) -> Result<Option<&'d SortedSet>, Refused> {
    match database.object(key) {
        None => Ok(None),
        Some(Object::SortedSet(set)) => Ok(Some(set)),
        Some(_) => Err(wrong_type()),
    }
}

pub(super) fn add(database: &mut Database, args: &[Bytes]) -> Result<Reply, Refused> {
    let mut pairs = Vec::new();
    for pair in args[1..].chunks(2) {
        let [score, member] = pair else {
            return Err(syntax_error());
        };
        pairs.push((Score(number(score)?), member));
    }
    let set = database.object_or(&args[0], || Object::SortedSet(SortedSet::default()));
    let Object::SortedSet(set) = set else {
        return Err(wrong_type());
    };
    let (mut new, mut is_other) = (0, false);
    for (score, member) in pairs {
        let put = set.put(member, score);
        new += usize::from(put.0);
        is_other |= put.1;
    }
    if is_other {
        database.changed();
    }
    Ok(Reply::count(new))
}

pub(super) fn remove(database: &mut Database, args: &[Bytes]) -> Result<Reply, Refused> {
    let set = match database.object_mut(&args[0]) {
        None => return Ok(Reply::Int(0)),
        Some(Object::SortedSet(set)) => set,
        Some(_) => return Err(wrong_type()),
    };
    let gone = args[1..].iter().filter(|member| set.remove(member)).count();
    if set.scores.is_empty() {
        database.remove(&args[0]);
    }
    if gone > 0 {
        database.changed();
    }
    Ok(Reply::count(gone))
}

pub(super) fn len(database: &mut Database, args: &[Bytes]) -> Result<Reply, Refused> {
    let set = at(database, &args[0])?;
    Ok(Reply::count(set.map_or(0, |set| set.scores.len())))
}

pub(super) fn count(database: &mut Database, args: &[Bytes]) -> Result<Reply, Refused> {
    let range = (bound(&args[1])?, bound(&args[2])?);
    let set = at(database, &args[0])?;
    Ok(Reply::count(
        set.map_or(0, |set| set.between(range).count()),
    ))
}

/// By place, with scores; no more is asked for.
pub(super) fn range(database: &mut Database, args: &[Bytes]) -> Result<Reply, Refused> {
    let set = at(database, &args[0])?;
    let [from, to] = [integer(&args[1])?, integer(&args[2])?];
    if (from, to) != (0, -1) || !is_word(args.get(3), "WITHSCORES") {
        return Err(syntax_error());
    }
    let pair = |(score, member): &(Score, Bytes)| [Reply::bulk(member), Reply::Double(score.0)];
    let all = set.into_iter().flat_map(|set| &set.order).flat_map(pair);
    Ok(Reply::Array(all.collect()))
}

pub(super) fn range_by_score(database: &mut Database, args: &[Bytes]) -> Result<Reply, Refused> {
    let range = (bound(&args[1])?, bound(&args[2])?);
    let (offset, most) = match &args[3..] {
        [] => (0, usize::MAX),
        [word, offset, count] if is_word(Some(word), "LIMIT") => (
            usize::try_from(integer(offset)?).or(Err(syntax_error()))?,
            usize::try_from(integer(count)?).unwrap_or(usize::MAX),
        ),
        _ => return Err(syntax_error()),
    };
    let set = at(database, &args[0])?;
    let found = set.into_iter().flat_map(|set| set.between(range));
    let found = found.skip(offset).take(most);
    Ok(Reply::Array(
        found.map(|(_, member)| Reply::bulk(member)).collect(),
    ))
}

pub(super) fn scan(database: &mut Database, args: &[Bytes]) -> Result<Reply, Refused> {
    let set = at(database, &args[0])?;
    let all = set.into_iter().flat_map(|set| &set.scores);
    let (next, page) = page_of(all.collect(), &args[1], &args[2..])?;
    let texts = page
        .into_iter()
        .flat_map(|(member, of)| [Reply::bulk(member), Reply::bulk(score(of.0))]);
    Ok(Reply::Array(vec![
        Reply::bulk(next),
        Reply::Array(texts.collect()),
    ]))
}
