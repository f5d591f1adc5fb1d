//! The state file that a source gets: the stored parts, in the form in which it wrote them last, or
//! in the one that the shim asks for.

use serde_json::Value;
use serde_json::value::RawValue;

use super::descriptor;
use super::state::{State, stream_message, stream_text};
use crate::capture::protocol::{BoundStream, StoredState};
use crate::failure::{Code, Failure};
use crate::json::members::{Members, member};
use crate::json::packed::Packed;
use crate::shim::read::StateFormat;

/// A stored part of a stream.
struct Part<'a> {
    bound: &'a BoundStream,
    state: State<'a>,
}

/// The content of the state file; `None` where there is no state.
pub(super) fn join(
    stored: &StoredState<'_>,
    streams: &[BoundStream],
    format: StateFormat,
) -> Result<Option<Vec<u8>>, Failure> {
    let shared: Option<State<'_>> = match stored.shared {
        Some(shared) => {
            Some(serde_json::from_str(shared.get()).map_err(|_| unreadable("that belongs to no stream"))?)
        }
        None => None,
    };
    let mut parts = Vec::new();
    for (bound, part) in streams.iter().zip(&stored.streams) {
        let Some(part) = part else { continue };
        let state = serde_json::from_str(part.get())
            .map_err(|_| unreadable(&format!("of stream {:?}", bound.id.to_string())))?;
        parts.push(Part { bound, state });
    }
    let text = match form(format, shared.as_ref(), &parts) {
        _ if shared.is_none() && parts.is_empty() => None,
        StateFormat::Global => Some(global(shared.as_ref(), &parts, format == StateFormat::Global)),
        StateFormat::Legacy => legacy(shared.as_ref(), &parts, streams),
        StateFormat::Auto | StateFormat::Stream if parts.is_empty() => None,
        StateFormat::Auto | StateFormat::Stream => Some(list(&messages(&parts, |_| true))),
    };
    Ok(text.map(String::into_bytes))
}

/// The form that the source is to get. Once no part came with the whole state any more, the source
/// has moved on to states by stream; from LEGACY it has as soon as it wrote the first of those.
fn form(asked: StateFormat, shared: Option<&State<'_>>, parts: &[Part<'_>]) -> StateFormat {
    if asked != StateFormat::Auto {
        return asked;
    }
    let own = parts.iter().any(|part| part.state.is("STREAM"));
    let whole = parts.iter().any(|part| part.state.is("GLOBAL"));
    match shared.and_then(|shared| shared.kind.as_deref()) {
        Some("GLOBAL") if whole || !own => StateFormat::Global,
        Some("LEGACY") if !own && !whole => StateFormat::Legacy,
        _ => StateFormat::Stream,
    }
}

/// One GLOBAL message, and one for each stream that had its state apart, unless all go into one.
fn global(shared: Option<&State<'_>>, parts: &[Part<'_>], in_one: bool) -> String {
    let apart = |part: &Part<'_>| !in_one && part.state.is("STREAM");
    let states: Vec<String> = parts.iter().filter(|part| !apart(part)).map(Part::text).collect();
    let shared = shared.filter(|shared| shared.is("GLOBAL")).and_then(|shared| shared.shared);
    // A source that shares nothing refuses the member (airbyte-protocol.md, 4.2).
    let shared = match shared {
        Some(shared) if shared.get() != "null" => format!(r#""shared_state":{},"#, shared.get()),
        _ => String::new(),
    };
    let states = states.join(",");
    let whole = format!(r#"{{"type":"GLOBAL","global":{{{shared}"stream_states":[{states}]}}}}"#);
    let mut told = vec![whole];
    told.extend(messages(parts, apart));
    list(&told)
}

fn messages(parts: &[Part<'_>], chosen: impl Fn(&Part<'_>) -> bool) -> Vec<String> {
    let chosen = parts.iter().filter(|part| chosen(part));
    chosen.map(|part| stream_message("STREAM", &part.text())).collect()
}

fn list(messages: &[String]) -> String {
    format!("[{}]", messages.join(","))
}

/// Sources that write LEGACY states read the bare object. Members of streams that begin are left
/// out: the shared part may hold one from a time when no binding read the stream.
fn legacy(shared: Option<&State<'_>>, parts: &[Part<'_>], streams: &[BoundStream]) -> Option<String> {
    let data = shared.and_then(|shared| shared.data).map_or("{}", |data| data.get());
    let bound = |name: &str| streams.iter().filter(|stream| stream.id.name == name).count();
    let mut members: Vec<String> = Members::new(data)
        .filter(|member| bound(&member.name) == 0)
        .map(|member| format!("{}:{}", member.raw_name, member.value))
        .collect();
    let mut written: Vec<&str> = Vec::new();
    for part in parts {
        let name = part.bound.id.name.as_str();
        // What several streams share is handed back only while none of them begins.
        let whole = parts.iter().filter(|other| other.bound.id.name == name).count() == bound(name);
        if whole && !written.contains(&name) {
            written.push(name);
            members.push(format!("{}:{}", Value::from(name), part.value()));
        }
    }
    (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")))
}

impl Part<'_> {
    /// The part as it stands in a STREAM or GLOBAL message.
    fn text(&self) -> String {
        match &self.state.stream {
            Some(stream) if self.has_odd_namespace(stream.descriptor.get()) => {
                stream_text(&descriptor::of(self.bound).to_string(), stream.value.map(RawValue::get))
            }
            Some(stream) => stream.text(),
            None => stream_text(&descriptor::of(self.bound).to_string(), Some(self.value())),
        }
    }

    /// Whether the descriptor has an empty namespace that the catalog lacks. Sources on airbyte-cdk (7.39.1)
    /// look the state up by the namespace of the catalog, ignore one that differs, and read everything again.
    fn has_odd_namespace(&self, descriptor: &str) -> bool {
        let catalogs = self.bound.source_stream.as_ref().map(Packed::tree);
        member(descriptor, "namespace").is_some_and(|namespace| namespace.value == "\"\"")
            && catalogs.is_some_and(|stream| stream["namespace"] != "")
    }

    /// The state alone.
    fn value(&self) -> &str {
        let value = self.state.stream.as_ref().map_or(self.state.data, |stream| stream.value);
        value.map_or("null", |value| value.get())
    }
}

fn unreadable(which: &str) -> Failure {
    Failure::new(
        Code::STATE_UNREADABLE,
        format!(
            "the state {which} that Flow keeps cannot be read; if it was edited by hand, repair it, else backfill the bindings"
        ),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_empty_namespace_comes_back_only_where_the_catalog_has_it() {
        let part = r#"{"type":"STREAM","stream":{"stream_descriptor":{"name":"a","namespace":""},"stream_state":{"c":1}}}"#;
        let part = RawValue::from_string(part.to_owned()).expect("JSON");
        let state = StoredState { shared: None, streams: vec![Some(&part)], fresh: vec![false] };
        let descriptor = |catalog: Option<Value>| {
            let source_stream = catalog.as_ref().map(Packed::from);
            let streams = [BoundStream { source_stream, ..BoundStream::bare(None, "a") }];
            let file = join(&state, &streams, StateFormat::Auto).expect("readable").expect("a state");
            let file: Value = serde_json::from_slice(&file).expect("JSON");
            assert_eq!(file[0]["stream"]["stream_state"], json!({"c": 1}));
            file[0]["stream"]["stream_descriptor"].clone()
        };
        assert_eq!(descriptor(Some(json!({"name": "a"}))), json!({"name": "a"}));
        let empty = json!({"name": "a", "namespace": ""});
        assert_eq!(descriptor(Some(empty.clone())), empty);
        assert_eq!(descriptor(None), empty, "as the source wrote it, where nothing says more");
    }
}
