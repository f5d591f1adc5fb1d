//! What is published of a stream: the schema and key of its collection.
//!
//! Vendors' schemas are wrong in types, formats, enums and limits, and Flow stops a capture whose
//! document breaks its schema (user-needs.md, row 1). So `infer` publishes a schema that constrains
//! only the key and `_meta`, with the source's own riding along as an annotation. `source` publishes
//! the source's, adapted, as airbyte-to-flow did.

use serde_json::{Value, json};

use super::key::{self, Key};
use super::meta;
use crate::capture::protocol::DiscoveredStream;
use crate::json::packed::Packed;
use crate::json::schema::adapt;
use crate::json::schema::admit::admit;
use crate::json::schema::require::{require, require_name};
use crate::json::schema::types::Types;
use crate::json::{merge_patch, pointer};
use crate::shim::schema::{DocumentMeta, SchemaMode, SchemaSection};

/// The annotation that carries the source's schema.
const SOURCE_SCHEMA: &str = "x-source-schema";
/// The annotation that carries what the protocol wants back of the stream.
const SOURCE_STREAM: &str = "x-source-stream";

/// How streams are published.
#[derive(Debug, Clone)]
pub(crate) struct Publishing<'a> {
    /// `schema:` of the shim.
    pub(crate) section: &'a SchemaSection,
    /// What documents get as `_meta`.
    pub(crate) meta: DocumentMeta,
    /// JSON pointers that replace the stream's own key.
    pub(crate) key: Option<&'a [String]>,
    /// An RFC 7396 patch of the stream's schema.
    pub(crate) patch: Option<&'a Value>,
    /// Whether Open will want the facts about the stream back.
    pub(crate) carries: bool,
}

/// A collection's schema and key.
#[derive(Debug)]
pub(crate) struct DiscoveredSchema {
    pub(crate) schema: Value,
    /// JSON pointers; empty where documents have nothing that could be one.
    pub(crate) key: Vec<String>,
    /// Whether the key is a guess that must not replace a user's.
    pub(crate) is_fallback: bool,
    /// Why the source's own key is not used.
    pub(crate) warning: Option<String>,
}

/// The schema and key of a stream's collection.
pub(crate) fn discovered(stream: &DiscoveredStream, how: &Publishing<'_>) -> DiscoveredSchema {
    let mut source = patched(stream.schema.tree(), how.patch);
    if how.section.date_to_datetime {
        adapt::dates_to_datetimes(&mut source);
    }
    let Key { columns, warning } = key::choose(&source, &stream.key, how.key);
    let counted = columns.is_empty() && how.meta != DocumentMeta::None;
    let mut schema = match how.section.mode {
        SchemaMode::Infer => inferred(how),
        SchemaMode::Source => adapted(&source, how.meta),
    };
    if counted {
        require(&mut schema, &["_meta".to_owned(), "row_id".to_owned()], Types::INTEGER);
    }
    for (path, types) in &columns {
        require(&mut schema, path, *types);
    }
    if stream.partial_updates && !counted && schema.get("reduce").is_none() && schema.get("else").is_none() {
        let merge = json!({"strategy": "merge"});
        // Beside the annotation of deletes, which merges too.
        match schema.get("if") {
            Some(_) => schema["else"] = json!({ "reduce": merge }),
            None => schema["reduce"] = merge,
        }
    }
    if how.section.mode == SchemaMode::Infer {
        schema[SOURCE_SCHEMA] = source;
    }
    if let Some(source_stream) = stream.source_stream.as_ref().filter(|_| how.carries) {
        schema[SOURCE_STREAM] = source_stream.tree();
    }
    let key = if counted {
        vec![key::FALLBACK.to_owned()]
    } else {
        columns.iter().map(|(path, _)| pointer::from_path(path)).collect()
    };
    DiscoveredSchema { schema, key, is_fallback: counted, warning }
}

/// The source's schema with the shim's patch.
pub(crate) fn patched(mut schema: Value, patch: Option<&Value>) -> Value {
    if let Some(patch) = patch {
        merge_patch::apply(&mut schema, patch);
    }
    schema
}

/// What a write schema carries.
pub(crate) struct Carried {
    /// The source's schema; `None` where it carries none.
    pub(crate) schema: Option<Packed>,
    /// The facts about its stream.
    pub(crate) stream: Option<Packed>,
}

impl Carried {
    /// Without the annotation a write schema that was published in the mode `source` is the source's
    /// schema.
    pub(crate) fn of(write_schema: &Value, mode: SchemaMode) -> Self {
        let own = Some(write_schema).filter(|schema| mode == SchemaMode::Source && schema.is_object());
        let schema = write_schema.get(SOURCE_SCHEMA).or(own).map(Packed::from);
        Self { schema, stream: write_schema.get(SOURCE_STREAM).map(Packed::from) }
    }
}

/// Constrains `_meta`, and what a person wrote in a patch: that is meant to hold.
fn inferred(how: &Publishing<'_>) -> Value {
    let mut base = json!({"type": "object"});
    if let Some(meta) = meta::schema(how.meta, true) {
        base["required"] = json!(["_meta"]);
        base["properties"] = json!({ "_meta": meta });
    }
    base["x-infer-schema"] = json!(true);
    if how.meta == DocumentMeta::Full {
        delete_annotation(&mut base);
    }
    let Some(patch) = how.patch else { return base };
    let mut schema = adapt::documents(&patched(json!({}), Some(patch)));
    let names = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    merge_patch::apply(&mut schema, &base);
    for name in names.iter().filter_map(Value::as_str) {
        require_name(&mut schema, name);
    }
    schema
}

/// The source's schema as Flow takes it, which lets `_meta` in: Flow adds to it in any case.
fn adapted(source: &Value, with: DocumentMeta) -> Value {
    let mut schema = adapt::documents(source);
    if !schema.is_object() {
        schema = json!({});
    }
    schema["type"] = json!("object");
    admit(&mut schema, "_meta");
    if let Some(meta) = meta::schema(with, false) {
        match schema.get_mut("properties").and_then(Value::as_object_mut) {
            Some(properties) => _ = properties.insert("_meta".to_owned(), meta),
            None => schema["properties"] = json!({ "_meta": meta }),
        }
        if with == DocumentMeta::Full && schema.get("if").is_none() {
            delete_annotation(&mut schema);
        }
    }
    schema
}

/// A document that says that its row is gone deletes it downstream (flow-protocol.md, 3.8).
fn delete_annotation(schema: &mut Value) {
    schema["if"] = json!({"required": ["_meta"], "properties": {"_meta": {"required": ["op"], "properties": {"op": {"const": "d"}}}}});
    schema["then"] = json!({"reduce": {"strategy": "merge", "delete": true}});
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::protocol::StreamId;

    fn stream(schema: Value, key: &[&[&str]]) -> DiscoveredStream {
        DiscoveredStream {
            id: StreamId { namespace: None, name: "s".to_owned() },
            recommended_name: "s".to_owned(),
            resource_config: json!({}),
            resource_path: vec!["s".to_owned()],
            key: key.iter().map(|path| path.iter().map(|&step| step.to_owned()).collect()).collect(),
            schema: Packed::from(&schema),
            source_stream: Some(Packed::from(&json!({"name": "s"}))),
            enabled: true,
            partial_updates: false,
        }
    }

    fn publish(
        mode: SchemaMode,
        meta: DocumentMeta,
        patch: Option<&Value>,
        stream: &DiscoveredStream,
    ) -> DiscoveredSchema {
        let section = SchemaSection { mode, ..SchemaSection::default() };
        discovered(stream, &Publishing { section: &section, meta, key: None, patch, carries: true })
    }

    fn inferred(schema: Value, key: &[&[&str]]) -> DiscoveredSchema {
        publish(SchemaMode::Infer, DocumentMeta::Full, None, &stream(schema, key))
    }

    fn sourced(schema: Value, key: &[&[&str]], meta: DocumentMeta) -> DiscoveredSchema {
        publish(SchemaMode::Source, meta, None, &stream(schema, key))
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
            let found = inferred(json!({"properties": {"id": column}}), &[&["id"]]);
            assert_eq!(found.key, ["/id"], "{column}");
            assert_eq!(found.schema["properties"]["id"]["type"], types, "{column}");
            assert_eq!(found.schema["required"], json!(["_meta", "id"]));
            let found = sourced(json!({"properties": {"id": column}}), &[&["id"]], DocumentMeta::None);
            assert_eq!(found.schema["properties"]["id"]["type"], types, "{column}");
            assert_eq!(found.schema["required"], json!(["id"]));
        }
    }

    #[test]
    fn rows_that_are_updated_in_part_are_merged() {
        let publish = |meta, key: &[&[&str]]| {
            let mut stream = stream(json!({"properties": {"id": {"type": "integer"}}}), key);
            stream.partial_updates = true;
            publish(SchemaMode::Infer, meta, None, &stream).schema
        };
        let merge = json!({"strategy": "merge"});
        assert_eq!(publish(DocumentMeta::Full, &[&["id"]])["else"]["reduce"], merge);
        assert_eq!(publish(DocumentMeta::None, &[&["id"]])["reduce"], merge);
        assert_eq!(publish(DocumentMeta::Full, &[]).get("else"), None, "counted rows are never updated");
    }

    #[test]
    fn columns_that_flow_refuses_give_a_counted_key() {
        for (column, why) in [
            (json!({"type": "number"}), "fraction"),
            (json!({"type": "object"}), "of type object"),
            (json!({"type": "null"}), "always null"),
            (json!({"type": ["string", "array"]}), "of type array"),
            (json!(false), "no type"),
        ] {
            for mode in [SchemaMode::Infer, SchemaMode::Source] {
                let stream = stream(
                    json!({"properties": {"id": column, "x": {"type": "string"}}}),
                    &[&["x"], &["id"]],
                );
                let found = publish(mode, DocumentMeta::Full, None, &stream);
                assert!(
                    found.is_fallback && found.warning.is_some_and(|warning| warning.contains(why)),
                    "{column}"
                );
                assert_eq!(found.key, ["/_meta/row_id"]);
                assert_eq!(found.schema["properties"]["_meta"]["properties"]["row_id"]["type"], "integer");
            }
        }
        let missing = inferred(json!({"properties": {}}), &[&["id"]]);
        assert!(missing.is_fallback && missing.warning.is_some());
        assert!(inferred(json!({}), &[]).warning.is_none());
    }

    #[test]
    fn keys_may_be_nested_composite_odd_and_referenced() {
        let schema = json!({
            "definitions": {"id": {"type": "string"}, "o": {"properties": {"c.d": {"$ref": "#/definitions/id"}}}},
            "properties": {"a/b~": {"type": "integer"}, "n": {"$ref": "#/definitions/o"}, "": {"type": "string"}},
        });
        for found in [
            inferred(schema.clone(), &[&["a/b~"], &["n", "c.d"], &[""]]),
            sourced(schema, &[&["a/b~"], &["n", "c.d"], &[""]], DocumentMeta::Full),
        ] {
            assert_eq!(found.key, ["/a~1b~0", "/n/c.d", "/"]);
            assert_eq!(found.schema["properties"]["n"]["required"], json!(["c.d"]));
        }
    }

    #[test]
    fn a_key_from_the_shim_wins() {
        let key = ["/x/y".to_owned()];
        let section = SchemaSection::default();
        let how = Publishing {
            section: &section,
            meta: DocumentMeta::Full,
            key: Some(&key),
            patch: None,
            carries: false,
        };
        let found = discovered(&stream(json!({}), &[&["id"]]), &how);
        assert_eq!(found.key, key);
        assert!(!found.is_fallback);
        assert!(found.schema.get("x-source-stream").is_none());
    }

    #[test]
    fn documents_that_break_the_vendors_schema_are_taken_and_bad_keys_are_not() {
        let vendor = json!({"type": "object", "properties": {
            "id": {"type": ["null", "integer"]}, "n": {"type": "integer", "maximum": 3}, "e": {"enum": ["a"]},
        }, "required": ["n"], "additionalProperties": false});
        let schema = inferred(vendor, &[&["id"]]).schema;
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let meta = json!({"op": "u", "row_id": 0});
        assert!(validator.is_valid(&json!({"_meta": meta, "id": 1, "n": "x", "e": 7, "more": null})));
        assert!(!validator.is_valid(&json!({"_meta": meta, "id": null})));
        assert!(!validator.is_valid(&json!({"_meta": meta})));
    }

    #[test]
    fn the_sources_schema_is_published_as_the_predecessor_did() {
        let vendor = json!({"$schema": "x", "type": ["null", "object"], "additionalProperties": false, "properties": {
            "id": {"type": ["null", "integer"], "airbyte_type": "x", "format": "int64"}, "e": {"enum": ["a", null]},
        }});
        let found = sourced(vendor.clone(), &[&["id"]], DocumentMeta::None);
        let expected = json!({"type": "object", "additionalProperties": false, "properties": {
            "id": {"type": "integer", "format": "integer"}, "e": {"type": ["null", "string"]}, "_meta": true,
        }, "required": ["id"], "x-source-stream": {"name": "s"}});
        assert_eq!(found.schema, expected);
        let full = sourced(vendor, &[], DocumentMeta::Full);
        assert_eq!(full.schema["properties"]["_meta"]["required"], json!(["row_id"]));
        assert_eq!(sourced(json!({}), &[], DocumentMeta::None).key, Vec::<String>::new());
    }

    #[test]
    fn a_patch_counts_for_key_hint_and_publication() {
        let patch = json!({"reduce": {"strategy": "merge"}, "required": ["at"], "properties": {"id": {"type": "string"}, "at": {"format": "date-time"}, "x": null}});
        let stream = stream(json!({"properties": {"id": {"type": "number"}, "x": {}}}), &[&["id"]]);
        let found = publish(SchemaMode::Infer, DocumentMeta::Full, Some(&patch), &stream);
        assert_eq!(found.key, ["/id"]);
        assert_eq!(found.schema["reduce"], json!({"strategy": "merge"}));
        assert_eq!(found.schema["required"], json!(["_meta", "at", "id"]));
        assert_eq!(found.schema["properties"]["at"], json!({"format": "date-time"}));
        assert_eq!(
            found.schema["x-source-schema"]["properties"],
            json!({"id": {"type": "string"}, "at": {"format": "date-time"}})
        );
        let found = publish(SchemaMode::Source, DocumentMeta::None, Some(&patch), &stream);
        assert_eq!(
            (&found.schema["reduce"], &found.schema["required"]),
            (&json!({"strategy": "merge"}), &json!(["at", "id"]))
        );
    }
}
