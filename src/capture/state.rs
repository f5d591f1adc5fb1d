//! What Flow keeps for us between sessions, and the changes of it that go into checkpoints.
//!
//! The layout is `{"bindingStateV1": {KEY: {"rowId": 12, "state": [S]}}, "shared": [S]}`. Upstream's
//! states sit in arrays of one element: Flow replaces arrays whole, so no member of an older state
//! survives in a newer one, and nulls inside are kept, which they are not in objects
//! (flow-protocol.md, 3.2; docs/state.md). Checkpoints are merge patches that name what changed and
//! nothing else, so shards of one capture do not overwrite each other. States in other layouts are
//! for `takeover`.

mod apart;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

pub(super) use self::apart::shared_member;
use super::protocol::{StateUpdate, StoredState, Unnamed};
use super::takeover::{self, Foreign};
use crate::failure::{Cause, Failure};

/// The state of a capture, as far as this session's bindings go.
#[derive(Debug, Default)]
pub struct CaptureState {
    shared: Option<Box<RawValue>>,
    shared_changed: bool,
    pub(super) bindings: Vec<BindingState>,
    /// Upstream's states under keys that no binding has now, for states that end theirs.
    absent: Vec<(String, Box<RawValue>)>,
    /// Keys among them whose state ended since the last patch.
    ended: Vec<String>,
    /// A state in another layout, until it is taken over.
    pub(super) foreign: Option<Foreign>,
    /// Members of an older layout, as they stand in the text, that the next patch removes.
    removed: Vec<String>,
}

/// The state of one binding.
#[derive(Debug, Default)]
pub(super) struct BindingState {
    /// Flow's key for it.
    key: String,
    /// Whether Flow holds an entry of it: a binding that was added or backfilled has none.
    known: bool,
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
    /// An entry in another layout, until it is taken over.
    pub(super) foreign: Option<Box<RawValue>>,
    /// Members of an older layout that the next patch removes.
    removed: Vec<String>,
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
    bindings: Option<BTreeMap<String, Option<&'a RawValue>>>,
    #[serde(borrow)]
    shared: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct StoredBinding<'a> {
    row_id: Option<u64>,
    #[serde(borrow)]
    state: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    refresh: Option<Vec<&'a RawValue>>,
    read_at: Option<String>,
}

impl CaptureState {
    /// Reads the state that Open brings, for bindings with these state keys. Entries of other keys
    /// stay with Flow: they are of other shards, or of bindings that may come back.
    pub fn open(json: &[u8], state_keys: &[String]) -> Result<Self, Failure> {
        let json = if json.is_empty() { b"null" } else { json };
        let whole: &RawValue = serde_json::from_slice(json).map_err(|error| unreadable(&error))?;
        let foreign = takeover::foreign(whole);
        let stored: Stored<'_> = match foreign {
            None if whole.get().starts_with('{') => {
                serde_json::from_str(whole.get()).map_err(|error| unreadable(&error))?
            }
            _ => Stored::default(),
        };
        let mut known = stored.bindings.unwrap_or_default();
        let mut state = Self { foreign, ..Self::default() };
        for key in state_keys {
            let entry = known.remove(key.as_str()).flatten();
            state.bindings.push(BindingState::open(key, entry).map_err(|error| unreadable(&error))?);
        }
        for (key, entry) in known {
            let entry = entry.and_then(|entry| serde_json::from_str::<StoredBinding<'_>>(entry.get()).ok());
            if let Some(part) = entry.and_then(|entry| first(entry.state)) {
                state.absent.push((key, part));
            }
        }
        state.shared = first(stored.shared);
        // Nobody is left to go on from it. Kept, it would meet the states of bindings that begin now.
        if state.shared.is_some() && !state.bindings.iter().any(|binding| binding.known) {
            state.shared = None;
            state.shared_changed = !state.bindings.is_empty();
        }
        Ok(state)
    }

    /// What upstream is to continue from.
    pub fn stored(&self) -> StoredState<'_> {
        StoredState {
            shared: self.shared.as_deref(),
            streams: self.bindings.iter().map(|binding| binding.upstream.text.as_deref()).collect(),
            fresh: self.bindings.iter().map(|binding| !binding.known).collect(),
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
            // An entry says that a binding goes with the shared part, even while it has no state.
            for binding in self.bindings.iter_mut().filter(|binding| !binding.known) {
                binding.known = true;
                binding.upstream.changed = true;
            }
        }
        self.drop_unnamed(&update.streams, update.unnamed);
        for (binding, upstream) in update.streams {
            self.bindings[binding].upstream.set(upstream);
        }
    }

    fn drop_unnamed(&mut self, named: &[(usize, Option<Box<RawValue>>)], unnamed: Unnamed) {
        let drops: fn(&RawValue) -> bool = match unnamed {
            Unnamed::Keep => return,
            Unnamed::Drop => |_| true,
            Unnamed::DropWhole(drops) => drops,
        };
        let named: std::collections::HashSet<usize> = named.iter().map(|&(binding, _)| binding).collect();
        for binding in 0..self.bindings.len() {
            let dropped = self.upstream(binding).is_some_and(drops);
            if dropped && !named.contains(&binding) {
                self.bindings[binding].upstream.set(None);
            }
        }
        if matches!(unnamed, Unnamed::DropWhole(_)) {
            let ended = self.absent.extract_if(.., |(_, part)| drops(part));
            self.ended.extend(ended.map(|(key, _)| key));
        }
    }

    /// Forgets upstream's state of a stream: its refresh ended well, the next one starts anew.
    pub fn forget_upstream(&mut self, binding: usize) {
        self.bindings[binding].upstream.set(None);
    }

    /// Removes members of an older layout, given as they stand in the text, with the next patch.
    pub(super) fn remove(&mut self, members: Vec<String>) {
        // A member of that name is ours now: it is emptied instead.
        self.shared_changed |= members.iter().any(|name| name == "\"shared\"");
        self.removed = members.into_iter().filter(|name| name != "\"shared\"").collect();
    }

    /// Whether a patch would name anything.
    pub fn has_changed(&self) -> bool {
        self.shared_changed
            || !self.removed.is_empty()
            || !self.ended.is_empty()
            || self.bindings.iter().any(BindingState::has_changed)
    }

    /// What changed since the last patch, as an RFC 7396 patch; `{}` where nothing did.
    pub fn patch(&mut self) -> Vec<u8> {
        let mut patch = String::from("{");
        for name in self.removed.drain(..) {
            patch.push_str(&name);
            patch.push_str(":null,");
        }
        let bindings_at = patch.len();
        for key in self.ended.drain(..) {
            push_key(&mut patch, &key);
            patch.push_str("{\"state\":[]},");
        }
        for binding in self.bindings.iter_mut().filter(|binding| binding.has_changed()) {
            binding.write_patch(&mut patch);
        }
        if patch.len() > bindings_at {
            patch.insert_str(bindings_at, "\"bindingStateV1\":{");
            close(&mut patch);
            patch.push(',');
        }
        if std::mem::take(&mut self.shared_changed) {
            patch.push_str("\"shared\":");
            push_wrapped(&mut patch, self.shared.as_deref());
            patch.push(',');
        }
        close(&mut patch);
        patch.into_bytes()
    }
}

impl BindingState {
    fn open(key: &str, entry: Option<&RawValue>) -> serde_json::Result<Self> {
        let mut binding = Self { key: key.to_owned(), ..Self::default() };
        let Some(entry) = entry else { return Ok(binding) };
        binding.known = true;
        if takeover::is_foreign_entry(entry) {
            binding.foreign = Some(entry.to_owned());
            return Ok(binding);
        }
        let stored: StoredBinding<'_> = serde_json::from_str(entry.get())?;
        binding.row_id = stored.row_id.unwrap_or(0);
        binding.upstream.text = first(stored.state);
        binding.refresh.text = first(stored.refresh);
        binding.read_at = stored.read_at;
        Ok(binding)
    }

    /// Goes on from what another program kept; the next patch writes it in our layout.
    pub(super) fn take_over(&mut self, row_id: u64, upstream: Option<Box<RawValue>>, removed: Vec<String>) {
        self.known = true;
        (self.row_id, self.row_id_changed) = (row_id, true);
        self.upstream = Kept { text: upstream, changed: true };
        self.removed = removed;
    }

    fn has_changed(&self) -> bool {
        self.row_id_changed
            || self.upstream.changed
            || self.refresh.changed
            || self.read_at_changed
            || !self.removed.is_empty()
    }

    fn write_patch(&mut self, patch: &mut String) {
        push_key(patch, &self.key);
        patch.push('{');
        for name in self.removed.drain(..) {
            patch.push_str(&name);
            patch.push_str(":null,");
        }
        if std::mem::take(&mut self.row_id_changed) {
            patch.push_str("\"rowId\":");
            patch.push_str(itoa::Buffer::new().format(self.row_id));
            patch.push(',');
        }
        self.upstream.write_patch(patch, "state");
        self.refresh.write_patch(patch, "refresh");
        if std::mem::take(&mut self.read_at_changed) {
            push_key(patch, "readAt");
            patch.push_str(&serde_json::to_string(&self.read_at).unwrap_or_default());
            patch.push(',');
        }
        close(patch);
        patch.push(',');
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
            push_key(patch, name);
            push_wrapped(patch, self.text.as_deref());
            patch.push(',');
        }
    }
}

fn push_key(patch: &mut String, key: &str) {
    // A string is always JSON.
    patch.push_str(&serde_json::to_string(key).unwrap_or_default());
    patch.push(':');
}

/// Ends an object whose members each left a comma.
fn close(patch: &mut String) {
    if patch.ends_with(',') {
        patch.pop();
    }
    patch.push('}');
}

/// An empty array stands for no state: unlike null it says the same in a patch and in a state.
fn push_wrapped(patch: &mut String, state: Option<&RawValue>) {
    patch.push('[');
    patch.push_str(state.map_or("", RawValue::get));
    patch.push(']');
}

fn first(wrapped: Option<Vec<&RawValue>>) -> Option<Box<RawValue>> {
    wrapped.and_then(|wrapped| wrapped.first().copied().map(ToOwned::to_owned))
}

pub(super) fn unreadable(error: &serde_json::Error) -> Failure {
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
}
