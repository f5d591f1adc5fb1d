//! Streams that hand over files in place of rows.

use serde_json::{Value, json};

use crate::harness::{Connector, Run, airbyte, open};
use crate::messages::SPEC;

const CHECK: &str = "{\"type\":\"CONNECTION_STATUS\",\"connectionStatus\":{\"status\":\"SUCCEEDED\"}}\n";
const RECORD: &str = r#"{"type":"RECORD","record":{"stream":"users","data":{"id":1},"emitted_at":1}}"#;

fn connector(is_file_based: bool, read: &str) -> Connector {
    let stream = json!({"name": "users", "json_schema": {}, "supported_sync_modes": ["full_refresh"], "is_file_based": is_file_based});
    let catalog = json!({"type": "CATALOG", "catalog": {"streams": [stream]}}).to_string();
    let files =
        [("spec.jsonl", SPEC), ("check.jsonl", CHECK), ("discover.jsonl", &catalog), ("read.jsonl", read)];
    Connector::playing("airbyte", &files)
}

fn asks_for_files() -> Value {
    json!({"delivery_method": {"delivery_type": "use_file_transfer"}})
}

fn validated(is_file_based: bool, config: Value, known: &[Value]) -> Run {
    let binding = json!({"resourceConfig": {"stream": "users", "syncMode": "full_refresh"}, "resourcePath": ["users"],
        "collection": {"name": "acmeCo/users", "key": ["/id"], "writeSchema": {}}});
    let last = json!({"name": "acmeCo/source", "bindings": known});
    let request = json!({"validate": {"name": "acmeCo/source", "config": config, "bindings": [binding], "lastCapture": last}});
    connector(is_file_based, "").run(&[request])
}

#[test]
fn validate_names_the_setting_that_asks_for_files() {
    let run = validated(true, asks_for_files(), &[]);
    assert_eq!(run.code, 4);
    let words = run.last_words();
    assert!(words.contains("\"users\"") && words.contains("/delivery_method/delivery_type"), "{words}");
    assert_eq!(run.logs.last().expect("a last line")["fields"]["code"], "files");
    // Of a binding that is not new nothing is discovered, and the config says enough.
    let known = airbyte("users", "full_refresh");
    let run = validated(true, asks_for_files(), std::slice::from_ref(&known));
    assert!(run.last_words().contains("/delivery_method/delivery_type"), "{}", run.last_words());
    let run = validated(true, json!({}), &[]);
    assert_eq!(run.logs.last().expect("a last line")["fields"]["code"], "files");
    assert!(run.last_words().contains("disable its binding"), "{}", run.last_words());
    validated(false, json!({"delivery_method": {"delivery_type": "use_records_transfer"}}), &[]).succeeded();
}

#[test]
fn a_record_that_points_to_a_file_ends_the_read() {
    for part in [
        r#""data":{},"file":{"file_url":"/tmp/a.pdf","bytes":3}"#,
        r#""data":{"id":2},"file_reference":{"staging_file_url":"/tmp/a.pdf","source_file_relative_path":"a.pdf","file_size_bytes":3}"#,
    ] {
        let file = format!(r#"{{"type":"RECORD","record":{{"stream":"users","emitted_at":1,{part}}}}}"#);
        let read = format!("{RECORD}\n{file}\n");
        let run =
            connector(true, &read).run(&[open(json!({}), &[airbyte("users", "full_refresh")], json!({}))]);
        assert_eq!(run.code, 4);
        assert_eq!(run.logs.last().expect("a last line")["fields"]["code"], "files");
        assert_eq!(run.logs.last().expect("a last line")["fields"]["stream"], "users");
        assert!(run.all("checkpoint").is_empty());
    }
    let nothing = r#"{"type":"RECORD","record":{"stream":"users","data":{"id":2},"file":null,"file_reference":null,"emitted_at":1}}"#;
    let run = connector(false, &format!("{RECORD}\n{nothing}\n"));
    let run = run.run(&[open(json!({}), &[airbyte("users", "full_refresh")], json!({}))]).succeeded();
    assert_eq!(run.documents(0).len(), 2);
}

#[test]
fn a_stream_of_files_is_not_even_begun_where_the_config_asks_for_them() {
    let mut binding = airbyte("docs", "full_refresh");
    binding["collection"]["writeSchema"]["x-source-stream"] = json!({"name": "docs", "is_file_based": true});
    let run = connector(true, RECORD).run(&[open(asks_for_files(), &[binding], json!({}))]);
    assert_eq!(run.logs.last().expect("a last line")["fields"]["code"], "files");
    assert!(run.all("captured").is_empty());
}
