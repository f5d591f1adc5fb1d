//! A running upstream: its output, its stop, its end.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::Child;
use tokio::task::JoinHandle;

use super::ended::{Ended, OutOfMemory};
use crate::capture::config::file::ConfigFile;
use crate::capture::config::rotation::Rotation;
use crate::capture::input::lines::Lines;
use crate::capture::input::pipe::Pipe;
use crate::capture::processes::children;
use crate::capture::processes::memory::Memory;
use crate::capture::processes::pulse::{Pulse, Watched};
use crate::capture::processes::stderr::Tail;
use crate::capture::processes::tree::{Tree, names};
use crate::capture::processes::workdir::Workdir;
use crate::capture::shutdown::{Shutdown, stopped};
use crate::failure::{Code, Failure};

/// The longest line of an answer: a catalog of 20,000 streams fits.
const ANSWER_LINE: usize = 512 * 1024 * 1024;
/// How long processes that upstream leaves behind may hold its output open and print nothing.
const LEFT_BEHIND: Duration = Duration::from_secs(5);
/// How long workers may take to follow upstream when it has exited (airbyte-protocol.md, 1.3).
const FOLLOW: Duration = Duration::from_millis(500);

/// A running upstream. Dropping it kills all of its processes.
#[derive(Debug)]
pub struct Running {
    pub(super) program: String,
    pub(super) child: Child,
    pub(super) tree: Tree,
    pub(super) stdout: Watched<Pipe>,
    pub(super) pulse: Arc<Pulse>,
    pub(super) memory: Memory,
    pub(super) tail: JoinHandle<Tail>,
    pub(super) grace: Duration,
    pub(super) shutdown: Shutdown,
    pub(super) rotation: Rotation,
    pub(super) config: ConfigFile,
    pub(super) workdir: Workdir,
}

impl Running {
    /// Its processes.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Where its private file of this name is.
    pub fn file(&self, name: &str) -> std::path::PathBuf {
        self.workdir.file(name)
    }

    /// Its signs of life.
    pub fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    pub(super) async fn read_lines(
        &mut self,
        mut on_line: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<bool, Failure> {
        let mut lines = Lines::new(ANSWER_LINE);
        let rotation = self.rotation.clone();
        let (output, left_behind) = self.output();
        tokio::pin!(left_behind);
        loop {
            while let Some(line) = lines.next_line().map_err(|error| {
                Failure::new(Code::ANSWER, format!("upstream's answer cannot be read: {error}"))
            })? {
                let enough = on_line(line).is_break();
                rotation.settle().await;
                if enough {
                    return Ok(true);
                }
            }
            let read = tokio::select! {
                read = lines.fill(output) => read.map_err(|error| unreadable(&error))?,
                never = &mut left_behind => match never {},
            };
            if read == 0 {
                let rest = lines.take_rest();
                let enough = !rest.is_empty() && on_line(rest).is_break();
                rotation.settle().await;
                return Ok(enough);
            }
        }
    }

    /// Waits for the exit once the output has ended, or at once kills what was cut short; a process
    /// that closes its output and stays is stopped after a while. Nothing of it runs afterwards.
    ///
    /// Fails when a stop is asked for meanwhile.
    pub async fn ended(mut self, cut_short: bool) -> Result<Ended, Failure> {
        if cut_short {
            self.tree.kill().await;
        }
        let (status, lingered) = match self.exit(cut_short).await? {
            Some(status) => (status, false),
            None => (self.wait().await, true),
        };
        let status = status.map_err(|error| {
            Failure::new(Code::SYSTEM, format!("upstream's exit cannot be awaited: {error}"))
        })?;
        // Whatever it left behind would hold the pipes open.
        let left = self.tree.outlive(FOLLOW).await;
        if !left.is_empty() {
            if !cut_short && !lingered {
                let (program, names) = (&self.program, names(&left));
                tracing::warn!("{program} exited and left processes behind, which were killed: {names}");
            }
            self.tree.kill().await;
        }
        self.config.look().await;
        // A holder of stderr that cannot be found must not hold us.
        let stderr = tokio::time::timeout(LEFT_BEHIND, &mut self.tail).await;
        let stderr = stderr.ok().and_then(Result::ok).unwrap_or_default();
        let out_of_memory = if cut_short || lingered { None } else { OutOfMemory::of(status, &self.memory) };
        Ok(Ended { program: self.program.clone(), status, cut_short, lingered, out_of_memory, stderr })
    }

    /// How it exits by itself; `None` where it did not, and was stopped.
    async fn exit(&mut self, cut_short: bool) -> Result<Option<std::io::Result<ExitStatus>>, Failure> {
        let (grace, shutdown) = (self.grace, self.shutdown.clone());
        tokio::select! {
            status = self.wait() => return Ok(Some(status)),
            why = shutdown.requested(), if !cut_short => {
                self.stop().await;
                return Err(stopped(why));
            }
            () = tokio::time::sleep(grace) => {}
        }
        tracing::warn!(
            "{} closed its output and did not exit within {} s; it is being stopped",
            self.program,
            grace.as_secs_f64()
        );
        self.stop().await;
        Ok(None)
    }

    /// The output, and a guard to be polled beside it: once upstream's own process has exited, the
    /// guard waits until what it left behind has been silent for a while and then kills that, because
    /// it would hold the output open for ever. It warns, too, when memory gets short. It never ends.
    pub fn output(&mut self) -> (&mut Watched<Pipe>, impl Future<Output = Infallible> + use<'_>) {
        let Self { child, tree, stdout, program, pulse, memory, .. } = self;
        let left_behind = async move {
            // Where the exit cannot be awaited, the output's end has to do.
            let _ = child.wait().await;
            children::forget(tree.root());
            pulse.beat();
            while pulse.silence() < LEFT_BEHIND {
                tokio::time::sleep(LEFT_BEHIND.saturating_sub(pulse.silence())).await;
            }
            let left = tree.members();
            if !left.is_empty() {
                let names = names(&left);
                tracing::warn!(
                    "{program} exited and left processes behind that held its output open; they are killed: {names}"
                );
                tree.kill().await;
            }
            std::future::pending::<Infallible>().await
        };
        let guard = async move {
            tokio::select! {
                never = left_behind => never,
                never = memory.warn_near() => never,
            }
        };
        (stdout, guard)
    }

    /// Asks all of its processes to stop, reads its output away meanwhile, and kills them after the
    /// grace period or a second request.
    pub async fn stop(&mut self) {
        self.tree.signal(Signal::TERM);
        let shutdown = self.shutdown.clone();
        let mut discarded = Lines::new(1 << 16);
        let gone = async {
            loop {
                // Without a reader, upstream would block on its pipe and never see the signal.
                let _ = discarded.take_rest();
                match discarded.fill(&mut self.stdout).await {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                }
            }
            let _ = self.child.wait().await;
        };
        tokio::select! {
            () = gone => {}
            () = tokio::time::sleep(self.grace) => {
                tracing::warn!(
                    "upstream did not stop within {} s and is killed: {}",
                    self.grace.as_secs_f64(),
                    names(&self.tree.members())
                );
            }
            () = shutdown.insisted() => {}
        }
        self.tree.kill().await;
        // Whatever the exit is, `ended` gets it again.
        let _ = self.wait().await;
        self.config.look().await;
    }

    async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        let status = self.child.wait().await;
        children::forget(self.tree.root());
        status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tree.kill_now();
        children::forget(self.tree.root());
    }
}

/// The failure of a pipe that cannot be read.
pub fn unreadable(error: &std::io::Error) -> Failure {
    Failure::new(Code::SYSTEM, format!("upstream's output cannot be read: {error}"))
}
