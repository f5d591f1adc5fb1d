//! What is kept between sessions, and what upstream gets back.

use serde_json::{Value, json};

use crate::harness::{airbyte, open, singer};
use crate::messages::both;
use crate::state_file::{echoing, given};

fn state(stream: &str, cursor: &str) -> String {
    format!(
        "{{\"type\":\"STATE\",\"state\":{{\"type\":\"STREAM\",\"stream\":{{\"stream_descriptor\":{{\"name\":\"{stream}\"}},\"stream_state\":{{\"c\":{cursor}}}}},\"sourceStats\":{{\"recordCount\":0.0}}}}}}\n"
    )
}

#[test]
fn states_of_streams_are_kept_apart_and_given_back() {
    let lines = state("users", "null") + &state("orders", "12345678901234567890123");
    let first = echoing("airbyte", &lines).run(&[open(json!({}), &both(), json!({}))]).succeeded();
    assert_eq!(given(&first), None, "no state, no --state");
    assert_eq!(first.all("checkpoint").len(), 2);
    let kept = first.state(json!({}));
    let second = echoing("airbyte", "").run(&[open(json!({}), &both(), kept)]).succeeded();
    let file = given(&second).expect("a state file");
    assert_eq!(
        file[0]["stream"],
        json!({"stream_descriptor": {"name": "users"}, "stream_state": {"c": null}})
    );
    assert_eq!(file[0]["type"], "STREAM");
    assert!(
        first.text.contains(r#""stream_state":{"c":12345678901234567890123}"#),
        "numbers keep their digits"
    );
}

#[test]
fn a_backfill_of_one_binding_leaves_the_other_alone() {
    let kept = echoing("airbyte", &(state("users", "1") + &state("orders", "2")))
        .run(&[open(json!({}), &both(), json!({}))])
        .succeeded()
        .state(json!({}));
    let mut bindings = both();
    bindings[0]["stateKey"] = json!("users.v1");
    bindings[0]["backfill"] = json!(1);
    let run = echoing("airbyte", "").run(&[open(json!({}), &bindings, kept)]).succeeded();
    let file = given(&run).expect("a state file");
    assert_eq!(file.as_array().map(Vec::len), Some(1));
    assert_eq!(file[0]["stream"]["stream_descriptor"]["name"], "orders");
}

#[test]
fn a_checkpoint_touches_only_what_changed() {
    let run = echoing("airbyte", &(state("users", "1") + &state("orders", "2"))).run(&[open(
        json!({}),
        &both(),
        json!({}),
    )]);
    let checkpoints = run.succeeded().all("checkpoint");
    assert_eq!(checkpoints[0]["state"]["mergePatch"], true);
    let touched = checkpoints[1]["state"]["updated"]["bindingStateV1"].as_object().expect("bindings");
    assert_eq!(touched.keys().collect::<Vec<_>>(), ["orders"]);
}

#[test]
fn a_global_state_is_given_back_as_one() {
    let global = "{\"type\":\"STATE\",\"state\":{\"type\":\"GLOBAL\",\"global\":{\"shared_state\":{\"lsn\":null,\"x\":7},\"stream_states\":[{\"stream_descriptor\":{\"name\":\"users\"},\"stream_state\":{\"a\":1}},{\"stream_descriptor\":{\"name\":\"orders\"},\"stream_state\":{\"b\":2}}]}}}\n";
    let kept =
        echoing("airbyte", global).run(&[open(json!({}), &both(), json!({}))]).succeeded().state(json!({}));
    let run = echoing("airbyte", "").run(&[open(json!({}), &both(), kept)]).succeeded();
    let file = given(&run).expect("a state file");
    assert_eq!(file.as_array().map(Vec::len), Some(1));
    assert_eq!(file[0]["global"]["shared_state"], json!({"lsn": null, "x": 7}));
    assert_eq!(file[0]["global"]["stream_states"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_legacy_state_is_given_back_bare() {
    let legacy = "{\"type\":\"STATE\",\"state\":{\"data\":{\"users\":{\"c\":1},\"version\":3}}}\n";
    let kept =
        echoing("airbyte", legacy).run(&[open(json!({}), &both(), json!({}))]).succeeded().state(json!({}));
    let run = echoing("airbyte", "").run(&[open(json!({}), &both(), kept)]).succeeded();
    assert_eq!(given(&run), Some(json!({"version": 3, "users": {"c": 1}})));
}

#[test]
fn a_finished_full_refresh_starts_anew() {
    let bindings = [airbyte("users", "full_refresh"), airbyte("orders", "incremental")];
    let lines = state("users", "1") + &state("orders", "2");
    let kept =
        echoing("airbyte", &lines).run(&[open(json!({}), &bindings, json!({}))]).succeeded().state(json!({}));
    let file =
        given(&echoing("airbyte", "").run(&[open(json!({}), &bindings, kept)]).succeeded()).expect("a file");
    assert_eq!(file.as_array().map(Vec::len), Some(1));
    assert_eq!(file[0]["stream"]["stream_descriptor"]["name"], "orders");
}

#[test]
fn all_keys_of_a_taps_state_come_back() {
    let lines = "{\"type\":\"STATE\",\"value\":{\"bookmarks\":{\"users\":{\"lsn\":1,\"xmin\":null},\"gone\":{\"a\":1}},\"currently_syncing\":\"orders\",\"custom\":null}}\n";
    let bindings = [singer("users", "INCREMENTAL"), singer("orders", "FULL_TABLE")];
    let bindings = bindings.map(|mut binding| {
        binding["resourceConfig"]["replication_key"] = json!("id");
        binding
    });
    let kept =
        echoing("singer", lines).run(&[open(json!({}), &bindings, json!({}))]).succeeded().state(json!({}));
    let run = echoing("singer", "").run(&[open(json!({}), &bindings, kept)]).succeeded();
    let file = given(&run).expect("a state file");
    assert_eq!(file["bookmarks"], json!({"gone": {"a": 1}, "users": {"lsn": 1, "xmin": null}}));
    assert_eq!(file["custom"], Value::Null);
    assert!(file.as_object().is_some_and(|file| file.contains_key("custom")), "{file}");
    assert_eq!(file["currently_syncing"], Value::Null, "a stream without bookmark would be skipped");
    assert!(file.as_object().is_some_and(|file| file.contains_key("currently_syncing")), "{file}");
}

#[test]
fn a_damaged_state_ends_the_capture_before_it_is_lost() {
    let lines = state("users", "1")
        + "{\"type\":\"STATE\",\"state\":{\"type\":\"STREAM\",\"stream\":{\"stream_descr\n";
    let run = echoing("airbyte", &lines).run(&[open(json!({}), &both(), json!({}))]);
    assert_eq!(run.code, 12);
    assert!(run.last_words().contains("STATE"), "{}", run.last_words());
    assert_eq!(run.all("checkpoint").len(), 1, "what came before it is kept");
}
