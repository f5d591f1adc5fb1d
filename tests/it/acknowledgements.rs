//! What Flow has acknowledged reaches the state file of taps that free their source's log by it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Connector, open, singer};
use crate::state_file::TAP;

/// Prints a state a line of its orders, and notes where its state file is.
const TAP_SCRIPT: &str = r#"
case "$*" in *discover*) printf '%s' "$CATALOG"; exit 0;; --about*) echo '{"settings":{}}'; exit 0;; esac
while [ $# -gt 0 ]; do if [ "$1" = --state ]; then echo "$2" > FOLDER/path; fi; shift; done
n=0
while [ $n -lt 3 ]; do
  n=$((n+1))
  printf '{"type":"RECORD","stream":"users","record":{"id":%s}}\n' $n
  printf '{"type":"STATE","value":{"bookmarks":{"users":{"lsn":%s}}}}\n' $n
done
while [ ! -e FOLDER/go-on ]; do sleep 0.1; done
"#;

struct Session {
    child: Child,
    stdin: ChildStdin,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Session {
    fn start(connector: &Connector, request: &Value) -> Self {
        let mut child = connector.command().spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        writeln!(stdin, "{request}").expect("written");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Self { child, stdin, lines }
    }

    fn next(&mut self, kind: &str) -> Value {
        loop {
            let line = self.lines.next().expect("more output").expect("text");
            let response: Value = serde_json::from_str(&line).expect("JSON");
            if let Some(found) = response.get(kind) {
                return found.clone();
            }
        }
    }

    fn acknowledge(&mut self, checkpoints: u32) {
        let request = json!({"acknowledge": {"checkpoints": checkpoints}});
        writeln!(self.stdin, "{request}").expect("somebody reads");
    }
}

fn connector(acks: &str, catalog: &str) -> Connector {
    let yaml = format!(
        "protocol: singer\ncommand: [sh, FOLDER/tap.sh]\nschema: {{sourced: false}}\nsinger: {{stateFileAcks: {acks}}}\n"
    );
    Connector::shim(&yaml, &[("tap.sh", TAP_SCRIPT)]).variable("CATALOG", catalog)
}

/// Waits until the file holds this.
fn until(path: &str, lsn: &Value) {
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        let text = std::fs::read_to_string(path).expect("it is there at every moment");
        let state: Value = serde_json::from_str(&text).expect("it is whole at every moment");
        if state["bookmarks"]["users"]["lsn"] == *lsn {
            return;
        }
        assert!(Instant::now() < patience, "{state} never became {lsn}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_state_file_follows_what_flow_has_acknowledged() {
    let connector = connector("on", TAP);
    let folder = connector.folder_path();
    let request = open(json!({}), &[singer("users", "LOG_BASED")], json!({}));
    let mut session = Session::start(&connector, &request);
    assert_eq!(session.next("opened")["explicitAcknowledgements"], true);
    for _ in 0..3 {
        session.next("checkpoint");
    }
    let path = std::fs::read_to_string(format!("{folder}/path")).expect("a state file is given");
    let path = path.trim();
    until(path, &Value::Null);
    session.acknowledge(2);
    until(path, &json!(2));
    session.acknowledge(1);
    until(path, &json!(3));
    std::fs::write(format!("{folder}/go-on"), "").expect("written");
    while session.lines.next().is_some() {}
    assert!(session.child.wait().expect("an end").success());
    assert!(!std::path::Path::new(path).exists());
}

#[test]
fn who_needs_it_is_told_by_the_catalog() {
    let catalog = |file: &str| {
        let path = crate::harness::repository("fixtures/singer").join(file).join("discover.json");
        std::fs::read_to_string(path).expect("a fixture").replace('\n', " ")
    };
    let pipelinewise = catalog("pipelinewise-tap-postgres-log-based");
    let name = first_stream(&pipelinewise);
    for (acks, method, expected) in
        [("auto", "LOG_BASED", true), ("auto", "FULL_TABLE", false), ("off", "LOG_BASED", false)]
    {
        let connector = connector(acks, &pipelinewise);
        std::fs::write(format!("{}/go-on", connector.folder_path()), "").expect("written");
        let run = connector.run(&[open(json!({}), &[singer(&name, method)], json!({}))]).succeeded();
        let opened = run.only("opened");
        assert_eq!(opened["explicitAcknowledgements"] == true, expected, "{acks} {method}");
    }
}

#[test]
fn a_tap_that_confirms_by_itself_is_warned_of() {
    let path = crate::harness::repository("fixtures/singer/meltanolabs-tap-postgres-log-based/discover.json");
    let catalog = std::fs::read_to_string(path).expect("a fixture").replace('\n', " ");
    let name = first_stream(&catalog);
    for (config, method, expected) in [
        (json!({}), "LOG_BASED", true),
        (json!({"replication_max_run_seconds": 25}), "LOG_BASED", false),
        (json!({}), "FULL_TABLE", false),
    ] {
        let connector = connector("auto", &catalog);
        std::fs::write(format!("{}/go-on", connector.folder_path()), "").expect("written");
        let run = connector.run(&[open(config.clone(), &[singer(&name, method)], json!({}))]).succeeded();
        let warned = run.logged(Some("warn"), "replication_max_run_seconds");
        assert_eq!(warned, expected, "{config} {method}");
    }
}

fn first_stream(catalog: &str) -> String {
    let catalog: Value = serde_json::from_str(catalog).expect("JSON");
    catalog["streams"][0]["tap_stream_id"].as_str().expect("a name").to_owned()
}
