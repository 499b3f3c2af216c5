//! Signals and the order of stopping.
//!
//! The first signal asks: readiness goes off, open requests finish, the journal is flushed. The
//! second one insists: the process ends at once, and recovery does the rest at the next start.
//! What asks a whole group of processes to stop (`timeout`, a terminal, a supervisor) may send the
//! first one twice, so that one right after it is taken for its echo.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::clock::Clock;

/// A signal this soon after the first is its echo, milliseconds.
const ECHO_MS: i64 = 500;

/// SIGTERM and SIGINT, counted from when this was made.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals over; needs a runtime.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next signal and gives its name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Tells a signal that insists from an echo of the one that asked.
#[derive(Debug)]
pub struct Insistence {
    clock: Clock,
    /// Milliseconds since 1970.
    asked: Option<i64>,
}

impl Insistence {
    /// Nobody has asked yet.
    pub fn new(clock: &Clock) -> Self {
        Self {
            clock: clock.clone(),
            asked: None,
        }
    }

    /// The first signal has come.
    pub fn asked(&mut self) {
        self.asked = Some(self.clock.now().0);
    }

    /// Whether a signal that comes now insists. A clock that was set back takes nobody's word.
    pub fn insists(&self) -> bool {
        self.asked.is_none_or(|asked| {
            let since = self.clock.now().0.saturating_sub(asked);
            !(0..ECHO_MS).contains(&since)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `timeout 5 holdfast serve` signals its child and then the whole group: the second of the two
    /// ended the process in the middle of its orderly stop.
    #[test]
    fn an_echo_of_the_first_signal_does_not_insist() {
        let clock = Clock::manual(Clock::system().now());
        let mut insistence = Insistence::new(&clock);
        assert!(
            insistence.insists(),
            "nobody has asked: the stop has another cause"
        );
        insistence.asked();
        assert!(!insistence.insists());
        clock.advance(ECHO_MS - 1);
        assert!(!insistence.insists());
        clock.advance(1);
        assert!(insistence.insists());
        clock.advance(-2 * ECHO_MS);
        assert!(insistence.insists());
    }
}
