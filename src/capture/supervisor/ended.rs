//! What a run of upstream left: its exit, the end of its stderr, and what the two mean.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::super::stderr::Tail;
use crate::failure::{Cause, Failure};

/// How a run of upstream ended.
#[derive(Debug, Default)]
pub struct Ended {
    /// What was run, for messages.
    pub program: String,
    /// Its exit status.
    pub status: ExitStatus,
    /// Whether we ended it before it was done.
    pub cut_short: bool,
    /// Whether it closed its output, did not exit, and had to be stopped.
    pub lingered: bool,
    /// The end of its stderr.
    pub stderr: Tail,
}

impl Ended {
    /// The failure of a run that gave no answer, or ended badly: what stderr says, else the status.
    pub fn failure(&self, doing: &str) -> Failure {
        let program = &self.program;
        if self.lingered {
            return Failure::new(
                Cause::Timeout,
                format!(
                    "{doing} failed: {program} closed its output, did not exit and was stopped; raise timeouts.stop in shim.yaml \
                     if it needs longer to end"
                ),
            );
        }
        let how = describe_exit(self.status);
        let crash = self.status.signal().is_some();
        let failure = match self.stderr.cause() {
            Some(cause) => Failure::new(
                if crash { Cause::Crash } else { Cause::Upstream },
                format!("{doing} failed: {cause} ({program} {how})"),
            ),
            None => Failure::new(
                Cause::Crash,
                format!(
                    "{doing} failed: {program} {how} and printed nothing on stderr; run it by hand to see more"
                ),
            ),
        };
        let tail = self.stderr.text();
        if tail.is_empty() { failure } else { failure.with("stderr", tail) }
    }
}

/// `exited with code 1`, `was killed by signal 9 (SIGKILL)`.
pub fn describe_exit(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(9)) => {
            "was killed by signal 9 (SIGKILL); if nobody killed it, it ran out of memory".to_owned()
        }
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}
