//! What `shim.yaml` says: the types, as they stand in the file, with their defaults.
//!
//! Unknown keys are refused by `load`, which names the nearest known one.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::arguments::Arguments;
use super::pointers::Moves;
use super::read::{ReadSection, StateSection};
use super::schema::{DocumentSection, SchemaSection};
use super::streams::StreamsSection;
use super::units::duration;
use crate::json::merge_patch;

/// A whole `shim.yaml`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Definition {
    /// Which protocol upstream speaks; detected where absent.
    pub protocol: Option<ProtocolName>,
    /// Program and first arguments of upstream. Never passes through a shell.
    pub command: Vec<String>,
    /// Arguments that are appended to every call of upstream: a list for all verbs, or one for each of
    /// `spec`, `check`, `discover`, `read`.
    pub args: Arguments,
    /// The manifest of a low-code Airbyte connector, from the shim's folder; `protocol` and `command`
    /// follow from it. Without the key, `manifest.yaml` counts where there is no `command`.
    pub manifest: Option<String>,
    /// The Python code of the manifest's custom components, from the shim's folder; it runs. Without the
    /// key, `components.py` counts.
    pub components: Option<String>,
    /// Variables that upstream gets.
    pub env: BTreeMap<String, String>,
    /// Replaces the documentation URL that upstream gives.
    pub documentation_url: Option<String>,
    /// Flow's `OAuth2` message, passed on, or `auto`: derived from what upstream says of its flow.
    #[schemars(schema_with = "super::oauth2::schema")]
    pub oauth2: Option<Value>,
    /// How the config differs from upstream's.
    pub config: ConfigSection,
    /// Which streams are shown, and how.
    pub streams: StreamsSection,
    /// What is published as a collection's schema.
    pub schema: SchemaSection,
    /// What is added to documents.
    pub document: DocumentSection,
    /// How a capture reads.
    pub read: ReadSection,
    /// How upstream wants its state.
    pub state: StateSection,
    /// Time limits.
    pub timeouts: Timeouts,
    /// What only taps need.
    pub singer: SingerSection,
}

/// The protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ProtocolName {
    /// An Airbyte source.
    Airbyte,
    /// A Singer tap.
    Singer,
}

impl ProtocolName {
    /// As it is written in `shim.yaml`.
    pub fn as_str(self) -> &'static str {
        match self {
            ProtocolName::Airbyte => "airbyte",
            ProtocolName::Singer => "singer",
        }
    }
}

/// `config:`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ConfigSection {
    /// An RFC 7396 patch of upstream's config schema.
    pub schema_patch: Option<Value>,
    /// Replaces upstream's config schema; for taps that have no `--about`.
    pub schema: Option<Value>,
    /// JSON pointers, TO: FROM. Before upstream sees the config, the value at FROM moves to TO, pair
    /// after pair in the file's order.
    #[schemars(with = "BTreeMap<String, String>")]
    pub map: Moves,
}

impl ConfigSection {
    /// The config schema that people see, before consent adds to it: the shim's own, else upstream's;
    /// patched. `None` where neither is there.
    pub fn seen(&self, upstreams: Option<Value>) -> Option<Value> {
        let mut schema = self.schema.clone().or(upstreams)?;
        if let Some(patch) = &self.schema_patch {
            merge_patch::apply(&mut schema, patch);
        }
        Some(schema)
    }
}

/// `timeouts:`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Timeouts {
    /// For upstream to tell its specification.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub spec: Duration,
    /// For a discovery.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub discover: Duration,
    /// For a connection check.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub check: Duration,
    /// Between asking upstream to stop and killing it. Docker kills a container after 10 s.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub stop: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            spec: Duration::from_secs(60),
            discover: Duration::from_secs(15 * 60),
            check: Duration::from_secs(10 * 60),
            // Docker kills a container 10 s after it asks it to stop, Flow 15 s after.
            stop: Duration::from_secs(8),
        }
    }
}

/// `singer:`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct SingerSection {
    /// How the tap takes its catalog.
    pub catalog_flag: CatalogFlag,
    /// Whether the state file is rewritten with what Flow has acknowledged.
    pub state_file_acks: StateFileAcks,
}

/// Whether a tap's state file is kept at what is durable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StateFileAcks {
    /// For taps that are known to read it while they run.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// The flag with which a tap takes its catalog.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum CatalogFlag {
    /// By each of `--catalog` and `--properties` that the tap's `--help` has; by none where it has neither.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// `--catalog`.
    #[serde(rename = "--catalog")]
    Catalog,
    /// `--properties`, the older spelling.
    #[serde(rename = "--properties")]
    Properties,
    /// The tap takes no catalog: it is read with `--config` and, where its `--help` has that, `--state`.
    #[serde(rename = "none")]
    None,
}
