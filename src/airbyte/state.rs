//! States: STREAM, GLOBAL and LEGACY messages, taken apart for storage and put together again.
//!
//! A stream's part is stored with the type of the message that it came in and the descriptor as the
//! source wrote it: a source that finds a namespace it did not write ignores the state in silence
//! (airbyte-protocol.md, 4.2). What belongs to no stream is stored with its type, too. The types say
//! in which form the source wants its state back: `state_file` puts it together.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::descriptor::Descriptor;
use super::message::text;
use crate::capture::event::LineError;
use crate::capture::input::damaged::cause;
use crate::capture::protocol::{BoundStream, Coverage, StateUpdate, Unnamed};
use crate::json::members::{Members, is_empty, member};
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

impl State<'_> {
    /// Whether it is of this type, or a part that came in a message of it.
    pub(super) fn is(&self, kind: &str) -> bool {
        self.kind.as_deref() == Some(kind)
    }
}

impl<'a> StreamState<'a> {
    /// Which stream it is of.
    fn stream(&self) -> Result<Descriptor<'a>, LineError> {
        serde_json::from_str(self.descriptor.get()).map_err(|error| damaged(cause(&error)))
    }

    /// The stream and its state as they stand in STREAM and GLOBAL messages.
    pub(super) fn text(&self) -> String {
        stream_text(self.descriptor.get(), self.value.map(RawValue::get))
    }
}

pub(super) fn split(state: &RawValue, streams: &[BoundStream]) -> Result<StateUpdate, LineError> {
    let state: State<'_> = serde_json::from_str(state.get()).map_err(|error| damaged(cause(&error)))?;
    let kind = state.kind.as_deref();
    let record_count = state.stats.and_then(record_count);
    let coverage = coverage(&state, streams)?;
    let update = match (kind, state.stream, state.global, state.data) {
        (Some("STREAM") | None, Some(stream), _, _) => split_stream(&stream, streams),
        (Some("GLOBAL") | None, _, Some(global), _) => split_global(&global, streams),
        (Some("LEGACY") | None, _, _, Some(data)) => split_legacy(data, streams),
        _ => Err(damaged("it has no content of its type".to_owned())),
    }?;
    Ok(StateUpdate { record_count, coverage, ..update })
}

/// What a state covers: in a GLOBAL one, records of all streams beside further ones of some.
fn coverage(state: &State<'_>, streams: &[BoundStream]) -> Result<Option<Coverage>, LineError> {
    let order = state.order.and_then(|order| order.get().parse().ok());
    let (Some(order), Some(partition)) = (order, state.partition.and_then(text)) else { return Ok(None) };
    let of = match (&state.stream, &state.global) {
        (Some(stream), None) => stream.stream()?.position(streams),
        _ => None,
    };
    let mut parts = vec![(of, partition.into_owned())];
    for stream in state.global.iter().flat_map(|global| &global.stream_states) {
        let Some(partition) = stream.partition.and_then(text) else { continue };
        if let Some(of) = stream.stream()?.position(streams) {
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

fn damaged(cause: String) -> LineError {
    LineError::Damaged { kind: "STATE", stream: None, cause }
}

fn split_stream(state: &StreamState<'_>, streams: &[BoundStream]) -> Result<StateUpdate, LineError> {
    let mut update = StateUpdate::default();
    take_stream("STREAM", state, streams, &mut update)?;
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
        take_stream("GLOBAL", state, streams, &mut update)?;
    }
    update.shared = Some(raw(format!(r#"{{"type":"GLOBAL","shared_state":{shared}}}"#)));
    Ok(update)
}

/// Adds the state of one stream that came in a message of this type.
fn take_stream(
    kind: &str,
    state: &StreamState<'_>,
    streams: &[BoundStream],
    update: &mut StateUpdate,
) -> Result<(), LineError> {
    let stream = state.stream()?;
    match stream.position(streams) {
        Some(position) => update.streams.push((position, Some(raw(stream_message(kind, &state.text()))))),
        None => update.unbound.push(stream.name.into_owned()),
    }
    Ok(())
}

/// Flow keeps the members of an object in an order of its own, so the type may stand anywhere.
fn came_with_the_whole(part: &RawValue) -> bool {
    member(part.get(), "type").is_none_or(|kind| kind.value != r#""STREAM""#)
}

/// Old sources keep an object with a member for each stream, and perhaps others. Streams of one
/// name in several namespaces share a member: it is of each of them.
fn split_legacy(data: &RawValue, streams: &[BoundStream]) -> Result<StateUpdate, LineError> {
    if !data.get().starts_with('{') {
        return Err(damaged("its data is no object".to_owned()));
    }
    if is_empty(data.get()) {
        return Ok(StateUpdate::default());
    }
    let mut update = StateUpdate { unnamed: Unnamed::DropWhole(|_| true), ..StateUpdate::default() };
    let mut rest = Vec::new();
    for member in Members::new(data.get()) {
        let before = update.streams.len();
        for (stream, _) in streams.iter().enumerate().filter(|(_, stream)| stream.id.name == member.name) {
            update.streams.push((stream, Some(legacy(member.value))));
        }
        if update.streams.len() == before {
            rest.push(format!("{}:{}", member.raw_name, member.value));
        }
    }
    update.shared = Some(legacy(&format!("{{{}}}", rest.join(","))));
    Ok(update)
}

/// A LEGACY message, or the part of one.
pub(super) fn legacy(data: &str) -> Box<RawValue> {
    raw(format!(r#"{{"type":"LEGACY","data":{data}}}"#))
}

/// A message about one stream, or what is stored of it; `stream` is its [`stream_text`].
pub(super) fn stream_message(kind: &str, stream: &str) -> String {
    format!(r#"{{"type":"{kind}","stream":{stream}}}"#)
}

/// A stream and its state as they stand in STREAM and GLOBAL messages.
pub(super) fn stream_text(descriptor: &str, state: Option<&str>) -> String {
    match state {
        Some(state) => format!(r#"{{"stream_descriptor":{descriptor},"stream_state":{state}}}"#),
        None => format!(r#"{{"stream_descriptor":{descriptor}}}"#),
    }
}

/// Text that was put together of valid parts.
pub(super) fn raw(text: String) -> Box<RawValue> {
    RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests;
