//! Both codecs say the same.

use flow_shim::flow::codec::Codec;
use flow_shim::flow::message::{Request, Response};
use flow_shim::flow::reader::Reader;
use serde_json::json;

use crate::harness::{Connector, airbyte, open, spec};
use crate::messages::SPEC;

const READ: &str = concat!(
    "{\"type\":\"RECORD\",\"record\":{\"stream\":\"orders\",\"data\":{\"id\":1,\"s\":\"é\"},\"emitted_at\":1}}\n",
    "{\"type\":\"STATE\",\"state\":{\"type\":\"STREAM\",\"stream\":{\"stream_descriptor\":{\"name\":\"orders\"},\"stream_state\":{\"c\":1}}}}\n",
    "{\"type\":\"RECORD\",\"record\":{\"stream\":\"users\",\"data\":{},\"emitted_at\":1}}\n",
);

fn answers(codec: Codec, variable: bool) -> Vec<Response> {
    let mut connector = Connector::playing("airbyte", &[("read.jsonl", READ), ("spec.jsonl", SPEC)]);
    if variable {
        connector = connector.variable("FLOW_RUNTIME_CODEC", "proto");
    }
    let bindings = [airbyte("users", "incremental"), airbyte("orders", "incremental")];
    let mut input = Vec::new();
    for request in [spec(), open(json!({}), &bindings, json!({}))] {
        let request: Request = serde_json::from_value(request).expect("a request");
        codec.encode(&request, &mut input).expect("encoded");
    }
    let output = connector.run_bytes(&input);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut reader = Reader::new(std::io::Cursor::new(output.stdout), codec);
    std::iter::from_fn(|| reader.message::<Response>().expect("a response")).collect()
}

#[test]
fn protobuf_and_json_say_the_same() {
    let json = answers(Codec::Json, false);
    let proto = answers(Codec::Proto, true);
    assert_eq!(json.len(), 6);
    assert_eq!(json, proto);
}
