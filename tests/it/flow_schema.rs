//! What Flow's schema compiler refuses, and which keys, written down a second time and independently
//! of the program (flow-protocol.md, 3.4 and 3.7; estuary/flow, `crates/json/src/schema/build.rs`).

use std::collections::BTreeSet;

use serde_json::{Map, Value};

const ONE_SCHEMA: &[&str] = &[
    "items",
    "additionalProperties",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contains",
    "propertyNames",
    "not",
    "if",
    "then",
    "else",
];
const LISTS_OF_SCHEMAS: &[&str] = &["allOf", "anyOf", "oneOf"];
const NAMED_SCHEMAS: &[&str] =
    &["properties", "patternProperties", "definitions", "$defs", "dependentSchemas"];
const UNSIGNED: &[&str] = &[
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minContains",
    "maxContains",
    "minProperties",
    "maxProperties",
];
const NUMBERS: &[&str] = &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];
const TEXTS: &[&str] = &["title", "description", "$comment", "contentEncoding", "contentMediaType"];
const FLAGS: &[&str] =
    &["uniqueItems", "deprecated", "readOnly", "writeOnly", "secret", "multiline", "advanced"];
const ANYTHING: &[&str] = &["const", "default", "discriminator"];
const FORMATS: &[&str] = &[
    "date",
    "date-time",
    "time",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "macaddr",
    "macaddr8",
    "uuid",
    "duration",
    "iri",
    "uri",
    "uri-reference",
    "iri-reference",
    "uri-template",
    "json-pointer",
    "regex",
    "relative-json-pointer",
    "integer",
    "number",
    "sha256",
];

/// Everything in a schema that Flow would refuse, as `PLACE: WHY`.
pub(crate) fn refusals(schema: &Value) -> Vec<String> {
    let mut compiler = Compiler::default();
    compiler.schema(schema, "#");
    for (place, reference) in &compiler.references {
        if !compiler.places.contains(reference) {
            compiler.refused.push(format!("{place}: {reference} is no schema of the document"));
        }
    }
    compiler.refused
}

#[derive(Default)]
struct Compiler {
    refused: Vec<String>,
    places: BTreeSet<String>,
    references: Vec<(String, String)>,
}

impl Compiler {
    fn schema(&mut self, schema: &Value, place: &str) {
        self.places.insert(place.to_owned());
        match schema {
            Value::Bool(_) => {}
            Value::Object(keywords) => {
                for (keyword, value) in keywords {
                    self.keyword(keyword, value, &format!("{place}/{keyword}"));
                }
            }
            _ => self.refused.push(format!("{place}: expected a schema")),
        }
    }

    fn keyword(&mut self, keyword: &str, value: &Value, place: &str) {
        if keyword.starts_with("x-str-m") {
            return self.expect(value.is_string(), place);
        }
        if keyword.starts_with("x-") || keyword.starts_with("X-") || ANYTHING.contains(&keyword) {
            return;
        }
        if ONE_SCHEMA.contains(&keyword) {
            return self.schema(value, place);
        }
        if LISTS_OF_SCHEMAS.contains(&keyword) {
            self.expect(value.as_array().is_some_and(|list| !list.is_empty()), place);
            for (index, schema) in value.as_array().into_iter().flatten().enumerate() {
                self.schema(schema, &format!("{place}/{index}"));
            }
            return;
        }
        if NAMED_SCHEMAS.contains(&keyword) {
            self.expect(value.is_object(), place);
            for (name, schema) in value.as_object().into_iter().flatten() {
                self.expect(keyword != "patternProperties" || regex::Regex::new(name).is_ok(), place);
                self.schema(schema, &format!("{place}/{}", name.replace('~', "~0").replace('/', "~1")));
            }
            return;
        }
        self.plain(keyword, value, place);
    }

    fn plain(&mut self, keyword: &str, value: &Value, place: &str) {
        let fits = match keyword {
            "type" => types(value).is_some_and(|types| !types.is_empty()),
            "enum" | "examples" => value.is_array(),
            "required" => is_names(value),
            "dependentRequired" => value.as_object().is_some_and(|lists| lists.values().all(is_names)),
            "format" => value.as_str().is_some_and(|format| FORMATS.contains(&format)),
            "pattern" => value.as_str().is_some_and(|pattern| regex::Regex::new(pattern).is_ok()),
            "order" => value.as_i64().is_some_and(|order| i32::try_from(order).is_ok()),
            "reduce" | "redact" => value["strategy"].is_string(),
            "$ref" => {
                if let Some(reference) = value.as_str() {
                    self.references.push((place.to_owned(), reference.to_owned()));
                }
                value.is_string()
            }
            _ if UNSIGNED.contains(&keyword) => value.is_u64(),
            _ if NUMBERS.contains(&keyword) => value.is_number(),
            _ if TEXTS.contains(&keyword) => value.is_string(),
            _ if FLAGS.contains(&keyword) => value.is_boolean(),
            _ => return self.refused.push(format!("{place}: unknown keyword")),
        };
        self.expect(fits, place);
    }

    fn expect(&mut self, fits: bool, place: &str) {
        if !fits {
            self.refused.push(format!("{place}: ill-formed"));
        }
    }
}

fn is_names(value: &Value) -> bool {
    value.as_array().is_some_and(|names| names.iter().all(Value::is_string))
}

fn types(value: &Value) -> Option<Vec<&str>> {
    let known =
        |name: &&str| ["null", "boolean", "object", "array", "number", "integer", "string"].contains(name);
    match value {
        Value::String(name) => Some(vec![name.as_str()]).filter(|names| names.iter().all(known)),
        Value::Array(names) => names.iter().map(|name| name.as_str().filter(known)).collect(),
        _ => None,
    }
}

/// Why Flow refuses a key, each step of which has to be required and each end a scalar.
pub(crate) fn key_refusals(schema: &Value, key: &[&str]) -> Vec<String> {
    let nothing = Map::new();
    let mut refused = Vec::new();
    for pointer in key {
        let mut at = schema;
        for step in pointer.split('/').skip(1) {
            let name = step.replace("~1", "/").replace("~0", "~");
            let required =
                at["required"].as_array().is_some_and(|names| names.iter().any(|known| *known == *name));
            let object = types(&at["type"]).is_some_and(|types| types == ["object"]);
            if !required || !object {
                refused.push(format!("{pointer}: {name} may be missing"));
            }
            at = at["properties"].as_object().unwrap_or(&nothing).get(&name).unwrap_or(&Value::Null);
        }
        let scalar = |name: &&str| ["string", "integer", "boolean"].contains(name);
        if !types(&at["type"]).is_some_and(|types| !types.is_empty() && types.iter().all(scalar)) {
            refused.push(format!("{pointer}: type {}", at["type"]));
        }
    }
    if key.is_empty() {
        refused.push("no key".to_owned());
    }
    refused
}
