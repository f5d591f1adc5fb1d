//! The protobuf codec: a length as four little-endian bytes, then the message
//! (flow-protocol.md, section 1.4). Cutting a stream into frames is the reader's duty.

use prost::Message;

/// Bytes of a frame's header.
pub(super) const HEADER: usize = 4;
const TOO_LARGE: &str = "it is too large for a frame";

/// Appends `message` as one frame; on an error `into` is unchanged.
pub(super) fn encode(message: &impl Message, into: &mut Vec<u8>) -> Result<(), &'static str> {
    let length = u32::try_from(message.encoded_len()).map_err(|_| TOO_LARGE)?;
    into.extend_from_slice(&length.to_le_bytes());
    message.encode(into).map_err(|_| TOO_LARGE)
}

/// How many bytes follow the header.
pub(super) fn length(header: [u8; HEADER]) -> usize {
    usize::try_from(u32::from_le_bytes(header)).unwrap_or(usize::MAX)
}

/// Reads the message of one frame; the error is what is wrong with it.
pub(super) fn decode<M: Message + Default>(body: &[u8]) -> Result<M, String> {
    // prost's texts name fields and wire types, never content.
    M::decode(body).map_err(|error| error.to_string())
}
