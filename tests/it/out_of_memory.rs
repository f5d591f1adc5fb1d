//! An upstream that eats the container's memory: the kernel ends it, and the user is told so.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::environment::impossible_here;
use crate::harness::{Connector, Run, airbyte, open};
use crate::messages::RECORD_WITHOUT_TIME;

const SHIM: &str = "protocol: airbyte\nconfig: {schema: {type: object}}\ncommand: [flow-shim, replay, FOLDER]\ntimeouts: {stop: 1s}\n";
const LIMIT: u64 = 128 << 20;

/// A control group with a memory limit, as a container has one.
struct Limited(PathBuf);

impl Limited {
    /// `None` where this machine lets nobody make one.
    fn new(name: &str) -> Option<Self> {
        let (mount, limit) = (Path::new("/sys/fs/cgroup"), LIMIT.to_string());
        for (root, file) in
            [(mount.join("memory"), "memory.limit_in_bytes"), (mount.to_owned(), "memory.max")]
        {
            let group = Self(root.join(format!("flow-shim-test-{}-{name}", std::process::id())));
            if std::fs::create_dir(&group.0).is_ok() && std::fs::write(group.0.join(file), &limit).is_ok() {
                return Some(group);
            }
        }
        impossible_here("memory limits", "no control group with a limit can be made; run it as root");
        None
    }

    fn processes(&self) -> String {
        self.0.join("cgroup.procs").to_str().expect("UTF-8").to_owned()
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        // The kernel removes the last process from it a moment after its end.
        let begun = Instant::now();
        while std::fs::remove_dir(&self.0).is_err() && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn read(connector: &Connector) -> Run {
    connector.run(&[open(json!({}), &[airbyte("users", "incremental")], json!({}))])
}

#[test]
fn an_upstream_that_eats_memory_gets_a_named_end_and_a_warning_before() {
    let Some(group) = Limited::new("eats") else { return };
    // It stays near the limit long enough to be seen, and then goes on.
    let lines = format!("{RECORD_WITHOUT_TIME}#! eat-memory 117MiB\n#! sleep 3s\n#! eat-memory 100MiB\n");
    let connector = Connector::shim(SHIM, &[("read.jsonl", &lines)]).within(&group.processes());
    let begun = Instant::now();
    let run = read(&connector);
    assert_eq!(run.code, 11, "{:?}", run.logs);
    for word in ["ran out of memory", "128 MiB", "\"users\"", "read.parallelism"] {
        assert!(run.last_words().contains(word), "{word}: {}", run.last_words());
    }
    let warnings = run
        .logs
        .iter()
        .filter(|log| log["level"] == "warn" && log.to_string().contains("of the container's limit"));
    assert_eq!(warnings.count(), 1, "{:?}", run.logs);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[test]
fn a_worker_that_eats_memory_is_found_to_be_the_reason() {
    let Some(group) = Limited::new("worker") else { return };
    let yaml = SHIM.replace("[flow-shim, replay, FOLDER]", "[sh, FOLDER/source.sh]");
    // As Python's process pools do, it fails in words of its own when a worker has vanished.
    let program = crate::harness::program();
    let script = format!(
        "echo '{}'\n[ \"$1\" = read ] || exit 0\n'{}' replay FOLDER \"$@\" >/dev/null || {{ echo 'a worker terminated abruptly' >&2; exit 1; }}\n",
        RECORD_WITHOUT_TIME.trim(),
        program.display()
    );
    let files = [("read.jsonl", "#! eat-memory 300MiB\n"), ("source.sh", &script)];
    let connector = Connector::shim(&yaml, &files);
    let run = read(&connector.within(&group.processes()));
    assert_eq!(run.code, 11, "{:?}", run.logs);
    assert!(run.last_words().contains("ran out of memory"), "{}", run.last_words());
}

#[test]
fn hints_are_given_in_a_container_with_a_limit_and_never_override() {
    let Some(group) = Limited::new("hints") else { return };
    let yaml = SHIM.replace("[flow-shim, replay, FOLDER]", "[sh, FOLDER/source.sh]");
    let script = "echo \"hints: $JAVA_TOOL_OPTIONS, $MALLOC_ARENA_MAX, $PYTHONFAULTHANDLER\" >&2\n";
    let hints = |connector: Connector| {
        let run = read(&connector.within(&group.processes()));
        let hints =
            run.logs.iter().filter_map(|log| log["message"].as_str()).find(|m| m.starts_with("hints"));
        hints.map(str::to_owned).expect("hints")
    };
    let connector = || Connector::shim(&yaml, &[("source.sh", script)]);
    assert_eq!(hints(connector()), "hints: -XX:MaxRAMPercentage=70 -XX:+ExitOnOutOfMemoryError, 2, 1");
    let set = connector()
        .variable("JAVA_OPTS", "-Xmx1g")
        .variable("MALLOC_ARENA_MAX", "7")
        .variable("PYTHONFAULTHANDLER", "");
    assert_eq!(hints(set), "hints: , 7,");
}
