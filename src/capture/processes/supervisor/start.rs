//! Spawns upstream: files first, then the process.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::pipe::fcntl_setpipe_size;
use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};

use super::Running;
use crate::capture::config::file::ConfigFile;
use crate::capture::config::rotation::Rotation;
use crate::capture::input::pipe::Pipe;
use crate::capture::processes::children::{self, Whose};
use crate::capture::processes::invocation::{Argument, Invocation, PrivateFile};
use crate::capture::processes::memory::Memory;
use crate::capture::processes::pulse::{Pulse, Watched};
use crate::capture::processes::stderr::{self, LevelOf};
use crate::capture::processes::tree::Tree;
use crate::capture::processes::workdir::Workdir;
use crate::capture::processes::{mark, warden};
use crate::capture::shutdown::Shutdown;
use crate::env;
use crate::failure::{Code, Failure};
use crate::shim::arguments::{Arguments, Verb};
use crate::shim::command::CommandLine;
use crate::shim::definition::Timeouts;

/// How upstream is run: the command, its environment and its limits.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Program and first arguments.
    pub command: CommandLine,
    /// What comes last on every command line.
    pub arguments: Arguments,
    /// Variables to set, or with `None` to remove.
    pub environment: Vec<(String, Option<String>)>,
    /// Time limits; `None` switches every one off.
    pub timeouts: Option<Timeouts>,
    /// How long a read may show no sign of life; `None` for ever.
    pub idle_timeout: Option<Duration>,
    /// The wish to stop.
    pub shutdown: Shutdown,
    /// How the protocol recognises levels on stderr.
    pub level_of: LevelOf,
    /// What becomes of a config that upstream changes.
    pub rotation: Rotation,
}

impl Upstream {
    /// Starts upstream for this.
    pub fn start(&self, verb: Verb, invocation: &Invocation) -> Result<Running, Failure> {
        let workdir = Workdir::new(&invocation.files)?;
        let program = self.command.program().to_owned();
        let run = mark::next_run();
        let memory = Memory::now();
        let mut command = self.command(verb, invocation, &workdir, &memory)?;
        command.env(mark::MARK, &run);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        die_with_us(&mut command);
        warden::ensure();
        let mut child = command.spawn().map_err(|error| not_started(&program, &error))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (Some(root), Some(stdout), Some(stderr)) = (process_id(&child), stdout, stderr) else {
            return Err(Failure::new(Code::BUG, "upstream was started without pipes"));
        };
        children::await_exit_of(root, Whose::Upstream);
        sacrifice(root);
        let stdout = stdout.into_owned_fd().and_then(Pipe::new).map_err(|error| {
            Failure::new(Code::PIPES, format!("upstream's output cannot be read: {error}"))
        })?;
        let pulse = Arc::new(Pulse::new());
        // Fewer switches between the two processes. Where a larger pipe is refused, the default serves.
        let _ = fcntl_setpipe_size(&stderr, stderr::CAPACITY);
        let tail = tokio::spawn(stderr::drain(Watched::log(stderr, pulse.clone()), self.level_of));
        let config = ConfigFile::watch(workdir.file(PrivateFile::CONFIG), self.rotation.clone());
        Ok(Running {
            program,
            child,
            tree: Tree::of(root, run),
            stdout: Watched::output(stdout, pulse.clone()),
            pulse,
            memory,
            tail,
            grace: self.grace(),
            shutdown: self.shutdown.clone(),
            rotation: self.rotation.clone(),
            config,
            workdir,
        })
    }

    fn command(
        &self,
        verb: Verb,
        invocation: &Invocation,
        workdir: &Workdir,
        memory: &Memory,
    ) -> Result<Command, Failure> {
        let mut command = Command::new(self.command.find()?);
        command.args(self.command.arguments());
        for argument in &invocation.arguments {
            match argument {
                Argument::Text(text) => command.arg(text),
                Argument::File(name) => command.arg(workdir.file(name)),
            };
        }
        command.args(self.arguments.of(verb));
        command.envs(hints(memory));
        command.envs(self.command.environment());
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        for (name, pieces) in &invocation.variables {
            let mut value = OsString::new();
            for piece in pieces {
                match piece {
                    Argument::Text(text) => value.push(text),
                    Argument::File(name) => value.push(workdir.file(name)),
                }
            }
            command.env(name, value);
        }
        Ok(command)
    }

    /// How long upstream may take to stop before it is killed.
    pub fn grace(&self) -> Duration {
        self.timeouts.as_ref().map_or(Timeouts::default().stop, |timeouts| timeouts.stop)
    }
}

/// A program that cannot be run is a mistake of the image; a system without room for processes is not.
fn not_started(program: &str, error: &std::io::Error) -> Failure {
    let message = format!("{program:?} cannot be started: {error}");
    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::OutOfMemory) {
        let advice = "raise the container's limit of processes (pids) or its memory";
        return Failure::new(Code::SYSTEM, format!("{message}; {advice}"));
    }
    Failure::new(Code::UPSTREAM_NOT_STARTED, message)
}

/// Variables that upstream gets where nothing sets them.
fn hints(memory: &Memory) -> impl Iterator<Item = (&'static str, &'static str)> {
    let unset = |name: &'static str, value| (!env::is_set(name)).then_some((name, value));
    // A Python that is aborted prints the stack of each thread first.
    let stacks = unset(env::PYTHONFAULTHANDLER, "1");
    let limited = memory.limit().is_some();
    // A JVM takes a quarter of the container by itself, and fails slowly when that is full.
    let java = limited && !env::JAVA.iter().any(|name| env::is_set(name));
    let java =
        java.then_some((env::JAVA_TOOL_OPTIONS, "-XX:MaxRAMPercentage=70 -XX:+ExitOnOutOfMemoryError"));
    // The default is eight for each processor of the machine, and each holds what threads have freed.
    let arenas = limited.then(|| unset(env::MALLOC_ARENA_MAX, "2")).flatten();
    // Messages are UTF-8, whatever the locale says.
    let streams = unset(env::PYTHONIOENCODING, "utf-8");
    // `unstructured`, which every file-based source imports, reports each start to its maker.
    let quiet = env::NO_TRACKING.map(|name| unset(name, "true"));
    [stacks, java, arenas, utf8_locale(env::get), streams].into_iter().chain(quiet).flatten()
}

/// The variable to set so that text is UTF-8; `None` where the image has chosen a locale. In the C
/// locale a JVM and some Pythons print `?` for every other character.
fn utf8_locale(get: impl Fn(&str) -> Option<String>) -> Option<(&'static str, &'static str)> {
    const UTF8: &str = "C.UTF-8";
    match env::LOCALE.into_iter().find_map(|name| Some((name, get(name)?))) {
        None => Some(("LANG", UTF8)),
        Some((name, locale)) => matches!(&*locale, "C" | "POSIX").then_some((name, UTF8)),
    }
}

/// When memory runs out, the kernel is to kill upstream, so that we are there to say it.
fn sacrifice(upstream: Pid) {
    // Where it may not be set, the larger of the two is killed, which is hardly ever ours.
    let _ = std::fs::write(format!("/proc/{}/oom_score_adj", upstream.as_raw_nonzero()), "500");
}

/// The process of a child; `None` once it has been reaped.
pub fn process_id(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
}

/// Has the kernel kill upstream when our process dies, even by SIGKILL.
#[expect(unsafe_code, reason = "the only way to run code between fork and exec")]
pub fn die_with_us(command: &mut Command) {
    // SAFETY: prctl is async-signal-safe, and the closure touches no memory of the parent.
    unsafe {
        command.pre_exec(|| {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(std::io::Error::from)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_that_an_image_chose_stays() {
        let with = |set: &[(&str, &str)]| {
            utf8_locale(|name| set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(with(&[]), Some(("LANG", "C.UTF-8")));
        assert_eq!(with(&[("LANG", "de_DE.UTF-8")]), None);
        assert_eq!(with(&[("LANG", "de_DE.UTF-8"), ("LC_ALL", "POSIX")]), Some(("LC_ALL", "C.UTF-8")));
        assert_eq!(with(&[("LANG", "C")]), Some(("LANG", "C.UTF-8")));
    }
}
