//! What Flow keeps for us between sessions, and the changes of it that go into checkpoints.
//!
//! The layout is `{"bindingStateV1": {KEY: {"rowId": 12, "state": [S]}}, "shared": [S]}`. Upstream's
//! states sit in arrays of one element: Flow replaces arrays whole, so no member of an older state
//! survives in a newer one, and nulls inside are kept, which they are not in objects
//! (flow-protocol.md, 3.2; docs/state.md). Checkpoints are merge patches that name what changed and
//! nothing else, so shards of one capture do not overwrite each other.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::protocol::{StateUpdate, StoredState};
use crate::failure::{Cause, Failure};

/// The state of a capture, as far as this session's bindings go.
#[derive(Debug, Default)]
pub struct CaptureState {
    shared: Option<Box<RawValue>>,
    shared_changed: bool,
    bindings: Vec<BindingState>,
}

/// The state of one binding.
#[derive(Debug, Default)]
struct BindingState {
    /// Flow's key for it.
    key: String,
    /// The row id of the next document.
    row_id: u64,
    row_id_changed: bool,
    /// Upstream's state of the stream; `None` before the first.
    upstream: Option<Box<RawValue>>,
    upstream_changed: bool,
}

/// The state as Flow hands it over. Every member may be missing.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Stored<'a> {
    #[serde(rename = "bindingStateV1", borrow)]
    bindings: Option<BTreeMap<String, Option<StoredBinding<'a>>>>,
    #[serde(borrow)]
    shared: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct StoredBinding<'a> {
    row_id: Option<u64>,
    #[serde(borrow)]
    state: Option<&'a RawValue>,
}

impl CaptureState {
    /// Reads the state that Open brings, for bindings with these state keys. Entries of other keys
    /// stay with Flow, untouched: they are of other shards, or of bindings that may come back.
    pub fn open(json: &[u8], state_keys: &[String]) -> Result<Self, Failure> {
        let json = if json.is_empty() || json == b"null" { b"{}" } else { json };
        let stored: Stored<'_> = serde_json::from_slice(json).map_err(|error| unreadable(&error))?;
        if stored.bindings.is_none() && stored.shared.is_none() && has_members(json) {
            return Err(Failure::new(
                Cause::Config,
                "the capture's state was written by another connector and cannot be continued; \
                 delete the capture's state, or publish the capture under a new name, to start anew",
            ));
        }
        let mut known = stored.bindings.unwrap_or_default();
        let mut bindings = Vec::with_capacity(state_keys.len());
        for key in state_keys {
            let entry = known.remove(key.as_str()).flatten().unwrap_or_default();
            let upstream = match entry.state {
                Some(raw) => unwrapped(raw).map_err(|error| unreadable(&error))?,
                None => None,
            };
            let row_id = entry.row_id.unwrap_or(0);
            bindings.push(BindingState { key: key.clone(), row_id, upstream, ..BindingState::default() });
        }
        let shared = stored.shared.and_then(|shared| shared.first().copied().map(ToOwned::to_owned));
        Ok(Self { shared, shared_changed: false, bindings })
    }

    /// What upstream is to continue from.
    pub fn stored(&self) -> StoredState<'_> {
        StoredState {
            shared: self.shared.as_deref(),
            streams: self.bindings.iter().map(|binding| binding.upstream.as_deref()).collect(),
        }
    }

    /// The row id of this binding's next document; counts it as used.
    pub fn next_row_id(&mut self, binding: usize) -> u64 {
        let binding = &mut self.bindings[binding];
        let row_id = binding.row_id;
        binding.row_id += 1;
        binding.row_id_changed = true;
        row_id
    }

    /// Takes over what a state message of upstream changes.
    pub fn update(&mut self, update: StateUpdate) {
        if let Some(shared) = update.shared {
            self.shared_changed |= self.shared.as_ref().is_none_or(|old| old.get() != shared.get());
            self.shared = Some(shared);
        }
        for (binding, upstream) in update.streams {
            self.set_upstream(binding, upstream);
        }
    }

    /// Forgets upstream's state of a stream: its refresh ended well, the next one starts anew.
    pub fn forget_upstream(&mut self, binding: usize) {
        self.set_upstream(binding, None);
    }

    fn set_upstream(&mut self, binding: usize, upstream: Option<Box<RawValue>>) {
        let binding = &mut self.bindings[binding];
        let same = match (&binding.upstream, &upstream) {
            (Some(old), Some(new)) => old.get() == new.get(),
            (None, None) => true,
            _ => false,
        };
        binding.upstream_changed |= !same;
        binding.upstream = upstream;
    }

    /// Whether a patch would name anything.
    pub fn has_changed(&self) -> bool {
        self.shared_changed
            || self.bindings.iter().any(|binding| binding.row_id_changed || binding.upstream_changed)
    }

    /// What changed since the last patch, as an RFC 7396 patch; `{}` where nothing did.
    pub fn patch(&mut self) -> Vec<u8> {
        let mut patch = String::from("{");
        for binding in &mut self.bindings {
            if binding.row_id_changed || binding.upstream_changed {
                patch.push_str(if patch.len() == 1 { "\"bindingStateV1\":{" } else { "," });
                binding.write_patch(&mut patch);
            }
        }
        if patch.len() > 1 {
            patch.push('}');
        }
        if std::mem::take(&mut self.shared_changed) {
            if patch.len() > 1 {
                patch.push(',');
            }
            patch.push_str("\"shared\":");
            push_wrapped(&mut patch, self.shared.as_deref());
        }
        patch.push('}');
        patch.into_bytes()
    }
}

impl BindingState {
    fn write_patch(&mut self, patch: &mut String) {
        // A string is always JSON.
        patch.push_str(&serde_json::to_string(&self.key).unwrap_or_default());
        patch.push_str(":{");
        if std::mem::take(&mut self.row_id_changed) {
            patch.push_str("\"rowId\":");
            patch.push_str(itoa::Buffer::new().format(self.row_id));
        }
        if std::mem::take(&mut self.upstream_changed) {
            if !patch.ends_with('{') {
                patch.push(',');
            }
            patch.push_str("\"state\":");
            push_wrapped(patch, self.upstream.as_deref());
        }
        patch.push('}');
    }
}

/// An empty array stands for no state: unlike null it says the same in a patch and in a state.
fn push_wrapped(patch: &mut String, state: Option<&RawValue>) {
    patch.push('[');
    patch.push_str(state.map_or("", RawValue::get));
    patch.push(']');
}

/// Takes a state out of its array. Estuary's CDK shim kept it without one (flow-protocol.md, 8.2).
fn unwrapped(raw: &RawValue) -> serde_json::Result<Option<Box<RawValue>>> {
    if raw.get().starts_with('[') {
        let wrapped: Vec<&RawValue> = serde_json::from_str(raw.get())?;
        Ok(wrapped.first().copied().map(ToOwned::to_owned))
    } else {
        Ok(Some(raw.to_owned()))
    }
}

/// Whether it has members that are not ours.
fn has_members(json: &[u8]) -> bool {
    let members = serde_json::from_slice::<BTreeMap<String, &RawValue>>(json);
    members.is_ok_and(|members| members.keys().any(|name| name != "bindingStateV1" && name != "shared"))
}

fn unreadable(error: &serde_json::Error) -> Failure {
    Failure::new(
        Cause::Config,
        format!(
            "the capture's state cannot be read ({:?} error at column {})",
            error.classify(),
            error.column()
        ),
    )
}

#[cfg(test)]
mod tests {
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
        assert_eq!((state.next_row_id(1), state.next_row_id(1)), (0, 1));
        state.update(StateUpdate {
            shared: Some(raw(r#"{"a":null}"#)),
            streams: vec![(0, Some(raw(r#"{"n":12345678901234567890123}"#)))],
            unbound: Vec::new(),
        });
        assert_eq!(
            patch(&mut state),
            r#"{"bindingStateV1":{"users":{"state":[{"n":12345678901234567890123}]},"orders.v2":{"rowId":2}},"shared":[{"a":null}]}"#
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
            let mut state = opened(json, &["users"]);
            assert_eq!(state.next_row_id(0), 0, "{json}");
            assert!(state.stored().streams[0].is_none());
        }
    }

    #[test]
    fn a_state_without_its_array_is_taken_over() {
        let json = r#"{"bindingStateV1":{"users":{"rowId":1042,"state":{"type":"STREAM"}}}}"#;
        let mut state = opened(json, &["users"]);
        assert_eq!(state.stored().streams[0].map(RawValue::get), Some(r#"{"type":"STREAM"}"#));
        assert_eq!(state.next_row_id(0), 1042);
    }

    #[test]
    fn foreign_and_broken_states_are_errors() {
        for json in [
            r#"{"users":{"cursor":1}}"#,
            "[1]",
            "{",
            r#"{"bindingStateV1":3}"#,
            r#"{"bindingStateV1":{"users":{"rowId":-1}}}"#,
        ] {
            assert!(CaptureState::open(json.as_bytes(), &["users".to_owned()]).is_err(), "{json}");
        }
    }
}
