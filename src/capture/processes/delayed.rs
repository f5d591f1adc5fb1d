//! A reader that hands bytes over a while after they came, and reads on meanwhile.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How much is read at once.
const PIECE: usize = 64 * 1024;
/// How much is held back at most; then whoever writes has to wait.
const MOST: usize = 8 * 1024 * 1024;
/// A piece below this was all there was, and the source writes small ones.
const SMALL: usize = 4 * 1024;
/// How long nothing is read after a small piece, so that the next one is worth it.
const PAUSE: Duration = Duration::from_millis(1);

/// The reader. Its end is handed over behind all bytes.
#[derive(Debug)]
pub(super) struct Delayed<S> {
    source: S,
    by: Duration,
    held: VecDeque<Held>,
    bytes: usize,
    /// How the source ended.
    end: Option<io::Result<()>>,
    /// When the source is read next, after a small piece.
    resume: Option<Instant>,
    until: Pin<Box<Sleep>>,
    room: Vec<u8>,
}

#[derive(Debug)]
struct Held {
    due: Instant,
    bytes: Vec<u8>,
    /// How many of them were handed over.
    start: usize,
}

impl<S: AsyncRead + Unpin> Delayed<S> {
    /// Delays what this source has by so long.
    pub(super) fn new(source: S, by: Duration) -> Self {
        Self {
            source,
            by,
            held: VecDeque::new(),
            bytes: 0,
            end: None,
            resume: None,
            until: Box::pin(sleep_until(Instant::now())),
            room: vec![0; PIECE],
        }
    }

    /// Reads what there is, as long as there is room.
    fn gather(&mut self, context: &mut Context<'_>) {
        let now = Instant::now();
        self.resume = self.resume.filter(|resume| now < *resume);
        while self.end.is_none() && self.resume.is_none() && self.bytes < MOST {
            let mut room = ReadBuf::new(&mut self.room);
            match Pin::new(&mut self.source).poll_read(context, &mut room) {
                Poll::Pending => return,
                Poll::Ready(Err(error)) => self.end = Some(Err(error)),
                Poll::Ready(Ok(())) if room.filled().is_empty() => self.end = Some(Ok(())),
                Poll::Ready(Ok(())) => {
                    let length = room.filled().len();
                    self.hold(length);
                }
            }
        }
    }

    fn hold(&mut self, length: usize) {
        let now = Instant::now();
        let held = Held { due: now + self.by, bytes: self.room[..length].to_vec(), start: 0 };
        self.held.push_back(held);
        self.bytes += length;
        self.resume = (length < SMALL).then(|| now + PAUSE);
    }

    /// Waits until the source is to be read again, or the first piece is due.
    fn poll_wait(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let due = self.held.front().map(|first| first.due);
        let Some(next) = self.resume.into_iter().chain(due).min() else { return Poll::Pending };
        self.until.as_mut().reset(next);
        self.until.as_mut().poll(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Delayed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            this.gather(context);
            if this.held.front().is_some_and(|first| first.due <= Instant::now()) {
                break;
            }
            if this.held.is_empty() && this.end.is_some() {
                return Poll::Ready(this.end.replace(Ok(())).unwrap_or(Ok(())));
            }
            ready!(this.poll_wait(context));
        }
        let Some(first) = this.held.front_mut() else { return Poll::Pending };
        let count = into.remaining().min(first.bytes.len() - first.start);
        into.put_slice(&first.bytes[first.start..first.start + count]);
        first.start += count;
        this.bytes -= count;
        if first.start == first.bytes.len() {
            this.held.pop_front();
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const BY: Duration = Duration::from_millis(8);

    #[tokio::test(start_paused = true)]
    async fn bytes_come_late_and_the_end_behind_them() {
        let (mut theirs, ours) = tokio::io::duplex(1 << 20);
        let mut delayed = Delayed::new(ours, BY);
        theirs.write_all(b"one").await.expect("written");
        let began = Instant::now();
        let mut buffer = [0; 2];
        assert_eq!(delayed.read(&mut buffer).await.expect("read"), 2);
        assert!(began.elapsed() >= BY && began.elapsed() < 2 * BY, "{:?}", began.elapsed());
        theirs.write_all(b" two").await.expect("written");
        drop(theirs);
        let mut rest = String::new();
        delayed.read_to_string(&mut rest).await.expect("read");
        assert_eq!(rest, "e two");
        assert!(began.elapsed() < 3 * BY);
        assert_eq!(delayed.read(&mut buffer).await.expect("read"), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_is_never_empty_is_read_in_pieces_of_what_may_be_held() {
        let total = 5 * MOST as u64;
        let mut delayed = Delayed::new(tokio::io::repeat(b'x').take(total), BY);
        let began = Instant::now();
        let copied = tokio::io::copy(&mut delayed, &mut tokio::io::sink()).await.expect("read");
        assert_eq!(copied, total);
        assert!(delayed.held.capacity() <= 4 * MOST / PIECE);
        assert!(began.elapsed() <= 6 * BY, "one delay for each {MOST} bytes: {:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn small_pieces_are_held_together() {
        let (mut theirs, ours) = tokio::io::duplex(1);
        let mut delayed = Delayed::new(ours, BY);
        let writer = tokio::spawn(async move {
            for _ in 0..5_000 {
                theirs.write_all(b"x").await.expect("written");
            }
        });
        let mut text = String::new();
        delayed.read_to_string(&mut text).await.expect("read");
        assert_eq!(text.len(), 5_000);
        writer.await.expect("it ends");
    }
}
