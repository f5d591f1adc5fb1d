//! States as they come back from storage, and what of them does not.

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
    assert!(nothing(r#"{"bookmarks":{"a":{"x":1},"parent":{},"uncle":{"partitions":[]}}}"#));
    for state in [
        r#"{"bookmarks":{"a":{"x":1},"parent":{"x":1}}}"#,
        r#"{"bookmarks":{"a":1},"activate_versions":{"a":1}}"#,
        r#"{"bookmarks":{"a":1},"versions":{"a":1}}"#,
        r#"{"a":{"x":1}}"#,
        r#"{"start_date":"2024-01-01"}"#,
    ] {
        assert!(!nothing(state), "{state}");
    }
}

#[test]
fn a_flat_state_is_a_cursor() {
    let flat = |text: &str| is_flat(&RawValue::from_string(text.to_owned()).expect("JSON"));
    for nested in ["{}", r#"{"bookmarks":{},"custom":1}"#, r#"{"currently_syncing":null}"#] {
        assert!(!flat(nested), "{nested}");
    }
    assert!(flat(r#"{"start_date":"2024-01-01"}"#));
}

fn streams(names: &[&str]) -> Vec<BoundStream> {
    names.iter().map(|name| BoundStream::bare(None, name)).collect()
}

/// What a tap gets back of a state; streams named in `anew` start anew.
fn kept(state: &str, names: &[&str], anew: &[&str]) -> Option<String> {
    let streams = streams(names);
    let update = split(&RawValue::from_string(state.to_owned()).expect("JSON"), &streams).expect("a state");
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
    let raw = |text: &str| RawValue::from_string(text.to_owned()).expect("JSON");
    let bookmark = r#"{"last_replication_method":"LOG_BASED","lsn":7,"version":1}"#;
    let begins = |bookmark: &str, syncing: &str| {
        let (shared, part) = (raw(&format!(r#"{{"bookmarks":{{}}{syncing}}}"#)), raw(bookmark));
        let streams = streams(&["orders", "users"]);
        let stored = StoredState {
            shared: Some(&shared),
            streams: vec![None, Some(&part)],
            fresh: vec![false, false],
        };
        let file = begin(&stored, &streams, &[]).expect("a state");
        !String::from_utf8(file).expect("UTF-8").contains("lsn")
    };
    assert!(begins(bookmark, r#","currently_syncing":"users""#));
    for other in ["", r#","currently_syncing":null"#, r#","currently_syncing":"orders""#] {
        assert!(!begins(bookmark, other), "{other}");
    }
    for ended in ["null", "12"] {
        let bookmark = bookmark.replace("\"version\"", &format!("\"xmin\":{ended},\"version\""));
        assert!(!begins(&bookmark, r#","currently_syncing":"users""#), "{bookmark}");
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
    for state in ["{}", r#"{"bookmarks":{}}"#, r#"{"currently_syncing":"users"}"#, r#"{"bookmarks":null}"#] {
        let update = split(&RawValue::from_string(state.to_owned()).expect("JSON"), &streams(&["users"]))
            .expect("a state");
        assert!(update.shared.is_none() && update.streams.is_empty(), "{state}");
        assert!(matches!(update.unnamed, Unnamed::Keep), "{state}");
    }
    let versions = RawValue::from_string(r#"{"activate_versions":{"users":1}}"#.to_owned()).expect("JSON");
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
    let stored = StoredState { shared: Some(&shared), streams: vec![None, None], fresh: vec![true, false] };
    assert_eq!(
        join(&stored, &streams).map(|text| String::from_utf8(text).expect("UTF-8")).as_deref(),
        Some(r#"{"bookmarks":{"x/y":{"s":1}},"activate_versions":{"orders":2},"currently_syncing":null}"#)
    );
}

#[test]
fn versions_of_singer_python_go_as_those_of_other_taps_do() {
    assert_eq!(
        kept(r#"{"bookmarks":{},"versions":{"users":11,"orders":22}}"#, &["users", "orders"], &["users"]),
        Some(r#"{"bookmarks":{},"versions":{"orders":22}}"#.to_owned())
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
