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
    /// From which row id on the next session counts.
    row_id: u64,
    row_id_changed: bool,
    /// Upstream's state of the stream; `None` before the first.
    upstream: Kept,
    /// What [`super::refresh`] keeps of a full refresh.
    refresh: Kept,
    /// When the stream was last read to its end, as RFC 3339 has it.
    read_at: Option<String>,
    read_at_changed: bool,
}

/// A JSON text that sits in an array of one element.
#[derive(Debug, Default)]
struct Kept {
    text: Option<Box<RawValue>>,
    changed: bool,
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
    #[serde(borrow)]
    refresh: Option<Vec<&'a RawValue>>,
    read_at: Option<String>,
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
            let refresh = entry.refresh.and_then(|kept| kept.first().copied().map(ToOwned::to_owned));
            bindings.push(BindingState {
                key: key.clone(),
                row_id: entry.row_id.unwrap_or(0),
                upstream: Kept { text: upstream, changed: false },
                refresh: Kept { text: refresh, changed: false },
                read_at: entry.read_at,
                ..BindingState::default()
            });
        }
        let shared = stored.shared.and_then(|shared| shared.first().copied().map(ToOwned::to_owned));
        Ok(Self { shared, shared_changed: false, bindings })
    }

    /// What upstream is to continue from.
    pub fn stored(&self) -> StoredState<'_> {
        StoredState {
            shared: self.shared.as_deref(),
            streams: self.bindings.iter().map(|binding| binding.upstream.text.as_deref()).collect(),
        }
    }

    /// From which row id on the next session counts.
    pub fn row_id(&self, binding: usize) -> u64 {
        self.bindings[binding].row_id
    }

    /// Has the next session count from this row id on.
    pub fn set_row_id(&mut self, binding: usize, row_id: u64) {
        let binding = &mut self.bindings[binding];
        binding.row_id_changed |= binding.row_id != row_id;
        binding.row_id = row_id;
    }

    /// Upstream's state of a stream.
    pub fn upstream(&self, binding: usize) -> Option<&RawValue> {
        self.bindings[binding].upstream.text.as_deref()
    }

    /// What was kept of a full refresh; `None` where nothing is.
    pub fn refresh(&self, binding: usize) -> Option<&RawValue> {
        self.bindings[binding].refresh.text.as_deref()
    }

    /// Keeps this of a full refresh.
    pub fn set_refresh(&mut self, binding: usize, refresh: Option<Box<RawValue>>) {
        self.bindings[binding].refresh.set(refresh);
    }

    /// When the stream was last read to its end, as RFC 3339 has it; `None` before the first time,
    /// or where nobody wants to know.
    pub fn read_at(&self, binding: usize) -> Option<&str> {
        self.bindings[binding].read_at.as_deref()
    }

    /// Keeps when the stream was read.
    pub fn set_read_at(&mut self, binding: usize, at: String) {
        let binding = &mut self.bindings[binding];
        binding.read_at = Some(at);
        binding.read_at_changed = true;
    }

    /// Takes over what a state message of upstream changes.
    pub fn update(&mut self, update: StateUpdate) {
        if let Some(shared) = update.shared {
            self.shared_changed |= self.shared.as_ref().is_none_or(|old| old.get() != shared.get());
            self.shared = Some(shared);
        }
        for (binding, upstream) in update.streams {
            self.bindings[binding].upstream.set(upstream);
        }
    }

    /// Forgets upstream's state of a stream: its refresh ended well, the next one starts anew.
    pub fn forget_upstream(&mut self, binding: usize) {
        self.bindings[binding].upstream.set(None);
    }

    /// Whether a patch would name anything.
    pub fn has_changed(&self) -> bool {
        self.shared_changed || self.bindings.iter().any(BindingState::has_changed)
    }

    /// What changed since the last patch, as an RFC 7396 patch; `{}` where nothing did.
    pub fn patch(&mut self) -> Vec<u8> {
        let mut patch = String::from("{");
        for binding in &mut self.bindings {
            if binding.has_changed() {
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
    fn has_changed(&self) -> bool {
        self.row_id_changed || self.upstream.changed || self.refresh.changed || self.read_at_changed
    }

    fn write_patch(&mut self, patch: &mut String) {
        // A string is always JSON.
        patch.push_str(&serde_json::to_string(&self.key).unwrap_or_default());
        patch.push_str(":{");
        if std::mem::take(&mut self.row_id_changed) {
            push_name(patch, "rowId");
            patch.push_str(itoa::Buffer::new().format(self.row_id));
        }
        self.upstream.write_patch(patch, "state");
        self.refresh.write_patch(patch, "refresh");
        if std::mem::take(&mut self.read_at_changed) {
            push_name(patch, "readAt");
            patch.push_str(&serde_json::to_string(&self.read_at).unwrap_or_default());
        }
        patch.push('}');
    }
}

impl Kept {
    fn set(&mut self, text: Option<Box<RawValue>>) {
        let same = match (&self.text, &text) {
            (Some(old), Some(new)) => old.get() == new.get(),
            (None, None) => true,
            _ => false,
        };
        self.changed |= !same;
        self.text = text;
    }

    fn write_patch(&mut self, patch: &mut String, name: &str) {
        if std::mem::take(&mut self.changed) {
            push_name(patch, name);
            push_wrapped(patch, self.text.as_deref());
        }
    }
}

fn push_name(patch: &mut String, name: &str) {
    if !patch.ends_with('{') {
        patch.push(',');
    }
    patch.push('"');
    patch.push_str(name);
    patch.push_str("\":");
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
        state.set_row_id(1, 2);
        state.update(StateUpdate {
            shared: Some(raw(r#"{"a":null}"#)),
            streams: vec![(0, Some(raw(r#"{"n":12345678901234567890123}"#)))],
            ..StateUpdate::default()
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
            let state = opened(json, &["users"]);
            assert_eq!(state.row_id(0), 0, "{json}");
            assert!(state.stored().streams[0].is_none());
        }
    }

    #[test]
    fn a_state_without_its_array_is_taken_over() {
        let json = r#"{"bindingStateV1":{"users":{"rowId":1042,"state":{"type":"STREAM"}}}}"#;
        let state = opened(json, &["users"]);
        assert_eq!(state.stored().streams[0].map(RawValue::get), Some(r#"{"type":"STREAM"}"#));
        assert_eq!(state.row_id(0), 1042);
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
