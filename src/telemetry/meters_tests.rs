//! The rendered page is what Prometheus reads, so it is checked as Prometheus reads it.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::domain::Units;

/// A page, read as strictly as the format is written down.
struct Parsed {
    types: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The family that a sample belongs to.
fn family(sample: &str, types: &BTreeMap<String, String>) -> String {
    if types.contains_key(sample) {
        return sample.to_owned();
    }
    let base = ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|s| sample.strip_suffix(s))
        .unwrap();
    assert_eq!(
        types.get(base).map(String::as_str),
        Some("histogram"),
        "{sample}"
    );
    base.to_owned()
}

fn check_labels(labels: &str) {
    for pair in labels.split(',') {
        let (name, value) = pair.split_once('=').unwrap();
        assert!(is_name(name), "{pair}");
        assert!(
            value.len() >= 2 && value.starts_with('"') && value.ends_with('"'),
            "{pair}"
        );
    }
}

fn parse(page: &str) -> Parsed {
    assert!(page.ends_with('\n'), "the last line must end too");
    let mut parsed = Parsed {
        types: BTreeMap::new(),
        samples: BTreeMap::new(),
    };
    let (mut helped, mut current) = (BTreeSet::new(), String::new());
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            assert!(!text.is_empty() && helped.insert(name.to_owned()), "{line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(is_name(name) && helped.contains(name), "{line}");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(
                parsed
                    .types
                    .insert(name.to_owned(), kind.to_owned())
                    .is_none(),
                "{line}"
            );
            name.clone_into(&mut current);
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            assert!(is_name(name), "{line}");
            assert_eq!(
                family(name, &parsed.types),
                current,
                "families must not interleave"
            );
            if let Some(labels) = series.strip_prefix(name).filter(|rest| !rest.is_empty()) {
                check_labels(labels.strip_prefix('{').unwrap().strip_suffix('}').unwrap());
            }
            let value = value.parse::<f64>().unwrap();
            assert!(value >= 0.0, "{line}");
            assert!(
                parsed.samples.insert(series.to_owned(), value).is_none(),
                "twice: {line}"
            );
        }
    }
    parsed
}

/// A page on which every event happened.
fn busy_page() -> String {
    let meters = Meters::new();
    let channel = Some(ChannelIx(3));
    for (op, outcome) in Op::ALL.iter().zip(OutcomeKind::ALL.iter().cycle()) {
        meters.reservation_op(*op, *outcome, channel, |_| "live");
        meters.op_duration(*op, Store::Embedded, Duration::from_micros(70));
    }
    meters.reservation_op(Op::Reserve, OutcomeKind::Error, None, |_| "");
    for kind in LockKind::ALL {
        meters.lock_wait(*kind, Duration::from_nanos(1_500));
        meters.lock_wait_uncontended(*kind, 1_000_000);
        meters.lock_hold(*kind, Duration::from_nanos(400));
    }
    meters.journal_fsync(Duration::from_micros(180));
    meters.journal_batch(17, 4_096);
    meters.durable_sequence(42);
    meters.queue_bytes(512);
    meters.reservations_active(7);
    meters.expirations(2);
    meters.low_water(true);
    meters.deficits().told(Units::ZERO, Units::MAX);
    meters.deficits().stand(1, 1);
    meters.oversold_units(0);
    meters.invariant_violations(0);
    meters.connection_opened();
    meters.connection_opened();
    meters.connection_closed();
    meters.http_request("/v1/reservations", "POST", 201, Duration::from_millis(1));
    meters.http_request("/v1/reservations", "BREW", 405, Duration::from_secs(9));
    meters.render()
}

#[test]
fn every_promised_name_is_there_with_its_type() {
    let promised = [
        ("holdfast_reservation_ops_total", "counter"),
        ("holdfast_reservation_op_duration_seconds", "histogram"),
        ("holdfast_lock_wait_seconds", "histogram"),
        ("holdfast_lock_hold_seconds", "histogram"),
        ("holdfast_store_call_duration_seconds", "histogram"),
        ("holdfast_journal_fsync_duration_seconds", "histogram"),
        ("holdfast_journal_batch_records", "histogram"),
        ("holdfast_reservations_active", "gauge"),
        ("holdfast_expirations_total", "counter"),
        ("holdfast_low_water_total", "counter"),
        ("holdfast_deficits_total", "counter"),
        ("holdfast_deficit_skus", "gauge"),
        ("holdfast_deficit_units", "gauge"),
        ("holdfast_mirror_lag_seconds", "gauge"),
        ("holdfast_oversold_units_total", "counter"),
        ("holdfast_invariant_violations_total", "counter"),
        ("http_server_request_duration_seconds", "histogram"),
        ("holdfast_build_info", "gauge"),
    ];
    for page in [Meters::new().render(), busy_page()] {
        let types = parse(&page).types;
        for (name, kind) in promised {
            assert_eq!(types.get(name).map(String::as_str), Some(kind), "{name}");
        }
    }
}

#[test]
fn samples_carry_the_promised_labels() {
    let samples = parse(&busy_page()).samples;
    let expected = [
        (
            "holdfast_reservation_ops_total{op=\"reserve\",outcome=\"ok\",channel=\"live\"}",
            1.0,
        ),
        (
            "holdfast_reservation_ops_total{op=\"reserve\",outcome=\"error\",channel=\"\"}",
            1.0,
        ),
        (
            "holdfast_reservation_op_duration_seconds_bucket\
             {op=\"ship\",store=\"embedded\",le=\"0.00005\"}",
            0.0,
        ),
        (
            "holdfast_reservation_op_duration_seconds_count{op=\"ship\",store=\"embedded\"}",
            1.0,
        ),
        (
            "holdfast_lock_wait_seconds_bucket{kind=\"shard\",le=\"0.000001\"}",
            1_000_000.0,
        ),
        (
            "holdfast_lock_wait_seconds_bucket{kind=\"shard\",le=\"0.0000025\"}",
            1_000_001.0,
        ),
        (
            "holdfast_lock_hold_seconds_sum{kind=\"lease\"}",
            0.000_000_4,
        ),
        (
            "holdfast_journal_fsync_duration_seconds_bucket{le=\"0.00025\"}",
            1.0,
        ),
        ("holdfast_journal_batch_records_bucket{le=\"16\"}", 0.0),
        ("holdfast_journal_batch_records_sum", 17.0),
        ("holdfast_journal_written_bytes_total", 4_096.0),
        ("holdfast_journal_queue_bytes", 512.0),
        ("holdfast_journal_durable_sequence", 42.0),
        ("holdfast_http_connections", 1.0),
        (
            "http_server_request_duration_seconds_bucket{http_route=\"/v1/reservations\",\
             http_request_method=\"_OTHER\",http_response_status_code=\"405\",le=\"+Inf\"}",
            1.0,
        ),
    ];
    for (series, value) in expected {
        let found = samples
            .get(series)
            .copied()
            .unwrap_or_else(|| panic!("no {series}"));
        assert!((found - value).abs() < 1e-12, "{series}: {found}");
    }
}

#[test]
fn calls_of_scripts_and_the_time_that_the_store_counts_are_kept_apart() {
    let meters = Meters::new();
    meters.store_call(Script::Relief, Duration::from_millis(3));
    meters.script_hold(0, Duration::ZERO);
    meters.script_hold(4, Duration::from_micros(80));
    let page = meters.render();
    for line in [
        "holdfast_store_call_duration_seconds_count{script=\"relief\"} 1",
        "holdfast_store_call_duration_seconds_sum{script=\"relief\"} 0.003",
        "holdfast_lock_hold_seconds_count{kind=\"script\"} 4",
        "holdfast_lock_hold_seconds_sum{kind=\"script\"} 0.00008",
    ] {
        assert!(page.lines().any(|one| one == line), "{line}\n{page}");
    }
    assert!(!page.contains("script=\"batch\""), "no call, no series");
}

#[test]
fn buckets_ascend_and_end_in_the_count() {
    let page = busy_page();
    let samples = parse(&page).samples;
    let mut last: Option<(String, f64)> = None;
    for line in page.lines().filter(|line| line.contains("_bucket{")) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (head, le) = series.split_once("le=").unwrap();
        let value = value.parse::<f64>().unwrap();
        if let Some((_, before)) = last.as_ref().filter(|(same, _)| same == head) {
            assert!(*before <= value, "{line}");
        }
        last = Some((head.to_owned(), value));
        if le.contains("+Inf") {
            let count = head.replacen("_bucket", "_count", 1);
            let count = count.trim_end_matches(['{', ',']);
            let count = if count.contains('{') {
                format!("{count}}}")
            } else {
                count.to_owned()
            };
            assert!(
                (samples.get(&count).copied().unwrap() - value).abs() < 0.5,
                "{count}"
            );
        }
    }
}

#[test]
fn a_channel_beyond_the_limit_is_counted_without_a_name() {
    let meters = Meters::new();
    meters.reservation_op(
        Op::Reserve,
        OutcomeKind::Ok,
        Some(ChannelIx(u16::MAX)),
        |_| "x",
    );
    assert!(
        meters.render().contains(
            "holdfast_reservation_ops_total{op=\"reserve\",outcome=\"ok\",channel=\"\"} 1"
        )
    );
}

#[test]
fn two_engines_in_one_process_do_not_mix() {
    let (one, other) = (Meters::new(), Meters::new());
    one.clone().expirations(5);
    assert!(one.render().contains("holdfast_expirations_total 5"));
    assert!(other.render().contains("holdfast_expirations_total 0"));
}

#[test]
fn every_metric_is_in_the_document_for_operators_and_nothing_else() {
    let document = include_str!("../../docs/METRICS.md");
    let listed: BTreeSet<&str> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(['`', '{']).next())
        .collect();
    let page = parse(&busy_page());
    let rendered: BTreeSet<&str> = page.types.keys().map(String::as_str).collect();
    assert_eq!(listed, rendered);
}

/// Every word of a text that could be a metric of ours, series suffixes taken off.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    let ours = |w: &&str| w.starts_with("holdfast_") || w.starts_with("http_server_");
    let base = |w| {
        ["_bucket", "_sum", "_count"]
            .into_iter()
            .find_map(|suffix| str::strip_suffix(w, suffix))
            .unwrap_or(w)
    };
    words.filter(ours).map(base).collect()
}

#[test]
fn dashboard_and_alerts_ask_only_for_metrics_that_exist() {
    let page = parse(&busy_page());
    let shipped = [
        include_str!("../../deploy/grafana/holdfast.json"),
        include_str!("../../deploy/prometheus/holdfast.rules.yml"),
    ];
    for text in shipped {
        let asked = metrics_in(text);
        assert!(asked.len() > 5, "{asked:?}");
        for name in asked {
            assert!(page.types.contains_key(name), "{name}");
        }
    }
    assert_eq!(
        metrics_in("rate(holdfast_x_bucket{a=\"b\"}[5m])"),
        BTreeSet::from(["holdfast_x"])
    );
}
