//! Starts upstream, feeds its stderr to the log, ends it, and reaps it. The only place that spawns.
//!
//! Upstream runs in a process group of its own, so that a stop reaches everything it started, and
//! gets SIGKILL from the kernel when we are killed. Its stdin is empty, its stdout is ours to read,
//! and both pipes are drained from the first moment, so it can never block on us.

use std::ops::ControlFlow;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::config_file::ConfigFile;
use super::lines::Lines;
use super::protocol::{Argument, Invocation};
use super::rotation::Rotation;
use super::shutdown::{Shutdown, Stop};
use super::stderr::{self, LevelOf, Tail};
use super::workdir::Workdir;
use crate::failure::{Cause, Failure};
use crate::shim::command::CommandLine;
use crate::shim::definition::Timeouts;

/// The longest line of an answer: a catalog of 20,000 streams fits.
const ANSWER_LINE: usize = 512 * 1024 * 1024;
/// How long upstream may take to exit once its output has ended.
const EXIT_AFTER_END: Duration = Duration::from_secs(30);

/// How long processes that upstream leaves behind may hold its output open.
const LEFT_BEHIND: Duration = Duration::from_secs(5);

/// How upstream is run: the command, its environment and its limits.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Program and first arguments.
    pub command: CommandLine,
    /// Variables to set, or with `None` to remove.
    pub environment: Vec<(String, Option<String>)>,
    /// Time limits; `None` switches every one off.
    pub timeouts: Option<Timeouts>,
    /// The wish to stop.
    pub shutdown: Shutdown,
    /// How the protocol recognises levels on stderr.
    pub level_of: LevelOf,
    /// What becomes of a config that upstream changes.
    pub rotation: Rotation,
}

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

/// How a run of upstream ended.
#[derive(Debug)]
pub struct Ended {
    /// What was run, for messages.
    pub program: String,
    /// Its exit status.
    pub status: ExitStatus,
    /// Whether we ended it before it was done.
    pub cut_short: bool,
    /// The end of its stderr.
    pub stderr: Tail,
}

impl Ended {
    /// The failure of a run that gave no answer, or ended badly: what stderr says, else the status.
    pub fn failure(&self, doing: &str) -> Failure {
        let program = &self.program;
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

impl Upstream {
    /// Starts upstream.
    pub fn start(&self, invocation: &Invocation) -> Result<Running, Failure> {
        let workdir = Workdir::new(&invocation.files)?;
        let program = self.command.program().to_owned();
        let path = self.command.find()?;
        let mut command = Command::new(path);
        command.args(self.command.arguments());
        for argument in &invocation.arguments {
            match argument {
                Argument::Text(text) => command.arg(text),
                Argument::File(name) => command.arg(workdir.file(name)),
            };
        }
        for (name, value) in self.command.environment() {
            command.env(name, value);
        }
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        die_with_us(&mut command);
        let mut child = command
            .spawn()
            .map_err(|error| Failure::new(Cause::Crash, format!("{program:?} cannot be started: {error}")))?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let stdout = child.stdout.take();
        let stderr = child.stderr.take();
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
            return Err(Failure::new(Cause::Internal, "upstream was started without pipes"));
        };
        // A larger pipe means fewer switches between the two processes; where it is refused, the
        // default serves.
        let _ = rustix::pipe::fcntl_setpipe_size(&stdout, 1 << 20);
        let tail = tokio::spawn(stderr::drain(stderr, self.level_of));
        let config = ConfigFile::watch(workdir.file("config.json"), self.rotation.clone());
        Ok(Running {
            program,
            child,
            group,
            stdout,
            tail,
            grace: self.grace(),
            shutdown: self.shutdown.clone(),
            rotation: self.rotation.clone(),
            config,
            _workdir: workdir,
        })
    }

    /// Runs upstream to its end, handing over each line of its output. When the callback breaks,
    /// upstream is killed and `cut_short` is set.
    ///
    /// Fails when upstream cannot be started, takes longer than the operation's limit, or when a
    /// stop is asked for; not when upstream itself fails.
    pub async fn run(
        &self,
        operation: Operation,
        invocation: &Invocation,
        on_line: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<Ended, Failure> {
        let mut running = self.start(invocation)?;
        let limit = self.timeouts.as_ref().map(|timeouts| operation.limit(timeouts));
        let late = async {
            match limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        let name = operation.name();
        let cut_short = tokio::select! {
            cut_short = running.read_lines(on_line) => cut_short?,
            () = late => {
                running.stop().await;
                let limit = limit.unwrap_or_default().as_secs();
                return Err(Failure::new(Cause::Timeout, format!(
                    "{name} gave no answer within {limit} s; raise timeouts.{name} in shim.yaml if it needs longer"
                )));
            }
            why = self.shutdown.requested() => {
                running.stop().await;
                return Err(stopped(why));
            }
        };
        if cut_short {
            running.kill();
        }
        running.ended(cut_short).await
    }

    fn grace(&self) -> Duration {
        self.timeouts.as_ref().map_or(Timeouts::default().stop, |timeouts| timeouts.stop)
    }
}

/// The failure of a session that was asked to stop.
pub fn stopped(why: Stop) -> Failure {
    match why {
        Stop::Signal(signal) => Failure::new(Cause::Stopped(signal), format!("stopped by signal {signal}")),
        Stop::OutputClosed => Failure::new(
            Cause::Runtime,
            "stopped: nobody reads the capture's output any more (stdout was closed)",
        ),
    }
}

/// A running upstream. Dropping it kills the whole group.
#[derive(Debug)]
pub struct Running {
    program: String,
    child: Child,
    group: Option<Pid>,
    /// Its output.
    pub stdout: ChildStdout,
    tail: JoinHandle<Tail>,
    grace: Duration,
    shutdown: Shutdown,
    rotation: Rotation,
    config: ConfigFile,
    _workdir: Workdir,
}

impl Running {
    async fn read_lines(
        &mut self,
        mut on_line: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<bool, Failure> {
        let mut lines = Lines::new(ANSWER_LINE);
        loop {
            while let Some(line) = lines.next_line().map_err(|error| {
                Failure::new(Cause::UpstreamProtocol, format!("upstream's answer cannot be read: {error}"))
            })? {
                let enough = on_line(line).is_break();
                self.rotation.settle().await;
                if enough {
                    return Ok(true);
                }
            }
            let read = lines.fill(&mut self.stdout).await.map_err(|error| unreadable(&error))?;
            if read == 0 {
                let rest = lines.take_rest();
                let enough = !rest.is_empty() && on_line(rest).is_break();
                self.rotation.settle().await;
                return Ok(enough);
            }
        }
    }

    /// Waits for the exit once the output has ended; a process that closes its output and stays is
    /// stopped after a while.
    pub async fn ended(mut self, cut_short: bool) -> Result<Ended, Failure> {
        let status = match tokio::time::timeout(EXIT_AFTER_END, self.child.wait()).await {
            Ok(status) => status,
            Err(_late) => {
                tracing::warn!("upstream closed its output and did not exit; it is being stopped");
                self.stop().await;
                self.child.wait().await
            }
        };
        let status = status.map_err(|error| {
            Failure::new(Cause::Internal, format!("upstream's exit cannot be awaited: {error}"))
        })?;
        // Whatever it left behind would hold the pipes open.
        self.kill();
        self.config.look().await;
        let stderr = (&mut self.tail).await.unwrap_or_default();
        Ok(Ended { program: self.program.clone(), status, cut_short, stderr })
    }

    /// The output, and a guard to be polled beside it: once upstream's own process has exited, the
    /// guard gives what it left behind a little time and then kills that, because it would hold the
    /// output open for ever. The guard never ends.
    pub fn output(&mut self) -> (&mut ChildStdout, impl Future<Output = std::convert::Infallible> + use<'_>) {
        let Self { child, group, stdout, program, .. } = self;
        let guard = async move {
            // Where the exit cannot be awaited, the output's end has to do.
            let _ = child.wait().await;
            tokio::time::sleep(LEFT_BEHIND).await;
            if group.is_some_and(|group| kill_process_group(group, Signal::KILL).is_ok()) {
                tracing::warn!(
                    "{program} exited and left processes behind that held its output open; they were killed"
                );
            }
            std::future::pending().await
        };
        (stdout, guard)
    }

    /// Asks the group to stop, reads its output away meanwhile, and kills it after the grace period
    /// or a second request.
    pub async fn stop(&mut self) {
        self.signal(Signal::TERM);
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
                tracing::warn!("upstream did not stop within {} s and is killed", self.grace.as_secs());
            }
            () = shutdown.insisted() => {}
        }
        self.kill();
        let _ = self.child.wait().await;
        self.config.look().await;
    }

    /// Kills the group.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // A group that is gone already needs no signal.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The failure of a pipe that cannot be read.
pub fn unreadable(error: &std::io::Error) -> Failure {
    Failure::new(Cause::Internal, format!("upstream's output cannot be read: {error}"))
}

/// Has the kernel kill upstream when our process dies, even by SIGKILL.
#[expect(unsafe_code, reason = "the only way to run code between fork and exec")]
pub(crate) fn die_with_us(command: &mut Command) {
    // SAFETY: prctl is async-signal-safe, and the closure touches no memory of the parent.
    unsafe {
        command.pre_exec(|| {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(std::io::Error::from)
        });
    }
}
