//! `streams:` of `shim.yaml`: which streams are shown, and what is different for some of them.

#![expect(clippy::zero_sized_map_values, reason = "one normalization today is no reason for a set")]

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::fields::Fields;
use super::pointers::{by_pointer, key};
use super::units::optional_duration;

/// `streams:`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct StreamsSection {
    /// Globs of the streams that new captures read; others are discovered, but disabled. Absent: as
    /// upstream has it.
    pub select: Option<Vec<String>>,
    /// Globs of streams that are never shown.
    pub omit: Vec<String>,
    /// What is different for streams, by full name (`namespace.name`), plain name or glob. Each setting
    /// comes from the most specific entry that has it.
    pub overrides: BTreeMap<String, StreamOverride>,
    /// By whose rules collections are named and cursors proposed.
    pub conventions: Conventions,
}

/// Rules by which new bindings are proposed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Conventions {
    /// Ours: collections by namespace and name, cursors that the source proposes.
    #[default]
    FlowShim,
    /// airbyte-to-flow's: collections by name without odd characters, under which `key` and
    /// `schemaPatch` are looked up too; a key stands in for a cursor that the source does not propose.
    AirbyteToFlow,
}

/// One entry of `streams.overrides`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct StreamOverride {
    /// JSON pointers that replace the stream's key.
    #[serde(deserialize_with = "key")]
    #[schemars(with = "Vec<String>")]
    pub key: Option<Vec<String>>,
    /// An RFC 7396 patch of the stream's schema.
    pub schema_patch: Option<Value>,
    /// Values to be changed, by JSON pointer into a record.
    #[serde(deserialize_with = "by_pointer")]
    #[schemars(with = "BTreeMap<String, Normalization>")]
    pub normalize: BTreeMap<String, Normalization>,
    /// Which fields are read.
    pub fields: Option<Fields>,
    /// What a full refresh does with rows that are gone; absent: what fits the binding.
    pub refresh: Option<Refresh>,
    /// The least time from one read of the stream to the next; absent: every session reads it.
    #[serde(deserialize_with = "optional_duration")]
    #[schemars(with = "String")]
    pub interval: Option<Duration>,
}

/// A change of a value on its way into a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Normalization {
    /// Text that is no date but begins with one becomes that date.
    DatetimeToDate,
}

/// What a full refresh does with the rows of the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Refresh {
    /// Row ids start at 0 again, and rows beyond the refresh's end are deleted; an unchanged refresh
    /// emits nothing.
    Snapshot,
    /// Row ids go on; nothing is deleted.
    Append,
    /// Flow is told where the refresh begins and ends, and drops what is older.
    Truncate,
}
