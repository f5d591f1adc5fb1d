//! Hot path: cuts a stream of bytes into lines without copying them.
//!
//! The buffer grows only for a line that does not fit, up to a limit that is checked while it
//! grows, and shrinks again afterwards. The position up to which no newline was found is
//! remembered, so a long line is scanned once.

use std::io::{ErrorKind, Read};
use std::ops::Range;

use tokio::io::{AsyncRead, AsyncReadExt};

/// How much is read at once.
const BUFFER: usize = 256 * 1024;

/// A line is longer than the limit.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line is longer than {limit} bytes")]
pub struct TooLong {
    /// The limit, in bytes.
    pub limit: usize,
}

/// A buffer that lends lines.
#[derive(Debug)]
pub struct Lines {
    buffer: Vec<u8>,
    /// Where the first line that was not lent begins.
    start: usize,
    /// Up to where there is no newline, from `start` on.
    scanned: usize,
    /// Where the bytes that were read end.
    end: usize,
    limit: usize,
}

impl Lines {
    /// A buffer for lines of at most `limit` bytes, newline not counted.
    pub fn new(limit: usize) -> Self {
        Self { buffer: vec![0; BUFFER.min(limit + 1)], start: 0, scanned: 0, end: 0, limit }
    }

    /// Reads once. `Ok(0)` is the end of the stream. Safe to drop: no byte is lost.
    ///
    /// Call it when [`next_line`](Self::next_line) has no more lines.
    pub async fn fill(&mut self, source: &mut (impl AsyncRead + Unpin)) -> std::io::Result<usize> {
        self.make_room();
        let read = source.read(&mut self.buffer[self.end..]).await?;
        self.end += read;
        Ok(read)
    }

    /// The same of a source that blocks.
    pub(super) fn fill_blocking(&mut self, source: &mut impl Read) -> std::io::Result<usize> {
        self.make_room();
        let read = loop {
            match source.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.end += read;
        Ok(read)
    }

    /// The next whole line, without its newline; `None` where more has to be read first.
    #[inline]
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, TooLong> {
        Ok(self.next_place()?.map(|place| &self.buffer[place]))
    }

    /// Where the next line stands, for [`line`](Self::line) before more is read.
    #[inline]
    pub(super) fn next_place(&mut self) -> Result<Option<Range<usize>>, TooLong> {
        if let Some(offset) = memchr::memchr(b'\n', &self.buffer[self.scanned..self.end]) {
            let line = self.start..self.scanned + offset;
            self.start = line.end + 1;
            self.scanned = self.start;
            if line.len() > self.limit {
                return Err(TooLong { limit: self.limit });
            }
            Ok(Some(line))
        } else {
            self.scanned = self.end;
            if self.end - self.start > self.limit {
                return Err(TooLong { limit: self.limit });
            }
            Ok(None)
        }
    }

    /// What was read and has no newline yet; afterwards the buffer is empty.
    pub fn take_rest(&mut self) -> &[u8] {
        let rest = self.rest_place();
        &self.buffer[rest]
    }

    /// Where that stands, for [`line`](Self::line) before more is read.
    pub(super) fn rest_place(&mut self) -> Range<usize> {
        let rest = self.start..self.end;
        self.start = self.end;
        self.scanned = self.end;
        rest
    }

    /// The text of a line.
    #[inline]
    pub(super) fn line(&self, place: Range<usize>) -> &[u8] {
        &self.buffer[place]
    }

    fn make_room(&mut self) {
        let held = self.end - self.start;
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.scanned -= self.start;
            self.start = 0;
            self.end = held;
            if held < BUFFER / 2 && self.buffer.len() > BUFFER {
                self.buffer.truncate(BUFFER);
                self.buffer.shrink_to_fit();
            }
        }
        if self.end == self.buffer.len() {
            // Twice as large each time keeps long lines linear; one byte over the limit is enough
            // to know that a line is too long.
            let larger = (self.buffer.len() * 2).min(self.limit + 1).max(self.end + 1);
            self.buffer.resize(larger, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A source that gives at most so many bytes at once.
    struct Chunked<'a>(&'a [u8], usize);

    impl AsyncRead for Chunked<'_> {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            into: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            let count = self.1.min(self.0.len()).min(into.remaining());
            let (now, later) = self.0.split_at(count);
            into.put_slice(now);
            self.0 = later;
            std::task::Poll::Ready(Ok(()))
        }
    }

    fn read_all(text: &[u8], chunk: usize, limit: usize) -> Result<Vec<Vec<u8>>, TooLong> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let mut source = Chunked(text, chunk);
            let mut lines = Lines::new(limit);
            let mut found = Vec::new();
            loop {
                while let Some(line) = lines.next_line()? {
                    found.push(line.to_vec());
                }
                if lines.fill(&mut source).await.expect("memory does not fail") == 0 {
                    break;
                }
            }
            let rest = lines.take_rest();
            if !rest.is_empty() {
                found.push(rest.to_vec());
            }
            Ok(found)
        })
    }

    #[test]
    fn long_lines_are_found_and_too_long_ones_refused() {
        let long = vec![b'x'; BUFFER * 3];
        assert_eq!(read_all(&long, 1 << 16, BUFFER * 3), Ok(vec![long.clone()]));
        assert_eq!(read_all(&long, 1 << 16, BUFFER * 3 - 1), Err(TooLong { limit: BUFFER * 3 - 1 }));
        assert_eq!(read_all(b"abc\nde", 2, 2), Err(TooLong { limit: 2 }));
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_lines(text in "[a\n]{0,400}", chunk in 1_usize..40) {
            let mut expected: Vec<Vec<u8>> = text.split('\n').map(|line| line.as_bytes().to_vec()).collect();
            if expected.last().is_some_and(Vec::is_empty) {
                expected.pop();
            }
            prop_assert_eq!(read_all(text.as_bytes(), chunk, 500), Ok(expected));
        }
    }
}
