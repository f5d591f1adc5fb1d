//! The schema of a discovered collection, in the form that lets Flow infer the rest.
//!
//! Vendors' schemas are wrong in types, formats, enums and limits, and Flow stops a capture whose
//! document breaks its schema (user-needs.md, row 1). So a discovered schema constrains only the key
//! and `_meta`, and the source's own schema rides along as an annotation.

use serde_json::{Map, Value, json};

use super::protocol::DiscoveredStream;
use crate::json::pointer;

/// The annotation that carries the source's schema.
const SOURCE_SCHEMA: &str = "x-source-schema";
/// The annotation that carries what the protocol wants back of the stream.
const SOURCE_STREAM: &str = "x-source-stream";
/// The key of streams that have none of their own.
pub(super) const FALLBACK_KEY: &str = "/_meta/row_id";

/// A collection's schema and key.
#[derive(Debug)]
pub(super) struct DiscoveredSchema {
    pub(super) schema: Value,
    /// JSON pointers.
    pub(super) key: Vec<String>,
    /// Whether the key is a guess that must not replace a user's.
    pub(super) is_fallback: bool,
    /// Why the source's own key is not used.
    pub(super) warning: Option<String>,
}

/// The schema of a stream's collection. `key` replaces the stream's own; `carries` says whether Open
/// will want the facts about the stream back.
pub(super) fn discovered(
    stream: &DiscoveredStream,
    key: Option<&[String]>,
    carries: bool,
) -> DiscoveredSchema {
    let mut columns = Vec::new();
    let mut warning = None;
    match key {
        Some(key) => {
            for step in key {
                let path = pointer::to_path(step).unwrap_or_else(|| vec![step.clone()]);
                let types = key_type(&stream.schema, &path).unwrap_or_else(|_| any_scalar());
                columns.push((path, types));
            }
        }
        None => {
            for path in &stream.key {
                match key_type(&stream.schema, path) {
                    Ok(types) => columns.push((path.clone(), types)),
                    Err(why) => {
                        let column = pointer::from_path(path);
                        warning = Some(format!(
                            "its key column {column} {why}; rows are counted instead ({FALLBACK_KEY})"
                        ));
                    }
                }
            }
        }
    }
    if warning.is_some() {
        columns.clear();
    }
    let is_fallback = columns.is_empty();
    let mut root = json!({
        "type": "object",
        "required": ["_meta"],
        "properties": {"_meta": meta()},
        "x-infer-schema": true,
        // A document that says that its row is gone deletes it downstream (flow-protocol.md, 3.8).
        "if": {"required": ["_meta"], "properties": {"_meta": {"required": ["op"], "properties": {"op": {"const": "d"}}}}},
        "then": {"reduce": {"strategy": "merge", "delete": true}},
    });
    for (path, types) in &columns {
        require(&mut root, path, types);
    }
    root[SOURCE_SCHEMA] = stream.schema.clone();
    if let Some(source_stream) = stream.source_stream.as_ref().filter(|_| carries) {
        root[SOURCE_STREAM] = source_stream.clone();
    }
    let key = if is_fallback {
        vec![FALLBACK_KEY.to_owned()]
    } else {
        columns.iter().map(|(path, _)| pointer::from_path(path)).collect()
    };
    DiscoveredSchema { schema: root, key, is_fallback, warning }
}

/// The source's schema, and the facts about its stream, that a write schema carries.
pub(super) fn carried(write_schema: &Value) -> (Option<&Value>, Option<&Value>) {
    (write_schema.get(SOURCE_SCHEMA), write_schema.get(SOURCE_STREAM))
}

fn meta() -> Value {
    json!({
        "type": "object",
        "required": ["op", "row_id"],
        "properties": {
            "op": {"enum": ["c", "u", "d"], "type": "string", "description": "c: created, u: updated, d: deleted"},
            "row_id": {"type": "integer", "description": "counts the rows of this stream, from 0"},
        },
    })
}

/// Adds a required location of these types.
fn require(schema: &mut Value, path: &[String], types: &Value) {
    let Some((name, rest)) = path.split_first() else { return };
    let Value::Object(schema) = schema else { return };
    let required = schema.entry("required").or_insert_with(|| json!([]));
    if let Value::Array(required) = required
        && !required.contains(&json!(name))
    {
        required.push(json!(name));
    }
    let properties = schema.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    let Value::Object(properties) = properties else { return };
    let property = properties.entry(name.clone()).or_insert_with(|| json!({}));
    if rest.is_empty() {
        property["type"] = types.clone();
    } else {
        property["type"] = json!("object");
        require(property, rest, types);
    }
}

fn any_scalar() -> Value {
    json!(["boolean", "integer", "string"])
}

/// The type of a key column as Flow takes it: string, integer or boolean, never null, a fraction,
/// an object or an array (flow-protocol.md, 3.7). The error says what it is instead.
fn key_type(schema: &Value, path: &[String]) -> Result<Value, String> {
    let mut at = schema;
    for name in path {
        at = property(schema, at, name, 0).ok_or("is not in the stream's schema")?;
    }
    let at = resolve(schema, at, 0);
    let mut types = types_of(schema, at, 0);
    if types.is_empty() {
        return Ok(any_scalar());
    }
    // A number that the source declares whole is one.
    let whole = at["airbyte_type"] == "integer" || at["multipleOf"] == 1;
    if whole {
        types.iter_mut().filter(|name| *name == "number").for_each(|name| "integer".clone_into(name));
    }
    types.retain(|name| name != "null");
    types.sort();
    types.dedup();
    match types.iter().find(|name| !matches!(name.as_str(), "string" | "integer" | "boolean")) {
        Some(name) if name == "number" => Err("is a number that may have a fraction".to_owned()),
        Some(name) => Err(format!("is of type {name}")),
        None if types.is_empty() => Err("is always null".to_owned()),
        None if types.len() == 1 => Ok(json!(types[0])),
        None => Ok(json!(types)),
    }
}

/// Deeper references than this are taken for circles.
const DEPTH: usize = 16;

fn resolve<'a>(root: &'a Value, schema: &'a Value, depth: usize) -> &'a Value {
    let target = schema["$ref"].as_str().and_then(|target| root.pointer(target.strip_prefix('#')?));
    match target {
        Some(target) if depth < DEPTH => resolve(root, target, depth + 1),
        _ => schema,
    }
}

fn branches(schema: &Value) -> impl Iterator<Item = &Value> {
    ["allOf", "anyOf", "oneOf"].into_iter().filter_map(|name| schema[name].as_array()).flatten()
}

fn property<'a>(root: &'a Value, schema: &'a Value, name: &str, depth: usize) -> Option<&'a Value> {
    let schema = resolve(root, schema, 0);
    let own = schema["properties"].get(name);
    own.or_else(|| {
        let inner = (depth < DEPTH)
            .then(|| branches(schema).find_map(|branch| property(root, branch, name, depth + 1)));
        inner.flatten()
    })
}

fn types_of(root: &Value, schema: &Value, depth: usize) -> Vec<String> {
    let schema = resolve(root, schema, 0);
    match &schema["type"] {
        Value::String(name) => vec![name.clone()],
        Value::Array(names) => names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
        _ if depth < DEPTH => branches(schema).flat_map(|branch| types_of(root, branch, depth + 1)).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::protocol::StreamId;
    use super::*;

    fn stream(schema: Value, key: &[&[&str]]) -> DiscoveredStream {
        DiscoveredStream {
            id: StreamId { namespace: None, name: "s".to_owned() },
            recommended_name: "s".to_owned(),
            resource_config: json!({}),
            resource_path: vec!["s".to_owned()],
            key: key.iter().map(|path| path.iter().map(|&step| step.to_owned()).collect()).collect(),
            schema,
            source_stream: Some(json!({"name": "s"})),
            enabled: true,
        }
    }

    fn of_column(column: Value) -> DiscoveredSchema {
        discovered(&stream(json!({"properties": {"id": column}}), &[&["id"]]), None, true)
    }

    #[test]
    fn key_columns_become_required_and_not_null() {
        for (column, types) in [
            (json!({"type": ["null", "integer"]}), json!("integer")),
            (json!({"type": "number", "airbyte_type": "integer"}), json!("integer")),
            (json!({"type": ["null", "string", "integer"]}), json!(["integer", "string"])),
            (json!({"anyOf": [{"type": "null"}, {"type": "string", "format": "uuid"}]}), json!("string")),
            (json!({}), json!(["boolean", "integer", "string"])),
        ] {
            let found = of_column(column.clone());
            assert_eq!(found.key, ["/id"], "{column}");
            assert_eq!(found.schema["properties"]["id"]["type"], types, "{column}");
            assert_eq!(found.schema["required"], json!(["_meta", "id"]));
        }
    }

    #[test]
    fn columns_that_flow_refuses_give_a_counted_key() {
        for column in [
            json!({"type": "number"}),
            json!({"type": "object"}),
            json!({"type": "null"}),
            json!({"type": ["string", "array"]}),
        ] {
            let found = of_column(column.clone());
            assert!(found.is_fallback && found.warning.is_some(), "{column}");
            assert_eq!(found.key, ["/_meta/row_id"]);
        }
        let missing = discovered(&stream(json!({"properties": {}}), &[&["id"]]), None, true);
        assert!(missing.is_fallback && missing.warning.is_some());
        assert!(discovered(&stream(json!({}), &[]), None, true).warning.is_none());
    }

    #[test]
    fn keys_may_be_nested_composite_odd_and_referenced() {
        let schema = json!({
            "definitions": {"id": {"type": "string"}, "o": {"properties": {"c.d": {"$ref": "#/definitions/id"}}}},
            "properties": {"a/b~": {"type": "integer"}, "n": {"$ref": "#/definitions/o"}, "": {"type": "string"}},
        });
        let found = discovered(&stream(schema, &[&["a/b~"], &["n", "c.d"], &[""]]), None, true);
        assert_eq!(found.key, ["/a~1b~0", "/n/c.d", "/"]);
        assert_eq!(found.schema["properties"]["n"]["required"], json!(["c.d"]));
    }

    #[test]
    fn a_key_from_the_shim_wins() {
        let key = ["/x/y".to_owned()];
        let found = discovered(&stream(json!({}), &[&["id"]]), Some(&key), false);
        assert_eq!(found.key, key);
        assert!(!found.is_fallback);
        assert!(found.schema.get("x-source-stream").is_none());
    }

    #[test]
    fn circles_end() {
        let schema = json!({"$ref": "#", "properties": {"id": {"$ref": "#/properties/id"}}});
        assert_eq!(discovered(&stream(schema, &[&["id"]]), None, true).key.len(), 1);
    }

    #[test]
    fn documents_that_break_the_vendors_schema_are_taken_and_bad_keys_are_not() {
        let vendor = json!({"type": "object", "properties": {
            "id": {"type": ["null", "integer"]}, "n": {"type": "integer", "maximum": 3}, "e": {"enum": ["a"]},
        }, "required": ["n"], "additionalProperties": false});
        let schema = discovered(&stream(vendor, &[&["id"]]), None, true).schema;
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let meta = json!({"op": "u", "row_id": 0});
        assert!(validator.is_valid(&json!({"_meta": meta, "id": 1, "n": "x", "e": 7, "more": null})));
        assert!(!validator.is_valid(&json!({"_meta": meta, "id": null})));
        assert!(!validator.is_valid(&json!({"_meta": meta})));
    }
}
