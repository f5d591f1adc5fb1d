//! Flow's capture protocol on the wire. Knows messages and framing, never what they mean.

pub mod message;
mod raw_json;
