//! What the state of a full-refresh stream says (airbyte-protocol.md, 5.6).

use serde_json::Value;
use serde_json::value::RawValue;

use crate::capture::protocol::{BoundStream, RefreshState};

/// Members by which the CDK says that a stream has no cursor, or was read to its end.
const MARKERS: [&str; 2] = ["__ab_no_cursor_state_message", "__ab_full_refresh_sync_complete"];

/// A stream that the source calls not resumable is read from its beginning whatever its state, as the
/// platform has it.
pub(super) fn state(stream: &BoundStream, stored: &RawValue) -> RefreshState {
    let stored: Value = serde_json::from_str(stored.get()).unwrap_or_default();
    let state = stored.pointer("/stream/stream_state").unwrap_or(&stored["data"]);
    let says_something = match state {
        Value::Null => false,
        Value::Object(members) => {
            !members.is_empty() && !members.keys().any(|name| MARKERS.contains(&name.as_str()))
        }
        _ => true,
    };
    let resumable = stream.source_stream.as_ref().is_none_or(|source| source.tree()["is_resumable"] != false);
    if says_something && resumable { RefreshState::Position { exact: true } } else { RefreshState::Marker }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::json::packed::Packed;

    fn of(state: Value, source: Option<Value>) -> RefreshState {
        let stream =
            BoundStream { source_stream: source.as_ref().map(Packed::from), ..BoundStream::bare(None, "a") };
        let stored =
            json!({"type": "STREAM", "stream": {"stream_descriptor": {"name": "a"}, "stream_state": state}});
        super::state(&stream, &RawValue::from_string(stored.to_string()).expect("JSON"))
    }

    #[test]
    fn end_markers_are_no_positions() {
        for state in [
            json!({}),
            json!(null),
            json!({"__ab_no_cursor_state_message": true}),
            json!({"__ab_full_refresh_sync_complete": true}),
        ] {
            assert_eq!(of(state.clone(), None), RefreshState::Marker, "{state}");
        }
        assert_eq!(of(json!({"page": 3}), None), RefreshState::Position { exact: true });
        assert_eq!(of(json!({"page": 3}), Some(json!({"is_resumable": false}))), RefreshState::Marker);
    }
}
