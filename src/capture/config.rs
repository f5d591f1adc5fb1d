//! The endpoint config: its schema as Flow takes it, and whether a config fits.

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::failure::{Cause, Failure};

/// How many mistakes of a config are named.
const NAMED: usize = 5;

/// Keywords that Flow's schema compiler takes (flow-protocol.md, 3.4), besides those that begin with
/// `x-`. All others are vendors' own and go.
const KEYWORDS: &[&str] = &[
    "$schema",
    "$id",
    "$ref",
    "$defs",
    "$comment",
    "definitions",
    "title",
    "description",
    "default",
    "examples",
    "type",
    "enum",
    "const",
    "format",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "items",
    "prefixItems",
    "additionalItems",
    "contains",
    "minItems",
    "maxItems",
    "uniqueItems",
    "properties",
    "patternProperties",
    "additionalProperties",
    "propertyNames",
    "required",
    "minProperties",
    "maxProperties",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "readOnly",
    "writeOnly",
    "deprecated",
    "contentEncoding",
    "contentMediaType",
    "secret",
    "multiline",
    "advanced",
    "order",
    "discriminator",
];
/// Formats that it takes.
const FORMATS: &[&str] = &[
    "date",
    "date-time",
    "time",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "uuid",
    "uri",
    "uri-reference",
    "regex",
    "json-pointer",
    "integer",
    "number",
];

/// The types of JSON Schema.
const TYPES: &[&str] = &["null", "boolean", "object", "array", "number", "integer", "string"];

/// Where the value of a keyword holds schemas.
enum Holds {
    Nothing,
    Schema,
    Schemas,
    Named,
}

fn holds(keyword: &str) -> Holds {
    match keyword {
        "properties" | "patternProperties" | "definitions" | "$defs" | "dependentSchemas" => Holds::Named,
        "allOf" | "anyOf" | "oneOf" | "prefixItems" => Holds::Schemas,
        "items"
        | "additionalItems"
        | "additionalProperties"
        | "contains"
        | "not"
        | "if"
        | "then"
        | "else"
        | "propertyNames" => Holds::Schema,
        _ => Holds::Nothing,
    }
}

/// A config schema as Flow takes it. Names of properties are never taken for keywords.
pub(super) fn adapt_spec(schema: &Value) -> Value {
    let mut adapted = adapt(schema);
    if let Value::Object(root) = &mut adapted {
        // Flow adds `sops` to an encrypted config.
        if root.get("additionalProperties") == Some(&Value::Bool(false)) {
            root.shift_remove("additionalProperties");
        }
        root.insert("type".to_owned(), "object".into());
    }
    adapted
}

fn adapt(schema: &Value) -> Value {
    let members = match schema {
        Value::Object(members) => members,
        // `items: [..]` holds a list.
        Value::Array(list) => return list.iter().map(adapt).collect(),
        Value::Bool(_) => return schema.clone(),
        // The SDK of Singer taps writes `anyOf: [.., "null"]` (fixture demo-singer, about.json).
        Value::String(name) if TYPES.contains(&name.as_str()) => return json!({ "type": name }),
        // What is no schema says nothing.
        _ => return Value::Bool(true),
    };
    let mut kept = Map::new();
    for (keyword, value) in members {
        let value = match (keyword.as_str(), holds(keyword)) {
            ("airbyte_secret", _) if value == &Value::Bool(true) => {
                kept.insert("secret".to_owned(), true.into());
                continue;
            }
            (keyword, _) if !KEYWORDS.contains(&keyword) && !keyword.starts_with("x-") => continue,
            ("format", _) if !value.as_str().is_some_and(|format| FORMATS.contains(&format)) => continue,
            // Flow's regular expressions know no look-around (airbyte-protocol.md, 7.1).
            ("pattern", _) if value.as_str().is_some_and(looks_around) => continue,
            (_, Holds::Schema) => adapt(value),
            (_, Holds::Schemas) => {
                value.as_array().map_or_else(|| value.clone(), |list| list.iter().map(adapt).collect())
            }
            (_, Holds::Named) => named(value),
            (_, Holds::Nothing) => value.clone(),
        };
        kept.insert(keyword.clone(), value);
    }
    Value::Object(kept)
}

fn named(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            members.iter().map(|(name, schema)| (name.clone(), adapt(schema))).collect()
        }
        other => other.clone(),
    }
}

fn looks_around(pattern: &str) -> bool {
    ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|look| pattern.contains(look))
}

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
            Cause::Config,
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
    use super::*;

    #[test]
    fn vendors_keywords_go_and_property_names_stay() {
        let schema = json!({
            "type": "object", "additionalProperties": false, "groups": [], "properties": {
                "group": {"type": "string", "group": "auth", "airbyte_secret": true, "format": "vendor", "pattern": "(?!x)y"},
                "name": {"oneOf": [{"type": "object", "always_show": true, "properties": {"type": {"const": "a"}}}]},
                "plain": {"type": "string", "airbyte_secret": false, "format": "date-time", "pattern": "^a$", "x-kept": 1},
            },
        });
        let expected = json!({
            "type": "object", "properties": {
                "group": {"type": "string", "secret": true},
                "name": {"oneOf": [{"type": "object", "properties": {"type": {"const": "a"}}}]},
                "plain": {"type": "string", "format": "date-time", "pattern": "^a$", "x-kept": 1},
            },
        });
        assert_eq!(adapt_spec(&schema), expected);
    }

    #[test]
    fn what_is_no_schema_becomes_one() {
        let schema =
            json!({"type": "object", "properties": {"a": {"anyOf": [{"const": 1}, "null", 7]}, "b": null}});
        let expected = json!({"a": {"anyOf": [{"const": 1}, {"type": "null"}, true]}, "b": true});
        assert_eq!(adapt_spec(&schema)["properties"], expected);
    }

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
