//! The engine that both protocols share: it answers Flow's requests by running upstream.
//!
//! `session` takes requests; `discover`, `validate` and `open` answer them; `pump` moves a read;
//! `supervisor` owns the process. What the engine has to know of a protocol is the trait in
//! `protocol`, and what a line means is an `event`.

pub mod acknowledged;
pub mod batch;
pub mod bindings;
mod blocks;
mod cadence;
pub mod children;
mod closing;
mod config;
pub mod config_file;
pub mod counts;
mod discover;
pub mod document;
pub mod event;
pub mod glued;
mod interval;
mod key;
pub mod lines;
pub mod memory;
mod meta;
mod open;
pub mod outcome;
pub mod oversized;
mod plan;
pub mod process;
pub mod protocol;
pub mod pulse;
pub mod pump;
pub mod refresh;
mod refresh_mode;
mod reports;
pub mod requests;
pub mod rotation;
pub mod router;
mod schema;
pub mod secrets;
pub mod seen;
pub mod session;
pub mod shutdown;
pub mod sourced;
mod spec_schema;
pub mod stacks;
pub mod state;
pub mod stderr;
pub mod supervisor;
mod takeover;
mod transform;
pub mod tree;
mod upstream_config;
mod validate;
pub mod warden;
pub mod watchdog;
pub mod workdir;
