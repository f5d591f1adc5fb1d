//! Finds messages in a stream of bytes, blocking.
//!
//! A clean end is not an error, an end inside a message is. The buffer grows with what has arrived,
//! never with what a header merely claims, and shrinks again after a large message.

use std::io::{BufRead, BufReader, Read};

use serde::de::DeserializeOwned;

use super::codec::{Codec, CodecError};
use super::proto;

/// No message is longer: an Open request with thousands of schemas has some tens of MiB.
const LIMIT: usize = 1 << 30;
/// How much is read at once.
const READ_AHEAD: usize = 256 * 1024;
/// The buffer keeps this much from one message to the next.
const KEEP: usize = 1 << 20;

/// Reads messages of one codec.
#[derive(Debug)]
pub struct Reader<R> {
    source: BufReader<R>,
    codec: Codec,
    buffer: Vec<u8>,
    number: u64,
    limit: usize,
    skip_blank: bool,
}

impl<R: Read> Reader<R> {
    /// Reads from `source`.
    pub fn new(source: R, codec: Codec) -> Self {
        Self {
            source: BufReader::with_capacity(READ_AHEAD, source),
            codec,
            buffer: Vec::new(),
            number: 0,
            limit: LIMIT,
            skip_blank: true,
        }
    }

    /// Makes a blank line an error, as it is to Flow in what a connector writes. People who type
    /// requests may leave some.
    #[must_use]
    pub fn refuse_blank_lines(mut self) -> Self {
        self.skip_blank = false;
        self
    }

    /// Waits for the next message; `None` at the end of the stream. After [`CodecError::Decode`] the
    /// next message can be read, after any other error nothing can.
    pub fn message<M: prost::Message + DeserializeOwned + Default>(
        &mut self,
    ) -> Result<Option<M>, CodecError> {
        if self.buffer.capacity() > KEEP {
            self.buffer = Vec::new();
        }
        loop {
            self.buffer.clear();
            self.number += 1;
            let found = match self.codec {
                Codec::Json => self.read_line()?,
                Codec::Proto => self.read_frame()?,
            };
            if !found {
                return Ok(None);
            }
            let blank = self.codec == Codec::Json && self.buffer.trim_ascii().is_empty();
            if !(blank && self.skip_blank) {
                return self.codec.decode(&self.buffer, self.number).map(Some);
            }
        }
    }

    fn read_line(&mut self) -> Result<bool, CodecError> {
        let number = self.number;
        let most = u64::try_from(self.limit).unwrap_or(u64::MAX).saturating_add(1);
        self.source.by_ref().take(most).read_until(b'\n', &mut self.buffer)?;
        if self.buffer.pop_if(|byte| *byte == b'\n').is_some() {
            Ok(true)
        } else if self.buffer.is_empty() {
            Ok(false)
        } else if self.buffer.len() > self.limit {
            Err(CodecError::TooLarge { number, limit: self.limit })
        } else {
            Err(CodecError::Truncated { number })
        }
    }

    fn read_frame(&mut self) -> Result<bool, CodecError> {
        let number = self.number;
        let header_length = u64::try_from(proto::HEADER).unwrap_or(u64::MAX);
        self.source.by_ref().take(header_length).read_to_end(&mut self.buffer)?;
        if self.buffer.is_empty() {
            return Ok(false);
        }
        let header = self.buffer.as_slice().try_into().map_err(|_| CodecError::Truncated { number })?;
        let length = proto::length(header);
        if length > self.limit {
            return Err(CodecError::TooLarge { number, limit: self.limit });
        }
        self.buffer.clear();
        let claimed = u64::try_from(length).unwrap_or(u64::MAX);
        self.source.by_ref().take(claimed).read_to_end(&mut self.buffer)?;
        if self.buffer.len() < length {
            return Err(CodecError::Truncated { number });
        }
        Ok(true)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::flow::message::{Acknowledge, Captured, Checkpoint, ConnectorState, Request, Response};

    /// A source that gives at most so many bytes at once.
    pub(crate) struct Chunked<'a>(pub(crate) &'a [u8], pub(crate) usize);

    impl Read for Chunked<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let count = self.1.min(self.0.len()).min(into.len());
            into[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn read_all(bytes: &[u8], chunk: usize, codec: Codec) -> Result<Vec<Response>, CodecError> {
        let mut reader = Reader::new(Chunked(bytes, chunk), codec);
        let mut messages = Vec::new();
        while let Some(message) = reader.message()? {
            messages.push(message);
        }
        Ok(messages)
    }

    fn encode_all(messages: &[Response], codec: Codec) -> Vec<u8> {
        let mut bytes = Vec::new();
        for message in messages {
            codec.encode(message, &mut bytes).expect("it is valid");
        }
        bytes
    }

    fn any_response() -> impl Strategy<Value = Response> {
        let document = ("[a-z\"\\\\é]{0,12}", any::<i64>()).prop_map(|(text, number)| {
            serde_json::json!({"text": text, "number": number}).to_string().into_bytes()
        });
        prop_oneof![
            (any::<u32>(), document.clone()).prop_map(|(binding, doc_json)| Response {
                captured: Some(Captured { binding, doc_json }),
                ..Default::default()
            }),
            (any::<bool>(), document).prop_map(|(merge_patch, updated_json)| Response {
                checkpoint: Some(Checkpoint { state: Some(ConnectorState { updated_json, merge_patch }) }),
                ..Default::default()
            }),
        ]
    }

    #[test]
    fn blank_lines_are_skipped_for_people_only() {
        let bytes = b"\n  \r\n{\"acknowledge\":{\"checkpoints\":2}}\n";
        let mut reader = Reader::new(bytes.as_slice(), Codec::Json);
        let request: Request = reader.message().expect("it parses").expect("it is there");
        assert_eq!(request.acknowledge, Some(Acknowledge { checkpoints: 2 }));
        let mut reader = Reader::new(bytes.as_slice(), Codec::Json).refuse_blank_lines();
        assert!(matches!(reader.message::<Request>(), Err(CodecError::Decode { number: 1, .. })));
    }

    #[test]
    fn reading_goes_on_after_a_message_that_does_not_parse() {
        let mut reader = Reader::new(b"{\"spec\":1}\n{}\n".as_slice(), Codec::Json);
        assert!(matches!(reader.message::<Request>(), Err(CodecError::Decode { number: 1, .. })));
        assert_eq!(reader.message::<Request>().expect("it parses"), Some(Request::default()));
        assert_eq!(reader.message::<Request>().expect("the end is clean"), None);
    }

    #[test]
    fn a_claimed_length_is_not_believed() {
        let mut reader = Reader::new([0xff, 0xff, 0xff, 0x3f, 1, 2].as_slice(), Codec::Proto);
        assert!(matches!(reader.message::<Request>(), Err(CodecError::Truncated { number: 1 })));
        assert!(reader.buffer.capacity() < KEEP);
        let mut reader = Reader::new([0xff; 4].as_slice(), Codec::Proto);
        assert!(matches!(reader.message::<Request>(), Err(CodecError::TooLarge { .. })));
    }

    #[test]
    fn a_line_without_end_is_refused_at_the_limit() {
        let mut reader = Reader::new(std::io::repeat(b' '), Codec::Json);
        reader.limit = 4096;
        assert!(matches!(reader.message::<Request>(), Err(CodecError::TooLarge { limit: 4096, .. })));
    }

    proptest! {
        #[test]
        fn any_chunking_and_either_codec_give_the_same_messages(
            messages in proptest::collection::vec(any_response(), 0..12),
            chunk in 1_usize..50,
        ) {
            for codec in [Codec::Json, Codec::Proto] {
                let bytes = encode_all(&messages, codec);
                prop_assert_eq!(read_all(&bytes, chunk, codec).expect("it parses"), messages.clone());
            }
        }

        #[test]
        fn a_cut_stream_gives_whole_messages_then_one_error(
            messages in proptest::collection::vec(any_response(), 1..6),
            cut in any::<proptest::sample::Index>(),
            proto in any::<bool>(),
        ) {
            let codec = if proto { Codec::Proto } else { Codec::Json };
            let bytes = encode_all(&messages, codec);
            let cut = cut.index(bytes.len());
            let mut ends = vec![0];
            for message in &messages {
                let end = ends.last().copied().unwrap_or(0) + encode_all(std::slice::from_ref(message), codec).len();
                ends.push(end);
            }
            match read_all(&bytes[..cut], 7, codec) {
                Ok(read) => prop_assert_eq!(ends[read.len()], cut),
                Err(error) => {
                    let truncated = matches!(error, CodecError::Truncated { .. });
                    prop_assert!(truncated);
                    prop_assert!(!ends.contains(&cut));
                }
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_all(&bytes, 9, Codec::Proto);
            let _ = read_all(&bytes, 9, Codec::Json);
        }
    }
}
