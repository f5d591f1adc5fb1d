//! The state of one binding: its row ids, upstream's state of its stream, what a refresh and an
//! interval keep.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::kept::{Kept, close, first, push_key};
use super::takeover;

/// The state of one binding.
#[derive(Debug, Default)]
pub(super) struct BindingState {
    /// Flow's key for it.
    pub(super) key: String,
    /// Whether Flow holds an entry of it: a binding that was added or backfilled has none.
    pub(super) known: bool,
    /// From which row id on the next session counts.
    pub(super) row_id: u64,
    pub(super) row_id_changed: bool,
    /// Upstream's state of the stream; `None` before the first.
    pub(super) upstream: Kept,
    /// What `refresh` keeps of a full refresh.
    pub(super) refresh: Kept,
    /// When the stream was last read to its end, as RFC 3339 has it.
    pub(super) read_at: Option<String>,
    pub(super) read_at_changed: bool,
    /// An entry in another layout, until it is taken over.
    pub(super) foreign: Option<Box<RawValue>>,
    /// Members of an older layout that the next patch removes.
    pub(super) removed: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct StoredBinding<'a> {
    row_id: Option<u64>,
    #[serde(borrow)]
    pub(super) state: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    refresh: Option<Vec<&'a RawValue>>,
    read_at: Option<String>,
}

impl BindingState {
    pub(super) fn open(key: &str, entry: Option<&RawValue>) -> serde_json::Result<Self> {
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

    pub(super) fn has_changed(&self) -> bool {
        self.row_id_changed
            || self.upstream.changed
            || self.refresh.changed
            || self.read_at_changed
            || !self.removed.is_empty()
    }

    pub(super) fn write_patch(&mut self, patch: &mut String) {
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
