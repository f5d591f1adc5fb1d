//! Low-code connectors: what a manifest says by itself, and how the program that runs it gets it.
//!
//! `references` resolves what a manifest says once and uses often, `spec` reads its specification
//! and `streams` its streams without running anything; `inject` puts it into the private config.

mod inject;
mod references;
mod spec;
mod streams;

pub(super) use self::inject::{MEMBERS, config_file};
pub use self::references::Resolver;
pub use self::spec::spec;
pub use self::streams::{Declared, streams};

/// The variable without which the CDK runs no Python code that is not its own.
pub(super) const UNSAFE_CODE: &str = "AIRBYTE_ENABLE_UNSAFE_CODE";
