//! Spec, Discover, Validate and Apply, several requests in one process, and what is ignored.

use serde_json::{Value, json};

use crate::harness::{Connector, Run, airbyte, open, singer, spec};

const SPEC: &str = r#"{"type":"LOG","log":{"level":"INFO","message":"MemoryMonitor instantiated"}}
{"type":"SPEC","spec":{"documentationUrl":"https://docs.example.com","connectionSpecification":{"type":"object","title":"Example","required":["token"],"properties":{"token":{"type":"string","airbyte_secret":true,"order":0},"count":{"type":"integer","airbyte_hidden":true}},"additionalProperties":false}}}
"#;
const CHECK: &str = "{\"type\":\"CONNECTION_STATUS\",\"connectionStatus\":{\"status\":\"SUCCEEDED\"}}\n";
const DISCOVER: &str = r#"{"type":"CATALOG","catalog":{"streams":[
{"name":"users","json_schema":{"type":["null","object"],"properties":{"id":{"type":["null","integer"]},"name":{"type":"string","format":"vendor-name"}}},"supported_sync_modes":["full_refresh","incremental"],"source_defined_primary_key":[["id"]],"default_cursor_field":["updated_at"]},
{"name":"lines","namespace":"shop","json_schema":{"properties":{"a/b":{"type":"string"},"nested":{"properties":{"n":{"type":"integer"}}}}},"supported_sync_modes":["full_refresh"],"source_defined_primary_key":[["a/b"],["nested","n"]]},
{"name":"events","json_schema":{},"supported_sync_modes":["full_refresh"]},
{"name":"internal_log","json_schema":{},"supported_sync_modes":["full_refresh"]}]}}"#;

fn files() -> Vec<(&'static str, String)> {
    vec![
        ("spec.jsonl", SPEC.to_owned()),
        ("check.jsonl", CHECK.to_owned()),
        ("discover.jsonl", format!("{}\n", DISCOVER.replace('\n', ""))),
    ]
}

fn connector() -> Connector {
    let files = files();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    Connector::playing("airbyte", &files)
}

fn shim(yaml: &str) -> Connector {
    let files = files();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    Connector::shim(&format!("protocol: airbyte\ncommand: [flow-shim, replay, FOLDER]\n{yaml}"), &files)
}

fn discover() -> Value {
    crate::harness::discover(&json!({"token": "t0ps3cret"}))
}

fn validate(bindings: &[Value], last: Option<&[Value]>) -> Value {
    let last = last.map(|bindings| json!({"name": "acmeCo/x", "bindings": bindings}));
    json!({"validate": {"name": "acmeCo/x", "config": {"token": "t0ps3cret"}, "bindings": bindings, "lastCapture": last}})
}

fn names(run: &Run) -> Vec<String> {
    let bindings = run.only("discovered")["bindings"].clone();
    let bindings = bindings.as_array().expect("bindings").clone();
    bindings.iter().map(|b| b["recommendedName"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn every_process_answers_the_injected_spec_first() {
    let run = connector().run(&[spec(), discover()]).succeeded();
    assert_eq!(run.responses.len(), 2);
    let spec = run.only("spec");
    assert_eq!(spec["protocol"], 3_032_023);
    assert_eq!(spec["resourcePathPointers"], json!(["/namespace", "/stream"]));
    assert_eq!(spec["documentationUrl"], "https://docs.example.com");
    let schema = &spec["configSchema"];
    assert_eq!(schema["properties"]["token"]["secret"], true);
    assert!(schema.get("additionalProperties").is_none(), "Flow adds `sops` to a config");
    assert!(!schema.to_string().contains("airbyte_hidden"), "Flow's compiler refuses it");
}

#[test]
fn discovered_bindings_have_keys_paths_and_a_tolerant_schema() {
    let run = connector().run(&[spec(), discover()]).succeeded();
    let bindings = run.only("discovered")["bindings"].clone();
    assert_eq!(bindings[0]["key"], json!(["/id"]));
    assert_eq!(bindings[0]["resourceConfig"]["syncMode"], "incremental");
    assert_eq!(bindings[0]["documentSchema"]["properties"]["id"]["type"], "integer");
    assert_eq!(bindings[0]["documentSchema"]["x-infer-schema"], true);
    assert!(bindings[0]["documentSchema"]["properties"].get("name").is_none(), "only keys constrain");
    assert_eq!(bindings[0]["documentSchema"]["x-source-schema"]["properties"]["name"]["type"], "string");
    assert_eq!(bindings[1]["key"], json!(["/a~1b", "/nested/n"]));
    assert_eq!(bindings[1]["resourcePath"], json!(["shop", "lines"]));
    assert_eq!(bindings[2]["key"], json!(["/_meta/row_id"]));
    assert_eq!(bindings[2]["isFallbackKey"], Value::Null, "a snapshot deletes by it");
}

#[test]
fn a_shim_selects_omits_and_sets_keys() {
    let yaml = "documentationUrl: https://go.example.com\nstreams:\n  select: [users]\n  omit: [internal_*]\n  overrides:\n    events: {key: [/a, /b]}\n";
    let run = shim(yaml).run(&[spec(), discover()]).succeeded();
    assert_eq!(names(&run), ["users", "shop/lines", "events"]);
    let bindings = run.only("discovered")["bindings"].clone();
    assert_eq!(bindings[0]["disable"], Value::Null);
    assert_eq!(bindings[1]["disable"], true);
    assert_eq!(bindings[2]["key"], json!(["/a", "/b"]));
    assert_eq!(run.only("spec")["documentationUrl"], "https://go.example.com");
}

#[test]
fn validate_answers_the_paths_that_flow_extracts() {
    let mut lines = airbyte("lines", "full_refresh");
    lines["resourceConfig"] = json!({"namespace": "shop", "stream": "lines", "syncMode": "full_refresh", "_meta": {"path": ["shop", "lines"]}});
    let mut users = airbyte("users", "incremental");
    users["resourceConfig"]["namespace"] = Value::Null;
    let run = connector().run(&[spec(), validate(&[users, lines], None)]).succeeded();
    let paths = run.only("validated")["bindings"].clone();
    assert_eq!(paths, json!([{"resourcePath": ["users"]}, {"resourcePath": ["shop", "lines"]}]));
}

#[test]
fn a_stream_that_is_gone_is_named_with_what_there_is() {
    let run = connector().run(&[spec(), validate(&[airbyte("customers", "full_refresh")], None)]);
    assert_eq!(run.code, 4);
    let words = run.last_words();
    assert!(words.contains("\"customers\"") && words.contains("shop.lines"), "{words}");
    assert!(run.all("validated").is_empty());
}

#[test]
fn a_mode_that_the_stream_cannot_do_is_refused() {
    let run = connector().run(&[spec(), validate(&[airbyte("events", "incremental")], None)]);
    assert_eq!(run.code, 4);
    assert!(run.last_words().contains("full_refresh"), "{}", run.last_words());
}

#[test]
fn known_bindings_need_no_discovery() {
    let files = [("spec.jsonl", SPEC), ("check.jsonl", CHECK)];
    let known = [airbyte("users", "incremental")];
    let run = Connector::playing("airbyte", &files).run(&[spec(), validate(&known, Some(&known))]);
    run.succeeded().only("validated");
}

#[test]
fn a_config_that_breaks_the_schema_is_told_without_its_values() {
    let broken = json!({"discover": {"config": {"count": "t0ps3cret"}}});
    let run = connector().run(&[spec(), broken]);
    assert_eq!(run.code, 4);
    let words = run.last_words();
    assert!(words.contains("token") && words.contains("/count"), "{words}");
    assert!(!format!("{:?}", run.logs).contains("t0ps3cret"));
}

#[test]
fn a_failed_check_is_the_last_line() {
    let check = "{\"type\":\"CONNECTION_STATUS\",\"connectionStatus\":{\"status\":\"FAILED\",\"message\":\"'Invalid token'\"}}\n";
    let files = [("spec.jsonl", SPEC), ("check.jsonl", check)];
    let run = Connector::playing("airbyte", &files)
        .run(&[spec(), validate(&[airbyte("users", "incremental")], None)]);
    assert_eq!(run.code, 4);
    assert!(run.last_words().contains("Invalid token"), "{}", run.last_words());
}

#[test]
fn apply_says_what_comes_and_goes_without_upstream() {
    let apply =
        json!({"apply": {"capture": {"bindings": [airbyte("users", "incremental")]}, "version": "1"}});
    let run =
        Connector::new(&["run", "--protocol", "airbyte", "--", "no-such-program"]).run(&[apply]).succeeded();
    assert_eq!(run.only("applied")["actionDescription"], "added: users");
}

#[test]
fn newest_fields_of_requests_are_ignored() {
    let newest = || json!({"createdAt": "2026-10-01T00:00:00Z", "secrets": {"a": [1]}, "redactSalt": "c2FsdA==", "sealedConfig": {"sops": {}}});
    let with = |mut request: Value, kind: &str| {
        let fields = newest();
        request[kind]
            .as_object_mut()
            .expect("an object")
            .extend(fields.as_object().expect("an object").clone());
        request["$internal"] = json!("x");
        request
    };
    let inactive = json!([airbyte("gone", "full_refresh")]);
    let mut checked = with(validate(&[airbyte("users", "incremental")], Some(&[])), "validate");
    checked["validate"]["lastCapture"]["inactiveBindings"] = inactive.clone();
    let apply = json!({"apply": {"capture": {"bindings": [], "inactiveBindings": inactive, "redactSalt": "c2FsdA=="}, "version": "1"}});
    let run =
        connector().run(&[with(spec(), "spec"), with(discover(), "discover"), checked, with(apply, "apply")]);
    let run = run.succeeded();
    for answer in ["spec", "discovered", "validated", "applied"] {
        run.only(answer);
    }
    // A binding whose state estuary-cdk 0.3.0.dev31 set to null for a backfill has none.
    let state = json!({"bindingStateV1": {"users": null}});
    let config = json!({"token": "t0ps3cret"});
    let mut capture = with(open(config, &[airbyte("users", "incremental")], state), "open");
    capture["open"]["capture"]["inactiveBindings"] = inactive;
    let connector = shim("read: {discoverOnOpen: never}\n");
    let read =
        "{\"type\":\"RECORD\",\"record\":{\"stream\":\"users\",\"data\":{\"id\":1},\"emitted_at\":1}}\n";
    std::fs::write(format!("{}/read.jsonl", connector.folder_path()), read).expect("a transcript");
    let run = connector.run(&[spec(), capture]).succeeded();
    assert_eq!(run.documents(0)[0]["_meta"]["row_id"], 0);
}

/// The entries of the field `problems` of the last line: code, binding and stream.
fn problems(run: &Run) -> Vec<(String, Value, Value)> {
    let last = run.logs.last().expect("a log");
    let problems = last["fields"]["problems"].as_array().expect("problems").clone();
    let text = |value: &Value| value.as_str().expect("a code").to_owned();
    problems.iter().map(|p| (text(&p["code"]), p["binding"].clone(), p["stream"].clone())).collect()
}

#[test]
fn validate_names_everything_that_is_wrong() {
    let mut odd = airbyte("lines", "full_refresh");
    odd["resourceConfig"]["syncMode"] = json!("sometimes");
    let bindings = [
        airbyte("customers", "full_refresh"),
        airbyte("users", "incremental"),
        airbyte("events", "incremental"),
        odd,
        airbyte("invoices", "full_refresh"),
        airbyte("users", "full_refresh"),
    ];
    let run = connector().run(&[spec(), validate(&bindings, None)]);
    assert_eq!(run.code, 4);
    assert!(run.all("validated").is_empty());
    let words = run.last_words();
    for named in
        ["\"customers\"", "\"events\"", "full_refresh", "syncMode", "\"invoices\"", "shop.lines", "binding 5"]
    {
        assert!(words.contains(named), "{named}: {words}");
    }
    let mut found = problems(&run);
    found.sort_by_key(|(_, binding, _)| binding.as_u64());
    let expected = [
        ("no-stream", json!(0), json!("customers")),
        ("stream-mode", json!(2), json!("events")),
        ("binding", json!(3), Value::Null),
        ("no-stream", json!(4), json!("invoices")),
        ("binding", json!(5), json!("users")),
    ];
    assert_eq!(found, expected.map(|(code, binding, stream)| (code.to_owned(), binding, stream)));
}

#[test]
fn a_wrong_config_does_not_hide_a_wrong_binding() {
    let mut odd = airbyte("users", "incremental");
    odd["resourceConfig"]["syncMode"] = json!("sometimes");
    let mut request = validate(&[odd], None);
    request["validate"]["config"] = json!({"count": "t0ps3cret"});
    let run = connector().run(&[spec(), request]);
    assert_eq!(run.code, 4);
    let words = run.last_words();
    assert!(words.contains("/count") && words.contains("token") && words.contains("syncMode"), "{words}");
    let codes: Vec<String> = problems(&run).into_iter().map(|(code, ..)| code).collect();
    assert_eq!(codes, ["endpoint-config", "endpoint-config", "binding"]);
    let places = &run.logs.last().expect("a log")["fields"]["problems"];
    assert!(places.as_array().expect("a list").iter().any(|problem| problem["at"] == "/count"), "{places}");
    assert!(!format!("{:?}", run.logs).contains("t0ps3cret"));
}

#[test]
fn a_binding_sets_its_refresh_and_interval() {
    let run = connector().run(&[spec()]).succeeded();
    let schema = run.only("spec")["resourceConfigSchema"].clone();
    for name in ["refresh", "interval"] {
        assert_eq!(schema["properties"][name]["advanced"], true, "{name}");
        assert!(!schema["required"].as_array().expect("a list").contains(&json!(name)));
    }
    let with = |name: &str, value: Value| {
        let mut binding = airbyte("users", "full_refresh");
        binding["resourceConfig"][name] = value;
        connector().run(&[spec(), validate(&[binding], None)])
    };
    for (name, good) in [("refresh", json!("append")), ("refresh", Value::Null), ("interval", json!("30m"))] {
        with(name, good).succeeded();
    }
    for (name, bad) in [("refresh", json!("sometimes")), ("interval", json!("often")), ("interval", json!(5))]
    {
        let run = with(name, bad);
        assert_eq!(run.code, 4);
        assert!(run.last_words().contains(&format!("`{name}`")), "{}", run.last_words());
    }
}

#[test]
fn the_refresh_of_a_binding_comes_before_the_shims() {
    let read =
        "{\"type\":\"RECORD\",\"record\":{\"stream\":\"events\",\"data\":{\"n\":1},\"emitted_at\":1}}\n";
    let connector = shim("streams: {overrides: {events: {refresh: append}}}\n");
    std::fs::write(format!("{}/read.jsonl", connector.folder_path()), read).expect("a transcript");
    let next_row = |refresh: Option<&str>| {
        let mut events = airbyte("events", "full_refresh");
        events["collection"]["key"] = json!(["/_meta/row_id"]);
        if let Some(refresh) = refresh {
            events["resourceConfig"]["refresh"] = json!(refresh);
        }
        let request = |state: Value| open(json!({"token": "t"}), &[events.clone()], state);
        let first = connector.run(&[spec(), request(json!({}))]).succeeded();
        let state = first.state(json!({}));
        connector.run(&[spec(), request(state)]).succeeded().documents(0)
    };
    assert_eq!(next_row(None)[0]["_meta"]["row_id"], 1, "append, as the shim has it");
    assert!(next_row(Some("snapshot")).is_empty(), "a snapshot in which nothing has changed");
}

#[test]
fn an_interval_of_a_binding_leaves_it_out_until_it_is_due() {
    let mut users = airbyte("users", "full_refresh");
    users["resourceConfig"]["interval"] = json!("1h");
    let connector = shim("");
    let records: String = ["users", "events"]
        .map(|stream| format!("{{\"type\":\"RECORD\",\"record\":{{\"stream\":\"{stream}\",\"data\":{{\"id\":1}},\"emitted_at\":1}}}}\n"))
        .concat();
    std::fs::write(format!("{}/read.jsonl", connector.folder_path()), records).expect("a transcript");
    let bindings = [users, airbyte("events", "full_refresh")];
    let state = connector.run(&[spec(), open(json!({"token": "t"}), &bindings, json!({}))]).succeeded();
    let again =
        connector.run(&[spec(), open(json!({"token": "t"}), &bindings, state.state(json!({})))]).succeeded();
    assert!(again.logged(None, "not due yet"), "{:?}", again.logs);
}

const TAP: &str = r#"{"streams":[{"tap_stream_id":"users","stream":"users","schema":{"type":"object","properties":{"id":{"type":"integer"},"shop":{"type":"integer"}}},"key_properties":["shop","id"]}]}"#;

/// Warnings about keys that differ: the source's and the collection's.
fn keys(run: &Run) -> Vec<(Value, Value)> {
    let fields = run.logs.iter().filter(|log| log["level"] == "warn").map(|log| &log["fields"]);
    fields
        .filter_map(|fields| Some((fields.get("sourceKey")?.clone(), fields["collectionKey"].clone())))
        .collect()
}

#[test]
fn a_key_that_is_not_the_sources_any_more_is_warned_of() {
    let schema = |key: &str| {
        format!(
            "{{\"type\":\"SCHEMA\",\"stream\":\"users\",\"schema\":{{\"properties\":{{}}}},\"key_properties\":[{key}]}}\n"
        )
    };
    let record = "{\"type\":\"RECORD\",\"stream\":\"users\",\"record\":{\"id\":1,\"shop\":2}}\n";
    let read = schema("\"other\"") + record + &schema("\"other\"");
    let files = [
        ("about.json", "{\"settings\":{\"type\":\"object\"}}"),
        ("discover.json", TAP),
        ("read.jsonl", &read),
    ];
    let tap = Connector::playing("singer", &files);
    let users = |key: Value| {
        let mut users = singer("users", "FULL_TABLE");
        users["collection"]["key"] = key;
        users
    };
    let known = [users(json!(["/id"]))];
    let run = tap.run(&[spec(), validate(&known, Some(&known))]).succeeded();
    assert_eq!(keys(&run), [(json!("/shop, /id"), json!("/id"))], "also of a binding that is not new");
    let run = tap.run(&[spec(), open(json!({}), &known, json!({}))]).succeeded();
    assert_eq!(keys(&run), [(json!("/shop, /id"), json!("/id")), (json!("/other"), json!("/id"))]);
    assert!(run.logged(Some("warn"), "backfill"), "{:?}", run.logs);
    for same in [json!(["/id", "/shop"]), json!(["/_meta/row_id"])] {
        let run = tap.run(&[spec(), validate(&[users(same)], None)]).succeeded();
        assert_eq!(keys(&run), []);
    }
}

#[test]
fn the_protocol_is_found_out_where_nothing_says_it() {
    let files = files();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let run = Connector::shim("command: [flow-shim, replay, FOLDER]\n", &files).run(&[spec()]).succeeded();
    assert_eq!(run.only("spec")["resourcePathPointers"], json!(["/namespace", "/stream"]));
    let about = [(
        "about.json",
        r#"{"name":"tap-x","capabilities":["discover"],"settings":{"type":"object","properties":{"token":{"type":["string"]}}}}"#,
    )];
    let run = Connector::shim("command: [flow-shim, replay, FOLDER]\n", &about).run(&[spec()]).succeeded();
    assert_eq!(run.only("spec")["resourcePathPointers"], json!(["/tap_stream_id"]));
}

#[test]
fn a_tap_of_many_settings_is_found_out() {
    let setting =
        |nth: u32| (format!("setting_{nth}"), json!({"type": ["string"], "description": "x".repeat(80)}));
    let settings: serde_json::Map<String, Value> = (0..1000).map(setting).collect();
    let about = json!({"name": "tap-x", "settings": {"type": "object", "properties": settings}});
    let about = serde_json::to_string_pretty(&about).expect("JSON");
    let connector = Connector::shim("command: [flow-shim, replay, FOLDER]\n", &[("about.json", &about)]);
    let run = connector.run(&[spec()]).succeeded();
    assert_eq!(run.only("spec")["resourcePathPointers"], json!(["/tap_stream_id"]));
}

#[test]
fn what_is_neither_is_told_with_what_it_printed() {
    let run = Connector::new(&["run", "--", "sh", "-c", "echo confused >&2; exit 2"]).run(&[spec()]);
    assert_eq!(run.code, 3);
    assert!(
        run.last_words().contains("--protocol") && run.last_words().contains("confused"),
        "{}",
        run.last_words()
    );
}

#[test]
fn a_missing_program_is_named() {
    let run = Connector::new(&["run", "--protocol", "singer", "--", "tap-nowhere"]).run(&[spec()]);
    assert_eq!(run.code, 11);
    assert!(run.last_words().contains("tap-nowhere"), "{}", run.last_words());
}

#[test]
fn the_predecessors_spelling_works() {
    let connector = connector();
    let command = format!("flow-shim replay '{}'", connector.folder_path());
    let run = Connector::new(&["--connector-entrypoint", &command]).run(&[spec(), discover()]).succeeded();
    assert_eq!(names(&run).len(), 4);
}

#[test]
fn what_an_image_says_of_its_connector_counts_where_nothing_else_does() {
    let connector = connector();
    let command = format!("flow-shim replay '{}'", connector.folder_path());
    let image = || Connector::new(&[]).variable("AIRBYTE_ENTRYPOINT", &command);
    let run = image().variable("DOCS_URL", "https://a.test/docs").run(&[spec(), discover()]).succeeded();
    assert_eq!(names(&run).len(), 4);
    assert_eq!(run.only("spec")["documentationUrl"], "https://a.test/docs");
    let named = Connector::new(&["run", "--protocol", "airbyte", "--", "source-nowhere"]);
    let run = named.variable("AIRBYTE_ENTRYPOINT", &command).run(&[spec()]);
    assert!(run.last_words().contains("source-nowhere"), "{}", run.last_words());
    let run = Connector::new(&[]).variable("AIRBYTE_ENTRYPOINT", "a 'b").run(&[spec()]);
    assert!(run.last_words().contains("AIRBYTE_ENTRYPOINT is not a command"), "{}", run.last_words());
}

#[test]
fn an_unfinished_request_is_an_error() {
    let run = Run::of(connector().run_bytes(b"{\"spec\":{\"connectorType\":"));
    assert_eq!(run.code, 20);
    let run = Run::of(connector().run_bytes(b"hello\n"));
    assert_eq!(run.code, 20);
    assert!(!format!("{:?}", run.logs).contains("hello"), "a request may hold secrets");
}
