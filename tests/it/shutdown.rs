//! Stops: signals, a reader that goes away, and nothing left behind.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::json;

use crate::harness::{Connector, airbyte, exit_code, open, upstream_process};
use crate::messages::SPEC;

/// Longer than anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A capture whose upstream is `script`, which may print `record NUMBER`; its process id is the first
/// record's id.
fn started(script: &str) -> (Child, Pid, impl BufRead) {
    let script = format!(
        r#"case "$1" in spec) printf '%s' '{}'; exit 0;; esac
record() {{ echo "{{\"type\":\"RECORD\",\"record\":{{\"stream\":\"users\",\"data\":{{\"id\":$1}}}}}}"; }}
record $$
{script}"#,
        SPEC.trim()
    );
    let connector = Connector::new(&["run", "--protocol", "airbyte", "--", "sh", "-c", &script, "upstream"]);
    let mut child = connector.command().stderr(Stdio::null()).spawn().expect("the program starts");
    let request = open(json!({}), &[airbyte("users", "incremental")], json!({}));
    let mut stdin = child.stdin.take().expect("stdin");
    writeln!(stdin, "{request}").expect("written");
    // Flow keeps stdin open during a capture.
    std::mem::forget(stdin);
    let mut output = BufReader::new(child.stdout.take().expect("stdout"));
    let upstream = upstream_process(&mut output);
    (child, upstream, output)
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

fn code(child: &mut Child) -> i32 {
    exit_code(child.wait().expect("it ends"))
}

fn gone(process: Pid) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        // A zombie that nobody reaps counts as gone: it runs no more.
        let state = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
        let zombie = state.is_ok_and(|stat| stat.contains(") Z "));
        if zombie || test_kill_process(process).is_err() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

#[test]
fn a_term_reaches_upstream() {
    let (mut child, upstream, _output) = started("exec sleep 600");
    kill_process(pid(&child), Signal::TERM).expect("signalled");
    assert_eq!(code(&mut child), 143);
    assert!(gone(upstream));
}

#[test]
fn an_exit_0_after_our_term_commits_nothing() {
    let (mut child, upstream, mut output) = started("trap 'exit 0' TERM; while :; do sleep 0.05; done");
    kill_process(pid(&child), Signal::TERM).expect("signalled");
    assert_eq!(code(&mut child), 143);
    assert!(gone(upstream));
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut output, &mut rest).expect("UTF-8");
    assert!(!rest.contains("checkpoint"), "{rest}");
}

#[test]
fn a_second_signal_does_not_wait() {
    let (mut child, upstream, _output) = started("trap '' TERM INT; while :; do sleep 0.05; done");
    kill_process(pid(&child), Signal::INT).expect("signalled");
    std::thread::sleep(Duration::from_millis(200));
    kill_process(pid(&child), Signal::INT).expect("signalled");
    assert_eq!(code(&mut child), 130);
    assert!(gone(upstream));
}

#[test]
fn a_signal_that_asks_for_no_stop_reaches_upstream_and_not_the_warden() {
    let (mut child, upstream, mut output) = started("trap 'record 1' USR1; while :; do sleep 0.05; done");
    let warden = warden_of(&child).expect("a warden");
    kill_process(pid(&child), Signal::USR1).expect("signalled");
    let mut line = String::new();
    output.read_line(&mut line).expect("a record");
    assert!(line.contains(r#""id":1"#), "{line}");
    assert_eq!(warden_of(&child), Some(warden));
    kill_process(pid(&child), Signal::TERM).expect("signalled");
    code(&mut child);
    assert!(gone(upstream));
}

/// The command line of its warden; a zombie has none.
fn warden_of(child: &Child) -> Option<String> {
    let name = format!("warden {}-", child.id());
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    let lines = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok());
    lines.map(|line| line.replace('\0', " ")).find(|line| line.contains(&name))
}

#[test]
fn a_killed_shim_takes_upstream_with_it() {
    let (mut child, upstream, _output) = started("while :; do sleep 0.05; done");
    kill_process(pid(&child), Signal::KILL).expect("signalled");
    child.wait().expect("it ends");
    assert!(gone(upstream));
}

#[test]
fn a_reader_that_goes_away_stops_the_capture() {
    let (mut child, upstream, output) = started("exec sleep 600");
    drop(output);
    assert_eq!(code(&mut child), 20);
    assert!(gone(upstream));
}

#[test]
fn no_file_stays() {
    let (mut child, upstream, _output) = started(
        "for word in \"$@\"; do case \"$word\" in */config.json) echo \"$word\" > /tmp/flow-shim-test-$$;; esac; done\nexec sleep 600",
    );
    let note = format!("/tmp/flow-shim-test-{}", upstream.as_raw_nonzero());
    let deadline = Instant::now() + PATIENCE;
    let config = loop {
        match std::fs::read_to_string(&note) {
            Ok(path) if !path.trim().is_empty() => break path.trim().to_owned(),
            _ => assert!(Instant::now() < deadline, "upstream never told its config's place"),
        }
    };
    std::fs::remove_file(&note).expect("removed");
    assert!(std::path::Path::new(&config).exists());
    kill_process(pid(&child), Signal::TERM).expect("signalled");
    code(&mut child);
    assert!(!std::path::Path::new(&config).exists(), "the config is still there");
}
