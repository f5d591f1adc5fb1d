//! A tap's state: one value for the whole tap, taken apart by stream for storage and put together
//! again, so that one stream can start anew without the others.
//!
//! Nothing is dropped: nulls, unknown members and bookmarks of unknown streams come back, because
//! taps fail without them (singer-protocol.md, 4.3).

use std::collections::HashMap;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::capture::event::LineError;
use crate::capture::protocol::{BoundStream, StateUpdate, StoredState};
use crate::json::members::{Member, Members};

/// What Estuary's older shim left in a bookmark (flow-protocol.md, 8.4).
const ROW_COUNTER: &str = "estuary.dev/rowCounter";

/// The members of an object as text, in their order.
type Pairs = Vec<(String, String)>;

pub(super) fn split(state: &RawValue, streams: &[BoundStream]) -> Result<StateUpdate, LineError> {
    if !state.get().starts_with('{') {
        let cause = "its value is no object".to_owned();
        return Err(LineError::Damaged { kind: "STATE", stream: None, cause });
    }
    let positions: HashMap<&str, usize> =
        streams.iter().enumerate().map(|(position, stream)| (stream.id.name.as_str(), position)).collect();
    let mut parts: Vec<Option<Box<RawValue>>> = streams.iter().map(|_| None).collect();
    let bookmarks =
        Members::new(state.get()).find(|member| member.name == "bookmarks" && member.value.starts_with('{'));
    let mut take = |object: &str| -> Pairs {
        let mut rest = Vec::new();
        for Member { name, raw_name, value } in Members::new(object) {
            match positions.get(&*name) {
                Some(&position) => parts[position] = RawValue::from_string(value.to_owned()).ok(),
                None => rest.push((raw_name.to_owned(), value.to_owned())),
            }
        }
        rest
    };
    let shared = match bookmarks {
        Some(bookmarks) => {
            let foreign = object(&take(bookmarks.value));
            let replaced = |member: Member<'_>| {
                let value =
                    if member.name == "bookmarks" { foreign.clone() } else { member.value.to_owned() };
                (member.raw_name.to_owned(), value)
            };
            object(&Members::new(state.get()).map(replaced).collect::<Pairs>())
        }
        // Old taps keep a member for each stream at the top, or none at all.
        None => object(&take(state.get())),
    };
    Ok(StateUpdate {
        shared: RawValue::from_string(shared).ok(),
        streams: parts.into_iter().enumerate().collect(),
        ..StateUpdate::default()
    })
}

/// The content of the state file; `None` where there is no state.
pub(super) fn join(stored: &StoredState<'_>, streams: &[BoundStream]) -> Option<Vec<u8>> {
    let parts: Pairs = stored
        .streams
        .iter()
        .zip(streams)
        .filter_map(|(part, stream)| {
            Some((Value::from(stream.id.name.as_str()).to_string(), without_counter((*part)?.get())))
        })
        .collect();
    let Some(shared) = stored.shared else {
        return (!parts.is_empty()).then(|| format!(r#"{{"bookmarks":{}}}"#, object(&parts)).into_bytes());
    };
    let has_bookmarks = Members::new(shared.get()).any(|member| member.name == "bookmarks");
    let mut members: Pairs = Vec::new();
    for member in Members::new(shared.get()) {
        let value = match &*member.name {
            "bookmarks" => {
                let own = Members::new(member.value).map(|m| (m.raw_name.to_owned(), m.value.to_owned()));
                object(&own.chain(parts.iter().cloned()).collect::<Pairs>())
            }
            "currently_syncing" => currently_syncing(member.value, &parts),
            _ => member.value.to_owned(),
        };
        members.push((member.raw_name.to_owned(), value));
    }
    if !has_bookmarks {
        members.extend(parts);
    }
    Some(object(&members).into_bytes())
}

/// A stream without a bookmark would be skipped for a whole run by singer-io tap-mysql; without the
/// member pipelinewise-tap-postgres fails (surprise 5).
fn currently_syncing(value: &str, parts: &Pairs) -> String {
    let known = parts.iter().any(|(name, _)| name == value);
    if known { value.to_owned() } else { "null".to_owned() }
}

fn without_counter(bookmark: &str) -> String {
    if !bookmark.starts_with('{') || !bookmark.contains(ROW_COUNTER) {
        return bookmark.to_owned();
    }
    let kept = Members::new(bookmark).filter(|member| member.name != ROW_COUNTER);
    object(&kept.map(|member| (member.raw_name.to_owned(), member.value.to_owned())).collect::<Pairs>())
}

fn object(members: &Pairs) -> String {
    let members: Vec<String> = members.iter().map(|(name, value)| format!("{name}:{value}")).collect();
    format!("{{{}}}", members.join(","))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::capture::protocol::StreamId;

    fn streams(names: &[&str]) -> Vec<BoundStream> {
        names
            .iter()
            .map(|&name| BoundStream {
                binding: 0,
                id: StreamId { namespace: None, name: name.to_owned() },
                resource_config: json!({}),
                key: Vec::new(),
                schema: json!({}),
                source_stream: None,
            })
            .collect()
    }

    /// What a tap gets back of a state; streams named in `anew` start anew.
    fn kept(state: &str, names: &[&str], anew: &[&str]) -> Option<String> {
        let streams = streams(names);
        let update =
            split(&RawValue::from_string(state.to_owned()).expect("JSON"), &streams).expect("a state");
        let mut parts: Vec<Option<Box<RawValue>>> = streams.iter().map(|_| None).collect();
        for (stream, part) in update.streams {
            parts[stream] = part.filter(|_| !anew.contains(&names[stream]));
        }
        let stored = StoredState {
            shared: update.shared.as_deref(),
            streams: parts.iter().map(Option::as_deref).collect(),
        };
        join(&stored, &streams).map(|text| String::from_utf8(text).expect("UTF-8"))
    }

    #[test]
    fn everything_comes_back() {
        let state = r#"{"currently_syncing":null,"bookmarks":{"other":{"a":null},"users":{"lsn":12345678901234567890123,"xmin":null}},"custom":[null]}"#;
        assert_eq!(kept(state, &["users", "orders"], &[]).as_deref(), Some(state));
    }

    #[test]
    fn one_stream_starts_anew_and_the_others_go_on() {
        let state = r#"{"bookmarks":{"a":{"x":1},"b":{"y":2}},"currently_syncing":"a"}"#;
        assert_eq!(
            kept(state, &["a", "b"], &["a"]).as_deref(),
            Some(r#"{"bookmarks":{"b":{"y":2}},"currently_syncing":null}"#)
        );
        assert_eq!(
            kept(state, &["a", "b"], &["b"]).as_deref(),
            Some(r#"{"bookmarks":{"a":{"x":1}},"currently_syncing":"a"}"#)
        );
    }

    #[test]
    fn flat_states_are_taken_apart_too() {
        assert_eq!(
            kept(r#"{"users":2,"start_date":"2024-01-01"}"#, &["users"], &["users"]).as_deref(),
            Some(r#"{"start_date":"2024-01-01"}"#)
        );
        assert_eq!(
            kept(r#"{"start_date":"2024-01-01","users":2}"#, &["users"], &[]).as_deref(),
            Some(r#"{"start_date":"2024-01-01","users":2}"#)
        );
        assert_eq!(kept("{}", &["users"], &[]).as_deref(), Some("{}"));
    }

    #[test]
    fn bookmarks_of_the_older_shim_lose_their_counter() {
        let streams = streams(&["users"]);
        let part = RawValue::from_string(r#"{"replication_key":"at","estuary.dev/rowCounter":7}"#.to_owned())
            .expect("JSON");
        let stored = StoredState { shared: None, streams: vec![Some(&part)] };
        assert_eq!(
            join(&stored, &streams),
            Some(br#"{"bookmarks":{"users":{"replication_key":"at"}}}"#.to_vec())
        );
        assert_eq!(join(&StoredState { shared: None, streams: vec![None] }, &streams), None);
    }

    #[test]
    fn a_value_that_is_no_object_is_damaged() {
        assert!(split(RawValue::NULL, &streams(&["a"])).is_err());
    }

    proptest! {
        #[test]
        fn any_state_comes_back_with_its_meaning(
            users in "[a-z\"\\\\é{}]{0,6}", number in "-?[1-9][0-9]{0,40}", bookmarks: bool, syncing: bool,
        ) {
            let bookmark = format!(r#"{{"k": {}, "n":{number}}}"#, json!(users));
            let inner = format!(r#""x{}":{{}},"users":{bookmark}"#, users.replace(['"', '\\'], ""));
            let state = match (bookmarks, syncing) {
                (true, true) => format!(r#"{{"bookmarks":{{{inner}}},"currently_syncing":"users"}}"#),
                (true, false) => format!(r#"{{"bookmarks":{{{inner}}},"z":null}}"#),
                _ => format!("{{{inner}}}"),
            };
            let back = kept(&state, &["users"], &[]).expect("a state");
            prop_assert!(back.contains(&bookmark));
            prop_assert_eq!(serde_json::from_str::<Value>(&back).expect("JSON"), serde_json::from_str::<Value>(&state).expect("JSON"));
        }
    }
}
