//! What Flow keeps for us between sessions, and the changes of it that go into checkpoints.
//!
//! The layout is `{"bindingStateV1": {KEY: {"rowId": 12, "state": [S]}}, "shared": [S]}`. Upstream's
//! states sit in arrays of one element: Flow replaces arrays whole, so no member of an older state
//! survives in a newer one, and nulls inside are kept, which they are not in objects
//! (flow-protocol.md, 3.2; docs/state.md). Checkpoints are merge patches that name what changed and
//! nothing else, so shards of one capture do not overwrite each other. States in other layouts are
//! for `takeover`. `binding` is the part of one binding, `kept` the form of what upstream wrote,
//! `sharing` what differs where several read, and `acknowledged` tells upstream what is durable.

pub mod acknowledged;
mod binding;
mod kept;
pub mod sharing;
pub(super) mod takeover;

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use self::binding::{BindingState, StoredBinding};
use self::kept::{close, first, push_key, push_wrapped};
use self::takeover::Foreign;
use super::protocol::{StateUpdate, StoredState, Unnamed};
use crate::failure::{Code, Failure};

/// The state of a capture, as far as this session's bindings go.
#[derive(Debug, Default)]
pub struct CaptureState {
    shared: Option<Box<RawValue>>,
    shared_changed: bool,
    bindings: Vec<BindingState>,
    /// Upstream's states under keys that no binding has now, for states that end theirs.
    absent: Vec<(String, Box<RawValue>)>,
    /// Keys among them whose state ended since the last patch.
    ended: Vec<String>,
    /// A state in another layout, until it is taken over.
    foreign: Option<Foreign>,
    /// Members of an older layout, as they stand in the text, that the next patch removes.
    removed: Vec<String>,
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

/// A state by its layout.
enum Layout<'a> {
    Ours(Stored<'a>),
    Foreign(Foreign),
}

impl<'a> Layout<'a> {
    /// Reads a whole state; no text at all is an empty one of ours.
    fn of(json: &'a [u8]) -> Result<Self, Failure> {
        let json = if json.is_empty() { b"null" } else { json };
        let whole: &RawValue = serde_json::from_slice(json).map_err(|error| unreadable(&error))?;
        if let Some(foreign) = takeover::foreign(whole) {
            return Ok(Self::Foreign(foreign));
        }
        let stored: Option<Stored<'_>> =
            serde_json::from_str(whole.get()).map_err(|error| unreadable(&error))?;
        Ok(Self::Ours(stored.unwrap_or_default()))
    }
}

impl CaptureState {
    /// Reads the state that Open brings, for bindings with these state keys. Entries of other keys
    /// stay with Flow: they are of other shards, or of bindings that may come back.
    pub fn open(json: &[u8], state_keys: &[String]) -> Result<Self, Failure> {
        let (stored, foreign) = match Layout::of(json)? {
            Layout::Ours(stored) => (stored, None),
            Layout::Foreign(foreign) => (Stored::default(), Some(foreign)),
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
        let named: HashSet<usize> = named.iter().map(|&(binding, _)| binding).collect();
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
    fn remove(&mut self, members: Vec<String>) {
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

fn unreadable(error: &serde_json::Error) -> Failure {
    Failure::new(
        Code::STATE_UNREADABLE,
        format!(
            "the capture's state cannot be read ({:?} error at column {})",
            error.classify(),
            error.column()
        ),
    )
}

#[cfg(test)]
mod tests;
