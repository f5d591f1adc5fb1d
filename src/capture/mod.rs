//! The engine that both protocols share: it answers Flow's requests by running upstream.
//!
//! `session` takes what `requests` reads; `discover`, `validate` (which collects `problems`), `apply` and `open`
//! answer it, and `stray`
//! knows what may come while `open` runs. What the engine has to know of a protocol is the trait in
//! `protocol`, and what a line means is an `event`. Below:
//!
//! - `read`: one read from begin to end; its `pump` moves what upstream prints, its `outcome` judges.
//! - `input`: upstream's output, up to events; `documents`: from a record to a document.
//! - `state`: what Flow keeps for us; `refresh`: row ids, and the rows of earlier full refreshes.
//! - `collections`: bindings, and the name, schema and key of a collection; `config`: the endpoint config.
//! - `threads`: threads of our own.
//! - `processes`: upstream's processes, which `supervisor` starts and ends.

mod apply;
mod collections;
pub mod config;
pub mod discover;
pub mod documents;
pub mod event;
pub(crate) mod files;
pub mod input;
mod open;
mod problems;
pub mod processes;
pub mod protocol;
mod read;
mod refresh;
pub mod requests;
pub mod session;
pub mod shutdown;
pub mod state;
mod stray;
mod threads;
mod validate;
