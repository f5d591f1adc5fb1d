//! States: STREAM, GLOBAL and LEGACY messages, taken apart for storage and put together again.
//!
//! A stream's part is stored as the STREAM message that would carry it, with the descriptor as the
//! source wrote it: a source that finds a namespace it did not write ignores the state in silence
//! (airbyte-protocol.md, 4.2). What belongs to no stream is stored with its type, and so says in
//! which form the source wants its state back.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::capture::event::LineError;
use crate::capture::protocol::{BoundStream, StateUpdate, StoredState};
use crate::json::members::Members;
use crate::json::text::Text;

/// A state message, as far as it is read. Serves stored parts too.
#[derive(Deserialize)]
struct State<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    stream: Option<StreamState<'a>>,
    #[serde(borrow, default)]
    global: Option<Global<'a>>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "sourceStats")]
    stats: Option<&'a RawValue>,
    /// Only in what we stored of a GLOBAL state.
    #[serde(borrow, default, rename = "shared_state")]
    shared: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct StreamState<'a> {
    #[serde(borrow, rename = "stream_descriptor")]
    descriptor: &'a RawValue,
    #[serde(borrow, default, rename = "stream_state")]
    value: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Global<'a> {
    #[serde(borrow, default)]
    shared_state: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stream_states: Vec<StreamState<'a>>,
}

#[derive(Deserialize)]
struct Descriptor<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    namespace: Option<Text<'a>>,
}

pub(super) fn split(state: &RawValue, streams: &[BoundStream]) -> Result<StateUpdate, LineError> {
    let state: State<'_> = serde_json::from_str(state.get()).map_err(|error| damaged(&error))?;
    let kind = state.kind.as_deref();
    let record_count = state.stats.and_then(record_count);
    let update = match (kind, state.stream, state.global, state.data) {
        (Some("STREAM") | None, Some(stream), _, _) => split_stream(&stream, streams),
        (Some("GLOBAL"), _, Some(global), _) => split_global(&global, streams),
        (Some("LEGACY") | None, _, _, Some(data)) => split_legacy(data, streams),
        _ => Err(LineError::Damaged {
            kind: "STATE",
            stream: None,
            cause: "it has no content of its type".to_owned(),
        }),
    }?;
    Ok(StateUpdate { record_count, ..update })
}

/// How many records the source says it printed; counts are floats (airbyte-protocol.md, 2.2).
fn record_count(stats: &RawValue) -> Option<u64> {
    let stats: serde_json::Value = serde_json::from_str(stats.get()).ok()?;
    let count = &stats["recordCount"];
    let whole = count.as_f64().filter(|count| count.fract() == 0.0).map(|count| format!("{count:.0}"));
    count.as_u64().or_else(|| whole?.parse().ok())
}

fn damaged(error: &serde_json::Error) -> LineError {
    let category = format!("{:?}", error.classify()).to_lowercase();
    LineError::Damaged {
        kind: "STATE",
        stream: None,
        cause: format!("{category} error at byte {}", error.column()),
    }
}

fn split_stream(state: &StreamState<'_>, streams: &[BoundStream]) -> Result<StateUpdate, LineError> {
    let mut update = StateUpdate::default();
    match find(state, streams)? {
        Ok(stream) => update.streams.push((stream, Some(stored_stream(state)))),
        Err(name) => update.unbound.push(name),
    }
    Ok(update)
}

/// A GLOBAL state is the whole state: a stream that it does not name has none any more.
fn split_global(global: &Global<'_>, streams: &[BoundStream]) -> Result<StateUpdate, LineError> {
    let mut parts: Vec<Option<Box<RawValue>>> = streams.iter().map(|_| None).collect();
    let mut update = StateUpdate::default();
    for state in &global.stream_states {
        match find(state, streams)? {
            Ok(stream) => parts[stream] = Some(stored_stream(state)),
            Err(name) => update.unbound.push(name),
        }
    }
    update.streams = parts.into_iter().enumerate().collect();
    let shared = global.shared_state.map_or("null", RawValue::get);
    update.shared = Some(raw(format!(r#"{{"type":"GLOBAL","shared_state":{shared}}}"#)));
    Ok(update)
}

/// Old sources keep an object with a member for each stream, and perhaps others.
fn split_legacy(data: &RawValue, streams: &[BoundStream]) -> Result<StateUpdate, LineError> {
    if !data.get().starts_with('{') {
        return Err(LineError::Damaged {
            kind: "STATE",
            stream: None,
            cause: "its data is no object".to_owned(),
        });
    }
    let mut parts: Vec<Option<Box<RawValue>>> = streams.iter().map(|_| None).collect();
    let mut rest = Vec::new();
    for member in Members::new(data.get()) {
        match streams.iter().position(|stream| stream.id.name == member.name) {
            Some(stream) => {
                parts[stream] = Some(raw(format!(r#"{{"type":"LEGACY","data":{}}}"#, member.value)));
            }
            None => rest.push(format!("{}:{}", member.raw_name, member.value)),
        }
    }
    let shared = Some(raw(format!(r#"{{"type":"LEGACY","data":{{{}}}}}"#, rest.join(","))));
    Ok(StateUpdate { shared, streams: parts.into_iter().enumerate().collect(), ..StateUpdate::default() })
}

/// The bound stream that a descriptor means, else its name.
fn find(state: &StreamState<'_>, streams: &[BoundStream]) -> Result<Result<usize, String>, LineError> {
    let descriptor: Descriptor<'_> =
        serde_json::from_str(state.descriptor.get()).map_err(|error| damaged(&error))?;
    let namespace = descriptor.namespace.as_deref().filter(|namespace| !namespace.is_empty());
    let named = || streams.iter().enumerate().filter(|(_, stream)| stream.id.name == descriptor.name);
    if let Some((exact, _)) = named().find(|(_, stream)| stream.id.namespace.as_deref() == namespace) {
        return Ok(Ok(exact));
    }
    let mut loose = named().filter(|(_, stream)| namespace.is_none() || stream.id.namespace.is_none());
    match (loose.next(), loose.next()) {
        (Some((stream, _)), None) => Ok(Ok(stream)),
        _ => Ok(Err(descriptor.name.into_owned())),
    }
}

fn stored_stream(state: &StreamState<'_>) -> Box<RawValue> {
    raw(format!(r#"{{"type":"STREAM","stream":{}}}"#, stream_text(state)))
}

fn stream_text(state: &StreamState<'_>) -> String {
    let descriptor = state.descriptor.get();
    match state.value {
        Some(value) => format!(r#"{{"stream_descriptor":{descriptor},"stream_state":{}}}"#, value.get()),
        None => format!(r#"{{"stream_descriptor":{descriptor}}}"#),
    }
}

/// Text that was put together of valid parts.
fn raw(text: String) -> Box<RawValue> {
    RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// The content of the state file; `None` where there is no state.
pub(super) fn join(stored: &StoredState<'_>, streams: &[BoundStream]) -> Option<Vec<u8>> {
    let shared = stored.shared.and_then(|shared| serde_json::from_str::<State<'_>>(shared.get()).ok());
    let parts: Vec<(usize, State<'_>)> = stored
        .streams
        .iter()
        .enumerate()
        .filter_map(|(stream, part)| Some((stream, serde_json::from_str(part.as_ref()?.get()).ok()?)))
        .collect();
    let by_stream: Vec<String> =
        parts.iter().filter_map(|(_, part)| part.stream.as_ref()).map(stream_text).collect();
    let kind = shared.as_ref().and_then(|shared| shared.kind.as_deref());
    let text = match kind {
        Some("GLOBAL") => {
            let shared = shared.as_ref().and_then(|state| state.shared).map_or("null", RawValue::get);
            // A source that shares nothing refuses the member (airbyte-protocol.md, 4.2).
            let shared =
                if shared == "null" { String::new() } else { format!(r#""shared_state":{shared},"#) };
            format!(r#"[{{"type":"GLOBAL","global":{{{shared}"stream_states":[{}]}}}}]"#, by_stream.join(","))
        }
        // Once a stream has a state of its own, the source has moved on from LEGACY.
        Some("LEGACY") if by_stream.is_empty() => legacy(shared.as_ref(), &parts, streams),
        _ if by_stream.is_empty() => return None,
        _ => {
            let states = by_stream.iter().map(|stream| format!(r#"{{"type":"STREAM","stream":{stream}}}"#));
            format!("[{}]", states.collect::<Vec<_>>().join(","))
        }
    };
    Some(text.into_bytes())
}

/// Sources that write LEGACY states read the bare object.
fn legacy(shared: Option<&State<'_>>, parts: &[(usize, State<'_>)], streams: &[BoundStream]) -> String {
    let data = shared.and_then(|shared| shared.data).map_or("{}", RawValue::get);
    let mut members: Vec<String> =
        Members::new(data).map(|member| format!("{}:{}", member.raw_name, member.value)).collect();
    for (stream, part) in parts {
        if let (Some(data), Some(bound)) = (part.data, streams.get(*stream)) {
            let name = serde_json::Value::from(bound.id.name.as_str());
            members.push(format!("{name}:{}", data.get()));
        }
    }
    format!("{{{}}}", members.join(","))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::capture::protocol::StreamId;

    fn streams(ids: &[(Option<&str>, &str)]) -> Vec<BoundStream> {
        ids.iter()
            .map(|&(namespace, name)| BoundStream {
                binding: 0,
                id: StreamId { namespace: namespace.map(str::to_owned), name: name.to_owned() },
                resource_config: json!({}),
                key: Vec::new(),
                schema: json!({}),
                source_stream: None,
            })
            .collect()
    }

    /// Splits messages one after the other and joins what is kept.
    fn kept(messages: &[&str], streams: &[BoundStream]) -> Option<String> {
        let mut shared: Option<Box<RawValue>> = None;
        let mut parts: Vec<Option<Box<RawValue>>> = streams.iter().map(|_| None).collect();
        for message in messages {
            let update = split(&raw((*message).to_owned()), streams).expect("a state");
            shared = update.shared.or(shared);
            for (stream, part) in update.streams {
                parts[stream] = part;
            }
        }
        let stored =
            StoredState { shared: shared.as_deref(), streams: parts.iter().map(Option::as_deref).collect() };
        join(&stored, streams).map(|text| String::from_utf8(text).expect("UTF-8"))
    }

    #[test]
    fn stream_states_come_back_as_they_were_written() {
        let streams = streams(&[(None, "users"), (Some("b"), "orders"), (Some("a"), "orders")]);
        let state = r#"{"type":"STREAM","stream":{"stream_descriptor":{"name":"users","namespace":null},"stream_state":{"n":12345678901234567890123,"x":null}},"sourceStats":{"recordCount":1.0}}"#;
        let other =
            r#"{"stream":{"stream_descriptor":{"namespace":"a","name":"orders"}},"data":{"compatible":1}}"#;
        assert_eq!(
            kept(&[state, other], &streams).as_deref(),
            Some(
                r#"[{"type":"STREAM","stream":{"stream_descriptor":{"name":"users","namespace":null},"stream_state":{"n":12345678901234567890123,"x":null}}},{"type":"STREAM","stream":{"stream_descriptor":{"namespace":"a","name":"orders"}}}]"#
            )
        );
        assert_eq!(kept(&[], &streams), None);
    }

    #[test]
    fn a_global_state_replaces_everything() {
        let streams = streams(&[(None, "a"), (None, "b")]);
        let one = r#"{"type":"GLOBAL","global":{"shared_state":{"lsn":1},"stream_states":[{"stream_descriptor":{"name":"a"},"stream_state":{}},{"stream_descriptor":{"name":"b"},"stream_state":{}}]}}"#;
        let two = r#"{"type":"GLOBAL","global":{"stream_states":[{"stream_descriptor":{"name":"b"},"stream_state":{"x":1}}]}}"#;
        assert_eq!(
            kept(&[one, two], &streams).as_deref(),
            Some(
                r#"[{"type":"GLOBAL","global":{"stream_states":[{"stream_descriptor":{"name":"b"},"stream_state":{"x":1}}]}}]"#
            )
        );
        assert!(kept(&[one], &streams).expect("a state").contains(r#""shared_state":{"lsn":1}"#));
    }

    #[test]
    fn a_source_that_moves_on_from_legacy_gets_the_new_form() {
        let streams = streams(&[(None, "users")]);
        let old = r#"{"type":"LEGACY","data":{"users":{"c":1},"global":null}}"#;
        assert_eq!(kept(&[old], &streams).as_deref(), Some(r#"{"global":null,"users":{"c":1}}"#));
        let new =
            r#"{"type":"STREAM","stream":{"stream_descriptor":{"name":"users"},"stream_state":{"c":2}}}"#;
        assert!(kept(&[old, new], &streams).expect("a state").starts_with(r#"[{"type":"STREAM""#));
    }

    #[test]
    fn states_without_content_are_damaged() {
        for state in [
            "{}",
            r#"{"type":"STREAM"}"#,
            r#"{"type":"GLOBAL"}"#,
            "3",
            r#"{"type":"LEGACY","data":3}"#,
            r#"{"type":"STREAM","stream":{}}"#,
        ] {
            assert!(split(&raw(state.to_owned()), &streams(&[(None, "a")])).is_err(), "{state}");
        }
    }

    #[test]
    fn strangers_are_named() {
        let state = r#"{"type":"STREAM","stream":{"stream_descriptor":{"name":"stranger"}}}"#;
        let update = split(&raw(state.to_owned()), &streams(&[(None, "a")])).expect("a state");
        assert_eq!(update.unbound, ["stranger"]);
    }

    proptest! {
        #[test]
        fn what_is_kept_is_kept_byte_for_byte(text in "[a-zé\"\\\\ ]{0,12}", number in "-?[1-9][0-9]{0,40}", global: bool) {
            let state = format!(r#"{{ "t": {}, "n":{number} , "z": [null]}}"#, json!(text));
            let stream = format!(r#"{{"stream_descriptor":{{"name":"a"}},"stream_state":{state}}}"#);
            let message = if global {
                format!(r#"{{"type":"GLOBAL","global":{{"shared_state":{state},"stream_states":[{stream}]}}}}"#)
            } else {
                format!(r#"{{"type":"STREAM","stream":{stream}}}"#)
            };
            let streams = streams(&[(None, "a")]);
            let once = kept(&[&message], &streams).expect("a state");
            prop_assert!(once.contains(&state));
            let again = once.trim_start_matches('[').trim_end_matches(']');
            let again = if again.ends_with('}') { again.to_owned() } else { again.to_owned() + "]" };
            if let Ok(message) = RawValue::from_string(again) {
                prop_assert_eq!(kept(&[message.get()], &streams), Some(once));
            }
        }
    }
}
