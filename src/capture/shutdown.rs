//! The wish to stop, as a value that is passed around: `main` makes it from signals and a closed
//! stdout, tests make it by hand.

use tokio::sync::watch;

use crate::failure::{Code, Failure};
use crate::flow::writer::WriteError;

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
}
