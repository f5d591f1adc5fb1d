//! States that other programs wrote: Estuary's older shims, whose running captures go on here.
//!
//! Which layout a state has is told by its shape, entry by entry (flow-protocol.md, 8.1). What is in
//! it, the protocol knows. The first checkpoint turns it into our layout and removes the members
//! of the older one; until then Flow's state stays as it is.

use serde_json::value::RawValue;

use super::CaptureState;
use crate::capture::protocol::{BoundStream, StateUpdate, TakenOver, UpstreamProtocol};
use crate::failure::{Code, Failure};
use crate::json::members::Members;

/// Members of the whole state that are ours.
const OURS: [&str; 2] = ["bindingStateV1", "shared"];
/// Members of a binding's entry that are ours.
const OURS_OF_BINDING: [&str; 4] = ["rowId", "state", "refresh", "readAt"];

/// A whole state in another layout.
pub(super) type Foreign = Box<RawValue>;

/// The state, where it has another layout than ours. Nothing at all has no layout.
pub(super) fn foreign(state: &RawValue) -> Option<Foreign> {
    let text = state.get();
    let ours = match text.as_bytes().first() {
        Some(b'{') => {
            let mut members = Members::new(text);
            // A stream may be called `shared`; ours is an array.
            members.clone().any(|member| member.name == OURS[0])
                || members.all(|member| member.name == OURS[1] && member.value.starts_with('['))
        }
        Some(b'[') => text[1..].trim_start().starts_with(']'),
        _ => text == "null",
    };
    (!ours).then(|| state.to_owned())
}

/// Whether a binding's entry has another layout than ours.
pub(super) fn is_foreign_entry(entry: &RawValue) -> bool {
    let member = |name: &str| Members::new(entry.get()).find(|member| member.name == name);
    match (member("state"), member("rowId")) {
        (Some(state), _) => !state.value.starts_with('[') && state.value != "null",
        (None, Some(_)) => false,
        (None, None) => Members::new(entry.get()).any(|member| !OURS_OF_BINDING.contains(&&*member.name)),
    }
}

/// Goes on from states in other layouts, where there are any. `offered` are the names of the streams
/// that the source has, as far as they were discovered.
pub(crate) fn take_over<P: UpstreamProtocol>(
    protocol: &P,
    state: &mut CaptureState,
    streams: &[BoundStream],
    offered: &[&str],
) -> Result<(), Failure> {
    if let Some(whole) = state.foreign.take() {
        let taken = protocol.take_over_capture(&whole, streams, offered)?.ok_or_else(stranger)?;
        for (binding, part) in state.bindings.iter_mut().zip(taken.streams) {
            if part.is_some() {
                binding.take_over(0, part, Vec::new());
            }
        }
        state.update(StateUpdate { shared: taken.shared, ..StateUpdate::default() });
        state.remove(Members::new(whole.get()).map(|member| member.raw_name.to_owned()).collect());
        tracing::info!("the capture's state was written by an older connector; it is taken over");
    }
    for (binding, stream) in state.bindings.iter_mut().zip(streams) {
        let Some(entry) = binding.foreign.take() else { continue };
        let TakenOver { row_id, state } = protocol.take_over_binding(&entry, stream)?.ok_or_else(stranger)?;
        let removed = Members::new(entry.get())
            .filter(|member| !OURS_OF_BINDING.contains(&&*member.name))
            .map(|member| member.raw_name.to_owned());
        binding.take_over(row_id, state, removed.collect());
        tracing::info!(stream = %stream.id, row_id, "a state of an older connector is taken over");
    }
    Ok(())
}

fn stranger() -> Failure {
    Failure::new(
        Code::STATE_FOREIGN,
        "the capture's state was written by another connector and cannot be continued; \
         delete the capture's state, or publish the capture under a new name, to start anew",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).expect("JSON")
    }

    #[test]
    fn layouts_are_told_by_their_shape() {
        for ours in ["null", "{}", "[]", "[ ]", r#"{"bindingStateV1":{}}"#, r#"{"shared":[1]}"#] {
            assert!(foreign(&raw(ours)).is_none(), "{ours}");
        }
        for other in [r#"{"users":{}}"#, r#"{"shared":{"cursor":1}}"#, "[{}]", "3", r#""text""#] {
            assert!(foreign(&raw(other)).is_some(), "{other}");
        }
    }

    #[test]
    fn entries_are_told_by_their_shape() {
        for ours in [
            "{}",
            r#"{"rowId":1}"#,
            r#"{"state":[]}"#,
            r#"{"readAt":1}"#,
            r#"{"rowId":1,"new":2,"state":[1]}"#,
        ] {
            assert!(!is_foreign_entry(&raw(ours)), "{ours}");
        }
        for other in [r#"{"rowId":1,"state":{}}"#, r#"{"replication_key":"id","estuary.dev/rowCounter":3}"#] {
            assert!(is_foreign_entry(&raw(other)), "{other}");
        }
    }
}
