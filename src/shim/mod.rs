//! What a shim folder says: `shim.yaml` and its defaults.

pub mod command;
pub mod definition;
