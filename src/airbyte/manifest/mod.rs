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
pub use self::spec::{Wanted, spec};
pub use self::streams::{Declared, streams};

/// The variables without which the CDK runs no Python code that is not its own; airbyte-cdk before 6.48
/// has the second.
pub(super) const UNSAFE_CODE: [&str; 2] = ["AIRBYTE_ENABLE_UNSAFE_CODE", "AIRBYTE_ALLOW_CUSTOM_CODE"];
