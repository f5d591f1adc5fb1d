//! What is published of a stream's schema, and what becomes of times on the way to Flow.

use serde_json::{Value, json};

use crate::harness::{Connector, airbyte, open, singer};
use crate::messages::SPEC;

/// A source with one stream of this schema and key, and a shim with these lines.
fn source(shim: &str, schema: &Value, key: &Value, records: &[Value]) -> Connector {
    let stream = json!({"name": "users", "json_schema": schema, "supported_sync_modes": ["full_refresh"], "source_defined_primary_key": key});
    let catalog = json!({"type": "CATALOG", "catalog": {"streams": [stream]}}).to_string() + "\n";
    let record = |data: &Value| {
        format!(
            "{{\"type\":\"RECORD\",\"record\":{{\"stream\":\"users\",\"data\":{data},\"emitted_at\":1}}}}\n"
        )
    };
    let read: String = records.iter().map(record).collect();
    let yaml = format!("protocol: airbyte\ncommand: [flow-shim, replay, FOLDER]\n{shim}\n");
    Connector::shim(&yaml, &[("spec.jsonl", SPEC), ("discover.jsonl", &catalog), ("read.jsonl", &read)])
}

fn discovered(connector: &Connector) -> Value {
    let run = connector.run(&[json!({"discover": {"config": {}}})]).succeeded();
    run.only("discovered")["bindings"][0].clone()
}

/// A binding of the stream with this write schema.
fn binding(write_schema: Value) -> Value {
    let mut binding = airbyte("users", "full_refresh");
    binding["collection"]["writeSchema"] = write_schema;
    binding
}

fn read(connector: &Connector, write_schema: Value) -> Vec<Value> {
    let run = connector.run(&[open(json!({}), &[binding(write_schema)], json!({}))]).succeeded();
    run.documents(0)
}

#[test]
fn source_publishes_the_sources_schema_as_flow_takes_it() {
    let schema = json!({
        "$schema": "http://json-schema.org/draft-04/schema#", "type": ["null", "object"], "additionalProperties": false,
        "properties": {
            "id": {"type": ["null", "integer"], "format": "int64"}, "name": {"type": "string"},
            "kind": {"enum": ["a", "b"]}, "amount": {"type": "number", "maximum": 5, "exclusiveMaximum": true, "airbyte_type": "big_number"},
            "at": {"anyOf": [{"type": "null"}, {"type": "string", "format": "timestamp"}]},
        },
    });
    let found = discovered(&source("schema: {mode: source}", &schema, &json!([["id"]]), &[]));
    assert_eq!(found["key"], json!(["/id"]));
    let published = &found["documentSchema"];
    let expected = json!({
        "id": {"type": "integer", "format": "integer"}, "name": {"type": "string"}, "kind": {"type": "string"},
        "amount": {"type": "number", "exclusiveMaximum": 5}, "at": {"anyOf": [{"type": "null"}, {"type": "string"}]},
    });
    for (name, property) in expected.as_object().expect("an object") {
        assert_eq!(&published["properties"][name], property, "{name}");
    }
    assert!(published["properties"]["_meta"].is_object(), "a closed schema has to let _meta in");
    assert_eq!((&published["type"], &published["required"]), (&json!("object"), &json!(["id"])));
    assert!(published.get("x-infer-schema").is_none() && published.get("$schema").is_none());
}

#[test]
fn a_key_that_flow_refuses_gives_way_and_the_log_says_why() {
    for mode in ["infer", "source"] {
        let schema = json!({"allOf": [{"$ref": "#/definitions/row"}], "definitions": {"row": {"properties": {"id": {"type": "number"}}}}});
        let connector = source(&format!("schema: {{mode: {mode}}}"), &schema, &json!([["id"]]), &[]);
        let run = connector.run(&[json!({"discover": {"config": {}}})]).succeeded();
        let binding = &run.only("discovered")["bindings"][0];
        assert_eq!((&binding["key"], &binding["isFallbackKey"]), (&json!(["/_meta/row_id"]), &json!(null)));
        let warned = run.logs.iter().find(|log| log["level"] == "warn").expect("a warning");
        assert!(warned.to_string().contains("/id is a number that may have a fraction"), "{warned}");
    }
}

#[test]
fn patches_and_dates_are_applied_before_the_key_is_chosen() {
    let schema =
        json!({"properties": {"id": {"type": "number"}, "day": {"type": "string", "format": "date"}}});
    let shim = "schema: {mode: source, dateToDatetime: true}\nstreams: {overrides: {\"*\": {schemaPatch: {properties: {id: {type: string}}}}}}";
    let found = discovered(&source(shim, &schema, &json!([["id"]]), &[]));
    assert_eq!(found["key"], json!(["/id"]));
    assert_eq!(found["documentSchema"]["properties"]["day"]["format"], "date-time");
}

#[test]
fn times_are_written_as_the_write_schema_wants_them() {
    let records = [
        json!({"id": 1, "at": "2023-01-30 02:34:15", "day": "2023-01-30", "list": [{"at": 1_685_098_188_123_u64}]}),
        json!({"id": 2, "at": "2023-01-30T02:34:15+01:00", "list": [{"at": "soon"}, {"at": null}]}),
        json!({"id": 3, "at": u64::MAX, "list": ["2023-01-30"]}),
    ];
    let at = json!({"type": ["string", "null"], "format": "date-time"});
    let write_schema =
        json!({"type": "object", "properties": {"at": at, "list": {"items": {"properties": {"at": at}}}}});
    let connector = source("", &json!({}), &json!([]), &records);
    let documents = read(&connector, write_schema.clone());
    assert_eq!(
        (&documents[0]["at"], &documents[0]["day"]),
        (&json!("2023-01-30T02:34:15Z"), &json!("2023-01-30"))
    );
    assert_eq!(documents[0]["list"], json!([{"at": "2023-05-26T10:49:48.123Z"}]));
    for (document, record) in documents.iter().zip(&records).skip(1) {
        assert_eq!((&document["at"], &document["list"]), (&record["at"], &record["list"]));
    }
    let shim = "streams: {overrides: {users: {normalize: {/at: datetime-to-date}}}}";
    assert_eq!(read(&source(shim, &json!({}), &json!([]), &records), write_schema)[0]["at"], "2023-01-30");
    assert_eq!(read(&connector, json!({"type": "object"}))[0]["at"], records[0]["at"]);
}

/// Whether a read works when the source cannot discover any more.
fn reads_without_discovery(shim: &str, write_schema: Value) -> bool {
    let yaml = format!("protocol: airbyte\ncommand: [flow-shim, replay, FOLDER]\n{shim}\n");
    let connector = Connector::shim(
        &yaml,
        &[("spec.jsonl", SPEC), ("discover.jsonl", "#! exit 3\n"), ("read.jsonl", "")],
    );
    connector.run(&[open(json!({}), &[binding(write_schema)], json!({}))]).code == 0
}

#[test]
fn open_discovers_where_it_has_to_or_is_told_to() {
    let plain = || json!({"type": "object"});
    let annotated = || json!({"type": "object", "x-source-schema": {}});
    assert!(reads_without_discovery("", annotated()));
    assert!(!reads_without_discovery("", plain()), "the write schema lacks the source's schema");
    assert!(!reads_without_discovery("read: {discoverOnOpen: always}", annotated()));
    assert!(reads_without_discovery("read: {discoverOnOpen: never}", plain()));
    assert!(
        reads_without_discovery("schema: {mode: source}", plain()),
        "the write schema is the source's schema"
    );
}

#[test]
fn a_tap_is_read_without_a_discovery_where_the_shim_says_so() {
    let yaml = "protocol: singer\ncommand: [flow-shim, replay, FOLDER]\nconfig: {schema: {type: object}}\nread: {discoverOnOpen: never}\n";
    let read = "{\"type\":\"SCHEMA\",\"stream\":\"users\",\"schema\":{},\"key_properties\":[\"id\"]}\n{\"type\":\"RECORD\",\"stream\":\"users\",\"record\":{\"id\":1}}\n";
    let connector = Connector::shim(yaml, &[("discover.json", "#! exit 3\n"), ("read.jsonl", read)]);
    let run = connector.run(&[open(json!({}), &[singer("users", "FULL_TABLE")], json!({}))]).succeeded();
    assert_eq!(run.documents(0).len(), 1);
}
