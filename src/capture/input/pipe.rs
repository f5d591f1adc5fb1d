//! Hot path: reads the pipe that upstream writes to, in pieces that are worth it.
//!
//! Singer taps, and others, write each message on its own. To read, hand over and write each on its own
//! costs more than all that is done with it. So after a small piece there is a pause, in which the pipe
//! takes more. A pipe that the reactor knows wakes it each time, whether or not anybody waits; this one
//! is known to it only while it is waited for.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::pipe::{fcntl_getpipe_size, fcntl_setpipe_size};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::unix::pipe::Receiver;
use tokio::task::coop::poll_proceed;
use tokio::time::{Instant, Sleep, sleep_until};

/// How much a pipe is to hold: fewer switches between the two processes.
const CAPACITY: usize = 1 << 20;
/// A piece below this was all there was, and upstream writes small ones.
const SMALL: usize = 32 * 1024;
/// How long the pause is; as much shorter as the pipe is smaller.
pub(crate) const PAUSE: Duration = Duration::from_millis(5);

/// The end of a pipe that is read from: one of both.
#[derive(Debug)]
pub struct Pipe {
    /// While nobody waits for it.
    idle: Option<OwnedFd>,
    /// While the reactor knows it.
    waiting: Option<Receiver>,
    pause: Duration,
    /// The end of the last pause.
    until: Pin<Box<Sleep>>,
}

impl Pipe {
    /// Reads from this end, which nobody else does.
    pub fn new(end: OwnedFd) -> io::Result<Self> {
        fcntl_setfl(&end, fcntl_getfl(&end)? | OFlags::NONBLOCK)?;
        // Where a larger pipe is refused, the default serves.
        let _ = fcntl_setpipe_size(&end, CAPACITY);
        let smaller = CAPACITY / fcntl_getpipe_size(&end)?.max(1);
        let pause = PAUSE / u32::try_from(smaller).unwrap_or(u32::MAX).max(1);
        Ok(Self { idle: Some(end), waiting: None, pause, until: Box::pin(sleep_until(Instant::now())) })
    }

    /// Waits for bytes, or for the end, if there were none.
    fn poll_wait(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(waiting) = &self.waiting {
            ready!(waiting.poll_read_ready(context))?;
        }
        if let Some(waiting) = self.waiting.take() {
            self.idle = Some(waiting.into_nonblocking_fd()?);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // A pipe that is never empty lets others have their turn.
        let turn = ready!(poll_proceed(context));
        if !self.until.is_elapsed() {
            ready!(self.until.as_mut().poll(context));
        }
        loop {
            ready!(self.poll_wait(context))?;
            let Some(end) = self.idle.take() else { return Poll::Ready(Err(Errno::BADF.into())) };
            match rustix::io::read(&end, into.initialize_unfilled()) {
                Err(Errno::AGAIN) => self.waiting = Some(Receiver::from_owned_fd_unchecked(end)?),
                Err(Errno::INTR) => self.idle = Some(end),
                read => {
                    self.idle = Some(end);
                    let read = read?;
                    if (1..SMALL).contains(&read) {
                        let until = Instant::now() + self.pause;
                        self.until.as_mut().reset(until);
                    }
                    into.advance(read);
                    turn.made_progress();
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::time::{Duration, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn small_pieces_gather_and_large_ones_do_not_wait() {
        let (ours, theirs) = rustix::pipe::pipe().expect("a pipe");
        let mut pipe = Pipe::new(ours).expect("a pipe");
        let mut buffer = vec![0; 2 * SMALL];
        let began = Instant::now();
        for piece in [SMALL, SMALL, 1, 2] {
            rustix::io::write(&theirs, &buffer[..piece]).expect("written");
            assert_eq!(pipe.read(&mut buffer).await.expect("read"), piece);
        }
        let waited = began.elapsed();
        assert!(waited >= pipe.pause && waited < 2 * pipe.pause, "{waited:?}, once, behind the small piece");
        drop(theirs);
        assert_eq!(pipe.read(&mut buffer).await.expect("read"), 0);
    }

    #[tokio::test]
    async fn what_comes_is_read_until_the_other_end_is_closed() {
        let (ours, theirs) = rustix::pipe::pipe().expect("a pipe");
        let mut pipe = Pipe::new(ours).expect("a pipe");
        let mut buffer = [0; 8];
        rustix::io::write(&theirs, b"one").expect("written");
        assert_eq!(pipe.read(&mut buffer).await.expect("read"), 3);
        assert!(pipe.waiting.is_none(), "nobody waits");
        let nothing = timeout(Duration::from_millis(20), pipe.read(&mut buffer)).await;
        assert!(nothing.is_err() && pipe.waiting.is_some());
        let writer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            rustix::io::write(&theirs, b"three").expect("written");
        });
        assert_eq!(pipe.read(&mut buffer).await.expect("read"), 5);
        assert_eq!(&buffer[..5], b"three");
        assert!(pipe.waiting.is_none());
        writer.join().expect("it ends");
        assert_eq!(pipe.read(&mut buffer).await.expect("read"), 0);
    }
}
