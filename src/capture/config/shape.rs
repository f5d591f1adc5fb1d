//! The endpoint config's two shapes: the one that people see and the one that upstream takes, and the way
//! from the one to the other and back.
//!
//! What Flow added goes, defaults come in, values move as the shim's `config.map` says, and what
//! upstream's specification forbids goes too: OAuth and the mapping leave members that upstream may
//! refuse to take (airbyte-protocol.md, surprises 16 to 18).

use serde_json::Value;

use super::{flags, schema};
use crate::failure::{Code, Failure};
use crate::json::defaults;
use crate::json::remap::{Move, remap, restore};
use crate::oauth::spec::Moves;

/// Flow's stanza of an encrypted config.
const SOPS: &str = "sops";
/// With true here, a session does not stay up behind its read; not meant for upstream
/// (flow-protocol.md, 9.2).
const SKIP_INTERVAL: &str = "_atf_skip_interval";

/// How values move between the two shapes: first what consent brought, then as the shim has it.
#[derive(Debug, Clone, Default)]
pub struct Way {
    /// What consent brought.
    pub consent: Moves,
    /// The shim's `config.map`.
    pub moves: Vec<Move>,
}

impl Way {
    /// The way back: a config of upstream's in the shape that people see. `original` is the config
    /// that went there.
    pub fn back(&self, upstream: &Value, original: &Value) -> Value {
        let mut consented = original.clone();
        self.consent.to_upstream(&mut consented);
        let mut restored = restore(upstream, &self.moves, &consented);
        self.consent.to_flow(&mut restored);
        restored
    }
}

/// Whether an endpoint config asks for the session to end as soon as its read has, whatever
/// `read.minInterval` says.
pub(crate) fn skips_interval(config: &[u8]) -> bool {
    serde_json::from_slice::<Value>(config).is_ok_and(|config| config[SKIP_INTERVAL] == true)
}

/// Holds a config against the schema that people see, and brings it into upstream's shape. `upstream`
/// is upstream's own schema, `None` where the shim's stands in for it.
pub(crate) fn to_upstream(
    config: Value,
    seen: &Value,
    upstream: Option<&Value>,
    way: &Way,
) -> Result<Value, Failure> {
    let config = completed(config, seen);
    schema::validate(seen, &config)?;
    reshaped(config, seen, upstream, way)
}

/// The same of a config that may be one of another version, and is not held against the schema.
pub fn to_upstream_unchecked(
    config: Value,
    seen: &Value,
    upstream: Option<&Value>,
    way: &Way,
) -> Result<Value, Failure> {
    reshaped(completed(config, seen), seen, upstream, way)
}

/// Without what Flow added, with the defaults that people see.
fn completed(mut config: Value, seen: &Value) -> Value {
    if let Value::Object(members) = &mut config {
        members.shift_remove(SOPS);
        members.shift_remove(SKIP_INTERVAL);
    }
    flags::remove(&mut config, seen);
    defaults::fill(&mut config, seen);
    config
}

fn reshaped(mut config: Value, seen: &Value, upstream: Option<&Value>, way: &Way) -> Result<Value, Failure> {
    if upstream.is_none() {
        tell(&defaults::remove_unknown(&mut config, seen));
    }
    way.consent.to_upstream(&mut config);
    let mut config = remap(&config, &way.moves).map_err(|error| {
        Failure::new(
            Code::ENDPOINT_CONFIG,
            format!("the endpoint config does not fit the shim's `config.map`: {error}"),
        )
    })?;
    if let Some(upstream) = upstream {
        defaults::fill(&mut config, upstream);
        tell(&defaults::remove_unknown(&mut config, upstream));
    }
    Ok(config)
}

fn tell(removed: &[String]) {
    if !removed.is_empty() {
        tracing::info!(
            members = removed.join(", "),
            "members of the config that upstream's specification does not allow are left out"
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::json::pointer;

    fn mapping(pairs: &[(&str, &str)]) -> Way {
        let path = |text: &str| pointer::to_path(text).expect("a pointer");
        let moves = pairs.iter().map(|(to, from)| Move { to: path(to), from: path(from) }).collect();
        Way { moves, ..Way::default() }
    }

    #[test]
    fn a_config_reaches_upstream_in_its_own_shape() {
        let upstream = json!({"type": "object", "additionalProperties": false, "required": ["token"], "properties": {
            "token": {"type": "string", "pattern": "^(?!x).*$"}, "count": {"type": "integer", "default": 10},
            "style": {"type": "object", "default": "plain"},
        }});
        let seen = json!({"type": "object", "required": ["credentials"], "properties": {
            "credentials": {"type": "object", "properties": {"token": {"type": "string"}}}, "count": {"default": 20},
        }});
        let config = json!({
            "credentials": {"token": "t", "client_id": "by OAuth"}, "sops": {"mac": "m"}, "_atf_skip_interval": true,
        });
        let map = mapping(&[("/token", "/credentials/token")]);
        let reached = to_upstream(config, &seen, Some(&upstream), &map).expect("it fits");
        assert_eq!(reached, json!({"token": "t", "count": 20}), "the default that people see counts");
    }

    #[test]
    fn a_shim_with_a_schema_of_its_own_maps_to_what_it_does_not_know() {
        let seen = json!({"additionalProperties": false, "properties": {"key": {}}});
        let reached = to_upstream(json!({"key": "k", "else": 1}), &seen, None, &mapping(&[("/a/b", "/key")]));
        assert_eq!(reached.expect("it fits"), json!({"a": {"b": "k"}}));
    }

    #[test]
    fn a_config_that_cannot_be_mapped_is_told_without_its_values() {
        let failure = to_upstream(json!({"a": "s3cret"}), &json!({}), None, &mapping(&[("/x", "/b")]));
        let failure = failure.expect_err("nothing is at /b");
        assert!(failure.message.contains("/b") && !failure.message.contains("s3cret"), "{failure}");
    }
}
