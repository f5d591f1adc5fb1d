//! The endpoint config: from what Flow sends to what upstream takes, and back where upstream renews it.
//!
//! `schema` is what it has to fit and `mistakes` says where it does not, `shape` the way from one side to the
//! other, `secrets` what must not be logged of it, `flags` the feature flags in it. `rotation` is what becomes of
//! one that upstream changes, `file` how that is noticed; `limits` finds the setting that limits what a refresh
//! reads.

pub mod file;
pub(crate) mod flags;
mod limits;
mod mistakes;
pub mod rotation;
pub(crate) mod schema;
pub mod sealed;
pub mod secrets;
pub mod shape;
