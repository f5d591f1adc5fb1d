//! Commands for developers.
//!
//! `preview` and `raw` are the embedded driver: what `flowctl` does for a local developer, with no
//! account and no network. `record`, `replay` and `install` and `new` help to wrap a connector,
//! `pull-upstream` to change one. Uses everything below; nothing uses it but the command line.

mod answer_table;
mod answers;
pub mod bake;
pub mod check;
mod checks;
mod closed;
mod connector_state;
pub mod diff;
mod docker;
mod driver;
mod endpoint;
mod flow_yaml;
pub mod form;
pub mod import_atf;
pub mod install;
mod known;
mod live;
pub mod new;
pub mod oauth;
pub mod options;
mod output;
pub mod preview;
pub mod pull_upstream;
pub mod raw;
pub mod record;
pub mod replay;
mod resource;
mod session;
mod sops;
mod stderr;
mod summary;
mod table;
pub mod task;
mod write_bindings;
mod yaml;
