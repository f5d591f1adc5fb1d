//! Hot path: an output line by line, which are lent and not copied.

use tokio::io::{AsyncRead, AsyncReadExt};

use super::buffer::Buffer;
pub use super::buffer::TooLong;

/// A buffer that lends lines.
#[derive(Debug)]
pub struct Lines(Buffer);

impl Lines {
    /// A buffer for lines of at most `limit` bytes, newline not counted.
    pub fn new(limit: usize) -> Self {
        Self(Buffer::for_lines(limit))
    }

    /// Reads once. `Ok(0)` is the end of the stream. Safe to drop: no byte is lost.
    ///
    /// Call it when [`next_line`](Self::next_line) has no more lines.
    pub async fn fill(&mut self, source: &mut (impl AsyncRead + Unpin)) -> std::io::Result<usize> {
        let read = source.read(self.0.room()).await?;
        self.0.filled(read);
        Ok(read)
    }

    /// The next whole line, without its newline; `None` where more has to be read first.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, TooLong> {
        Ok(self.0.line()?.map(|line| self.0.message(line)))
    }

    /// What was read and has no newline yet, or is too long; afterwards the buffer is empty.
    pub fn take_rest(&mut self) -> &[u8] {
        let rest = self.0.take_rest();
        self.0.message(rest)
    }
}
