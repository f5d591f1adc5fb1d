//! How a state stands in a patch: a JSON text in an array of one element, which Flow replaces whole.

use serde_json::value::RawValue;

/// A JSON text that sits in an array of one element.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) text: Option<Box<RawValue>>,
    pub(super) changed: bool,
}

impl Kept {
    pub(super) fn set(&mut self, text: Option<Box<RawValue>>) {
        let same = match (&self.text, &text) {
            (Some(old), Some(new)) => old.get() == new.get(),
            (None, None) => true,
            _ => false,
        };
        self.changed |= !same;
        self.text = text;
    }

    pub(super) fn write_patch(&mut self, patch: &mut String, name: &str) {
        if std::mem::take(&mut self.changed) {
            push_key(patch, name);
            push_wrapped(patch, self.text.as_deref());
            patch.push(',');
        }
    }
}

pub(super) fn push_key(patch: &mut String, key: &str) {
    // A string is always JSON.
    patch.push_str(&serde_json::to_string(key).unwrap_or_default());
    patch.push(':');
}

/// Ends an object whose members each left a comma.
pub(super) fn close(patch: &mut String) {
    if patch.ends_with(',') {
        patch.pop();
    }
    patch.push('}');
}

/// An empty array stands for no state: unlike null it says the same in a patch and in a state.
pub(super) fn push_wrapped(patch: &mut String, state: Option<&RawValue>) {
    patch.push('[');
    patch.push_str(state.map_or("", RawValue::get));
    patch.push(']');
}

pub(super) fn first(wrapped: Option<Vec<&RawValue>>) -> Option<Box<RawValue>> {
    wrapped.and_then(|wrapped| wrapped.first().copied().map(ToOwned::to_owned))
}
