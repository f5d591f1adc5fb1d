//! Feature flags: `/advanced/feature_flags` of an endpoint config, as Flow's own connectors have it
//! (flow-protocol.md, R17).
//!
//! The member belongs to flow-shim: upstream never gets it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::failure::{Code, Failure};
use crate::shim::definition::Definition;
use crate::shim::streams::Refresh;

/// The object of an endpoint config that holds the flags.
const SECTION: &str = "advanced";
/// The member of that object: a comma-separated text.
const MEMBER: &str = "feature_flags";
/// What turns a flag off: `no_backfill_signals`.
const OFF: &str = "no_";

/// On: send backfill signals although the config limits what a refresh reads. Off: never send them.
pub(crate) const BACKFILL_SIGNALS: &str = "backfill_signals";
/// The flags that flow-shim has a use for.
const KNOWN: &[&str] = &[BACKFILL_SIGNALS];

/// The feature flags of an endpoint config.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FeatureFlags(BTreeMap<String, bool>);

impl FeatureFlags {
    /// Reads the flags of an endpoint config, and warns of those that nobody knows. Fails where the
    /// member is not text.
    pub(crate) fn of(config: &Value) -> Result<Self, Failure> {
        let flags = match &config[SECTION][MEMBER] {
            Value::Null => return Ok(Self::default()),
            Value::String(text) => Self::parse(text),
            _ => {
                return Err(Failure::new(
                    Code::ENDPOINT_CONFIG,
                    format!(
                        "the endpoint config has a wrong value at /{SECTION}/{MEMBER}: it must be text, the names of \
                         flags with commas between them"
                    ),
                ));
            }
        };
        for name in flags.0.keys().filter(|name| !KNOWN.contains(&name.as_str())) {
            tracing::warn!(
                flag = name,
                "the endpoint config sets an unknown feature flag at /{SECTION}/{MEMBER}, which has no effect; known: {}",
                KNOWN.join(", ")
            );
        }
        Ok(flags)
    }

    /// `name` sets a flag, `no_name` clears it; of several, the last one counts. Spaces around names and
    /// empty names are ignored.
    fn parse(text: &str) -> Self {
        let flag = |name: &str| match name.strip_prefix(OFF) {
            Some(name) => (name.to_owned(), false),
            None => (name.to_owned(), true),
        };
        Self(text.split(',').map(|name| flag(name.trim())).filter(|(name, _)| !name.is_empty()).collect())
    }

    /// What the config says of a flag: `Some(true)` for `name`, `Some(false)` for `no_name`, `None` where
    /// it names neither.
    pub(crate) fn has(&self, name: &str) -> Option<bool> {
        self.0.get(name).copied()
    }
}

/// Takes the flags out of a config. The object around them goes too where nothing else is in it and
/// `schema`, of the config that people see, has no such property.
pub(super) fn remove(config: &mut Value, schema: &Value) {
    let Some(Value::Object(section)) = config.get_mut(SECTION) else { return };
    if section.shift_remove(MEMBER).is_some()
        && section.is_empty()
        && schema["properties"].get(SECTION).is_none()
        && let Value::Object(config) = config
    {
        config.shift_remove(SECTION);
    }
}

/// Adds the flags to the config schema that people see, where the shim has a use for one of them.
/// What the schema says of that place itself stays.
pub(crate) fn offer(schema: &mut Value, definition: &Definition) {
    let uses = definition.streams.overrides.values().any(|stream| stream.refresh == Some(Refresh::Truncate));
    let Value::Object(root) = schema else { return };
    let properties = root.entry("properties").or_insert_with(|| json!({}));
    if !uses || !properties.is_object() {
        return;
    }
    if properties.get(SECTION).is_none() {
        properties[SECTION] = json!({
            "type": "object", "title": "Advanced", "description": "Settings that few captures need", "advanced": true,
        });
    }
    let Value::Object(section) = &mut properties[SECTION] else { return };
    let members = section.entry("properties").or_insert_with(|| json!({}));
    if members.is_object() && members.get(MEMBER).is_none() {
        members[MEMBER] = json!({
            "type": "string", "title": "Feature flags", "advanced": true,
            "description": "Flags with commas between them. backfill_signals: tell Flow where a full refresh begins and \
                            ends although settings limit what it reads. no_backfill_signals: never tell it.",
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_as_flows_connectors_read_them() {
        let flags = FeatureFlags::parse(" a, no_b ,,c,no_c,no_,  ");
        assert_eq!([flags.has("a"), flags.has("b"), flags.has("c")], [Some(true), Some(false), Some(false)]);
        assert_eq!((flags.has("d"), flags.has("")), (None, None));
        assert_eq!(FeatureFlags::of(&json!({})).expect("none"), FeatureFlags::default());
        assert!(FeatureFlags::of(&json!({"advanced": {"feature_flags": ["a"]}})).is_err());
    }

    #[test]
    fn flags_go_and_what_else_is_there_stays() {
        let cleaned = |mut config: Value, schema: Value| {
            remove(&mut config, &schema);
            config
        };
        let flags = || json!({"advanced": {"feature_flags": "a"}});
        assert_eq!(cleaned(flags(), json!({})), json!({}));
        let own = json!({"properties": {"advanced": {"type": "object"}}});
        assert_eq!(cleaned(flags(), own), json!({"advanced": {}}));
        let other = json!({"advanced": {"feature_flags": "a", "x": 1}});
        assert_eq!(cleaned(other, json!({})), json!({"advanced": {"x": 1}}));
    }
}
