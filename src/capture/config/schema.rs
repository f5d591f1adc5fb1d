//! The config schema: as Flow takes it, and whether a config fits it.

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::failure::{Code, Failure};
use crate::json::schema::adapt;
use crate::json::schema::admit::admit;

/// How many mistakes of a config are named.
const NAMED: usize = 5;

/// A config schema as Flow takes it.
pub(crate) fn for_flow(schema: &Value) -> Value {
    let mut adapted = adapt::config(schema);
    if let Value::Object(root) = &mut adapted {
        // Flow adds `sops` to an encrypted config, and takes no root that forbids others.
        root.retain(|keyword, _| keyword != "additionalProperties" && keyword != "unevaluatedProperties");
        root.insert("type".to_owned(), "object".into());
    } else {
        adapted = json!({"type": "object"});
    }
    admit(&mut adapted, "sops");
    adapted
}

/// Whether a config fits a schema; the failure says where it does not, and never a value.
pub(super) fn validate(schema: &Value, config: &Value) -> Result<(), Failure> {
    let Some(validator) = compiled(schema) else { return Ok(()) };
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

/// Less strict than it is written where good configs would fail: the branches of a `oneOf` often overlap
/// (airbyte-protocol.md, 7.1), and Flow adds `sops`. `None` for what is no JSON schema.
fn compiled(schema: &Value) -> Option<Validator> {
    let relaxed = relax(&for_flow(schema));
    let compiled = jsonschema::options().should_validate_formats(false).build(&relaxed);
    if let Err(error) = &compiled {
        tracing::warn!(
            "upstream's config schema is no valid JSON schema, so configs are not held against it: {error}"
        );
    }
    compiled.ok()
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
    use super::*;

    #[test]
    fn a_config_is_an_object_that_may_hold_what_flow_adds() {
        let schema = json!({"additionalProperties": false, "properties": {"a": {"airbyte_secret": true}}});
        let expected = json!({"properties": {"a": {"secret": true}}, "type": "object"});
        assert_eq!(for_flow(&schema), expected);
        let closed =
            json!({"additionalProperties": {"type": "string"}, "allOf": [{"additionalProperties": false}]});
        let config = json!({"sops": {"mac": "x"}});
        assert!(jsonschema::validator_for(&for_flow(&closed)).is_ok_and(|schema| schema.is_valid(&config)));
        assert_eq!(for_flow(&json!(7)), json!({"type": "object"}));
    }

    #[test]
    fn mistakes_name_places_and_never_values() {
        let schema = json!({
            "required": ["token"], "properties": {"count": {"type": "integer"}, "mode": {"enum": ["a", "b"]}},
        });
        let failure = validate(&schema, &json!({"count": "s3cret", "mode": "s3cret"})).expect_err("mistakes");
        for expected in ["/count", "/mode", "token"] {
            assert!(failure.message.contains(expected), "{failure}");
        }
        assert!(!failure.message.contains("s3cret"), "{failure}");
        assert!(validate(&schema, &json!({"token": "t", "sops": {}})).is_ok());
    }

    #[test]
    fn overlapping_branches_take_a_good_config() {
        let branch = |name: &str| json!({"properties": {"auth": {"const": name}, "key": {"type": "string"}}});
        let schema = json!({"properties": {"credentials": {"oneOf": [branch("a"), branch("b")]}}});
        assert!(validate(&schema, &json!({"credentials": {"key": "k"}})).is_ok());
    }

    #[test]
    fn a_schema_that_is_none_takes_everything() {
        assert!(validate(&json!({"type": 7}), &json!({})).is_ok());
    }
}
