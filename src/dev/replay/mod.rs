//! `flow-shim replay`: an upstream that plays a transcript, as an Airbyte source or a Singer tap.
//!
//! A transcript is a folder with a file for each thing that a connector is asked: `spec.jsonl`,
//! `check.jsonl`, `discover.jsonl` and `read.jsonl` of a source; `about.json`, `discover.json` and
//! `read.jsonl` of a tap. Lines are printed as they stand. A read prints only streams of the catalog
//! that it is given, and goes on behind the state that it is given (`position`). Lines that begin
//! with `#!` are not printed but done (`directive`), which makes any misbehaviour a text file.

mod directive;
mod position;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use self::directive::Directive;
use self::position::Position;
use crate::env;
use crate::failure::{Code, Failure};

/// Options of `replay`.
#[derive(Debug, clap::Args)]
pub struct ReplayOptions {
    /// The transcript's folder; looked up here, then in the shim's folder
    pub transcript: PathBuf,
    /// What a connector is called with: `read --config …`, or a tap `--config …` with `--discover` or with
    /// `--catalog …` and `--state …`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<String>,
}

/// Which file of a transcript a call is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// `spec`, `check`, `discover`, `read`, `about`, or nothing that is known.
    pub(super) name: Option<&'static str>,
    /// Whether a source is called, or a tap.
    pub(super) is_source: bool,
    pub(super) config: Option<PathBuf>,
    pub(super) catalog: Option<PathBuf>,
    pub(super) state: Option<PathBuf>,
}

impl Call {
    pub(super) fn of(arguments: &[String]) -> Self {
        let value = |flags: &[&str]| {
            let at = arguments.iter().position(|argument| flags.contains(&argument.as_str()))?;
            arguments.get(at + 1).map(PathBuf::from)
        };
        let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
        let command = arguments.first().map(String::as_str);
        let question =
            ["spec", "check", "discover", "read"].into_iter().find(|question| command == Some(question));
        let name = match question {
            Some(question) => Some(question),
            None if has("--about") => Some("about"),
            None if has("--discover") => Some("discover"),
            None if has("--config") => Some("read"),
            None => None,
        };
        Self {
            name,
            is_source: question.is_some(),
            config: value(&["--config", "-c"]),
            catalog: value(&["--catalog", "--properties"]),
            state: value(&["--state", "-s"]),
        }
    }
}

/// Plays; the exit code is the transcript's.
pub fn replay(options: ReplayOptions) -> Result<u8, Failure> {
    let folder = folder(&options.transcript)?;
    let call = Call::of(&options.arguments);
    let Some((name, file)) = call.name.and_then(|name| Some((name, file(&folder, &call, name)?))) else {
        return Ok(refuse(&call));
    };
    let config = call.config.as_deref().map(read_json).transpose()?;
    if config.is_none() && (name == "read" || name == "check") {
        complain("the following arguments are required: --config");
        return Ok(2);
    }
    let catalog = call.catalog.as_deref().map(read_json).transpose()?;
    let state = call.state.as_deref().map(read_json).transpose()?;
    let position = match name {
        "read" => Position::find(&file, call.is_source, catalog.as_ref(), state.as_ref())?,
        _ => Position::start(),
    };
    play(&file, position)
}

fn folder(named: &Path) -> Result<PathBuf, Failure> {
    let beside = env::get(env::SHIM_DIR).map(|shim| PathBuf::from(shim).join(named));
    [Some(named.to_owned()), beside].into_iter().flatten().find(|place| place.is_dir()).ok_or_else(|| {
        Failure::new(
            Code::TRANSCRIPT,
            format!("the transcript {} is neither here nor in the shim's folder", named.display()),
        )
    })
}

/// The file that is played; a tap's questions are answered with plain JSON.
fn file(folder: &Path, call: &Call, name: &str) -> Option<PathBuf> {
    let ending = if call.is_source || name == "read" { "jsonl" } else { "json" };
    Some(folder.join(format!("{name}.{ending}"))).filter(|file| file.is_file())
}

/// A connector that does not know what it is asked says so as Python's argparse does.
fn refuse(call: &Call) -> u8 {
    complain(match call.name {
        Some(name) => format!("error: this transcript has no {name}"),
        None => "usage: replay [-h] {spec,check,discover,read} …".to_owned(),
    });
    2
}

fn complain(text: impl std::fmt::Display) {
    // Where stderr is closed there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Connectors fail where a file is missing or no JSON; so does this one.
fn read_json(path: &Path) -> Result<Value, Failure> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let text =
        std::fs::read(path).map_err(|error| Failure::new(Code::REPLAYED_FILE, format!("{name}: {error}")))?;
    serde_json::from_slice(&text)
        .map_err(|_| Failure::new(Code::REPLAYED_FILE, format!("{name} is not JSON")))
}

fn play(file: &Path, mut position: Position) -> Result<u8, Failure> {
    let mut output = std::io::stdout().lock();
    let mut input = BufReader::with_capacity(1 << 18, open(file)?);
    let mut buffered = Vec::with_capacity(1 << 17);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = input.read_until(b'\n', &mut line).map_err(|error| unreadable(file, &error))?;
        if read == 0 {
            break;
        }
        if let Some(directive) = Directive::of(&line) {
            // A reader that went away is no failure of a transcript.
            let _ = output.write_all(&buffered).and_then(|()| output.flush());
            buffered.clear();
            if let Some(code) = directive?.carry_out() {
                return Ok(code);
            }
        } else if position.prints(&line) {
            buffered.extend_from_slice(&line);
            if buffered.len() >= 1 << 16 {
                if output.write_all(&buffered).is_err() {
                    // Python's exit code when its stdout is gone (airbyte-protocol.md, 1.2).
                    return Ok(120);
                }
                buffered.clear();
            }
        }
    }
    if output.write_all(&buffered).and_then(|()| output.flush()).is_err() {
        return Ok(120);
    }
    Ok(0)
}

fn open(file: &Path) -> Result<File, Failure> {
    File::open(file).map_err(|error| unreadable(file, &error))
}

fn unreadable(file: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Code::TRANSCRIPT, format!("the transcript {} cannot be read: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(text: &str) -> (Option<&'static str>, bool) {
        let arguments: Vec<String> = text.split(' ').map(str::to_owned).collect();
        let call = Call::of(&arguments);
        (call.name, call.is_source)
    }

    #[test]
    fn both_kinds_of_calls_are_understood() {
        assert_eq!(call("spec"), (Some("spec"), true));
        assert_eq!(call("read --config a --catalog b"), (Some("read"), true));
        assert_eq!(call("--about --format=json"), (Some("about"), false));
        assert_eq!(call("--config a --discover"), (Some("discover"), false));
        assert_eq!(call("--config a --properties b --state c"), (Some("read"), false));
        assert_eq!(call("--help"), (None, false));
    }
}
