//! The embedded driver, on the captures that the README's first command runs.

use std::process::Output;

use serde_json::{Value, json};

use crate::harness::{flow_shim, repository};

fn driver(arguments: &[&str]) -> Output {
    let mut command = flow_shim(arguments);
    command.current_dir(repository("")).env("LOG_LEVEL", "warn").output().expect("the program runs")
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn of(lines: &[Value], name: &str) -> Vec<Value> {
    lines.iter().filter(|line| line[0] == name).map(|line| line[1].clone()).collect()
}

#[test]
fn a_preview_prints_documents_of_both_protocols() {
    let output = driver(&["preview", "--source", "test.flow.yaml"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let lines = lines(&output);
    for (collection, count) in
        [("demo/products", 25), ("demo/users", 25), ("demo/purchases", 25), ("demo/orders", 25)]
    {
        assert_eq!(of(&lines, collection).len(), count, "{collection}");
    }
    let composite = of(&lines, "demo/order_lines");
    assert!(composite.iter().all(|document| document["order_id"].is_i64() && document["line_no"].is_i64()));
    for summary in ["demo/airbyte: ", "demo/singer: ", "invalid documents 0"] {
        assert!(said.contains(summary), "{said}");
    }
}

#[test]
fn a_second_session_goes_on_where_the_first_ended() {
    let arguments = ["preview", "--name", "demo/airbyte", "--sessions", "1,1", "--output-state"];
    let output = driver(&arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = lines(&output);
    let mut ids: Vec<i64> = of(&lines, "demo/users").iter().filter_map(|user| user["id"].as_i64()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), all), (25, 25), "no document comes twice");
    let last = of(&lines, "connectorState").pop().expect("a state");
    assert_eq!(last["updated"]["bindingStateV1"]["users"]["rowId"], 25);
}

#[test]
fn raw_spec_and_discover_print_what_flowctl_prints() {
    let output = driver(&["raw", "spec", "--name", "demo/airbyte"]);
    let spec = &lines(&output)[0];
    assert_eq!(spec["protocol"], 3_032_023);
    assert!(spec["configSchema"]["properties"]["count"].is_object());
    let output = driver(&["raw", "discover", "--name", "demo/singer", "--emit-raw", "-o", "json"]);
    let bindings = lines(&output);
    assert_eq!(bindings.len(), 4);
    assert!(bindings.iter().any(|binding| binding["key"] == json!(["/order_id", "/line_no"])));
    assert!(bindings.iter().any(|binding| binding["key"] == json!(["/_meta/row_id"])));
}

#[test]
fn raw_validate_and_apply_answer() {
    let validated = lines(&driver(&["raw", "validate", "--name", "demo/airbyte"]));
    assert_eq!(validated[0]["bindings"][0]["resourcePath"], json!(["products"]));
    let applied = lines(&driver(&["raw", "apply", "--name", "demo/airbyte"]));
    assert!(applied[0]["actionDescription"].as_str().is_some_and(|text| text.contains("products")));
}

#[test]
fn documents_that_break_their_schema_are_named_and_fail_the_preview() {
    let text = std::fs::read_to_string(repository("test.flow.yaml")).expect("readable");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("test.flow.yaml");
    let root = repository("").display().to_string();
    let strict = text
        .replace("id: {type: integer}", "id: {type: integer, maximum: 20}")
        .replace("shims/", &format!("{root}/shims/"));
    std::fs::write(&file, strict).expect("written");
    let output = driver(&["preview", "--source", file.to_str().expect("UTF-8"), "--name", "demo/airbyte"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("/id") && said.contains("maximum") && said.contains("products"), "{said}");
}

#[test]
fn a_refresh_that_truncates_is_previewed() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, value: &Value| {
        let file = folder.path().join(name);
        std::fs::write(&file, value.to_string()).expect("written");
        file
    };
    let transcript = repository("shims/demo-airbyte/transcript");
    let shim = json!({
        "protocol": "airbyte", "command": ["flow-shim", "replay", transcript],
        "streams": {"overrides": {"users": {"refresh": "truncate"}}},
    });
    write("shim.yaml", &shim);
    let local =
        json!({"command": ["flow-shim", "run", "--shim", folder.path()], "config": {"count": 25, "seed": 1}});
    let resource = json!({"stream": "users", "syncMode": "full_refresh"});
    let flow = json!({
        "captures": {"a/b": {"endpoint": {"local": local}, "bindings": [{"resource": resource, "target": "a/users"}]}},
        "collections": {"a/users": {"schema": {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}, "key": ["/id"]}},
    });
    let file = write("flow.yaml", &flow);
    let output = driver(&["preview", "--source", file.to_str().expect("UTF-8"), "--sessions", "1"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(of(&lines(&output), "a/users").len(), 25);
}

#[test]
fn discovered_streams_are_written_and_then_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("flow.yaml");
    let shim = repository("shims/demo-airbyte").display().to_string();
    let text = format!(
        "# mine\ncaptures:\n  acmeCo/demo:\n    endpoint:\n      local:\n        command: [flow-shim, run, --shim, {shim}]\n        \
         config: {{count: 25, seed: 1, parallelism: 1, records_per_slice: 100, always_updated: false}}\n    bindings: []  # none yet\n"
    );
    std::fs::write(&file, text).expect("written");
    let source = file.to_str().expect("UTF-8");

    let output = driver(&["preview", "--source", source]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(
        said.contains("acmeCo/demo has no enabled binding") && said.contains("raw discover --write"),
        "{said}"
    );

    let output = driver(&["raw", "discover", "--write", "--source", source]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.is_empty(), "what is written is not printed too");
    assert!(std::fs::read_to_string(&file).expect("readable").starts_with("# mine\n"));
    let output = driver(&["preview", "--source", source]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(of(&lines(&output), "acmeCo/demo/users").len(), 25);

    let whole = std::fs::read_to_string(&file).expect("readable");
    let output = driver(&["raw", "discover", "--write", "--source", source]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(std::fs::read_to_string(&file).expect("readable"), whole, "nothing is new");
}

#[test]
fn streams_that_are_new_are_written_beside_those_that_are_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("flow.yaml");
    let shim = repository("shims/demo-airbyte").display().to_string();
    let mine =
        "      - resource: {stream: users, syncMode: full_refresh}  # whole\n        target: acmeCo/mine\n";
    let text = format!(
        "captures:\n  acmeCo/demo:\n    endpoint:\n      local:\n        command: [flow-shim, run, --shim, {shim}]\n        \
         config: {{count: 25, seed: 1, parallelism: 1, records_per_slice: 100, always_updated: false}}\n    bindings:\n{mine}\
         collections:\n  acmeCo/mine: {{schema: {{type: object}}, key: [/id]}}\n"
    );
    std::fs::write(&file, text).expect("written");
    let source = file.to_str().expect("UTF-8");
    let output = driver(&["raw", "discover", "--write", "--source", source]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let changed = std::fs::read_to_string(&file).expect("readable");
    assert!(changed.contains(mine), "what is there stays: {changed}");
    assert!(
        !changed.contains("acmeCo/demo/users") && changed.contains("target: acmeCo/demo/products"),
        "{changed}"
    );
    let output = driver(&["preview", "--source", source]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!of(&lines(&output), "acmeCo/demo/products").is_empty());
}

#[test]
fn a_slip_in_a_setting_is_told_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("flow.yaml");
    let shim = repository("shims/demo-airbyte").display().to_string();
    let text = format!(
        "captures:\n  a/b:\n    endpoint:\n      local:\n        command: [flow-shim, run, --shim, {shim}]\n        \
         config:\n          cuont: 25\n    bindings: []\n"
    );
    std::fs::write(&file, text).expect("written");
    let output = driver(&["raw", "validate", "--source", file.to_str().expect("UTF-8")]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("flow.yaml:7: the connector has no setting /cuont; did you mean \\\"count\\\"?"),
        "{said}"
    );
}

#[test]
fn the_level_is_that_of_log_level_and_must_be_one() {
    let demo = |level: &str| {
        let mut preview = flow_shim(&["preview", "--name", "demo/airbyte"]);
        preview.current_dir(repository("")).env("LOG_LEVEL", level).output().expect("it runs")
    };
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let quiet = demo("warn");
    assert!(quiet.status.success() && !said(&quiet).contains("\"level\":\"info\""), "{}", said(&quiet));
    let wrong = demo("verbose");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        said(&wrong).contains("LOG_LEVEL") && said(&wrong).contains("error, warn, info, debug, trace"),
        "{}",
        said(&wrong)
    );
    let output = flow_shim(&["previw"]).output().expect("it runs");
    assert!(said(&output).contains("did you mean `preview`?"), "{}", said(&output));
}

#[test]
fn a_connectors_failure_keeps_its_type() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("flow.yaml");
    let shim = repository("shims/demo-airbyte");
    let local = json!({"command": ["flow-shim", "run", "--shim", shim], "config": {"count": "many"}});
    let flow = json!({"captures": {"a/b": {"endpoint": {"local": local}, "bindings": []}}});
    std::fs::write(&file, flow.to_string()).expect("written");
    let output = driver(&["raw", "discover", "--source", file.to_str().expect("UTF-8")]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let last: Value = serde_json::from_str(said.lines().last().expect("a line")).expect("JSON");
    assert_eq!(last["fields"]["failureType"], "config", "{said}");
}
