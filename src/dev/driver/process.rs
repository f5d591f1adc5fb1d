//! The process behind a flow.yaml's endpoint: starting it, its pipes, and ending it.
//!
//! A thread each writes its stdin, reads its messages and passes its stderr on, so it can never
//! block on us; the message channel is bounded, so a slow reader of ours slows it down. It runs in
//! a process group of its own and dies with us. Upstreams are started elsewhere, by `capture`.

use std::io::{PipeReader, PipeWriter, Write, pipe};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::docker::{self, Container};
use super::stderr::{self, LastLine};
use crate::capture::processes::supervisor::{describe_exit, die_with_us, process_id};
use crate::dev::catalog::endpoint::{Endpoint, Program};
use crate::env;
use crate::failure::{Code, Failure};
use crate::flow::codec::{Codec, CodecError};
use crate::flow::message::{Request, Response};
use crate::flow::reader::Reader;

/// How many messages are read ahead.
const AHEAD: usize = 256;
/// How long the process has to stop, as Flow gives it (flow-protocol.md, section 1.6): longer than a
/// connector gives its own upstream (`timeouts.stop`).
const GRACE: Duration = Duration::from_secs(15);
/// How long it may take to exit once its output has ended.
const EXIT_AFTER_END: Duration = Duration::from_secs(30);
/// How long its output may stay open, silent, once it has exited: something it left behind has it.
const END_AFTER_EXIT: Duration = Duration::from_secs(5);

/// A running connector. Dropping it kills its whole group.
#[derive(Debug)]
pub(super) struct Process {
    program: String,
    child: Child,
    group: Option<Pid>,
    /// `None` for a program of this machine, and once the container has ended.
    container: Option<Container>,
    codec: Codec,
    requests: Option<std::sync::mpsc::Sender<Vec<u8>>>,
    responses: mpsc::Receiver<Result<Response, CodecError>>,
    stderr: LastLine,
}

/// The command that runs a program of this machine, the name to use in messages, and the codec.
fn local(
    argv: &[String],
    variables: &[(String, String)],
    protobuf: bool,
    log_level: Option<&str>,
) -> Result<(Command, String, Codec), Failure> {
    let (name, arguments) =
        argv.split_first().ok_or_else(|| Failure::new(Code::FLOW_YAML, "the endpoint's command is empty"))?;
    let path = if name == "flow-shim" {
        std::env::current_exe().map_err(|error| {
            Failure::new(Code::SYSTEM, format!("our own program cannot be found: {error}"))
        })?
    } else {
        name.into()
    };
    let mut command = Command::new(path);
    command.args(arguments).env(env::LOG_FORMAT, "json");
    let level = log_level.map(str::to_owned).or_else(|| env::get(env::LOG_LEVEL));
    command.env(env::LOG_LEVEL, level.as_deref().unwrap_or("info"));
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    let own = variables.iter().find(|(name, _)| name == env::CODEC).map(|(_, value)| value.clone());
    let codec = match own.or_else(|| env::get(env::CODEC)) {
        _ if protobuf => Codec::Proto,
        Some(codec) => codec.parse().map_err(|error| Failure::new(Code::BAD_OPTION, error))?,
        None => Codec::Json,
    };
    Ok((command, name.clone(), codec))
}

fn no_pipe(error: &std::io::Error) -> Failure {
    Failure::new(Code::SYSTEM, format!("no pipe can be made: {error}"))
}

impl Process {
    /// Starts it. `network` is Docker's network, for images.
    pub(super) async fn start(endpoint: &Endpoint, network: &str) -> Result<Self, Failure> {
        let log_level = endpoint.log_level.as_deref();
        let (mut command, program, codec, container) = match &endpoint.program {
            Program::Local { command, env, protobuf } => {
                let (command, program, codec) = local(command, env, *protobuf, log_level)?;
                (command, program, codec, None)
            }
            Program::Image { image } => {
                let (command, program, codec, container) = docker::command(image, network, log_level).await?;
                (command, program, codec, Some(container))
            }
        };
        let (stdin, to_stdin) = pipe().map_err(|error| no_pipe(&error))?;
        let (from_stdout, stdout) = pipe().map_err(|error| no_pipe(&error))?;
        let (from_stderr, stderr) = pipe().map_err(|error| no_pipe(&error))?;
        command.stdin(Stdio::from(stdin)).stdout(Stdio::from(stdout)).stderr(Stdio::from(stderr));
        command.process_group(0).kill_on_drop(true);
        die_with_us(&mut command);
        let child = command.spawn().map_err(|error| {
            Failure::new(Code::ENDPOINT, format!("{program:?} cannot be started: {error}"))
        })?;
        // The command holds the process's ends of the pipes; they must close when it exits.
        drop(command);
        let group = process_id(&child);
        let _ = rustix::pipe::fcntl_setpipe_size(&from_stdout, 1 << 20);
        Ok(Self {
            program,
            child,
            group,
            container,
            codec,
            requests: Some(write_requests(to_stdin)),
            responses: read_responses(from_stdout, codec),
            stderr: stderr::pass_on(from_stderr),
        })
    }

    /// Sends a request. A process that does not read is no error here: its exit says more.
    pub(super) fn send(&self, request: &Request) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        let encoded = self.codec.encode(request, &mut bytes);
        encoded.map_err(|error| Failure::new(Code::BUG, error.to_string()))?;
        if let Some(requests) = &self.requests {
            let _ = requests.send(bytes);
        }
        Ok(())
    }

    /// Closes the process's stdin, once all requests are written.
    pub(super) fn close_stdin(&mut self) {
        self.requests = None;
    }

    /// Waits for the next message; `None` at the end of the output. Safe to drop.
    pub(super) async fn next(&mut self) -> Option<Result<Response, CodecError>> {
        let child = &mut self.child;
        let abandoned = async {
            let _ = child.wait().await;
            tokio::time::sleep(END_AFTER_EXIT).await;
        };
        tokio::select! {
            biased;
            response = self.responses.recv() => response,
            () = abandoned => {
                tracing::warn!("{} has exited, but something that it started keeps its output open", self.program);
                None
            }
        }
    }

    /// Waits for the exit once the output has ended. Fails when it is not exit code 0, with what
    /// the process logged last, as Flow does.
    pub(super) async fn finish(&mut self) -> Result<(), Failure> {
        self.close_stdin();
        let Ok(status) = tokio::time::timeout(EXIT_AFTER_END, self.child.wait()).await else {
            self.stop(std::future::pending()).await;
            let waited = EXIT_AFTER_END.as_secs();
            let message = format!("the connector closed its output, but did not exit within {waited} s");
            return Err(Failure::new(Code::CONNECTOR_FAILED, message));
        };
        let status = status.map_err(|error| {
            Failure::new(Code::SYSTEM, format!("the connector's exit cannot be awaited: {error}"))
        })?;
        // `docker run` ends after its container does, or is killed.
        if status.code().is_some() {
            self.container = None;
        }
        self.kill_group();
        if status.success() { Ok(()) } else { Err(self.failure(status)) }
    }

    fn failure(&self, status: ExitStatus) -> Failure {
        let how = describe_exit(status);
        let failure = self.stderr.failure().unwrap_or_else(|| {
            let command = &self.program;
            let message = format!("the connector {how} with no log output; its command is {command:?}");
            Failure::new(Code::CONNECTOR_FAILED, message)
        });
        failure.with("connector", how)
    }

    /// Ends the process: asks, waits, kills; `insisted` ends the wait. What it still says is read away.
    pub(super) async fn stop(&mut self, insisted: impl Future<Output = ()>) {
        self.close_stdin();
        if let Some(group) = self.group {
            // A group that is gone already needs no signal.
            let _ = kill_process_group(group, Signal::TERM);
        }
        let gone = async {
            while self.responses.recv().await.is_some() {}
            let _ = self.child.wait().await;
        };
        tokio::select! {
            () = gone => {}
            () = tokio::time::sleep(GRACE) => {
                tracing::warn!("{} did not stop within {} s and is killed", self.program, GRACE.as_secs());
            }
            () = insisted => {}
        }
        self.kill_group();
        let _ = self.child.wait().await;
    }

    /// Once only: the id of a group that is gone may be another's later.
    fn kill_group(&mut self) {
        if let Some(container) = self.container.take() {
            container.kill();
        }
        if let Some(group) = self.group.take() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_group();
    }
}

fn write_requests(mut stdin: PipeWriter) -> std::sync::mpsc::Sender<Vec<u8>> {
    let (sender, requests) = std::sync::mpsc::channel::<Vec<u8>>();
    std::thread::spawn(move || {
        for request in requests {
            if stdin.write_all(&request).is_err() {
                break;
            }
        }
    });
    sender
}

fn read_responses(stdout: PipeReader, codec: Codec) -> mpsc::Receiver<Result<Response, CodecError>> {
    let (sender, responses) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        let mut reader = Reader::new(stdout, codec).refuse_blank_lines();
        loop {
            let message = match reader.message::<Response>() {
                Ok(None) => break,
                Ok(Some(message)) => Ok(message),
                Err(error) => Err(error),
            };
            let last = message.is_err();
            if sender.blocking_send(message).is_err() || last {
                break;
            }
        }
    });
    responses
}
