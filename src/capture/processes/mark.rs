//! The mark in the environment of upstream's processes, by which those are known that left their
//! parents and their process group.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::getpid;

use super::process::Process;

/// The variable that marks each process of upstream; its value names the session and the run.
pub(crate) const MARK: &str = "FLOW_SHIM_RUN";

/// What names this session in marks: no other process on this machine has it.
pub(crate) fn session() -> &'static str {
    static SESSION: OnceLock<String> = OnceLock::new();
    SESSION.get_or_init(|| {
        let begun = Process::read(getpid()).map_or(0, |process| process.begun);
        format!("{}-{begun}", getpid().as_raw_nonzero())
    })
}

/// A mark that no other run has.
pub(super) fn next_run() -> String {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    format!("{}.{}", session(), RUNS.fetch_add(1, Ordering::Relaxed))
}

/// Whether a process bears the mark of this run.
pub(super) fn is_of_run(process: &Process, run: &str) -> bool {
    marks(process).any(|mark| mark == run)
}

/// Whether a process bears the mark of any run of this session.
pub(super) fn is_of_session(process: &Process, session: &str) -> bool {
    marks(process).any(|mark| mark.strip_prefix(session).is_some_and(|run| run.starts_with('.')))
}

fn marks(process: &Process) -> impl Iterator<Item = String> {
    let variables = process.environment().into_iter();
    variables.filter_map(|variable| Some(variable.strip_prefix(MARK)?.strip_prefix('=')?.to_owned()))
}
