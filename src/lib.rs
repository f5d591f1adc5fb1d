//! flow-shim runs any open-source Airbyte source or Singer tap behind Estuary Flow's capture protocol.
//!
//! # Theory of operation
//!
//! Flow starts the process and writes requests to its stdin; responses go to stdout, logs to stderr.
//! Spec, Discover and Validate each run the wrapped connector, *upstream*, once and turn its answer
//! into Flow's. Open runs it for as long as it reads: each line of its output becomes an
//! [`Event`](capture::event::Event) that borrows from the line; a record leaves as a document, a
//! state as a checkpoint, both through one buffer, so their order is upstream's order. Memory does
//! not grow with the number of records: a slow reader of our stdout makes us stop reading upstream.
//!
//! # Layers
//!
//! ```text
//! main ─ cli ─ settings        what a person or an image types; has `encryption` for renewed configs
//!          │
//!         dev                  the embedded driver and other commands for developers
//!          │
//!       upstream               picks the protocol
//!       ╱      ╲
//!   airbyte   singer           what lines, catalogs and states of upstream mean
//!       ╲      ╱
//!       capture                the engine: requests, processes, documents, checkpoints
//!          │
//!        oauth                 what consent adds to a specification and to a config
//!       ╱      ╲
//!    flow      shim            Flow's wire · what shim.yaml says
//!                 ╲
//!                 json         pure functions on JSON
//! ```
//!
//! Imports run downwards only; a test checks it. `env`, `http`, `log`, `failure` and `terminal` are leaves.

pub mod airbyte;
pub mod capture;
pub mod cli;
pub mod dev;
pub mod encryption;
pub mod env;
pub mod failure;
pub mod flow;
pub mod http;
pub mod json;
pub mod log;
pub mod oauth;
pub mod settings;
pub mod shim;
pub mod singer;
pub mod terminal;
pub mod upstream;
