//! Full refreshes: what a second one changes, what a failed one leaves, and what Flow is told.

use serde_json::{Value, json};

use crate::flow_model::Collection;
use crate::harness::{Connector, Run, airbyte, binding, open, singer};
use crate::messages::{SPEC, state, status};
use crate::state_file::{echoing, given};

pub(crate) fn record(stream: &str, text: &str) -> String {
    let data = json!({"v": text});
    format!(
        "{{\"type\":\"RECORD\",\"record\":{{\"stream\":\"{stream}\",\"data\":{data},\"emitted_at\":1}}}}\n"
    )
}

pub(crate) fn records(texts: &[&str]) -> String {
    texts.iter().map(|text| record("users", text)).collect()
}

pub(crate) fn by_place(stream: &str) -> Value {
    let resource = json!({"stream": stream, "syncMode": "full_refresh"});
    binding(resource, &[stream], &["/_meta/row_id"])
}

pub(crate) fn by_key(stream: &str) -> Value {
    binding(json!({"stream": stream, "syncMode": "full_refresh"}), &[stream], &["/v"])
}

/// A capture over several sessions: its state and its collection.
pub(crate) struct Capture {
    shim: &'static str,
    pub(crate) bindings: Vec<Value>,
    pub(crate) config: Value,
    pub(crate) state: Value,
    pub(crate) collection: Collection,
}

impl Capture {
    pub(crate) fn new(shim: &'static str, bindings: &[Value]) -> Self {
        let (bindings, collection) = (bindings.to_vec(), Collection::default());
        Self { shim, bindings, config: json!({}), state: json!({}), collection }
    }

    /// One session, in which upstream prints these lines.
    pub(crate) fn session(&mut self, lines: &str) -> Run {
        let yaml = format!("protocol: airbyte\ncommand: [flow-shim, replay, FOLDER]\n{}", self.shim);
        let connector = Connector::shim(&yaml, &[("read.jsonl", lines), ("spec.jsonl", SPEC)]);
        let run = connector.run(&[open(self.config.clone(), &self.bindings, self.state.clone())]);
        self.state = run.state(std::mem::take(&mut self.state));
        self.collection.commit(&run, 0);
        run
    }

    pub(crate) fn entry(&self) -> &Value {
        &self.state["bindingStateV1"]["users"]
    }

    pub(crate) fn holds(&self, texts: &[&str]) {
        let expected: Vec<Value> = texts.iter().map(|text| json!({"v": text})).collect();
        assert_eq!(self.collection.rows(), expected);
    }
}

fn snapshots() -> Capture {
    Capture::new("", &[by_place("users")])
}

fn appends() -> Capture {
    Capture::new("streams: {overrides: {users: {refresh: append}}}", &[by_place("users")])
}

#[test]
fn an_unchanged_snapshot_emits_nothing_at_all() {
    let mut capture = snapshots();
    assert_eq!(capture.session(&records(&["a", "b", "c"])).succeeded().documents(0).len(), 3);
    let state = capture.state.clone();
    let again = capture.session(&records(&["a", "b", "c"])).succeeded();
    assert_eq!(again.responses, [json!({"opened": {}})]);
    assert_eq!(capture.state, state);
    let swapped = capture.session(&records(&["b", "a", "c"])).succeeded();
    assert_eq!(swapped.documents(0).len(), 3, "order is part of it");
    capture.holds(&["b", "a", "c"]);
}

#[test]
fn rows_that_are_gone_are_deleted() {
    let mut capture = snapshots();
    capture.session(&records(&["a", "b", "c", "d"])).succeeded();
    let run = capture.session(&records(&["a", "c"])).succeeded();
    let deletes: Vec<Value> = run.documents(0).into_iter().filter(|d| d["_meta"]["op"] == "d").collect();
    assert_eq!(deletes, [2, 3].map(|row| json!({"_meta": {"op": "d", "row_id": row}})));
    capture.holds(&["a", "c"]);
    capture.session(&status("users", "COMPLETE")).succeeded();
    capture.holds(&[]);
    capture.session(&records(&["z"])).succeeded();
    capture.holds(&["z"]);
}

#[test]
fn a_refresh_that_failed_deletes_nothing_and_the_next_one_is_whole() {
    let mut capture = snapshots();
    capture.session(&records(&["a", "b", "c"])).succeeded();
    let failed = capture.session(&(records(&["x"]) + "#! exit 1\n"));
    assert_eq!(failed.code, 11);
    assert!(failed.all("checkpoint").is_empty(), "{:?}", failed.responses);
    capture.holds(&["a", "b", "c"]);
    capture.session(&records(&["x", "y"])).succeeded();
    capture.holds(&["x", "y"]);
    assert_eq!(capture.entry()["rowId"], 2);
}

#[test]
fn a_refresh_that_was_stopped_is_not_complete() {
    let mut capture = snapshots();
    capture.session(&records(&["a", "b"])).succeeded();
    let run = capture.session(&(records(&["a"]) + "#! signal 15\n"));
    assert_eq!(run.code, 11);
    capture.holds(&["a", "b"]);
}

#[test]
fn a_refresh_goes_on_over_any_number_of_crashes() {
    let mut capture = snapshots();
    let old: Vec<&str> = vec!["1", "2", "3", "4", "5", "6"];
    capture.session(&records(&old)).succeeded();
    let page = |n: usize| state("users", &json!({"page": n}));
    capture.session(&(records(&["a", "b"]) + &page(1) + &records(&["lost"]) + "#! exit 1\n"));
    assert_eq!(capture.entry()["rowId"], 2);
    capture.session("#! signal 9\n");
    capture.session(&(records(&["c"]) + &page(2) + "#! signal 9\n"));
    capture.holds(&["a", "b", "c", "4", "5", "6"]);
    let last =
        page(3) + &records(&["e"]) + &state("users", &json!({"__ab_full_refresh_sync_complete": true}));
    capture.session(&(records(&["d"]) + &last)).succeeded();
    capture.holds(&["a", "b", "c", "d", "e"]);
    assert_eq!(capture.entry()["state"], json!([]), "the next refresh begins anew");
    let next = records(&["a", "b"]) + &page(1) + &records(&["c"]) + &page(2) + &records(&["d"]) + &page(3);
    let run = capture.session(&(next + &records(&["e"]))).succeeded();
    capture.holds(&["a", "b", "c", "d", "e"]);
    assert!(run.documents(0).len() <= 5);
}

#[test]
fn a_marker_of_the_end_is_no_position() {
    let mut capture = snapshots();
    let marker = state("users", &json!({"__ab_no_cursor_state_message": true}));
    // The stream was read, then the source died of something else.
    capture.session(&(records(&["a", "b"]) + &marker + "#! signal 9\n"));
    assert!(capture.entry()["state"].to_string().contains("__ab_no_cursor_state_message"), "it is kept");
    let asked = echoing("airbyte", "").run(&[open(json!({}), &capture.bindings, capture.state.clone())]);
    assert_eq!(given(&asked.succeeded()), None, "the next refresh begins at the beginning");
    capture.session(&(records(&["a", "b"]) + &marker)).succeeded();
    capture.holds(&["a", "b"]);
}

#[test]
fn an_append_keeps_every_refresh_and_no_half_of_one() {
    let mut capture = appends();
    capture.session(&records(&["a", "b"])).succeeded();
    capture.session(&records(&["a", "b"])).succeeded();
    capture.holds(&["a", "b", "a", "b"]);
    let page = state("users", &json!({}));
    capture.session(&(records(&["x", "y", "z"]) + &page + "#! exit 1\n"));
    capture.holds(&["a", "b", "a", "b", "x", "y", "z"]);
    capture.session(&records(&["c"])).succeeded();
    capture.holds(&["a", "b", "a", "b", "c"]);
    assert_eq!(capture.entry()["refresh"], json!([]));
}

#[test]
fn a_state_of_an_older_shim_becomes_a_snapshot() {
    let mut capture = snapshots();
    capture.session(&records(&["a", "b", "c"])).succeeded();
    capture.state = json!({"bindingStateV1": {"users": {"rowId": 3}}});
    capture.session(&records(&["a"])).succeeded();
    capture.holds(&["a"]);
}

#[test]
fn rows_of_another_mode_meanwhile_go_with_the_next_snapshot() {
    let mut capture = snapshots();
    capture.session(&records(&["a", "b"])).succeeded();
    let incremental = json!({"stream": "users", "syncMode": "incremental"});
    capture.bindings = vec![binding(incremental, &["users"], &["/_meta/row_id"])];
    capture.session(&records(&["a", "b"])).succeeded();
    capture.holds(&["a", "b", "a", "b"]);
    capture.bindings = vec![by_place("users")];
    capture.session(&records(&["a", "b"])).succeeded();
    capture.holds(&["a", "b"]);
}

#[test]
fn rows_that_another_mode_wrote_over_are_not_taken_for_those_of_a_failed_snapshot() {
    let [a, b] = ["a", "b"].map(|text| text.repeat(1 << 20));
    let mut capture = Capture::new("read: {checkpointEvery: {documents: 1}}", &[by_place("users")]);
    capture.session(&(records(&[&a, &b]) + "#! exit 1\n"));
    capture.holds(&[&a, &b]);
    let incremental = json!({"stream": "users", "syncMode": "incremental"});
    capture.bindings = vec![binding(incremental, &["users"], &["/_meta/row_id"])];
    capture.session(&records(&["x"])).succeeded();
    capture.holds(&["x", &b]);
    capture.bindings = vec![by_place("users")];
    capture.session(&records(&[&a])).succeeded();
    capture.holds(&[&a]);
}

#[test]
fn a_keyed_refresh_goes_on_counting() {
    let mut capture = Capture::new("", &[by_key("users")]);
    capture.session(&records(&["a", "b"])).succeeded();
    let run = capture.session(&records(&["a"])).succeeded();
    assert_eq!(run.documents(0), [json!({"_meta": {"op": "u", "row_id": 2}, "v": "a"})]);
    assert_eq!(capture.entry(), &json!({"rowId": 3}));
}

#[test]
fn a_stream_that_is_complete_does_not_wait_for_one_that_fails() {
    let mut capture = Capture::new("", &[by_place("users"), by_place("orders")]);
    let good = |texts: &[&str]| status("users", "STARTED") + &records(texts) + &status("users", "COMPLETE");
    let bad = status("orders", "STARTED") + &record("orders", "x") + &status("orders", "INCOMPLETE");
    let run = capture.session(&(good(&["a", "b", "c"]) + &bad + "#! exit 1\n"));
    assert_eq!((run.code, run.uncommitted()), (11, 0));
    capture.session(&(good(&["a"]) + &bad + "#! exit 1\n"));
    capture.holds(&["a"]);
    assert!(capture.state["bindingStateV1"]["orders"].get("rowId").is_none());
    let killed = capture.session(&(good(&["z"]) + &bad + "#! signal 9\n"));
    assert_eq!(killed.code, 11);
    capture.holds(&["a"]);
}

#[test]
fn a_stream_without_states_gets_checkpoints_on_its_way() {
    let shim = "read: {checkpointEvery: {documents: 2}}";
    let mut capture = Capture::new(shim, &[by_place("users"), airbyte("orders", "incremental")]);
    let failed =
        capture.session(&(record("orders", "o") + &records(&["a", "b", "c", "d", "e"]) + "#! exit 1\n"));
    assert_eq!((failed.all("checkpoint").len(), failed.uncommitted()), (2, 1));
    capture.holds(&["a", "b", "c", "d"]);
    assert!(capture.state["bindingStateV1"].get("orders").is_none(), "no cursor moves: {}", capture.state);
    assert!(capture.entry().get("state").is_none(), "{}", capture.state);
    capture.session(&records(&["a", "b"])).succeeded();
    capture.holds(&["a", "b"]);

    let mut by_bytes = Capture::new("read: {checkpointEvery: {bytes: 20B}}", &[by_place("users")]);
    let run = by_bytes.session(&records(&["0123456789012345", "b", "0123456789012345"])).succeeded();
    assert_eq!(run.all("checkpoint").len(), 3, "two on the way, and the end's");
}

#[test]
fn a_stream_with_states_is_left_to_its_states() {
    let shim = "read: {checkpointEvery: {documents: 1}}";
    let mut capture = Capture::new(shim, &[airbyte("users", "incremental")]);
    let run = capture.session(&(records(&["a", "b"]) + &state("users", &json!({"c": 1})))).succeeded();
    assert_eq!(run.all("checkpoint").len(), 1);
    let mut resumable = snapshots();
    resumable.shim = shim;
    let page = state("users", &json!({"page": 1}));
    let run = resumable.session(&(page + &records(&["a", "b"]))).succeeded();
    assert_eq!(run.all("checkpoint").len(), 2, "the state's and the end's");
}

#[test]
fn rows_behind_a_foreign_state_are_written_over() {
    let resource = json!({"stream": "users", "syncMode": "incremental"});
    let events = binding(resource, &["users"], &["/_meta/row_id"]);
    let mut capture = Capture::new("", &[events, airbyte("orders", "incremental")]);
    let own = state("users", &json!({"c": 1}));
    let foreign = state("orders", &json!({"c": 1}));
    capture.session(&(records(&["a"]) + &own + &records(&["b"]) + &foreign + "#! exit 1\n"));
    capture.holds(&["a", "b"]);
    capture.session(&records(&["b", "c"])).succeeded();
    capture.holds(&["a", "b", "c"]);
}

#[test]
fn counts_that_differ_are_told_and_nothing_is_deleted() {
    let counted = |stream: &str, count: f64| {
        let body = json!({"type": "STREAM", "stream": {"stream_descriptor": {"name": stream}}, "sourceStats": {"recordCount": count}});
        format!("{{\"type\":\"STATE\",\"state\":{body}}}\n")
    };
    let mut capture = snapshots();
    capture.session(&(records(&["a", "b"]) + &counted("users", 2.0))).succeeded();
    let run = capture.session(&(records(&["a"]) + &counted("users", 2.0))).succeeded();
    let told = run.logs.iter().find(|log| log["fields"]["upstream"] == 2).expect("a warning");
    assert_eq!(
        (&told["level"], &told["fields"]["stream"], &told["fields"]["received"]),
        (&json!("warn"), &json!("users"), &json!(1))
    );
    capture.holds(&["a", "b"]);
    let good = capture.session(&(records(&["a"]) + &counted("users", 1.0))).succeeded();
    assert!(!good.logs.iter().any(|log| log["fields"].get("received").is_some()));
    capture.holds(&["a"]);
}

/// A tap that prints these lines, once for a session without state and once with one.
pub(crate) fn tap(lines: &str, state: Value) -> Run {
    let script = r#"
case "$*" in *discover*) echo '{"streams":[{"tap_stream_id":"users","stream":"users","schema":{},"metadata":[]},{"tap_stream_id":"orders","stream":"orders","schema":{},"metadata":[]}]}'; exit 0;; --about*) echo '{"settings":{}}'; exit 0;; esac
printf '%s' "$LINES" | sed '/^exit /,$d'
case "$LINES" in *"exit 1"*) exit 1;; esac
"#;
    let by_place = |stream: &str| {
        let mut binding = singer(stream, "FULL_TABLE");
        binding["collection"]["key"] = json!(["/_meta/row_id"]);
        binding
    };
    Connector::new(&["run", "--protocol", "singer", "--", "sh", "-c", script, "tap"])
        .variable("LINES", lines)
        .run(&[open(json!({}), &[by_place("users"), by_place("orders")], state)])
}

pub(crate) fn row(stream: &str, text: &str, version: u64) -> String {
    json!({"type": "RECORD", "stream": stream, "record": {"v": text}, "version": version}).to_string() + "\n"
}

pub(crate) fn version(stream: &str, version: u64) -> String {
    json!({"type": "ACTIVATE_VERSION", "stream": stream, "version": version}).to_string() + "\n"
}

pub(crate) fn value(bookmarks: &Value) -> String {
    json!({"type": "STATE", "value": {"bookmarks": bookmarks, "currently_syncing": null}}).to_string() + "\n"
}

#[test]
fn a_closing_version_ends_a_table_and_an_opening_one_does_not() {
    let (mut collection, mut kept) = (Collection::default(), json!({}));
    let mut session = |lines: &str| {
        let run = tap(lines, kept.clone());
        kept = run.state(kept.clone());
        collection.commit(&run, 0);
        let rows: Vec<String> =
            collection.rows().iter().map(|row| row["v"].as_str().unwrap_or("").to_owned()).collect();
        (run.code, rows.join(""))
    };
    let whole = version("users", 1) + &row("users", "a", 1) + &row("users", "b", 1) + &version("users", 1);
    assert_eq!(session(&whole), (0, "ab".to_owned()));
    // An opening one alone, then a failure: not whole.
    assert_eq!(session(&(version("users", 2) + &row("users", "x", 2) + "exit 1\n")), (11, "ab".to_owned()));
    // A closing one, then another table fails: whole.
    let closed = row("users", "y", 3) + &version("users", 3) + &row("orders", "o", 3);
    assert_eq!(session(&(closed + "exit 1\n")), (11, "y".to_owned()));
    // None at all: the end of the run tells.
    assert_eq!(session(&(row("users", "y", 3) + &row("users", "z", 3))), (0, "yz".to_owned()));
}

#[test]
fn the_first_half_of_a_resumed_table_stays() {
    let (mut collection, mut kept) = (Collection::default(), json!({}));
    let half =
        value(&json!({"users": {"version": 1, "last_pk_fetched": {"id": 2}, "max_pk_values": {"id": 4}}}));
    let done = value(&json!({"users": {"initial_full_table_complete": true}}));
    let first = row("users", "a", 1) + &row("users", "b", 1) + &half + &row("users", "c", 1) + "exit 1\n";
    // MySQL taps go on with another version (recorded so).
    let second =
        version("users", 2) + &row("users", "c", 2) + &row("users", "d", 2) + &version("users", 2) + &done;
    for lines in [first, second] {
        let run = tap(&lines, kept.clone());
        kept = run.state(kept);
        collection.commit(&run, 0);
    }
    assert_eq!(collection.rows(), ["a", "b", "c", "d"].map(|text| json!({"v": text})));
    assert_eq!(kept["bindingStateV1"]["users"]["rowId"], 4);
}

#[test]
fn a_tap_that_reads_what_is_new_deletes_nothing() {
    for bookmark in [json!("2024-01-01"), json!({"replication_key_value": "2024-01-01"})] {
        let lines = row("users", "a", 1) + &value(&json!({"users": bookmark}));
        let first = tap(&(row("users", "b", 1) + &lines), json!({})).succeeded();
        let second = tap(&lines, first.state(json!({}))).succeeded();
        let row_ids: Vec<Value> = second.documents(0).iter().map(|d| d["_meta"].clone()).collect();
        assert_eq!(row_ids, [json!({"op": "u", "row_id": 2})]);
    }
}
