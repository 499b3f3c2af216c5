//! Every documented limit: one above gives the named problem, and nothing else of the server suffers.
//!
//! The list of limits is read from the code (`src/limits.rs`, the default configuration), so that one
//! without a case, or without a row in docs/LIMITS.md, fails.

use std::collections::{BTreeMap, BTreeSet};

use holdfast::limits;

use crate::limit_cases as case;
use crate::support::{Answer, Running, until};

/// What becomes of one above a limit.
pub(crate) enum Above {
    /// A problem of this status and code, as the function shows.
    Problem(u16, &'static str, fn() -> Over),
    /// The same, as this test of the queue before a store shows.
    Shown(u16, &'static str, &'static str),
    /// No caller sees it; the document says what it is for.
    Unseen,
}

/// The answer to one above a limit, and the server that gave it.
pub(crate) struct Over(pub(crate) Running, pub(crate) Answer);

use Above::{Problem, Shown, Unseen};

macro_rules! rows {
    ($($name:ident: $above:expr,)*) => {
        vec![$((stringify!($name), value(limits::$name), $above)),*]
    };
}

fn value(limit: impl TryInto<u64>) -> u64 {
    limit
        .try_into()
        .unwrap_or_else(|_| panic!("a limit is a count"))
}

/// The constants of `src/limits.rs`.
fn constants() -> Vec<(&'static str, u64, Above)> {
    const INVALID: &str = "invalid_body";
    const POLICY: &str = "policy_invalid";
    const OVERLOADED: &str = "overloaded";
    const FULL: &str = "a_full_queue_answers_overloaded_and_has_room_again_after_a_batch";
    rows![
        UNITS_MAX: Problem(422, INVALID, case::units),
        SHARE_MOVED_MAX: Unseen,
        SKU_BYTES_MAX: Problem(422, INVALID, case::sku),
        NAME_BYTES_MAX: Problem(422, INVALID, case::name),
        NODES_MAX: Problem(422, "names_full", case::nodes),
        CHANNELS_MAX: Problem(422, "names_full", case::channels),
        POLICY_LEVELS_MAX: Problem(422, POLICY, case::policy_levels),
        POLICY_FALLBACKS_MAX: Problem(422, POLICY, case::policy_fallbacks),
        POLICY_RULES_MAX: Problem(422, POLICY, case::policy_rules),
        POLICY_CHANGE_SETS_MAX: Problem(422, POLICY, case::policy_change_sets),
        POLICY_CAMPAIGNS_MAX: Problem(422, POLICY, case::policy_campaigns),
        POLICY_SKUS_MAX: Problem(422, POLICY, case::policy_skus),
        POLICY_BYTES_MAX: Problem(413, "body_too_large", case::policy_bytes),
        POLICY_VERSIONS_KEPT: Problem(404, "unknown_policy_version", case::policy_versions),
        PREFLIGHT_FINDINGS_MAX: Unseen,
        PREFLIGHT_SKUS_MAX: Unseen,
        PREFLIGHT_PAIRS_MAX: Unseen,
        STALE_AFTER_SECONDS: Unseen,
        KEY_BYTES_MAX: Problem(400, "idempotency_key_invalid", case::key),
        REFERENCE_BYTES_MAX: Problem(422, INVALID, case::reference),
        TEXT_BYTES_MAX: Problem(422, INVALID, case::text),
        LINES_MAX: Problem(422, INVALID, case::lines),
        STOCK_ITEMS_MAX: Problem(422, INVALID, case::stock_items),
        INBOUND_ITEMS_MAX: Problem(422, INVALID, case::inbound_items),
        SAFETY_NODES_MAX: Problem(422, INVALID, case::safety_nodes),
        INBOUND_OPEN_MAX: Problem(409, "too_many_inbound", case::inbound_open),
        INBOUND_DAYS_MAX: Problem(409, "due_too_late", case::inbound_days),
        BATCH_MAX: Problem(422, INVALID, case::batch),
        BATCH_LINES_MAX: Problem(422, INVALID, case::batch_lines),
        ATP_SKUS_MAX: Problem(422, INVALID, case::atp_skus),
        EVENTS_PAGE_MAX: Problem(400, "invalid_parameter", case::events_page),
        DEFICITS_PAGE_MAX: Problem(400, "invalid_parameter", case::deficits_page),
        DEFICIT_LINES_MAX: Unseen,
        OPERATOR_CALLS_MAX: Unseen,
        TTL_MS_MAX: Problem(422, INVALID, case::ttl),
        TTL_MS_DEFAULT: Unseen,
        BODY_BYTES_MAX: Problem(413, "body_too_large", case::body),
        BATCH_BODY_BYTES_MAX: Problem(413, "body_too_large", case::batch_body),
        LARGE_BODIES_BYTES_MAX: Problem(503, "overloaded", case::large_bodies),
        HEAD_BYTES_MAX: Problem(431, "headers_too_large", case::head),
        HEADERS_MAX: Problem(431, "headers_too_large", case::headers),
        TARGET_BYTES_MAX: Problem(414, "uri_too_long", case::target),
        GUESTS_MAX: Problem(503, "too_many_connections", case::guests),
        FILES_KEPT: Unseen,
        FILES_KEPT_MIN: Unseen,
        FILES_OF_THREAD: Unseen,
        STOCK_SHARDS: Unseen,
        RECORD_SHARDS: Unseen,
        COMMAND_RECORD_BYTES_MAX: Unseen,
        RECORD_BYTES_MAX: Unseen,
        FRAME_BYTES_MAX: Unseen,
        QUEUE_COMMANDS_MAX: Shown(503, OVERLOADED, FULL),
        QUEUE_BYTES_MAX: Shown(503, OVERLOADED, FULL),
        QUEUE_AGE_MS_MAX: Shown(503, OVERLOADED, "what_has_waited_too_long_is_not_sent_unless_it_was_sent_before"),
        STORE_BATCH_COMMANDS_MAX: Unseen,
        STORE_BATCH_LINES_MAX: Unseen,
        STORE_LINES_OF_DATED: Unseen,
        STORE_BATCH_BYTES_MAX: Unseen,
        PARTITIONS_MAX: Unseen,
        STORE_BATCHES_IN_FLIGHT: Unseen,
        STORE_RECENT_COMMANDS_MAX: Unseen,
        STORE_RECENT_BATCHES_MAX: Unseen,
        STORE_BATCHES_IN_FLIGHT_OF_MANY: Unseen,
        STORE_BATCHES_LIMPING_MAX: Unseen,
    ]
}

/// Keys of the configuration, with what they are where nobody sets them.
fn settings() -> Vec<(&'static str, u64, Above)> {
    let too_many = "too_many_connections";
    let of_address = "too_many_connections_of_address";
    let late = "request_timeout";
    vec![
        (
            "http.connections_max",
            10_000,
            Problem(503, too_many, case::guests),
        ),
        (
            "http.connections_per_address_max",
            10_000,
            Problem(429, of_address, case::connections_of_address),
        ),
        (
            "http.streams_max",
            64,
            Problem(503, "overloaded", case::streams),
        ),
        (
            "http.header_timeout_seconds",
            5,
            Problem(408, late, case::slow_head),
        ),
        (
            "http.request_timeout_seconds",
            10,
            Problem(408, late, case::slow_body),
        ),
        (
            "http.work_timeout_seconds",
            30,
            Problem(504, "result_unknown", case::slow_work),
        ),
        ("http.write_timeout_seconds", 10, Unseen),
        ("http.idle_timeout_seconds", 75, Unseen),
        ("http.drain_seconds", 8, Unseen),
        (
            "journal.queue_mib",
            64,
            Problem(503, "overloaded", case::journal_queue),
        ),
        (
            "retention.records_max",
            60_000_000,
            Problem(503, "overloaded", case::records),
        ),
    ]
}

fn all() -> Vec<(&'static str, u64, Above)> {
    let mut all = constants();
    all.extend(settings());
    all
}

#[test]
fn one_above_each_limit_is_a_problem_with_a_name() {
    for (name, _, above) in all() {
        let Problem(status, code, ask) = above else {
            continue;
        };
        let Over(server, answer) = ask();
        answer.problem(status, code);
        let again = matches!(status, 429 | 503).then_some("1");
        assert_eq!(answer.header("retry-after"), again, "{name}");
        // A panic would have taken a thread with it, and with that every other connection.
        for _ in 0..4 {
            // The places of those before are free when the server has seen their ends.
            until(|| server.client().get("/livez").status == 200);
        }
    }
}

/// Names of the public constants, in the order of the file.
fn declared() -> BTreeSet<&'static str> {
    let text = include_str!("../../src/limits.rs");
    let names = text.lines().filter_map(|line| {
        let name = line.strip_prefix("pub const ")?;
        Some(name.split_once(':')?.0)
    });
    names.collect()
}

/// Keys of the configuration that bound something, with their values.
fn configured() -> BTreeMap<String, u64> {
    let text = include_str!("../../src/config/config.default.toml");
    let mut section = "";
    let mut found = BTreeMap::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        }
        let Some((key, value)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let is_bound =
            section == "http" && key != "threads" || key.ends_with("_max") || key == "queue_mib";
        if is_bound {
            found.insert(format!("{section}.{key}"), value.parse().unwrap());
        }
    }
    found
}

#[test]
fn what_is_shown_elsewhere_is_there() {
    let tests = include_str!("../../src/ledger/remote/batcher/queue_tests.rs");
    for (name, _, above) in all() {
        if let Shown(_, _, test) = above {
            assert!(tests.contains(&format!("fn {test}()")), "{name}: {test}");
        }
    }
}

#[test]
fn no_limit_is_without_a_row() {
    let constants: BTreeSet<_> = constants().iter().map(|(name, ..)| *name).collect();
    assert_eq!(constants, declared());
    let settings = settings().into_iter();
    let settings: BTreeMap<_, _> = settings
        .map(|(name, value, _)| (name.to_owned(), value))
        .collect();
    assert_eq!(settings, configured());
}

/// ``| `NAME` | value | one above | what |`` as name, value and what one above gives.
fn documented() -> BTreeMap<&'static str, (u64, &'static str)> {
    let text = include_str!("../../docs/LIMITS.md");
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let name = cells.next()?.trim_end_matches('`');
        let number = cells.next()?.replace(',', "");
        Some((name, (number.parse().ok()?, cells.next()?)))
    });
    rows.collect()
}

#[test]
fn the_document_says_what_the_code_does() {
    let mut rows = documented();
    for (name, value, above) in all() {
        let row = rows.remove(name);
        let (said, answer) = row.unwrap_or_else(|| panic!("docs/LIMITS.md has no {name}"));
        assert_eq!(said, value, "{name}");
        match above {
            Problem(status, code, _) | Shown(status, code, _) => {
                assert_eq!(answer, format!("{status} `{code}`"), "{name}");
            }
            Unseen => assert_eq!(answer, "-", "{name}"),
        }
    }
    assert!(rows.is_empty(), "no such limits: {rows:?}");
}
