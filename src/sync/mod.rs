//! What threads share data by: that of the standard library. In unit tests it is what stands in
//! `explored`, which does the same, and in a thread of an exploration lets others go first.

#[cfg(test)]
pub(crate) mod explored;

#[cfg(test)]
pub(crate) use explored::{AtomicBool, AtomicU64, AtomicUsize, Condvar, Mutex, MutexGuard};
#[cfg(not(test))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
#[cfg(not(test))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
