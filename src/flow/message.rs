//! Requests and responses of the capture protocol, as far as we use them.
//!
//! One set of types serves both codecs: `prost` for protobuf, `serde` for JSON with pbjson's rules
//! (flow-protocol.md, sections 1.4 and 2). Unknown request fields are ignored, zero values may be
//! missing, and fields whose proto name ends in `_json` hold raw JSON text.

mod request;
mod response;
mod spec;

pub use request::*;
pub use response::*;
pub use spec::*;

use super::raw_json;

/// JSON text, as it came or as it goes.
pub type Json = Vec<u8>;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
