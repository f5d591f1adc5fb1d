//! Hot path: cuts messages that follow their length, a varint, as protobuf has them.

use std::ops::Range;

use crate::capture::input::buffer::Buffer;

/// A length takes no more bytes than this.
pub const LENGTH: usize = 10;

/// Why no message can be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uncut {
    /// It is larger than the limit.
    TooLong,
    /// Its length is none.
    NoLength,
}

/// Cuts the next whole message, without its length; `None` where more has to be read first. Nothing is
/// read for a message that only claims to be within the limit.
#[inline]
pub fn cut(buffer: &mut Buffer) -> Result<Option<Range<usize>>, Uncut> {
    let ahead = buffer.rest();
    let Some((length, digits)) = length(ahead)? else { return Ok(None) };
    if length > buffer.limit() as u64 {
        return Err(Uncut::TooLong);
    }
    // It fits, because the limit does.
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let is_whole = ahead.len() - digits >= length;
    Ok(is_whole.then(|| buffer.cut(digits, length)))
}

/// What there is of a message behind its length.
pub fn behind_length(message: &[u8]) -> &[u8] {
    let digits = length(message).ok().flatten().map_or(message.len(), |(_, digits)| digits);
    &message[digits..]
}

/// The length at the beginning of these bytes, and of how many it is made; `None` where they end in it.
#[inline]
fn length(bytes: &[u8]) -> Result<Option<(u64, usize)>, Uncut> {
    let mut value = 0_u64;
    for (nth, &byte) in bytes.iter().take(LENGTH).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if nth == LENGTH - 1 && bits > 1 {
            return Err(Uncut::NoLength);
        }
        value |= bits << (7 * nth);
        if byte < 0x80 {
            return Ok(Some((value, nth + 1)));
        }
    }
    if bytes.len() < LENGTH { Ok(None) } else { Err(Uncut::NoLength) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::flow::reader::tests::Chunked;

    fn all(bytes: &[u8], chunk: usize, limit: usize) -> Result<(Vec<Vec<u8>>, Vec<u8>), Uncut> {
        let mut source = Chunked(bytes, chunk);
        let mut buffer = Buffer::new(limit, LENGTH);
        let mut found = Vec::new();
        while buffer.fill(&mut source) > 0 {
            while let Some(message) = cut(&mut buffer)? {
                found.push(buffer.message(message).to_vec());
            }
        }
        Ok((found, behind_length(buffer.rest()).to_vec()))
    }

    fn encoded(length: usize) -> Vec<u8> {
        let (mut rest, mut bytes) = (length, Vec::new());
        while rest >= 0x80 {
            bytes.push(u8::try_from(rest & 0x7f).expect("seven bits") | 0x80);
            rest >>= 7;
        }
        bytes.push(u8::try_from(rest).expect("seven bits"));
        bytes
    }

    #[test]
    fn what_is_too_long_is_refused_before_it_is_read() {
        let claims = [encoded(1 << 40), b"abc".to_vec()].concat();
        assert_eq!(all(&claims, 4, 1000), Err(Uncut::TooLong));
        assert_eq!(all(&[0xff; 12], 1, 1000), Err(Uncut::NoLength));
        let mut buffer = Buffer::new(1 << 40, LENGTH);
        buffer.fill(&mut Chunked(&encoded(1 << 39), 99));
        assert_eq!(cut(&mut buffer), Ok(None));
        assert!(buffer.room().len() < 1 << 20, "nothing is allocated for a claim");
    }

    #[test]
    fn a_length_or_a_message_that_is_cut_off_is_a_rest() {
        assert_eq!(all(&[0x80], 1, 9), Ok((Vec::new(), Vec::new())));
        assert_eq!(all(&[3, b'a', b'b'], 1, 9), Ok((Vec::new(), b"ab".to_vec())));
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_frames(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..700), 0..12),
            chunk in 1_usize..900,
        ) {
            let mut bytes = Vec::new();
            for message in &messages {
                bytes.extend(encoded(message.len()));
                bytes.extend(message);
            }
            prop_assert_eq!(all(&bytes, chunk, 700), Ok((messages, Vec::new())));
        }

        #[test]
        fn junk_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), chunk in 1_usize..40) {
            let _ = all(&bytes, chunk, 200);
        }
    }
}
