//! Upstream's output, up to events: from its pipe line by line, from a batch file, or from the
//! sockets of a data channel.

pub mod batch;
pub mod buffer;
pub mod channel;
pub(crate) mod damaged;
pub mod glued;
pub mod lines;
pub mod parser;
pub mod pipe;
