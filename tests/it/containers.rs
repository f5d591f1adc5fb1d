//! flow-shim as PID 1 of a container, as in a connector's image: it reaps, passes on stops, finds what
//! is left behind, and says so when the container's memory ran out.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::harness::{Run, airbyte, open, repository};
use crate::images::{BASE, LIMITS, docker, ready};
use crate::messages::{RECORD_WITHOUT_TIME as RECORD, STATE};

/// A container that has got its Open. It goes away with this.
struct Container {
    name: String,
    child: Child,
    _shim: tempfile::TempDir,
}

impl Container {
    /// Python's base image with the program and a shim in it, which plays or runs these files.
    fn start(name: &str, command: &str, files: &[(&str, &str)]) -> Self {
        let shim = tempfile::tempdir().expect("a folder");
        let yaml = format!(
            "protocol: airbyte\nconfig: {{schema: {{type: object}}}}\ncommand: {command}\ntimeouts: {{stop: 5s}}\n"
        );
        for (file, text) in [("shim.yaml", yaml.as_str())].iter().chain(files) {
            std::fs::write(shim.path().join(file), text).expect("written");
        }
        let name = format!("flow-shim-test-{name}-{}", std::process::id());
        let volume = |from: &Path, to: &str| format!("--volume={}:{to}:ro", from.display());
        let mut docker = Command::new("docker");
        docker.args(["run", "--rm", "--interactive", "--name", &name]).args(LIMITS);
        docker.args(["--memory-swap=1g", "--env=LOG_LEVEL=info", "--entrypoint=/flow-shim"]);
        docker.arg(volume(&repository("dist/flow-shim"), "/flow-shim")).arg(volume(shim.path(), "/shim"));
        docker.args([BASE, "run"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = docker.spawn().expect("docker runs");
        let request = open(json!({}), &[airbyte("users", "incremental")], json!({}));
        writeln!(child.stdin.as_mut().expect("a pipe"), "{request}").expect("it reads");
        Self { name, child, _shim: shim }
    }

    /// Waits for the first document.
    fn reads(&mut self) {
        let mut lines = BufReader::new(self.child.stdout.as_mut().expect("a pipe")).lines();
        let documents = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("captured")));
        assert!(documents.is_some(), "{} ended early", self.name);
    }

    /// What a shell inside prints.
    fn inside(&self, script: &str) -> String {
        docker(&["exec", &self.name, "sh", "-c", script])
    }

    /// Waits for the end.
    fn ended(mut self) -> Run {
        drop(self.child.stdin.take());
        let placeholder = Command::new("true").spawn().expect("it runs");
        Run::of(std::mem::replace(&mut self.child, placeholder).wait_with_output().expect("docker ends"))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // One that has ended is gone already.
        let output = Command::new("docker").args(["rm", "--force", &self.name]).output();
        assert!(output.is_ok(), "{output:?}");
        let _ = self.child.wait();
    }
}

#[test]
fn real_images_as_pid_1_it_reaps_orphans_and_hands_docker_stop_on() {
    if !ready() {
        return;
    }
    // Each of these children loses its parent at once and its life soon after.
    let script = format!(
        "trap 'echo it was asked to stop >&2; exit 0' TERM\nfor i in 1 2 3 4 5; do sh -c 'sleep 0.1 &'; done\n\
         printf '%s' '{RECORD}'\nwhile :; do sleep 1 & wait; done\n"
    );
    let mut container = Container::start("stop", "[sh, /shim/source.sh]", &[("source.sh", &script)]);
    container.reads();
    assert!(container.inside("tr '\\0' ' ' </proc/1/cmdline").starts_with("/flow-shim run"));
    let begun = Instant::now();
    // The second look is long after the orphans' end.
    std::thread::sleep(Duration::from_secs(1));
    while !container.inside("grep -h ') Z ' /proc/[0-9]*/stat || true").is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20), "zombies stay");
        std::thread::sleep(Duration::from_millis(100));
    }
    let begun = Instant::now();
    docker(&["stop", "--time=60", &container.name]);
    let run = container.ended();
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(run.code, 128 + 15, "{:?}", run.logs);
    assert!(run.logged(None, "it was asked to stop"), "{:?}", run.logs);
}

#[test]
fn real_images_as_pid_1_an_upstream_that_ignores_a_stop_is_killed_in_time() {
    if !ready() {
        return;
    }
    let lines = format!("{RECORD}#! ignore-term\n#! hang\n");
    let mut container = Container::start("deaf", "[flow-shim, replay, /shim]", &[("read.jsonl", &lines)]);
    container.reads();
    let begun = Instant::now();
    docker(&["stop", "--time=60", &container.name]);
    let run = container.ended();
    // Docker would have killed it with 137.
    assert_eq!(run.code, 128 + 15, "{:?}", run.logs);
    assert!(begun.elapsed() < Duration::from_secs(50), "{:?}", begun.elapsed());
    assert!(run.logged(Some("warn"), "did not stop within 5 s"), "{:?}", run.logs);
}

#[test]
fn real_images_as_pid_1_a_grandchild_left_behind_is_found_and_named() {
    if !ready() {
        return;
    }
    let record = RECORD.trim();
    for (how, words) in [
        ("sleep 600 &", "left processes behind that held its output open; they are killed: "),
        (
            "(exec setsid sleep 600 </dev/null >/dev/null 2>&1 &)",
            "left processes behind, which were killed: ",
        ),
    ] {
        let script = format!("{how}\nprintf '%s\\n%s' '{record}' '{STATE}'\n");
        let run = Container::start("left", "[sh, /shim/source.sh]", &[("source.sh", &script)]).ended();
        let run = run.succeeded();
        assert_eq!(run.documents(0).len(), 1);
        let warning =
            run.logs.iter().filter_map(|log| log["message"].as_str()).find(|log| log.contains(words));
        assert!(warning.is_some_and(|warning| warning.ends_with("(sleep)")), "{:?}", run.logs);
    }
}

#[test]
fn real_images_one_gibibyte_is_not_enough_and_the_user_is_told_so_at_once() {
    if !ready() {
        return;
    }
    let lines =
        format!("{RECORD}#! eat-memory 800MiB\n#! stderr and the rest\n#! eat-memory 400MiB\n#! hang\n");
    let container = Container::start("memory", "[flow-shim, replay, /shim]", &[("read.jsonl", &lines)]);
    let run = container.ended();
    assert_eq!(run.code, 11, "{:?}", run.logs);
    for word in ["ran out of memory", "1024 MiB", "\"users\"", "page size", "read.parallelism"] {
        assert!(run.last_words().contains(word), "{word}: {}", run.last_words());
    }
    let time = |log: &Value| log["ts"].as_str().expect("a time").parse::<Timestamp>().expect("a time");
    let before = run.logs.iter().find(|log| log.to_string().contains("and the rest")).expect("it was logged");
    // The kill is in between.
    let told = time(run.logs.last().expect("a line")).duration_since(time(before));
    let _ = writeln!(std::io::stderr(), "out of memory: told within {told:#}");
    assert!(told.as_secs() < 5, "{told}");
}
