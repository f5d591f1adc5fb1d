//! What is read from a state, and what the patches name.

use super::*;

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).expect("JSON")
}

fn opened(json: &str, keys: &[&str]) -> CaptureState {
    let keys: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
    CaptureState::open(json.as_bytes(), &keys).expect("a state")
}

fn patch(state: &mut CaptureState) -> String {
    String::from_utf8(state.patch()).expect("UTF-8")
}

#[test]
fn a_patch_names_what_changed_and_nothing_else() {
    let mut state = opened("", &["users", "orders.v2"]);
    assert_eq!(patch(&mut state), "{}");
    state.set_row_id(1, 2);
    state.update(StateUpdate {
        shared: Some(raw(r#"{"a":null}"#)),
        streams: vec![(0, Some(raw(r#"{"n":12345678901234567890123}"#)))],
        ..StateUpdate::default()
    });
    assert_eq!(
        patch(&mut state),
        r#"{"bindingStateV1":{"users":{"state":[{"n":12345678901234567890123}]},"orders.v2":{"rowId":2,"state":[]}},"shared":[{"a":null}]}"#
    );
    state.update(StateUpdate {
        streams: vec![(0, Some(raw(r#"{"n":12345678901234567890123}"#)))],
        ..StateUpdate::default()
    });
    assert_eq!(patch(&mut state), "{}");
    state.forget_upstream(0);
    assert_eq!(patch(&mut state), r#"{"bindingStateV1":{"users":{"state":[]}}}"#);
}

#[test]
fn a_new_state_key_starts_anew_and_the_others_go_on() {
    let json = r#"{"bindingStateV1":{"users":{"rowId":7,"state":[{"c":1}]},"orders":{"rowId":3,"state":[2]}},"shared":[{}]}"#;
    let state = opened(json, &["users", "orders.v1"]);
    let stored = state.stored();
    assert_eq!(
        stored.streams.iter().map(|s| s.map(RawValue::get)).collect::<Vec<_>>(),
        [Some(r#"{"c":1}"#), None]
    );
    assert_eq!(stored.shared.map(RawValue::get), Some("{}"));
}

#[test]
fn every_empty_form_is_a_first_session() {
    for json in
        ["", "null", "{}", " { } ", r#"{"bindingStateV1":null}"#, r#"{"bindingStateV1":{"users":null}}"#]
    {
        let state = opened(json, &["users"]);
        assert_eq!(state.row_id(0), 0, "{json}");
        assert!(state.stored().streams[0].is_none());
    }
}

#[test]
fn what_a_refresh_and_an_interval_keep_comes_back() {
    let mut state = opened("", &["users"]);
    state.set_refresh(0, Some(raw(r#"{"from":3}"#)));
    state.set_read_at(0, "2024-05-01T00:00:00Z".to_owned());
    let first = patch(&mut state);
    assert_eq!(
        first,
        r#"{"bindingStateV1":{"users":{"refresh":[{"from":3}],"readAt":"2024-05-01T00:00:00Z"}}}"#
    );
    let mut again = opened(&first, &["users"]);
    assert_eq!(again.refresh(0).map(RawValue::get), Some(r#"{"from":3}"#));
    assert_eq!(again.read_at(0), Some("2024-05-01T00:00:00Z"));
    again.set_refresh(0, None);
    assert_eq!(patch(&mut again), r#"{"bindingStateV1":{"users":{"refresh":[]}}}"#);
}

#[test]
fn states_in_other_layouts_wait_to_be_taken_over() {
    let json =
        r#"{"bindingStateV1":{"users":{"rowId":1042,"state":{"type":"STREAM"}},"orders":{"rowId":3}}}"#;
    let state = opened(json, &["users", "orders"]);
    assert!(state.bindings[0].foreign.is_some() && state.bindings[1].foreign.is_none());
    assert_eq!(state.row_id(1), 3);
    let mut state = opened(r#"{"users":{"cursor":1},"shared":{}}"#, &["users"]);
    assert!(state.foreign.is_some());
    state.remove(vec!["\"users\"".to_owned(), "\"shared\"".to_owned()]);
    state.bindings[0].take_over(0, Some(raw("1")), vec!["\"old\"".to_owned()]);
    assert_eq!(
        patch(&mut state),
        r#"{"users":null,"bindingStateV1":{"users":{"old":null,"rowId":0,"state":[1]}},"shared":[]}"#
    );
    assert_eq!(patch(&mut state), "{}");
}

#[test]
fn what_is_shared_ends_when_every_binding_begins() {
    let json = r#"{"bindingStateV1":{"users":{"rowId":7}},"shared":[{"lsn":1}]}"#;
    let mut state = opened(json, &["users.v1"]);
    assert!(state.stored().shared.is_none());
    assert_eq!(patch(&mut state), r#"{"shared":[]}"#);
    let mut state = opened(json, &["users", "orders"]);
    assert_eq!(state.stored().shared.map(RawValue::get), Some(r#"{"lsn":1}"#));
    assert_eq!(state.stored().fresh, [false, true]);
    assert_eq!(patch(&mut state), "{}");
    state.update(StateUpdate { shared: Some(raw("2")), ..StateUpdate::default() });
    assert_eq!(patch(&mut state), r#"{"bindingStateV1":{"orders":{"state":[]}},"shared":[2]}"#);
}

#[test]
fn a_whole_state_ends_those_that_it_does_not_name() {
    let json = r#"{"bindingStateV1":{"a":{"state":[1]},"b":{"state":[2]},"gone":{"state":[1]},"kept":{"state":[2]}}}"#;
    let mut state = opened(json, &["a", "b"]);
    let unnamed = Unnamed::DropWhole(|part| part.get() == "1");
    state.update(StateUpdate { unnamed, ..StateUpdate::default() });
    assert_eq!(patch(&mut state), r#"{"bindingStateV1":{"gone":{"state":[]},"a":{"state":[]}}}"#);
    state.update(StateUpdate { unnamed: Unnamed::Drop, ..StateUpdate::default() });
    assert_eq!(patch(&mut state), r#"{"bindingStateV1":{"b":{"state":[]}}}"#);
}

#[test]
fn broken_states_are_errors() {
    for json in ["{", r#"{"bindingStateV1":3}"#, r#"{"bindingStateV1":{"users":{"rowId":-1}}}"#] {
        assert!(CaptureState::open(json.as_bytes(), &["users".to_owned()]).is_err(), "{json}");
    }
}
