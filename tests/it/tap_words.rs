//! What users read of taps that say little, print odd text, or fail.

use serde_json::{Value, json};

use crate::harness::{Connector, Run, discover, open, singer, spec};

const CATALOG: &str = r#"{"streams":[{"tap_stream_id":"users","stream":"users","schema":{"properties":{"id":{"type":"integer"}}},"key_properties":["id"]}]}"#;

/// A tap that does this when asked `--about`, `--discover`, and to read.
fn tap(about: &str, discover: &str, read: &str, yaml: &str) -> Connector {
    let script = format!(
        "case \"$*\" in\n*--about*) {about};;\n*--help*) echo usage: tap;;\n*--discover*) {discover};;\n*) {read};;\nesac\n"
    );
    let yaml = format!("protocol: singer\ncommand: [sh, FOLDER/tap.sh]\n{yaml}");
    Connector::shim(&yaml, &[("tap.sh", &script), ("catalog.json", CATALOG)])
}

const REFUSED: &str = "echo 'usage: tap'; echo 'tap: error: unrecognized arguments: --about' >&2; exit 2";
const DISCOVERED: &str = "cat FOLDER/catalog.json";

fn last_fields(run: &Run) -> Value {
    run.logs.last().expect("a last line")["fields"].clone()
}

#[test]
fn text_around_answers_hides_nothing() {
    let about = r#"echo 'loaded {csv, json}'; echo '{"settings":{"properties":{"host":{"type":"string"}}}}'; echo 'bye {}'"#;
    let discovered = "echo '{csv, json} loaded'; cat FOLDER/catalog.json; echo; echo 'Finished discover'";
    let connector = tap(about, discovered, "true", "");
    let run = connector.run(&[spec(), discover(&json!({}))]).succeeded();
    assert!(run.only("spec")["configSchema"]["properties"]["host"].is_object());
    assert_eq!(run.only("discovered")["bindings"].as_array().map(Vec::len), Some(1));
    assert!(run.logged(None, "Finished discover"));
}

#[test]
fn a_tap_without_about_says_what_is_missing() {
    let run = tap(REFUSED, DISCOVERED, "true", "").run(&[spec()]).succeeded();
    assert!(run.logged(Some("warn"), "config.schema"), "{:?}", run.logs);
    let given = tap(REFUSED, DISCOVERED, "true", "config: {schema: {type: object}}\n").run(&[spec()]);
    assert!(!given.succeeded().logged(Some("warn"), "config.schema"));
}

#[test]
fn only_usage_text_is_taken_for_a_missing_about() {
    let traceback = "printf 'Traceback (most recent call last):\\n  x\\nValueError: y\\n' >&2; exit 1";
    let run = tap(traceback, DISCOVERED, "true", "").run(&[spec()]);
    assert!(!run.last_words().contains("config.schema"), "{}", run.last_words());
    let usage = "echo 'Usage: tap CONFIG' >&2; exit 1";
    let run = tap(usage, DISCOVERED, "true", "").run(&[spec()]);
    assert!(run.last_words().contains("config.schema"), "{}", run.last_words());
    let lost = "echo \"python3: can't open file 'tap.py': [Errno 2]\" >&2; exit 2";
    assert_eq!(tap(lost, DISCOVERED, "true", "").run(&[spec()]).code, 10);
}

#[test]
fn a_module_that_setuptools_no_longer_has_is_told_with_the_pin() {
    let missing = "printf 'Traceback (most recent call last):\\n  x\\nModuleNotFoundError: No module named '\"'pkg_resources'\"'\\n' >&2; exit 1";
    let run = tap(missing, missing, missing, "").run(&[spec()]);
    assert!(run.last_words().contains("setuptools<82"), "{}", run.last_words());
}

#[test]
fn the_last_line_is_what_was_raised_last_without_the_taps_prefix() {
    let failing = "printf 'ERROR Retrying with fewer arguments\\nTraceback (most recent call last):\\n  x\\nOperationalError: Connection refused\\n' >&2; exit 1";
    let run = tap(REFUSED, failing, "true", "").run(&[discover(&json!({}))]);
    let words = run.last_words();
    assert!(words.starts_with("discover failed: OperationalError: Connection refused"), "{words}");
    assert_eq!(last_fields(&run)["failureType"], "transient");
    let prefixed =
        "echo 'time=2026-11-24 00:55:20 name=tap_x level=CRITICAL message=no such host' >&2; exit 1";
    let run = tap(REFUSED, DISCOVERED, prefixed, "").run(&[open(
        json!({}),
        &[singer("users", "FULL_TABLE")],
        json!({}),
    )]);
    assert!(run.last_words().contains("failed: no such host"), "{}", run.last_words());
}

/// Reads these bindings from a shared state, with two processes where that is possible.
fn read_together(shared: &Value) -> Run {
    let catalog = r#"{"streams":[{"tap_stream_id":"users","stream":"users"},{"tap_stream_id":"orders","stream":"orders"}]}"#;
    let script = format!(
        "case \"$*\" in *--about*) echo '{{\"settings\":{{}}}}';; *--discover*) echo '{catalog}';; esac\n"
    );
    let yaml = "protocol: singer\ncommand: [sh, FOLDER/tap.sh]\nread: {parallelism: 2}\n";
    let state = json!({
        "bindingStateV1": {"users": {"rowId": 1, "state": [{"id": 1}]}, "orders": {"rowId": 1, "state": [{"id": 1}]}},
        "shared": [shared],
    });
    let bindings = [singer("users", "INCREMENTAL"), singer("orders", "INCREMENTAL")];
    Connector::shim(yaml, &[("tap.sh", &script)]).run(&[open(json!({}), &bindings, state)]).succeeded()
}

#[test]
fn parallelism_that_is_off_says_why() {
    let run = read_together(&json!({"bookmarks": {"parent": {"since": "2026"}}}));
    assert!(run.logged(Some("warn"), "\"parent\""), "{:?}", run.logs);
    assert!(!run.logged(None, "process of its own"));
    let run = read_together(&json!({"bookmarks": {"parent": {}, "uncle": {"partitions": []}}}));
    assert!(run.logged(None, "process of its own"), "a placeholder holds no position");
}

/// Opens with one stream that goes on and one that was backfilled; what the tap got as its state.
fn backfill(shared: &Value) -> (Run, Value) {
    let catalog = r#"{"streams":[{"tap_stream_id":"commits","stream":"commits"},{"tap_stream_id":"issues","stream":"issues"}]}"#;
    let script = format!(
        "case \"$*\" in *--about*) echo '{{\"settings\":{{}}}}';; *--discover*) echo '{catalog}';; *) for argument; do [ \"$last\" = --state ] && cat \"$argument\" > FOLDER/state; last=$argument; done;; esac\n"
    );
    let yaml = "protocol: singer\ncommand: [sh, FOLDER/tap.sh]\n";
    let connector = Connector::shim(yaml, &[("tap.sh", &script)]);
    let state = json!({"bindingStateV1": {"issues": {"rowId": 1, "state": []}}, "shared": [shared]});
    let bindings = [singer("commits", "INCREMENTAL"), singer("issues", "INCREMENTAL")];
    let run = connector.run(&[open(json!({}), &bindings, state)]).succeeded();
    let text = std::fs::read_to_string(format!("{}/state", connector.folder_path())).expect("a state");
    (run, serde_json::from_str(&text).expect("JSON"))
}

#[test]
fn a_backfilled_stream_takes_its_positions_along_and_others_are_told() {
    let repositories = json!({"bookmarks": {"org/repo": {"commits": {"since": "2026-01-01"}, "issues": {"since": "2026-01-02"}}}});
    let (run, state) = backfill(&repositories);
    assert_eq!(state["bookmarks"]["org/repo"], json!({"issues": {"since": "2026-01-02"}}));
    assert!(run.logged(Some("warn"), "\"org/repo\""), "{:?}", run.logs);
    assert!(run.logged(None, "Backfilling 1 of 2 streams"), "issues goes on: {:?}", run.logs);
    let (run, state) = backfill(&json!({"bookmarks": {}, "versions": {"commits": 11, "issues": 22}}));
    assert_eq!(state, json!({"bookmarks": {}, "versions": {"issues": 22}}));
    assert!(!run.logged(Some("warn"), "backfill"), "{:?}", run.logs);
}
