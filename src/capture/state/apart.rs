//! A capture's state where several processes or shards each read some of its bindings.

use serde_json::value::RawValue;

use super::takeover;
use super::{CaptureState, Stored, unreadable};
use crate::failure::{Code, Failure};

impl CaptureState {
    /// The state of one binding alone, taken out until it is [given back](Self::give_back).
    pub(in crate::capture) fn take(&mut self, binding: usize) -> Self {
        let shared = self.shared.clone();
        Self { shared, bindings: vec![std::mem::take(&mut self.bindings[binding])], ..Self::default() }
    }

    /// Puts back the state of a binding.
    pub(in crate::capture) fn give_back(&mut self, binding: usize, mut taken: Self) {
        if let Some(state) = taken.bindings.pop() {
            self.bindings[binding] = state;
        }
        self.shared = taken.shared.or(self.shared.take());
    }

    /// Has no patch touch the shared part before upstream does.
    pub(in crate::capture) fn leave_shared(&mut self) {
        self.shared_changed = false;
    }
}

/// The member of what belongs to no stream: `None` where there is none; it may be empty. Fails for a state in another layout.
pub(in crate::capture) fn shared_member(json: &[u8]) -> Result<Option<Vec<Box<RawValue>>>, Failure> {
    let json = if json.is_empty() { b"null" } else { json };
    let whole: &RawValue = serde_json::from_slice(json).map_err(|error| unreadable(&error))?;
    if takeover::foreign(whole).is_some() {
        return Err(Failure::new(
            Code::STATE_SHARED,
            "the capture's state is one of an older connector, which several shards cannot take over; join them to one \
             until it has written a checkpoint",
        ));
    }
    let stored: Option<Stored<'_>> = serde_json::from_str(whole.get()).map_err(|error| unreadable(&error))?;
    let shared = stored.and_then(|stored| stored.shared);
    Ok(shared.map(|shared| shared.into_iter().map(RawValue::to_owned).collect()))
}
