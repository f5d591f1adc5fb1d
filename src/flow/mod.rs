//! Flow's capture protocol on the wire. Knows messages and framing, never what they mean.

pub mod codec;
mod json;
pub mod message;
mod proto;
mod raw_json;
pub mod reader;
pub mod writer;
