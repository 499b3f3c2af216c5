//! Request metrics without a look at anything that threads share.

use std::cell::RefCell;
use std::ptr;
use std::time::Duration;

use hyper::Method;

use crate::telemetry::{Meters, RouteMeter};

/// The meters that one thread has used so far.
#[derive(Debug)]
pub struct RouteMeters {
    meters: Meters,
    known: RefCell<Vec<Known>>,
}

#[derive(Debug)]
struct Known {
    route: &'static str,
    method: Method,
    status: u16,
    meter: RouteMeter,
}

/// Most that are kept: the calls of the API times the statuses they answer stay far below.
const KNOWN_MAX: usize = 512;

impl RouteMeters {
    /// None used yet.
    pub const fn new(meters: Meters) -> Self {
        Self {
            meters,
            known: RefCell::new(Vec::new()),
        }
    }

    /// A request was answered.
    pub fn record(&self, route: &'static str, method: &Method, status: u16, took: Duration) {
        let mut known = self.known.borrow_mut();
        let same =
            |k: &&Known| ptr::eq(k.route, route) && k.status == status && k.method == *method;
        if let Some(found) = known.iter().find(same) {
            found.meter.record(took);
            return;
        }
        let meter = self.meters.http_route(route, method.as_str(), status);
        meter.record(took);
        if known.len() < KNOWN_MAX {
            known.push(Known {
                route,
                method: method.clone(),
                status,
                meter,
            });
        }
    }
}
