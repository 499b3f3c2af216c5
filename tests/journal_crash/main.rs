//! Crashes, faults and damage of the journal on simulated storage: nothing acknowledged is lost,
//! nothing is invented, order is kept, and every check is shown to notice when that is broken.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test code: a surprise ends the test"
)]

mod controls;
mod crash;
mod damage;
mod faults;
mod life;
