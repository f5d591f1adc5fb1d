//! The wish to stop, as a value that is passed around: `main` makes it from signals and a closed
//! stdout, tests make it by hand.
//!
//! Every wait of a session ends on it:
//!
//! | wait | where | how it ends |
//! | --- | --- | --- |
//! | for a request | `session` | at once |
//! | for Flow to read a response, a document or a checkpoint | `session`, `open`, `read`, `read::parallel` | at once: what is not written is not committed |
//! | for upstream's answer or output | `supervisor::question`, `read` | upstream is stopped |
//! | for upstream's exit behind its output | `supervisor::running` | upstream is stopped |
//! | for upstream to stop | `supervisor::running` | `timeouts.stop`, or a second wish; then SIGKILL |
//! | for the form of state of parallel reads | `read::parallel`, `read::pump` | at once; in a read, upstream is stopped |
//! | for a batch file's next block | `input::batch` | as upstream's output; the thread that reads is left behind |
//! | for a socket of the data channel | `input::channel` | as upstream's output; the threads end with the channel |
//! | for an interval, `read.minInterval`, or on a shard without bindings | `open::interval` | at once |
//! | for the last bytes of the output | `session` | after a second |
//! | for the encryption of a renewed token | `config::rotation` | by its own time limit: the token may be the only one that works |
//!
//! Beyond that list, `session` gives up whatever still waits when upstream has had its time: see
//! [`Shutdown::overdue`].

use std::time::Duration;

use tokio::sync::watch;

use crate::failure::{Code, Failure};
use crate::flow::writer::WriteError;

/// How long killed processes may take to be gone.
const AFTER_A_KILL: Duration = Duration::from_millis(1500);

/// Why to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// A signal of this number came.
    Signal(i32),
    /// Nobody reads our output any more.
    OutputClosed,
}

/// Asks for a stop; a second ask means: kill now.
#[derive(Debug)]
pub struct Stopper(watch::Sender<Asked>);

/// Where the wish arrives. Clones all see the same wish.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<Asked>);

#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    first: Option<Stop>,
    again: bool,
}

impl Stopper {
    /// A stopper with its receiving side.
    pub fn new() -> (Self, Shutdown) {
        let (sender, receiver) = watch::channel(Asked::default());
        (Self(sender), Shutdown(receiver))
    }

    /// Asks for a stop.
    pub fn stop(&self, why: Stop) {
        self.0.send_modify(|asked| match asked.first {
            None => asked.first = Some(why),
            Some(_) => asked.again = true,
        });
    }
}

impl Shutdown {
    /// One that never asks.
    pub fn never() -> Self {
        let (sender, receiver) = watch::channel(Asked::default());
        drop(sender);
        Self(receiver)
    }

    /// Ends once a stop is asked for. Safe to drop and to call again.
    pub async fn requested(&self) -> Stop {
        match self.clone().0.wait_for(|asked| asked.first.is_some()).await.map(|asked| asked.first) {
            Ok(Some(why)) => why,
            _ => std::future::pending().await,
        }
    }

    /// Waits for `wait`, or for the wish to stop, which is then the failure. What is ready at once counts.
    pub async fn unless_stopped<T>(&self, wait: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            done = wait => Ok(done),
            why = self.requested() => Err(stopped(why)),
        }
    }

    /// Ends so long after a stop was asked for, or shortly after a second ask: by then everything should
    /// have ended.
    pub async fn overdue(&self, patience: Duration) -> Stop {
        let why = self.requested().await;
        tokio::select! {
            () = tokio::time::sleep(patience + AFTER_A_KILL) => {}
            () = async { self.insisted().await; tokio::time::sleep(AFTER_A_KILL).await } => {}
        }
        why
    }

    /// Ends once a stop is asked for a second time.
    pub async fn insisted(&self) {
        if self.clone().0.wait_for(|asked| asked.again).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The failure of a session that was asked to stop.
pub fn stopped(why: Stop) -> Failure {
    match why {
        Stop::Signal(signal) => Failure::new(Code::stopped(signal), format!("stopped by signal {signal}")),
        Stop::OutputClosed => Failure::new(
            Code::PIPES,
            "stopped: nobody reads the capture's output any more (stdout was closed)",
        ),
    }
}

/// The failure of output that nobody reads, or that cannot be written.
pub fn unwritten(error: WriteError) -> Failure {
    match error {
        WriteError::Closed => stopped(Stop::OutputClosed),
        WriteError::Failed(error) => Failure::new(Code::PIPES, format!("stdout cannot be written: {error}")),
        WriteError::Response(error) => Failure::new(Code::BUG, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_counts_and_a_second_insists() {
        let (stopper, shutdown) = Stopper::new();
        stopper.stop(Stop::Signal(15));
        stopper.stop(Stop::OutputClosed);
        assert_eq!(shutdown.requested().await, Stop::Signal(15));
        shutdown.insisted().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_with_the_wish_to_stop_and_what_is_ready_counts() {
        let (stopper, shutdown) = Stopper::new();
        stopper.stop(Stop::Signal(15));
        assert_eq!(shutdown.unless_stopped(async { 7 }).await.ok(), Some(7));
        let failure = shutdown.unless_stopped(std::future::pending::<()>()).await.expect_err("it never ends");
        assert_eq!(failure.cause().exit_code(), 143);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_is_overdue_after_its_time_and_sooner_after_a_second_wish() {
        let (stopper, shutdown) = Stopper::new();
        stopper.stop(Stop::Signal(2));
        let begun = tokio::time::Instant::now();
        let patience = Duration::from_secs(20);
        assert_eq!(shutdown.overdue(patience).await, Stop::Signal(2));
        assert_eq!(begun.elapsed(), patience + AFTER_A_KILL);
        stopper.stop(Stop::Signal(2));
        let begun = tokio::time::Instant::now();
        shutdown.overdue(patience).await;
        assert_eq!(begun.elapsed(), AFTER_A_KILL);
    }
}
