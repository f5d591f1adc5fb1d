//! What comes through a socket of the data channel as protobuf, in pieces of any size.
#![no_main]

use std::io::Read;

use flow_shim::airbyte::Airbyte;
use flow_shim::capture::input::buffer::Buffer;
use flow_shim::capture::input::channel::frames::{self, LENGTH};
use flow_shim::capture::input::channel::{Form, Frame};
use flow_shim::capture::protocol::{BoundStream, StoredState, StreamId, UpstreamProtocol};
use flow_shim::json::packed::Packed;
use flow_shim::shim::read::{DataChannel, ReadSection, StateFormat};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use serde_json::{Value, json};

fuzz_target!(|bytes: &[u8]| {
    let Some((&chunk, bytes)) = bytes.split_first() else { return };
    let read = ReadSection { data_channel: DataChannel::Protobuf, ..ReadSection::default() };
    let source = Airbyte::new(&read, StateFormat::Auto);
    let stream = BoundStream {
        binding: 0,
        id: StreamId { namespace: None, name: "u".to_owned() },
        resource_config: json!({"stream": "u", "syncMode": "incremental"}),
        key: vec!["/a".to_owned()],
        schema: Packed::from(&json!({"properties": {"a": {}, "_meta": {}, "_ab_cdc_deleted_at": {}}})),
        is_sourced: true,
        source_stream: None,
        fields: None,
    };
    let plan = source.read_plan(&Value::Null, &[stream], None, &StoredState::default());
    let Ok(Some(Form::Frames(mut reader))) = plan.map(|plan| plan.channel.map(|channel| channel.form)) else {
        panic!("a data channel");
    };
    let mut buffer = Buffer::new(1 << 16, LENGTH);
    let mut text = Vec::new();
    for mut piece in bytes.chunks(usize::from(chunk) + 1) {
        while !piece.is_empty() {
            let read = piece.read(buffer.room()).expect("memory does not fail");
            buffer.filled(read);
            loop {
                let Ok(frame) = frames::cut(&mut buffer) else { return };
                let Some(frame) = frame else { break };
                text.clear();
                if let Ok(Frame::Record { .. }) = reader.read(buffer.message(frame), &mut text) {
                    serde_json::from_slice::<&RawValue>(&text).expect("a record is JSON");
                }
            }
        }
    }
    let _ = reader.stream_of(frames::behind_length(buffer.rest()));
});
