//! The warden: a process of our own that does nothing but wait for our end, and then clears away
//! what an end by SIGKILL leaves: processes of upstream, and private folders.
//!
//! The kernel kills upstream's own process with us (`supervisor`), but not what that one has
//! started. The warden holds the reading end of a pipe whose other end only we hold, so the pipe's
//! end is our end, whatever caused it. It sits in a process group of its own, with no open file and
//! nothing in its environment but the place of temporary folders, and finds upstream's processes by
//! the mark in their environment: one that clears its environment, leaves its parents and outlives us
//! is beyond it. PID 1 of a container needs none: the kernel ends the container with it.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, getpid, kill_process};

use super::children::{self, Whose};
use super::process::{Process, processes};
use super::{mark, workdir};
use crate::env;

/// Our own program, even where its file was replaced.
const OURSELVES: &str = "/proc/self/exe";
/// How often the warden looks at most, for what dies slowly.
const LOOKS: u32 = 100;
/// How often in a row it finds nothing before it ends: a process that is just being started has no
/// environment for a moment, and so no mark.
const QUIET_LOOKS: u32 = 10;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

static WARDEN: Mutex<Option<Child>> = Mutex::new(None);

/// Starts the warden, once.
pub(super) fn ensure() {
    let mut warden = WARDEN.lock().unwrap_or_else(PoisonError::into_inner);
    if warden.is_some() || getpid() == Pid::INIT {
        return;
    }
    match command().spawn() {
        Ok(child) => {
            children::await_exit_of(Pid::from_child(&child), Whose::Ours);
            *warden = Some(child);
        }
        Err(error) => tracing::debug!("no warden can be started: {error}"),
    }
}

/// The warden's process, where there is one.
pub(super) fn process() -> Option<Pid> {
    WARDEN.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Pid::from_child)
}

fn command() -> Command {
    let mut command = Command::new(OURSELVES);
    command.arg0("flow-shim").args(["warden", mark::session()]).current_dir("/");
    // Nothing that marks it as a process of a run, and the place where private folders may be.
    command.env_clear().env(env::TMPDIR, std::env::temp_dir());
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    command
}

/// Ends the warden: there is nothing left to be cleared away.
pub(super) fn dismiss() {
    if let Some(mut child) = WARDEN.lock().unwrap_or_else(PoisonError::into_inner).take() {
        children::forget(Pid::from_child(&child));
        // One that has ended already needs no end.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// The warden's life: waits for the end of its stdin, then clears away what `session` left.
pub fn watch(session: &str) {
    // An error of the pipe is its end, too.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    let mut quiet = 0;
    for _ in 0..LOOKS {
        let left: Vec<Process> =
            processes().filter(|process| process.runs() && mark::is_of_session(process, session)).collect();
        for process in &left {
            // One that is gone already needs no signal.
            let _ = kill_process(process.id, Signal::KILL);
        }
        let folders = workdir::remove_abandoned(session);
        quiet = if left.is_empty() && !folders { quiet + 1 } else { 0 };
        if quiet == QUIET_LOOKS {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn it_knows_the_temporary_folder_and_nothing_else() {
        let command = command();
        let variables: Vec<_> = command.get_envs().collect();
        assert_eq!(variables, [(OsStr::new(env::TMPDIR), Some(std::env::temp_dir().as_os_str()))]);
    }
}
