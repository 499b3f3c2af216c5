//! Places of connections: those of all callers together, and those of each address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::http::catalog::{self, Kind};

/// Leading bits of an IPv6 address that name a customer, who can use any address below them.
const CUSTOMER_BITS: u32 = 64;

/// How many connections are open, and from where.
#[derive(Debug)]
pub struct Places {
    limit: usize,
    /// `None`: one address may have all.
    limit_each: Option<usize>,
    open: AtomicUsize,
    /// Those of them that are guests.
    guests: AtomicUsize,
    /// LOCK: to count one connection in or out; never held across anything else.
    of: Mutex<HashMap<IpAddr, usize>>,
}

impl Places {
    /// So many for all, and so many for each address.
    pub fn new(limit: usize, limit_each: usize) -> Self {
        Self {
            limit,
            limit_each: Some(limit_each).filter(|each| *each < limit),
            open: AtomicUsize::new(0),
            guests: AtomicUsize::new(0),
            of: Mutex::default(),
        }
    }

    /// A place for a connection from there; the error says why there is none.
    pub fn take(self: &Arc<Self>, peer: IpAddr) -> Result<Taken, &'static Kind> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(&catalog::TOO_MANY_CONNECTIONS);
        }
        let address = customer(peer);
        if let Some(limit) = self.limit_each {
            let mut of = self.lock();
            let count = of.entry(address).or_default();
            if *count >= limit {
                drop(of);
                self.open.fetch_sub(1, Ordering::Relaxed);
                return Err(&catalog::TOO_MANY_OF_ADDRESS);
            }
            *count += 1;
        }
        let places = Arc::clone(self);
        Ok(Taken {
            places,
            address,
            is_guest: false,
        })
    }

    /// Connections that are open now, but for guests.
    pub fn seated(&self) -> usize {
        let guests = self.guests.load(Ordering::Relaxed);
        self.open.load(Ordering::Relaxed).saturating_sub(guests)
    }

    /// Whether whoever comes next is turned away, and is not even a guest.
    pub fn are_taken(&self) -> bool {
        self.open.load(Ordering::Relaxed) >= self.limit
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, address: IpAddr) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        if self.limit_each.is_none() {
            return;
        }
        let mut of = self.lock();
        if let Some(count) = of.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                of.remove(&address);
            }
        }
    }
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub struct Taken {
    places: Arc<Places>,
    address: IpAddr,
    is_guest: bool,
}

impl Taken {
    /// It is for a guest, who leaves the limit of the others to them.
    #[must_use]
    pub fn into_guest(mut self) -> Self {
        self.is_guest = true;
        self.places.guests.fetch_add(1, Ordering::Relaxed);
        self
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.places.leave(self.address);
        if self.is_guest {
            self.places.guests.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Who is counted for an address: an IPv4 address written as IPv6 is itself, and an IPv6 address
/// stands for all that its customer has.
fn customer(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let bits = address.to_bits() & (u128::MAX << CUSTOMER_BITS);
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_share_and_gets_it_back() {
        let places = Arc::new(Places::new(10, 2));
        let (one, other) = (address("10.0.0.1"), address("10.0.0.2"));
        let first = places.take(one).unwrap();
        let second = places.take(one).unwrap();
        let full = &catalog::TOO_MANY_OF_ADDRESS;
        assert_eq!(places.take(one).unwrap_err(), full);
        let mapped = address("::ffff:10.0.0.1");
        assert_eq!(places.take(mapped).unwrap_err(), full, "the same caller");
        let third = places.take(other).unwrap();
        assert_eq!(places.seated(), 3, "who is turned away has no place");
        drop(first);
        let again = places.take(mapped).unwrap();
        drop((second, third, again));
        assert_eq!(
            (places.seated(), places.lock().len()),
            (0, 0),
            "nothing stays"
        );
    }

    #[test]
    fn a_customer_of_ipv6_is_one_caller() {
        let places = Arc::new(Places::new(10, 1));
        let _one = places.take(address("2001:db8::1")).unwrap();
        let refused = places.take(address("2001:db8::ffff:2")).unwrap_err();
        assert_eq!(refused, &catalog::TOO_MANY_OF_ADDRESS);
        let _next = places.take(address("2001:db8:0:1::1")).unwrap();
    }

    #[test]
    fn guests_leave_the_others_their_places() {
        let places = Arc::new(Places::new(3, 3));
        let one = places.take(address("10.0.0.1")).unwrap();
        let guest = places.take(address("10.0.0.1")).unwrap().into_guest();
        assert_eq!(places.seated(), 1);
        assert!(!places.are_taken());
        let last = places.take(address("10.0.0.1")).unwrap();
        assert!(places.are_taken());
        drop(last);
        drop(one);
        assert_eq!(places.seated(), 0);
        drop(guest);
        assert_eq!(places.seated(), 0);
    }

    #[test]
    fn all_together_have_a_limit() {
        let places = Arc::new(Places::new(1, 1));
        let one = places.take(address("10.0.0.1")).unwrap();
        let refused = places.take(address("10.0.0.2")).unwrap_err();
        assert_eq!(refused, &catalog::TOO_MANY_CONNECTIONS);
        drop(one);
        let _one = places.take(address("10.0.0.2")).unwrap();
    }
}
