//! Recordings of real sources, played through the program.

use serde_json::{Value, json};

use crate::harness::{Connector, Run, airbyte, open, repository, spec};
use crate::messages::SPEC;

fn recording(file: &str) -> String {
    std::fs::read_to_string(repository("fixtures/airbyte").join(file)).expect("a recording")
}

/// A read that prints a recording, ending with this exit code.
fn read(file: &str, code: u8, streams: &[&str]) -> Run {
    let text = recording(file) + &format!("#! exit {code}\n");
    let connector = Connector::playing("airbyte", &[("read.jsonl", &text), ("spec.jsonl", SPEC)]);
    let bindings: Vec<Value> = streams.iter().map(|stream| airbyte(stream, "incremental")).collect();
    connector.run(&[open(json!({}), &bindings, json!({}))])
}

/// A question that a recording answers.
fn ask(question: &str, file: &str, code: u8, request: Value) -> Run {
    let text = recording(file) + &format!("#! exit {code}\n");
    let name = format!("{question}.jsonl");
    let mut files = vec![(name.as_str(), text.as_str())];
    if question != "spec" {
        files.push(("spec.jsonl", SPEC));
    }
    Connector::playing("airbyte", &files).run(&[request])
}

fn validate() -> Value {
    json!({"validate": {"config": {}, "bindings": [airbyte("users", "incremental")]}})
}

fn count(run: &Run, streams: &[(u64, usize)]) {
    for (binding, count) in streams {
        assert_eq!(run.documents(*binding).len(), *count, "binding {binding}");
    }
    assert_eq!(run.uncommitted(), 0);
}

#[test]
fn every_record_of_a_good_read_is_a_document() {
    let run = read("declarative-manifest-cdk7/read.jsonl", 0, &["items", "tags", "empty"]).succeeded();
    count(&run, &[(0, 90), (1, 4), (2, 0)]);
    assert_eq!(run.all("checkpoint").len(), 6);
    let run = read("s3/read.jsonl", 0, &["users", "events", "pq"]).succeeded();
    count(&run, &[(0, 5), (1, 20), (2, 3)]);
    let run = read("declarative-manifest-cdk7/read-substream.jsonl", 0, &["comments"]).succeeded();
    count(&run, &[(0, 26)]);
}

#[test]
fn a_source_without_states_is_committed_at_its_end() {
    let run = read("file/read.jsonl", 0, &["users"]).succeeded();
    count(&run, &[(0, 4)]);
    assert_eq!(run.only("checkpoint")["state"]["updated"]["bindingStateV1"]["users"]["rowId"], 4);
}

#[test]
fn a_failing_read_keeps_its_good_states_and_tells_the_first_cause() {
    let streams = ["items", "broken", "broken_incremental", "tags"];
    let run = read("declarative-manifest-cdk7/read-fail.jsonl", 1, &streams);
    assert_eq!(run.code, 10);
    assert_eq!(
        run.last_words(),
        "capture: 2 streams failed: stream \"broken\": The local API failed: backend exploded; stream \"broken_incremental\": The local API failed: backend exploded"
    );
    assert_eq!(run.documents(0).len(), 90);
    let last = &run.logs.last().expect("a line")["fields"];
    assert_eq!(last["failureType"], "transient", "the last trace says config_error, which is not so");
    assert_eq!(last["failedStreams"], json!(["broken", "broken_incremental"]));
}

#[test]
fn a_read_that_silently_ends_is_a_failure() {
    let streams = ["items", "with_empty_record", "big"];
    let run = read("declarative-manifest-cdk7/read-empty-record.jsonl", 0, &streams);
    assert_eq!(run.code, 10);
    for stream in streams {
        assert!(run.last_words().contains(stream), "{}", run.last_words());
    }
}

#[test]
fn odd_text_comes_through_as_it_was() {
    let run = read("declarative-manifest-cdk7/read-odd.jsonl", 0, &["weird", "big"]).succeeded();
    for line in recording("declarative-manifest-cdk7/read-odd.jsonl")
        .lines()
        .filter(|line| line.contains("\"RECORD\""))
    {
        let data = line.split_once("\"data\":{").expect("data").1;
        let data = data.split_once("},\"emitted_at\"").expect("an end").0;
        assert!(run.text.contains(data), "{}…", data.chars().take(80).collect::<String>());
    }
}

#[test]
fn a_renewed_token_never_reaches_a_log() {
    let run = read("declarative-manifest-cdk7/read-oauth-refresh.jsonl", 0, &["tags"]).succeeded();
    count(&run, &[(0, 4)]);
    let control = recording("declarative-manifest-cdk7/read-oauth-refresh.jsonl");
    let control: Value = control
        .lines()
        .find(|line| line.contains("\"CONTROL\""))
        .and_then(|line| serde_json::from_str(line).ok())
        .expect("CONTROL");
    let token = control["control"]["connectorConfig"]["config"]["refresh_token"]
        .as_str()
        .expect("a token")
        .to_owned();
    assert!(!format!("{:?}", run.logs).contains(&token));
    assert!(run.logged(Some("warn"), "changed its config"));
}

#[test]
fn waiting_for_a_rate_limit_is_no_failure() {
    let run = read("declarative-manifest-cdk7/read-rate-limited.jsonl", 0, &["rate_limited"]).succeeded();
    count(&run, &[(0, 3)]);
}

#[test]
fn specs_are_told_and_a_broken_install_is_named() {
    for file in [
        "faker/spec.jsonl",
        "s3/spec.jsonl",
        "file/spec.jsonl",
        "shopify/spec.jsonl",
        "declarative-manifest-cdk7/spec.jsonl",
    ] {
        let run = ask("spec", file, 0, spec()).succeeded();
        assert!(
            run.only("spec")["configSchema"]["properties"].is_object() || file.starts_with("declarative"),
            "{file}"
        );
    }
    let run = ask("spec", "airtable-broken-install/spec.jsonl", 0, spec());
    assert_ne!(run.code, 0, "a lone TRACE ERROR with exit 0 is no spec");
    assert!(run.all("spec").is_empty());
}

#[test]
fn checks_fail_with_the_sources_own_words() {
    let run = ask("check", "declarative-manifest-cdk7/check-forbidden.jsonl", 0, validate());
    assert_eq!(run.code, 4);
    assert!(run.last_words().contains("the connection check failed: "), "{}", run.last_words());
    let run = ask("check", "google-sheets/check-bad.jsonl", 1, validate());
    assert_eq!(run.code, 10, "{}", run.last_words());
    let run = ask("check", "shopify/check-bad.jsonl", 0, validate());
    assert_eq!(run.code, 4, "{}", run.last_words());
    let run = ask("check", "faker/check-no-count.jsonl", 1, validate());
    assert!(run.last_words().contains("count"), "{}", run.last_words());
}

#[test]
fn foreign_json_lines_are_no_messages() {
    let text = recording("faker/read-debug.jsonl");
    let streams: Vec<&str> = ["users", "products", "purchases"].into_iter().collect();
    let records = text.lines().filter(|line| line.starts_with("{\"type\":\"RECORD\"")).count();
    let run = read("faker/read-debug.jsonl", 0, &streams);
    assert_eq!(run.all("captured").len(), records);
}

#[test]
fn recorded_catalogs_are_discovered() {
    let run =
        ask("discover", "declarative-manifest-cdk7/discover.jsonl", 0, json!({"discover": {"config": {}}}))
            .succeeded();
    let bindings = run.only("discovered")["bindings"].clone();
    let names: Vec<&str> =
        bindings.as_array().expect("bindings").iter().filter_map(|b| b["recommendedName"].as_str()).collect();
    assert!(names.contains(&"items") && names.contains(&"tags"), "{names:?}");
}
