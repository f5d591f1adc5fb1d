//! States: STREAM, GLOBAL and LEGACY messages, taken apart for storage and put together again.
//!
//! A stream's part is stored with the type of the message that it came in and the descriptor as the
//! source wrote it: a source that finds a namespace it did not write ignores the state in silence
//! (airbyte-protocol.md, 4.2). What belongs to no stream is stored with its type, too. The types say
//! in which form the source wants its state back: `state_file` puts it together.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::message::text;
use crate::capture::event::LineError;
use crate::capture::protocol::{BoundStream, Coverage, StateUpdate, Unnamed};
use crate::json::members::Members;
use crate::json::text::Text;

/// A state message, as far as it is read. Serves stored parts too.
#[derive(Deserialize)]
pub(super) struct State<'a> {
    #[serde(borrow, rename = "type", default)]
    pub(super) kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) stream: Option<StreamState<'a>>,
    #[serde(borrow, default)]
    global: Option<Global<'a>>,
    #[serde(borrow, default)]
    pub(super) data: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "sourceStats")]
    stats: Option<&'a RawValue>,
    /// Of sources that write to sockets: its place in the order of states.
    #[serde(borrow, default, rename = "id")]
    order: Option<&'a RawValue>,
    /// Likewise: which records it covers.
    #[serde(borrow, default, rename = "partition_id")]
    partition: Option<&'a RawValue>,
    /// Only in what we stored of a GLOBAL state.
    #[serde(borrow, default, rename = "shared_state")]
    pub(super) shared: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct StreamState<'a> {
    #[serde(borrow, rename = "stream_descriptor")]
    pub(super) descriptor: &'a RawValue,
    #[serde(borrow, default, rename = "stream_state")]
    pub(super) value: Option<&'a RawValue>,
    /// In a GLOBAL state of a source that writes to sockets: which records of this stream it covers,
    /// beside those of the whole.
    #[serde(borrow, default, rename = "partition_id")]
    partition: Option<&'a RawValue>,
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
    let coverage = coverage(&state, streams)?;
    let update = match (kind, state.stream, state.global, state.data) {
        (Some("STREAM") | None, Some(stream), _, _) => split_stream(&stream, streams),
        (Some("GLOBAL") | None, _, Some(global), _) => split_global(&global, streams),
        (Some("LEGACY") | None, _, _, Some(data)) => split_legacy(data, streams),
        _ => Err(LineError::Damaged {
            kind: "STATE",
            stream: None,
            cause: "it has no content of its type".to_owned(),
        }),
    }?;
    Ok(StateUpdate { record_count, coverage, ..update })
}

/// What a state covers: in a GLOBAL one, records of all streams beside further ones of some.
fn coverage(state: &State<'_>, streams: &[BoundStream]) -> Result<Option<Coverage>, LineError> {
    let order = state.order.and_then(|order| order.get().parse().ok());
    let (Some(order), Some(partition)) = (order, state.partition.and_then(text)) else { return Ok(None) };
    let of = match (&state.stream, &state.global) {
        (Some(stream), None) => find(stream, streams)?.ok(),
        _ => None,
    };
    let mut parts = vec![(of, partition.into_owned())];
    for stream in state.global.iter().flat_map(|global| &global.stream_states) {
        if let (Some(partition), Ok(of)) = (stream.partition.and_then(text), find(stream, streams)?) {
            parts.push((Some(of), partition.into_owned()));
        }
    }
    Ok(Some(Coverage { order, parts }))
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
        Ok(stream) => update.streams.push((stream, Some(stored_stream("STREAM", state)))),
        Err(name) => update.unbound.push(name),
    }
    Ok(update)
}

/// A GLOBAL state is the whole state: a stream that it does not name has none any more, unless that
/// came in a message of its own, as sources with streams outside of the log send it. A state that
/// is empty throughout says nothing of any stream, and changes nothing.
fn split_global(global: &Global<'_>, streams: &[BoundStream]) -> Result<StateUpdate, LineError> {
    let shared = global.shared_state.map_or("null", RawValue::get);
    if global.stream_states.is_empty() && is_empty(shared) {
        return Ok(StateUpdate::default());
    }
    let mut update =
        StateUpdate { unnamed: Unnamed::DropWhole(came_with_the_whole), ..StateUpdate::default() };
    for state in &global.stream_states {
        match find(state, streams)? {
            Ok(stream) => update.streams.push((stream, Some(stored_stream("GLOBAL", state)))),
            Err(name) => update.unbound.push(name),
        }
    }
    update.shared = Some(raw(format!(r#"{{"type":"GLOBAL","shared_state":{shared}}}"#)));
    Ok(update)
}

fn came_with_the_whole(part: &RawValue) -> bool {
    !part.get().starts_with(r#"{"type":"STREAM""#)
}

fn is_empty(value: &str) -> bool {
    value == "null" || value.starts_with('{') && Members::new(value).next().is_none()
}

/// Old sources keep an object with a member for each stream, and perhaps others. Streams of one
/// name in several namespaces share a member: it is of each of them.
fn split_legacy(data: &RawValue, streams: &[BoundStream]) -> Result<StateUpdate, LineError> {
    if !data.get().starts_with('{') {
        let cause = "its data is no object".to_owned();
        return Err(LineError::Damaged { kind: "STATE", stream: None, cause });
    }
    if is_empty(data.get()) {
        return Ok(StateUpdate::default());
    }
    let mut update = StateUpdate { unnamed: Unnamed::DropWhole(|_| true), ..StateUpdate::default() };
    let mut rest = Vec::new();
    for member in Members::new(data.get()) {
        let before = update.streams.len();
        for (stream, _) in streams.iter().enumerate().filter(|(_, stream)| stream.id.name == member.name) {
            let part = raw(format!(r#"{{"type":"LEGACY","data":{}}}"#, member.value));
            update.streams.push((stream, Some(part)));
        }
        if update.streams.len() == before {
            rest.push(format!("{}:{}", member.raw_name, member.value));
        }
    }
    update.shared = Some(raw(format!(r#"{{"type":"LEGACY","data":{{{}}}}}"#, rest.join(","))));
    Ok(update)
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

fn stored_stream(kind: &str, state: &StreamState<'_>) -> Box<RawValue> {
    raw(format!(r#"{{"type":"{kind}","stream":{}}}"#, stream_text(state)))
}

/// A stream and its state as they stand in STREAM and GLOBAL messages.
pub(super) fn stream_text(state: &StreamState<'_>) -> String {
    let descriptor = state.descriptor.get();
    match state.value {
        Some(value) => format!(r#"{{"stream_descriptor":{descriptor},"stream_state":{}}}"#, value.get()),
        None => format!(r#"{{"stream_descriptor":{descriptor}}}"#),
    }
}

/// Text that was put together of valid parts.
pub(super) fn raw(text: String) -> Box<RawValue> {
    RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::airbyte::state_file::join;
    use crate::capture::protocol::StoredState;
    use crate::shim::read::StateFormat;

    fn streams(ids: &[(Option<&str>, &str)]) -> Vec<BoundStream> {
        ids.iter().map(|&(namespace, name)| BoundStream::bare(namespace, name)).collect()
    }

    /// Splits messages one after the other and joins what is kept.
    fn kept(messages: &[&str], streams: &[BoundStream]) -> Option<String> {
        kept_as(StateFormat::Auto, messages, streams)
    }

    fn kept_as(format: StateFormat, messages: &[&str], streams: &[BoundStream]) -> Option<String> {
        let mut shared: Option<Box<RawValue>> = None;
        let mut parts: Vec<Option<Box<RawValue>>> = streams.iter().map(|_| None).collect();
        for message in messages {
            let update = split(&raw((*message).to_owned()), streams).expect("a state");
            shared = update.shared.or(shared);
            for part in &mut parts {
                let drops = match update.unnamed {
                    Unnamed::Keep => false,
                    Unnamed::Drop => true,
                    Unnamed::DropWhole(drops) => part.as_deref().is_some_and(drops),
                };
                *part = part.take().filter(|_| !drops);
            }
            for (stream, part) in update.streams {
                parts[stream] = part;
            }
        }
        let stored = StoredState {
            shared: shared.as_deref(),
            streams: parts.iter().map(Option::as_deref).collect(),
            fresh: vec![false; streams.len()],
        };
        let file = join(&stored, streams, format).expect("a readable state");
        file.map(|text| String::from_utf8(text).expect("UTF-8"))
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
    fn a_stream_that_has_not_moved_on_from_legacy_yet_keeps_its_state() {
        let streams = streams(&[(None, "users"), (Some("n"), "orders")]);
        let old = r#"{"data":{"users":{"c":1},"orders":{"c":2}}}"#;
        let new =
            r#"{"type":"STREAM","stream":{"stream_descriptor":{"name":"users"},"stream_state":{"c":3}}}"#;
        let orders = r#"{"type":"STREAM","stream":{"stream_descriptor":{"name":"orders","namespace":"n"},"stream_state":{"c":2}}}"#;
        assert_eq!(kept(&[old, new], &streams), Some(format!("[{new},{orders}]")));
        assert_eq!(
            kept_as(StateFormat::Legacy, &[old, new], &streams).as_deref(),
            Some(r#"{"users":{"c":3},"orders":{"c":2}}"#)
        );
    }

    #[test]
    fn streams_outside_of_the_log_keep_their_own_states() {
        let streams = streams(&[(None, "a"), (None, "b")]);
        let global = r#"{"type":"GLOBAL","global":{"shared_state":{"lsn":1},"stream_states":[{"stream_descriptor":{"name":"a"},"stream_state":{}}]}}"#;
        let own = r#"{"type":"STREAM","stream":{"stream_descriptor":{"name":"b"},"stream_state":{"p":1}}}"#;
        assert_eq!(kept(&[own, global], &streams), Some(format!("[{global},{own}]")));
        assert_eq!(kept(&[global, own, global], &streams), Some(format!("[{global},{own}]")));
        let moved_on = own.replace("\"b\"", "\"a\"");
        assert_eq!(kept(&[global, own, &moved_on], &streams), Some(format!("[{moved_on},{own}]")));
        let one = kept_as(StateFormat::Global, &[global, own], &streams).expect("a state");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&one).expect("JSON").as_array().map(Vec::len),
            Some(1)
        );
    }

    #[test]
    fn an_empty_whole_state_changes_nothing() {
        let streams = streams(&[(None, "a")]);
        for (full, empty) in [
            (r#"{"data":{"a":{"c":1}}}"#, r#"{"data":{}}"#),
            (
                r#"{"type":"GLOBAL","global":{"shared_state":{"l":1},"stream_states":[]}}"#,
                r#"{"type":"GLOBAL","global":{"shared_state":{},"stream_states":[]}}"#,
            ),
        ] {
            assert!(kept(&[full], &streams).is_some());
            assert_eq!(kept(&[full, empty], &streams), kept(&[full], &streams));
            assert_eq!(kept(&[empty], &streams), None);
        }
    }

    #[test]
    fn one_name_in_two_namespaces_shares_a_legacy_member() {
        let streams = streams(&[(Some("a"), "s"), (Some("b"), "s")]);
        let state = r#"{"data":{"s":{"c":1},"x":2}}"#;
        assert_eq!(kept(&[state], &streams).as_deref(), Some(r#"{"x":2,"s":{"c":1}}"#));
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
