//! Runs the built program as Flow does: requests in, responses and logs out.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use flow_shim::env;
use rustix::process::Pid;
use serde_json::{Value, json};

use crate::flow_model;

/// The built program.
pub(crate) fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_flow-shim"))
}

/// The variables by which whoever runs the tests could change what the program does.
const VARIABLES: &[&str] = &[
    env::SHIM_DIR,
    env::PROTOCOL,
    env::CODEC,
    env::LOG_LEVEL,
    env::LOG_FORMAT,
    env::DOCS_URL,
    env::AIRBYTE_ENTRYPOINT,
    env::ATF_STATE_FORMAT,
    env::ENCRYPTION_URL,
    env::SOPS_AGE_KEY,
    env::SOPS_AGE_KEY_FILE,
];

/// The built program with these arguments, and without variables of the machine that it would heed.
pub(crate) fn flow_shim(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments);
    without_variables(&mut command);
    command
}

/// Takes those variables from a command.
pub(crate) fn without_variables(command: &mut Command) {
    for name in VARIABLES {
        command.env_remove(name);
    }
}

/// A file or folder of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A connector process to be run.
pub(crate) struct Connector {
    arguments: Vec<String>,
    variables: Vec<(&'static str, String)>,
    left_out: Vec<&'static str>,
    folder: tempfile::TempDir,
    group: Option<String>,
}

impl Connector {
    /// One that is started with these arguments.
    pub(crate) fn new(arguments: &[&str]) -> Self {
        Self {
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            variables: Vec::new(),
            left_out: Vec::new(),
            folder: tempfile::tempdir().expect("a temporary folder"),
            group: None,
        }
    }

    /// One whose upstream plays files written by the test: `("read.jsonl", "…")`.
    pub(crate) fn playing(protocol: &str, files: &[(&str, &str)]) -> Self {
        let mut connector = Self::new(&[]);
        for (name, text) in files {
            std::fs::write(connector.folder.path().join(name), text).expect("a written transcript");
        }
        let folder = connector.folder.path().to_str().expect("UTF-8").to_owned();
        connector.arguments =
            ["run", "--protocol", protocol, "--", "flow-shim", "replay", &folder].map(str::to_owned).to_vec();
        connector
    }

    /// One that runs a shim whose files the test writes; `FOLDER` in their text stands for the folder.
    pub(crate) fn shim(yaml: &str, files: &[(&str, &str)]) -> Self {
        let mut connector = Self::new(&[]);
        let folder = connector.folder.path().to_str().expect("UTF-8").to_owned();
        for (name, text) in [("shim.yaml", yaml)].iter().chain(files) {
            std::fs::write(connector.folder.path().join(name), text.replace("FOLDER", &folder))
                .expect("a written file");
        }
        connector.arguments = ["run", "--shim", &folder].map(str::to_owned).to_vec();
        connector
    }

    pub(crate) fn variable(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    /// Without this variable of whoever runs the tests.
    pub(crate) fn without(mut self, name: &'static str) -> Self {
        self.left_out.push(name);
        self
    }

    /// In a control group, named by its `cgroup.procs`.
    pub(crate) fn within(mut self, processes: &str) -> Self {
        self.group = Some(processes.to_owned());
        self
    }

    /// With one more argument.
    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// The same folder with other arguments.
    pub(crate) fn with_arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        self
    }

    /// The folder of its files.
    pub(crate) fn folder_path(&self) -> String {
        self.folder.path().to_str().expect("UTF-8").to_owned()
    }

    /// A command for the process, for tests that need more than its end.
    pub(crate) fn command(&self) -> Command {
        let mut command = match &self.group {
            Some(processes) => {
                let mut command = Command::new("sh");
                command.args(["-c", "echo $$ > \"$0\" && exec \"$@\"", processes]).arg(program());
                command
            }
            None => Command::new(program()),
        };
        without_variables(&mut command);
        command.args(&self.arguments).current_dir(self.folder.path());
        for name in &self.left_out {
            command.env_remove(name);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it with these requests and then the end of stdin.
    pub(crate) fn run(&self, requests: &[Value]) -> Run {
        let mut text = String::new();
        for request in requests {
            text.push_str(&request.to_string());
            text.push('\n');
        }
        Run::of(self.run_bytes(text.as_bytes()))
    }

    /// The same with bytes, for other codecs and for junk.
    pub(crate) fn run_bytes(&self, input: &[u8]) -> std::process::Output {
        let mut child = self.command().spawn().expect("the program starts");
        feed(&mut child, input);
        child.wait_with_output().expect("the program ends")
    }
}

fn feed(child: &mut Child, input: &[u8]) {
    let mut stdin = child.stdin.take().expect("a piped stdin");
    let input = input.to_vec();
    std::thread::spawn(move || {
        // A process that has ended does not read; that is for the test to judge by its output.
        let _ = stdin.write_all(&input);
    });
}

/// The exit code; 128 + n for signal n.
pub(crate) fn exit_code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Upstream's process, where upstream prints its id as the id of its first record.
pub(crate) fn upstream_process(stdout: &mut impl BufRead) -> Pid {
    let mut line = String::new();
    loop {
        line.clear();
        assert!(stdout.read_line(&mut line).expect("a line") > 0, "the capture ended early");
        let response: Value = serde_json::from_str(&line).expect("JSON");
        if let Some(id) = response["captured"]["doc"]["id"].as_i64() {
            return Pid::from_raw(i32::try_from(id).expect("a process id")).expect("a process id");
        }
    }
}

/// What a process did.
#[derive(Debug)]
pub(crate) struct Run {
    /// One a line of stdout.
    pub(crate) responses: Vec<Value>,
    /// One a line of stderr.
    pub(crate) logs: Vec<Value>,
    /// The exit code; 128 + n for signal n.
    pub(crate) code: i32,
    /// stdout as it came.
    pub(crate) text: String,
}

impl Run {
    pub(crate) fn of(output: std::process::Output) -> Self {
        let lines = |bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_vec()).expect("UTF-8 output");
            text.lines()
                .map(|line| serde_json::from_str(line).unwrap_or_else(|_| json!({"raw": line})))
                .collect()
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Self {
            responses: lines(&output.stdout),
            logs: lines(&output.stderr),
            code: exit_code(output.status),
            text,
        }
    }

    /// Asserts that all went well.
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.code, 0, "last log: {:?}", self.logs.last());
        self
    }

    /// The message of the last line on stderr, which is what Flow shows; it must be an error with a code.
    pub(crate) fn last_words(&self) -> &str {
        let last = self.logs.last().expect("something was logged");
        assert_eq!(last["level"], "error", "the last line is {last}");
        let (message, code) =
            last["message"].as_str().expect("a message").rsplit_once(" [").expect("a code behind it");
        assert_eq!(last["fields"]["code"], code.trim_end_matches(']'), "the last line is {last}");
        message
    }

    /// Whether a message with this text was logged, at this level where one is given.
    pub(crate) fn logged(&self, level: Option<&str>, text: &str) -> bool {
        self.logs.iter().any(|log| {
            level.is_none_or(|level| log["level"] == level)
                && log["message"].as_str().is_some_and(|message| message.contains(text))
        })
    }

    /// The answers of one kind, such as `captured`.
    pub(crate) fn all(&self, kind: &str) -> Vec<Value> {
        self.responses.iter().filter_map(|response| response.get(kind).cloned()).collect()
    }

    /// The one answer of a kind.
    pub(crate) fn only(&self, kind: &str) -> Value {
        let mut all = self.all(kind);
        assert_eq!(all.len(), 1, "{kind} among {:?}; last log {:?}", self.responses.len(), self.logs.last());
        all.remove(0)
    }

    /// The documents of a binding.
    pub(crate) fn documents(&self, binding: u64) -> Vec<Value> {
        let captured = self.all("captured");
        captured
            .iter()
            .filter(|c| c["binding"].as_u64().unwrap_or(0) == binding)
            .map(|c| c["doc"].clone())
            .collect()
    }

    /// The state that Flow would hold afterwards.
    pub(crate) fn state(&self, before: Value) -> Value {
        flow_model::reduce(before, &self.all("checkpoint"))
    }

    /// Documents that no checkpoint followed.
    pub(crate) fn uncommitted(&self) -> usize {
        self.responses.iter().rev().take_while(|response| response.get("checkpoint").is_none()).count()
    }
}

/// The request that Flow sends into every process first.
pub(crate) fn spec() -> Value {
    json!({"spec": {"connectorType": "IMAGE", "config": {}}})
}

/// A binding as Flow sends it in Open.
pub(crate) fn binding(resource: Value, path: &[&str], key: &[&str]) -> Value {
    let schema = json!({"type": "object", "x-infer-schema": true, "x-source-schema": {"type": "object"}});
    json!({
        "resourceConfig": resource,
        "resourcePath": path,
        "stateKey": path.join("%2F"),
        "collection": {"name": format!("acmeCo/{}", path.join("/")), "key": key, "writeSchema": schema},
    })
}

/// An Airbyte binding of a stream without namespace.
pub(crate) fn airbyte(stream: &str, mode: &str) -> Value {
    binding(json!({"stream": stream, "syncMode": mode, "_meta": {"path": [stream]}}), &[stream], &["/id"])
}

/// A Singer binding.
pub(crate) fn singer(stream: &str, method: &str) -> Value {
    binding(
        json!({"tap_stream_id": stream, "stream": stream, "replication_method": method}),
        &[stream],
        &["/id"],
    )
}

/// A Discover request.
pub(crate) fn discover(config: &Value) -> Value {
    json!({"discover": {"connectorType": "IMAGE", "config": config, "name": "acmeCo/x"}})
}

/// An Open request.
pub(crate) fn open(config: Value, bindings: &[Value], state: Value) -> Value {
    json!({"open": {
        "capture": {"name": "acmeCo/source", "connectorType": "IMAGE", "config": config, "bindings": bindings, "intervalSeconds": 300},
        "version": "11:22:33:44",
        "range": {"keyEnd": 4_294_967_295_u32, "rClockEnd": 4_294_967_295_u32},
        "state": state,
    }})
}
