//! The config schema: as Flow takes it, and whether a config fits it.

use jsonschema::{ValidationError, Validator};
use serde_json::{Value, json};

use super::mistakes;
use crate::failure::{Code, Failure};
use crate::json::schema::adapt;
use crate::json::schema::admit::admit;

/// How many mistakes of a config are named.
const NAMED: usize = 10;
/// How many the field `problems` lists.
const LISTED: usize = 100;

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
    let relaxed = relax(&for_flow(schema));
    let Some(validator) = compiled(&relaxed) else { return Ok(()) };
    let told = |error: ValidationError<'_>| {
        let at = error.instance_path().to_string();
        mistakes::of(&relaxed, &error).into_iter().map(move |words| (at.clone(), words))
    };
    let mistakes: Vec<(String, String)> = validator.iter_errors(config).flat_map(told).take(LISTED).collect();
    if mistakes.is_empty() {
        return Ok(());
    }
    let mut named: Vec<String> = mistakes.iter().take(NAMED).map(|(_, words)| words.clone()).collect();
    if mistakes.len() > NAMED {
        named.push(format!("and {} more, in the field `problems`", mistakes.len() - NAMED));
    }
    let code = Code::ENDPOINT_CONFIG;
    let listed: Vec<Value> =
        mistakes.iter().map(|(at, words)| json!({"code": code.name(), "at": at, "message": words})).collect();
    let message = format!("the endpoint config does not fit the connector's schema: {}", named.join("; "));
    Err(Failure::new(code, message).with("problems", listed))
}

/// `None` for what is no JSON schema.
fn compiled(schema: &Value) -> Option<Validator> {
    let compiled = jsonschema::options().should_validate_formats(false).build(schema);
    if let Err(error) = &compiled {
        tracing::warn!(
            "upstream's config schema is no valid JSON schema, so configs are not held against it: {error}"
        );
    }
    compiled.ok()
}

/// Less strict than it is written where good configs would fail: the branches of a `oneOf` often overlap
/// (airbyte-protocol.md, 7.1), so it becomes `anyOf`, and upstream checks patterns itself, in its own dialect.
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
    fn a_mistake_inside_a_form_names_the_form_and_the_field() {
        let schema = json!({"$defs": {"key": {"type": "object", "required": ["auth", "api_key"], "properties": {
            "auth": {"const": "key"}, "api_key": {"type": "string"},
        }}}, "properties": {
            "credentials": {"oneOf": [
                {"$ref": "#/$defs/key"},
                {"required": ["auth", "api_token"], "additionalProperties": false, "properties": {
                    "auth": {"const": "token"}, "api_token": {"type": "string"},
                    "scope": {"anyOf": [{"type": "null"}, {"type": "object", "required": ["name"]}]},
                }},
            ]},
            "window": {"oneOf": [{"type": "integer", "minimum": 1}, {"type": "string", "const": "all"}]},
        }});
        let mistakes = |config: Value| validate(&schema, &config).expect_err("mistakes").message;
        for (config, expected) in [
            (
                json!({"credentials": {"auth": "token"}}),
                "/credentials/api_token is required, with auth \"token\"",
            ),
            (json!({"credentials": {"auth": "key", "api_key": 7}}), "/credentials/api_key: "),
            (json!({"credentials": {}}), "/credentials/auth must be one of \"key\", \"token\""),
            (json!({"credentials": {"auth": "s3cret"}}), "/credentials/auth must be one of"),
            (
                json!({"credentials": {"auth": "token", "api_tokn": "s3cret"}}),
                "(is \"api_tokn\" meant for it?)",
            ),
            (
                json!({"credentials": {"auth": "token", "api_token": "t", "scpe": 1}}),
                "/credentials/scpe is not a setting of this connector; did you mean \"scope\"?",
            ),
            (
                json!({"credentials": {"auth": "token", "api_token": "t", "scope": {}}}),
                "/credentials/scope/name is required, with auth \"token\"",
            ),
            (json!({"window": 0}), "/window: "),
            (json!({"window": true}), "/window: it has none of the forms that the schema allows"),
        ] {
            let words = mistakes(config);
            assert!(words.contains(expected) && !words.contains("s3cret"), "{words}");
        }
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
