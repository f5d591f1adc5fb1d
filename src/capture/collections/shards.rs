//! Which bindings a shard reads: each belongs to exactly one key range, by a hash of its resource path.
//!
//! The hash is fixed for ever (docs/state.md), since a binding that moved to another shard would meet a
//! state that knows nothing of it.

use xxhash_rust::xxh3::xxh3_64;

use super::bindings::BoundBinding;
use crate::capture::protocol::{StoredState, UpstreamProtocol};
use crate::capture::state::sharing::{Sharing, shared_member};
use crate::failure::Failure;
use crate::flow::message::RangeSpec;

/// The bindings that the shard of this range reads, and what it does with a state that is shared.
pub(crate) fn own<P: UpstreamProtocol>(
    protocol: &P,
    bound: Vec<BoundBinding>,
    range: Option<&RangeSpec>,
    state: &[u8],
) -> Result<(Vec<BoundBinding>, Sharing<'static>), Failure> {
    let Some(range) = range.filter(|range| !is_whole(range)) else { return Ok((bound, Sharing::Whole)) };
    let shared = shared_member(state)?;
    let spread = match &shared {
        None => true,
        Some(shared) => shared.first().is_some_and(|shared| protocol.shares_nothing(shared)),
    };
    let nothing = StoredState::default();
    if spread && bound.iter().all(|binding| protocol.may_be_left_out(&binding.resource_config, &nothing)) {
        let own = |binding: &BoundBinding| {
            let hash = hash(&binding.resource.path);
            (range.key_begin..=range.key_end).contains(&hash)
        };
        return Ok((bound.into_iter().filter(own).collect(), Sharing::Shard));
    }
    tracing::warn!(
        "upstream keeps one state for all of its streams, so the shard with the first key reads all bindings, and the \
         others none"
    );
    Ok((if range.key_begin == 0 { bound } else { Vec::new() }, Sharing::WholeOfShards))
}

/// An end of 0 is one that was left out.
fn is_whole(range: &RangeSpec) -> bool {
    range.key_begin == 0 && matches!(range.key_end, 0 | u32::MAX)
}

/// The upper half of the 64-bit XXH3 of the steps, each followed by a zero byte.
pub(super) fn hash(path: &[String]) -> u32 {
    let mut bytes = Vec::new();
    for step in path {
        bytes.extend_from_slice(step.as_bytes());
        bytes.push(0);
    }
    u32::try_from(xxh3_64(&bytes) >> 32).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &[&str]) -> u32 {
        hash(&path.iter().map(|&step| step.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_hash_is_fixed() {
        assert_eq!(["users", "orders"].map(|name| of(&[name])), [1_927_909_225, 2_652_530_845]);
        assert_ne!(of(&["a", "b"]), of(&["ab"]), "steps are told apart");
    }

    #[test]
    fn paths_spread_evenly() {
        let upper = (0..10_000).filter(|number| of(&[&format!("stream_{number}")]) > u32::MAX / 2).count();
        assert!((4_800..5_200).contains(&upper), "{upper}");
    }
}
