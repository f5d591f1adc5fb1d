//! Lines of a transcript that are done instead of printed.
//!
//! | line | what it does |
//! | --- | --- |
//! | `#! sleep 500ms` | waits |
//! | `#! stderr TEXT` | writes a line to stderr |
//! | `#! fill-stderr 1000000` | writes so many bytes of lines to stderr |
//! | `#! exit 3` | ends with this code |
//! | `#! signal 9` | kills itself with this signal |
//! | `#! hang` | never goes on |
//! | `#! eat-memory 64MiB` | takes so much memory and keeps it |
//! | `#! ignore-term` | from here on, SIGTERM does nothing |
//! | `#! leave-grandchild 30s` | leaves a process behind that holds stdout open |

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::{Code, Failure};
use crate::shim::units::{parse_bytes, parse_duration};

/// One such line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Directive {
    Sleep(Duration),
    Stderr(String),
    FillStderr(usize),
    Exit(u8),
    Signal(i32),
    Hang,
    EatMemory(usize),
    IgnoreTerm,
    LeaveGrandchild(Duration),
}

impl Directive {
    /// The directive of a line; `None` where it is a line to be printed.
    pub(super) fn of(line: &[u8]) -> Option<Result<Self, Failure>> {
        let text = std::str::from_utf8(line.strip_prefix(b"#!")?).unwrap_or_default();
        let text = text.trim_end_matches(['\r', '\n']);
        let text = text.strip_prefix(' ').unwrap_or(text);
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let directive = match word {
            "sleep" => parse_duration(rest).ok().map(Directive::Sleep),
            "stderr" => Some(Directive::Stderr(rest.to_owned())),
            "fill-stderr" => rest.parse().ok().map(Directive::FillStderr),
            "exit" => rest.parse().ok().map(Directive::Exit),
            "signal" => rest.parse().ok().map(Directive::Signal),
            "hang" => Some(Directive::Hang),
            "eat-memory" => parse_bytes(rest).ok().map(Directive::EatMemory),
            "ignore-term" => Some(Directive::IgnoreTerm),
            "leave-grandchild" => parse_duration(rest).ok().map(Directive::LeaveGrandchild),
            _ => None,
        };
        Some(directive.ok_or_else(|| {
            Failure::new(Code::TRANSCRIPT, format!("the transcript has an unknown directive: {word}"))
        }))
    }

    /// Does it; the exit code where it ends the program.
    pub(super) fn carry_out(self) -> Option<u8> {
        match self {
            Directive::Sleep(time) => std::thread::sleep(time),
            Directive::Stderr(text) => to_stderr(&format!("{text}\n")),
            Directive::FillStderr(bytes) => {
                (0..bytes.div_ceil(80)).for_each(|_| to_stderr(&("x".repeat(79) + "\n")));
            }
            Directive::Exit(code) => return Some(code),
            Directive::Signal(number) => kill_ourselves(number),
            Directive::Hang => loop {
                std::thread::park();
            },
            Directive::EatMemory(bytes) => eat_memory(bytes),
            Directive::IgnoreTerm => ignore_term(),
            Directive::LeaveGrandchild(time) => leave_grandchild(time),
        }
        None
    }
}

fn to_stderr(text: &str) {
    // Where stderr is closed there is nobody left to tell.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Touches every page: memory that nobody has written to is not there yet.
fn eat_memory(bytes: usize) {
    Vec::leak(vec![1_u8; bytes]);
}

fn kill_ourselves(number: i32) {
    if let Some(signal) = Signal::from_named_raw(number) {
        // A process may always signal itself.
        let _ = kill_process(getpid(), signal);
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// tokio installs a handler for the rest of the process's life; nobody listens to it.
fn ignore_term() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    if let Ok(runtime) = runtime {
        let _entered = runtime.enter();
        drop(signal(SignalKind::terminate()));
    }
}

fn leave_grandchild(time: Duration) {
    let seconds = time.as_secs_f64().to_string();
    // Where there is no `sleep`, nothing is left behind.
    let _ = Command::new("sleep").arg(seconds).stdin(Stdio::null()).spawn();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read() {
        let of = |line: &str| Directive::of(line.as_bytes()).map(Result::ok);
        assert_eq!(of("{\"type\":\"RECORD\"}\n"), None);
        assert_eq!(of("#! sleep 500ms\n"), Some(Some(Directive::Sleep(Duration::from_millis(500)))));
        assert_eq!(of("#! stderr   indented\n"), Some(Some(Directive::Stderr("  indented".to_owned()))));
        assert_eq!(of("#! exit 3"), Some(Some(Directive::Exit(3))));
        assert_eq!(of("#! dance\n"), Some(None));
        assert_eq!(of("#! exit soon\n"), Some(None));
    }
}
