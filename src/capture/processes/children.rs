//! Our place among processes: what upstream orphans becomes our child, and is reaped here, as PID 1
//! of a container must do; signals that ask for no stop are passed on.
//!
//! tokio reaps the processes that it started, each by its id. Those are known here, so that they are
//! left to it; every other child that has exited was adopted.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process_group, set_child_subreaper, waitpid};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use super::process::{Process, processes};
use super::{warden, workdir};

/// The variable that marks each process of upstream; its value names the session and the run.
pub const MARK: &str = "FLOW_SHIM_RUN";

/// Exits that come close together are looked after together.
const GATHER: Duration = Duration::from_millis(50);

/// The processes whose exit somebody awaits by their id.
static AWAITED: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// The claim on all that descends from us. Dropping it ends the care for orphans, and the warden.
#[derive(Debug)]
pub struct Claim(Vec<JoinHandle<()>>);

/// Adopts what upstream orphans from here on.
pub fn claim() -> Claim {
    // Where the kernel refuses, the process group and the mark still find upstream.
    let _ = set_child_subreaper(Some(getpid()));
    // What an earlier session left when it was killed.
    workdir::remove_abandoned(session());
    let mut tasks = vec![tokio::spawn(reap_orphans())];
    for (kind, passed) in [
        (SignalKind::quit(), Signal::QUIT),
        (SignalKind::user_defined1(), Signal::USR1),
        (SignalKind::user_defined2(), Signal::USR2),
    ] {
        tasks.push(tokio::spawn(pass_on(kind, passed)));
    }
    Claim(tasks)
}

impl Drop for Claim {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
        warden::dismiss();
    }
}

/// What names this session in marks: no other process on this machine has it.
pub fn session() -> &'static str {
    static SESSION: OnceLock<String> = OnceLock::new();
    SESSION.get_or_init(|| {
        let begun = Process::read(getpid()).map_or(0, |process| process.begun);
        format!("{}-{begun}", getpid().as_raw_nonzero())
    })
}

/// From here on, this child's exit is somebody else's to await.
pub fn await_exit_of(child: Pid) {
    awaited().insert(child.as_raw_nonzero().get());
}

/// Nobody awaits this child any more.
pub fn forget(child: Pid) {
    awaited().remove(&child.as_raw_nonzero().get());
}

/// Whether somebody awaits this child, so that its id still is its own.
pub fn is_awaited(child: Pid) -> bool {
    awaited().contains(&child.as_raw_nonzero().get())
}

fn awaited() -> MutexGuard<'static, BTreeSet<i32>> {
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
        for group in awaited().iter().filter_map(|&id| Pid::from_raw(id)) {
            // A group that is gone needs no signal.
            let _ = kill_process_group(group, passed);
        }
    }
}
