//! Commands for developers.
//!
//! `preview` and `raw` are the embedded driver: what `flowctl` does for a local developer, with no
//! account and no network. `record`, `replay` and `install` and `new` help to wrap a connector,
//! `pull-upstream` to change one. Uses everything below; nothing uses it but the command line.
//!
//! Each file and folder is one command, but for what they share: `driver` talks to a connector as Flow
//! does, `catalog` reads flow.yaml files, `display` prints, `known` asks what a shim offers.

pub mod bake;
pub mod catalog;
pub mod check;
pub mod diff;
pub mod display;
mod driver;
pub mod import_atf;
pub mod install;
mod known;
pub mod new;
pub mod oauth;
pub mod options;
pub mod preview;
pub mod pull_upstream;
pub mod raw;
pub mod record;
pub mod replay;
