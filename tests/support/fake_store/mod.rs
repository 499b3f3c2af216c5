//! A store in memory that stands in for Redis where a test must decide what happens when: the
//! commands that the remote ledger uses, and its scripts in the Lua that Redis has, Lua 5.1 with
//! doubles for numbers.
//!
//! It is meant to be as unpleasant as the real ones: an error in a script keeps the writes before
//! it, a `nil` ends a reply, a script is forgotten by a restart, `WAIT` counts from the last write of
//! its connection, a replica lags, a promoted one may lack what was acknowledged. `tests/differential`
//! holds it against a real server, reply by reply and byte by byte.

#![expect(
    clippy::wildcard_enum_match_arm,
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    reason = "values of Lua, its functions, and the one signature of all commands"
)]

pub(crate) mod cluster;
mod database;
mod facts;
mod hashes;
pub(crate) mod interpreter;
mod keys;
mod message_pack;
pub(crate) mod node;
mod reply;
pub(crate) mod serve;
pub(crate) mod socket;
mod sorted_sets;
pub(crate) mod store;
mod streams;
mod structs;
