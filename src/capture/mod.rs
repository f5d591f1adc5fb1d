//! The engine that both protocols share: it answers Flow's requests by running upstream.

pub mod event;
pub mod lines;
pub mod protocol;
pub mod shutdown;
pub mod stderr;
pub mod supervisor;
pub mod workdir;
