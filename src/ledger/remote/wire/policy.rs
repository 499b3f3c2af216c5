//! A policy as the store keeps it, and the command that puts it in force: see `lua/lib/policy.lua`,
//! `lua/lib/rule.lua` and `lua/policy.lua`.

use super::Malformed;
use super::command::PUT_POLICY;
use super::pack::{Reader, Writer};
use super::reply::BatchReply;
use super::result::Outcome;
use super::water;
use crate::domain::policy::{
    Against, Amount, CampaignTerms, EntryLimit, Every, Limits, Parts, Policy, Protection, Schedule,
    TermsInTime,
};
use crate::domain::{Units, UnixMillis};
use crate::ledger::policy::PolicyVersion;
use crate::limits::UNITS_MAX;

/// The number of a channel that is no entry of the tree.
const NOWHERE: u16 = u16::MAX;

/// Integers beyond are not exact in Lua.
const EXACT_MAX: i64 = 1 << 53;

/// Instead of an amount, and of whom a protection is kept from where that is everybody.
const NONE: i64 = -1;

/// A field of the hash and its value.
pub type Field = (Vec<u8>, Vec<u8>);

/// The fields of a policy.
pub fn fields(policy: &Policy) -> Vec<Field> {
    let parts = policy.parts();
    let head = (b"/h".to_vec(), head(&parts));
    let numbered = |letter: char, number: usize| format!("/{letter}{number}").into_bytes();
    let class = |number: u32| number.to_string().into_bytes();
    let skus = { parts.skus.iter() }.map(|(sku, of)| (sku.as_bytes().to_vec(), class(*of)));
    let prefixes = { parts.prefixes.iter() }
        .map(|(prefix, of)| (format!("/p{prefix}").into_bytes(), class(*of)));
    let classes = { parts.classes.iter().enumerate() }
        .map(|(number, of)| (numbered('k', number), texts(of.iter().copied())));
    let schedules = { parts.schedules.iter().enumerate() }
        .map(|(number, of)| (numbered('r', number), schedule(of)));
    let rules = { parts.limits.iter().enumerate() }
        .filter_map(|(number, of)| Some((numbered('l', number), rule((*of)?))));
    let frozen = { parts.frozen.iter().enumerate() }
        .filter(|(_, of)| !of.is_empty())
        .map(|(number, of)| (numbered('f', number), frozen(of)));
    let said = { parts.terms.iter().enumerate() }
        .filter(|(_, of)| !of.is_empty())
        .map(|(number, of)| (numbered('t', number), said(of)));
    let classes = classes.chain(said);
    let named = skus.chain(prefixes).chain(classes).chain(frozen);
    let all = std::iter::once(head).chain(named);
    all.chain(schedules).chain(rules).collect()
}

fn head(parts: &Parts<'_>) -> Vec<u8> {
    let seat = |seat: &Option<(u16, u16)>| {
        let (number, rank) = seat.unwrap_or((NOWHERE, NOWHERE));
        [number, rank].map(u16::to_le_bytes).concat()
    };
    let seats: Vec<u8> = parts.channels.iter().flat_map(seat).collect();
    let mut w = Writer::default();
    w.array(6);
    w.bytes(&seats);
    w.bytes(parts.rest.to_string().as_bytes());
    w.array(parts.lengths.len());
    parts.lengths.iter().for_each(|length| w.count(*length));
    w.array(2 * parts.fallbacks.len());
    for (channel, list) in &parts.fallbacks {
        w.uint(u64::from(channel.0));
        w.array(list.len());
        list.iter().for_each(|of| w.uint(u64::from(of.0)));
    }
    w.count(parts.skus.len());
    let has_terms = parts.terms.iter().any(|of| !of.is_empty());
    w.uint(u64::from(has_terms));
    w.0
}

/// From when until when what is said beside limits, whatever goes first first.
fn said(terms: &[TermsInTime]) -> Vec<u8> {
    let mut w = Writer::default();
    w.array(4 * terms.len());
    for of in terms {
        let (safety, mark) = water::said(&of.terms);
        w.int(of.from.0.max(-EXACT_MAX));
        w.int(of.until.0.min(EXACT_MAX));
        w.int(safety);
        match mark {
            Some(mark) => w.bytes(&mark),
            None => w.flag(false),
        }
    }
    w.0
}

fn texts(numbers: impl ExactSizeIterator<Item = usize>) -> Vec<u8> {
    let mut w = Writer::default();
    w.array(numbers.len());
    for number in numbers {
        w.bytes(number.to_string().as_bytes());
    }
    w.0
}

fn schedule(schedule: &Schedule) -> Vec<u8> {
    let mut w = Writer::default();
    w.array(1 + 4 * schedule.dated.len());
    let always = schedule.always.map(|limits| limits.to_string());
    w.bytes(always.unwrap_or_default().as_bytes());
    for rule in &schedule.dated {
        w.int(rule.from.0);
        w.int(rule.until.0.min(EXACT_MAX));
        w.int(rule.every.map_or(0, Every::as_millis));
        w.bytes(rule.limits.to_string().as_bytes());
    }
    w.0
}

/// From when until when which campaign forbids edits.
fn frozen(campaigns: &[&CampaignTerms]) -> Vec<u8> {
    let mut w = Writer::default();
    w.array(3 * campaigns.len());
    for campaign in campaigns {
        w.int(campaign.from.0);
        w.int(campaign.until.0.min(EXACT_MAX));
        w.bytes(campaign.name.as_bytes());
    }
    w.0
}

/// The limits of a rule: each of them as a text of its own, which not every reader needs, then what
/// can be said of all together.
pub fn rule(limits: &Limits) -> Vec<u8> {
    let (kept, least) = (limits.kept(), limits.least());
    let mut w = Writer::default();
    w.array(5);
    w.bytes(&each(limits.each()));
    w.uint(kept.share);
    w.uint(kept.units.min(UNITS_MAX));
    w.int(least.share.map_or(NONE, i64::from));
    w.uint(least.units.get());
    w.0
}

fn each(limits: &[EntryLimit]) -> Vec<u8> {
    let parent = |of: &EntryLimit| of.parent.map_or(0, |at| i64::from(at) + 1);
    let kept = |of: &EntryLimit| of.protection.map_or(NONE, |of| amount(of.amount));
    let columns: [&dyn Fn(&EntryLimit) -> i64; 7] = [
        &|of| i64::from(of.place.low),
        &|of| i64::from(of.place.high),
        &parent,
        &|of| i64::from(of.depth),
        &|of| of.cap.map_or(NONE, amount),
        &kept,
        &against,
    ];
    let mut w = Writer::default();
    w.array(columns.len());
    for column in columns {
        w.array(limits.len());
        limits.iter().for_each(|limit| w.int(column(limit)));
    }
    w.0
}

fn against(limit: &EntryLimit) -> i64 {
    match limit.protection {
        Some(Protection {
            against: Against::LowerRanks,
            ..
        }) => i64::from(limit.place.rank),
        Some(_) | None => NONE,
    }
}

/// Twice the units, or twice the share and one more.
pub(super) fn amount(amount: Amount) -> i64 {
    match amount {
        Amount::Units(units) => i64::try_from(units.get() * 2).unwrap_or(i64::MAX),
        Amount::Percent(share) => i64::from(share) * 2 + 1,
    }
}

/// The same, read.
pub(super) fn amount_of(number: u64) -> Result<Amount, Malformed> {
    if number.is_multiple_of(2) {
        let units = Units::new(number / 2).ok_or(Malformed)?;
        return Ok(Amount::Units(units));
    }
    let share = u16::try_from(number / 2).or(Err(Malformed))?;
    Ok(Amount::Percent(share))
}

/// Fields and values for the script that brings them.
pub fn flat(fields: &[Field]) -> Vec<u8> {
    let mut w = Writer::default();
    w.array(2 * fields.len());
    for (field, value) in fields {
        w.bytes(field);
        w.bytes(value);
    }
    w.0
}

/// What puts a policy in force that was brought to a partition.
#[derive(Debug, Clone, Copy)]
pub struct Swap<'a> {
    /// The version that is in force.
    pub expected: u64,
    /// The version, with its text where this partition keeps it.
    pub version: &'a PolicyVersion,
    /// Whether it does.
    pub keeps_text: bool,
    /// When it was put; without: now.
    pub at: Option<UnixMillis>,
    /// From then on it is not put: whether it may be was decided for the time before.
    pub until: Option<UnixMillis>,
    /// Names what was brought.
    pub token: &'a str,
}

/// The command.
pub fn encode_swap(swap: &Swap<'_>) -> Vec<u8> {
    let version = swap.version;
    let mut w = Writer::default();
    w.uint(PUT_POLICY);
    w.uint(swap.expected);
    w.uint(version.version);
    w.bytes(swap.token.as_bytes());
    w.int(swap.at.map_or(0, |at| at.0));
    w.int(swap.until.map_or(0, |until| until.0));
    let said = [
        &*version.operator,
        &version.reason,
        &version.over,
        &version.text,
    ];
    for text in said {
        w.bytes(if swap.keeps_text {
            text.as_bytes()
        } else {
            b""
        });
    }
    w.0
}

/// What became of a swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swapped {
    /// It is in force.
    Done,
    /// Another version is in force, something else was brought meanwhile, or it is too late.
    Not {
        /// The version in force.
        current: u64,
    },
}

impl BatchReply {
    /// What became of the swap at this place.
    pub fn swapped(&self, at: usize) -> Result<Swapped, Malformed> {
        let (outcome, ..) = self.outcome(at)?;
        if matches!(outcome, Outcome::Named(_)) {
            return Ok(Swapped::Done);
        }
        let Outcome::Value(mut reader) = outcome else {
            return Err(Malformed);
        };
        let current = reader.narrow()?;
        let is_done = reader.int()? == 1;
        Ok(if is_done {
            Swapped::Done
        } else {
            Swapped::Not { current }
        })
    }
}

/// A version as it is kept.
pub fn version(number: u64, bytes: &[u8]) -> Result<PolicyVersion, Malformed> {
    let mut r = Reader(bytes);
    if r.array()? != 5 {
        return Err(Malformed);
    }
    Ok(PolicyVersion {
        version: number,
        at: UnixMillis(r.int()?),
        operator: r.text()?.into(),
        reason: r.text()?.into(),
        over: r.text()?.into(),
        text: r.text()?.into(),
    })
}

/// The same, to be kept.
pub fn kept_version(version: &PolicyVersion) -> Vec<u8> {
    let mut w = Writer::default();
    w.array(5);
    w.int(version.at.0);
    w.bytes(version.operator.as_bytes());
    w.bytes(version.reason.as_bytes());
    w.bytes(version.over.as_bytes());
    w.bytes(version.text.as_bytes());
    w.0
}
