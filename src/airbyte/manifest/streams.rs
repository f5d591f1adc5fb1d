//! The streams that a manifest declares, as far as they can be told without running it.
//!
//! A stream whose schema stands in the manifest, and whose names are plain text, is discovered as it
//! is declared. What depends on the config, or comes from the API, has to be asked for.

use serde_json::{Map, Value, json};

use super::references::Resolver;
use crate::airbyte::catalog;
use crate::capture::protocol::DiscoveredStream;

/// What is declared.
#[derive(Debug, Default)]
pub struct Declared {
    /// Streams as a discovery would show them, in the manifest's order.
    pub streams: Vec<DiscoveredStream>,
    /// The others: the name, as far as there is one, and why only a discovery shows them.
    pub unknown: Vec<(String, &'static str)>,
}

/// The streams of a manifest. The error names a reference that is wrong.
pub fn streams(manifest: &Value) -> Result<Declared, String> {
    let mut declared = Declared::default();
    let mut shown = Vec::new();
    let mut resolver = Resolver::new(manifest);
    let shared = &manifest["$parameters"];
    for stream in manifest["streams"].as_array().into_iter().flatten() {
        let stream = resolver.resolve(stream)?;
        match declared_stream(&stream, shared) {
            Ok(stream) => shown.push(stream),
            Err(why) => declared.unknown.push((named(&stream, shared), why)),
        }
    }
    if manifest["dynamic_streams"].as_array().is_some_and(|streams| !streams.is_empty()) {
        declared.unknown.push((String::new(), "the API says which streams there are (`dynamic_streams`)"));
    }
    let catalog = serde_json::value::to_raw_value(&json!({"streams": shown})).map_err(|e| e.to_string())?;
    declared.streams = catalog::streams(&catalog)?;
    Ok(declared)
}

/// A stream's name as it stands in the manifest; empty where there is none.
fn named(stream: &Value, shared: &Value) -> String {
    Parameters::of(&[shared, &stream["$parameters"]]).text(stream, "name").unwrap_or_default()
}

/// A stream as the protocol writes it; the error says why only a discovery shows it.
fn declared_stream(stream: &Value, shared: &Value) -> Result<Value, &'static str> {
    match stream["type"].as_str() {
        None | Some("DeclarativeStream") => {}
        Some("StateDelegatingStream") => return declared_stream(&stream["incremental_stream"], shared),
        Some(_) => return Err("its type depends on the config"),
    }
    let parameters = Parameters::of(&[shared, &stream["$parameters"]]);
    let name = parameters.text(stream, "name").ok_or("it has no name")?;
    plain(&name, "its name depends on the config")?;
    let loader = &stream["schema_loader"];
    let inline = loader["type"] == "InlineSchemaLoader" && loader["schema"].is_object();
    let schema = inline.then(|| &loader["schema"]).ok_or("its schema does not stand in the manifest")?;
    let mut found = json!({
        "name": name, "json_schema": schema, "supported_sync_modes": ["full_refresh"], "is_file_based": false,
    });
    let key = parameters.value(stream, "primary_key").map_or(json!([]), key);
    if key.as_array().is_some_and(|key| !key.is_empty()) {
        found["source_defined_primary_key"] = key;
    }
    let cursor = &stream["incremental_sync"];
    found["is_resumable"] = json!(cursor.is_object());
    if cursor.is_object() {
        let parameters = Parameters::of(&[shared, &stream["$parameters"], &cursor["$parameters"]]);
        let field = parameters.text(cursor, "cursor_field").ok_or("its cursor is not known")?;
        plain(&field, "its cursor depends on the config")?;
        found["supported_sync_modes"] = json!(["full_refresh", "incremental"]);
        found["source_defined_cursor"] = json!(cursor["allow_catalog_defined_cursor_field"] != true);
        found["default_cursor_field"] = json!([field]);
    }
    Ok(found)
}

/// Refuses a template.
fn plain(text: &str, why: &'static str) -> Result<(), &'static str> {
    if text.contains("{{") || text.contains("{%") { Err(why) } else { Ok(()) }
}

/// A primary key, which may be one name, a list of names, or a list of paths.
fn key(key: &Value) -> Value {
    match key {
        Value::String(name) if name.is_empty() => json!([]),
        Value::String(name) => json!([[name]]),
        Value::Array(parts) => {
            parts.iter().map(|part| if part.is_array() { part.clone() } else { json!([part]) }).collect()
        }
        _ => json!([]),
    }
}

/// `$parameters`: those of an inner component count before those of an outer one, and both only where
/// the component itself says nothing.
struct Parameters<'a>(Vec<&'a Map<String, Value>>);

impl<'a> Parameters<'a> {
    fn of(outer_first: &[&'a Value]) -> Self {
        Self(outer_first.iter().rev().filter_map(|parameters| parameters.as_object()).collect())
    }

    fn value(&self, component: &'a Value, name: &str) -> Option<&'a Value> {
        let own = component.get(name).filter(|value| !value.is_null() && *value != "");
        own.or_else(|| self.0.iter().find_map(|parameters| parameters.get(name)))
    }

    /// Text, in which `{{ parameters.x }}` and `{{ parameters['x'] }}` are replaced.
    fn text(&self, component: &'a Value, name: &str) -> Option<String> {
        let text = self.value(component, name)?.as_str()?;
        let inner = text.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")).map(str::trim);
        let parameter = inner
            .and_then(|inner| inner.strip_prefix("parameters"))
            .map(|rest| rest.trim_start_matches(['.', '[', '\'', '"']).trim_end_matches([']', '\'', '"']));
        match parameter.and_then(|name| self.0.iter().find_map(|parameters| parameters.get(name))) {
            Some(value) => value.as_str().map(str::to_owned),
            None => Some(text.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inline() -> Value {
        json!({"type": "InlineSchemaLoader", "schema": {"type": "object", "properties": {"id": {}}}})
    }

    #[test]
    fn streams_are_those_of_a_discovery() {
        let manifest = json!({
            "definitions": {"base": {"type": "DeclarativeStream", "primary_key": ["id", "part"], "schema_loader": inline()}},
            "streams": [
                {"$ref": "#/definitions/base", "name": "a"},
                {"$ref": "#/definitions/base", "primary_key": [["x", "y"]], "$parameters": {"name": "b"},
                 "incremental_sync": {"type": "DatetimeBasedCursor", "cursor_field": "{{ parameters['cursor'] }}", "$parameters": {"cursor": "at"}}},
                {"type": "StateDelegatingStream", "name": "c", "incremental_stream": {"name": "c", "schema_loader": inline()}},
                {"type": "DeclarativeStream", "name": "d", "schema_loader": {"type": "DynamicSchemaLoader"}},
            ],
            "dynamic_streams": [{}],
        });
        let declared = streams(&manifest).expect("streams");
        let names: Vec<&str> = declared.streams.iter().map(|stream| stream.id.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(declared.streams[0].key, [["id"], ["part"]]);
        assert_eq!(declared.streams[1].key, [["x", "y"]]);
        let incremental = json!({"stream": "b", "syncMode": "incremental", "cursorField": ["at"]});
        assert_eq!(declared.streams[1].resource_config, incremental);
        let unknown: Vec<&str> = declared.unknown.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(unknown, ["d", ""]);
    }
}
