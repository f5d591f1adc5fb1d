//! Connectors that break one of Flow's rules each, and what the embedded driver says of them. The rules
//! have the names that they have in `src/dev/driver/rules.rs`.

use std::process::Output;

use flow_shim::flow::codec::Codec;
use flow_shim::flow::message::Response;
use serde_json::{Value, json};

use crate::harness::{Run, flow_shim};

/// Answers the injected Spec, and then what comes next in its folder, whatever it is asked.
const SCRIPT: &str = "count=$(cat FOLDER/count)\necho $((count + 1)) >FOLDER/count\n\
                      cat FOLDER/spec\nif [ -f FOLDER/answer.$count ]; then cat FOLDER/answer.$count; fi\n";

/// A connector that answers these one after the other, each in a process of its own.
pub(crate) struct Scripted {
    pub(crate) folder: tempfile::TempDir,
}

impl Scripted {
    pub(crate) fn new(codec: Codec, spec: &Value, answers: &[Vec<Value>]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().to_str().expect("UTF-8").to_owned();
        let write = |name: &str, bytes: &[u8]| {
            std::fs::write(folder.path().join(name), bytes).expect("written");
        };
        write("spec", &encoded(codec, &[json!({ "spec": spec })]));
        for (count, answer) in answers.iter().enumerate() {
            write(&format!("answer.{count}"), &encoded(codec, answer));
        }
        write("connector.sh", SCRIPT.replace("FOLDER", &path).as_bytes());
        let flow = format!(
            "captures:\n  acmeCo/source:\n    endpoint:\n      local:\n        command: [sh, {path}/connector.sh]\n        \
             config: {{}}\n        protobuf: {}\n    bindings:\n      - {{resource: {{stream: users}}, target: acmeCo/users}}\n      \
             - {{resource: {{stream: orders}}, target: acmeCo/orders}}\ncollections:\n  \
             acmeCo/users: {{schema: {{type: object}}, key: [/id]}}\n  acmeCo/orders: {{schema: {{type: object}}, key: [/id]}}\n",
            codec == Codec::Proto
        );
        write("test.flow.yaml", flow.as_bytes());
        Self { folder }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        std::fs::write(self.folder.path().join("count"), "0").expect("written");
        let mut command = flow_shim(arguments);
        command.arg("--source").arg(self.folder.path().join("test.flow.yaml"));
        command.env("LOG_LEVEL", "warn").env("LOG_FORMAT", "json").output().expect("it runs")
    }
}

fn encoded(codec: Codec, answers: &[Value]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for answer in answers {
        let response: Response = serde_json::from_value(answer.clone()).expect("a response");
        codec.encode(&response, &mut bytes).expect("encoded");
    }
    bytes
}

pub(crate) fn good_spec() -> Value {
    json!({
        "protocol": 3_032_023, "configSchema": {"type": "object"}, "resourceConfigSchema": {"type": "object"},
        "documentationUrl": "https://docs.example.com/source", "resourcePathPointers": ["/stream"],
    })
}

fn without(mut spec: Value, member: &str) -> Value {
    spec.as_object_mut().and_then(|members| members.shift_remove(member)).expect("it was there");
    spec
}

fn validated() -> Vec<Value> {
    vec![json!({"validated": {"bindings": [{"resourcePath": ["users"]}, {"resourcePath": ["orders"]}]}})]
}

fn applied() -> Vec<Value> {
    vec![json!({"applied": {}})]
}

/// A capture of one session that answers these behind Opened.
pub(crate) fn session(messages: &[Value]) -> [Vec<Value>; 3] {
    let opened = [json!({"opened": {}})];
    [validated(), applied(), opened.iter().chain(messages).cloned().collect()]
}

pub(crate) fn document() -> Value {
    json!({"captured": {"binding": 1, "doc": {"id": 1}}})
}

pub(crate) fn checkpoint() -> Value {
    json!({"checkpoint": {"state": {"updated": {}, "mergePatch": true}}})
}

fn sourced(schema: &Value) -> Value {
    json!({"sourcedSchema": {"binding": 1, "documentSchema": schema}})
}

fn good_schema() -> Value {
    json!({"type": "object", "properties": {"_meta": {"type": "object"}, "id": {}}, "additionalProperties": false})
}

fn begin() -> Value {
    json!({"backfillBegin": {"binding": 1}})
}

fn complete() -> Value {
    json!({"backfillComplete": {"binding": 1}})
}

/// Asserts in both codecs that the driver refuses, names the rule and each of these words last.
fn refuses(rule: &str, arguments: &[&str], spec: &Value, answers: &[Vec<Value>], words: &[&str]) {
    for codec in [Codec::Json, Codec::Proto] {
        let run = Run::of(Scripted::new(codec, spec, answers).run(arguments));
        assert_ne!(run.code, 0, "{rule} {codec:?}: {answers:?}");
        let last = run.last_words();
        for word in [&[rule], words].concat() {
            assert!(last.contains(word), "{word:?} is not in {last:?} ({codec:?})");
        }
    }
}

/// The same of a capture whose session is this, about the binding "orders".
fn refuses_session(rule: &str, messages: &[Value]) {
    refuses(rule, &["preview"], &good_spec(), &session(messages), &["orders"]);
}

/// Asserts in both codecs that the driver takes it.
fn takes(arguments: &[&str], answers: &[Vec<Value>]) {
    for codec in [Codec::Json, Codec::Proto] {
        Run::of(Scripted::new(codec, &good_spec(), answers).run(arguments)).succeeded();
    }
}

fn preview(messages: &[Value]) {
    takes(&["preview"], &session(messages));
}

#[test]
fn a_connector_that_breaks_no_rule_is_taken() {
    preview(&[sourced(&good_schema()), checkpoint(), document(), checkpoint()]);
    preview(&[begin(), checkpoint(), document(), checkpoint(), complete(), checkpoint()]);
    takes(&["raw", "spec"], &[vec![json!({"spec": good_spec()})]]);
}

#[test]
fn r1_a_spec_is_complete() {
    for member in
        ["protocol", "configSchema", "resourceConfigSchema", "documentationUrl", "resourcePathPointers"]
    {
        let spec = without(good_spec(), member);
        let answers = [vec![json!({ "spec": spec })]];
        refuses("R1", &["raw", "spec"], &spec, &answers, &[member]);
        refuses("R1", &["preview"], &spec, &session(&[]), &[member]);
    }
}

#[test]
fn r2_a_spec_does_not_depend_on_the_config() {
    let mut other = good_spec();
    other["configSchema"]["title"] = json!("other");
    refuses("R2", &["raw", "spec"], &good_spec(), &[vec![json!({ "spec": other })]], &["without a config"]);
}

fn found(binding: &Value) -> Vec<Value> {
    vec![json!({"discovered": {"bindings": [binding]}})]
}

#[test]
fn r3_discover_finds_streams_or_fails() {
    let answers = [vec![json!({"discovered": {}})]];
    refuses("R3", &["raw", "discover"], &good_spec(), &answers, &["no stream was discovered"]);
    let schema =
        json!({"type": "object", "properties": {"id": {"type": "integer"}, "price": {"type": "number"}}});
    let binding = |key: &str, name: &str| json!({"recommendedName": name, "resourceConfig": {"stream": "users"}, "documentSchema": schema, "key": [key]});
    takes(&["raw", "discover"], &[found(&binding("/id", "users"))]);
    for (binding, word) in [
        (binding("/price", "users"), "/price"),
        (binding("/id", ""), "recommendedName"),
        (binding("/id", "*"), "\"*\""),
    ] {
        refuses("R3", &["raw", "discover"], &good_spec(), &[found(&binding)], &[word]);
    }
    let mut twins = [binding("/id", "Sales"), binding("/id", "Sales!")];
    twins[1]["resourceConfig"]["stream"] = json!("orders");
    let answers = [vec![json!({"discovered": {"bindings": twins}})]];
    refuses("R3", &["raw", "discover"], &good_spec(), &answers, &["Sales!", "one collection"]);
}

#[test]
fn r4_resource_paths_are_those_of_flow() {
    let binding = json!({
        "recommendedName": "users", "resourceConfig": {"stream": "users"}, "documentSchema": {"type": "object"},
        "resourcePath": ["public", "users"], "key": ["/id"],
    });
    refuses("R4", &["raw", "discover"], &good_spec(), &[found(&binding)], &["public"]);
    let swapped =
        vec![json!({"validated": {"bindings": [{"resourcePath": ["orders"]}, {"resourcePath": ["users"]}]}})];
    refuses("R4", &["raw", "validate"], &good_spec(), std::slice::from_ref(&swapped), &["orders"]);
    refuses("R4", &["preview"], &good_spec(), &[swapped], &["orders"]);
    let short = vec![json!({"validated": {"bindings": [{"resourcePath": ["users"]}]}})];
    refuses("R4", &["raw", "validate"], &good_spec(), &[short], &["1 bindings"]);
}

#[test]
fn r7_apply_can_be_repeated() {
    let session = |messages: &[Value]| session(messages)[2].clone();
    let messages = session(&[document(), checkpoint()]);
    let good = [validated(), applied(), messages.clone(), applied(), messages.clone()];
    takes(&["preview", "--sessions=1,1"], &good);
    let bad = [validated(), applied(), messages.clone(), vec![], messages];
    refuses("apply", &["preview", "--sessions=1,1"], &good_spec(), &bad, &["without an answer"]);
}

#[test]
fn r9_a_message_has_at_most_64_mebibytes() {
    let large = json!({"captured": {"binding": 1, "doc": {"id": 1, "text": "x".repeat(64 << 20)}}});
    let answers = session(&[large, checkpoint()]);
    let run = Run::of(Scripted::new(Codec::Proto, &good_spec(), &answers).run(&["preview"]));
    assert!(run.last_words().contains("R9"), "{}", run.last_words());
    assert!(run.logged(Some("error"), "orders"), "{:?}", run.logs.len());
}

#[test]
fn r10_the_uuid_is_left_to_flow() {
    let document = json!({"captured": {"binding": 1, "doc": {"id": 1, "_meta": {"uuid": "x"}}}});
    refuses_session("R10", &[document, checkpoint()]);
}

#[test]
fn r11_the_output_ends_behind_a_checkpoint() {
    let spec = good_spec();
    refuses("R11", &["preview"], &spec, &session(&[document()]), &["1 documents"]);
    refuses("R11", &["preview"], &spec, &session(&[sourced(&good_schema())]), &["sourced schemas"]);
    refuses_session("R11", &[begin()]);
    let fails = [validated(), applied(), vec![json!({"opened": {}}), checkpoint()]];
    takes(&["preview"], &fails);
}

#[test]
fn r14_sourced_schemas_are_closed_and_have_meta() {
    let mut open = good_schema();
    open["properties"]["address"] = json!({"type": "object", "properties": {"street": {}}});
    let mut bare = good_schema();
    bare["properties"].as_object_mut().expect("an object").shift_remove("_meta");
    for schema in [open, bare, json!({"type": "text"})] {
        refuses_session("R14", &[sourced(&schema), checkpoint(), document(), checkpoint()]);
    }
    let late = session(&[document(), checkpoint(), sourced(&good_schema()), checkpoint()]);
    let run = Run::of(Scripted::new(Codec::Json, &good_spec(), &late).run(&["preview"])).succeeded();
    assert!(run.logged(Some("warn"), "the first sourcedSchema of binding 1 (orders)"), "{:?}", run.logs);
}

#[test]
fn r14_promises_that_documents_break_are_told() {
    let requiring = |names: Value| {
        let mut schema = good_schema();
        schema["required"] = names;
        sourced(&schema)
    };
    let warned = |messages: &[Value]| {
        let run = Run::of(Scripted::new(Codec::Json, &good_spec(), &session(messages)).run(&["preview"]));
        run.succeeded().logged(Some("warn"), "calls required")
    };
    let [strict, wide] = [requiring(json!(["id", "name"])), requiring(json!(["id"]))];
    assert!(warned(&[strict.clone(), checkpoint(), document(), checkpoint()]));
    assert!(!warned(&[wide.clone(), checkpoint(), document(), checkpoint()]));
    assert!(!warned(&[strict, checkpoint(), document(), wide, checkpoint()]), "it is told in time");
}

#[test]
fn r15_backfill_messages_are_alone_in_their_sequence() {
    let [document, checkpoint, schema] = [document(), checkpoint(), sourced(&good_schema())];
    for messages in [
        vec![begin(), document.clone(), checkpoint.clone()],
        vec![document.clone(), begin(), checkpoint.clone()],
        vec![begin(), schema.clone(), checkpoint.clone()],
        vec![schema.clone(), begin(), checkpoint.clone()],
        vec![begin(), begin(), checkpoint.clone()],
        vec![begin(), checkpoint.clone(), document.clone(), complete(), checkpoint.clone()],
        vec![begin(), checkpoint.clone(), complete(), document.clone(), checkpoint.clone()],
    ] {
        refuses_session("R15", &messages);
    }
}

#[test]
fn r15_a_backfill_begins_once_and_completes_once() {
    let checkpoint = checkpoint();
    refuses_session("R15", &[begin(), checkpoint.clone(), begin(), checkpoint.clone()]);
    refuses_session("R15", &[complete(), checkpoint.clone()]);
    let whole = [begin(), checkpoint.clone(), complete(), checkpoint.clone()];
    refuses_session("R15", &[&whole[..], &whole[2..]].concat());
    preview(&[&whole[..], &whole[..]].concat());

    let opened = |messages: &[Value]| [&[json!({"opened": {}})], messages].concat();
    let again = [
        validated(),
        applied(),
        opened(&[begin(), checkpoint.clone(), document(), checkpoint.clone()]),
        applied(),
        opened(&[begin(), checkpoint.clone()]),
    ];
    refuses("R15", &["preview", "--sessions=-1,-1"], &good_spec(), &again, &["orders", "twice"]);
    let resumed = session(&[complete(), checkpoint]);
    takes(&["preview", "--initial-state", "{\"a\":1}"], &resumed);
}

#[test]
fn the_previous_runtime_refuses_backfill_messages() {
    let messages = session(&[begin(), checkpoint(), complete(), checkpoint()]);
    takes(&["preview", "--runtime=next"], &messages);
    refuses("R15", &["preview", "--runtime=previous"], &good_spec(), &messages, &["previous"]);
}
