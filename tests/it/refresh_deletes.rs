//! What a snapshot deletes: nothing that upstream did not speak of, no more than the shim allows, and any
//! number of rows in bounded sequences.

use serde_json::{Value, json};

use crate::flow_model::{self, Collection};
use crate::harness::Run;
use crate::messages::{state, status};
use crate::refreshes::{Capture, by_place, record, records, row, tap, value, version};

/// So many rows of `users`.
fn rows(count: usize) -> String {
    (0..count).map(|n| record("users", &n.to_string())).collect()
}

fn unread(run: &Run) -> Vec<&Value> {
    let unread = |log: &&Value| {
        log["level"] == "warn"
            && log["message"].as_str().is_some_and(|text| text.contains("counts as unread"))
    };
    run.logs.iter().filter(unread).map(|log| &log["fields"]["stream"]).collect()
}

#[test]
fn a_stream_of_which_nothing_was_said_is_left_as_it_is() {
    let mut capture = Capture::new("", &[by_place("users")]);
    let texts = ["a", "b", "c"];
    let read = status("users", "STARTED") + &records(&texts) + &status("users", "COMPLETE");
    capture.session(&read).succeeded();
    let state_before = capture.state.clone();
    let skipped = "{\"type\":\"LOG\",\"log\":{\"level\":\"WARN\",\"message\":\"In stream 'users': field 'id' is INTEGER but the catalog expects NUMBER.\"}}\n";
    for silence in [skipped, ""] {
        let run = capture.session(silence).succeeded();
        assert_eq!(unread(&run), [&json!("users")]);
        capture.holds(&texts);
        assert_eq!(capture.state, state_before);
    }
    for word in [status("users", "COMPLETE"), state("users", &json!({"__ab_no_cursor_state_message": true}))]
    {
        capture.session(&records(&texts)).succeeded();
        let run = capture.session(&word).succeeded();
        assert_eq!(unread(&run), Vec::<&Value>::new());
        capture.holds(&[]);
    }
}

#[test]
fn a_silent_stream_beside_others_is_left_and_they_are_not() {
    let mut capture = Capture::new("", &[by_place("users"), by_place("orders")]);
    capture.session(&(records(&["a", "b"]) + &record("orders", "o"))).succeeded();
    let run = capture.session(&records(&["a"])).succeeded();
    assert_eq!(unread(&run), [&json!("orders")]);
    capture.holds(&["a"]);
    assert!(run.documents(1).is_empty());
    let status = |log: &&Value| log["fields"]["eventType"] == "connectorStatus";
    let last = run.logs.iter().rfind(status).expect("a status")["message"].clone();
    assert_eq!(last, "Up to date: 1 stream read to the end, 1 unread (see the log)");
}

#[test]
fn a_taps_table_needs_its_schema_or_records() {
    let schema = |stream: &str| {
        json!({"type": "SCHEMA", "stream": stream, "schema": {"type": "object"}, "key_properties": []})
            .to_string()
            + "\n"
    };
    let first = schema("users")
        + &row("users", "a", 1)
        + &schema("orders")
        + &row("orders", "o", 1)
        + &value(&json!({"users": {"version": 1}, "orders": {"version": 1}}));
    let repeated = value(&json!({"users": {"version": 1}, "orders": {"version": 1}}));
    for (lines, left, silent) in [
        (schema("users") + &repeated, [0, 1], vec!["orders"]),
        (repeated.clone(), [1, 1], vec!["users", "orders"]),
        (row("users", "a", 2) + &version("users", 2) + &version("orders", 2), [1, 1], vec!["orders"]),
    ] {
        let run = tap(&first, json!({})).succeeded();
        let mut collections = [Collection::default(), Collection::default()];
        let again = tap(&lines, run.state(json!({}))).succeeded();
        for (binding, collection) in (0..).zip(&mut collections) {
            collection.commit(&run, binding);
            collection.commit(&again, binding);
        }
        assert_eq!(
            unread(&again),
            silent.iter().map(|&name| json!(name)).collect::<Vec<_>>().iter().collect::<Vec<_>>(),
            "{lines}"
        );
        assert_eq!(collections.map(|collection| collection.rows().len()), left, "{lines}");
    }
}

#[test]
fn an_interval_does_not_run_for_a_stream_that_was_not_read() {
    let mut capture = Capture::new("streams: {overrides: {users: {interval: 1h}}}", &[by_place("users")]);
    capture.session("").succeeded();
    assert!(capture.entry().get("readAt").is_none(), "{}", capture.state);
    capture.session(&records(&["a"])).succeeded();
    assert!(capture.entry()["readAt"].is_string(), "{}", capture.state);
}

#[test]
fn many_deletes_are_told_to_operators_with_both_counts() {
    let mut capture = Capture::new("", &[by_place("users")]);
    capture.session(&rows(1001)).succeeded();
    let told = |run: &Run| -> Vec<Value> {
        let observed =
            run.logs.iter().filter(|log| log["fields"]["observable"] == true && log["level"] == "warn");
        observed
            .map(|log| json!([log["fields"]["stream"], log["fields"]["deleted"], log["fields"]["held"]]))
            .collect()
    };
    assert_eq!(
        told(&capture.session(&rows(501)).succeeded()),
        [Value::Null; 0],
        "half of them is not more than half"
    );
    capture.session(&rows(1001)).succeeded();
    assert_eq!(told(&capture.session(&rows(500)).succeeded()), [json!(["users", 501, 1001])]);
    assert_eq!(told(&capture.session(&rows(1)).succeeded()), [Value::Null; 0], "a small collection");
}

#[test]
fn more_deletes_than_are_allowed_fail_before_the_first_until_they_are_allowed() {
    let limited = "read: {maxDeletedShare: 0.5}";
    let mut capture = Capture::new(limited, &[by_place("users"), by_place("orders")]);
    capture.session(&(records(&["a", "b", "c", "d"]) + &record("orders", "o"))).succeeded();
    let half = capture.session(&(records(&["a", "b"]) + &record("orders", "p"))).succeeded();
    let deleted = |run: &Run| run.documents(0).iter().filter(|d| d["_meta"]["op"] == "d").count();
    assert_eq!(deleted(&half), 2);
    let page = state("users", &json!({"page": 1}));
    capture.session(&(records(&["a", "b", "c"]) + &record("orders", "q"))).succeeded();
    let refused = capture.session(&(records(&["z"]) + &page + &record("orders", "r")));
    let fields = &refused.logs.last().expect("last words")["fields"];
    assert_eq!((refused.code, &fields["code"]), (10, &json!("too-many-deletes")));
    assert_eq!(
        (&fields["stream"], &fields["deleted"], &fields["held"]),
        (&json!("users"), &json!(2), &json!(3))
    );
    assert_eq!(deleted(&refused), 0);
    assert_eq!(refused.uncommitted(), 0, "the other stream is committed");
    capture.holds(&["z", "b", "c"]);
    assert_eq!(capture.entry().get("state"), Some(&json!([])), "the next refresh begins anew");
    capture.session(&(records(&["a", "b", "c"]) + &record("orders", "r"))).succeeded();
    capture.holds(&["a", "b", "c"]);
    // Without the limit, all of them may go.
    let mut allowed = Capture::new("", &capture.bindings);
    (allowed.state, allowed.collection) = (capture.state, capture.collection);
    allowed.session(&(status("users", "COMPLETE") + &status("orders", "COMPLETE"))).succeeded();
    allowed.holds(&[]);
}

#[test]
fn any_number_of_deletes_goes_out_in_parts_from_the_end_on() {
    for shim in ["", "read: {parallelism: 2}"] {
        let bindings = [by_place("users"), by_place("orders")];
        let mut capture = Capture::new(shim, &bindings);
        capture.state = json!({"bindingStateV1": {"users": {"rowId": 120_000, "refresh": [{"blocks": [[120_000]]}]}, "orders": {}}});
        let run = capture.session(&(records(&["a"]) + &record("orders", "o"))).succeeded();
        let deleted: Vec<u64> = run
            .documents(0)
            .iter()
            .filter(|d| d["_meta"]["op"] == "d")
            .filter_map(|d| d["_meta"]["row_id"].as_u64())
            .collect();
        assert_eq!(
            (deleted.len(), deleted.iter().min(), deleted.iter().max()),
            (119_999, Some(&1), Some(&119_999))
        );
        assert_eq!(capture.entry()["rowId"], 1);

        // Each checkpoint says how far rows may still reach.
        let mut state =
            json!({"bindingStateV1": {"users": {"rowId": 120_000, "refresh": [{"blocks": [[120_000]]}]}}});
        let mut left: u64 = 120_000;
        let mut parts = 0;
        for response in &run.responses {
            if let Some(captured) = response.get("captured") {
                let delete =
                    captured["binding"].as_u64().unwrap_or(0) == 0 && captured["doc"]["_meta"]["op"] == "d";
                left -= u64::from(delete);
            } else if let Some(checkpoint) = response.get("checkpoint") {
                state = flow_model::reduce(state, std::slice::from_ref(checkpoint));
                let blocks = state["bindingStateV1"]["users"]["refresh"][0]["blocks"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default();
                let reach: u64 = blocks.iter().filter_map(|block| block[0].as_u64()).sum();
                assert!(reach >= left, "{reach} rows are known of {left}");
                parts += 1;
            }
        }
        assert!(parts >= 3, "{parts} checkpoints");
    }
}

#[test]
fn deletes_that_were_cut_off_are_finished_by_the_next_refresh() {
    for shim in ["", "streams: {overrides: {users: {refresh: append}}}"] {
        let mut capture = Capture::new(shim, &[by_place("users")]);
        capture.session(&records(&["a"])).succeeded();
        let held = if shim.is_empty() {
            json!([{"blocks": [[1], [120_000]]}])
        } else {
            json!([{"from": 1, "reach": 120_001}])
        };
        capture.state["bindingStateV1"]["users"]["refresh"] = held;
        let run = capture.session(&records(&["a"])).succeeded();
        let cut = run.all("checkpoint").len() - 1;
        assert!(cut > 0, "there are several");
        capture.state = json!({"bindingStateV1": {"users": {"rowId": 1}}});
        capture.state = flow_model::reduce(capture.state, &run.all("checkpoint")[..cut]);
        let again = capture.session(&records(&["a"])).succeeded();
        let deleted = again.documents(0).iter().filter(|d| d["_meta"]["op"] == "d").count();
        assert!(deleted > 0 && deleted < 60_000, "{deleted} were left");
    }
}
