//! The two ways in which messages are put on a stream, and how reading them fails.
//!
//! A codec frames and encodes one message at a time. [`reader`](super::reader) finds messages in a
//! stream; documents are written by a faster path of their own, which must agree with this one.

use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{json, proto};

/// How messages are encoded and framed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Codec {
    /// One JSON object a line.
    #[default]
    Json,
    /// Protobuf, each message after its length.
    #[value(alias = "protobuf")]
    Proto,
}

/// A message cannot be read or written. No text quotes content.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The stream itself failed.
    #[error("the stream cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// Framing: a message is longer than is ever valid.
    #[error("message {number} is longer than {limit} bytes")]
    TooLarge {
        /// Which message, from 1.
        number: u64,
        /// The limit, in bytes.
        limit: usize,
    },
    /// Truncation: the stream ended inside a message.
    #[error("the stream ended inside message {number}")]
    Truncated {
        /// Which message, from 1.
        number: u64,
    },
    /// Decoding: a whole message that does not parse. Reading can go on.
    #[error("message {number} cannot be decoded: {detail}")]
    Decode {
        /// Which message, from 1.
        number: u64,
        /// What was expected, and where.
        detail: String,
    },
    /// A message of ours cannot be encoded, for this reason.
    #[error("a message cannot be encoded: {0}")]
    Encode(&'static str),
}

impl Codec {
    /// Appends one framed message; on an error nothing is appended.
    pub fn encode<M: prost::Message + Serialize>(
        self,
        message: &M,
        into: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let encoded = match self {
            Codec::Json => json::encode(message, into),
            Codec::Proto => proto::encode(message, into),
        };
        encoded.map_err(CodecError::Encode)
    }

    /// Decodes one message, without its framing; `number` counts from 1 and is for the error's text.
    pub(super) fn decode<M: prost::Message + DeserializeOwned + Default>(
        self,
        body: &[u8],
        number: u64,
    ) -> Result<M, CodecError> {
        let message = match self {
            Codec::Json => json::decode(body),
            Codec::Proto => proto::decode(body),
        };
        message.map_err(|detail| CodecError::Decode { number, detail })
    }
}

impl FromStr for Codec {
    type Err = String;

    /// Takes `json`, `proto` and `protobuf`, as `FLOW_RUNTIME_CODEC` has them.
    fn from_str(text: &str) -> Result<Self, String> {
        let known = <Self as clap::ValueEnum>::from_str(text, false);
        known.map_err(|_| format!("{text:?} is not a codec; use json or proto"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_variable() {
        assert_eq!("json".parse(), Ok(Codec::Json));
        assert_eq!("protobuf".parse(), Ok(Codec::Proto));
        assert!("JSON5".parse::<Codec>().is_err());
    }
}
