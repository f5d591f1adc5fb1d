//! Flow's capture protocol on the wire. Knows messages and framing, never what they mean.

pub mod codec;
pub mod message;
mod raw_json;
pub mod reader;
pub mod writer;
