//! Sourced schemas, and how much of `_meta` documents get.

use serde_json::{Value, json};

use crate::harness::{Connector, Run, airbyte, binding, open, singer};
use crate::messages::{RECORD, SPEC};

fn with_schema(mut binding: Value) -> Value {
    binding["collection"]["writeSchema"]["x-source-schema"] = json!({"type": "object", "properties": {"id": {"type": "integer"}, "at": {"type": ["null", "string"]}, "odd": {"type": "text"}}});
    binding
}

fn read(shim: &str, bindings: &[Value]) -> Run {
    let yaml = format!("protocol: airbyte\ncommand: [flow-shim, replay, FOLDER]\n{shim}");
    let files = [("read.jsonl", RECORD), ("spec.jsonl", SPEC)];
    Connector::shim(&yaml, &files).run(&[open(json!({}), bindings, json!({}))])
}

#[test]
fn a_session_begins_with_a_closed_schema_of_each_stream() {
    let run = read("", &[with_schema(airbyte("users", "incremental")), airbyte("orders", "incremental")])
        .succeeded();
    let sourced = run.only("sourcedSchema");
    assert_eq!(sourced.get("binding"), None, "the first binding; the second says nothing");
    let schema = &sourced["documentSchema"];
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(
        schema["properties"]["at"],
        json!({"type": ["null", "string"], "minLength": 1, "maxLength": 1})
    );
    assert_eq!(schema["properties"]["odd"], json!({}), "Flow takes no type that is none");
    assert_eq!(schema["properties"]["_meta"]["required"], json!(["uuid", "row_id", "op"]));
    assert_eq!(run.responses[2], json!({"checkpoint": {"state": {"updated": {}, "mergePatch": true}}}));
    assert!(run.responses[3].get("captured").is_some(), "{:?}", run.responses[3]);
}

fn with_source(mut binding: Value, schema: &Value) -> Value {
    binding["collection"]["writeSchema"]["x-source-schema"] = schema.clone();
    binding
}

#[test]
fn what_is_always_there_is_required_until_a_record_lacks_it() {
    let schema = json!({"type": "object", "required": ["name", "address"], "properties": {
        "id": {"type": ["null", "integer"]}, "name": {"type": "string"}, "note": {"type": "string"},
        "address": {"type": "object", "required": ["street"], "properties": {"street": {}}},
    }});
    let record = |data: Value| {
        json!({"type": "RECORD", "record": {"stream": "users", "data": data, "emitted_at": 1}}).to_string()
            + "\n"
    };
    let state = json!({"type": "STATE", "state": {"type": "STREAM", "stream": {"stream_descriptor": {"name": "users"}, "stream_state": {"c": 1}}}})
        .to_string()
        + "\n";
    let whole = record(json!({"id": 1, "name": "a", "address": {"street": "b"}}));
    let lines = [
        &*whole,
        &whole,
        &state,
        &record(json!({"id": 2, "address": {}})),
        &whole,
        &state,
        &record(json!({"id": 3, "address": {}})),
        &state,
    ]
    .concat();
    let run = Connector::playing("airbyte", &[("spec.jsonl", SPEC), ("read.jsonl", &lines)])
        .run(&[open(json!({}), &[with_source(airbyte("users", "incremental"), &schema)], json!({}))])
        .succeeded();
    let told = run.all("sourcedSchema");
    let required = |told: &Value| {
        let schema = &told["documentSchema"];
        (schema["required"].clone(), schema["properties"]["address"]["required"].clone())
    };
    assert_eq!(
        told.iter().map(required).collect::<Vec<_>>(),
        [
            (json!(["address", "id", "name", "_meta"]), json!(["street"])),
            (json!(["address", "id", "_meta"]), Value::Null),
        ]
    );
    assert_eq!(told[0]["documentSchema"]["properties"]["id"]["type"], "integer", "a key is never null");
    let kind = |response: &Value| response.as_object().and_then(|members| members.keys().next().cloned());
    let at = run.responses.iter().rposition(|response| response.get("sourcedSchema").is_some()).expect("one");
    assert_eq!(kind(&run.responses[at - 1]).as_deref(), Some("captured"));
    assert_eq!(
        kind(&run.responses[at + 1]).as_deref(),
        Some("checkpoint"),
        "the same that commits the record"
    );
}

#[test]
fn nothing_is_promised_of_a_snapshot_whose_rows_may_go() {
    let schema = json!({"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}});
    let rows =
        binding(json!({"stream": "users", "syncMode": "full_refresh"}), &["users"], &["/_meta/row_id"]);
    let run =
        read("streams: {overrides: {users: {refresh: snapshot}}}", &[with_source(rows, &schema)]).succeeded();
    assert_eq!(run.only("sourcedSchema")["documentSchema"]["required"], json!(["_meta"]));
}

#[test]
fn a_schema_that_refers_to_itself_is_stated_as_far_as_it_can_be() {
    let circle = json!({"type": "object", "properties": {
        "id": {"type": "integer"}, "a": {"$ref": "#"}, "b": {"$ref": "#"}, "c": {"$ref": "#"}, "d": {"$ref": "#"},
        "e": {"type": "array", "items": {"$ref": "#/definitions/e"}},
    }, "definitions": {"e": {"type": "object", "properties": {"x": {"type": "string"}, "f": {"$ref": "#/definitions/f"}}},
        "f": {"type": "object", "properties": {"e": {"$ref": "#/definitions/e"}, "y": {"type": "boolean"}, "root": {"$ref": "#"}}}}});
    let run = read("", &[with_source(airbyte("users", "incremental"), &circle)]).succeeded();
    let schema = run.only("sourcedSchema")["documentSchema"].clone();
    let names = |schema: &Value| -> Vec<String> {
        schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(&schema), ["e", "id", "_meta"], "what cannot be stated is left to what Flow infers");
    let e = &schema["properties"]["e"]["items"];
    assert_eq!((names(e), names(&e["properties"]["f"])), (vec!["f".into(), "x".into()], vec!["y".into()]));
    assert_eq!(e["properties"]["f"]["additionalProperties"], false);

    let catalog = json!({"type": "CATALOG", "catalog": {"streams": [{"name": "users", "json_schema": circle, "supported_sync_modes": ["full_refresh"]}]}});
    let yaml = "protocol: airbyte\ncommand: [flow-shim, replay, FOLDER]\nschema: {mode: source}\n";
    let files =
        [("spec.jsonl", SPEC), ("discover.jsonl", &(catalog.to_string() + "\n")), ("read.jsonl", RECORD)];
    let connector = Connector::shim(yaml, &files);
    let found = connector.run(&[json!({"discover": {"config": {}}})]).succeeded().only("discovered");
    let published = found["bindings"][0]["documentSchema"].clone();
    assert_eq!(published["properties"]["a"]["$ref"], "#", "Flow follows references");
    let mut users = airbyte("users", "incremental");
    users["collection"]["writeSchema"] = published;
    assert_eq!(connector.run(&[open(json!({}), &[users], json!({}))]).succeeded().documents(0).len(), 1);
}

#[test]
fn nobody_is_told_who_does_not_infer_or_does_not_want_it() {
    let mut strict = with_schema(airbyte("users", "incremental"));
    strict["collection"]["writeSchema"]["x-infer-schema"] = json!(false);
    assert!(read("", &[strict]).succeeded().all("sourcedSchema").is_empty());
    let off = read("schema: {sourced: false}", &[with_schema(airbyte("users", "incremental"))]);
    assert!(off.succeeded().all("sourcedSchema").is_empty());
}

#[test]
fn a_schema_that_widens_on_the_way_is_told_before_the_next_document() {
    let script = r#"
case "$*" in *discover*) echo '{"streams":[{"tap_stream_id":"users","stream":"users","schema":{"properties":{"id":{"type":"integer"},"a":{"type":"string"}}},"metadata":[]}]}'; exit 0;; --about*) echo '{"settings":{}}'; exit 0;; esac
printf '%s' "$LINES"
"#;
    let schema = |properties: Value| {
        json!({"type": "SCHEMA", "stream": "users", "key_properties": [], "schema": {"properties": properties}}).to_string() + "\n"
    };
    let record = json!({"type": "RECORD", "stream": "users", "record": {"id": 1}}).to_string() + "\n";
    let swapped = schema(json!({"a": {"type": "string"}, "id": {"type": "integer"}}));
    let wider = schema(json!({"id": {"type": "integer"}, "a": {"type": "string"}, "b": {"type": "boolean"}}));
    let lines = [&*swapped, &record, &swapped, &wider, &wider, &record, &swapped, &record].concat();
    let run = Connector::new(&["run", "--protocol", "singer", "--", "sh", "-c", script, "tap"])
        .variable("LINES", &lines)
        .run(&[open(json!({}), &[singer("users", "INCREMENTAL")], json!({}))]);
    // INCREMENTAL without a key to go by is the tap's own business here.
    let kinds: Vec<&str> = run
        .succeeded()
        .responses
        .iter()
        .filter_map(|response| {
            ["opened", "sourcedSchema", "checkpoint", "captured"]
                .into_iter()
                .find(|kind| response.get(kind).is_some())
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "opened",
            "sourcedSchema",
            "checkpoint",
            "captured",
            "checkpoint",
            "sourcedSchema",
            "checkpoint",
            "captured",
            "captured",
            "checkpoint"
        ]
    );
}

#[test]
fn documents_get_as_much_of_meta_as_the_shim_says() {
    let document = |meta: &str| {
        read(&format!("document: {{meta: {meta}}}"), &[airbyte("users", "incremental")])
            .succeeded()
            .documents(0)
    };
    assert_eq!(document("full"), [json!({"_meta": {"op": "u", "row_id": 0}, "id": 1})]);
    assert_eq!(document("rowId"), [json!({"_meta": {"row_id": 0}, "id": 1})]);
    assert_eq!(document("none"), [json!({"id": 1})]);
}

#[test]
fn a_key_that_is_left_out_is_refused() {
    let by_place =
        binding(json!({"stream": "users", "syncMode": "full_refresh"}), &["users"], &["/_meta/row_id"]);
    let run = read("document: {meta: none}", std::slice::from_ref(&by_place));
    assert_eq!(run.code, 4);
    assert!(run.last_words().contains("/_meta/row_id") && run.last_words().contains("document.meta"));
    let yaml = "protocol: airbyte\ncommand: [flow-shim, replay, FOLDER]\ndocument: {meta: none}";
    let validate = json!({"validate": {"config": {}, "bindings": [by_place]}});
    let run = Connector::shim(yaml, &[("spec.jsonl", SPEC)]).run(&[validate]);
    assert_eq!(run.code, 4, "{}", run.last_words());
    assert!(run.last_words().contains("document.meta"));
}

#[test]
fn discovered_schemas_ask_for_what_documents_have() {
    let catalog = "{\"type\":\"CATALOG\",\"catalog\":{\"streams\":[{\"name\":\"users\",\"json_schema\":{},\"supported_sync_modes\":[\"full_refresh\"]}]}}\n";
    for (meta, root, inner) in [
        ("full", json!(["_meta"]), json!(["op", "row_id"])),
        ("rowId", json!(["_meta"]), json!(["row_id"])),
        ("none", Value::Null, Value::Null),
    ] {
        let yaml =
            format!("protocol: airbyte\ncommand: [flow-shim, replay, FOLDER]\ndocument: {{meta: {meta}}}");
        let connector = Connector::shim(&yaml, &[("spec.jsonl", SPEC), ("discover.jsonl", catalog)]);
        let run = connector.run(&[json!({"discover": {"config": {}}})]).succeeded();
        let schema = run.only("discovered")["bindings"][0]["documentSchema"].clone();
        assert_eq!(
            (&schema["required"], &schema["properties"]["_meta"]["required"]),
            (&root, &inner),
            "{meta}"
        );
    }
}
