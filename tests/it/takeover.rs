//! Captures that older connectors ran go on where they were, and their states become ours.

use serde_json::{Value, json};

use crate::harness::{Run, airbyte, binding, open, repository, singer};
use crate::messages::{both, record, state};
use crate::state_file::{echoing, echoing_shim, given};

fn fixture(name: &str) -> Value {
    let path = repository("fixtures/states").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).expect("a fixture")).expect("JSON")
}

/// What upstream was given, by stream.
fn cursors(run: &Run) -> Value {
    let file = given(run).expect("a state file");
    let by_stream = |entry: &Value| {
        assert_eq!(entry["type"], "STREAM");
        let stream = &entry["stream"];
        (
            stream["stream_descriptor"]["name"].as_str().expect("a name").to_owned(),
            stream["stream_state"].clone(),
        )
    };
    Value::Object(file.as_array().expect("a list").iter().map(by_stream).collect())
}

/// A session from the old state, and what the next one, from the new state, is given.
fn taken_over(old: &str, lines: &str) -> (Run, Value, Run) {
    let first = echoing("airbyte", lines).run(&[open(json!({}), &both(), fixture(old))]).succeeded();
    let kept = first.state(fixture(old));
    let second = echoing("airbyte", "").run(&[open(json!({}), &both(), kept.clone())]).succeeded();
    (first, kept, second)
}

fn row_ids(run: &Run, binding: u64) -> Vec<u64> {
    run.documents(binding).iter().filter_map(|document| document["_meta"]["row_id"].as_u64()).collect()
}

#[test]
fn airbyte_to_flow_by_stream() {
    let lines = record("users") + &state("users", "{\"updated_at\":\"2024-06-01\"}");
    let (first, kept, second) = taken_over("airbyte-to-flow-by-stream.json", &lines);
    let old = json!({"users": {"updated_at": "2024-05-01"}, "orders": {"cursor": "abc"}});
    assert_eq!(cursors(&first), old);
    assert_eq!(row_ids(&first, 0), [0], "it kept no row ids");
    let members = kept.as_object().expect("an object");
    assert!(members.keys().all(|name| name == "bindingStateV1"), "{kept}");
    assert!(kept["bindingStateV1"]["orders"]["state"].is_array(), "{kept}");
    let new = json!({"users": {"updated_at": "2024-06-01"}, "orders": {"cursor": "abc"}});
    assert_eq!(cursors(&second), new);
}

#[test]
fn a_take_over_needs_no_word_of_upstream() {
    let (_, kept, second) = taken_over("airbyte-to-flow-by-stream.json", "");
    assert!(kept["users"].is_null() && kept["orders"].is_null(), "{kept}");
    assert_eq!(cursors(&second)["orders"], json!({"cursor": "abc"}));
}

#[test]
fn airbyte_to_flow_with_members_of_the_source() {
    let old = fixture("airbyte-to-flow-legacy.json");
    let (first, kept, second) = taken_over("airbyte-to-flow-legacy.json", "");
    assert_eq!(given(&first), Some(old.clone()), "it is handed back as it was");
    assert_eq!(kept["shared"][0]["data"], json!({"cdc": true, "cdc_state": {"lsn": 7}}));
    assert_eq!(given(&second), Some(old));
    let moved = echoing("airbyte", &state("orders", "{\"c\":1}"))
        .run(&[open(json!({}), &both(), kept.clone())])
        .succeeded()
        .state(kept);
    let third = echoing("airbyte", "").run(&[open(json!({}), &both(), moved)]).succeeded();
    assert_eq!(cursors(&third), json!({"users": {"updated_at": "2024-05-01"}, "orders": {"c": 1}}));
}

#[test]
fn airbyte_to_flow_as_a_list() {
    let (first, kept, second) = taken_over("airbyte-to-flow-list.json", &record("users"));
    let old = json!({"users": {"updated_at": "2024-05-01"}, "orders": {"cursor": "abc"}});
    assert_eq!(cursors(&first), old);
    assert!(kept["bindingStateV1"]["users"]["state"].is_array(), "{kept}");
    assert_eq!(cursors(&second), old);
}

#[test]
fn the_form_can_be_asked_for() {
    let run = echoing_shim("protocol: airbyte\nstate: {format: legacy}\n", "")
        .run(&[open(json!({}), &both(), fixture("airbyte-to-flow-by-stream.json"))])
        .succeeded();
    assert_eq!(given(&run), Some(fixture("airbyte-to-flow-by-stream.json")));
}

#[test]
fn streams_of_one_name_are_read_anew_and_that_is_said() {
    let of = |namespace: &str| {
        let resource = json!({"stream": "orders", "namespace": namespace, "syncMode": "incremental"});
        binding(resource, &[namespace, "orders"], &["/id"])
    };
    let bindings = [of("a"), of("b"), airbyte("users", "incremental")];
    let run = echoing("airbyte", "")
        .run(&[open(json!({}), &bindings, fixture("airbyte-to-flow-by-stream.json"))])
        .succeeded();
    assert_eq!(cursors(&run), json!({"users": {"updated_at": "2024-05-01"}}));
    assert!(run.logged(Some("warn"), "namespaces apart"), "{:?}", run.logs);
}

#[test]
fn the_shim_of_the_airbyte_cdk() {
    let lines = record("users") + &record("orders") + &state("users", "{}");
    let (first, kept, _) = taken_over("airbyte-cdk-shim.json", &lines);
    assert_eq!(cursors(&first), json!({"users": {"updated_at": "2024-05-01"}}));
    assert_eq!((row_ids(&first, 0), row_ids(&first, 1)), (vec![1042], vec![0]));
    let entries = &kept["bindingStateV1"];
    assert_eq!(entries["users"]["rowId"], 1043);
    assert_eq!(entries["users"]["state"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        entries["gone"],
        fixture("airbyte-cdk-shim.json")["bindingStateV1"]["gone"],
        "others are left alone"
    );
    let mut bindings = both();
    bindings[0]["stateKey"] = json!("users.v1");
    let run = echoing("airbyte", &record("users"))
        .run(&[open(json!({}), &bindings, fixture("airbyte-cdk-shim.json"))])
        .succeeded();
    assert_eq!((given(&run), row_ids(&run, 0)), (None, vec![0]), "a backfill starts anew");
}

#[test]
fn the_airbyte_shim_of_flow_sdk() {
    let (first, kept, second) = taken_over("airbyte-flow-sdk-shim.json", &record("users"));
    assert_eq!(row_ids(&first, 0), [451_234]);
    assert_eq!(kept["bindingStateV1"]["users"]["rowId"], 451_235);
    assert_eq!(cursors(&second), json!({"users": {"updated_at": "2024-05-01"}}));
}

#[test]
fn the_singer_shim_of_flow_sdk() {
    let old = fixture("singer-flow-sdk-shim.json");
    // That shim's resource configs were whole catalog entries.
    let entry = |stream: &str| {
        let mut binding = singer(stream, "INCREMENTAL");
        binding["resourceConfig"] = json!({
            "tap_stream_id": stream, "stream": stream, "replication_method": "INCREMENTAL", "replication_key": "id",
            "key_properties": ["id"], "is_view": false, "table_name": stream, "_meta": {"path": [stream]},
            "metadata": [{"breadcrumb": [], "metadata": {"selected": true}}],
        });
        binding
    };
    let bindings = [entry("users"), entry("orders")];
    let lines = "{\"type\":\"RECORD\",\"stream\":\"users\",\"record\":{\"id\":1}}\n{\"type\":\"RECORD\",\"stream\":\"orders\",\"record\":{\"id\":1}}\n";
    let first = echoing("singer", lines).run(&[open(json!({}), &bindings, old.clone())]).succeeded();
    let orders = old["bindingStateV1"]["orders"].clone();
    let users = json!({"replication_key": "updated_at", "replication_key_value": "2024-05-01T00:00:00Z"});
    let bookmarks = json!({"bookmarks": {"users": users, "orders": orders}});
    assert_eq!(given(&first), Some(bookmarks.clone()), "the tap never sees the counter");
    assert_eq!((row_ids(&first, 0), row_ids(&first, 1)), (vec![1043], vec![0]));
    let kept = first.state(old);
    assert_eq!(kept["bindingStateV1"]["users"], json!({"rowId": 1044, "state": [users]}));
    let second = echoing("singer", "").run(&[open(json!({}), &bindings, kept)]).succeeded();
    assert_eq!(given(&second), Some(bookmarks));
}

#[test]
fn resource_configs_of_older_shims_are_accepted() {
    for resource in [
        json!({"stream": "users", "syncMode": "incremental", "namespace": null, "cursorField": ["a"], "_meta": {"path": ["users"]}}),
        json!({"stream": "users", "syncMode": "full_refresh", "primaryKey": [["id"]]}),
    ] {
        let bindings = [binding(resource, &["users"], &["/id"])];
        echoing("airbyte", "").run(&[open(json!({}), &bindings, json!({}))]).succeeded();
    }
}

#[test]
fn a_state_of_another_protocol_is_refused() {
    for (protocol, binding, old) in [
        ("singer", singer("users", "FULL_TABLE"), "airbyte-to-flow-by-stream.json"),
        ("singer", singer("users", "FULL_TABLE"), "airbyte-cdk-shim.json"),
        ("airbyte", airbyte("users", "incremental"), "singer-flow-sdk-shim.json"),
    ] {
        let run = echoing(protocol, "").run(&[open(json!({}), &[binding], fixture(old))]);
        assert!(run.last_words().contains("another connector"), "{old}: {}", run.last_words());
        assert!(run.all("checkpoint").is_empty(), "{old}: Flow's state stays as it is");
    }
}
