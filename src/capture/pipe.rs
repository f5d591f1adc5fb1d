//! Hot path: reads the pipe that upstream writes to.
//!
//! Singer taps, and others, write each message on its own. A pipe that the reactor knows wakes it each
//! time, whether or not anybody waits; this one is known to it only while it is waited for.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::unix::pipe::Receiver;
use tokio::task::coop::poll_proceed;

/// The end of a pipe that is read from: one of both.
#[derive(Debug)]
pub struct Pipe {
    /// While nobody waits for it.
    idle: Option<OwnedFd>,
    /// While the reactor knows it.
    waiting: Option<Receiver>,
}

impl Pipe {
    /// Reads from this end, which nobody else does.
    pub fn new(end: OwnedFd) -> io::Result<Self> {
        fcntl_setfl(&end, fcntl_getfl(&end)? | OFlags::NONBLOCK)?;
        Ok(Self { idle: Some(end), waiting: None })
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
        loop {
            ready!(self.poll_wait(context))?;
            let Some(end) = self.idle.take() else { return Poll::Ready(Err(Errno::BADF.into())) };
            match rustix::io::read(&end, into.initialize_unfilled()) {
                Err(Errno::AGAIN) => self.waiting = Some(Receiver::from_owned_fd_unchecked(end)?),
                Err(Errno::INTR) => self.idle = Some(end),
                read => {
                    self.idle = Some(end);
                    into.advance(read?);
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
