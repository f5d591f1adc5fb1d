//! `flow-shim diff`: what changes for running captures between two versions of a connector.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::{flow_shim, repository};

fn diff(old: &Path, new: &Path, more: &[&str]) -> (String, i32) {
    let mut command = flow_shim(&["diff"]);
    command.args([old, new]).args(more).env("LOG_LEVEL", "error");
    let output = command.output().expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!errors.contains("has a bug"), "{errors}");
    (String::from_utf8(output.stdout).expect("UTF-8") + &errors, output.status.code().expect("an exit code"))
}

fn write(folder: &Path, files: &[(&str, String)]) {
    std::fs::create_dir_all(folder).expect("made");
    for (name, text) in files {
        std::fs::write(folder.join(name), text).expect("written");
    }
}

fn stream(name: &str, properties: &Value, more: &Value) -> Value {
    let mut stream = json!({
        "name": name, "json_schema": {"type": "object", "properties": properties},
        "supported_sync_modes": ["full_refresh", "incremental"], "source_defined_cursor": true,
        "default_cursor_field": ["updated_at"], "source_defined_primary_key": [["id"]],
    });
    for (member, value) in more.as_object().expect("members") {
        stream[member] = value.clone();
    }
    stream
}

fn recording(folder: PathBuf, spec: &Value, streams: &[Value], states: &[Value]) -> PathBuf {
    let line = |value: Value| value.to_string() + "\n";
    let read = states.iter().map(|state| line(json!({"type": "STATE", "state": state}))).collect::<String>();
    write(
        &folder,
        &[
            ("spec.jsonl", line(json!({"type": "SPEC", "spec": {"connectionSpecification": spec}}))),
            ("discover.jsonl", line(json!({"type": "CATALOG", "catalog": {"streams": streams}}))),
            ("read.jsonl", read),
        ],
    );
    folder
}

fn old(folder: PathBuf) -> PathBuf {
    let columns = json!({
        "id": {"type": "integer"}, "updated_at": {"type": "string", "format": "date-time"}, "a": {"type": ["null", "string"]},
        "o": {"type": "object", "properties": {"x": {"type": "number"}}}, "same": {"type": "boolean"},
    });
    let spec = json!({"type": "object", "required": ["key"], "properties": {
        "key": {"type": "string", "airbyte_secret": true}, "count": {"type": "integer"}, "mode": {"enum": ["a", "b"]},
        "legacy": {"type": "string"},
    }, "additionalProperties": false});
    let streams = [
        stream("same", &columns, &json!({})),
        stream("gone", &columns, &json!({})),
        stream("keyed", &columns, &json!({})),
        stream("moded", &columns, &json!({})),
        stream("cursored", &columns, &json!({})),
        stream("shaped", &columns, &json!({})),
    ];
    let state = |name: &str| json!({"type": "STREAM", "stream": {"stream_descriptor": {"name": name}, "stream_state": {"updated_at": 1, "v": 1}}});
    recording(folder, &spec, &streams, &[state("same"), state("cursored")])
}

fn new(folder: PathBuf) -> PathBuf {
    let columns = json!({
        "id": {"type": "integer"}, "updated_at": {"type": "string", "format": "date-time"}, "a": {"type": ["null", "string"]},
        "o": {"type": "object", "properties": {"x": {"type": "number"}}}, "same": {"type": "boolean"},
    });
    let mut shaped = columns.clone();
    shaped["a"] = json!({"type": "integer"});
    shaped["o"]["properties"] = json!({"y": {"type": "string"}});
    let spec = json!({"type": "object", "required": ["key", "region"], "properties": {
        "key": {"type": "string"}, "count": {"type": "string"}, "mode": {"enum": ["a"]}, "region": {"type": "string"},
        "extra": {"type": "string"},
    }, "additionalProperties": false});
    let streams = [
        stream("same", &columns, &json!({})),
        stream("keyed", &columns, &json!({"source_defined_primary_key": [["id"], ["a"]]})),
        stream(
            "moded",
            &columns,
            &json!({"supported_sync_modes": ["full_refresh"], "source_defined_cursor": false, "default_cursor_field": []}),
        ),
        stream("cursored", &columns, &json!({"default_cursor_field": ["a"]})),
        stream("shaped", &shaped, &json!({})),
        stream("fresh", &columns, &json!({})),
    ];
    let state = json!({"type": "GLOBAL", "global": {"stream_states": [
        {"stream_descriptor": {"name": "same"}, "stream_state": {"updated_at": 1, "v": 1}},
        {"stream_descriptor": {"name": "cursored"}, "stream_state": {"a": 1, "v": 1}},
    ]}});
    recording(folder, &spec, &streams, &[state])
}

#[test]
fn every_way_in_which_two_recordings_differ_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let (old, new) = (old(folder.path().join("old")), new(folder.path().join("new")));
    let metadata = |licence: &str, tag: &str, memory: &str| {
        format!(
            "data:\n  license: {licence}\n  dockerImageTag: {tag}\n  resourceRequirements:\n    jobSpecific:\n      \
             - jobType: sync\n        resourceRequirements: {{memory_limit: {memory}}}\n"
        )
    };
    write(&old, &[("metadata.yaml", metadata("MIT", "1.0.0", "1Gi"))]);
    write(&new, &[("metadata.yaml", metadata("ELv2", "2.0.0", "4Gi"))]);
    let (text, code) = diff(&old, &new, &[]);
    assert_eq!(code, 1);
    insta::assert_snapshot!(text, @r#"
EFFECT      WHERE     WHAT
breaks      config    /region is required now
breaks      config    /count was integer, is string
breaks      config    /legacy is gone
breaks      config    /mode takes fewer values
breaks      gone      is gone; a capture that has it bound fails
breaks      moded     cannot be read as incremental any more
backfill    cursored  the cursor was updated_at, is a
backfill    keyed     the key was /id, is /id, /a
backfill    moded     the cursor was updated_at, is none
backfill    moded     the source does not define the cursor any more
backfill    state     was of the form STREAM, is GLOBAL
backfill    cursored  its state has no updated_at any more
collection  shaped    /a was string, is integer
collection  shaped    /o/x is gone
collection  shaped    /o/y is new, string
note        config    /extra is new
note        config    /key is no secret any more
note        fresh     is new
note        version   was 1.0.0, is 2.0.0
note        licence   was MIT, is ELv2
note        memory    was 1Gi, is 4Gi
bindings that need a backfill: cursored, keyed, moded
collections that change: cursored, keyed, moded, shaped
a running capture would break
"#);
    let (text, code) = diff(&old, &new, &["-o", "json"]);
    let told: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((code, &told["breaks"]), (1, &json!(true)));
    assert_eq!(told["backfill"], json!(["cursored", "keyed", "moded"]));
    let gone = told["changes"].as_array().expect("changes").iter().find(|change| change["where"] == "gone");
    assert_eq!(gone.expect("it is told")["effect"], "breaks");
}

#[test]
fn what_breaks_nothing_is_exit_code_0() {
    let folder = tempfile::tempdir().expect("a folder");
    let columns = json!({"id": {"type": "integer"}, "updated_at": {"type": "string"}});
    let spec = json!({"type": "object", "properties": {"key": {"type": "string"}}});
    let one = stream("one", &columns, &json!({}));
    let old = recording(folder.path().join("old"), &spec, std::slice::from_ref(&one), &[]);
    let (text, code) = diff(&old, &old, &[]);
    assert_eq!((text.as_str(), code), ("nothing changes\n", 0));
    let mut wider = columns.clone();
    wider["note"] = json!({"type": "string"});
    let more = [stream("one", &wider, &json!({})), stream("two", &columns, &json!({}))];
    let new = recording(folder.path().join("new"), &spec, &more, &[]);
    let (text, code) = diff(&old, &new, &[]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("/note is new, string") && text.contains("collections that change: one\n"),
        "{text}"
    );
}

#[test]
fn shims_differ_in_what_they_say_of_the_same_upstream() {
    let folder = tempfile::tempdir().expect("a folder");
    let shim = |name: &str, yaml: &str| {
        let shim = folder.path().join(name);
        old(shim.join("recorded"));
        write(&shim, &[("shim.yaml", yaml.to_owned())]);
        shim
    };
    let one = shim("one", "protocol: airbyte\ncommand: [source]\n");
    let two = shim(
        "two",
        "protocol: airbyte\ncommand: [source]\nstreams:\n  omit: [gone]\n  overrides: {keyed: {key: [/a]}}\n",
    );
    let (text, code) = diff(&one, &two, &[]);
    assert_eq!(code, 1);
    assert!(text.contains("gone   is gone; a capture that has it bound fails"), "{text}");
    assert!(text.contains("keyed  the key was /id, is /a"), "{text}");
    assert!(text.contains("bindings that need a backfill: keyed\n"), "{text}");
    let (text, code) = diff(&one, &folder.path().join("nothing"), &[]);
    assert_eq!(code, 2);
    assert!(text.contains("is neither a shim's folder nor a recording"), "{text}");
}

#[test]
fn a_change_of_a_state_names_the_collection_as_discovery_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let columns = json!({"id": {"type": "integer"}, "updated_at": {"type": "string"}});
    let spec = json!({"type": "object", "properties": {"key": {"type": "string"}}});
    let users = [stream("users", &columns, &json!({"namespace": "shop"}))];
    let version = |name: &str, state: Value| {
        let descriptor = json!({"name": "users", "namespace": "shop"});
        let state =
            json!({"type": "STREAM", "stream": {"stream_descriptor": descriptor, "stream_state": state}});
        recording(folder.path().join(name), &spec, &users, &[state])
    };
    let (old, new) = (version("old", json!({"updated_at": 1})), version("new", json!({"page": 1})));
    let (text, code) = diff(&old, &new, &["-o", "json"]);
    let told: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((code, &told["backfill"]), (1, &json!(["shop.users"])));
    assert_eq!(told["collections"], json!(["shop/users"]));
}

#[test]
fn installed_versions_are_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let installed = |name: &str, recorded: PathBuf| {
        let shim = folder.path().join(name);
        let command = format!("protocol: airbyte\ncommand: [flow-shim, replay, {}]\n", recorded.display());
        let flow = format!(
            "captures:\n  a/b:\n    endpoint:\n      local: {{command: [flow-shim, run, --shim, {name}], config: {{key: k}}}}\n"
        );
        write(&shim, &[("shim.yaml", command), ("test.flow.yaml", flow)]);
        shim
    };
    let one = installed("one", old(folder.path().join("a")));
    let two = installed("two", new(folder.path().join("b")));
    let (text, code) = diff(&one, &two, &["--installed"]);
    assert_eq!(code, 1);
    assert!(text.contains("/region is required now") && text.contains("is gone; a capture"), "{text}");
}

#[test]
fn an_installed_upstream_gets_the_config_in_its_own_shape() {
    let folder = tempfile::tempdir().expect("a folder");
    let spec = json!({"type": "SPEC", "spec": {"connectionSpecification": {
        "type": "object", "additionalProperties": false, "required": ["token"],
        "properties": {"token": {"type": "string", "airbyte_secret": true}, "size": {"type": "integer", "default": 7}},
    }}});
    let catalog = json!({"type": "CATALOG", "catalog": {"streams": [stream("a", &json!({"id": {"type": "integer"}}), &json!({}))]}});
    let source = "case $1 in\n\
                  spec) cat \"$FLOW_SHIM_DIR/spec.json\" ;;\n\
                  discover) cat \"$3\" >&2; grep -qF '{\"token\":\"hunter22\",\"size\":7}' \"$3\" && cat \"$FLOW_SHIM_DIR/catalog.json\" ;;\n\
                  esac\n";
    let shim = "protocol: airbyte\ncommand: [sh, FOLDER/source.sh]\nconfig:\n  schema: {type: object, properties: {login: {type: object}}}\n  \
                map: {/token: /login/key}\n";
    let flow = "captures:\n  a/b:\n    endpoint:\n      local:\n        command: [flow-shim, run, --shim, .]\n        \
                config: {login: {key: hunter22}}\n";
    write(
        folder.path(),
        &[
            ("shim.yaml", shim.replace("FOLDER", &folder.path().display().to_string())),
            ("test.flow.yaml", flow.to_owned()),
            ("source.sh", source.to_owned()),
            ("spec.json", spec.to_string()),
            ("catalog.json", catalog.to_string()),
        ],
    );
    let mut command = flow_shim(&["diff", "--installed"]);
    command.args([folder.path(), folder.path()]);
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("hunter22"), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "nothing changes\n");
}

#[test]
fn a_recorded_tap_equals_itself_and_is_no_source() {
    let tap = repository("shims/demo-singer");
    let (text, code) = diff(&tap, &tap, &[]);
    assert_eq!((text.as_str(), code), ("nothing changes\n", 0));
    let (text, code) = diff(&tap, &repository("shims/demo-airbyte"), &[]);
    assert_eq!(code, 1);
    assert!(text.contains("was singer, is airbyte"), "{text}");
}

/// A manifest with streams, each of them its name, its key and its schema's properties.
fn manifest(streams: &[Value], spec: &Value) -> String {
    let streams: Vec<Value> = streams
        .iter()
        .map(|stream| json!({
            "type": "DeclarativeStream", "name": stream[0], "primary_key": stream[1],
            "incremental_sync": {"type": "DatetimeBasedCursor", "cursor_field": stream[2]},
            "schema_loader": {"type": "InlineSchemaLoader", "schema": {"type": "object", "properties": stream[3]}},
        }))
        .collect();
    json!({"version": "7.0.0", "streams": streams, "spec": {"connection_specification": spec}}).to_string()
}

#[test]
fn two_manifests_are_compared_without_running_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = json!({"type": "string"});
    let old = manifest(
        &[
            json!(["users", "id", "at", {"id": {"type": "integer"}, "at": text}]),
            json!(["gone", "id", "at", {"id": text, "at": text}]),
        ],
        &json!({"type": "object", "properties": {"key": text}}),
    );
    let new = manifest(
        &[json!(["users", "uid", "changed", {"uid": {"type": "integer"}, "changed": text}])],
        &json!({"type": "object", "required": ["region"], "properties": {"key": text, "region": text}}),
    );
    write(folder.path(), &[("old.yaml", old.clone()), ("new.yaml", new)]);
    let (text, code) = diff(&folder.path().join("old.yaml"), &folder.path().join("new.yaml"), &[]);
    assert_eq!(code, 1, "{text}");
    for words in ["gone", "the key was /id, is /uid", "the cursor was at, is changed", "region"] {
        assert!(text.contains(words), "{words} in {text}");
    }
    // The same in shims' folders; a stream that only a discovery shows is not gone.
    let dynamic: Value = serde_json::from_str(&old).expect("JSON");
    let mut dynamic = dynamic;
    dynamic["streams"].as_array_mut().expect("streams").pop();
    dynamic["dynamic_streams"] = json!([{"type": "DynamicDeclarativeStream"}]);
    write(&folder.path().join("a"), &[("manifest.yaml", old)]);
    write(&folder.path().join("b"), &[("manifest.yaml", dynamic.to_string())]);
    let (text, code) = diff(&folder.path().join("a"), &folder.path().join("b"), &[]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("--installed"), "{text}");
}
