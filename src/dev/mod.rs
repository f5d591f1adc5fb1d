//! Commands for developers: transcripts, installing, and the embedded driver.

pub mod install;
pub mod record;
pub mod replay;
