//! Runs upstream for one answer, within the operation's own time limit.

use std::ops::ControlFlow;
use std::time::Duration;

use super::{Ended, Upstream};
use crate::capture::processes::invocation::Invocation;
use crate::capture::processes::stacks;
use crate::capture::shutdown::stopped;
use crate::failure::{Code, Failure};
use crate::shim::definition::Timeouts;

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

    fn limit(self, timeouts: &Timeouts) -> Duration {
        match self {
            Operation::Spec => timeouts.spec,
            Operation::Check => timeouts.check,
            Operation::Discover => timeouts.discover,
        }
    }
}

impl Upstream {
    /// Runs upstream to its end, handing over each line of its output. When the callback breaks,
    /// upstream is killed and `cut_short` is set.
    ///
    /// Fails when upstream cannot be started, takes longer than the operation's limit, or when a
    /// stop is asked for; not when upstream itself fails.
    pub async fn run(
        &self,
        operation: Operation,
        invocation: &Invocation,
        mut on_line: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<Ended, Failure> {
        let mut running = self.start(invocation)?;
        let limit = self.timeouts.as_ref().map(|timeouts| operation.limit(timeouts));
        let tree = running.tree().clone();
        let pulse = running.pulse().clone();
        let late = async {
            let Some(limit) = limit else { return std::future::pending().await };
            tokio::time::sleep(limit).await;
            // The stacks may come on stdout, which is read meanwhile.
            stacks::dump(&tree, &pulse).await;
            limit
        };
        let cut_short = tokio::select! {
            cut_short = running.read_lines(&mut on_line) => cut_short?,
            limit = late => {
                running.stop().await;
                return Err(too_late(operation, limit));
            }
            why = self.shutdown.requested() => {
                running.stop().await;
                return Err(stopped(why));
            }
        };
        running.ended(cut_short).await
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
