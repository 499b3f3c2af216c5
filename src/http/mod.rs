//! The HTTP API: parse, one call to the engine, map the answer.
//!
//! [`server`] accepts as long as there are [`places`], `lane` serves on one thread, [`conn`] watches one connection, [`hot`] is
//! where every request passes, [`routes`] holds the calls, [`body`] carries their answers. [`list`]
//! bounds what is read and [`parse`] turns it into commands, listing every mistake; [`render`]
//! and [`policy_json`] write answers by hand; [`error`] maps everything that is no answer to a problem of the
//! [`catalog`].

pub mod answers;
pub mod app;
mod atp_answers;
pub mod body;
pub mod calls;
pub mod campaign_answers;
pub mod catalog;
pub mod conn;
pub mod dto;
pub mod dto_inbound;
pub mod dto_policy;
pub mod error;
pub mod event_json;
pub mod hot;
pub mod json;
mod lane;
pub mod list;
pub mod names;
pub mod openapi;
pub mod parse;
pub mod places;
pub mod policy_answers;
pub mod policy_json;
pub mod render;
pub mod request;
pub mod request_ids;
pub mod route_meters;
pub mod routes;
pub mod server;
pub mod settings_answer;
pub mod settings_dto;

pub use server::{HttpConfig, Server, serve};
