//! What a shim changes of streams: patched schemas, keys by name and glob, airbyte-to-flow's names.

use serde_json::{Value, json};

use crate::harness::{Connector, Run, binding, discover, open, spec};
use crate::messages::SPEC;

const CATALOG: &str = r#"{"type":"CATALOG","catalog":{"streams":[
{"name":"users","namespace":"shop","json_schema":{"type":"object","properties":{"id":{"type":"number"},"age":{"type":"integer"}}},"supported_sync_modes":["incremental"],"source_defined_primary_key":[["id"]],"default_cursor_field":["updated"]},
{"name":"Ads / All & more","json_schema":{"properties":{"id":{"type":"string"}}},"supported_sync_modes":["full_refresh"],"source_defined_primary_key":[["id"]]},
{"name":"ad_events","json_schema":{"properties":{"id":{"type":"string"},"at":{"type":"string"}}},"supported_sync_modes":["full_refresh"]}]}}"#;

fn bindings(yaml: &str) -> Vec<Value> {
    let catalog = CATALOG.replace('\n', "") + "\n";
    let files = [("spec.jsonl", SPEC), ("discover.jsonl", catalog.as_str())];
    let yaml = format!("protocol: airbyte\ncommand: [flow-shim, replay, FOLDER]\n{yaml}");
    let run = Connector::shim(&yaml, &files).run(&[spec(), discover(&json!({}))]).succeeded();
    run.only("discovered")["bindings"].as_array().expect("bindings").clone()
}

#[test]
fn a_patched_schema_counts_before_keys_are_looked_at() {
    let yaml =
        "streams: {overrides: {users: {schemaPatch: {properties: {id: {type: integer}, age: null}}}}}\n";
    let users = bindings(yaml)[0].clone();
    assert_eq!(users["key"], json!(["/id"]), "a number with a fraction could not be a key");
    let schema = &users["documentSchema"];
    assert_eq!(schema["properties"]["id"]["type"], "integer");
    assert_eq!(schema["x-source-schema"]["properties"], json!({"id": {"type": "integer"}}));
}

#[test]
fn settings_come_from_the_most_specific_entry_that_has_them() {
    let yaml = r#"
streams:
  overrides:
    "*": {key: [/any]}
    "ad_*": {key: [/id, /at]}
    users: {schemaPatch: {properties: {any: {type: string}}}}
    shop.users: {key: [/id]}
"#;
    let keys: Vec<Value> = bindings(yaml).iter().map(|binding| binding["key"].clone()).collect();
    assert_eq!(keys, [json!(["/id"]), json!(["/any"]), json!(["/id", "/at"])]);
}

#[test]
fn bindings_can_be_proposed_as_airbyte_to_flow_did() {
    let yaml = r"
streams:
  conventions: airbyte-to-flow
  overrides:
    Ads/Allmore: {key: [/id, /n/m]}
";
    let bindings = bindings(yaml);
    let names: Vec<&Value> = bindings.iter().map(|binding| &binding["recommendedName"]).collect();
    assert_eq!(names, ["users", "Ads/Allmore", "ad_events"]);
    let cursors: Vec<&Value> =
        bindings.iter().map(|binding| &binding["resourceConfig"]["cursorField"]).collect();
    assert_eq!(cursors, [&json!(["updated"]), &json!(["id", "n/m"]), &json!([])]);
    assert_eq!(bindings[0]["resourceConfig"]["namespace"], "shop");
    assert_eq!(bindings[1]["resourceConfig"]["stream"], "Ads / All & more");
}

/// Reads with these overrides of `users`; the run, and the catalog that the source got.
fn read(fields: &str) -> (Run, Value) {
    let record = r#"{"type":"RECORD","record":{"stream":"users","namespace":"shop","data":{"id":1,"at":"x","mail":"m","address":{"zip":"1","street":"s"},"list":[{"a":1,"b":2}],"_ab_cdc_deleted_at":"y"},"emitted_at":1}}"#;
    let script = format!(
        "case $1 in spec) cat FOLDER/spec;; *) for argument; do [ \"$last\" = --catalog ] && cat \"$argument\" > FOLDER/catalog; last=$argument; done; echo '{record}';; esac\n"
    );
    let yaml = format!(
        "protocol: airbyte\ncommand: [sh, FOLDER/source.sh]\nstreams: {{overrides: {{users: {{fields: {fields}}}}}}}\n"
    );
    let connector = Connector::shim(&yaml, &[("source.sh", &script), ("spec", SPEC)]);
    let mut users = binding(
        json!({"stream": "users", "namespace": "shop", "syncMode": "incremental", "cursorField": ["at"]}),
        &["shop", "users"],
        &["/id"],
    );
    users["collection"]["writeSchema"]["x-source-schema"] = json!({"type": "object", "properties": {
        "id": {"type": "integer"}, "at": {"type": "string"}, "mail": {"type": "string"},
        "address": {"type": "object", "properties": {"zip": {"type": "string"}, "street": {"type": "string"}}},
    }});
    users["collection"]["writeSchema"]["x-source-stream"] =
        json!({"name": "users", "namespace": "shop", "supported_sync_modes": ["incremental"]});
    let run = connector.run(&[open(json!({}), &[users], json!({}))]).succeeded();
    let catalog = std::fs::read_to_string(format!("{}/catalog", connector.folder_path())).expect("a catalog");
    (run, serde_json::from_str(&catalog).expect("JSON"))
}

fn properties(schema: &Value) -> Vec<String> {
    schema["properties"].as_object().expect("properties").keys().cloned().collect()
}

#[test]
fn omitted_fields_are_neither_asked_for_nor_captured() {
    let (run, catalog) = read("{omit: [id, at, mail, address/street, 'list/*', _ab_cdc_deleted_at]}");
    let schema = &catalog["streams"][0]["stream"]["json_schema"];
    assert_eq!(properties(schema), ["id", "at", "address"], "a key and a cursor stay");
    assert_eq!(properties(&schema["properties"]["address"]), ["zip"]);
    let document = run.documents(0)[0].clone();
    let meta = json!({"op": "d", "row_id": 0});
    assert_eq!(document, json!({"_meta": meta, "id": 1, "address": {"zip": "1"}, "list": [{}]}));
    let sourced = run.only("sourcedSchema").to_string();
    assert!(sourced.contains("zip") && !sourced.contains("street") && !sourced.contains("mail"), "{sourced}");
}

#[test]
fn selected_fields_alone_are_captured() {
    let (run, catalog) = read("{select: [address/zip], omit: [mail]}");
    assert_eq!(properties(&catalog["streams"][0]["stream"]["json_schema"]), ["id", "at", "address"]);
    let document = run.documents(0)[0].clone();
    assert_eq!(
        document,
        json!({"_meta": {"op": "d", "row_id": 0}, "id": 1, "address": {"zip": "1"}, "_ab_cdc_deleted_at": "y"})
    );
}

#[test]
fn omitted_fields_are_not_discovered() {
    let users = bindings("streams: {overrides: {users: {fields: {omit: [age, id]}}}}\n")[0].clone();
    assert_eq!(properties(&users["documentSchema"]["x-source-schema"]), ["id"], "the key stays");
}
