//! The program as its users see it: the real binary, real files, real sockets.

mod beginner;
mod configuration;
mod import;
mod inspect;
mod policy;
mod preflight;
mod prove;
mod replay;
mod serve;
mod support;
