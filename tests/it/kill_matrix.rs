//! Every way to end × every kind of upstream that makes ending hard. Afterwards: no process, no
//! private folder, the exit code that docs/operating.md promises, and last words that say what happened.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::harness::{Connector, airbyte, exit_code, open, upstream_process};
use crate::left_behind::nothing_is_left;

/// Upstreams, by what makes them hard to end; each has printed a record before, and none ends well.
const SHAPES: &[(&str, &str)] = &[
    ("waits", "exec sleep 600"),
    ("ignores TERM", "trap '' TERM\nexec sleep 600"),
    ("closes stdout", "exec >/dev/null\ntrap '' TERM\nwhile :; do sleep 0.1; done"),
    ("fills stderr", "head -c 3000000 /dev/zero | tr '\\0' 'x' | fold >&2\nexec sleep 600"),
    ("has a worker", "sleep 600 &\nwait"),
    ("has a worker that ignores TERM", "(trap '' TERM; exec sleep 600) &\nwait"),
    ("has a worker in a session of its own", "setsid sleep 600 &\nwait"),
    ("has a daemon", "setsid sh -c 'sleep 600 </dev/null >/dev/null 2>&1 &'\nexec sleep 600"),
    ("leaves a worker behind", "trap '' TERM\n(sleep 1; sleep 600) &\nexit 0"),
];

/// What happens to a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    /// Flow asks for a stop.
    Term,
    /// And once more, at once.
    TermTwice,
    /// Flow's side closes stdin, which is no stop, and then asks for one.
    EndOfStdin,
    /// The container's runtime has no patience.
    Kill,
    /// Nobody reads the documents any more.
    ClosedOutput,
    /// Nothing happens.
    Nothing,
    /// Somebody kills upstream.
    UpstreamKilled,
}

const BLOWS: &[Blow] = &[
    Blow::Term,
    Blow::TermTwice,
    Blow::EndOfStdin,
    Blow::Kill,
    Blow::ClosedOutput,
    Blow::Nothing,
    Blow::UpstreamKilled,
];

/// A capture that has read its first record.
struct Capture {
    shim: Child,
    upstream: Pid,
    mark: String,
    log: tempfile::NamedTempFile,
    stdin: Option<std::process::ChildStdin>,
    stdout: Option<BufReader<std::process::ChildStdout>>,
    _connector: Connector,
}

impl Capture {
    fn start(shape: &str, script: &str, blow: Blow) -> Self {
        let record = "{\"type\":\"RECORD\",\"record\":{\"stream\":\"users\",\"data\":{\"id\":'$$'}}}";
        let yaml = "protocol: airbyte\ncommand: [sh, FOLDER/source.sh]\nconfig: {schema: {type: object}}\ntimeouts: {stop: 1s}\n";
        // Only where nothing else ends it may the watchdog bark.
        let idle = if blow == Blow::Nothing && shape != "leaves a worker behind" { "1s" } else { "1h" };
        let yaml = format!("{yaml}read: {{idleTimeout: {idle}}}\n");
        let connector = Connector::shim(&yaml, &[("source.sh", &format!("echo '{record}'\n{script}\n"))]);
        let mark = format!("{}-{blow:?}-{}", std::process::id(), shape.replace(' ', "-"));
        let log = tempfile::NamedTempFile::new().expect("a file");
        let mut command: Command = connector.command();
        command.env("KILL_MATRIX", &mark).stderr(Stdio::from(log.reopen().expect("a file")));
        let mut shim = command.spawn().expect("the program starts");
        let mut stdin = shim.stdin.take();
        let request = open(json!({}), &[airbyte("users", "incremental")], json!({}));
        writeln!(stdin.as_mut().expect("stdin"), "{request}").expect("written");
        let mut stdout = BufReader::new(shim.stdout.take().expect("stdout"));
        let upstream = upstream_process(&mut stdout);
        Self { shim, upstream, mark, log, stdin, stdout: Some(stdout), _connector: connector }
    }

    fn strike(&mut self, blow: Blow) {
        let shim = Pid::from_child(&self.shim);
        let signal = |process, signal| kill_process(process, signal).expect("it runs");
        match blow {
            Blow::Term => signal(shim, Signal::TERM),
            Blow::TermTwice => {
                signal(shim, Signal::TERM);
                // Two signals at once would be one.
                std::thread::sleep(Duration::from_millis(100));
                // It may have ended by now.
                let _ = kill_process(shim, Signal::TERM);
            }
            Blow::EndOfStdin => {
                self.stdin = None;
                std::thread::sleep(Duration::from_millis(100));
                signal(shim, Signal::TERM);
            }
            Blow::Kill => signal(shim, Signal::KILL),
            Blow::ClosedOutput => self.stdout = None,
            Blow::Nothing => {}
            // Where it has exited already, what it left is what remains.
            Blow::UpstreamKilled => drop(kill_process(self.upstream, Signal::KILL)),
        }
    }

    /// The exit code and the last line of the log.
    fn end(&mut self) -> (i32, String) {
        let code = exit_code(self.shim.wait().expect("it ends"));
        let log = BufReader::new(File::open(self.log.path()).expect("a file"));
        let last = log.lines().map_while(Result::ok).last().unwrap_or_default();
        let last: Value = serde_json::from_str(&last).unwrap_or_default();
        let message = last["message"].as_str().unwrap_or_default();
        (code, format!("{}: {message}", last["level"].as_str().unwrap_or_default()))
    }
}

/// The exit code and words of the last line that an end must have.
fn expected(shape: &str, blow: Blow) -> (i32, &'static [&'static str]) {
    match blow {
        Blow::Term | Blow::TermTwice | Blow::EndOfStdin => (143, &["error: ", "stopped by signal 15"]),
        Blow::Kill => (137, &[]),
        Blow::ClosedOutput => (20, &["error: ", "nobody reads"]),
        Blow::Nothing if shape == "leaves a worker behind" => (0, &[]),
        Blow::Nothing if shape == "closes stdout" => (13, &["error: ", "closed its output"]),
        Blow::Nothing => (13, &["error: ", "hung", "\"users\"", "read.idleTimeout"]),
        Blow::UpstreamKilled => (11, &["error: ", "killed by signal 9", "\"users\""]),
    }
}

fn strike_all(shape: &str) {
    let (_, script) = SHAPES.iter().find(|(name, _)| *name == shape).expect("a shape");
    for &blow in BLOWS {
        // It ends by itself, so a kill may come before or after.
        if shape == "leaves a worker behind" && blow == Blow::UpstreamKilled {
            continue;
        }
        let mut capture = Capture::start(shape, script, blow);
        let shim = capture.shim.id();
        let begun = Instant::now();
        capture.strike(blow);
        let (code, last) = capture.end();
        let (expected, words) = expected(shape, blow);
        assert_eq!(code, expected, "{shape}, {blow:?}: {last}");
        for word in words {
            assert!(last.contains(word), "{shape}, {blow:?}: no {word:?} in {last:?}");
        }
        nothing_is_left(&capture.mark, shim, &format!("{shape}, {blow:?}"));
        assert!(begun.elapsed() < Duration::from_secs(60), "{shape}, {blow:?} took {:?}", begun.elapsed());
    }
}

#[test]
fn one_that_waits() {
    strike_all("waits");
}

#[test]
fn one_that_ignores_a_stop() {
    strike_all("ignores TERM");
}

#[test]
fn one_that_closes_its_output() {
    strike_all("closes stdout");
}

#[test]
fn one_that_fills_stderr() {
    strike_all("fills stderr");
}

#[test]
fn one_with_a_worker() {
    strike_all("has a worker");
}

#[test]
fn one_with_a_worker_that_ignores_a_stop() {
    strike_all("has a worker that ignores TERM");
}

#[test]
fn one_with_a_worker_that_left() {
    strike_all("has a worker in a session of its own");
}

#[test]
fn one_with_a_daemon() {
    strike_all("has a daemon");
}

#[test]
fn one_that_leaves_a_worker_behind() {
    strike_all("leaves a worker behind");
}
