//! The program: a runtime, signals as a wish to stop, one call, and an exit code.

use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use flow_shim::capture::processes::warden;
use flow_shim::capture::shutdown::{Shutdown, Stop, Stopper};
use flow_shim::cli::{Cli, Command};
use flow_shim::failure::{Cause, Code, Failure};
use flow_shim::json::nearest::nearest;
use flow_shim::settings::RunOptions;
use flow_shim::{dev, log, upstream};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fstat};
use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    if std::env::args_os().len() == 1 && std::io::stdin().is_terminal() {
        // A person who types the bare name is no runtime of Flow's.
        let _ = Cli::command().print_help();
        return ExitCode::SUCCESS;
    }
    match log::Level::chosen() {
        Ok(level) => log::start(level),
        Err(failure) => return fail(&failure),
    }
    log::log_panics();
    // Unwinding stops upstream and removes its config; what a panic says is logged by its hook.
    let Ok(result) = catch_unwind(AssertUnwindSafe(|| dispatch(cli))) else {
        return ExitCode::from(Cause::Internal.exit_code());
    };
    match result {
        Ok(code) => {
            log::tell_folded(true);
            ExitCode::from(code)
        }
        Err(failure) => fail(&failure),
    }
}

fn fail(failure: &Failure) -> ExitCode {
    log::last_line(failure);
    ExitCode::from(failure.cause().exit_code())
}

/// Says what clap has to say: help on stdout, or what is wrong, which Flow would cut down to its last line.
fn refuse(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    let message = format!(
        "the command line cannot be read: {}{}; see the lines above, or --help",
        error.kind(),
        meant(error).map(|command| format!("; did you mean `{command}`?")).unwrap_or_default()
    );
    fail(&Failure::new(Code::COMMAND_LINE, message))
}

/// The command that an unknown first word seems to stand for. clap takes the word for an argument of `run`,
/// which is what no command means.
fn meant(error: &clap::Error) -> Option<String> {
    let word = std::env::args().nth(1).filter(|word| !word.starts_with('-'))?;
    if error.kind() != clap::error::ErrorKind::UnknownArgument {
        return None;
    }
    let command = Cli::command();
    let names =
        command.get_subcommands().filter(|command| !command.is_hide_set()).map(clap::Command::get_name);
    nearest(&word, names).map(str::to_owned)
}

fn dispatch(cli: Cli) -> Result<u8, Failure> {
    match cli.command.unwrap_or(Command::Run(cli.run)) {
        Command::Run(options) => with_runtime(async |shutdown| run(options, shutdown).await),
        Command::Raw(command) => {
            with_runtime(async |shutdown| dev::raw::run(&command, &shutdown).await.map(|()| 0))
        }
        Command::Preview(options) => {
            with_runtime(async |shutdown| dev::preview::run(&options, &shutdown).await.map(|()| 0))
        }
        Command::Bake(options) => {
            with_runtime(async |shutdown| dev::bake::bake(&options, &shutdown).await.map(|()| 0))
        }
        Command::Check(options) => {
            with_runtime(async |shutdown| dev::check::check(&options, &shutdown).await)
        }
        Command::Diff(options) => with_runtime(async |shutdown| dev::diff::diff(&options, &shutdown).await),
        Command::ImportAtf(options) => dev::import_atf::import(&options).map(|()| 0),
        Command::OAuth(options) => {
            with_runtime(async |shutdown| dev::oauth::run(&options, &shutdown).await.map(|()| 0))
        }
        Command::Encrypt(options) => {
            with_runtime(async |shutdown| dev::encrypt::run(&options, &shutdown).await.map(|()| 0))
        }
        Command::Install(options) => dev::install::install(options).map(|()| 0),
        Command::Record(options) => dev::record::record(options),
        Command::Replay(options) => dev::replay::replay(options),
        Command::New(options) => dev::new::new(options).map(|()| 0),
        Command::PullUpstream(options) => dev::pull_upstream::pull(options).map(|()| 0),
        Command::Warden { session } => {
            warden::watch(&session);
            Ok(0)
        }
        Command::Completions { shell } => dev::completions::print(&mut Cli::command(), shell).map(|()| 0),
    }
}

/// One thread is enough: the record path is one loop, and stdin and stdout have threads of their own.
fn with_runtime(work: impl AsyncFnOnce(Shutdown) -> Result<u8, Failure>) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Code::SYSTEM, format!("the runtime cannot be started: {error}")))?;
    runtime.block_on(async {
        let (stopper, shutdown) = Stopper::new();
        let stopper = std::sync::Arc::new(stopper);
        for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
            let stopper = stopper.clone();
            let mut signals = signal(kind).map_err(|error| {
                Failure::new(Code::SYSTEM, format!("signals cannot be received: {error}"))
            })?;
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    stopper.stop(Stop::Signal(kind.as_raw_value()));
                }
            });
        }
        // The default would kill us without a word; with a handler, the write fails, which is told. The
        // handler stays, and is not inherited by upstream.
        let _ = signal(SignalKind::from_raw(Signal::XFSZ.as_raw()));
        if let Ok(output) = std::io::stdout().as_fd().try_clone_to_owned() {
            let watch = move || {
                wait_for_hangup(&output);
                stopper.stop(Stop::OutputClosed);
            };
            std::thread::Builder::new()
                .name("hangup".to_owned())
                .spawn(watch)
                .map_err(|error| Failure::new(Code::SYSTEM, format!("no thread can be started: {error}")))?;
        }
        work(shutdown).await
    })
}

async fn run(options: RunOptions, shutdown: Shutdown) -> Result<u8, Failure> {
    keep_secrets_off_disk();
    let connector = options.resolve(shutdown)?;
    // Plain files: std's stdin and stdout have buffers of their own that would only be in the way.
    let input = File::from(own(std::io::stdin().as_fd().try_clone_to_owned())?);
    let output = own(std::io::stdout().as_fd().try_clone_to_owned())?;
    if stands_in(&output) {
        return Err(Failure::new(
            Code::PIPES,
            "stdout is closed, so nobody can read what is captured; start flow-shim with stdout open",
        ));
    }
    let output = File::from(output);
    upstream::run(connector, input, output).await?;
    Ok(0)
}

/// No core dump of ours or of upstream, which inherits the limit: it would hold the config. We stay
/// "dumpable" otherwise, because without that `/dev/stdout` cannot be opened, nor we be debugged.
fn keep_secrets_off_disk() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "core dumps cannot be switched off; one would hold the config");
    }
}

fn own(fd: std::io::Result<OwnedFd>) -> Result<OwnedFd, Failure> {
    fd.map_err(|error| Failure::new(Code::PIPES, format!("stdin or stdout is not open: {error}")))
}

/// Whether this is what Rust's runtime opens where stdout is closed at the start: `/dev/null`, for
/// reading and writing. A shell's `>/dev/null` is for writing only.
fn stands_in(output: &OwnedFd) -> bool {
    let null = std::fs::metadata("/dev/null").map(|null| null.rdev());
    let same = fstat(output).is_ok_and(|stat| null.is_ok_and(|null| null == stat.st_rdev));
    same && fcntl_getfl(output).is_ok_and(|flags| flags & OFlags::RWMODE == OFlags::RDWR)
}

/// Ends once nobody can read what is written to the pipe any more.
fn wait_for_hangup(output: &OwnedFd) {
    loop {
        let mut fds = [PollFd::new(output, PollFlags::empty())];
        match poll(&mut fds, None) {
            Ok(_) if fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) => return,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => std::thread::park(),
        }
    }
}
