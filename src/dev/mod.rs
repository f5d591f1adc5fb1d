//! Commands for developers.
//!
//! `preview`, `raw`, `oauth` and `encrypt` use the embedded driver: what `flowctl` does for a local developer, with
//! no account and no network. `new`, `import_atf`, `install`, `bake`, `record` and `replay` help to wrap a
//! connector, `check` and `diff` say what is wrong with one or changes, `pull_upstream` takes one in to be
//! changed. Uses everything below; nothing uses it but the command line.
//!
//! Each file and folder is one command, but for what they share: `driver` talks to a connector as Flow
//! does, `catalog` reads flow.yaml files, which `options` chooses captures from, `display` prints, `known`
//! asks what a shim offers, `schema` compiles JSON schemas as Flow does, `subprocess` runs programs.

pub mod bake;
pub mod catalog;
pub mod check;
pub mod completions;
pub mod diff;
pub mod display;
mod driver;
pub mod encrypt;
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
mod schema;
mod subprocess;
