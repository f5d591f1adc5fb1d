//! Hot path: cuts what comes from a socket into lines, or into messages that follow their length.
//!
//! The buffer grows only for a message that does not fit, twice as large each time, and never beyond
//! the limit, whatever length a message claims to have.

use std::io::Read;
use std::ops::Range;

/// How much is read at once.
const BUFFER: usize = 256 * 1024;
/// A length takes no more bytes than this.
const LENGTH: usize = 10;

/// Bytes that were read, and where the next message begins.
#[derive(Debug)]
pub struct Input {
    bytes: Vec<u8>,
    start: usize,
    /// Up to where there is no newline.
    scanned: usize,
    end: usize,
    limit: usize,
}

/// Why no message can be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uncut {
    /// It is larger than the limit.
    TooLong,
    /// Its length is none.
    NoLength,
}

impl Input {
    /// For messages of at most so many bytes.
    pub fn new(limit: usize) -> Self {
        let bytes = vec![0; BUFFER.min(limit.saturating_add(LENGTH))];
        Self { bytes, start: 0, scanned: 0, end: 0, limit }
    }

    /// Reads once; 0 is the end.
    pub fn fill(&mut self, source: &mut impl Read) -> std::io::Result<usize> {
        self.make_room();
        let read = source.read(&mut self.bytes[self.end..])?;
        self.end += read;
        Ok(read)
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.scanned = self.scanned.saturating_sub(self.start);
            self.end -= self.start;
            self.start = 0;
            if self.end < BUFFER / 2 && self.bytes.len() > BUFFER {
                self.bytes.truncate(BUFFER);
                self.bytes.shrink_to_fit();
            }
        }
        if self.end == self.bytes.len() {
            let most = self.limit.saturating_add(LENGTH).max(self.end + 1);
            self.bytes.resize((self.bytes.len() * 2).min(most), 0);
        }
    }

    /// The bytes of a message that was cut.
    #[inline]
    pub fn message(&self, message: Range<usize>) -> &[u8] {
        &self.bytes[message]
    }

    /// Where the next whole line is, without its newline; `None` where more has to be read first.
    #[inline]
    pub fn line(&mut self) -> Result<Option<Range<usize>>, Uncut> {
        let found = memchr::memchr(b'\n', &self.bytes[self.scanned..self.end]);
        let end = found.map_or(self.end, |offset| self.scanned + offset);
        if end - self.start > self.limit {
            return Err(Uncut::TooLong);
        }
        self.scanned = end;
        let Some(_) = found else { return Ok(None) };
        let line = self.start..end;
        self.start = end + 1;
        self.scanned = self.start;
        Ok(Some(line))
    }

    /// Where the next whole message is, without its length; `None` where more has to be read first.
    #[inline]
    pub fn frame(&mut self) -> Result<Option<Range<usize>>, Uncut> {
        let ahead = &self.bytes[self.start..self.end];
        let Some((length, digits)) = length(ahead)? else { return Ok(None) };
        if length > self.limit as u64 {
            return Err(Uncut::TooLong);
        }
        let from = self.start + digits;
        // It fits, because the limit does.
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if self.end - from < length {
            return Ok(None);
        }
        self.start = from + length;
        Ok(Some(from..self.start))
    }

    /// What there is of a message that was not cut; of one that follows its length, behind that.
    pub fn rest(&self, framed: bool) -> &[u8] {
        let rest = &self.bytes[self.start..self.end];
        let digits =
            if framed { length(rest).ok().flatten().map_or(rest.len(), |(_, digits)| digits) } else { 0 };
        &rest[digits..]
    }

    /// Cuts what there is, as a line.
    pub fn take_rest(&mut self) -> Range<usize> {
        let rest = self.start..self.end;
        self.start = self.end;
        self.scanned = self.end;
        rest
    }

    /// Whether all that was read has been cut.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Gives the bytes away, whose ranges stay what they are, and goes on with others, which get what
    /// was not cut.
    pub fn exchange(&mut self, mut other: Vec<u8>) -> Vec<u8> {
        let rest = &self.bytes[self.start..self.end];
        // A buffer that one huge line has made large is not kept.
        let size = BUFFER.min(self.limit.saturating_add(LENGTH)).max(rest.len());
        other.truncate(size.max(BUFFER));
        other.resize(size, 0);
        other[..rest.len()].copy_from_slice(rest);
        self.scanned = self.scanned.saturating_sub(self.start);
        self.end = rest.len();
        self.start = 0;
        std::mem::replace(&mut self.bytes, other)
    }
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

    fn all(bytes: &[u8], chunk: usize, limit: usize, framed: bool) -> Result<(Vec<Vec<u8>>, Vec<u8>), Uncut> {
        let mut source = Chunked(bytes, chunk);
        let mut input = Input::new(limit);
        let mut found = Vec::new();
        let mut spare = Vec::new();
        loop {
            let read = input.fill(&mut source).expect("memory does not fail");
            let mut ranges = Vec::new();
            while let Some(message) = if framed { input.frame()? } else { input.line()? } {
                found.push(input.message(message.clone()).to_vec());
                ranges.push(message);
            }
            if !framed && !ranges.is_empty() {
                spare = input.exchange(spare);
                let first = found.len() - ranges.len();
                for (range, message) in ranges.into_iter().zip(&found[first..]) {
                    assert_eq!(&spare[range], message, "what was given away is what was cut");
                }
            }
            if read == 0 {
                return Ok((found, input.rest(framed).to_vec()));
            }
        }
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
        assert_eq!(all(&claims, 4, 1000, true), Err(Uncut::TooLong));
        assert_eq!(all(&[0xff; 12], 1, 1000, true), Err(Uncut::NoLength));
        assert_eq!(all(&[b'x'; 1200], 7, 1000, false), Err(Uncut::TooLong));
        let mut input = Input::new(1 << 40);
        input.fill(&mut Chunked(&encoded(1 << 39), 99)).expect("read");
        assert_eq!(input.frame(), Ok(None));
        assert!(input.bytes.len() <= BUFFER, "nothing is allocated for a claim");
    }

    #[test]
    fn a_length_or_a_message_that_is_cut_off_is_a_rest() {
        assert_eq!(all(&[0x80], 1, 9, true), Ok((Vec::new(), Vec::new())));
        assert_eq!(all(&[3, b'a', b'b'], 1, 9, true), Ok((Vec::new(), b"ab".to_vec())));
        let mut input = Input::new(9);
        input.fill(&mut Chunked(&[0x80], 1)).expect("read");
        assert!(!input.is_empty(), "half a length is not nothing");
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
            prop_assert_eq!(all(&bytes, chunk, 700, true), Ok((messages, Vec::new())));
        }

        #[test]
        fn any_chunking_gives_the_same_lines(text in "[a\n]{0,400}", chunk in 1_usize..40) {
            let (lines, rest) = text.rsplit_once('\n').map_or((None, text.as_str()), |(l, r)| (Some(l), r));
            let lines: Vec<Vec<u8>> =
                lines.into_iter().flat_map(|l| l.split('\n')).map(|line| line.as_bytes().to_vec()).collect();
            prop_assert_eq!(all(text.as_bytes(), chunk, 500, false), Ok((lines, rest.as_bytes().to_vec())));
        }

        #[test]
        fn junk_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), chunk in 1_usize..40) {
            let _ = all(&bytes, chunk, 200, true);
        }
    }
}
