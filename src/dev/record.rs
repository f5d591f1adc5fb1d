//! `flow-shim record`: runs an upstream and keeps a transcript of what it prints.
//!
//! It stands between whoever calls a connector and the connector, and changes nothing: with
//! `command: [flow-shim, record, transcript, --, source-x]` in a shim.yaml, all that Flow asks is
//! recorded as it happens. The config is never kept, and the secrets that it holds are masked in all that
//! is (`record/transcript`). Records, and secrets that are in no config, stay: look before you share it.

mod transcript;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};
use transcript::Transcript;

use super::replay::Call;
use crate::capture::config::secrets;
use crate::env;
use crate::failure::{Code, Failure};
use crate::log::{self, Teacher};

/// Options of `record`.
#[derive(Debug, clap::Args)]
pub struct RecordOptions {
    /// Where the transcript goes; a relative folder is one of the shim's, where there is a shim
    pub transcript: PathBuf,
    /// The upstream command with its arguments
    #[arg(last = true, required = true, value_name = "UPSTREAM ARGV")]
    pub upstream: Vec<String>,
}

/// Records one run; the exit code is upstream's.
pub fn record(options: RecordOptions) -> Result<u8, Failure> {
    let folder = match env::get(env::SHIM_DIR) {
        Some(shim) if options.transcript.is_relative() => Path::new(&shim).join(&options.transcript),
        _ => options.transcript,
    };
    std::fs::create_dir_all(&folder).map_err(|error| failed(&folder, &error))?;
    let call = call(&options.upstream);
    let name = name(&call);
    let secrets = Secrets::of(&folder, call.config.as_deref());
    for (source, kept) in [(&call.catalog, "catalog.json"), (&call.state, "state.json")] {
        if let Some(source) = source {
            let failed = |error| failed(&folder.join(kept), &format!("{}: {error}", source.display()));
            let text = std::fs::read(source).map_err(failed)?;
            let copied = Transcript::create(&folder.join(kept)).and_then(|mut copy| {
                copy.write_all(&text)?;
                copy.finish()
            });
            copied.map_err(failed)?;
        }
    }
    let started = jiff::Timestamp::now();
    let (program, arguments) = options.upstream.split_first().unwrap_or((&name, &[]));
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            Failure::new(Code::UPSTREAM_NOT_STARTED, format!("{program:?} cannot be started: {error}"))
        })?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Failure::new(Code::BUG, "upstream was started without pipes"));
    };
    let mut kept_stderr =
        Transcript::append(&folder.join("stderr.txt")).map_err(|error| failed(&folder, &error))?;
    // Where the heading cannot be written, the lines below it will fail and say so.
    let _ = writeln!(kept_stderr, "== {name}");
    let errors = std::thread::spawn(move || tee(stderr, kept_stderr, &mut std::io::stderr()));
    let output = folder.join(&name);
    let kept = Transcript::create(&output).map_err(|error| failed(&output, &error))?;
    tee(stdout, kept, &mut std::io::stdout().lock()).map_err(|error| failed(&output, &error))?;
    // A log that could not be kept is no reason to fail the run.
    let _ = errors.join();
    let status =
        child.wait().map_err(|error| Failure::new(Code::SYSTEM, format!("waiting failed: {error}")))?;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    let seconds = jiff::Timestamp::now().duration_since(started).as_secs_f64();
    note(
        &folder,
        &name,
        &json!({"date": started.to_string(), "exit_code": code, "seconds": seconds, "messages": messages(&output)}),
    )?;
    let _ = writeln!(
        std::io::stderr(),
        "INFO recorded {} in {}; the secrets of the config are masked there, but not what records hold: look \
         at them before you share them",
        name,
        folder.display()
    );
    drop(secrets);
    Ok(u8::try_from(code).unwrap_or(1))
}

/// The secrets of the config that upstream gets, which are masked; also those that it writes there.
struct Secrets {
    _teacher: Option<Arc<Teacher>>,
}

impl Secrets {
    fn of(folder: &Path, config: Option<&Path>) -> Self {
        let Some(config) = config.map(Path::to_owned) else { return Self { _teacher: None } };
        let schema = known_schema(folder);
        let last = Mutex::new(None);
        let learn = move || {
            let changed = std::fs::metadata(&config).and_then(|metadata| metadata.modified()).ok();
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if *last != changed {
                *last = changed;
                let text = std::fs::read(&config).unwrap_or_default();
                secrets::hide(&schema, &serde_json::from_slice(&text).unwrap_or_default());
            }
        };
        let teacher: Arc<Teacher> = Arc::new(learn);
        teacher();
        log::learn_from(&teacher);
        Self { _teacher: Some(teacher) }
    }
}

/// The config schema, as far as an earlier recording in the folder tells it.
fn known_schema(folder: &Path) -> Value {
    let spec = std::fs::read_to_string(folder.join("spec.jsonl")).unwrap_or_default();
    let mut messages = spec.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    if let Some(spec) = messages.find(|message| message["type"] == "SPEC") {
        return spec["spec"]["connectionSpecification"].clone();
    }
    let about = std::fs::read(folder.join("about.json")).unwrap_or_default();
    serde_json::from_slice::<Value>(&about).unwrap_or_default()["settings"].clone()
}

/// The call behind the program's own first arguments, such as `python main.py read …`.
fn call(argv: &[String]) -> Call {
    (1..argv.len())
        .map(|start| Call::of(&argv[start..]))
        .find(|call| call.is_source)
        .unwrap_or_else(|| Call::of(argv))
}

fn name(call: &Call) -> String {
    let resumed = call.state.is_some();
    match call.name {
        Some("read") if resumed => "read-resumed.jsonl".to_owned(),
        Some(name) if call.is_source || name == "read" => format!("{name}.jsonl"),
        Some(name) => format!("{name}.json"),
        None => "other.txt".to_owned(),
    }
}

/// Copies as it comes. A reader that goes away ends the passing on, not the keeping.
fn tee(mut from: impl Read, mut keep: Transcript, pass: &mut impl Write) -> std::io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    let mut is_read_along = true;
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return keep.finish();
        }
        // What upstream put into its config before it printed this is known when it is written.
        log::learn();
        keep.write_all(&buffer[..read])?;
        is_read_along = is_read_along && pass.write_all(&buffer[..read]).and_then(|()| pass.flush()).is_ok();
    }
}

/// How many messages of each type a file has.
fn messages(file: &Path) -> Value {
    let mut counts: Map<String, Value> = Map::new();
    let lines = File::open(file).into_iter().flat_map(|file| BufReader::new(file).split(b'\n'));
    for line in lines.map_while(Result::ok) {
        let message = serde_json::from_slice::<Value>(&line).unwrap_or_default();
        if let Some(kind) = message["type"].as_str() {
            let count = counts.get(kind).and_then(Value::as_u64).unwrap_or(0) + 1;
            counts.insert(kind.to_owned(), count.into());
        }
    }
    counts.into()
}

/// Adds what is known of a run to `meta.json`.
fn note(folder: &Path, name: &str, run: &Value) -> Result<(), Failure> {
    let file = folder.join("meta.json");
    let old = std::fs::read(&file).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    let mut meta = old.filter(Value::is_object).unwrap_or_else(|| json!({}));
    if !meta["runs"].is_object() {
        meta["runs"] = json!({});
    }
    meta["runs"][name] = run.clone();
    let text = format!("{meta:#}\n");
    let written = Transcript::create(&file).and_then(|mut meta| {
        meta.write_all(text.as_bytes())?;
        meta.finish()
    });
    written.map_err(|error| failed(&file, &error))
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(
        Code::CANNOT_WRITE,
        format!("the transcript's {} cannot be written: {error}", path.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_metadata_of_another_shape_gives_way() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("meta.json");
        std::fs::write(&file, r#"{"package": "x", "runs": []}"#).expect("written");
        note(folder.path(), "spec.jsonl", &json!({"exit_code": 0})).expect("it is noted");
        let meta: Value = serde_json::from_slice(&std::fs::read(&file).expect("a file")).expect("JSON");
        assert_eq!(meta, json!({"package": "x", "runs": {"spec.jsonl": {"exit_code": 0}}}));
    }

    #[test]
    fn files_are_named_by_what_was_asked() {
        let of = |text: &str| name(&call(&text.split(' ').map(str::to_owned).collect::<Vec<_>>()));
        assert_eq!(of("source-x spec"), "spec.jsonl");
        assert_eq!(of("python main.py read --config c --catalog k"), "read.jsonl");
        assert_eq!(of("source-x read --config c --catalog k --state s"), "read-resumed.jsonl");
        assert_eq!(of("tap-x --about --format=json"), "about.json");
        assert_eq!(of("tap-x --config c --discover"), "discover.json");
        assert_eq!(of("tap-x --config c --catalog k"), "read.jsonl");
    }
}
