//! `read:` and `state:` of `shim.yaml`: how a capture reads, and how upstream wants its state.

use std::num::NonZeroUsize;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::units::{Share, bytes, duration, optional_duration};

/// `read:`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ReadSection {
    /// A session stays up at least this long.
    #[serde(deserialize_with = "optional_duration")]
    #[schemars(with = "String")]
    pub min_interval: Option<Duration>,
    /// How long upstream may show no sign of life.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub idle_timeout: Duration,
    /// How many upstream processes read at once.
    pub parallelism: NonZeroUsize,
    /// The largest record, in bytes.
    #[serde(deserialize_with = "bytes")]
    #[schemars(with = "String")]
    pub max_record_bytes: usize,
    /// What happens to a record that is larger.
    pub oversized_record: OversizedRecord,
    /// Whether Open discovers before it reads.
    pub discover_on_open: DiscoverOnOpen,
    /// When a stream that sends no state gets a checkpoint.
    pub checkpoint_every: CheckpointEvery,
    /// The largest share of a collection's rows, from 0 to 1, that one snapshot may delete; absent: all
    /// of them.
    #[schemars(with = "f64")]
    pub max_deleted_share: Option<Share>,
    /// Whether a source hands over its records through sockets.
    pub data_channel: DataChannel,
    /// How many sockets; twice as many as there are processors, 2 to 8, where absent.
    pub data_channel_sockets: Option<NonZeroUsize>,
}

impl Default for ReadSection {
    fn default() -> Self {
        Self {
            min_interval: None,
            idle_timeout: Duration::from_secs(60 * 60),
            parallelism: NonZeroUsize::MIN,
            max_record_bytes: 64 << 20,
            oversized_record: OversizedRecord::Error,
            discover_on_open: DiscoverOnOpen::Auto,
            checkpoint_every: CheckpointEvery::default(),
            max_deleted_share: None,
            data_channel: DataChannel::Auto,
            data_channel_sockets: None,
        }
    }
}

/// What happens to a record above the limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OversizedRecord {
    /// The read ends.
    #[default]
    Error,
    /// Its largest fields become null, which `_meta` tells.
    NullLargest,
}

/// Whether an Airbyte source hands over its records through sockets. One that opens none is read from
/// stdout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DataChannel {
    /// As the source's `metadata.yaml` in the shim's folder declares; on stdout where there is none.
    #[default]
    Auto,
    /// On stdout.
    Stdio,
    /// As JSON lines through sockets.
    Jsonl,
    /// As protobuf messages through sockets.
    Protobuf,
}

/// Whether Open discovers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DiscoverOnOpen {
    /// Where the protocol needs it, or a write schema does not carry the source's schema.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never: write schemas serve as they are.
    Never,
}

/// Bounds of the documents, their bytes and the time between two checkpoints of streams that send no
/// state; the first to be reached counts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct CheckpointEvery {
    /// Documents.
    pub documents: u64,
    /// Bytes of documents.
    #[serde(deserialize_with = "bytes")]
    #[schemars(with = "String")]
    pub bytes: usize,
    /// Seconds.
    pub seconds: u64,
}

impl Default for CheckpointEvery {
    fn default() -> Self {
        Self { documents: 100_000, bytes: 128 << 20, seconds: 300 }
    }
}

/// `state:`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct StateSection {
    /// The form of the state file.
    pub format: StateFormat,
}

/// Forms of an Airbyte state file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StateFormat {
    /// The one in which upstream wrote last.
    #[default]
    Auto,
    /// A list of STREAM states.
    Stream,
    /// One GLOBAL state.
    Global,
    /// A bare object.
    Legacy,
}
