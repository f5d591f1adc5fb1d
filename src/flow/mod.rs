//! Flow's capture protocol on the wire. Knows messages, framing and names, never what they mean.

pub mod codec;
mod json;
pub mod message;
pub mod name;
mod proto;
mod raw_json;
pub mod reader;
pub mod writer;
