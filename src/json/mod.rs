//! Pure functions on JSON: no input, no output, nothing of ours imported.

pub mod branch;
pub mod datetime;
pub mod defaults;
pub(crate) mod envelope;
pub mod members;
pub mod merge_patch;
pub mod nearest;
pub mod packed;
pub mod pointer;
pub mod remap;
pub mod repair;
pub(crate) mod scan;
pub mod schema;
pub mod shape;
pub mod text;
pub mod unknown;
