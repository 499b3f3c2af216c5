//! Histories of ledgers in stores, judged by a search that trusts nothing that they say of their order:
//! two instances over one store, and the same behind a network that loses, cuts, delays and doubles.

use std::time::Duration;

use holdfast::blocking::wait_for;
use holdfast::domain::command::Keyed;
use holdfast::engine::Engine;
use holdfast::ledger::remote::RemoteConfig;
use holdfast::ledger::{Answer, LedgerError};

use crate::instance::{Instance, Place};
use crate::linearity::crowd;
use crate::linearity::judge::{Tally, judge_all};
use crate::linearity::plan::{Kind, LARGE, Plan, SMALL, Size};
use crate::linearity::wanted;
use crate::server;
