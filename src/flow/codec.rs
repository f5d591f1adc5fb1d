//! How a message becomes bytes: newline-delimited JSON, or protobuf after its length.

use serde::Serialize;

/// The two framings (flow-protocol.md, 1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Codec {
    /// One JSON object a line.
    Json,
    /// A u32 length in little-endian order, then that many bytes of protobuf.
    #[value(alias = "protobuf")]
    Proto,
}

/// A message that cannot be read or written. Its text never holds a value of the message.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The pipe failed.
    #[error("reading failed: {0}")]
    Io(#[from] std::io::Error),
    /// The stream ended inside a message.
    #[error("it ends in the middle of a message")]
    Truncated,
    /// The message is larger than any that is taken.
    #[error("a message is larger than {0} bytes")]
    TooLarge(usize),
    /// The bytes are no message of this codec.
    #[error("{0}")]
    Malformed(String),
}

impl Codec {
    /// Appends one framed message.
    pub fn encode<M: prost::Message + Serialize>(
        self,
        message: &M,
        into: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        match self {
            Codec::Json => {
                let start = into.len();
                if let Err(error) = serde_json::to_writer(&mut *into, message) {
                    into.truncate(start);
                    return Err(malformed(&error));
                }
                into.push(b'\n');
            }
            Codec::Proto => {
                let length = message.encoded_len();
                let framed = u32::try_from(length).map_err(|_| CodecError::TooLarge(length))?;
                into.extend_from_slice(&framed.to_le_bytes());
                message.encode_raw(into);
            }
        }
        Ok(())
    }
}

/// What is wrong with JSON, without its content: serde quotes values in its messages, but names of
/// fields are no secrets and help.
pub(super) fn malformed(error: &serde_json::Error) -> CodecError {
    let text = error.to_string();
    let named = ["unknown field `", "missing field `", "duplicate field `"].iter().find_map(|what| {
        let name = text.strip_prefix(what)?.split('`').next()?;
        Some(format!("{what}{name}`"))
    });
    let what = named.unwrap_or_else(|| format!("{:?} error", error.classify()).to_lowercase());
    CodecError::Malformed(format!("{what} at column {}", error.column()))
}

#[cfg(test)]
mod tests {
    use super::super::message::{Captured, Response};
    use super::*;

    #[test]
    fn text_that_is_not_json_is_refused_and_leaves_nothing() {
        let response = Response {
            captured: Some(Captured { binding: 0, doc_json: b"{secret".to_vec() }),
            ..Response::default()
        };
        let mut bytes = Vec::new();
        let error = Codec::Json.encode(&response, &mut bytes).expect_err("not JSON");
        assert!(bytes.is_empty());
        assert!(!error.to_string().contains("secret"));
    }
}
