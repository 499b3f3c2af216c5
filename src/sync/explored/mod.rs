//! Primitives that an exploration takes through schedules.
//!
//! Threads of an exploration run one at a time, and may be changed before each use of a primitive.
//! So what is found is wrong under sequential consistency; reorderings of memory are not tried.
//! All other threads have the standard library's behaviour.

mod plan;

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering;
use std::sync::{LockResult, PoisonError, TryLockError};

pub(crate) use plan::{Body, awaited, explore, schedules};
use plan::{Turn, point};

/// Others may go before a use of a primitive, and after it: what follows may be the use of something
/// that is not one of these.
fn around<T>(done: impl FnOnce() -> T) -> T {
    point();
    let result = done();
    point();
    result
}

macro_rules! atomic {
    ($($name:ident $of:ty: $($extra:ident)*;)*) => {
        $(
            #[derive(Debug, Default)]
            pub(crate) struct $name(std::sync::atomic::$name);

            impl $name {
                pub(crate) const fn new(value: $of) -> Self {
                    Self(std::sync::atomic::$name::new(value))
                }

                pub(crate) fn load(&self, order: Ordering) -> $of {
                    around(|| self.0.load(order))
                }

                pub(crate) fn store(&self, value: $of, order: Ordering) {
                    around(|| self.0.store(value, order));
                }

                $(
                    pub(crate) fn $extra(&self, value: $of, order: Ordering) -> $of {
                        around(|| self.0.$extra(value, order))
                    }
                )*
            }
        )*
    };
}

atomic! {
    AtomicBool bool: swap;
    AtomicU64 u64: fetch_add;
    AtomicUsize usize:;
}

/// See [`std::sync::Mutex`].
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    /// What threads wait for that find it locked.
    fn place(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        let Some(turn) = Turn::current() else {
            let locked = self.0.lock();
            return match locked {
                Ok(guard) => Ok(self.guard(guard)),
                Err(poisoned) => Err(PoisonError::new(self.guard(poisoned.into_inner()))),
            };
        };
        turn.offer();
        loop {
            match self.0.try_lock() {
                Ok(guard) => return Ok(self.guard(guard)),
                Err(TryLockError::Poisoned(poisoned)) => {
                    return Err(PoisonError::new(self.guard(poisoned.into_inner())));
                }
                Err(TryLockError::WouldBlock) => turn.wait_at(self.place()),
            }
        }
    }

    fn guard<'m>(&'m self, guard: std::sync::MutexGuard<'m, T>) -> MutexGuard<'m, T> {
        MutexGuard {
            mutex: self,
            guard: Some(guard),
        }
    }
}

/// See [`std::sync::MutexGuard`].
pub(crate) struct MutexGuard<'m, T> {
    mutex: &'m Mutex<T>,
    /// `None` only while it waits for a signal.
    guard: Option<std::sync::MutexGuard<'m, T>>,
}

impl<T> MutexGuard<'_, T> {
    fn unlock(&mut self) {
        if self.guard.take().is_some()
            && let Some(turn) = Turn::current()
        {
            turn.wake_all_at(self.mutex.place());
        }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.unlock();
        point();
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.guard.as_ref().unwrap()
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_mut().unwrap()
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.guard.fmt(f)
    }
}

/// See [`std::sync::Condvar`].
#[derive(Debug, Default)]
pub(crate) struct Condvar(std::sync::Condvar);

impl Condvar {
    pub(crate) const fn new() -> Self {
        Self(std::sync::Condvar::new())
    }

    fn place(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    pub(crate) fn wait<'m, T>(
        &self,
        mut guard: MutexGuard<'m, T>,
    ) -> LockResult<MutexGuard<'m, T>> {
        let mutex = guard.mutex;
        let Some(turn) = Turn::current() else {
            let waited = self.0.wait(guard.guard.take().unwrap());
            return match waited {
                Ok(again) => Ok(mutex.guard(again)),
                Err(poisoned) => Err(PoisonError::new(mutex.guard(poisoned.into_inner()))),
            };
        };
        turn.offer();
        guard.unlock();
        turn.wait_at(self.place());
        mutex.lock()
    }

    pub(crate) fn notify_one(&self) {
        match Turn::current() {
            None => self.0.notify_one(),
            Some(turn) => {
                turn.offer();
                turn.wake_one_at(self.place());
            }
        }
    }

    pub(crate) fn notify_all(&self) {
        match Turn::current() {
            None => self.0.notify_all(),
            Some(turn) => {
                turn.offer();
                turn.wake_all_at(self.place());
            }
        }
    }
}
