//! STREAM, GLOBAL and LEGACY states, one after the other and mixed, and what a tap's state may hold.

use serde_json::{Value, json};

use crate::harness::{binding, open, singer};
use crate::messages::{RECORD_WITHOUT_TIME, both, state};
use crate::state_file::{echoing, echoing_shim, given};

/// A GLOBAL state with this log position, which names these streams.
fn global(lsn: u32, streams: &[&str]) -> String {
    let states: Vec<Value> = streams
        .iter()
        .map(|name| json!({"stream_descriptor": {"name": name}, "stream_state": {"at": lsn}}))
        .collect();
    let global = json!({"shared_state": {"lsn": lsn}, "stream_states": states});
    json!({"type": "STATE", "state": {"type": "GLOBAL", "global": global}}).to_string() + "\n"
}

fn session(lines: &str, bindings: &[Value], before: Value) -> (Option<Value>, Value) {
    let run = echoing("airbyte", lines).run(&[open(json!({}), bindings, before.clone())]).succeeded();
    (given(&run), run.state(before))
}

fn backfilled(binding: Value, version: u32) -> Value {
    let mut binding = binding;
    let key = format!("{}.v{version}", binding["stateKey"].as_str().expect("a key"));
    binding["stateKey"] = json!(key);
    binding
}

#[test]
fn a_backfilled_binding_starts_alone_and_the_log_goes_on() {
    let (_, kept) = session(&global(7, &["users", "orders"]), &both(), json!({}));
    let [users, orders] = both();
    let bindings = [backfilled(users, 1), orders];
    let (file, kept) = session(&global(8, &["orders"]), &bindings, kept);
    let file = file.expect("a state file");
    assert_eq!(file[0]["global"]["shared_state"], json!({"lsn": 7}));
    assert_eq!(file[0]["global"]["stream_states"].as_array().map(Vec::len), Some(1));
    assert_eq!(file[0]["global"]["stream_states"][0]["stream_descriptor"]["name"], "orders");
    let (file, _) = session("", &bindings, kept);
    assert_eq!(file.expect("a file")[0]["global"]["shared_state"], json!({"lsn": 8}));
}

#[test]
fn with_every_binding_backfilled_the_log_starts_anew() {
    let (_, kept) = session(&global(7, &["users", "orders"]), &both(), json!({}));
    let bindings = both().map(|binding| backfilled(binding, 1));
    let (file, kept) = session(RECORD_WITHOUT_TIME, &bindings, kept);
    assert_eq!(file, None);
    let (file, _) = session("", &bindings, kept);
    assert_eq!(file, None, "the old position must not come back beside new snapshots");
}

#[test]
fn a_stream_that_the_log_went_on_without_starts_anew() {
    let (_, kept) = session(&global(7, &["users", "orders"]), &both(), json!({}));
    let [users, orders] = both();
    let (_, kept) = session(&global(9, &["orders"]), std::slice::from_ref(&orders), kept);
    let (file, _) = session("", &[users, orders], kept);
    let states = file.expect("a file")[0]["global"]["stream_states"].clone();
    assert_eq!(states.as_array().map(Vec::len), Some(1), "{states}");
    assert_eq!(states[0]["stream_descriptor"]["name"], "orders");
}

#[test]
fn a_global_state_and_states_by_stream_are_kept_side_by_side() {
    let lines = global(1, &["users"]) + &state("orders", "{\"page\":3}") + &global(2, &["users"]);
    let (_, kept) = session(&lines, &both(), json!({}));
    let (file, _) = session("", &both(), kept);
    let file = file.expect("a file");
    assert_eq!(file[0]["global"]["shared_state"], json!({"lsn": 2}));
    assert_eq!(file[1]["stream"]["stream_state"], json!({"page": 3}));
    assert_eq!(file.as_array().map(Vec::len), Some(2));
}

#[test]
fn a_stream_outside_of_the_log_keeps_its_state_when_flow_has_sorted_it() {
    let lines = global(1, &["users"]) + &state("orders", "{\"page\":3}");
    let (_, mut kept) = session(&lines, &both(), json!({}));
    kept.sort_all_objects();
    let (_, kept) = session(&global(2, &["users"]), &both(), kept);
    let (file, _) = session("", &both(), kept);
    assert_eq!(file.expect("a file")[1]["stream"]["stream_state"], json!({"page": 3}));
}

#[test]
fn a_source_that_moves_from_legacy_to_streams_loses_no_stream() {
    let legacy = "{\"type\":\"STATE\",\"state\":{\"data\":{\"users\":{\"c\":1},\"orders\":{\"c\":2}}}}\n";
    let (_, kept) = session(legacy, &both(), json!({}));
    let (file, kept) = session(&state("users", "{\"c\":5}"), &both(), kept);
    assert_eq!(file, Some(json!({"users": {"c": 1}, "orders": {"c": 2}})), "the form it wrote last");
    let (file, _) = session("", &both(), kept);
    let file = file.expect("a file");
    assert_eq!(file[0]["stream"]["stream_state"], json!({"c": 5}));
    assert_eq!(file[1]["stream"], json!({"stream_descriptor": {"name": "orders"}, "stream_state": {"c": 2}}));
}

#[test]
fn the_form_can_be_asked_for() {
    let legacy = "{\"type\":\"STATE\",\"state\":{\"data\":{\"users\":{\"c\":1}}}}\n";
    let (_, kept) = session(legacy, &both(), json!({}));
    let file = |format: &str| {
        let yaml = format!("protocol: airbyte\nstate: {{format: {format}}}\n");
        let run = echoing_shim(&yaml, "").run(&[open(json!({}), &both(), kept.clone())]).succeeded();
        given(&run).expect("a file")
    };
    assert_eq!(file("auto"), json!({"users": {"c": 1}}));
    assert_eq!(file("legacy"), json!({"users": {"c": 1}}));
    assert_eq!(file("stream")[0]["type"], "STREAM");
    assert_eq!(file("global")[0]["global"]["stream_states"][0]["stream_state"], json!({"c": 1}));
}

#[test]
fn an_empty_state_replaces_one_only_where_it_names_the_stream() {
    let full = "{\"type\":\"STATE\",\"state\":{\"data\":{\"users\":{\"c\":1}}}}\n";
    let empty = "{\"type\":\"STATE\",\"state\":{\"data\":{}}}\n";
    let (_, kept) = session(full, &both(), json!({}));
    let (_, kept) = session(empty, &both(), kept);
    let (file, _) = session("", &both(), kept);
    assert_eq!(file, Some(json!({"users": {"c": 1}})));
    let (_, kept) = session(&(state("users", "{\"c\":1}") + &state("users", "{}")), &both(), json!({}));
    let (file, _) = session("", &both(), kept);
    assert_eq!(file.expect("a file")[0]["stream"]["stream_state"], json!({}), "it said so");
}

#[test]
fn null_absent_and_empty_namespaces_are_one() {
    for namespace in [json!({}), json!({"namespace": null}), json!({"namespace": ""})] {
        let mut descriptor = json!({"name": "users"});
        let members = namespace.as_object().expect("an object").clone();
        descriptor.as_object_mut().expect("an object").extend(members.clone());
        let mut resource = json!({"stream": "users", "syncMode": "incremental"});
        let state =
            json!({"type": "STREAM", "stream": {"stream_descriptor": descriptor, "stream_state": {"c": 1}}});
        let line = json!({"type": "STATE", "state": state}).to_string() + "\n";
        for bound in [json!({}), json!({"namespace": null}), json!({"namespace": ""})] {
            resource
                .as_object_mut()
                .expect("an object")
                .extend(bound.as_object().expect("an object").clone());
            let bindings = [binding(resource.clone(), &["users"], &["/id"])];
            let (_, kept) = session(&line, &bindings, json!({}));
            let (file, _) = session("", &bindings, kept);
            assert_eq!(file, Some(json!([state])), "as the source wrote it");
        }
    }
}

fn tap_session(value: &Value, bindings: &[Value], before: Value) -> (Option<Value>, Value) {
    let line = match value {
        Value::Null => String::new(),
        value => json!({"type": "STATE", "value": value}).to_string() + "\n",
    };
    let run = echoing("singer", &line).run(&[open(json!({}), bindings, before.clone())]).succeeded();
    (given(&run), run.state(before))
}

fn tap_bindings() -> [Value; 2] {
    [singer("users", "FULL_TABLE"), singer("orders", "FULL_TABLE")]
}

#[test]
fn every_shape_of_a_taps_state_comes_back() {
    for value in [
        json!({"bookmarks": {"users": {"partitions": [{"context": {"a": 1}, "replication_key": "id", "replication_key_value": null}]}}}),
        json!({"bookmarks": {"users": "2024-01-01", "orders": 7}}),
        json!({"bookmarks": {"owner/repo": {"users": {"since": null}}}, "currently_syncing": null}),
        json!({"start_date": "2024-11-24"}),
        json!({"users": 2, "start_date": "2024-11-24"}),
        json!({"bookmarks": {"users": {}}, "activate_versions": {"users": 5}, "custom": null}),
        json!({"activate_versions": {"users": 5}}),
        json!({"bookmarks": {"users": {"version": 1, "xmin": null}}, "currently_syncing": "users"}),
    ] {
        let (_, kept) = tap_session(&value, &tap_bindings(), json!({}));
        let (file, _) = tap_session(&Value::Null, &tap_bindings(), kept);
        assert_eq!(file, Some(value));
    }
}

#[test]
fn a_backfilled_stream_of_a_tap_starts_alone() {
    let value = json!({"bookmarks": {"users": {"v": 1}, "orders": {"v": 2}}, "activate_versions": {"users": 5, "orders": 6}, "currently_syncing": "users"});
    let (_, kept) = tap_session(&value, &tap_bindings(), json!({}));
    let [users, orders] = tap_bindings();
    let bindings = [backfilled(users, 1), orders];
    let (file, _) = tap_session(&Value::Null, &bindings, kept);
    let expected = json!({"bookmarks": {"orders": {"v": 2}}, "activate_versions": {"orders": 6}, "currently_syncing": null});
    assert_eq!(file, Some(expected));
}

#[test]
fn a_tap_that_begins_with_an_empty_state_forgets_nothing() {
    let value = json!({"bookmarks": {"users": {"v": 1}}});
    let (_, kept) = tap_session(&value, &tap_bindings(), json!({}));
    for empty in [json!({}), json!({"bookmarks": {}}), json!({"currently_syncing": "users"})] {
        let (_, after) = tap_session(&empty, &tap_bindings(), kept.clone());
        let (file, _) = tap_session(&Value::Null, &tap_bindings(), after);
        assert_eq!(file.as_ref(), Some(&value), "{empty}");
    }
}
