//! What a shim changes of streams: patched schemas, keys by name and glob, airbyte-to-flow's names.

use serde_json::{Value, json};

use crate::harness::{Connector, discover, spec};
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
