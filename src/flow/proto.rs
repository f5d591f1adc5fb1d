//! The protobuf codec: a length as four little-endian bytes, then the message
//! (flow-protocol.md, section 1.4). Cutting a stream into frames is the reader's duty.

use prost::Message;

use super::codec::CodecError;

/// Bytes of a frame's header.
pub(super) const HEADER: usize = 4;

/// Appends `message` as one frame. `into` is unchanged when it is too large for a frame.
pub(super) fn encode(message: &impl Message, into: &mut Vec<u8>) -> Result<(), CodecError> {
    let length = u32::try_from(message.encoded_len()).map_err(|_| CodecError::Encode)?;
    into.extend_from_slice(&length.to_le_bytes());
    message.encode(into).map_err(|_| CodecError::Encode)
}

/// How many bytes follow the header.
pub(super) fn length(header: [u8; HEADER]) -> usize {
    usize::try_from(u32::from_le_bytes(header)).unwrap_or(usize::MAX)
}

/// Reads the message of one frame; `number` counts from 1 and is for the error's text.
pub(super) fn decode<M: Message + Default>(body: &[u8], number: u64) -> Result<M, CodecError> {
    // prost's texts name fields and wire types, never content.
    M::decode(body).map_err(|error| CodecError::Decode { number, detail: error.to_string() })
}
