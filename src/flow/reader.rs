//! Reads framed messages. The end of the stream between two messages is an end, inside of one it is
//! an error; memory grows with what arrives, never with what a peer claims.

use std::io::{BufRead, BufReader, Read};

use serde::de::DeserializeOwned;

use super::codec::{Codec, CodecError, malformed};

/// The largest message that is taken. An Open request holds every schema of a capture, so tens of
/// megabytes are normal (flow-protocol.md, 1.5).
const LARGEST: usize = 1 << 30;

/// Reads messages of one codec.
#[derive(Debug)]
pub struct Reader<R> {
    input: BufReader<R>,
    codec: Codec,
    frame: Vec<u8>,
}

impl<R: Read> Reader<R> {
    /// A reader of this input.
    pub fn new(input: R, codec: Codec) -> Self {
        Self { input: BufReader::with_capacity(64 * 1024, input), codec, frame: Vec::new() }
    }

    /// The next message; `None` at the end of the stream.
    pub fn message<M: prost::Message + DeserializeOwned + Default>(
        &mut self,
    ) -> Result<Option<M>, CodecError> {
        match self.codec {
            Codec::Json => self.next_json(),
            Codec::Proto => self.next_proto(),
        }
    }

    fn next_json<M: DeserializeOwned>(&mut self) -> Result<Option<M>, CodecError> {
        loop {
            self.frame.clear();
            let limit = LARGEST as u64 + 1;
            let read = self.input.by_ref().take(limit).read_until(b'\n', &mut self.frame)?;
            if read == 0 {
                return Ok(None);
            }
            if read > LARGEST {
                return Err(CodecError::TooLarge(LARGEST));
            }
            if !self.frame.trim_ascii().is_empty() {
                break;
            }
        }
        // A last line may lack its newline if it is whole.
        let whole = self.frame.ends_with(b"\n");
        serde_json::from_slice(&self.frame)
            .map(Some)
            .map_err(|error| if !whole && error.is_eof() { CodecError::Truncated } else { malformed(&error) })
    }

    fn next_proto<M: prost::Message + Default>(&mut self) -> Result<Option<M>, CodecError> {
        let mut length = [0; 4];
        match self.fill(4)? {
            0 => return Ok(None),
            4 => length.copy_from_slice(&self.frame),
            _ => return Err(CodecError::Truncated),
        }
        let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
        if length > LARGEST {
            return Err(CodecError::TooLarge(LARGEST));
        }
        if self.fill(length)? < length {
            return Err(CodecError::Truncated);
        }
        // prost's errors name fields of ours and wire types, no content.
        M::decode(self.frame.as_slice()).map(Some).map_err(|error| CodecError::Malformed(error.to_string()))
    }

    fn fill(&mut self, length: usize) -> Result<usize, CodecError> {
        self.frame.clear();
        Ok(self.input.by_ref().take(length as u64).read_to_end(&mut self.frame)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::message::{Captured, Checkpoint, ConnectorState, Request, Response};
    use super::*;

    /// Gives one byte at a time.
    struct Dripping<'a>(&'a [u8]);

    impl Read for Dripping<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let count = into.len().min(self.0.len()).min(1);
            into[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn responses() -> impl Strategy<Value = Vec<Response>> {
        let document = (any::<u32>(), ".{0,40}").prop_map(|(binding, text)| {
            let doc_json = serde_json::json!({ "text": text }).to_string().into_bytes();
            Response { captured: Some(Captured { binding, doc_json }), ..Response::default() }
        });
        let checkpoint = any::<bool>().prop_map(|merge_patch| {
            let state = ConnectorState { updated_json: b"{\"a\":[null]}".to_vec(), merge_patch };
            Response { checkpoint: Some(Checkpoint { state: Some(state) }), ..Response::default() }
        });
        prop::collection::vec(prop_oneof![document, checkpoint], 0..8)
    }

    fn read_all(input: impl Read, codec: Codec) -> Result<Vec<Response>, CodecError> {
        let mut reader = Reader::new(input, codec);
        let mut found = Vec::new();
        while let Some(response) = reader.message()? {
            found.push(response);
        }
        Ok(found)
    }

    proptest! {
        #[test]
        fn messages_survive_any_chunking(messages in responses(), proto: bool) {
            let codec = if proto { Codec::Proto } else { Codec::Json };
            let mut bytes = Vec::new();
            for message in &messages {
                codec.encode(message, &mut bytes).expect("JSON inside");
            }
            prop_assert_eq!(&read_all(Dripping(&bytes), codec).expect("readable"), &messages);
            prop_assert_eq!(&read_all(bytes.as_slice(), codec).expect("readable"), &messages);
        }

        #[test]
        fn a_cut_is_noticed_or_falls_between_messages(messages in responses(), cut: prop::sample::Index) {
            let mut bytes = Vec::new();
            for message in &messages {
                Codec::Proto.encode(message, &mut bytes).expect("JSON inside");
            }
            let cut = cut.index(bytes.len() + 1);
            if let Ok(found) = read_all(&bytes[..cut], Codec::Proto) {
                prop_assert_eq!(&found[..], &messages[..found.len()]);
                let mut whole = Vec::new();
                for message in &found {
                    Codec::Proto.encode(message, &mut whole).expect("JSON inside");
                }
                prop_assert_eq!(whole.len(), cut);
            }
        }

        #[test]
        fn junk_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), proto: bool) {
            let codec = if proto { Codec::Proto } else { Codec::Json };
            let _ = Reader::new(bytes.as_slice(), codec).message::<Request>();
        }
    }

    #[test]
    fn a_claimed_length_takes_no_memory() {
        let bytes = (1_u32 << 29).to_le_bytes();
        assert!(matches!(read_all(bytes.as_slice(), Codec::Proto), Err(CodecError::Truncated)));
    }

    #[test]
    fn zero_values_may_be_missing_and_unknown_fields_come() {
        let line = br#"{"open":{"capture":{"bindings":[{"resourceConfig":{"a":1}}],"new":[1]},"range":{"keyEnd":4294967295},"state":null}}"#;
        let request: Request =
            Reader::new(line.as_slice(), Codec::Json).message().expect("readable").expect("one");
        let open = request.open.expect("open");
        assert_eq!(open.range.expect("range").key_begin, 0);
        assert_eq!(open.state_json, b"null");
    }
}
