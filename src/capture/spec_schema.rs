//! The config schema as Flow takes it.

use serde_json::{Map, Value, json};

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
}
