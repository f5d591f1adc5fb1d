//! Which mode of refresh a binding gets, and whether upstream goes on inside one.

use crate::capture::collections::bindings::BoundBinding;
use crate::capture::collections::key;
use crate::capture::protocol::RefreshState;
use crate::shim::streams::Refresh;

/// What happens to the rows of a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Not a full refresh: row ids go on.
    Incremental,
    /// A full refresh whose row ids go on; nothing is deleted.
    Count,
    /// Row ids start at 0; what is beyond the end is deleted.
    Snapshot,
    /// Row ids start at the end of the last refresh; what a failed attempt left beyond is deleted.
    Append,
    /// Flow is told where the refresh begins and ends.
    Truncate,
}

/// The mode of a binding: the shim's, as far as its key allows, else what fits.
pub(super) fn mode(binding: &BoundBinding, whole: bool) -> Mode {
    if !binding.resource.full_refresh {
        return Mode::Incremental;
    }
    let id = &binding.resource.id;
    let by_place = key::is_by_place(&binding.key);
    match binding.different.refresh {
        Some(Refresh::Truncate) => Mode::Truncate,
        Some(Refresh::Append) if by_place => Mode::Append,
        Some(Refresh::Snapshot) if by_place => Mode::Snapshot,
        None if by_place && whole => Mode::Snapshot,
        Some(Refresh::Snapshot) => {
            tracing::warn!(
                stream = %id,
                "refresh: snapshot needs the collection key {}; rows that are gone at the source stay in \
                 this collection, unless refresh: truncate is set",
                key::FALLBACK
            );
            Mode::Count
        }
        Some(Refresh::Append) | None => Mode::Count,
    }
}

/// Whether upstream, whose state says this, goes on inside a refresh, behind the rows that it sent before.
pub(super) fn resumes(says: RefreshState, mode: Mode, binding: &BoundBinding) -> bool {
    match says {
        RefreshState::Position { exact } => exact || mode == Mode::Count || !key::is_by_place(&binding.key),
        RefreshState::Ended | RefreshState::Partial | RefreshState::Marker => false,
    }
}
