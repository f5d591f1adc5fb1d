//! Hot path: what was read, and cuts messages out of it without copying them.
//!
//! The buffer grows only for a message that does not fit, twice as large each time, up to a limit that
//! is checked while it grows, and shrinks again afterwards. The position up to which no newline was
//! found is remembered, so a long line is scanned once.

use std::ops::Range;

/// How much is read at once.
const BUFFER: usize = 256 * 1024;

/// A line is longer than the limit.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line is longer than {limit} bytes")]
pub struct TooLong {
    /// The limit, in bytes.
    pub limit: usize,
}

/// Bytes that were read, and where the next message begins.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    /// Where the first message that was not cut begins.
    start: usize,
    /// Up to where there is no newline, from `start` on.
    scanned: usize,
    /// Where the bytes that were read end.
    end: usize,
    /// How long a message may be.
    limit: usize,
    /// How large the buffer may become.
    most: usize,
}

impl Buffer {
    /// For messages of at most `limit` bytes, each with `around` more that are not of it, such as its
    /// newline.
    pub fn new(limit: usize, around: usize) -> Self {
        let most = limit.saturating_add(around);
        Self { bytes: vec![0; BUFFER.min(most)], start: 0, scanned: 0, end: 0, limit, most }
    }

    /// For lines of at most `limit` bytes, newline not counted.
    pub fn for_lines(limit: usize) -> Self {
        Self::new(limit, b"\n".len())
    }

    /// How long a message may be, in bytes.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Where the next bytes go; ask once there is no whole message left.
    pub fn room(&mut self) -> &mut [u8] {
        self.make_room();
        &mut self.bytes[self.end..]
    }

    /// So many bytes came into the [`room`](Self::room).
    pub fn filled(&mut self, bytes: usize) {
        self.end += bytes;
    }

    fn make_room(&mut self) {
        let held = self.end - self.start;
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.scanned -= self.start;
            self.start = 0;
            self.end = held;
            if held < BUFFER / 2 && self.bytes.len() > BUFFER {
                self.bytes.truncate(BUFFER);
                self.bytes.shrink_to_fit();
            }
        }
        if self.end == self.bytes.len() {
            // Twice as large each time keeps long messages linear; one byte over the limit is enough
            // to know that a message is too long.
            let larger = (self.bytes.len() * 2).min(self.most).max(self.end + 1);
            self.bytes.resize(larger, 0);
        }
    }

    /// The bytes of a message that was cut.
    #[inline]
    pub fn message(&self, message: Range<usize>) -> &[u8] {
        &self.bytes[message]
    }

    /// Cuts the next whole line, without its newline; `None` where more has to be read first.
    #[inline]
    pub fn line(&mut self) -> Result<Option<Range<usize>>, TooLong> {
        let found = memchr::memchr(b'\n', &self.bytes[self.scanned..self.end]);
        let end = found.map_or(self.end, |offset| self.scanned + offset);
        if end - self.start > self.limit {
            return Err(TooLong { limit: self.limit });
        }
        self.scanned = end;
        if found.is_none() {
            return Ok(None);
        }
        let line = self.start..end;
        self.go_to(end + 1);
        Ok(Some(line))
    }

    /// Cuts so many bytes that are there, behind so many that are left out.
    #[inline]
    pub fn cut(&mut self, behind: usize, length: usize) -> Range<usize> {
        let from = self.start + behind;
        self.go_to(from + length);
        from..self.start
    }

    /// What was read and was not cut.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Cuts all that is left.
    pub fn take_rest(&mut self) -> Range<usize> {
        self.cut(0, self.end - self.start)
    }

    #[inline]
    fn go_to(&mut self, start: usize) {
        self.start = start;
        self.scanned = start;
    }

    /// Gives the bytes away, where the ranges that were cut stay what they are, and goes on with others,
    /// which get what was not cut.
    pub fn exchange(&mut self, mut other: Vec<u8>) -> Vec<u8> {
        let rest = &self.bytes[self.start..self.end];
        other.resize(BUFFER.min(self.most).max(rest.len()), 0);
        other[..rest.len()].copy_from_slice(rest);
        self.scanned -= self.start;
        self.end = rest.len();
        self.start = 0;
        std::mem::replace(&mut self.bytes, other)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;
    use crate::flow::reader::tests::Chunked;

    impl Buffer {
        /// Reads once; 0 is the end.
        pub(crate) fn fill(&mut self, source: &mut Chunked<'_>) -> usize {
            let read = source.read(self.room()).expect("memory does not fail");
            self.filled(read);
            read
        }
    }

    /// The lines, with what is behind the last newline, where that is not empty.
    fn lines(bytes: &[u8], chunk: usize, limit: usize) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut source = Chunked(bytes, chunk);
        let mut buffer = Buffer::for_lines(limit);
        let mut found = Vec::new();
        let mut spare = Vec::new();
        loop {
            let mut ranges = Vec::new();
            while let Some(line) = buffer.line()? {
                found.push(buffer.message(line.clone()).to_vec());
                ranges.push(line);
            }
            if !ranges.is_empty() {
                spare = buffer.exchange(spare);
                let first = found.len() - ranges.len();
                for (range, line) in ranges.into_iter().zip(&found[first..]) {
                    assert_eq!(&spare[range], line, "what was given away is what was cut");
                }
            }
            if buffer.fill(&mut source) == 0 {
                let rest = buffer.take_rest();
                found.extend((!rest.is_empty()).then(|| buffer.message(rest).to_vec()));
                assert!(buffer.rest().is_empty());
                return Ok(found);
            }
        }
    }

    #[test]
    fn long_lines_are_found_and_too_long_ones_refused() {
        let long = vec![b'x'; BUFFER * 3];
        assert_eq!(lines(&long, 1 << 16, BUFFER * 3), Ok(vec![long.clone()]));
        assert_eq!(lines(&long, 1 << 16, BUFFER * 3 - 1), Err(TooLong { limit: BUFFER * 3 - 1 }));
        assert_eq!(lines(b"abc\nde", 2, 2), Err(TooLong { limit: 2 }));
        assert_eq!(lines(b"ab\nde", 2, 2), Ok(vec![b"ab".to_vec(), b"de".to_vec()]));
    }

    #[test]
    fn a_line_that_is_too_long_is_left_where_it_is() {
        let mut buffer = Buffer::new(4, 9);
        buffer.fill(&mut Chunked(b"abcdef\nghi\n", 99));
        assert_eq!(buffer.line(), Err(TooLong { limit: 4 }));
        assert_eq!(buffer.rest(), b"abcdef\nghi\n");
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_lines(text in "[a\n]{0,400}", chunk in 1_usize..40) {
            let mut expected: Vec<Vec<u8>> = text.split('\n').map(|line| line.as_bytes().to_vec()).collect();
            if expected.last().is_some_and(Vec::is_empty) {
                expected.pop();
            }
            prop_assert_eq!(lines(text.as_bytes(), chunk, 500), Ok(expected));
        }
    }
}
