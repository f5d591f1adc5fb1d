//! Records under a name that no binding reads, and positions that must not pass them.

use serde_json::{Value, json};

use crate::harness::{Connector, Run, airbyte, open, singer};
use crate::messages::SPEC;

const CATALOG: &str = r#"{"streams":[{"tap_stream_id":"parent","stream":"parent","key_properties":["id"],"schema":{"properties":{"id":{"type":"integer"}}}},{"tap_stream_id":"child","stream":"child","key_properties":["id"],"schema":{"properties":{"id":{"type":"integer"}}}}]}"#;

fn state(value: i64) -> String {
    format!(
        r#"{{"type":"STATE","value":{{"bookmarks":{{"parent":{{"replication_key":"id","replication_key_value":{value}}}}}}}}}"#
    ) + "\n"
}

fn schema(stream: &str) -> String {
    format!(
        r#"{{"type":"SCHEMA","stream":"{stream}","schema":{{"properties":{{"id":{{"type":"integer"}}}}}},"key_properties":["id"]}}"#
    ) + "\n"
}

fn record(stream: &str) -> String {
    format!(r#"{{"type":"RECORD","stream":"{stream}","record":{{"id":1}}}}"#) + "\n"
}

fn sync(lines: &str, before: Value) -> Run {
    let tap = "case \"$*\" in *--about*) echo '{\"settings\":{}}';; *--discover*) cat FOLDER/catalog.json;; *) cat FOLDER/lines;; esac\n";
    let yaml = "protocol: singer\ncommand: [sh, FOLDER/tap.sh]\n";
    let files = [("tap.sh", tap), ("catalog.json", CATALOG), ("lines", lines)];
    Connector::shim(yaml, &files).run(&[open(json!({}), &[singer("parent", "INCREMENTAL")], before)])
}

/// singer-sdk 0.54.9 with `stream_maps: {parent: {__alias__: mums}}`.
#[test]
fn a_renamed_stream_fails_before_its_position_is_committed() {
    let run = sync(&[schema("mums"), record("mums"), state(1)].concat(), json!({}));
    assert_eq!(run.code, 4, "{:?}", run.logs.last());
    let fields = &run.logs.last().expect("a last line")["fields"];
    assert_eq!((&fields["code"], &fields["stream"]), (&json!("stream-renamed"), &json!("parent")));
    assert!(run.last_words().contains("\"mums\""), "{}", run.last_words());
    assert!(!run.text.contains("replication_key_value"), "the position is not in any checkpoint");
}

#[test]
fn clones_children_and_positions_that_stay_are_warnings() {
    for lines in [
        // A clone beside the stream itself, with and without new rows.
        [schema("parent"), record("parent"), schema("clone"), record("clone"), state(1)].concat(),
        [schema("parent"), schema("clone"), record("clone"), state(1)].concat(),
        // A placeholder is no position.
        [
            record("child"),
            r#"{"type":"STATE","value":{"bookmarks":{"parent":{"partitions":[]}}}}"#.to_owned() + "\n",
        ]
        .concat(),
    ] {
        let run = sync(&lines, json!({}));
        assert_eq!(run.code, 0, "{lines}\n{:?}", run.logs.last());
        assert!(run.logged(Some("warn"), "no binding reads"), "{lines}");
    }
    let first = sync(&[record("parent"), state(1)].concat(), json!({})).succeeded();
    let again = sync(&[record("child"), state(1)].concat(), first.state(json!({})));
    assert_eq!(again.code, 0, "the position did not move: {:?}", again.logs.last());
}

#[test]
fn a_renamed_stream_of_a_source_fails_too() {
    let record = r#"{"type":"RECORD","record":{"stream":"people","data":{"id":1},"emitted_at":1}}"#;
    let state = r#"{"type":"STATE","state":{"type":"STREAM","stream":{"stream_descriptor":{"name":"users"},"stream_state":{"at":1}}}}"#;
    let read = format!("{record}\n{state}\n");
    let source = "case $1 in spec) cat FOLDER/spec;; read) cat FOLDER/read;; esac\n";
    let yaml = "protocol: airbyte\ncommand: [sh, FOLDER/source.sh]\n";
    let files = [("source.sh", source), ("spec", SPEC), ("read", read.as_str())];
    let run =
        Connector::shim(yaml, &files).run(&[open(json!({}), &[airbyte("users", "incremental")], json!({}))]);
    assert_eq!(run.logs.last().expect("a last line")["fields"]["code"], "stream-renamed");
    assert!(run.all("checkpoint").iter().all(|checkpoint| !checkpoint.to_string().contains("\"at\"")));
}
