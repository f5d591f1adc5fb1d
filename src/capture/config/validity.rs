//! The endpoint config: whether it fits upstream's schema.

use jsonschema::Validator;
use serde_json::Value;

use super::schema::adapt_spec;
use crate::failure::{Code, Failure};

/// How many mistakes of a config are named.
const NAMED: usize = 5;

/// A compiled config schema.
pub(super) struct ConfigSchema {
    /// `None` where the schema is no JSON schema: then nothing can be held against it.
    validator: Option<Validator>,
}

impl ConfigSchema {
    /// Compiles a schema, less strictly than it is written where good configs would fail: the
    /// branches of a `oneOf` often overlap (airbyte-protocol.md, 7.1), and Flow adds `sops`.
    pub(super) fn new(schema: &Value) -> Self {
        let relaxed = relax(&adapt_spec(schema));
        let compiled = jsonschema::options().should_validate_formats(false).build(&relaxed);
        if let Err(error) = &compiled {
            tracing::warn!(
                "upstream's config schema is no valid JSON schema, so configs are not held against it: {error}"
            );
        }
        Self { validator: compiled.ok() }
    }

    /// Whether a config fits; the failure says where it does not, and never a value.
    pub(super) fn validate(&self, config: &Value) -> Result<(), Failure> {
        let Some(validator) = &self.validator else { return Ok(()) };
        let mistakes: Vec<String> = validator
            .iter_errors(config)
            .take(NAMED)
            .map(|error| {
                let at = error.instance_path().to_string();
                let at = if at.is_empty() { "the config" } else { &at };
                format!("{at}: {}", error.masked_with("the value"))
            })
            .collect();
        if mistakes.is_empty() {
            return Ok(());
        }
        Err(Failure::new(
            Code::ENDPOINT_CONFIG,
            format!("the endpoint config does not fit the connector's schema: {}", mistakes.join("; ")),
        ))
    }
}

/// `oneOf` becomes `anyOf`, and patterns go: upstream checks them itself, in its own dialect.
fn relax(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => members
            .iter()
            .filter(|(name, value)| !(*name == "pattern" && value.is_string()))
            .map(|(name, value)| {
                let name = if name == "oneOf" && value.is_array() { "anyOf" } else { name };
                (name.to_owned(), relax(value))
            })
            .collect(),
        Value::Array(list) => list.iter().map(relax).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn mistakes_name_places_and_never_values() {
        let schema = ConfigSchema::new(&json!({
            "required": ["token"], "properties": {"count": {"type": "integer"}, "mode": {"enum": ["a", "b"]}},
        }));
        let failure = schema.validate(&json!({"count": "s3cret", "mode": "s3cret"})).expect_err("mistakes");
        for expected in ["/count", "/mode", "token"] {
            assert!(failure.message.contains(expected), "{failure}");
        }
        assert!(!failure.message.contains("s3cret"), "{failure}");
        assert!(schema.validate(&json!({"token": "t", "sops": {}})).is_ok());
    }

    #[test]
    fn overlapping_branches_take_a_good_config() {
        let branch = |name: &str| json!({"properties": {"auth": {"const": name}, "key": {"type": "string"}}});
        let schema =
            ConfigSchema::new(&json!({"properties": {"credentials": {"oneOf": [branch("a"), branch("b")]}}}));
        assert!(schema.validate(&json!({"credentials": {"key": "k"}})).is_ok());
    }

    #[test]
    fn a_schema_that_is_none_takes_everything() {
        assert!(ConfigSchema::new(&json!({"type": 7})).validate(&json!({})).is_ok());
    }
}
