//! What becomes of records.

use serde_json::json;

use crate::harness::{Connector, airbyte, open};
use crate::messages::SPEC;

fn played(lines: &str) -> crate::harness::Run {
    let connector = Connector::playing("airbyte", &[("read.jsonl", lines), ("spec.jsonl", SPEC)]);
    connector.run(&[open(
        json!({}),
        &[airbyte("users", "incremental"), airbyte("orders", "full_refresh")],
        json!({}),
    )])
}

#[test]
fn records_keep_their_bytes_and_get_meta() {
    let connector = Connector::playing(
        "airbyte",
        &[
            ("spec.jsonl", SPEC),
            (
                "read.jsonl",
                "{\"type\": \"RECORD\", \"record\": {\"stream\": \"users\", \"data\": {\"id\": 1, \"n\": 1234567890123456789012345678901234567890, \"f\": 1.10, \"z\": -0.0, \"e\": 1e400, \"s\": \"\\u00e9\"}, \"emitted_at\": 1}}\n",
            ),
        ],
    );
    let request = open(json!({}), &[airbyte("users", "incremental")], json!({})).to_string() + "\n";
    let output = connector.run_bytes(request.as_bytes());
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(
        text.contains(r#""doc":{"_meta":{"op":"u","row_id":0},"id": 1, "n": 1234567890123456789012345678901234567890, "f": 1.10, "z": -0.0, "e": 1e400, "s": "\u00e9"}}}"#),
        "{text}"
    );
}

#[test]
fn rows_are_counted_for_each_binding() {
    let run = played(concat!(
        "{\"type\":\"RECORD\",\"record\":{\"stream\":\"users\",\"data\":{\"id\":1},\"emitted_at\":1}}\n",
        "{\"type\":\"RECORD\",\"record\":{\"stream\":\"orders\",\"data\":{\"id\":1},\"emitted_at\":1}}\n",
        "{\"type\":\"RECORD\",\"record\":{\"stream\":\"users\",\"namespace\":\"\",\"data\":{\"id\":2,\"_meta\":{\"x\":1}},\"emitted_at\":1}}\n",
    ))
    .succeeded();
    assert_eq!(
        run.documents(0),
        [
            json!({"_meta": {"op": "u", "row_id": 0}, "id": 1}),
            json!({"_meta": {"op": "u", "row_id": 1, "x": 1}, "id": 2})
        ]
    );
    assert_eq!(run.documents(1).len(), 1);
    assert_eq!(run.uncommitted(), 0);
    assert_eq!(run.state(json!({}))["bindingStateV1"]["users"]["rowId"], 2);
}

#[test]
fn records_of_streams_that_no_binding_reads_are_named_once() {
    let script = r#"case "$1" in spec) printf '%s' "$SPEC"; exit 0;; esac
for id in 1 2 3; do echo "{\"type\":\"RECORD\",\"record\":{\"stream\":\"strangers\",\"data\":{\"id\":$id}}}"; done"#;
    let connector = Connector::new(&["run", "--protocol", "airbyte", "--", "sh", "-c", script, "upstream"]);
    let connector = connector.variable("SPEC", SPEC);
    let run = connector.run(&[open(json!({}), &[airbyte("users", "incremental")], json!({}))]).succeeded();
    let told: Vec<&serde_json::Value> =
        run.logs.iter().filter(|log| log["fields"]["stream"] == "strangers").collect();
    assert_eq!(told.len(), 2, "when the first came, and at the end");
    assert_eq!(told[1]["fields"]["times"], 3);
}

#[test]
fn what_a_source_damaged_is_kept_and_told() {
    let changes = json!([{"field": "name", "change": "NULLED", "reason": "SOURCE_FIELD_SIZE_LIMITATION"}]);
    let record = |data: serde_json::Value, meta: serde_json::Value| {
        json!({"type": "RECORD", "record": {"stream": "users", "data": data, "meta": meta, "emitted_at": 1}})
            .to_string()
            + "\n"
    };
    let lines = [
        record(json!({"id": 1, "name": null}), json!({"changes": changes})),
        record(json!({"id": 2, "name": "x"}), json!({"changes": []})),
        record(json!({"id": 3, "_meta": {"own": 1}}), json!({"changes": changes})),
        record(json!({"id": 4, "_ab_cdc_deleted_at": "2024"}), json!({"changes": changes})),
    ];
    let run = played(&lines.concat()).succeeded();
    let metas: Vec<serde_json::Value> =
        run.documents(0).iter().map(|document| document["_meta"].clone()).collect();
    assert_eq!(
        metas,
        [
            json!({"op": "u", "row_id": 0, "changes": changes}),
            json!({"op": "u", "row_id": 1}),
            json!({"op": "u", "row_id": 2, "changes": changes, "own": 1}),
            json!({"op": "d", "row_id": 3, "changes": changes}),
        ]
    );
    let told: Vec<&serde_json::Value> =
        run.logs.iter().filter(|log| log["fields"]["change"] == "NULLED").collect();
    assert_eq!(told.len(), 2, "with the first, and at the end: {told:?}");
    let fields = &told[1]["fields"];
    assert_eq!(
        (&told[1]["level"], &fields["stream"], &fields["field"]),
        (&json!("warn"), &json!("users"), &json!("name"))
    );
    assert_eq!((&fields["reason"], &fields["times"]), (&json!("SOURCE_FIELD_SIZE_LIMITATION"), &json!(3)));
}

#[test]
fn deletes_are_marked() {
    let run = played(concat!(
        "{\"type\":\"RECORD\",\"record\":{\"stream\":\"users\",\"data\":{\"id\":1,\"_ab_cdc_deleted_at\":\"2024-01-01\"},\"emitted_at\":1}}\n",
        "{\"type\":\"RECORD\",\"record\":{\"stream\":\"users\",\"data\":{\"id\":2,\"_ab_cdc_deleted_at\":null},\"emitted_at\":1}}\n",
    ))
    .succeeded();
    assert_eq!(run.documents(0)[0]["_meta"]["op"], "d");
    assert_eq!(run.documents(0)[1]["_meta"]["op"], "u");
}

#[test]
fn text_that_is_not_json_is_mended_and_counted() {
    let run = played(concat!(
        "{\"type\":\"RECORD\",\"record\":{\"stream\":\"users\",\"data\":{\"id\":1,\"v\":NaN,\"w\":-Infinity,\"s\":\"NaN\"},\"emitted_at\":1}}\n",
        "{\"type\":\"RECORD\",\"record\":{\"stream\":\"users\",\"data\":{\"id\":2,\"s\":\"\\ud800\"},\"emitted_at\":1}}\n",
    ))
    .succeeded();
    assert_eq!(
        run.documents(0)[0],
        json!({"_meta": {"op": "u", "row_id": 0}, "id": 1, "v": null, "w": null, "s": "NaN"})
    );
    assert_eq!(run.documents(0)[1]["s"], "\u{fffd}");
    assert!(run.logs.iter().any(|log| log["fields"]["records"] == 2 && log["level"] == "warn"));
}

#[test]
fn one_name_in_two_namespaces_is_two_bindings() {
    let lines = concat!(
        "{\"type\":\"RECORD\",\"record\":{\"stream\":\"orders\",\"namespace\":\"b\",\"data\":{\"id\":1},\"emitted_at\":1}}\n",
        "{\"type\":\"RECORD\",\"record\":{\"stream\":\"orders\",\"namespace\":\"a\",\"data\":{\"id\":2},\"emitted_at\":1}}\n",
    );
    let connector = Connector::playing("airbyte", &[("read.jsonl", lines), ("spec.jsonl", SPEC)]);
    let bind = |namespace: &str| {
        crate::harness::binding(
            json!({"namespace": namespace, "stream": "orders", "syncMode": "full_refresh"}),
            &[namespace, "orders"],
            &["/id"],
        )
    };
    let run = connector.run(&[open(json!({}), &[bind("a"), bind("b")], json!({}))]).succeeded();
    assert_eq!(run.documents(0)[0]["id"], 2);
    assert_eq!(run.documents(1)[0]["id"], 1);
}
