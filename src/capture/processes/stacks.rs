//! Has a hanging upstream say where it hangs, before it is stopped.
//!
//! A JVM prints its threads on SIGQUIT and goes on; Go programs print theirs and end. Python prints
//! them when it is aborted, since PYTHONFAULTHANDLER is set for it, and ends. Only a process that has
//! a handler gets the signal, so no other is harmed.

use std::time::Duration;

use rustix::process::{Signal, kill_process};

use super::process::Process;
use super::pulse::Pulse;
use super::tree::{Tree, names};

/// Stacks are complete when nothing came for this long,
const QUIET: Duration = Duration::from_millis(500);
/// or after this time.
const LONGEST: Duration = Duration::from_secs(5);
/// Each prints pages; the first few say enough.
const MOST: usize = 8;

/// Asks upstream's processes for their stacks, and waits until they were printed.
pub async fn dump(tree: &Tree, pulse: &Pulse) {
    let able: Vec<(Process, Signal)> = tree
        .members()
        .into_iter()
        .filter_map(|process| signal_for(&process).map(|signal| (process, signal)))
        .take(MOST)
        .collect();
    if able.is_empty() {
        tracing::info!(
            processes = names(&tree.members()),
            "none of upstream's processes can print its stacks"
        );
        return;
    }
    let asked: Vec<Process> = able.iter().map(|(process, _)| process.clone()).collect();
    tracing::warn!("upstream hangs; the stacks of these processes follow: {}", names(&asked));
    for (process, signal) in able {
        // One that has ended meanwhile hangs no more.
        let _ = kill_process(process.id, signal);
    }
    pulse.beat();
    let begun = tokio::time::Instant::now();
    loop {
        tokio::time::sleep(QUIET / 2).await;
        if pulse.silence() >= QUIET || begun.elapsed() >= LONGEST {
            return;
        }
    }
}

fn signal_for(process: &Process) -> Option<Signal> {
    let executable = process.executable()?;
    let python = executable.starts_with("python") || executable.starts_with("pypy");
    let signal = if python { Signal::ABORT } else { Signal::QUIT };
    process.catches(signal).then_some(signal)
}
