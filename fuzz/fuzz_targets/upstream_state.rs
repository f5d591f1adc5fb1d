//! State messages of both protocols: taking one apart must not panic, and what is kept is JSON.
#![no_main]

use flow_shim::airbyte::Airbyte;
use flow_shim::capture::protocol::{BoundStream, StreamId, UpstreamProtocol};
use flow_shim::json::packed::Packed;
use flow_shim::singer::Singer;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

fuzz_target!(|text: &str| {
    let Ok(state) = RawValue::from_string(text.to_owned()) else { return };
    let streams = ["a", "b"].map(|name| BoundStream {
        binding: 0,
        id: StreamId { namespace: None, name: name.to_owned() },
        resource_config: serde_json::json!({}),
        key: Vec::new(),
        schema: Packed::default(),
        is_sourced: false,
        source_stream: None,
        fields: None,
    });
    for update in
        [Airbyte::default().split_state(&state, &streams), Singer::default().split_state(&state, &streams)]
    {
        let parts = update.map(|update| update.streams).unwrap_or_default();
        for part in parts.into_iter().filter_map(|(_, part)| part) {
            assert!(serde_json::from_str::<&RawValue>(part.get()).is_ok());
        }
    }
});
