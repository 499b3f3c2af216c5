//! Every metric of the engine: its name, its labels, one method per event.
//!
//! All methods are cheap, take `&self` and never fail or block: they add to counters that exist
//! already. Memory is fixed by the label values and does not grow with traffic, scraped or not.
//! `docs/METRICS.md` lists the same names for operators; a test holds the two together.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use super::bounds::{BATCH_BOUNDS, LATENCY_BOUNDS, LOCK_BOUNDS};
use super::cells::{Counters, Histogram};
use super::deficits::DeficitMeters;
use super::labels::{LockKind, Op, OutcomeKind, Script, Store};
use super::mirror::MirrorMeters;
use super::route::{Route, RouteMeter, known_method};
use super::text::{CONTENT_TYPE, Kind, Page, Scale};
use crate::domain::ChannelIx;
use crate::limits::CHANNELS_MAX;

const OPS: usize = Op::ALL.len();
const OUTCOMES: usize = OutcomeKind::ALL.len();

/// Counters of one channel, `[op][outcome]`.
#[derive(Debug)]
struct ChannelOps {
    name: Box<str>,
    counts: Counters<{ OPS * OUTCOMES }>,
}

impl ChannelOps {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            counts: Counters::new(),
        }
    }

    const fn at(op: usize, outcome: usize) -> usize {
        op * OUTCOMES + outcome
    }

    fn render(&self, page: &mut Page, name: &str) {
        for op in Op::ALL {
            for outcome in OutcomeKind::ALL {
                let n = self.counts.get(Self::at(op.index(), outcome.index()));
                let labels = [
                    ("op", op.as_str()),
                    ("outcome", outcome.as_str()),
                    ("channel", &*self.name),
                ];
                if n > 0 {
                    page.value(name, &labels, n);
                }
            }
        }
    }
}

#[derive(Debug)]
struct Inner {
    /// One slot per channel index, made when the channel is first seen.
    channels: Box<[OnceLock<ChannelOps>]>,
    /// Commands that never got as far as a channel.
    no_channel: ChannelOps,
    op_durations: [Histogram; OPS],
    /// The backend that these are of: a process has one.
    store: OnceLock<Store>,
    lock_wait: [Histogram; LockKind::ALL.len()],
    lock_hold: [Histogram; LockKind::ALL.len()],
    store_calls: [Histogram; Script::ALL.len()],
    journal_fsync: Histogram,
    journal_batch: Histogram,
    journal_bytes: Counters<1>,
    durable_sequence: AtomicU64,
    queue_bytes: AtomicU64,
    reservations_active: AtomicU64,
    expirations: Counters<1>,
    /// SKUs that became low, and that are not any more.
    low_water: Counters<2>,
    deficits: DeficitMeters,
    oversold_units: AtomicU64,
    invariant_violations: AtomicU64,
    lost_commands: AtomicU64,
    quarantined: AtomicU64,
    connections: AtomicU64,
    mirror: MirrorMeters,
    /// LOCK: read for every request, written once per new series. Busy series come first, so the
    /// search is short; nothing else happens under it.
    routes: RwLock<Vec<Arc<Route>>>,
}

/// The metrics of one engine. Cheap to clone; several engines in one process do not mix.
#[derive(Debug, Clone)]
pub struct Meters(Arc<Inner>);

impl Default for Meters {
    fn default() -> Self {
        Self::new()
    }
}

impl Meters {
    /// Content type of [`Meters::render`].
    pub const CONTENT_TYPE: &'static str = CONTENT_TYPE;

    /// Fresh metrics, all at zero.
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            channels: (0..CHANNELS_MAX).map(|_| OnceLock::new()).collect(),
            no_channel: ChannelOps::new(""),
            op_durations: std::array::from_fn(|_| Histogram::new(LATENCY_BOUNDS)),
            store: OnceLock::new(),
            lock_wait: std::array::from_fn(|_| Histogram::new(LOCK_BOUNDS)),
            lock_hold: std::array::from_fn(|_| Histogram::new(LOCK_BOUNDS)),
            store_calls: std::array::from_fn(|_| Histogram::new(LATENCY_BOUNDS)),
            journal_fsync: Histogram::new(LATENCY_BOUNDS),
            journal_batch: Histogram::new(BATCH_BOUNDS),
            journal_bytes: Counters::new(),
            durable_sequence: AtomicU64::new(0),
            queue_bytes: AtomicU64::new(0),
            reservations_active: AtomicU64::new(0),
            expirations: Counters::new(),
            low_water: Counters::new(),
            deficits: DeficitMeters::new(),
            oversold_units: AtomicU64::new(0),
            invariant_violations: AtomicU64::new(0),
            lost_commands: AtomicU64::new(0),
            quarantined: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            mirror: MirrorMeters::new(),
            routes: RwLock::new(Vec::new()),
        }))
    }

    /// A command was answered. `channel` is `None` when it failed before a channel was known;
    /// `name` gives the channel's name and is asked once per channel.
    pub fn reservation_op<N: AsRef<str>>(
        &self,
        op: Op,
        outcome: OutcomeKind,
        channel: Option<ChannelIx>,
        name: impl FnOnce(ChannelIx) -> N,
    ) {
        let slot = channel.and_then(|index| {
            let slot = self.0.channels.get(usize::from(index.0))?;
            Some(slot.get_or_init(|| ChannelOps::new(name(index).as_ref())))
        });
        let at = op.index() * OUTCOMES + outcome.index();
        slot.unwrap_or(&self.0.no_channel).counts.add(at, 1);
    }

    /// How long a command took from its arrival at the engine to its durable answer.
    pub fn op_duration(&self, op: Op, store: Store, took: Duration) {
        self.0.store.get_or_init(|| store);
        if let Some(histogram) = self.0.op_durations.get(op.index()) {
            histogram.record_duration(took);
        }
    }

    /// Somebody waited this long for a lock.
    pub fn lock_wait(&self, kind: LockKind, waited: Duration) {
        if let Some(histogram) = self.0.lock_wait.get(kind.index()) {
            histogram.record_duration(waited);
        }
    }

    /// So many locks were free when they were asked for.
    pub fn lock_wait_uncontended(&self, kind: LockKind, n: u64) {
        if let Some(histogram) = self.0.lock_wait.get(kind.index()) {
            histogram.record_many(0, n);
        }
    }

    /// A lock was held this long.
    pub fn lock_hold(&self, kind: LockKind, held: Duration) {
        if let Some(histogram) = self.0.lock_hold.get(kind.index()) {
            histogram.record_duration(held);
        }
    }

    /// A call of a script of the remote store took this long, from sending to the whole reply.
    pub fn store_call(&self, script: Script, took: Duration) {
        if let Some(histogram) = self.0.store_calls.get(script.index()) {
            histogram.record_duration(took);
        }
    }

    /// The remote store says that `calls` scripts kept it busy for `held` together.
    pub fn script_hold(&self, calls: u64, held: Duration) {
        let nanos = u64::try_from(held.as_nanos()).unwrap_or(u64::MAX);
        let mean = nanos.checked_div(calls);
        if let (Some(histogram), Some(mean)) =
            (self.0.lock_hold.get(LockKind::Script.index()), mean)
        {
            histogram.record_many(mean, calls);
        }
    }

    /// The journal was made durable.
    pub fn journal_fsync(&self, took: Duration) {
        self.0.journal_fsync.record_duration(took);
    }

    /// The journal wrote one frame.
    pub fn journal_batch(&self, records: u64, bytes: u64) {
        self.0.journal_batch.record(records);
        self.0.journal_bytes.add(0, bytes);
    }

    /// The highest sequence that is durable.
    pub fn durable_sequence(&self, sequence: u64) {
        self.0.durable_sequence.store(sequence, Relaxed);
    }

    /// Bytes of records that wait for the journal.
    pub fn queue_bytes(&self, bytes: u64) {
        self.0.queue_bytes.store(bytes, Relaxed);
    }

    /// Reservation lines that hold or commit units now.
    pub fn reservations_active(&self, n: u64) {
        self.0.reservations_active.store(n, Relaxed);
    }

    /// Deadlines passed and their units went back.
    pub fn expirations(&self, n: u64) {
        self.0.expirations.add(0, n);
    }

    /// A SKU became low, or is not any more.
    pub fn low_water(&self, low: bool) {
        self.0.low_water.add(usize::from(low), 1);
    }

    /// Units were found promised twice. Any value above zero is a fault of the engine.
    pub fn oversold_units(&self, n: u64) {
        self.0.oversold_units.fetch_add(n, Relaxed);
    }

    /// A counter was found to differ from its records. Any value above zero is a fault.
    pub fn invariant_violations(&self, n: u64) {
        self.0.invariant_violations.fetch_add(n, Relaxed);
    }

    /// Acknowledged commands were found missing in the remote store.
    pub fn lost_commands(&self, n: usize) {
        let n = u64::try_from(n).unwrap_or(u64::MAX);
        self.0.lost_commands.fetch_add(n, Relaxed);
    }

    /// Acknowledged changes of a partition are missing in the remote store.
    pub fn quarantined(&self) {
        self.0.quarantined.fetch_add(1, Relaxed);
    }

    /// They are there again, or somebody has accepted that they are not.
    pub fn released(&self) {
        self.0.quarantined.fetch_sub(1, Relaxed);
    }

    /// What is counted of promises beyond what there is.
    pub fn deficits(&self) -> &DeficitMeters {
        &self.0.deficits
    }

    /// What is counted of the mirror of the remote store.
    pub fn mirror(&self) -> &MirrorMeters {
        &self.0.mirror
    }

    /// A connection was accepted.
    pub fn connection_opened(&self) {
        self.0.connections.fetch_add(1, Relaxed);
    }

    /// A connection ended.
    pub fn connection_closed(&self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }

    /// A request was answered. `route` is the template, not the path; methods that HTTP does not
    /// define count as `_OTHER`.
    pub fn http_request(&self, route: &'static str, method: &str, status: u16, took: Duration) {
        self.http_route(route, method, status).record(took);
    }

    /// Where requests of this route, method and status are counted; for callers that keep it.
    pub fn http_route(&self, route: &'static str, method: &str, status: u16) -> RouteMeter {
        let method = known_method(method);
        let same =
            |r: &&Arc<Route>| r.template == route && r.method == method && r.status == status;
        {
            let routes = self.0.routes.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(found) = routes.iter().find(same) {
                return RouteMeter(Arc::clone(found));
            }
        }
        let mut routes = self
            .0
            .routes
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = routes.iter().find(same) {
            return RouteMeter(Arc::clone(found));
        }
        let made = Arc::new(Route {
            template: route,
            method,
            status,
            latency: Histogram::new(LATENCY_BOUNDS),
        });
        routes.push(Arc::clone(&made));
        RouteMeter(made)
    }

    /// All metrics in the Prometheus text format.
    pub fn render(&self) -> String {
        let mut page = Page::default();
        self.render_reservations(&mut page);
        self.render_locks(&mut page);
        self.render_journal(&mut page);
        self.render_http(&mut page);
        self.render_rest(&mut page);
        page.finish()
    }

    fn render_reservations(&self, page: &mut Page) {
        let name = "holdfast_reservation_ops_total";
        page.family(name, Kind::Counter, "Commands answered, by outcome.");
        let seen = self.0.channels.iter().filter_map(OnceLock::get);
        for channel in seen.chain([&self.0.no_channel]) {
            channel.render(page, name);
        }
        let name = "holdfast_reservation_op_duration_seconds";
        page.family(
            name,
            Kind::Histogram,
            "From a command's arrival to its durable answer.",
        );
        let store = self.0.store.get().unwrap_or(&Store::Embedded);
        let store = ("store", store.as_str());
        for (op, histogram) in Op::ALL.iter().zip(&self.0.op_durations) {
            let labels = [("op", op.as_str()), store];
            page.histogram(name, &labels, Scale::Nanos, &histogram.snapshot());
        }
        let name = "holdfast_reservations_active";
        page.family(
            name,
            Kind::Gauge,
            "Reservation lines that hold or commit units now.",
        );
        page.value(name, &[], self.0.reservations_active.load(Relaxed));
        let name = "holdfast_expirations_total";
        page.family(
            name,
            Kind::Counter,
            "Reservation lines whose deadline passed.",
        );
        page.value(name, &[], self.0.expirations.get(0));
        let name = "holdfast_low_water_total";
        let help = "SKUs that became low, or are not any more.";
        page.family(name, Kind::Counter, help);
        for (at, to) in ["normal", "low"].into_iter().enumerate() {
            page.value(name, &[("to", to)], self.0.low_water.get(at));
        }
        self.0.deficits.render(page);
    }

    fn render_locks(&self, page: &mut Page) {
        let waits = "holdfast_lock_wait_seconds";
        page.family(waits, Kind::Histogram, "Time spent waiting for a lock.");
        for (kind, histogram) in LockKind::ALL.iter().zip(&self.0.lock_wait) {
            let labels = [("kind", kind.as_str())];
            page.histogram(waits, &labels, Scale::Nanos, &histogram.snapshot());
        }
        let holds = "holdfast_lock_hold_seconds";
        page.family(holds, Kind::Histogram, "Time a lock was held.");
        for (kind, histogram) in LockKind::ALL.iter().zip(&self.0.lock_hold) {
            let labels = [("kind", kind.as_str())];
            page.histogram(holds, &labels, Scale::Nanos, &histogram.snapshot());
        }
    }

    fn render_journal(&self, page: &mut Page) {
        let name = "holdfast_journal_fsync_duration_seconds";
        page.family(
            name,
            Kind::Histogram,
            "Time the disk took to make a frame durable.",
        );
        page.histogram(name, &[], Scale::Nanos, &self.0.journal_fsync.snapshot());
        let name = "holdfast_journal_batch_records";
        page.family(name, Kind::Histogram, "Records in one journal frame.");
        page.histogram(name, &[], Scale::Pieces, &self.0.journal_batch.snapshot());
        let name = "holdfast_journal_written_bytes_total";
        page.family(name, Kind::Counter, "Bytes written to the journal.");
        page.value(name, &[], self.0.journal_bytes.get(0));
        let name = "holdfast_journal_queue_bytes";
        page.family(
            name,
            Kind::Gauge,
            "Bytes of records that wait for the journal.",
        );
        page.value(name, &[], self.0.queue_bytes.load(Relaxed));
        let name = "holdfast_journal_durable_sequence";
        page.family(
            name,
            Kind::Gauge,
            "Highest journal sequence that is durable.",
        );
        page.value(name, &[], self.0.durable_sequence.load(Relaxed));
    }

    fn render_http(&self, page: &mut Page) {
        let name = "http_server_request_duration_seconds";
        page.family(
            name,
            Kind::Histogram,
            "From a request's head to the end of its answer.",
        );
        let routes = self
            .0
            .routes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for series in routes {
            let status = series.status.to_string();
            let labels = [
                ("http_route", series.template),
                ("http_request_method", series.method),
                ("http_response_status_code", &*status),
            ];
            page.histogram(name, &labels, Scale::Nanos, &series.latency.snapshot());
        }
        let name = "holdfast_http_connections";
        page.family(name, Kind::Gauge, "Open connections.");
        page.value(name, &[], self.0.connections.load(Relaxed));
    }

    fn render_rest(&self, page: &mut Page) {
        let name = "holdfast_oversold_units_total";
        page.family(name, Kind::Counter, "Units found promised twice; always 0.");
        page.value(name, &[], self.0.oversold_units.load(Relaxed));
        let name = "holdfast_invariant_violations_total";
        page.family(
            name,
            Kind::Counter,
            "Counters found to differ from their records; always 0.",
        );
        page.value(name, &[], self.0.invariant_violations.load(Relaxed));
        let name = "holdfast_store_lost_commands_total";
        page.family(
            name,
            Kind::Counter,
            "Acknowledged commands found missing in the remote store.",
        );
        page.value(name, &[], self.0.lost_commands.load(Relaxed));
        let name = "holdfast_store_quarantined";
        page.family(
            name,
            Kind::Gauge,
            "Partitions that lack acknowledged changes and wait for somebody to accept that.",
        );
        page.value(name, &[], self.0.quarantined.load(Relaxed));
        let name = "holdfast_store_call_duration_seconds";
        page.family(
            name,
            Kind::Histogram,
            "Time one call to the remote store took.",
        );
        for (script, histogram) in Script::ALL.iter().zip(&self.0.store_calls) {
            let labels = [("script", script.as_str())];
            let calls = histogram.snapshot();
            if calls.count > 0 {
                page.histogram(name, &labels, Scale::Nanos, &calls);
            }
        }
        self.0.mirror.render(page);
        let name = "holdfast_build_info";
        page.family(name, Kind::Gauge, "Always 1; the version is in the label.");
        page.value(name, &[("version", env!("CARGO_PKG_VERSION"))], 1);
    }
}

#[cfg(test)]
#[path = "meters_tests.rs"]
mod tests;
