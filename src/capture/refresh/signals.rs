//! Whether Flow is told where a truncating refresh begins and where it is complete.
//!
//! Behind a complete refresh Flow drops what is older than its beginning, which cannot be taken back. So
//! markers are sent only where the refresh reads everything (flow-protocol.md, R16).

use crate::capture::config::flags::{BACKFILL_SIGNALS, FeatureFlags};
use crate::capture::protocol::StreamId;

/// Whether the markers of truncating refreshes are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Signals {
    /// They are.
    Sent,
    /// They are not: the setting at this pointer of the endpoint config limits what a refresh reads.
    Limited(String),
    /// They are not: the endpoint config says so.
    Off,
}

impl Signals {
    /// What the flags say, else what the config does: `limit` is the setting that limits refreshes.
    pub(crate) fn new(flags: &FeatureFlags, limit: Option<String>) -> Self {
        match (flags.has(BACKFILL_SIGNALS), limit) {
            (Some(false), _) => Self::Off,
            (None, Some(setting)) => Self::Limited(setting),
            (Some(true), _) | (None, None) => Self::Sent,
        }
    }

    /// Whether they are sent of this stream, which upstream reads `whole` or not. Warns where a limit
    /// keeps them back.
    pub(super) fn of(&self, stream: &StreamId, whole: bool) -> bool {
        match self {
            Self::Off => false,
            _ if !whole => {
                tracing::warn!(
                    stream = %stream,
                    "the source goes on from a cursor of its own, so a refresh does not read everything: Flow gets no \
                     backfill signals, and rows that are gone at the source stay in the collection despite refresh: truncate"
                );
                false
            }
            Self::Limited(setting) => {
                tracing::warn!(
                    stream = %stream,
                    setting,
                    "the setting {setting} may limit what a refresh reads: Flow gets no backfill signals, and rows that \
                     are gone at the source stay in the collection despite refresh: truncate; if a refresh reads \
                     everything all the same, set /advanced/feature_flags of the endpoint config to {BACKFILL_SIGNALS}"
                );
                false
            }
            Self::Sent => true,
        }
    }
}
