//! Truncating refreshes: when Flow is told where one begins and where it is complete, and when it is not.

use serde_json::{Value, json};

use crate::harness::{Connector, Run, airbyte, open};
use crate::messages::{SPEC, state, status};
use crate::refreshes::{Capture, by_key, by_place, record, records};

const TRUNCATE: &str = "streams: {overrides: {\"*\": {refresh: truncate}}}";

fn truncates(binding: Value) -> Capture {
    Capture::new(TRUNCATE, &[binding])
}

/// A short word for each message, with the binding of a marker.
fn kinds(run: &Run) -> Vec<String> {
    let kind = |response: &Value| {
        let (kind, body) = response.as_object().and_then(|members| members.iter().next()).expect("a message");
        let binding = body["binding"].as_u64().unwrap_or(0);
        match kind.as_str() {
            "backfillBegin" => format!("begin {binding}"),
            "backfillComplete" => format!("complete {binding}"),
            other => other.to_owned(),
        }
    };
    run.responses.iter().map(kind).collect()
}

fn markers(run: &Run) -> Vec<String> {
    kinds(run).into_iter().filter(|kind| kind.starts_with("begin") || kind.starts_with("complete")).collect()
}

fn begin_of(text: &str) -> Vec<&str> {
    text.split(", ").collect()
}

#[test]
fn a_truncating_refresh_is_bracketed_by_markers_that_stand_alone() {
    for binding in [by_key("users"), by_place("users")] {
        let mut capture = truncates(binding);
        for _ in 0..2 {
            let run = capture.session(&records(&["a", "b"])).succeeded();
            let expected =
                "opened, begin 0, checkpoint, captured, captured, checkpoint, complete 0, checkpoint";
            assert_eq!(kinds(&run), begin_of(expected));
            assert_eq!(run.documents(0)[0]["_meta"]["row_id"], 0);
            assert_eq!(capture.entry(), &json!({"rowId": 2, "refresh": []}));
            let observed = run.logs.iter().filter(|log| log["fields"]["observable"] == true).count();
            assert_eq!(observed, 2, "the beginning and the end");
        }
    }
}

#[test]
fn the_markers_of_several_bindings_share_no_sequence_with_anything() {
    let mut sourced = by_key("users");
    sourced["collection"]["writeSchema"]["x-source-schema"] =
        json!({"type": "object", "properties": {"v": {"type": "string"}}});
    let mut capture = Capture::new(TRUNCATE, &[sourced, by_place("orders")]);
    let run = capture.session(&(records(&["a"]) + &record("orders", "o"))).succeeded();
    let expected = "opened, begin 0, checkpoint, begin 1, checkpoint, sourcedSchema, checkpoint, captured, captured, checkpoint, \
                    complete 0, checkpoint, complete 1, checkpoint";
    assert_eq!(kinds(&run), begin_of(expected));
}

#[test]
fn a_refresh_begins_once_however_often_it_fails() {
    let mut capture = truncates(by_key("users"));
    let failed = capture.session(&(records(&["a"]) + "#! exit 1\n"));
    assert_eq!(kinds(&failed), begin_of("opened, begin 0, checkpoint, captured"));
    assert_eq!(capture.entry()["refresh"], json!([{"begun": true}]));
    let again = capture.session("#! signal 9\n");
    assert_eq!(kinds(&again), ["opened"]);
    let ended = capture.session(&status("users", "COMPLETE")).succeeded();
    assert_eq!(kinds(&ended), begin_of("opened, checkpoint, complete 0, checkpoint"));
    let next = capture.session(&records(&["b"])).succeeded();
    assert_eq!(markers(&next), ["begin 0", "complete 0"]);
}

#[test]
fn a_resumed_refresh_begins_once_too() {
    let mut capture = truncates(by_key("users"));
    let page = state("users", &json!({"page": 1}));
    capture.session(&(records(&["a"]) + &page + "#! exit 1\n"));
    let run = capture.session(&records(&["b"])).succeeded();
    assert_eq!(kinds(&run), begin_of("opened, captured, checkpoint, complete 0, checkpoint"));
    assert_eq!(run.documents(0)[0]["_meta"]["row_id"], 1);
}

#[test]
fn a_refresh_that_was_committed_whole_is_completed_before_the_next_one_begins() {
    let mut capture = truncates(by_key("users"));
    let run = capture.session(&records(&["a"])).succeeded();
    // Flow dies between the checkpoint of the documents and the marker.
    let checkpoints = run.all("checkpoint");
    capture.state = crate::flow_model::reduce(json!({}), &checkpoints[..2]);
    assert_eq!(capture.entry()["refresh"], json!([{"begun": true, "whole": true}]));
    let next = capture.session(&records(&["b"])).succeeded();
    let expected =
        "opened, complete 0, checkpoint, begin 0, checkpoint, captured, checkpoint, complete 0, checkpoint";
    assert_eq!(kinds(&next), begin_of(expected));
}

#[test]
fn parallel_processes_do_not_put_documents_beside_a_marker() {
    let shim = "read: {parallelism: 2, checkpointEvery: {documents: 1}}\nstreams: {overrides: {\"*\": {refresh: truncate}}}";
    let mut capture = Capture::new(shim, &[by_key("users"), by_key("orders")]);
    let lines: String =
        (0..20).map(|n| record("users", &n.to_string()) + &record("orders", &n.to_string())).collect();
    let run = capture.session(&lines).succeeded();
    let kinds = kinds(&run);
    for (at, kind) in kinds.iter().enumerate().filter(|(_, kind)| kind.contains(' ')) {
        assert_eq!(kinds[at + 1], "checkpoint", "{kind} at {at} of {kinds:?}");
        assert!(["checkpoint", "opened"].contains(&kinds[at - 1].as_str()), "{kind} at {at} of {kinds:?}");
    }
    let mut markers = markers(&run);
    markers.sort_unstable();
    assert_eq!(markers, ["begin 0", "begin 1", "complete 0", "complete 1"]);
}

#[test]
fn a_refresh_that_may_not_read_everything_has_no_markers_unless_a_flag_says_so() {
    let limited = json!({"start_date": "2024-01-01T00:00:00Z", "token": "t"});
    let flagged = |mut config: Value, flags: &str| {
        config["advanced"] = json!({"feature_flags": flags});
        config
    };
    for (config, sent, warned) in [
        (limited.clone(), false, true),
        (flagged(limited, "backfill_signals"), true, false),
        (flagged(json!({"token": "t"}), "no_backfill_signals"), false, false),
        (json!({"token": "t", "start_date": ""}), true, false),
    ] {
        let mut capture = truncates(by_key("users"));
        capture.config = config.clone();
        let run = capture.session(&records(&["a"])).succeeded();
        let expected: &[&str] = if sent { &["begin 0", "complete 0"] } else { &[] };
        assert_eq!(markers(&run), expected, "{config}");
        let names_it = |log: &Value| log["level"] == "warn" && log["fields"]["setting"] == "/start_date";
        assert_eq!(run.logs.iter().any(names_it), warned, "{config}");
        assert!(run.logs.iter().all(|log| !log.to_string().contains("2024-01-01")), "{:?}", run.logs);
    }
}

#[test]
fn a_limit_that_comes_while_a_refresh_is_under_way_takes_its_end_away() {
    let mut capture = truncates(by_key("users"));
    capture.session(&(records(&["a"]) + "#! exit 1\n"));
    capture.config = json!({"start_date": "2024-01-01"});
    assert_eq!(markers(&capture.session(&records(&["a"])).succeeded()), [""; 0]);
    capture.config = json!({});
    assert_eq!(markers(&capture.session(&records(&["a"])).succeeded()), ["begin 0", "complete 0"]);
}

#[test]
fn a_format_limits_whatever_its_setting_is_called() {
    let spec = "{\"type\":\"SPEC\",\"spec\":{\"connectionSpecification\":{\"properties\":{\"first\":{\"type\":\"string\",\"format\":\"date\",\"default\":\"2020-01-01\"}}}}}\n";
    let yaml = format!("protocol: airbyte\ncommand: [flow-shim, replay, FOLDER]\n{TRUNCATE}");
    let connector = Connector::shim(&yaml, &[("read.jsonl", &records(&["a"])), ("spec.jsonl", spec)]);
    let run = connector.run(&[open(json!({}), &[by_key("users")], json!({}))]).succeeded();
    assert!(markers(&run).is_empty() && run.logs.iter().any(|log| log["fields"]["setting"] == "/first"));
}

#[test]
fn a_count_is_a_fallback_key_only_where_nothing_is_deleted_by_it() {
    let stream = |modes: &[&str]| json!({"name": "users", "json_schema": {"type": "object"}, "supported_sync_modes": modes, "source_defined_cursor": true});
    let whole = stream(&["full_refresh"]);
    let by_cursor = stream(&["full_refresh", "incremental"]);
    for (refresh, stream, fallback) in [
        ("", &whole, false),
        ("snapshot", &whole, false),
        ("append", &whole, true),
        ("truncate", &whole, true),
        ("", &by_cursor, true),
    ] {
        let shim = if refresh.is_empty() {
            String::new()
        } else {
            format!("streams: {{overrides: {{users: {{refresh: {refresh}}}}}}}")
        };
        let yaml = format!("protocol: airbyte\ncommand: [flow-shim, replay, FOLDER]\n{shim}");
        let catalog = json!({"type": "CATALOG", "catalog": {"streams": [stream]}}).to_string() + "\n";
        let connector = Connector::shim(&yaml, &[("discover.jsonl", &catalog), ("spec.jsonl", SPEC)]);
        let discovered =
            connector.run(&[crate::harness::discover(&json!({}))]).succeeded().only("discovered");
        let binding = &discovered["bindings"][0];
        assert_eq!(binding["key"], json!(["/_meta/row_id"]), "{binding}");
        assert_eq!(binding.get("isFallbackKey").is_some(), fallback, "{refresh:?}: {binding}");
    }
}

/// What operators see of a session in which upstream prints these lines, also of streams that nobody reads.
fn observed(lines: &str) -> Vec<Value> {
    let yaml = "protocol: airbyte\ncommand: [sh, FOLDER/source.sh]\nconfig: {schema: {type: object}}";
    let bindings = [airbyte("users", "incremental"), airbyte("orders", "incremental")];
    let run = Connector::shim(yaml, &[("lines", lines), ("source.sh", "cat FOLDER/lines")]).run(&[open(
        json!({}),
        &bindings,
        json!({}),
    )]);
    let observed = run.succeeded().logs.into_iter().filter(|log| log["fields"]["observable"] == true);
    observed.map(|log| log["fields"]["stream"].clone()).collect()
}

#[test]
fn operators_see_what_is_rare_once_and_nothing_of_an_ordinary_session() {
    let limited = |stream: &str| {
        let body = json!({"stream_descriptor": {"name": stream}, "status": "RUNNING", "reasons": [
            {"type": "RATE_LIMITED", "rate_limited": {"quota_reset": 1_700_000_000_000_u64}}]});
        let trace = json!({"type": "STREAM_STATUS", "emitted_at": 1, "stream_status": body});
        json!({"type": "TRACE", "trace": trace}).to_string() + "\n"
    };
    let ordinary = record("users", "a") + &status("users", "COMPLETE") + &status("orders", "COMPLETE");
    assert_eq!(observed(&ordinary), [Value::Null; 0]);
    let waits = limited("users") + &limited("orders") + &limited("users");
    assert_eq!(observed(&(waits + &ordinary)), ["users"]);
    let strange = record("nobody", "x") + &record("nobody", "y");
    assert_eq!(observed(&(strange + &ordinary)), ["nobody"]);
}
