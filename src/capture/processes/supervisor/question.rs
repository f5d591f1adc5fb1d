//! Runs upstream for one answer, within the operation's own time limit.

use std::ops::ControlFlow;
use std::time::Duration;

use tokio::sync::Notify;

use super::{Ended, Upstream};
use crate::capture::processes::invocation::Invocation;
use crate::capture::processes::stacks;
use crate::capture::shutdown::stopped;
use crate::failure::{Code, Failure};
use crate::shim::arguments::Verb;
use crate::shim::definition::Timeouts;

/// How long upstream may go on once it has answered, before it is asked to stop. What it says meanwhile
/// still counts: some report a failure behind their catalog.
const AFTER_ANSWER: Duration = Duration::from_secs(5);

/// How far a line of output brings a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There is no answer yet.
    Unanswered,
    /// The answer is complete. Upstream may go on for a short while.
    Answered,
    /// Nothing more is needed; upstream is killed.
    Enough,
}

/// What upstream is asked to do, for messages and time limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Tell the specification.
    Spec,
    /// Check the connection.
    Check,
    /// Tell the streams.
    Discover,
}

impl Operation {
    /// As it stands in messages: `"discover"`.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Spec => "spec",
            Operation::Check => "check",
            Operation::Discover => "discover",
        }
    }

    fn verb(self) -> Verb {
        match self {
            Operation::Spec => Verb::Spec,
            Operation::Check => Verb::Check,
            Operation::Discover => Verb::Discover,
        }
    }

    fn limit(self, timeouts: &Timeouts) -> Duration {
        match self {
            Operation::Spec => timeouts.spec,
            Operation::Check => timeouts.check,
            Operation::Discover => timeouts.discover,
        }
    }
}

impl Upstream {
    /// Runs upstream to its end, handing over each line of its output. An upstream that has answered and
    /// does not exit is stopped after a short grace; one that is enough is killed. Both set `cut_short`.
    ///
    /// Fails when upstream cannot be started, when a stop is asked for, or when upstream gives no answer
    /// within the operation's limit, however it ends afterwards; not when upstream itself fails.
    pub async fn run(
        &self,
        operation: Operation,
        invocation: &Invocation,
        mut on_line: impl FnMut(&[u8]) -> Progress,
    ) -> Result<Ended, Failure> {
        let mut running = self.start(operation.verb(), invocation)?;
        let limit = self.timeouts.as_ref().map(|timeouts| operation.limit(timeouts));
        let answered = Notify::new();
        let mut on_line = |line: &[u8]| match on_line(line) {
            Progress::Unanswered => ControlFlow::Continue(()),
            Progress::Answered => {
                answered.notify_one();
                ControlFlow::Continue(())
            }
            Progress::Enough => ControlFlow::Break(()),
        };
        let out_of_time = tokio::select! {
            cut_short = running.read_lines(&mut on_line) => {
                let cut_short = cut_short?;
                return running.ended(cut_short).await;
            }
            out_of_time = out_of_time(limit, &answered) => out_of_time,
            why = self.shutdown.requested() => {
                running.stop().await;
                return Err(stopped(why));
            }
        };
        let Some(limit) = out_of_time else {
            tracing::info!(
                "upstream has answered {:?} and does not exit; it is asked to stop",
                operation.name()
            );
            running.stop().await;
            return running.ended(true).await;
        };
        let (tree, pulse) = (running.tree().clone(), running.pulse().clone());
        // Stacks may come on stdout, which is read meanwhile. Whatever ends now, the limit has passed.
        tokio::select! {
            _ = running.read_lines(&mut on_line) => {}
            () = stacks::dump(&tree, &pulse) => {}
            _ = self.shutdown.requested() => {}
        }
        running.stop().await;
        // The stacks are to be in the log whole; how it ended changes nothing.
        let _ = running.ended(true).await;
        Err(too_late(operation, limit))
    }
}

/// Waits until upstream has taken too long: the limit that it exceeded, or `None` where it has answered
/// and stays.
async fn out_of_time(limit: Option<Duration>, answered: &Notify) -> Option<Duration> {
    let late = async {
        match limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = answered.notified() => {
            tokio::time::sleep(AFTER_ANSWER).await;
            None
        }
        () = late => limit,
    }
}

fn too_late(operation: Operation, limit: Duration) -> Failure {
    let name = operation.name();
    let limit = limit.as_secs_f64();
    Failure::new(
        Code::NO_ANSWER,
        format!(
            "{name} gave no answer within {limit} s; raise timeouts.{name} in shim.yaml if it needs longer"
        ),
    )
}
