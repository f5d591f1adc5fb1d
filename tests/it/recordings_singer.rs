//! What real taps printed, played byte by byte (`fixtures/singer`): the bindings, documents and
//! states that come of it, and the files that the tap would have been given.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::flow_model::Collection;
use crate::harness::{Connector, binding, open, repository, spec};
use crate::recorded_tap::{
    Tap, assert_all_records, assert_catalog_is_whole, config, discover_request, last_state, root, selection,
};

/// Name, key, method and replication key of each discovered stream.
fn offers(bindings: &[Value]) -> BTreeMap<&str, (Value, &str, &str)> {
    bindings
        .iter()
        .map(|binding| {
            let name = binding["recommendedName"].as_str().expect("a name");
            assert_eq!(binding["resourcePath"], json!([name]));
            assert_eq!(binding["disable"], Value::Null, "{name}");
            let of = |member: &str| binding["resourceConfig"][member].as_str().unwrap_or("");
            assert_eq!(of("tap_stream_id"), name);
            (name, (binding["key"].clone(), of("replication_method"), of("replication_key")))
        })
        .collect()
}

const FALLBACK: &str = "/_meta/row_id";
const SHOP: [(&str, &str, &str); 7] = [
    ("public-Weird.Name Table", "FULL_TABLE", ""),
    ("public-all_types", "FULL_TABLE", ""),
    ("public-events_nopk", "FULL_TABLE", ""),
    ("public-order_lines", "FULL_TABLE", ""),
    ("public-orders", "INCREMENTAL", "updated_at"),
    ("public-v_orders", "FULL_TABLE", ""),
    ("sales-orders", "FULL_TABLE", ""),
];
const LOG: [(&str, &str, &str); 2] = [("public-items", "LOG_BASED", ""), ("public-moves", "LOG_BASED", "")];

fn names<'a>(streams: &[(&'a str, &str, &str)]) -> Vec<&'a str> {
    streams.iter().map(|&(name, _, _)| name).collect()
}

#[test]
fn an_sdk_tap_tells_its_settings() {
    let tap = Tap::new("meltanolabs-tap-postgres");
    let schema = tap.ask(&[spec()]).succeeded().only("spec")["configSchema"].clone();
    assert_eq!(schema["properties"]["password"]["secret"], true);
    assert_eq!(schema["properties"]["stream_maps"]["advanced"], true);
    assert!(!schema.to_string().contains("writeOnly"));
    let told = tap.recorded("about.json");
    let settings = told["settings"]["properties"].as_object().expect("settings");
    assert!(settings.keys().eq(schema["properties"].as_object().expect("properties").keys()));
    let unmarked =
        Tap::new("tap-rest-api-msdk").ask(&[spec()]).succeeded().only("spec")["configSchema"].clone();
    for name in ["password", "client_secret", "bearer_token", "refresh_token"] {
        assert_eq!(unmarked["properties"][name]["secret"], true, "{name}, which its author did not mark");
    }
}

#[test]
fn keys_and_methods_are_found_in_each_familys_place() {
    let full = |key: &[&str]| (json!(key), "FULL_TABLE", "");
    for tap in ["meltanolabs-tap-postgres", "pipelinewise-tap-postgres"] {
        let bindings = Tap::new(tap).discover();
        let offers = offers(&bindings);
        assert_eq!(offers["public-Weird.Name Table"], full(&["/Id"]), "{tap}");
        assert_eq!(offers["public-order_lines"], full(&["/order_id", "/line_no"]), "{tap}");
        assert_eq!(offers["public-orders"], full(&["/id"]), "{tap}");
        assert_eq!(offers["sales-orders"], full(&["/id"]), "{tap}");
        for keyless in ["public-events_nopk", "public-v_orders"] {
            assert_eq!(offers[keyless], full(&[FALLBACK]), "{tap}");
        }
    }
    let bindings = Tap::new("singer-io-tap-mysql").discover();
    let offers_of_mysql = offers(&bindings);
    assert_eq!(offers_of_mysql.len(), 9);
    assert_eq!(offers_of_mysql["shop-moves"], full(&["/a", "/b"]));
    assert_eq!(offers_of_mysql["shop-v_orders"], full(&[FALLBACK]));
    let bindings = Tap::new("tap-rest-api-msdk").discover();
    let offers_of_api = offers(&bindings);
    assert_eq!(offers_of_api["events"], full(&[FALLBACK]));
    assert_eq!(offers_of_api["users"], (json!(["/id"]), "INCREMENTAL", "modified"));
}

#[test]
fn columns_that_the_tap_cannot_read_are_not_promised() {
    let bindings = Tap::new("pipelinewise-tap-postgres").discover();
    let all_types = bindings.iter().find(|b| b["recommendedName"] == "public-all_types").expect("a binding");
    let columns = all_types["documentSchema"]["x-source-schema"]["properties"].as_object().expect("columns");
    assert!(columns.contains_key("c_text"));
    assert!(!columns.contains_key("c_bytea") && !columns.contains_key("c_point"));
}

#[test]
fn a_database_is_read_whole_and_resumed() {
    for name in ["meltanolabs-tap-postgres", "pipelinewise-tap-postgres"] {
        let tap = Tap::new(name);
        let first = tap.read(&SHOP, json!({})).succeeded();
        let messages = tap.messages("read.jsonl");
        assert_all_records(&first, &messages, &names(&SHOP));
        assert_eq!(first.uncommitted(), 0, "{name}");
        assert!(!tap.seen.path().join("state.json").exists(), "{name}: there was no state to give");
        assert_eq!(selection(&tap.given("catalog.json")), selection(&tap.recorded("catalog.json")), "{name}");
        assert_catalog_is_whole(&tap);

        let kept = first.state(json!({}));
        let second = tap.read(&SHOP, kept.clone()).succeeded();
        assert_eq!(tap.given("state.json"), last_state(&messages), "{name}");
        let resumed = tap.messages("read-resumed.jsonl");
        for (binding, (stream, method, _)) in (0..).zip(SHOP) {
            let records = resumed.iter().filter(|m| m["type"] == "RECORD" && m["stream"] == stream).count();
            let sent = second.documents(binding).len();
            if method == "FULL_TABLE" {
                let mut collection = Collection::default();
                collection.commit(&first, binding);
                collection.commit(&second, binding);
                assert_eq!(collection.rows().len(), records, "{name} {stream}");
                let same = first.documents(binding).len() == records;
                assert!(sent == 0 || !same || sent == records, "{name} {stream}: {sent} of {records}");
            } else {
                assert_eq!(sent, records, "{name} {stream}");
            }
        }
        let after = second.state(kept);
        tap.read(&SHOP, after.clone()).succeeded();
        assert_eq!(tap.given("state.json"), last_state(&resumed), "{name}");
        let rows = first.documents(4).len() + second.documents(4).len();
        assert_eq!(after["bindingStateV1"]["public-orders"]["rowId"], rows);
    }
}

#[test]
fn a_backfilled_table_loses_its_bookmark_and_the_others_keep_theirs() {
    let tap = Tap::new("pipelinewise-tap-postgres");
    let mut kept = tap.read(&SHOP, json!({})).succeeded().state(json!({}));
    let states = kept["bindingStateV1"].as_object_mut().expect("states");
    states.shift_remove("public-orders");
    tap.read(&SHOP, kept).succeeded();
    let mut expected = last_state(&tap.messages("read.jsonl"));
    expected["bookmarks"].as_object_mut().expect("bookmarks").shift_remove("public-orders");
    assert_eq!(tap.given("state.json"), expected);
}

#[test]
fn only_the_bound_stream_is_selected() {
    let tap = Tap::new("tap-rest-api-msdk");
    let run = tap.read(&[("users", "INCREMENTAL", "")], json!({})).succeeded();
    assert_eq!(run.documents(0).len(), 50);
    assert!(run.logs.iter().any(|log| log["fields"]["stream"] == "events" && log["fields"]["times"] == 25));
    // Discovery had marked both.
    let chosen: Vec<bool> = selection(&tap.given("catalog.json")).into_iter().map(|entry| entry.1).collect();
    assert_eq!(chosen, [false, true]);
    assert_eq!(selection(&tap.given("catalog.json"))[1].2[2], "modified", "the only valid key is taken");
    assert_catalog_is_whole(&tap);
}

#[test]
fn an_old_tap_that_syncs_when_asked_to_discover_is_read() {
    let tap = Tap::new("tap-fixerio");
    let bindings = tap.discover();
    assert_eq!(offers(&bindings)["exchange_rate"], (json!(["/date"]), "FULL_TABLE", ""));
    let streams = [("exchange_rate", "FULL_TABLE", "")];
    let first = tap.read(&streams, json!({})).succeeded();
    assert_all_records(&first, &tap.messages("read.jsonl"), &["exchange_rate"]);
    let second = tap.read(&streams, first.state(json!({}))).succeeded();
    assert_eq!(tap.given("state.json"), json!({"start_date": "2026-11-24"}), "its flat state");
    assert_eq!(second.documents(0).len(), 1);
}

#[test]
fn an_exit_after_a_state_is_a_failure_with_the_critical_line() {
    let run = Tap::new("tap-fixerio-bad-key").read(&[("exchange_rate", "FULL_TABLE", "")], json!({}));
    assert_eq!(run.code, 10);
    assert!(run.last_words().contains("received status 401"), "{}", run.last_words());
}

#[test]
fn a_wrong_password_is_the_last_word_of_a_discovery() {
    let tap = Tap::new("meltanolabs-tap-postgres-failing");
    let run = tap.ask(&[spec(), discover_request()]);
    assert_eq!(run.code, 10);
    let words = run.last_words();
    assert!(words.contains("password authentication failed for user"), "{words}");
}

#[test]
fn records_under_bare_table_names_find_their_binding() {
    let tap = Tap::new("singer-io-tap-mysql");
    let streams = [("shop-events_nopk", "FULL_TABLE", ""), ("shop-order_lines", "FULL_TABLE", "")];
    let run = tap.read(&streams, json!({})).succeeded();
    assert_all_records(&run, &tap.messages("read.jsonl"), &["events_nopk", "order_lines"]);
    assert!(run.logs.iter().any(|log| log["fields"]["stream"] == "orders" && log["fields"]["times"] == 262));
    assert_catalog_is_whole(&tap);
}

#[test]
fn two_tables_of_one_name_are_told_apart() {
    let tap = Tap::new("singer-io-tap-mysql-failing");
    let streams = [
        ("sales-orders", "FULL_TABLE", ""),
        ("shop-all_types", "FULL_TABLE", ""),
        ("shop-orders", "INCREMENTAL", "updated_at"),
    ];
    let run = tap.read(&streams, json!({}));
    let renamed: Vec<(Value, Value)> = tap.given("catalog.json")["streams"]
        .as_array()
        .expect("streams")
        .iter()
        .filter(|entry| root(entry)["selected"] == true)
        .map(|entry| (entry["tap_stream_id"].clone(), entry["stream"].clone()))
        .collect();
    let pair = |id: &str, stream: &str| (json!(id), json!(stream));
    assert_eq!(
        renamed,
        [
            pair("sales-orders", "sales-orders"),
            pair("shop-all_types", "all_types"),
            pair("shop-orders", "shop-orders")
        ]
    );
    assert_eq!((run.documents(0).len(), run.documents(1).len()), (12, 1));

    // It fails later, on a date; what came after the last state is not committed.
    assert_eq!(run.code, 10);
    assert!(run.last_words().contains("year 10000 is out of range"), "{}", run.last_words());
    let version = run.state(json!({}));
    assert_eq!(version["bindingStateV1"]["sales-orders"]["rowId"], 12, "it was read to its end");
    assert!(version["bindingStateV1"]["shop-all_types"].get("rowId").is_none(), "it was not");
    // Its state names a stream in progress that has no bookmark: a resumed tap would skip that.
    tap.read(&streams, run.state(json!({})));
    let given = tap.given("state.json");
    assert_eq!(
        given,
        json!({"currently_syncing": null, "bookmarks": {"sales-orders": {"initial_full_table_complete": true}}})
    );
}

#[test]
fn logs_are_read_with_their_deletes() {
    for (name, deletes) in
        [("meltanolabs-tap-postgres-log-based", 2), ("pipelinewise-tap-postgres-log-based", 2)]
    {
        let tap = Tap::new(name);
        let first = tap.read(&LOG, json!({})).succeeded();
        assert_all_records(&first, &tap.messages("read.jsonl"), &names(&LOG));
        assert_catalog_is_whole(&tap);
        assert_eq!(selection(&tap.given("catalog.json")), selection(&tap.recorded("catalog.json")), "{name}");
        let second = tap.read(&LOG, first.state(json!({}))).succeeded();
        assert_eq!(tap.given("state.json"), last_state(&tap.messages("read.jsonl")), "{name}");
        let of = |op: &str| second.all("captured").iter().filter(|c| c["doc"]["_meta"]["op"] == op).count();
        assert_eq!((of("d"), of("u")), (deletes, 8 - deletes), "{name}");
    }
}

#[test]
fn updates_that_lack_a_column_are_merged_into_their_rows() {
    for name in ["meltanolabs-tap-postgres-log-based", "pipelinewise-tap-postgres-log-based"] {
        let bindings = Tap::new(name).discover();
        let items = bindings.iter().find(|b| b["recommendedName"] == "public-items").expect("a binding");
        assert_eq!(items["documentSchema"]["else"]["reduce"], json!({"strategy": "merge"}), "{name}");
    }
    let bindings = Tap::new("tap-rest-api-msdk").discover();
    assert!(bindings.iter().all(|binding| binding["documentSchema"].get("else").is_none()));
}

#[test]
fn a_binary_log_is_read_under_bare_names() {
    let tap = Tap::new("singer-io-tap-mysql-log-based");
    let streams = [("shop-items", "LOG_BASED", ""), ("shop-moves", "LOG_BASED", "")];
    let first = tap.read(&streams, json!({})).succeeded();
    assert_all_records(&first, &tap.messages("read.jsonl"), &["items", "moves"]);
    assert_eq!(selection(&tap.given("catalog.json")), selection(&tap.recorded("catalog.json")));
    let second = tap.read(&streams, first.state(json!({}))).succeeded();
    assert_eq!(tap.given("state.json"), last_state(&tap.messages("read.jsonl")));
    assert_eq!((second.documents(0).len(), second.documents(1).len()), (2, 1));
}

#[test]
fn batch_files_are_read_in_their_place_and_removed() {
    let tap = Tap::new("meltanolabs-tap-postgres-batch");
    let batches = tap.seen.path().join("batches");
    std::fs::create_dir(&batches).expect("a folder");
    let streams = [SHOP[2], SHOP[3], SHOP[4]];
    let run = tap.read(&streams, json!({})).succeeded();
    let counts: Vec<usize> = (0..3).map(|binding| run.documents(binding).len()).collect();
    assert_eq!(counts, [43, 180, 251]);
    assert_eq!(std::fs::read_dir(&batches).expect("a folder").count(), 0);
    // Each state follows the documents that it covers.
    let kinds: Vec<&str> = run.responses[1..]
        .iter()
        .filter(|response| response.get("sourcedSchema").is_none())
        .map(|response| if response.get("checkpoint").is_some() { "checkpoint" } else { "document" })
        .collect();
    let runs: Vec<usize> =
        kinds.chunk_by(|a, b| a == b).filter(|c| c[0] == "document").map(<[&str]>::len).collect();
    assert_eq!(runs.iter().sum::<usize>(), 474);
    assert_eq!(runs[..2], [43, 100], "events, then the first file of order_lines");
}

#[test]
fn a_recording_is_a_transcript() {
    let folder = repository("fixtures/singer/meltanolabs-tap-postgres");
    let folder = folder.to_str().expect("UTF-8");
    let connector = Connector::new(&["run", "--protocol", "singer", "--", "flow-shim", "replay", folder]);
    let resource = json!({"tap_stream_id": "public-orders", "replication_method": "INCREMENTAL", "replication_key": "updated_at"});
    let request =
        |state: Value| open(config(), &[binding(resource.clone(), &["public-orders"], &["/id"])], state);
    let first = connector.run(&[request(json!({}))]).succeeded();
    assert_eq!(first.documents(0).len(), 250);
    let second = connector.run(&[request(first.state(json!({})))]).succeeded();
    assert!(second.documents(0).is_empty(), "the state covers everything");
}
