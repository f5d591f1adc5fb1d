//! States of the programs that ran Airbyte sources before: Estuary's two Python shims, which kept one
//! STREAM message for each binding, and airbyte-to-flow, which kept what the source wrote, by the
//! stream's name alone (flow-protocol.md, 8.2, 8.3 and 8.5).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::descriptor;
use super::state::{legacy, raw, split, stream_message, stream_text};
use crate::capture::protocol::{BoundStream, StateUpdate, TakenOver, TakenOverCapture};
use crate::failure::{Code, Failure};
use crate::json::members::Members;

/// An entry of the Python shims.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    /// The next row id, in both of them.
    row_id: Option<u64>,
    #[serde(borrow)]
    state: Option<&'a RawValue>,
}

pub(super) fn binding(entry: &RawValue, stream: &BoundStream) -> Result<Option<TakenOver>, Failure> {
    let entry: Entry<'_> = serde_json::from_str(entry.get()).map_err(|_| unreadable())?;
    let Some(state) = entry.state else { return Ok(None) };
    let update = split(state, std::slice::from_ref(stream)).map_err(|_| unreadable())?;
    let state = update.streams.into_iter().find_map(|(_, part)| part);
    Ok(Some(TakenOver { row_id: entry.row_id.unwrap_or(0), state }))
}

pub(super) fn capture(
    state: &RawValue,
    streams: &[BoundStream],
    offered: &[&str],
) -> Result<Option<TakenOverCapture>, Failure> {
    let mut taken = TakenOverCapture { shared: None, streams: vec![None; streams.len()] };
    match state.get().as_bytes().first() {
        Some(b'[') => {
            let messages: Vec<&RawValue> = serde_json::from_str(state.get()).map_err(|_| unreadable())?;
            for message in messages {
                put(&mut taken, split(message, streams).map_err(|_| unreadable())?);
            }
        }
        Some(b'{') if by_stream(state, streams, offered) => {
            for member in Members::new(state.get()) {
                put_by_name(&mut taken, &member.name, member.value, streams);
            }
        }
        Some(b'{') => {
            put(&mut taken, split(&legacy(state.get()), streams).map_err(|_| unreadable())?);
        }
        _ => return Ok(None),
    }
    Ok(Some(taken))
}

/// Whether each member is the state of a stream. Where one is not, the state belongs to the source
/// as a whole, and only as a whole can it be handed back.
fn by_stream(state: &RawValue, streams: &[BoundStream], offered: &[&str]) -> bool {
    Members::new(state.get()).all(|member| {
        offered.contains(&&*member.name) || streams.iter().any(|stream| stream.id.name == member.name)
    })
}

fn put(taken: &mut TakenOverCapture, update: StateUpdate) {
    taken.shared = update.shared.or_else(|| taken.shared.take());
    for (stream, part) in update.streams {
        taken.streams[stream] = part;
    }
}

/// Streams of one name in several namespaces wrote over each other's state there; given to all, it
/// would make some of them skip rows, so each of them begins.
fn put_by_name(taken: &mut TakenOverCapture, name: &str, state: &str, streams: &[BoundStream]) {
    let mut named = streams.iter().enumerate().filter(|(_, stream)| stream.id.name == name);
    match (named.next(), named.next()) {
        (Some((stream, bound)), None) => {
            let text = stream_text(&descriptor::of(bound).to_string(), Some(state));
            taken.streams[stream] = Some(raw(stream_message("STREAM", &text)));
        }
        (Some(_), Some(_)) => tracing::warn!(
            stream = name,
            "the state that airbyte-to-flow kept is by name alone and cannot tell the streams of this name in \
             several namespaces apart: they are read anew, so that no row is skipped"
        ),
        (None, _) => {}
    }
}

fn unreadable() -> Failure {
    Failure::new(
        Code::STATE_UNREADABLE,
        "the state that an older connector left cannot be read; repair it, or backfill all bindings to start anew",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streams(ids: &[(Option<&str>, &str)]) -> Vec<BoundStream> {
        ids.iter().map(|&(namespace, name)| BoundStream::bare(namespace, name)).collect()
    }

    fn parts(
        state: &str,
        streams: &[BoundStream],
        offered: &[&str],
    ) -> (Option<String>, Vec<Option<String>>) {
        let taken = capture(&raw(state.to_owned()), streams, offered).expect("readable").expect("known");
        let text = |raw: Box<RawValue>| raw.get().to_owned();
        (taken.shared.map(text), taken.streams.into_iter().map(|part| part.map(text)).collect())
    }

    #[test]
    fn a_member_that_is_no_stream_makes_the_state_one_whole() {
        let streams = streams(&[(None, "users")]);
        let (shared, users) = parts(r#"{"users":{"c":1},"old":{"c":2}}"#, &streams, &["old"]);
        assert!(shared.is_none());
        assert!(users[0].as_deref().is_some_and(|part| part.starts_with(r#"{"type":"STREAM""#)));
        let (shared, users) = parts(r#"{"users":{"c":1},"cdc":true}"#, &streams, &["old"]);
        assert_eq!(shared.as_deref(), Some(r#"{"type":"LEGACY","data":{"cdc":true}}"#));
        assert_eq!(users[0].as_deref(), Some(r#"{"type":"LEGACY","data":{"c":1}}"#));
    }

    #[test]
    fn streams_that_cannot_be_told_apart_begin() {
        let streams = streams(&[(Some("a"), "s"), (Some("b"), "s"), (Some("b"), "t")]);
        let (_, parts) = parts(r#"{"s":{"c":1},"t":{}}"#, &streams, &[]);
        assert_eq!((parts[0].is_none(), parts[1].is_none(), parts[2].is_some()), (true, true, true));
    }
}
