//! A connector's stderr: passed on to ours, as it comes, or line by line as text where a person reads it.
//!
//! The last line is remembered, because that is what Flow shows when a connector fails
//! (flow-protocol.md, section 1.6).

use std::borrow::Cow;
use std::io::{PipeReader, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::failure::{Code, Failure};
use crate::log::{self, Level};
use crate::terminal;

/// How much of a line is remembered.
const REMEMBERED: usize = 256 * 1024;
/// How long the end of stderr may come after the exit.
const LATE: Duration = Duration::from_secs(2);

/// The last line so far.
#[derive(Debug)]
pub(super) struct LastLine {
    line: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl LastLine {
    /// What the last line says; call it once the process has exited. `None` where it said nothing.
    pub(super) fn failure(&self) -> Option<Failure> {
        let start = Instant::now();
        while !self.thread.is_finished() && start.elapsed() < LATE {
            std::thread::sleep(Duration::from_millis(5));
        }
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&line);
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        let log: Option<Value> = serde_json::from_str(text).ok();
        let message = log.as_ref().and_then(|log| log.get("message").or_else(|| log.get("msg")));
        let message = message.and_then(Value::as_str).unwrap_or(text);
        let code = log.as_ref().and_then(|log| Code::named(log.pointer("/fields/code")?.as_str()?));
        Some(match code {
            // A flow-shim: it has put the code behind its message, as we will.
            Some(code) => Failure::new(code, message.strip_suffix(&format!(" [{code}]")).unwrap_or(message)),
            None => Failure::new(Code::CONNECTOR_FAILED, message),
        })
    }
}

/// Passes on until the end.
pub(super) fn pass_on(mut source: PipeReader) -> LastLine {
    let line = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&line);
    let thread = std::thread::spawn(move || {
        let mut chunk = vec![0; 64 * 1024];
        let mut tail = Tail::default();
        let for_people = log::for_people();
        // A connector that keeps to LOG_LEVEL still writes events, which are for Flow.
        let by_line = for_people || !log::enabled(Level::Info);
        let show = |line: &[u8]| {
            if by_line && is_wanted(line) {
                write(&if for_people { readable(line) } else { line.into() });
            }
        };
        while let Ok(count) = source.read(&mut chunk) {
            if count == 0 {
                break;
            }
            if !by_line {
                write(&chunk[..count]);
            }
            tail.add(&chunk[..count], show);
            shared.lock().unwrap_or_else(PoisonError::into_inner).clone_from(tail.last());
        }
        tail.end(show);
    });
    LastLine { line, thread }
}

/// Where our stderr is closed there is nobody to tell.
fn write(bytes: &[u8]) {
    let _ = terminal::above(|| std::io::stderr().write_all(bytes));
}

/// Whether a line is of a level that is asked for. What is no line of a log is wanted.
fn is_wanted(line: &[u8]) -> bool {
    let line: Option<Map<String, Value>> = serde_json::from_slice(line).ok();
    let level = line.as_ref().and_then(|line| line.get("level")?.as_str()?.parse().ok());
    level.is_none_or(log::enabled)
}

/// A whole line as a person reads it: text, where it is a line of a log.
fn readable(line: &[u8]) -> Cow<'_, [u8]> {
    let text = serde_json::from_slice(line).ok().and_then(|line: Map<String, Value>| log::pretty(&line));
    match text {
        Some(text) => Cow::Owned(text.into_bytes()),
        None if line.ends_with(b"\n") => Cow::Borrowed(line),
        // The last one of a program that was cut off, or one that is too long.
        None => Cow::Owned([line, b"\n"].concat()),
    }
}

/// Finds the last line that is not blank in what comes in pieces.
#[derive(Debug, Default)]
struct Tail {
    whole: Vec<u8>,
    open: Vec<u8>,
}

impl Tail {
    /// Takes in what came; `line` is told of each line that ends in it, as far as it is remembered.
    fn add(&mut self, bytes: &[u8], line: impl Fn(&[u8])) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let room = REMEMBERED.saturating_sub(self.open.len());
            self.open.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                line(&self.open);
                if !self.open.trim_ascii().is_empty() {
                    std::mem::swap(&mut self.whole, &mut self.open);
                }
                self.open.clear();
            }
        }
    }

    /// Tells of a last line that nothing ended.
    fn end(&self, line: impl Fn(&[u8])) {
        if !self.open.is_empty() {
            line(&self.open);
        }
    }

    fn last(&self) -> &Vec<u8> {
        if self.open.trim_ascii().is_empty() { &self.whole } else { &self.open }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message_of(pieces: &[&str]) -> Option<String> {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let last = pass_on(reader);
        for piece in pieces {
            writer.write_all(piece.as_bytes()).expect("it is open");
        }
        drop(writer);
        last.failure().map(|failure| failure.to_string())
    }

    #[test]
    fn the_last_line_is_the_message() {
        assert_eq!(message_of(&[]), None);
        assert_eq!(message_of(&["one\ntw", "o\n\n"]).as_deref(), Some("two [connector-failed]"));
        assert_eq!(message_of(&["one\n", "no newline"]).as_deref(), Some("no newline [connector-failed]"));
        let log = "{\"level\":\"error\",\"message\":\"no such host\"}\n";
        assert_eq!(message_of(&["raw\n", log]).as_deref(), Some("no such host [connector-failed]"));
        let coded = "{\"message\":\"hung [upstream-hung]\",\"fields\":{\"code\":\"upstream-hung\"}}\n";
        assert_eq!(message_of(&[coded]).as_deref(), Some("hung [upstream-hung]"));
        assert_eq!(
            message_of(&["{\"msg\":\"older spelling\"}\n"]).as_deref(),
            Some("older spelling [connector-failed]")
        );
    }

    #[test]
    fn a_line_without_end_is_bounded() {
        let mut tail = Tail::default();
        for _ in 0..10 {
            tail.add(&vec![b'x'; REMEMBERED / 2], |_| {});
        }
        assert_eq!(tail.last().len(), REMEMBERED);
    }

    #[test]
    fn every_line_is_told_of_also_one_without_end() {
        let told = std::cell::RefCell::new(Vec::new());
        let tell =
            |line: &[u8]| told.borrow_mut().push(String::from_utf8_lossy(&readable(line)).into_owned());
        let mut tail = Tail::default();
        tail.add(b"one\ntw", tell);
        tail.add(b"o\nthree", tell);
        tail.end(tell);
        assert_eq!(told.take(), ["one\n", "two\n", "three\n"]);
    }
}
