//! A tap's state: one value for the whole tap, taken apart by stream for storage and put together
//! again, so that one stream can start anew without the others.
//!
//! Nothing is dropped but what would hand a state to a stream that begins: nulls, unknown members
//! and bookmarks of unknown streams come back, because taps fail without them
//! (singer-protocol.md, 4.3).

use std::collections::HashMap;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::capture::event::LineError;
use crate::capture::protocol::{BoundStream, StateUpdate, StoredState, TakenOver, Unnamed};
use crate::failure::{Code, Failure};
use crate::json::members::{Member, Members};

/// The row id of the next document, which Estuary's older shim left in a bookmark
/// (flow-protocol.md, 8.4).
const ROW_COUNTER: &str = "estuary.dev/rowCounter";

/// The member with a bookmark for each stream.
const BOOKMARKS: &str = "bookmarks";
/// The member that names the stream which the tap was reading.
const CURRENTLY_SYNCING: &str = "currently_syncing";
/// The member with the table version of each stream.
const VERSIONS: &str = "activate_versions";

/// The members of an object as text, in their order.
type Pairs = Vec<(String, String)>;

pub(super) fn split(state: &RawValue, streams: &[BoundStream]) -> Result<StateUpdate, LineError> {
    if !state.get().starts_with('{') {
        let cause = "its value is no object".to_owned();
        return Err(LineError::Damaged { kind: "STATE", stream: None, cause });
    }
    // Older SDK taps begin with `{}`, others with the name of a stream alone: that says nothing of
    // what was read, and must not replace what says it.
    if Members::new(state.get()).all(|member| says_nothing(&member)) {
        return Ok(StateUpdate::default());
    }
    let positions: HashMap<&str, usize> =
        streams.iter().enumerate().map(|(position, stream)| (stream.id.name.as_str(), position)).collect();
    let mut update = StateUpdate { unnamed: Unnamed::Drop, ..StateUpdate::default() };
    let mut take = |object: &str| -> Pairs {
        let mut rest = Vec::new();
        for Member { name, raw_name, value } in Members::new(object) {
            match positions.get(&*name) {
                Some(&position) => {
                    update.streams.push((position, RawValue::from_string(value.to_owned()).ok()));
                }
                None => rest.push((raw_name.to_owned(), value.to_owned())),
            }
        }
        rest
    };
    let bookmarks = Members::new(state.get()).find(|member| member.name == BOOKMARKS);
    let (shared, bookmarked) = match bookmarks {
        Some(bookmarks) => {
            let foreign = object(&take(bookmarks.value));
            let replaced = |member: Member<'_>| {
                let ours = member.name == BOOKMARKS && member.value.starts_with('{');
                let value = if ours { foreign.clone() } else { member.value.to_owned() };
                (member.raw_name.to_owned(), value)
            };
            let shared = object(&Members::new(state.get()).map(replaced).collect::<Pairs>());
            (shared, !says_nothing(&bookmarks))
        }
        // Old taps keep a member for each stream at the top, or none at all.
        None => {
            (object(&take(state.get())), Members::new(state.get()).any(|member| !is_general(&member.name)))
        }
    };
    if !bookmarked {
        update.unnamed = Unnamed::Keep;
    }
    update.shared = RawValue::from_string(shared).ok();
    Ok(update)
}

/// Whether a member of the whole state holds nothing that was read.
fn says_nothing(member: &Member<'_>) -> bool {
    let empty = member.value == "null"
        || member.value.starts_with('{') && Members::new(member.value).next().is_none();
    member.name == CURRENTLY_SYNCING || member.name == BOOKMARKS && empty
}

/// Whether all that was read is in the bookmarks of the bound streams. A bookmark of another one is
/// that of a parent, which its children go by.
pub(super) fn shares_nothing(shared: &RawValue) -> bool {
    let mut bookmarked = false;
    let silent = Members::new(shared.get()).all(|member| {
        bookmarked |= member.name == BOOKMARKS;
        says_nothing(&member)
    });
    silent && bookmarked
}

/// Whether a member at the top belongs to the tap, also where it keeps no `bookmarks`.
fn is_general(name: &str) -> bool {
    name == CURRENTLY_SYNCING || name == VERSIONS
}

/// The content of the state file; `None` where there is no state.
pub(super) fn join(stored: &StoredState<'_>, streams: &[BoundStream]) -> Option<Vec<u8>> {
    let parts: Pairs = stored
        .streams
        .iter()
        .zip(streams)
        .filter_map(|(part, stream)| {
            Some((Value::from(stream.id.name.as_str()).to_string(), (*part)?.get().to_owned()))
        })
        .collect();
    let Some(shared) = stored.shared else {
        return (!parts.is_empty()).then(|| format!(r#"{{"bookmarks":{}}}"#, object(&parts)).into_bytes());
    };
    // The shared part may hold a member from a time when no binding read the stream.
    let bound: HashMap<&str, bool> = streams
        .iter()
        .enumerate()
        .map(|(at, stream)| (stream.id.name.as_str(), stored.fresh.get(at) == Some(&true)))
        .collect();
    let strangers = |object: &str| -> Pairs {
        let strangers = Members::new(object).filter(|member| !bound.contains_key(&*member.name));
        strangers.map(|member| (member.raw_name.to_owned(), member.value.to_owned())).collect()
    };
    let bookmarks_kept = Members::new(shared.get()).any(|member| member.name == BOOKMARKS);
    let flat = !bookmarks_kept && Members::new(shared.get()).any(|member| !is_general(&member.name));
    let mut members: Pairs = Vec::new();
    for member in Members::new(shared.get()) {
        let value = match &*member.name {
            BOOKMARKS if member.value.starts_with('{') || !parts.is_empty() => {
                object(&strangers(member.value).into_iter().chain(parts.iter().cloned()).collect::<Pairs>())
            }
            CURRENTLY_SYNCING => currently_syncing(member.value, &parts),
            VERSIONS => versions(member.value, &bound),
            name if flat && bound.contains_key(name) => continue,
            _ => member.value.to_owned(),
        };
        members.push((member.raw_name.to_owned(), value));
    }
    if !bookmarks_kept {
        members.extend(parts);
    }
    Some(object(&members).into_bytes())
}

/// Whether pipelinewise-tap-postgres would skip the rest of a table: before it copies one that it reads
/// by the log from then on, it prints the place in the log where that goes on, and when it gets that
/// back without an `xmin` it takes the copy for done. Behind a copy that ended, `xmin` is null
/// (fixture pipelinewise-tap-postgres-log-based).
fn copy_has_not_ended(name: &str, bookmark: &str, syncing: Option<&str>) -> bool {
    let has = |name: &str| Members::new(bookmark).any(|member| member.name == name);
    let text = |value: &str| serde_json::from_str::<String>(value).ok();
    syncing.is_some_and(|syncing| text(syncing) == text(name))
        && bookmark.contains("\"LOG_BASED\"")
        && has("lsn")
        && !has("xmin")
}

/// The state file that a read begins with: a copy that has not ended begins anew.
pub(super) fn begin(stored: &StoredState<'_>, streams: &[BoundStream]) -> Option<Vec<u8>> {
    let syncing = stored.shared.and_then(|shared| {
        Members::new(shared.get()).find(|member| member.name == CURRENTLY_SYNCING).map(|member| member.value)
    });
    let mut begins = stored.clone();
    for (part, stream) in begins.streams.iter_mut().zip(streams) {
        let name = Value::from(stream.id.name.as_str()).to_string();
        *part = part.filter(|part| !copy_has_not_ended(&name, part.get(), syncing));
    }
    join(&begins, streams)
}

/// A stream without a bookmark would be skipped for a whole run by singer-io tap-mysql; without the
/// member pipelinewise-tap-postgres fails (surprise 5).
fn currently_syncing(value: &str, parts: &Pairs) -> String {
    let text = |value: &str| serde_json::from_str::<String>(value).ok();
    let known = parts.iter().any(|(name, _)| text(name) == text(value));
    if known { value.to_owned() } else { "null".to_owned() }
}

/// A stream that begins has no version yet; `bound` says which do.
fn versions(value: &str, bound: &HashMap<&str, bool>) -> String {
    if !value.starts_with('{') {
        return value.to_owned();
    }
    let kept = Members::new(value).filter(|member| bound.get(&*member.name) != Some(&true));
    object(&kept.map(|member| (member.raw_name.to_owned(), member.value.to_owned())).collect::<Pairs>())
}

/// An entry of Estuary's older shim is the bookmark itself, with the row id of the next document.
pub(super) fn take_over(entry: &RawValue) -> Result<Option<TakenOver>, Failure> {
    let members = || Members::new(entry.get());
    if members().any(|member| member.name == "rowId") {
        return Ok(None);
    }
    let counter = members().find(|member| member.name == ROW_COUNTER);
    let row_id = match counter {
        None => 0,
        Some(counter) => counter.value.parse().map_err(|_| {
            Failure::new(
                Code::STATE_UNREADABLE,
                format!("the state that an older connector left cannot be read: its {ROW_COUNTER} is no count; repair it, or backfill the binding"),
            )
        })?,
    };
    let kept = members().filter(|member| member.name != ROW_COUNTER);
    let bookmark: Pairs = kept.map(|member| (member.raw_name.to_owned(), member.value.to_owned())).collect();
    let state = if bookmark.is_empty() { None } else { RawValue::from_string(object(&bookmark)).ok() };
    Ok(Some(TakenOver { row_id, state }))
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

    #[test]
    fn only_bookmarks_of_bound_streams_can_be_kept_apart() {
        let nothing = |state: &str| {
            let state = RawValue::from_string(state.to_owned()).expect("JSON");
            let update = split(&state, &streams(&["a"])).expect("a state");
            shares_nothing(&update.shared.expect("a shared part"))
        };
        assert!(nothing(r#"{"bookmarks":{"a":{"x":1}},"currently_syncing":"a"}"#));
        for state in [
            r#"{"bookmarks":{"a":{"x":1},"parent":{"x":1}}}"#,
            r#"{"bookmarks":{"a":1},"activate_versions":{"a":1}}"#,
            r#"{"a":{"x":1}}"#,
            r#"{"start_date":"2024-01-01"}"#,
        ] {
            assert!(!nothing(state), "{state}");
        }
    }

    fn streams(names: &[&str]) -> Vec<BoundStream> {
        names.iter().map(|name| BoundStream::bare(None, name)).collect()
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
            fresh: names.iter().map(|name| anew.contains(name)).collect(),
        };
        join(&stored, &streams).map(|text| String::from_utf8(text).expect("UTF-8"))
    }

    #[test]
    fn everything_comes_back() {
        let state = r#"{"currently_syncing":null,"bookmarks":{"other":{"a":null},"users":{"lsn":12345678901234567890123,"xmin":null}},"custom":[null]}"#;
        assert_eq!(kept(state, &["users", "orders"], &[]).as_deref(), Some(state));
    }

    #[test]
    fn a_copy_that_was_cut_off_before_its_first_position_begins_anew() {
        let bookmark = r#"{"last_replication_method":"LOG_BASED","lsn":7,"version":1}"#;
        let begins =
            |bookmark: &str, syncing: Option<&str>| copy_has_not_ended("\"users\"", bookmark, syncing);
        assert!(begins(bookmark, Some("\"users\"")));
        assert!(
            !begins(bookmark, Some("null"))
                && !begins(bookmark, None)
                && !begins(bookmark, Some("\"orders\""))
        );
        for ended in ["null", "12"] {
            let bookmark = bookmark.replace("\"version\"", &format!("\"xmin\":{ended},\"version\""));
            assert!(!begins(&bookmark, Some("\"users\"")), "{bookmark}");
        }
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
        assert_eq!(kept("{}", &["users"], &[]), None);
    }

    #[test]
    fn an_entry_of_the_older_shim_is_a_bookmark_with_a_counter() {
        let entry = |text: &str| take_over(&RawValue::from_string(text.to_owned()).expect("JSON"));
        let taken = entry(r#"{"replication_key":"at","estuary.dev/rowCounter":7}"#);
        let taken = taken.expect("readable").expect("known");
        assert_eq!(
            (taken.row_id, taken.state.as_deref().map(RawValue::get)),
            (7, Some(r#"{"replication_key":"at"}"#))
        );
        let bare = entry(r#"{"since":1}"#).expect("readable").expect("known");
        assert_eq!((bare.row_id, bare.state.as_deref().map(RawValue::get)), (0, Some(r#"{"since":1}"#)));
        assert!(entry(r#"{"estuary.dev/rowCounter":2}"#).expect("readable").expect("known").state.is_none());
        assert!(entry(r#"{"estuary.dev/rowCounter":"x"}"#).is_err());
        assert!(entry(r#"{"rowId":1,"state":{}}"#).expect("readable").is_none());
    }

    #[test]
    fn a_state_that_says_nothing_changes_nothing() {
        for state in
            ["{}", r#"{"bookmarks":{}}"#, r#"{"currently_syncing":"users"}"#, r#"{"bookmarks":null}"#]
        {
            let update = split(&RawValue::from_string(state.to_owned()).expect("JSON"), &streams(&["users"]))
                .expect("a state");
            assert!(update.shared.is_none() && update.streams.is_empty(), "{state}");
            assert!(matches!(update.unnamed, Unnamed::Keep), "{state}");
        }
        let versions =
            RawValue::from_string(r#"{"activate_versions":{"users":1}}"#.to_owned()).expect("JSON");
        let update = split(&versions, &streams(&["users"])).expect("a state");
        assert!(update.streams.is_empty() && matches!(update.unnamed, Unnamed::Keep));
    }

    #[test]
    fn a_stream_that_begins_gets_nothing_from_before() {
        let streams = streams(&["users", "orders"]);
        let shared = RawValue::from_string(
            r#"{"bookmarks":{"users":{"old":1},"x/y":{"s":1}},"activate_versions":{"users":1,"orders":2},"currently_syncing":"users"}"#.to_owned(),
        )
        .expect("JSON");
        let stored =
            StoredState { shared: Some(&shared), streams: vec![None, None], fresh: vec![true, false] };
        assert_eq!(
            join(&stored, &streams).map(|text| String::from_utf8(text).expect("UTF-8")).as_deref(),
            Some(
                r#"{"bookmarks":{"x/y":{"s":1}},"activate_versions":{"orders":2},"currently_syncing":null}"#
            )
        );
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
