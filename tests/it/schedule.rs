//! Streams that are read less often than sessions begin, and sessions that stay up.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Connector, Run, airbyte, open};
use crate::messages::{SPEC, STATE, both, record};

fn read(shim: &str, lines: &str, bindings: &[Value], state: Value) -> Run {
    let yaml = format!("protocol: airbyte\ncommand: [flow-shim, replay, FOLDER]\n{shim}");
    let files = [("read.jsonl", lines), ("spec.jsonl", SPEC)];
    Connector::shim(&yaml, &files).run(&[open(json!({}), bindings, state)])
}

const HOURLY: &str = "streams: {overrides: {users: {interval: 1h}}}";

#[test]
fn a_stream_that_is_not_due_is_left_out_of_the_read() {
    let lines = record("users") + &record("orders");
    let first = read(HOURLY, &lines, &both(), json!({})).succeeded();
    assert_eq!((first.documents(0).len(), first.documents(1).len()), (1, 1));
    let kept = first.state(json!({}));
    assert!(kept["bindingStateV1"]["users"]["readAt"].is_string(), "{kept}");
    assert!(kept["bindingStateV1"]["orders"].get("readAt").is_none(), "{kept}");
    let second = read(HOURLY, &lines, &both(), kept.clone()).succeeded();
    assert_eq!((second.documents(0).len(), second.documents(1).len()), (0, 1));
    assert_eq!(second.state(kept.clone())["bindingStateV1"]["users"], kept["bindingStateV1"]["users"]);
    let mut old = kept;
    old["bindingStateV1"]["users"]["readAt"] = json!("2024-01-01T00:00:00Z");
    assert_eq!(read(HOURLY, &lines, &both(), old).succeeded().documents(0).len(), 1);
}

#[test]
fn a_session_in_which_nothing_is_due_waits_for_flow() {
    let bindings = [airbyte("users", "incremental")];
    let kept = read(HOURLY, &record("users"), &bindings, json!({})).succeeded().state(json!({}));
    // The end of stdin ends the wait.
    let run = read(HOURLY, &record("users"), &bindings, kept).succeeded();
    assert_eq!(run.responses, [json!({"opened": {}})]);
    assert!(run.logged(None, "no stream is due"));
}

#[test]
fn a_read_that_failed_is_not_waited_for() {
    let bindings = [airbyte("users", "incremental")];
    let failed = read(HOURLY, &(record("users") + STATE + "#! exit 1\n"), &bindings, json!({}));
    let kept = failed.state(json!({}));
    assert!(kept["bindingStateV1"]["users"].get("readAt").is_none(), "{kept}");
    assert_eq!(read(HOURLY, &record("users"), &bindings, kept).succeeded().documents(0).len(), 1);
}

#[test]
fn streams_that_share_a_state_are_read_together() {
    let global = "{\"type\":\"STATE\",\"state\":{\"type\":\"GLOBAL\",\"global\":{\"shared_state\":{\"lsn\":1},\"stream_states\":[]}}}\n";
    let lines = record("users") + &record("orders") + global;
    let kept = read(HOURLY, &lines, &both(), json!({})).succeeded().state(json!({}));
    let second = read(HOURLY, &lines, &both(), kept).succeeded();
    // The replayed source has no more to say behind that state; it was asked for both streams.
    assert!(!second.logged(None, "not due yet"));
    assert!(second.logs.iter().any(|log| log["level"] == "warn" && log["fields"]["stream"] == "users"));
}

#[test]
fn a_session_that_is_to_stay_up_waits_behind_its_last_checkpoint() {
    let run =
        read("read: {minInterval: 1h}", &record("users"), &[airbyte("users", "incremental")], json!({}));
    let run = run.succeeded();
    assert_eq!((run.documents(0).len(), run.uncommitted()), (1, 0));
    assert!(run.logged(None, "read.minInterval"));
}

#[test]
fn a_config_can_ask_not_to_wait() {
    let yaml = "protocol: airbyte\ncommand: [flow-shim, replay, FOLDER]\nread: {minInterval: 40s}";
    let connector = Connector::shim(yaml, &[("read.jsonl", record("users").as_str()), ("spec.jsonl", SPEC)]);
    let config = json!({"_atf_skip_interval": true});
    // stdin stays open: only the end of the session ends the process.
    let begun = Instant::now();
    let mut child = connector.command().spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("a piped stdin");
    let request = open(config, &[airbyte("users", "incremental")], json!({}));
    std::io::Write::write_all(&mut stdin, format!("{request}\n").as_bytes()).expect("it reads");
    let run = Run::of(child.wait_with_output().expect("it ends")).succeeded();
    assert!(begun.elapsed() < Duration::from_secs(30), "it waited for {:?}", begun.elapsed());
    assert_eq!(run.documents(0).len(), 1);
}
