//! The engine that both protocols share: it answers Flow's requests by running upstream.
//!
//! `session` takes requests; `discover`, `validate` and `open` answer them; `pump` moves a read;
//! `supervisor` owns the process. What the engine has to know of a protocol is the trait in
//! `protocol`, and what a line means is an `event`.

pub mod batch;
pub mod bindings;
mod blocks;
mod cadence;
mod closing;
mod config;
pub mod counts;
mod discover;
pub mod document;
pub mod event;
pub mod lines;
mod open;
pub mod outcome;
pub mod protocol;
pub mod pump;
pub mod refresh;
mod refresh_mode;
pub mod requests;
pub mod router;
mod schema;
pub mod secrets;
pub mod seen;
pub mod session;
pub mod shutdown;
mod spec_schema;
pub mod state;
pub mod stderr;
pub mod supervisor;
mod upstream_config;
mod validate;
pub mod workdir;
