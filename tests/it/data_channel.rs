//! Airbyte's data channel: records through sockets, and states that wait for them.

use serde_json::{Value, json};

use crate::channel_captures::{FORMS, bindings, committed, done, kept, read, shim, state, stream};
use crate::channel_source::{source, source_in_turns};
use crate::harness::{Run, open};

#[test]
fn records_come_through_two_sockets_in_both_forms() {
    for form in FORMS {
        let steps = [
            "out plain text of a JVM".to_owned(),
            "1 record users p1 {\"id\":1,\"name\":\"Ann \\\"A\\\"\"}".to_owned(),
            "2 record orders q1 {\"id\":7,\"name\":null}".to_owned(),
            "1 record users p1 {\"id\":2,\"name\":\"Bob\"}".to_owned(),
            format!("1 both {}", state("users", 1, "p1", 2)),
            format!("2 both {}", state("orders", 1, "q1", 1)),
            format!("1 both {}", done("users")),
            format!("2 send {}", done("orders")),
        ];
        let run = read(&source(&shim(form, ""), &steps.join("\n"))).succeeded();
        let mut users = run.documents(0);
        users.sort_by_key(|document| document["id"].as_u64());
        assert_eq!(users.len(), 2, "{form}");
        assert_eq!(users[0]["name"], "Ann \"A\"", "{form}");
        assert_eq!(users[0]["_meta"]["op"], "u");
        assert_eq!(run.documents(1)[0]["name"], Value::Null);
        let kept_all = run.state(json!({}));
        assert_eq!((kept(&kept_all, "users"), kept(&kept_all, "orders")), (json!(1), json!(1)), "{form}");
        assert_eq!(committed(&run, "users").len(), 1, "the same state came twice: {form}");
        assert!(run.logged(None, "plain text of a JVM"));
        assert_eq!(run.uncommitted(), 0);
    }
}

#[test]
fn both_forms_give_the_same_documents() {
    let fields = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "id", "j", "k", "l"];
    let data = json!({
        "id": 1, "a": true, "b": "x", "c": -7, "d": {"$bigInteger": "18446744073709551614"}, "e": 0.5,
        "f": {"$bigDecimal": "123456789.25"}, "g": {"$date": 20367}, "h": {"$offsetTime": [52_245_123_456_000_i64, 19_800]},
        "i": {"$time": 52_245_123_456_000_i64}, "j": {"$offsetDateTime": [1_759_761_045, 123_456_000, -16_200]},
        "k": {"$dateTime": [20367, 52_245_123_456_000_i64]}, "l": {"$json": {"list": [1, null, "é"]}},
    });
    let documents = FORMS.map(|form| {
        let steps = format!("1 record users p {data}\n1 both {}", state("users", 1, "p", 1));
        let bindings = [stream("users", "incremental", "/id", &fields)];
        let run = source(&shim(form, ""), &steps).run(&[open(json!({}), &bindings, json!({}))]).succeeded();
        run.only("captured")["doc"].clone()
    });
    assert_eq!(documents[0], documents[1]);
    assert_eq!(documents[1]["j"], "2025-10-06T10:00:45.123456-04:30");
    assert_eq!(documents[1]["l"], json!({"list": [1, null, "é"]}));
}

#[test]
fn what_a_source_damaged_is_told_in_both_forms() {
    let changes = json!([{"field": "name", "change": "1", "reason": "5"}]);
    for form in FORMS {
        let steps = format!(
            "1 record users p {{\"id\":1,\"name\":null,\"$changes\":{changes}}}\n1 record users p {{\"id\":2,\"name\":\"x\"}}\n1 both {}",
            state("users", 1, "p", 2)
        );
        let run = read(&source(&shim(form, ""), &steps)).succeeded();
        let documents = run.documents(0);
        assert_eq!(documents[0]["_meta"]["changes"], changes, "{form}");
        assert_eq!((&documents[0]["id"], &documents[0]["name"]), (&json!(1), &Value::Null));
        assert_eq!(documents[1]["_meta"].get("changes"), None);
        assert_eq!(committed(&run, "users").len(), 1, "the state has all of its records: {form}");
        let told = run.logs.iter().find(|log| log["fields"]["field"] == "name").expect("a warning");
        assert_eq!((&told["level"], &told["fields"]["stream"]), (&json!("warn"), &json!("users")));
    }
}

#[test]
fn a_state_waits_for_the_records_of_its_partition() {
    for form in FORMS {
        let steps = [
            // Both states are there long before their records, and the second one first.
            format!("2 send {}", state("users", 2, "p2", 2)),
            format!("out {}", state("users", 1, "p1", 3)),
            "sleep 200".to_owned(),
            "1 record users p2 {\"id\":1}".to_owned(),
            "1 record users p1 {\"id\":2}".to_owned(),
            "2 record users p2 {\"id\":3}".to_owned(),
            "2 send {\"type\":\"TRACE\"}".to_owned(),
            "1 send {\"type\":\"TRACE\"}".to_owned(),
            "sleep 200".to_owned(),
            "2 record users p1 {\"id\":4}".to_owned(),
            "2 record users p1 {\"id\":5}".to_owned(),
            format!("2 send {}", state("users", 1, "p1", 3)),
            format!("out {}", state("users", 2, "p2", 2)),
        ];
        let run = read(&source(&shim(form, ""), &steps.join("\n"))).succeeded();
        let committed = committed(&run, "users");
        assert_eq!(committed, [(5, json!(2))], "both at once, behind all five: {form}");
        assert_eq!(run.documents(0).len(), 5);
    }
}

#[test]
fn states_of_the_whole_source_wait_for_all_of_their_partitions() {
    let global = |order: u64, count: u64, users: Value| {
        let mut user = json!({"stream_descriptor": {"name": "users"}, "stream_state": {"c": order}});
        if !users.is_null() {
            user["partition_id"] = users;
            user["id"] = json!(order);
        }
        let state = json!({
            "type": "GLOBAL",
            "global": {"shared_state": {"lsn": order}, "stream_states": [user]},
            "sourceStats": {"recordCount": count}, "id": order, "partition_id": format!("g{order}"),
        });
        json!({"type": "STATE", "state": state}).to_string()
    };
    for form in FORMS {
        let steps = [
            format!("out {}", global(1, 3, json!("snap"))),
            format!("1 send {}", global(2, 0, Value::Null)),
            "1 record users snap {\"id\":1}".to_owned(),
            "1 record users g1 {\"id\":2}".to_owned(),
            "1 send {\"type\":\"TRACE\"}".to_owned(),
            "sleep 200".to_owned(),
            "2 record orders g1 {\"id\":3}".to_owned(),
        ];
        let run = read(&source(&shim(form, ""), &steps.join("\n"))).succeeded();
        assert_eq!(committed(&run, "users"), [(3, json!(2))], "{form}");
        assert_eq!(run.state(json!({}))["shared"][0]["shared_state"]["lsn"], 2);
    }
}

#[test]
fn a_source_that_opens_no_socket_is_read_from_stdout() {
    let record = |id: u64| {
        format!(
            "out {}",
            json!({"type": "RECORD", "record": {"stream": "users", "data": {"id": id}, "emitted_at": 1}})
        )
    };
    let state = |c: u64| {
        let state = json!({"type": "STREAM", "stream": {"stream_descriptor": {"name": "users"}, "stream_state": {"c": c}}});
        format!("out {}", json!({"type": "STATE", "state": state}))
    };
    for form in FORMS {
        let steps = [
            "no-sockets".to_owned(),
            state(0),
            record(1),
            state(1),
            record(2),
            "sleep 300".to_owned(),
            state(2),
            record(3),
        ];
        let run = read(&source(&shim(form, ""), &steps.join("\n"))).succeeded();
        // The first state comes before it is clear that no socket will be there; when it is taken is open.
        let committed: Vec<(usize, Value)> =
            committed(&run, "users").into_iter().filter(|(_, state)| *state != 0).collect();
        assert_eq!(committed, [(1, json!(1)), (2, json!(2))], "in the order of stdout: {form}");
        assert_eq!((run.documents(0).len(), run.uncommitted()), (3, 0));
        assert!(run.logged(Some("warn"), "opened no socket of the data channel"), "{:?}", run.logs);
    }
}

#[test]
fn a_source_that_prints_nothing_and_opens_nothing_ends_well() {
    let run = read(&source(&shim("protobuf", ""), "no-sockets")).succeeded();
    assert!(run.logged(Some("warn"), "opened no socket of the data channel"));
}

#[test]
fn states_that_do_not_say_what_they_cover_are_taken_at_the_end() {
    let plain = json!({"type": "STATE", "state": {"type": "STREAM", "stream": {"stream_descriptor": {"name": "users"}, "stream_state": {"c": 9}}}});
    for (end, expected) in [("exit 0", json!(9)), ("exit 1", Value::Null)] {
        let steps = format!(
            "out {plain}\nsleep 100\n1 record users p {{\"id\":1}}\n1 record users p {{\"id\":2}}\n{end}"
        );
        let run = read(&source(&shim("jsonl", ""), &steps));
        assert_eq!(kept(&run.state(json!({})), "users"), expected, "{end}");
        assert_eq!(run.documents(0).len(), 2);
    }
}

#[test]
fn a_read_goes_on_from_its_checkpoint() {
    for form in FORMS {
        let first = [
            "1 record users p1 {\"id\":1}".to_owned(),
            format!("1 both {}", state("users", 1, "p1", 1)),
            "1 record users p2 {\"id\":2}".to_owned(),
            format!("1 both {}", state("users", 2, "p2", 2)),
        ];
        let second = [
            "2 record users z1 {\"id\":2}".to_owned(),
            "2 record users z1 {\"id\":3}".to_owned(),
            format!("2 both {}", state("users", 1, "z1", 2)),
        ];
        let connector = source_in_turns(&shim(form, ""), &[&first.join("\n"), &second.join("\n")]);
        let state = read(&connector).state(json!({}));
        assert_eq!(kept(&state, "users"), 1, "{form}");
        let run = connector.run(&[open(json!({}), &bindings(), state.clone())]).succeeded();
        let given =
            std::fs::read_to_string(format!("{}/state.json", connector.folder_path())).expect("a state");
        let given: Value = serde_json::from_str(&given).expect("JSON");
        assert_eq!(given[0]["stream"]["stream_state"], json!({"c": 1}), "{form}");
        assert!(
            given[0].get("id").is_none() && given[0].get("partition_id").is_none(),
            "those are of one read"
        );
        assert_eq!(run.documents(0).len(), 2);
    }
}

#[test]
fn rows_without_a_key_keep_their_numbers_over_a_restart() {
    // Records of the next partition come before the state of this one.
    let first = [
        "1 record users p1 {\"id\":1}".to_owned(),
        "1 record users p1 {\"id\":2}".to_owned(),
        "1 record users p2 {\"id\":3}".to_owned(),
        format!("1 both {}", state("users", 1, "p1", 2)),
        "sleep 100".to_owned(),
        "exit 1".to_owned(),
    ];
    let second = [
        "1 record users p2 {\"id\":3}".to_owned(),
        "1 record users p2 {\"id\":4}".to_owned(),
        format!("1 both {}", state("users", 1, "p2", 2)),
    ];
    let connector = source_in_turns(&shim("protobuf", ""), &[&first.join("\n"), &second.join("\n")]);
    let bindings = [stream("users", "incremental", "/_meta/row_id", &["id"])];
    let run = connector.run(&[open(json!({}), &bindings, json!({}))]);
    assert!(run.logged(None, "one socket only"));
    let paths = std::fs::read_to_string(format!("{}/paths", connector.folder_path())).expect("paths");
    assert!(!paths.contains(','), "{paths}");
    let state = run.state(json!({}));
    let rows = |run: &Run| -> Vec<(Value, Value)> {
        run.documents(0)
            .iter()
            .map(|document| (document["_meta"]["row_id"].clone(), document["id"].clone()))
            .collect()
    };
    assert_eq!(rows(&run), [(json!(0), json!(1)), (json!(1), json!(2)), (json!(2), json!(3))]);
    let run = connector.run(&[open(json!({}), &bindings, state)]).succeeded();
    assert_eq!(rows(&run), [(json!(2), json!(3)), (json!(3), json!(4))]);
}

#[test]
fn a_refresh_without_a_key_begins_anew_where_it_failed() {
    let first = [
        "1 record users p1 {\"id\":1}".to_owned(),
        "2 record users p2 {\"id\":2}".to_owned(),
        format!("1 both {}", state("users", 1, "p1", 1)),
        "sleep 100".to_owned(),
        "exit 1".to_owned(),
    ];
    let second = [
        "2 record users p2 {\"id\":2}".to_owned(),
        "2 record users p1 {\"id\":1}".to_owned(),
        format!("2 both {}", done("users")),
    ];
    let connector = source_in_turns(&shim("protobuf", ""), &[&first.join("\n"), &second.join("\n")]);
    let bindings = [stream("users", "full_refresh", "/_meta/row_id", &["id"])];
    let run = connector.run(&[open(json!({}), &bindings, json!({}))]);
    let state = run.state(json!({}));
    assert_eq!(
        kept(&state, "users"),
        Value::Null,
        "partitions come in any order, so there is no place to go on from"
    );
    let run = connector.run(&[open(json!({}), &bindings, state)]).succeeded();
    assert!(std::fs::metadata(format!("{}/state.json", connector.folder_path())).is_err());
    let rows: Vec<Value> =
        run.documents(0).iter().map(|document| document["_meta"]["row_id"].clone()).collect();
    assert_eq!(rows, [0, 1]);
}

#[test]
fn a_load_larger_than_every_buffer_comes_whole() {
    for form in FORMS {
        let name = "n".repeat(400);
        let steps = [
            format!("1 many users p1 4000 {{\"id\":0,\"name\":\"{name}\"}}"),
            format!("2 many orders q1 4000 {{\"id\":0,\"name\":\"{name}\"}}"),
            format!("1 many users p2 4000 {{\"id\":0,\"name\":\"{name}\"}}"),
            format!("1 both {}", state("users", 1, "p1", 4000)),
            format!("2 both {}", state("orders", 1, "q1", 4000)),
            format!("1 both {}", state("users", 2, "p2", 4000)),
        ];
        let run = read(&source(&shim(form, ""), &steps.join("\n"))).succeeded();
        for (binding, count) in [(0, 8000), (1, 4000)] {
            let documents = run.documents(binding);
            assert_eq!(documents.len(), count, "{form}");
            let ids: Vec<u64> =
                documents.iter().map(|document| document["id"].as_u64().expect("a number")).collect();
            assert!(
                ids.iter().enumerate().all(|(nth, id)| *id == nth as u64 % 4000),
                "a socket has an order: {form}"
            );
            assert!(documents.iter().all(|document| document["name"] == name.as_str()));
        }
        assert_eq!(kept(&run.state(json!({})), "users"), 2);
    }
}

#[test]
fn parallel_processes_have_sockets_of_their_own() {
    for form in FORMS {
        let script = "1 record STREAM p1 {\"id\":1}\n1 both STATE\n2 both DONE";
        let connector =
            source(&format!("{}\nstate: {{format: stream}}", shim(form, ", parallelism: 2")), script);
        // Each process does as its catalog says.
        let source = format!("{}/source.sh", connector.folder_path());
        let text = std::fs::read_to_string(&source).expect("a script");
        let own = "name=$(grep -o '\"name\":\"[a-z]*\"' \"$5\" | head -1 | cut -d'\"' -f4)\nFOLDER=$(mktemp -d HERE/XXXXXX)\ncp \"$5\" $FOLDER/catalog.json\n\
                   sed \"s/STREAM/$name/;s/STATE/$(echo 'STATELINE' | sed \"s/users/$name/\")/;s/DONE/$(echo 'DONELINE' | sed \"s/users/$name/\")/\" HERE/steps-1 > $FOLDER/steps\n\
                   export CHANNEL_STEPS=$FOLDER/steps CHANNEL_HOME=$FOLDER\nexec";
        let own = own
            .replace("STATELINE", &state("users", 1, "p1", 1))
            .replace("DONELINE", &done("users"))
            .replace("HERE", &connector.folder_path());
        std::fs::write(&source, text.replacen("\nexec", &format!("\n{own}"), 1)).expect("written");
        let run = read(&connector).succeeded();
        let state = run.state(json!({}));
        assert_eq!(
            (kept(&state, "users"), kept(&state, "orders")),
            (json!(1), json!(1)),
            "{form}: {:?}",
            run.logs
        );
        assert!(run.logged(None, "a process of its own"));
    }
}

#[test]
fn a_source_that_declares_sockets_is_read_through_them() {
    let metadata = "data:\n  connectorIPCOptions:\n    dataChannel:\n      version: \"0.0.2\"\n      supportedSerialization: [JSONL, PROTOBUF]\n      supportedTransport: [SOCKET, STDIO]\n";
    let steps = format!("1 record users p {{\"id\":1}}\n1 both {}", state("users", 1, "p", 1));
    let yaml = "config: {schema: {type: object}}";
    let connector = source(yaml, &steps);
    std::fs::write(format!("{}/metadata.yaml", connector.folder_path()), metadata).expect("written");
    let run = read(&connector).succeeded();
    assert_eq!(run.documents(0).len(), 1);
    assert!(run.logged(None, "asked to open a data channel"));
    // Where nothing is declared, inherited variables do not move records away either.
    let quiet = source(
        yaml,
        "out {\"type\":\"RECORD\",\"record\":{\"stream\":\"users\",\"data\":{\"id\":1},\"emitted_at\":1}}",
    );
    let run = read(&quiet.variable("DATA_CHANNEL_MEDIUM", "SOCKET")).succeeded();
    assert_eq!(run.documents(0).len(), 1);
    assert!(!run.logged(None, "data channel"));
}
