//! What a run of upstream left: its exit, the end of its stderr, and what the two mean.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use crate::capture::processes::memory::{ADVICE, Memory};
use crate::capture::processes::stderr::Tail;
use crate::env;
use crate::failure::{Code, Failure};

/// The exit code of a JVM with `-XX:+ExitOnOutOfMemoryError` (airbyte-protocol.md, 1.2).
const JVM_OUT_OF_MEMORY: i32 = 3;
/// SIGKILL, and how a shell reports one of its children.
const KILLED: (i32, i32) = (9, 128 + 9);

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
    /// Whether a lack of memory ended it.
    pub out_of_memory: Option<OutOfMemory>,
    /// The end of its stderr.
    pub stderr: Tail,
}

/// Why memory is held to be the reason of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutOfMemory {
    /// The kernel has counted a kill at the container's limit, in MiB.
    Killed(u64),
    /// SIGKILL came from nobody here; the container's limit in MiB, where it has one.
    Suspected(Option<u64>),
    /// A JVM has given up.
    Jvm,
}

impl OutOfMemory {
    /// What an exit that we did not bring about says of memory.
    pub(super) fn of(status: ExitStatus, memory: &Memory) -> Option<Self> {
        if status.success() {
            return None;
        }
        if let Some(limit) = memory.limit().filter(|_| memory.has_killed()) {
            return Some(OutOfMemory::Killed(limit));
        }
        if status.signal() == Some(KILLED.0) || status.code() == Some(KILLED.1) {
            return Some(OutOfMemory::Suspected(memory.limit()));
        }
        (status.code() == Some(JVM_OUT_OF_MEMORY) && env::is_set(env::JAVA_HOME)).then_some(OutOfMemory::Jvm)
    }

    fn message(self, program: &str, how: &str) -> String {
        match self {
            OutOfMemory::Killed(limit) => format!(
                "upstream ran out of memory: the kernel killed {program} or one of its processes at the container's \
                 limit of {limit} MiB ({program} {how}); {ADVICE}"
            ),
            OutOfMemory::Suspected(limit) => {
                let limit =
                    limit.map(|limit| format!(", whose limit here is {limit} MiB")).unwrap_or_default();
                format!(
                    "{program} {how}, which nobody here sent: as a rule the kernel does so when memory runs out{limit}; \
                     {ADVICE}"
                )
            }
            OutOfMemory::Jvm => {
                format!("{program} {how}, as a JVM does that runs out of memory; {ADVICE}")
            }
        }
    }
}

impl Ended {
    /// The failure of a run that gave no answer, or ended badly: what stderr says, else the status.
    pub fn failure(&self, doing: &str) -> Failure {
        let program = &self.program;
        let how = describe_exit(self.status);
        let killed = self.status.signal().is_some();
        let failure = if self.lingered {
            Failure::new(
                Code::NO_EXIT,
                format!(
                    "{doing} failed: {program} closed its output, did not exit and was stopped; raise timeouts.stop in \
                     shim.yaml if it needs longer to end"
                ),
            )
        } else if let Some(out_of_memory) = self.out_of_memory {
            Failure::new(
                Code::OUT_OF_MEMORY,
                format!("{doing} failed: {}", out_of_memory.message(program, &how)),
            )
        } else if let Some(cause) = self.stderr.cause() {
            Failure::new(
                if killed { Code::UPSTREAM_KILLED } else { Code::UPSTREAM_FAILED },
                format!("{doing} failed: {cause} ({program} {how}){}", remedy(&cause)),
            )
        } else {
            Failure::new(
                if killed { Code::UPSTREAM_KILLED } else { Code::UPSTREAM_SILENT },
                format!(
                    "{doing} failed: {program} {how} and printed nothing on stderr; run it by hand to see more"
                ),
            )
        };
        let tail = Some(self.stderr.text()).filter(|tail| !tail.is_empty());
        self.described(failure).or_with("stackTrace", self.stderr.traceback()).or_with("stderr", tail)
    }

    /// Whether upstream's answer counts: it exited well, or it answered and did not exit.
    pub fn is_answer_good(&self, answered: bool) -> bool {
        self.status.success() || self.cut_short || (self.lingered && answered)
    }

    /// Warns where upstream logged an error while it discovered and succeeded all the same. `logged` is the
    /// first one of its output; its stderr is known here.
    pub fn warn_of_errors(&self, logged: Option<&str>) {
        let on_stderr = self.stderr.first_error();
        if let Some(error) = logged.or(on_stderr.as_deref()) {
            tracing::warn!(
                error,
                "{} logged an error while it discovered and exited well, so its catalog may lack streams or \
                 fields; the first error was: {error}",
                self.program
            );
        }
    }

    /// The failure with upstream's exit beside it, in words and as a number.
    pub fn described(&self, failure: Failure) -> Failure {
        failure
            .with("exit", describe_exit(self.status))
            .or_with("upstreamExitCode", self.status.code())
            .or_with("upstreamSignal", self.status.signal())
    }
}

/// What to do about a cause whose remedy is known; empty for others.
fn remedy(cause: &str) -> &'static str {
    if cause.contains("No module named 'pkg_resources'") {
        "; add `setuptools<82` to requirements.txt and install again: later versions do not contain pkg_resources"
    } else {
        ""
    }
}

/// `exited with code 1`, `was killed by signal 9 (SIGKILL)`.
pub fn describe_exit(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code @ (126 | 127)), _) => {
            format!("exited with code {code}, as a shell does that cannot run a command")
        }
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}{}", signal_name(signal)),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        1 => " (SIGHUP)",
        2 => " (SIGINT)",
        3 => " (SIGQUIT)",
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        13 => " (SIGPIPE)",
        15 => " (SIGTERM)",
        24 => " (SIGXCPU)",
        25 => " (SIGXFSZ)",
        31 => " (SIGSYS)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(status: i32, out_of_memory: Option<OutOfMemory>) -> Ended {
        let status = ExitStatus::from_raw(status);
        Ended { program: "tap".to_owned(), status, out_of_memory, ..Ended::default() }
    }

    #[test]
    fn every_kind_of_end_has_its_words() {
        let ends = [
            (ended(1 << 8, None), 11, "exited with code 1 and printed nothing"),
            (ended(127 << 8, None), 11, "cannot run a command"),
            (ended(11, None), 11, "killed by signal 11 (SIGSEGV)"),
            (ended(9, Some(OutOfMemory::Killed(1024))), 11, "ran out of memory: the kernel killed tap"),
            (
                ended(9, Some(OutOfMemory::Killed(1024))),
                11,
                "limit of 1024 MiB (tap was killed by signal 9 (SIGKILL))",
            ),
            (ended(9, Some(OutOfMemory::Suspected(None))), 11, "nobody here sent"),
            (ended(137 << 8, Some(OutOfMemory::Suspected(Some(512)))), 11, "limit here is 512 MiB"),
            (ended(3 << 8, Some(OutOfMemory::Jvm)), 11, "as a JVM does"),
            (Ended { lingered: true, ..ended(15, None) }, 13, "timeouts.stop"),
        ];
        for (ended, code, words) in ends {
            let failure = ended.failure("reading");
            assert_eq!(failure.cause().exit_code(), code, "{failure}");
            assert!(
                failure.message.starts_with("reading failed: ") && failure.message.contains(words),
                "{failure}"
            );
        }
    }
}
