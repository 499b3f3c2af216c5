//! The one error type of the HTTP layer, and the one place that maps verdicts, ledger failures
//! and mistakes of the caller to statuses (RFC 9457 problem details).

use std::borrow::Cow;
use std::fmt;

use axum::response::IntoResponse;
use hyper::StatusCode;

use crate::domain::command::LinesError;
use crate::domain::policy::Fault;
use crate::domain::{Frozen, Refusal};
use crate::engine::NameError;
use crate::http::app::Reply;
use crate::http::catalog::{self, Kind};
use crate::http::json::Json;
use crate::http::names::Names;
use crate::http::policy_json;
use crate::http::render;
use crate::ledger::policy::PutPolicyError;
use crate::ledger::{LedgerError, time_text};
use crate::limits::{INBOUND_DAYS_MAX, INBOUND_OPEN_MAX, LINES_MAX, UNITS_MAX};

/// Seconds a caller is asked to wait before trying again.
pub const RETRY_AFTER_S: u32 = 1;

/// One mistake in a request body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// JSON pointer (RFC 6901) to the value.
    pub pointer: String,
    /// Stable word.
    pub code: &'static str,
    /// What would be right.
    pub detail: Cow<'static, str>,
}

/// The mistakes in a request body, as many as are listed; empty: none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issues {
    list: Vec<Issue>,
    max: usize,
}

/// Most mistakes that one answer lists; a body can hold many thousand.
const ISSUES_MAX: usize = 100;

impl Default for Issues {
    fn default() -> Self {
        Self::at_most(ISSUES_MAX)
    }
}

impl Issues {
    /// None so far; of those to come this many are kept, at least one.
    pub fn at_most(max: usize) -> Self {
        let (list, max) = (Vec::new(), max.max(1));
        Self { list, max }
    }

    /// Notes a mistake.
    pub fn push(
        &mut self,
        pointer: fmt::Arguments<'_>,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) {
        if self.list.len() < self.max {
            self.list.push(Issue {
                pointer: pointer.to_string(),
                code,
                detail: detail.into(),
            });
        }
    }

    /// Notes what is wrong with a list of lines.
    pub fn push_lines(&mut self, base: &str, error: LinesError) {
        match error {
            LinesError::Empty => {
                self.push(
                    format_args!("{base}"),
                    "empty",
                    "must hold at least one line",
                );
            }
            LinesError::TooMany => {
                let detail = format!("must hold at most {LINES_MAX} different lines");
                self.push(format_args!("{base}"), "too_many", detail);
            }
            LinesError::ZeroQuantity(at) => {
                let pointer = format_args!("{base}/{at}/quantity");
                self.push(pointer, "out_of_range", "must be at least 1");
            }
            LinesError::TooLarge(at) => {
                let detail = format!("with the equal lines before it, must be at most {UNITS_MAX}");
                self.push(format_args!("{base}/{at}/quantity"), "out_of_range", detail);
            }
        }
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many are listed.
    pub const fn len(&self) -> usize {
        self.list.len()
    }

    /// An error if there is any mistake.
    pub fn check(self) -> Result<(), Problem> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(Problem::Invalid(self))
        }
    }
}

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The ledger refused it.
    Refused(Refusal),
    /// The ledger failed.
    Ledger(LedgerError),
    /// The body makes no sense.
    Invalid(Issues),
    /// The policy has faults.
    Faults(Vec<Fault>),
    /// Another version of the policy is in force than was expected; 0: none.
    PolicyMismatch {
        /// That version.
        current: u64,
    },
    /// The event feed begins later.
    EventsGone {
        /// The oldest sequence there is.
        oldest: u64,
    },
    /// Anything else.
    Plain(&'static Kind, Cow<'static, str>),
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

impl From<PutPolicyError> for Problem {
    fn from(error: PutPolicyError) -> Self {
        match error {
            PutPolicyError::Malformed(what) => {
                Self::plain(&catalog::MALFORMED_BODY, format!("{what}."))
            }
            PutPolicyError::Faults(faults) => Self::Faults(faults),
            PutPolicyError::VersionMismatch { current } => Self::PolicyMismatch { current },
            PutPolicyError::Frozen { campaign, until } => {
                Self::Refused(Refusal::Frozen(Frozen { campaign, until }))
            }
            PutPolicyError::TooManyChannels => {
                Self::plain(&catalog::TABLE_FULL, catalog::TABLE_FULL.help)
            }
            PutPolicyError::Ledger(error) => Self::Ledger(error),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Problem {
    /// A problem of this kind with its detail.
    pub fn plain(kind: &'static Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Plain(kind, detail.into())
    }

    /// A name that was not taken, as a mistake in the body or as a failure.
    pub fn name(error: NameError, pointer: fmt::Arguments<'_>) -> Self {
        match error {
            NameError::Invalid(why) => {
                let mut issues = Issues::default();
                issues.push(pointer, "invalid_name", why.to_string());
                Self::Invalid(issues)
            }
            NameError::Full => Self::plain(&catalog::TABLE_FULL, catalog::TABLE_FULL.help),
            NameError::Ledger(error) => Self::Ledger(error),
        }
    }

    /// Its kind.
    pub fn kind(&self) -> &'static Kind {
        match self {
            Self::Refused(refusal) => refusal_kind(refusal),
            Self::Ledger(LedgerError::Unavailable) => &catalog::UNAVAILABLE,
            Self::Ledger(LedgerError::Quarantined) => &catalog::QUARANTINED,
            Self::Ledger(LedgerError::Unknown) => &catalog::RESULT_UNKNOWN,
            Self::Ledger(LedgerError::Poisoned) => &catalog::POISONED,
            Self::Ledger(LedgerError::Overloaded) => &catalog::OVERLOADED,
            Self::Invalid(_) => &catalog::INVALID_BODY,
            Self::Faults(_) => &catalog::POLICY_INVALID,
            Self::PolicyMismatch { .. } => &catalog::VERSION_MISMATCH,
            Self::EventsGone { .. } => &catalog::EVENTS_GONE,
            Self::Plain(kind, _) => kind,
        }
    }

    /// Status of the answer.
    pub fn status(&self) -> StatusCode {
        self.kind().status
    }

    fn detail(&self) -> Cow<'_, str> {
        match self {
            Self::Refused(refusal) => refusal_detail(refusal),
            Self::Ledger(_) => Cow::Borrowed(self.kind().help),
            Self::Faults(faults) => policy_json::fault_detail(faults),
            Self::PolicyMismatch { current: 0 } => Cow::Borrowed("There is no policy in force."),
            Self::PolicyMismatch { current } => in_force(*current),
            Self::Invalid(issues) => match issues.list.as_slice() {
                [one] => Cow::Owned(format!("{}: {}", one.pointer, one.detail)),
                [one, rest @ ..] => {
                    let more = rest.len();
                    Cow::Owned(format!("{}: {}; and {more} more", one.pointer, one.detail))
                }
                [] => Cow::Borrowed(self.kind().help),
            },
            Self::EventsGone { oldest } => {
                Cow::Owned(format!("The oldest event kept has sequence {oldest}."))
            }
            Self::Plain(_, detail) => Cow::Borrowed(detail),
        }
    }

    /// Whether it is about a node that is not known here.
    pub fn is_unknown_node(&self) -> bool {
        match self {
            Self::Invalid(issues) => issues.list.iter().any(|one| one.code == "unknown_node"),
            Self::Refused(_)
            | Self::EventsGone { .. }
            | Self::Faults(_)
            | Self::PolicyMismatch { .. }
            | Self::Ledger(_)
            | Self::Plain(..) => *self.kind() == catalog::UNKNOWN_NODE,
        }
    }

    /// Writes the problem; `instance` is the path, both are left out when empty.
    pub fn write(&self, json: &mut Json, instance: &str, request_id: &str, names: Names<'_>) {
        self.write_common(json, instance, request_id);
        match self {
            Self::Refused(refusal) => render::refusal_members(json, refusal, names),
            Self::Invalid(issues) => write_issues(json, issues),
            Self::Faults(faults) => policy_json::faults(json, faults),
            Self::PolicyMismatch { current } => {
                json.raw(r#","version":"#).number(*current);
            }
            Self::EventsGone { oldest } => {
                json.raw(r#","oldest":"#).number(*oldest);
            }
            Self::Ledger(_) | Self::Plain(..) => {}
        }
        json.raw("}");
    }

    fn write_common(&self, json: &mut Json, instance: &str, request_id: &str) {
        let kind = self.kind();
        json.raw(r#"{"type":"/problems/"#).raw(kind.code);
        json.raw(r#"","title":"#).text(kind.title);
        json.raw(r#","status":"#).number(kind.status.as_u16());
        json.raw(r#","code":"#).plain(kind.code);
        json.raw(r#","detail":"#).text(&self.detail());
        if !instance.is_empty() {
            json.raw(r#","instance":"#).text(instance);
        }
        if !request_id.is_empty() {
            json.raw(r#","request_id":"#).text(request_id);
        }
    }

    /// The problem as text, where no request is known: written straight to a socket.
    pub fn bare(kind: &'static Kind) -> Vec<u8> {
        let mut json = Json::new();
        Self::plain(kind, kind.help).write_common(&mut json, "", "");
        json.raw("}");
        json.into_bytes()
    }
}

fn write_issues(json: &mut Json, issues: &Issues) {
    json.raw(r#","errors":["#);
    for (at, issue) in issues.list.iter().enumerate() {
        json.comma(at == 0)
            .raw(r#"{"pointer":"#)
            .text(&issue.pointer);
        json.raw(r#","code":"#).plain(issue.code);
        json.raw(r#","detail":"#).text(&issue.detail).raw("}");
    }
    json.raw("]");
}

/// The kind of a refusal.
pub const fn refusal_kind(refusal: &Refusal) -> &'static Kind {
    match refusal {
        Refusal::KeyReused => &catalog::KEY_REUSED,
        Refusal::UnknownSku { .. } => &catalog::UNKNOWN_SKU,
        Refusal::InsufficientStock { .. } => &catalog::INSUFFICIENT_STOCK,
        Refusal::UnknownReservation => &catalog::UNKNOWN_RESERVATION,
        Refusal::UnknownLine { .. } => &catalog::UNKNOWN_LINE,
        Refusal::Expired => &catalog::RESERVATION_EXPIRED,
        Refusal::Released => &catalog::RESERVATION_RELEASED,
        Refusal::Shipped => &catalog::RESERVATION_SHIPPED,
        Refusal::NotHeld => &catalog::NOT_HELD,
        Refusal::NotConfirmed => &catalog::NOT_CONFIRMED,
        Refusal::NotShipped => &catalog::NOT_SHIPPED,
        Refusal::OverConfirm { .. } => &catalog::OVER_CONFIRM,
        Refusal::OverRelease { .. } => &catalog::OVER_RELEASE,
        Refusal::OverShip { .. } => &catalog::OVER_SHIP,
        Refusal::OverReturn { .. } => &catalog::OVER_RETURN,
        Refusal::PartialTransfer { .. } => &catalog::PARTIAL_TRANSFER,
        Refusal::ChangeFromStale { .. } => &catalog::CHANGE_FROM_STALE,
        Refusal::NegativeStock { .. } => &catalog::NEGATIVE_STOCK,
        Refusal::TooMany { .. } => &catalog::TOO_MANY_UNITS,
        Refusal::OverShare { .. } => &catalog::OVER_SHARE,
        Refusal::VersionMismatch { .. } => &catalog::VERSION_MISMATCH,
        Refusal::Frozen(_) => &catalog::POLICY_FROZEN,
        Refusal::UnknownInbound { .. } => &catalog::UNKNOWN_INBOUND,
        Refusal::OverReceipt { .. } => &catalog::OVER_RECEIPT,
        Refusal::DueTooLate { .. } => &catalog::DUE_TOO_LATE,
        Refusal::TooManyInbound { .. } => &catalog::TOO_MANY_INBOUND,
    }
}

fn in_force(version: u64) -> Cow<'static, str> {
    Cow::Owned(format!("The version in force is \"v{version}\"."))
}

fn refusal_detail(refusal: &Refusal) -> Cow<'static, str> {
    let of_line = |sku: &str, asked, most| {
        Cow::Owned(format!(
            "{sku}: {asked} asked for, {most} possible. Nothing was changed."
        ))
    };
    match refusal {
        Refusal::InsufficientStock { shortages } => match shortages.first() {
            Some(first) => of_line(&first.sku, first.requested, first.available),
            None => Cow::Borrowed(catalog::INSUFFICIENT_STOCK.help),
        },
        Refusal::OverConfirm { lines }
        | Refusal::OverRelease { lines }
        | Refusal::OverShip { lines }
        | Refusal::OverReturn { lines }
        | Refusal::PartialTransfer { lines } => match lines.first() {
            Some(first) => of_line(&first.sku, first.requested, first.possible),
            None => Cow::Borrowed(refusal_kind(refusal).help),
        },
        Refusal::UnknownSku { sku } => {
            Cow::Owned(format!("{sku} was never given stock or settings."))
        }
        Refusal::UnknownLine { sku, .. } => {
            Cow::Owned(format!("{sku} is not a line of the reservation."))
        }
        Refusal::ChangeFromStale { items } => match items.first() {
            Some(first) => Cow::Owned(format!(
                "{}: change_from is {}, on hand is {}. Nothing was changed.",
                first.sku, first.change_from, first.on_hand
            )),
            None => Cow::Borrowed(catalog::CHANGE_FROM_STALE.help),
        },
        Refusal::NegativeStock {
            sku,
            on_hand,
            unavailable,
            ..
        } => Cow::Owned(format!(
            "{sku}: {on_hand} on hand and {unavailable} unavailable there. Nothing was changed."
        )),
        Refusal::OverShare {
            sku,
            requested,
            possible,
            ..
        } => of_line(sku, *requested, *possible),
        Refusal::TooMany { sku } => Cow::Owned(format!(
            "{sku}: a counter would exceed {UNITS_MAX}. Nothing was changed."
        )),
        Refusal::VersionMismatch { actual } => in_force(u64::from(*actual)),
        Refusal::Frozen(Frozen { campaign, until }) => {
            let until = time_text::to_text(*until);
            let until = str::from_utf8(&until).unwrap_or_default();
            Cow::Owned(format!(
                "Campaign {campaign} keeps it as it is until {until}. Nothing was changed."
            ))
        }
        Refusal::UnknownInbound { .. }
        | Refusal::OverReceipt { .. }
        | Refusal::DueTooLate { .. }
        | Refusal::TooManyInbound { .. } => Cow::Owned(inbound_detail(refusal)),
        Refusal::KeyReused
        | Refusal::UnknownReservation
        | Refusal::Expired
        | Refusal::Released
        | Refusal::Shipped
        | Refusal::NotHeld
        | Refusal::NotConfirmed
        | Refusal::NotShipped => Cow::Borrowed(refusal_kind(refusal).help),
    }
}

/// Of refusals of announced supply.
#[expect(clippy::wildcard_enum_match_arm, reason = "the others are told above")]
fn inbound_detail(refusal: &Refusal) -> String {
    let what = match refusal {
        Refusal::UnknownInbound { sku, id } => format!("{sku}: nothing is announced as {id}"),
        Refusal::OverReceipt {
            sku,
            id,
            requested,
            open,
        } => format!("{sku}: {requested} arrived of {id}, {open} were to come"),
        Refusal::DueTooLate { sku, id, .. } => {
            format!("{sku}: {id} is due more than {INBOUND_DAYS_MAX} days ahead")
        }
        Refusal::TooManyInbound { sku } => {
            format!("{sku}: {INBOUND_OPEN_MAX} announcements are open")
        }
        _ => refusal_kind(refusal).title.to_owned(),
    };
    format!("{what}. Nothing was changed.")
}

/// Carries a problem out of the router, like any other reply.
impl IntoResponse for Problem {
    fn into_response(self) -> axum::response::Response {
        Reply::from(self).into_response()
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
