//! Latencies of HTTP requests, by route, method and status.

use std::sync::Arc;
use std::time::Duration;

use super::cells::Histogram;

/// One series of HTTP latencies.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) template: &'static str,
    pub(super) method: &'static str,
    pub(super) status: u16,
    pub(super) latency: Histogram,
}

/// Counts the requests of one route, method and status without looking them up.
#[derive(Debug, Clone)]
pub struct RouteMeter(pub(super) Arc<Route>);

impl RouteMeter {
    /// A request was answered.
    pub fn record(&self, took: Duration) {
        self.0.latency.record_duration(took);
    }
}

/// The method as a label value that cannot be chosen by a caller.
pub(super) fn known_method(method: &str) -> &'static str {
    const KNOWN: [&str; 8] = [
        "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE",
    ];
    KNOWN
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("_OTHER")
}
