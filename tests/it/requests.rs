//! Spec, Discover, Validate and Apply, several requests in one process, and what is ignored.

use serde_json::{Value, json};

use crate::harness::{Connector, Run, airbyte, spec};

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
    assert_eq!(bindings[2]["isFallbackKey"], true);
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
fn unknown_fields_of_requests_are_ignored() {
    let mut request = discover();
    request["discover"]["secrets"] = json!({"a": [1]});
    request["discover"]["createdAt"] = json!("2026-01-01T00:00:00Z");
    request["$internal"] = json!("x");
    connector().run(&[spec(), request]).succeeded().only("discovered");
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
