//! The endpoint config: from what Flow sends to what upstream takes, and back where upstream renews it.

pub mod file;
pub mod rotation;
pub(super) mod schema;
pub mod secrets;
pub mod upstream;
pub(super) mod validity;
