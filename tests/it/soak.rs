//! A long read of a moody source by a moody reader: the memory of flow-shim must not grow. Two minutes
//! in `.ci/run`; `FLOW_SHIM_SOAK_SECONDS=7200 cargo test --test it -- --ignored --nocapture soak` for
//! the long one.

#![expect(clippy::disallowed_methods, reason = "the length is a setting of the person who runs it")]

use std::io::{Read, Write};
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::crash_model::Dice;
use crate::environment::has_python;
use crate::harness::{Connector, airbyte, open, repository};

/// By so much may the memory grow after the warm-up, in KiB.
const GROWTH: u64 = 1024;

fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Children of a process that nobody has reaped.
fn zombies(process: u32) -> usize {
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    let stats = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    stats.filter(|stat| stat.contains(&format!(") Z {process} "))).count()
}

/// Reads like a reader with moods; what it read, in bytes.
fn read_for(output: &mut ChildStdout, time: Duration, dice: &mut Dice) -> u64 {
    let begun = Instant::now();
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    while begun.elapsed() < time {
        let read = output.read(&mut buffer).expect("readable");
        assert!(read > 0, "the session ended by itself after {:?}", begun.elapsed());
        bytes += read as u64;
        if dice.below(200) == 0 {
            std::thread::sleep(Duration::from_millis(dice.below(400) as u64));
        }
    }
    bytes
}

fn start(seed: u64) -> (Connector, Child) {
    let source = repository("tests/environment/moody_source.py");
    let yaml = format!(
        "protocol: airbyte\ncommand: [python3, {}, \"{seed}\"]\nconfig: {{schema: {{type: object}}}}\nread: {{idleTimeout: 1m}}\n",
        source.display()
    );
    let connector = Connector::shim(&yaml, &[]);
    let mut child = connector.command().stderr(Stdio::null()).spawn().expect("the program starts");
    let request = open(json!({}), &[airbyte("users", "incremental")], json!({}));
    let mut stdin = child.stdin.take().expect("stdin");
    writeln!(stdin, "{request}").expect("written");
    (connector, child)
}

#[test]
#[ignore = "takes two minutes; .ci/run runs it"]
fn memory_stays_flat() {
    if !has_python("the soak") {
        return;
    }
    let seconds =
        std::env::var("FLOW_SHIM_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(120);
    let mut dice = Dice(seconds);
    // Restarts: four sessions, each ended in another way.
    for (session, signal) in [Signal::TERM, Signal::INT, Signal::KILL, Signal::TERM].into_iter().enumerate() {
        let time = Duration::from_secs(seconds) / 4;
        let (_connector, mut child) = start(session as u64);
        let mut output = child.stdout.take().expect("stdout");
        let mut bytes = read_for(&mut output, time / 4, &mut dice);
        let warm = resident(child.id());
        bytes += read_for(&mut output, time * 3 / 4, &mut dice);
        let end = resident(child.id());
        let left = zombies(child.id());
        kill_process(Pid::from_child(&child), signal).expect("it runs");
        child.wait().expect("it ends");
        let figures =
            format!("session {session}: {} MB, resident {warm} KiB, then {end} KiB", bytes / 1_000_000);
        writeln!(std::io::stderr(), "{figures}").expect("stderr");
        assert!(end < warm + GROWTH, "{figures}");
        assert!(left < 20, "{left} zombies");
    }
}
