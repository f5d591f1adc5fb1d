//! What tests of the data channel have in common: shims, bindings, states, and what Flow holds of them.

use serde_json::{Value, json};

use crate::harness::{Connector, Run, binding, open};
use crate::messages::status;

/// What comes through the sockets.
pub(crate) const FORMS: [&str; 2] = ["jsonl", "protobuf"];

/// A shim that asks for two sockets.
pub(crate) fn shim(form: &str, more: &str) -> String {
    format!(
        "config: {{schema: {{type: object}}}}\nread: {{dataChannel: {form}, dataChannelSockets: 2{more}}}"
    )
}

/// A binding whose source has these fields.
pub(crate) fn stream(name: &str, mode: &str, key: &str, fields: &[&str]) -> Value {
    let properties: serde_json::Map<String, Value> =
        fields.iter().map(|field| ((*field).to_owned(), json!({}))).collect();
    let mut binding =
        binding(json!({"stream": name, "syncMode": mode, "_meta": {"path": [name]}}), &[name], &[key]);
    binding["collection"]["writeSchema"]["x-source-schema"] =
        json!({"type": "object", "properties": properties});
    binding
}

/// Two streams that are told apart by their id.
pub(crate) fn bindings() -> [Value; 2] {
    ["users", "orders"].map(|name| stream(name, "incremental", "/id", &["id", "name"]))
}

/// Reads them, from the beginning.
pub(crate) fn read(connector: &Connector) -> Run {
    connector.run(&[open(json!({}), &bindings(), json!({}))])
}

/// A STREAM state that says what it covers.
pub(crate) fn state(stream: &str, order: u64, partition: &str, count: u64) -> String {
    json!({"type": "STATE", "state": {
        "type": "STREAM",
        "stream": {"stream_descriptor": {"name": stream}, "stream_state": {"c": order}},
        "sourceStats": {"recordCount": f64::from(u32::try_from(count).expect("few"))},
        "id": order, "partition_id": partition,
    }})
    .to_string()
}

/// The status of a stream that was read to its end.
pub(crate) fn done(stream: &str) -> String {
    status(stream, "COMPLETE").trim_end().to_owned()
}

/// What upstream's state of a stream is in the state that Flow would hold.
pub(crate) fn kept(state: &Value, stream: &str) -> Value {
    state["bindingStateV1"][stream]["state"][0]["stream"]["stream_state"]["c"].clone()
}

/// The documents before each checkpoint that changes the state of a stream, and that state.
pub(crate) fn committed(run: &Run, stream: &str) -> Vec<(usize, Value)> {
    let mut documents = 0;
    let mut found = Vec::new();
    for response in &run.responses {
        documents += usize::from(response.get("captured").is_some());
        let state = kept(&response["checkpoint"]["state"]["updated"], stream);
        if !state.is_null() {
            found.push((documents, state));
        }
    }
    found
}
