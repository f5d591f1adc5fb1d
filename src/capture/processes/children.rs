//! Our children, also those that we adopted: what upstream orphaned is reaped here, as PID 1 of a
//! container must do; signals that ask for no stop are passed on to it.
//!
//! tokio reaps the processes that it started, each by its id. Those are known here, so that they are
//! left to it; every other child that has exited was adopted.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process_group, waitpid};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use super::process::processes;

/// Exits that come close together are looked after together.
const GATHER: Duration = Duration::from_millis(50);

/// The children whose exit somebody awaits by their id.
static AWAITED: Mutex<Vec<(Pid, Whose)>> = Mutex::new(Vec::new());

/// Who a child of ours is, which leads a process group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// Upstream's: its group gets the signals that are passed on.
    Upstream,
    /// One of our own, which they would kill.
    Ours,
}

/// Starts to reap what upstream orphans, and to pass signals on.
pub(super) fn care() -> Vec<JoinHandle<()>> {
    let mut tasks = vec![tokio::spawn(reap_orphans())];
    for (kind, passed) in [
        (SignalKind::quit(), Signal::QUIT),
        (SignalKind::user_defined1(), Signal::USR1),
        (SignalKind::user_defined2(), Signal::USR2),
    ] {
        tasks.push(tokio::spawn(pass_on(kind, passed)));
    }
    tasks
}

/// From here on, this child's exit is somebody else's to await.
pub(super) fn await_exit_of(child: Pid, whose: Whose) {
    awaited().push((child, whose));
}

/// Nobody awaits this child any more.
pub(super) fn forget(child: Pid) {
    awaited().retain(|(id, _)| *id != child);
}

/// Whether somebody awaits this child, so that its id still is its own.
pub(super) fn is_awaited(child: Pid) -> bool {
    awaited().iter().any(|(id, _)| *id == child)
}

fn awaited() -> MutexGuard<'static, Vec<(Pid, Whose)>> {
    AWAITED.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn reap_orphans() {
    let Ok(mut exits) = signal(SignalKind::child()) else { return };
    while exits.recv().await.is_some() {
        tokio::time::sleep(GATHER).await;
        let us = getpid();
        for orphan in processes().filter(|process| process.is_zombie() && process.parent == Some(us)) {
            if !is_awaited(orphan.id) {
                // One that something else has reaped meanwhile is gone, as it should be.
                let _ = waitpid(Some(orphan.id), WaitOptions::NOHANG);
            }
        }
    }
}

/// `docker kill -s QUIT` has a JVM print its stacks, as if it were alone in its container.
async fn pass_on(kind: SignalKind, passed: Signal) {
    let Ok(mut signals) = signal(kind) else { return };
    while signals.recv().await.is_some() {
        for (group, _) in awaited().iter().filter(|(_, whose)| *whose == Whose::Upstream) {
            // A group that is gone needs no signal.
            let _ = kill_process_group(*group, passed);
        }
    }
}
