//! The remote ledger behind the engine and the real binary, over real servers: against the model
//! and the embedded ledger, with several instances, in a crowd, over unsafe and empty stores, and
//! killed under load.

#![expect(
    clippy::unwrap_used,
    clippy::unreachable,
    clippy::panic,
    reason = "test code"
)]
#![expect(clippy::print_stdout, reason = "what was measured is shown on request")]

#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "the model tests use the rest of it")]
mod support;

#[path = "../support/server.rs"]
mod server;

#[path = "../cli/support.rs"]
#[expect(dead_code, reason = "the tests of the program use the rest of it")]
mod program_support;

#[path = "../support/store.rs"]
#[expect(dead_code, reason = "the tests of links use the rest of it")]
mod store;

#[path = "../support/nodes.rs"]
#[expect(dead_code, reason = "the tests of faults fail nodes over")]
mod nodes;

#[path = "../support/live.rs"]
mod live;

#[path = "../support/deficits_told.rs"]
mod deficits_told;

#[path = "../support/dated.rs"]
mod dated_commands;

#[path = "../support/promises.rs"]
mod promises;

#[path = "../support/proved.rs"]
mod proved;

#[path = "../support/linear/mod.rs"]
mod linear;

#[path = "../support/proxy.rs"]
#[expect(dead_code, reason = "the tests of links use the rest of it")]
mod proxy;

mod alike;
mod cluster;
mod crowd;
mod dated;
mod dated_alike;
mod dated_halves;
mod deploy;
mod entire;
mod expiry;
mod gate;
mod half_told;
mod halves;
mod instance;
mod lease;
mod linearity;
mod loss;
mod mirror;
mod mirror_faults;
mod model;
mod moving;
mod moving_parts;
mod panes;
mod policy;
mod program;
mod proof;
mod restock;
mod safety;
mod several;
mod shares;
mod terms;
mod truth;
mod twins;
mod verify;
