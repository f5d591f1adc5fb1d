//! States as they come back from storage: taken apart message by message, and put together again.

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
    for format in [StateFormat::Auto, StateFormat::Stream, StateFormat::Global, StateFormat::Legacy] {
        assert_eq!(kept_as(format, &[], &streams), None, "{format:?}");
    }
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
    let new = r#"{"type":"STREAM","stream":{"stream_descriptor":{"name":"users"},"stream_state":{"c":2}}}"#;
    assert!(kept(&[old, new], &streams).expect("a state").starts_with(r#"[{"type":"STREAM""#));
}

#[test]
fn a_stream_that_has_not_moved_on_from_legacy_yet_keeps_its_state() {
    let streams = streams(&[(None, "users"), (Some("n"), "orders")]);
    let old = r#"{"data":{"users":{"c":1},"orders":{"c":2}}}"#;
    let new = r#"{"type":"STREAM","stream":{"stream_descriptor":{"name":"users"},"stream_state":{"c":3}}}"#;
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

/// Flow keeps the members of what it stores in their alphabetical order.
#[test]
fn a_stored_part_says_its_type_in_any_place() {
    let part = |text: &str| came_with_the_whole(&raw(text.to_owned()));
    assert!(!part(r#"{"stream":{"stream_descriptor":{"name":"a"}},"type":"STREAM"}"#));
    assert!(part(r#"{"stream":{"stream_descriptor":{"name":"STREAM"}},"type":"GLOBAL"}"#));
    assert!(part(r#"{"data":{"type":"STREAM"},"type":"LEGACY"}"#));
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
