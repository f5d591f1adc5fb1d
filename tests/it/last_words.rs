//! The last line of the log, which Flow shows to the user, for each kind of failure.

use regex::Regex;
use serde_json::{Value, json};

use crate::harness::{Connector, Run, airbyte, open, singer};
use crate::messages::{RECORD, SPEC, STATE, error, status};

const TAP_RECORD: &str = "{\"type\":\"RECORD\",\"stream\":\"users\",\"record\":{\"id\":1}}\n";
const CATALOG: &str = "{\"streams\":[{\"tap_stream_id\":\"users\",\"stream\":\"users\",\"schema\":{\"type\":\"object\"},\"metadata\":[]}]}\n";
const TRACEBACK: &str = "#! stderr Traceback (most recent call last):\n#! stderr   File \"tap.py\", line 7, in sync\n#! stderr KeyError: 'count'\n";

fn read(lines: &str) -> Run {
    let connector = Connector::playing("airbyte", &[("read.jsonl", lines), ("spec.jsonl", SPEC)]);
    let bindings = ["users", "orders", "items"].map(|stream| airbyte(stream, "incremental"));
    connector.run(&[open(json!({}), &bindings, json!({}))])
}

fn sync(lines: &str) -> Run {
    let connector = Connector::playing("singer", &[("discover.json", CATALOG), ("read.jsonl", lines)]);
    connector.run(&[open(json!({}), &[singer("users", "FULL_TABLE")], json!({}))])
}

fn shim(yaml: &str, lines: &str) -> Run {
    let yaml = format!("protocol: airbyte\nconfig: {{schema: {{type: object}}}}\n{yaml}");
    let connector = Connector::shim(&yaml, &[("read.jsonl", lines)]);
    connector.run(&[open(json!({}), &[airbyte("users", "incremental")], json!({}))])
}

/// The last line, without what differs between two runs and two machines.
fn last_line(run: &Run) -> Value {
    assert!(!run.last_words().is_empty());
    let mut last = run.logs.last().expect("a line").clone();
    last.as_object_mut().expect("an object").remove("ts");
    assert_eq!(last["fields"]["exitCode"], run.code, "{last}");
    let kind = last["fields"]["failureType"].as_str().expect("always a failure type");
    assert!(["config", "transient", "system"].contains(&kind), "{last}");
    let mut text = last.to_string();
    for (pattern, with) in [
        (r", whose limit here is \d+ MiB", ""),
        (r"for \d+ s nothing", "for N s nothing"),
        (r"the last sign of life was [^,]*,", "the last sign of life was SIGN,"),
        (r"/[^ ]*/\.tmp[A-Za-z0-9]+", "FOLDER"),
    ] {
        text = Regex::new(pattern).expect("a pattern").replace_all(&text, with).into_owned();
    }
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn a_config_error_of_a_source() {
    let run = read(&format!("{}#! exit 1\n", error("The API key is wrong.", "config_error", None)));
    insta::assert_json_snapshot!(last_line(&run));
}

#[test]
fn a_transient_error_of_a_stream() {
    let run = read(&format!("{RECORD}{}#! exit 1\n", error("Try later.", "transient_error", Some("users"))));
    insta::assert_json_snapshot!(last_line(&run));
}

#[test]
fn a_system_error_of_a_source() {
    let run = read(&format!("{}#! exit 1\n", error("Unexpected.", "system_error", None)));
    insta::assert_json_snapshot!(last_line(&run));
}

#[test]
fn several_streams_of_which_one_was_finished() {
    let lines = [
        RECORD,
        STATE,
        &status("users", "COMPLETE"),
        &error("No access to orders.", "config_error", Some("orders")),
        &error("Try later.", "transient_error", Some("items")),
        &error("During the sync, the following streams did not sync: orders, items", "config_error", None),
        "#! exit 1\n",
    ];
    insta::assert_json_snapshot!(last_line(&read(&lines.concat())));
}

#[test]
fn a_stream_that_was_never_begun() {
    insta::assert_json_snapshot!(last_line(&read(&format!(
        "{RECORD}{STATE}{}",
        status("users", "COMPLETE")
    ))));
}

#[test]
fn a_critical_line_of_a_tap() {
    let lines = format!("{TAP_RECORD}#! stderr CRITICAL HTTP 401: Unauthorized\n{TRACEBACK}#! exit 1\n");
    insta::assert_json_snapshot!(last_line(&sync(&lines)));
}

#[test]
fn a_traceback_and_nothing_else() {
    insta::assert_json_snapshot!(last_line(&sync(&format!("{TRACEBACK}#! exit 1\n"))));
}

#[test]
fn a_network_that_is_down() {
    let line = "#! stderr CRITICAL ConnectionError: Connection refused\n#! exit 1\n";
    insta::assert_json_snapshot!(last_line(&sync(line)));
}

#[test]
fn an_exit_without_words() {
    insta::assert_json_snapshot!(last_line(&read(&format!("{RECORD}#! exit 3\n"))));
}

#[test]
fn a_signal() {
    insta::assert_json_snapshot!(last_line(&read(&format!("{RECORD}#! signal 6\n"))));
}

#[test]
fn a_kill_as_of_the_kernel() {
    insta::assert_json_snapshot!(last_line(&read(&format!("{RECORD}#! signal 9\n"))));
}

#[test]
fn a_hang() {
    let yaml = "command: [flow-shim, replay, FOLDER]\nread: {idleTimeout: 1s}\ntimeouts: {stop: 1s}\n";
    insta::assert_json_snapshot!(last_line(&shim(yaml, &format!("{RECORD}#! hang\n"))));
}

#[test]
fn a_damaged_line() {
    insta::assert_json_snapshot!(last_line(&read(&format!("{RECORD}{}", &RECORD[..RECORD.len() - 20]))));
}

#[test]
fn a_record_that_is_too_large() {
    let yaml = "command: [flow-shim, replay, FOLDER]\nread: {maxRecordBytes: 64KiB}\n";
    let record = RECORD.replace("\"id\":1", &format!("\"id\":1,\"x\":\"{}\"", "y".repeat(70_000)));
    insta::assert_json_snapshot!(last_line(&shim(yaml, &record)));
}

#[test]
fn a_request_of_flow_that_is_broken() {
    let connector = Connector::playing("airbyte", &[("spec.jsonl", SPEC)]);
    insta::assert_json_snapshot!(last_line(&Run::of(connector.run_bytes(b"{\"open\":\n"))));
}

#[test]
fn a_config_that_is_wrong() {
    let yaml = "protocol: airbyte\ncommand: [flow-shim, replay, FOLDER]\nconfig: {schema: {type: object, required: [host], properties: {host: {type: string}}}}\n";
    let run = Connector::shim(yaml, &[]).run(&[json!({"validate": {"config": {"port": 5}, "bindings": []}})]);
    insta::assert_json_snapshot!(last_line(&run));
}

#[test]
fn a_check_that_fails() {
    let answer = "{\"type\":\"CONNECTION_STATUS\",\"connectionStatus\":{\"status\":\"FAILED\",\"message\":\"'no access'\"}}\n";
    let connector = Connector::playing("airbyte", &[("check.jsonl", answer), ("spec.jsonl", SPEC)]);
    let run = connector.run(&[json!({"validate": {"config": {}, "bindings": []}})]);
    insta::assert_json_snapshot!(last_line(&run));
}

#[test]
fn a_program_that_is_missing() {
    insta::assert_json_snapshot!(last_line(&shim("command: [no-such-program-anywhere]\n", "")));
}
