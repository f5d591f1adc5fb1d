//! Which processes are upstream's, as `/proc` shows them: its own, all that descend from it, its
//! process group, and what left both but still carries the mark in its environment.
//!
//! Where there is no `/proc`, the process group is all that can be reached.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpid, kill_process, kill_process_group};

use super::process::{Process, processes};
use super::{children, mark};

/// A killed process is gone in no time, unless it hangs in the kernel.
const DYING: Duration = Duration::from_secs(5);
/// Between two looks at processes that should be gone.
const LOOK: Duration = Duration::from_millis(10);

/// The processes of one run of upstream.
#[derive(Debug, Clone)]
pub struct Tree {
    root: Pid,
    /// When the root began; nothing older is its descendant.
    begun: u64,
    /// Its mark.
    run: String,
}

impl Tree {
    /// The tree of the process that was just started as the leader of a group, with the mark of this run.
    pub fn of(root: Pid, run: String) -> Self {
        let begun = Process::read(root).map_or(0, |process| process.begun);
        Self { root, begun, run }
    }

    /// The process that was started.
    pub fn root(&self) -> Pid {
        self.root
    }

    /// All that still run.
    pub fn members(&self) -> Vec<Process> {
        let us = getpid();
        let younger: Vec<Process> =
            processes().filter(|process| process.begun >= self.begun && process.id != us).collect();
        let mut inside: HashSet<Pid> = younger
            .iter()
            .filter(|process| process.id == self.root || process.group == self.root.as_raw_nonzero().get())
            .map(|process| process.id)
            .collect();
        add_descendants(&mut inside, &younger);
        let marked = younger.iter().filter(|process| !inside.contains(&process.id));
        let marked: Vec<Pid> =
            marked.filter(|process| mark::is_of_run(process, &self.run)).map(|p| p.id).collect();
        inside.extend(marked);
        add_descendants(&mut inside, &younger);
        younger.into_iter().filter(|process| inside.contains(&process.id) && process.runs()).collect()
    }

    /// Sends a signal to all.
    pub fn signal(&self, signal: Signal) {
        for process in self.members() {
            // One that is gone already needs no signal.
            let _ = kill_process(process.id, signal);
        }
        // Without `/proc` nothing was found above.
        if children::is_awaited(self.root) {
            let _ = kill_process_group(self.root, signal);
        }
    }

    /// Kills all, until none is left: one may fork while it is looked for.
    pub async fn kill(&self) {
        let begun = Instant::now();
        loop {
            self.signal(Signal::KILL);
            let left = self.members();
            if left.is_empty() {
                return;
            }
            if begun.elapsed() > DYING {
                tracing::warn!("processes of upstream cannot be killed: {}", names(&left));
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Kills all that can be found now, without waiting.
    pub fn kill_now(&self) {
        // The second look finds what was forked during the first.
        for _ in 0..2 {
            self.signal(Signal::KILL);
        }
    }

    /// Waits until none is left, or for so long: what is still there.
    pub async fn outlive(&self, patience: Duration) -> Vec<Process> {
        let begun = Instant::now();
        loop {
            let left = self.members();
            if left.is_empty() || begun.elapsed() >= patience {
                return left;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn add_descendants(inside: &mut HashSet<Pid>, all: &[Process]) {
    loop {
        let before = inside.len();
        for process in all {
            if process.parent.is_some_and(|parent| inside.contains(&parent)) {
                inside.insert(process.id);
            }
        }
        if inside.len() == before {
            return;
        }
    }
}

/// Names processes by id and program; never by argument, which may be a secret.
pub fn names(processes: &[Process]) -> String {
    let names: Vec<String> = processes.iter().take(10).map(Process::name).collect();
    let more = if processes.len() > 10 { ", …" } else { "" };
    names.join(", ") + more
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use tokio::process::{Child, Command};

    use super::*;

    fn id(child: &Child) -> Pid {
        child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw).expect("it runs")
    }

    #[tokio::test]
    async fn one_that_left_the_group_is_found_named_and_killed() {
        let run = format!("{}.test", mark::session());
        let script = "setsid sleep 300 & sleep 300";
        let mut command = Command::new("sh");
        command.args(["-c", script]).env(mark::MARK, &run).stdin(Stdio::null()).process_group(0);
        let mut child = command.spawn().expect("sh");
        let tree = Tree::of(id(&child), run);
        let begun = Instant::now();
        while tree.members().iter().filter(|process| process.name().contains("(sleep)")).count() < 2 {
            assert!(begun.elapsed() < Duration::from_secs(60), "{}", names(&tree.members()));
            tokio::time::sleep(LOOK).await;
        }
        // With the root gone, only the mark tells whose child it is.
        child.kill().await.expect("killed");
        assert_eq!(tree.members().len(), 2, "{}", names(&tree.members()));
        tree.kill().await;
        assert!(tree.members().is_empty());
    }
}
