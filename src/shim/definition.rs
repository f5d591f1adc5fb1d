//! What `shim.yaml` says: the types, as they stand in the file, with their defaults.
//!
//! Unknown keys are refused by `load`, which names the nearest known one. Keys that the contract
//! has but this version does not act on are known to `load` by name.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

/// A whole `shim.yaml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Definition {
    /// Which protocol upstream speaks; detected where absent.
    pub protocol: Option<ProtocolName>,
    /// Program and first arguments of upstream. Never passes through a shell.
    pub command: Vec<String>,
    /// Variables that upstream gets.
    pub env: BTreeMap<String, String>,
    /// Replaces the documentation URL that upstream gives.
    pub documentation_url: Option<String>,
    /// Flow's `OAuth2` message, passed on.
    pub oauth2: Option<Value>,
    /// How the config differs from upstream's.
    pub config: ConfigSection,
    /// Which streams are shown, and how.
    pub streams: StreamsSection,
    /// Time limits.
    pub timeouts: Timeouts,
    /// What only taps need.
    pub singer: SingerSection,
}

/// The protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
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
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ConfigSection {
    /// Replaces upstream's config schema; for taps that have no `--about`.
    pub schema: Option<Value>,
}

/// `streams:`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct StreamsSection {
    /// Globs of the streams that new captures read; others are discovered, but disabled.
    /// Empty: all, as upstream has it.
    pub select: Vec<String>,
    /// Globs of streams that are never shown.
    pub omit: Vec<String>,
    /// What is different for streams, by name; `*` is for those without an entry of their own.
    pub overrides: BTreeMap<String, StreamOverride>,
}

/// One entry of `streams.overrides`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct StreamOverride {
    /// JSON pointers that replace the stream's key.
    pub key: Option<Vec<String>>,
}

/// `timeouts:`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Timeouts {
    /// For upstream to tell its specification.
    #[serde(deserialize_with = "duration")]
    pub spec: Duration,
    /// For a discovery.
    #[serde(deserialize_with = "duration")]
    pub discover: Duration,
    /// For a connection check.
    #[serde(deserialize_with = "duration")]
    pub check: Duration,
    /// Between asking upstream to stop and killing it.
    #[serde(deserialize_with = "duration")]
    pub stop: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            spec: Duration::from_secs(60),
            discover: Duration::from_secs(15 * 60),
            check: Duration::from_secs(10 * 60),
            stop: Duration::from_secs(20),
        }
    }
}

/// `singer:`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct SingerSection {
    /// How the tap takes its catalog.
    pub catalog_flag: CatalogFlag,
}

/// The flag with which a tap takes its catalog.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum CatalogFlag {
    /// `--catalog`, unless the tap's `--help` knows only `--properties`.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// `--catalog`.
    #[serde(rename = "--catalog")]
    Catalog,
    /// `--properties`, the older spelling.
    #[serde(rename = "--properties")]
    Properties,
}

/// Reads `90s`, `15m`, `1h 30m`; a bare number is refused, since nobody can tell its unit.
fn duration<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).map_err(serde::de::Error::custom)
}

/// Reads a duration such as `90s` or `15m`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|signed| Duration::try_from(signed).ok())
        .ok_or_else(|| format!("{text:?} is not a duration such as 90s, 15m or 1h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(parse_duration("1h"), Ok(Duration::from_secs(3600)));
        assert!(parse_duration("90").is_err());
        assert!(parse_duration("-5s").is_err());
    }
}
