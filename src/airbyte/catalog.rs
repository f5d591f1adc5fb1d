//! Catalogs: what a source offers, and what it is told to read.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::descriptor;
use super::resource::{ResourceConfig, SyncMode};
use crate::capture::protocol::{BoundStream, DiscoveredStream, StreamId};
use crate::failure::{Code, Failure};
use crate::json::packed::Packed;
use crate::json::schema::cursors;

/// How many fields a message proposes as cursors.
const CURSORS: usize = 10;

#[derive(Deserialize)]
struct Catalog<'a> {
    #[serde(borrow)]
    streams: Vec<&'a RawValue>,
}

/// The streams of a catalog, in its order. A stream that is listed twice would be read twice, so
/// the first one counts.
pub(super) fn streams(catalog: &RawValue) -> Result<Vec<DiscoveredStream>, String> {
    let no_list = |_| "it has no list of streams".to_owned();
    let catalog: Catalog<'_> = serde_json::from_str(catalog.get()).map_err(no_list)?;
    let mut found: Vec<DiscoveredStream> = Vec::with_capacity(catalog.streams.len());
    let mut seen = HashSet::new();
    for stream in catalog.streams {
        let stream = serde_json::from_str(stream.get()).map_err(no_list)?;
        let stream = discovered(stream).ok_or("a stream has no name")?;
        if seen.insert(stream.id.clone()) {
            found.push(stream);
        } else {
            tracing::warn!(stream = %stream.id, "the source lists a stream twice; the second one is left out");
        }
    }
    Ok(found)
}

fn discovered(mut stream: Map<String, Value>) -> Option<DiscoveredStream> {
    let name = stream.get("name")?.as_str()?.to_owned();
    let namespace =
        stream.get("namespace").and_then(Value::as_str).filter(|n| !n.is_empty()).map(str::to_owned);
    let schema = Packed::from(&stream.shift_remove("json_schema").unwrap_or_else(|| json!({})));
    let stream = Value::Object(stream);
    let listed = modes(&stream);
    let incremental = listed.contains(&"incremental");
    // Without a cursor, an incremental read fails or reads everything each time.
    let lacks_cursor = incremental && !has_cursor(&stream);
    let full_refresh = !incremental || (lacks_cursor && listed.contains(&"full_refresh"));
    let mode = if full_refresh { SyncMode::FullRefresh } else { SyncMode::Incremental };
    let mut resource_config = json!({"stream": name, "syncMode": mode.as_str()});
    if let Some(namespace) = &namespace {
        resource_config["namespace"] = json!(namespace);
    }
    if mode == SyncMode::Incremental
        && stream["default_cursor_field"].as_array().is_some_and(|field| !field.is_empty())
    {
        resource_config["cursorField"] = stream["default_cursor_field"].clone();
    }
    let id = StreamId { namespace, name };
    let resource_path: Vec<String> = id.namespace.iter().chain([&id.name]).cloned().collect();
    // Flow takes no empty name.
    let recommended_name = resource_path
        .iter()
        .map(|step| if step.is_empty() { "stream" } else { step })
        .collect::<Vec<_>>()
        .join("/");
    Some(DiscoveredStream {
        key: paths(&stream["source_defined_primary_key"]),
        source_stream: Some(Packed::from(&stream)),
        id,
        recommended_name,
        resource_config,
        resource_path,
        schema,
        // What cannot be read before somebody chooses a cursor must not keep a capture from being published.
        enabled: full_refresh || !lacks_cursor,
        partial_updates: false,
    })
}

/// Whether the source itself knows by which field it finds what is new.
fn has_cursor(stream: &Value) -> bool {
    let default = &stream["default_cursor_field"];
    stream["source_defined_cursor"] == true || default.as_array().is_some_and(|field| !field.is_empty())
}

/// Every source can refresh fully, also one that lists nothing (airbyte-protocol.md, 3.1).
pub(super) fn modes(stream: &Value) -> Vec<&str> {
    let listed: Vec<&str> =
        stream["supported_sync_modes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if listed.is_empty() { vec!["full_refresh"] } else { listed }
}

fn paths(key: &Value) -> Vec<Vec<String>> {
    let path = |path: &Value| -> Vec<String> {
        match path {
            // Some sources list plain names.
            Value::String(name) => vec![name.clone()],
            _ => path
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|step| step.as_str().map(str::to_owned))
                .collect(),
        }
    };
    key.as_array().into_iter().flatten().map(path).filter(|path| !path.is_empty()).collect()
}

/// Whether a stream can be read as a resource config asks.
pub(super) fn supports(stream: &DiscoveredStream, config: &Value) -> Result<(), String> {
    let config = ResourceConfig::parse(config)?;
    let Some(source) = &stream.source_stream else { return Ok(()) };
    let source = source.tree();
    let modes = modes(&source);
    if modes.contains(&config.sync_mode.as_str()) {
        let chosen = config.cursor_field.is_some_and(|field| !field.is_empty());
        if config.sync_mode == SyncMode::FullRefresh || chosen || has_cursor(&source) {
            return Ok(());
        }
        return Err(no_cursor(stream, &modes));
    }
    Err(format!(
        "it cannot be read in the sync mode {}; set `syncMode` to {}",
        config.sync_mode.as_str(),
        modes.join(" or ")
    ))
}

fn no_cursor(stream: &DiscoveredStream, modes: &[&str]) -> String {
    let fields = cursors::candidates(&stream.schema.tree(), CURSORS);
    let fields = match fields.as_slice() {
        [] => String::new(),
        fields => format!(", such as {}", fields.join(", ")),
    };
    let other = if modes.contains(&"full_refresh") { ", or `syncMode` to full_refresh" } else { "" };
    format!(
        "the source has no cursor of its own for it; set `cursorField` to a field that grows{fields}{other}"
    )
}

/// What a source is told to read.
#[derive(Debug, Serialize)]
pub(super) struct ConfiguredCatalog {
    streams: Vec<Packed>,
}

impl ConfiguredCatalog {
    /// The schema of each stream.
    pub(super) fn schemas(&self) -> impl Iterator<Item = Value> {
        self.streams.iter().map(|configured| configured.tree()["stream"]["json_schema"].take())
    }
}

/// The configured catalog. Each stream is told as the source discovered it.
pub(super) fn configured(
    streams: &[BoundStream],
    discovered: Option<&[DiscoveredStream]>,
) -> Result<ConfiguredCatalog, Failure> {
    let mut configured = Vec::with_capacity(streams.len());
    let discovered: Option<HashMap<&StreamId, &DiscoveredStream>> =
        discovered.map(|all| all.iter().map(|fresh| (&fresh.id, fresh)).collect());
    for stream in streams {
        let fresh = match &discovered {
            Some(all) => Some(*all.get(&stream.id).ok_or_else(|| gone(stream))?),
            None => None,
        };
        let config = ResourceConfig::parse(&stream.resource_config).map_err(|why| {
            Failure::new(Code::STREAM_MODE, format!("stream {:?}: {why}", stream.id.to_string()))
        })?;
        configured.push(Packed::from(&configured_stream(stream, fresh, &config)));
    }
    Ok(ConfiguredCatalog { streams: configured })
}

fn configured_stream(
    stream: &BoundStream,
    fresh: Option<&DiscoveredStream>,
    config: &ResourceConfig,
) -> Value {
    let known = fresh.and_then(|fresh| fresh.source_stream.as_ref()).or(stream.source_stream.as_ref());
    // It comes from a write schema, which people edit.
    let known = known.map(Packed::tree).filter(Value::is_object);
    let mut source = known.unwrap_or_else(|| {
        let mut source = descriptor::of(stream);
        source["supported_sync_modes"] = json!([config.sync_mode.as_str()]);
        source
    });
    let schema = fresh.map_or(&stream.schema, |fresh| &fresh.schema).tree();
    source["json_schema"] = if schema.is_object() { schema } else { json!({"type": "object"}) };
    let cursor = match &config.cursor_field {
        Some(field) if !field.is_empty() => json!(field),
        _ => source["default_cursor_field"].clone(),
    };
    let key = match &source["source_defined_primary_key"] {
        Value::Array(key) if !key.is_empty() => json!(key),
        _ => json!(stream.source_key()),
    };
    let mut configured = json!({
        "sync_mode": config.sync_mode.as_str(),
        "destination_sync_mode": "append",
        // Sources look at none of these; where one is given, all have to be (airbyte-protocol.md, 3.2).
        "generation_id": 1,
        "minimum_generation_id": 0,
        "sync_id": 1,
    });
    if cursor.as_array().is_some_and(|field| !field.is_empty()) {
        configured["cursor_field"] = cursor;
    }
    if key.as_array().is_some_and(|key| !key.is_empty()) {
        configured["primary_key"] = key;
    }
    if let Some(fields) = &stream.fields {
        // What the source reads by stays.
        let cursor = paths(&json!([configured["cursor_field"]]));
        let fields = fields.clone().keeping(cursor.into_iter().chain(paths(&configured["primary_key"])));
        fields.narrow(&mut source["json_schema"]);
    }
    configured["stream"] = source;
    configured
}

fn gone(stream: &BoundStream) -> Failure {
    Failure::new(
        Code::NO_STREAM,
        format!(
            "the source has no stream {:?} any more; disable its binding, or discover again",
            stream.id.to_string()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(value: &Value) -> Box<RawValue> {
        RawValue::from_string(value.to_string()).expect("JSON")
    }

    fn configured_tree(streams: &[BoundStream]) -> Value {
        serde_json::to_value(configured(streams, None).expect("a catalog")).expect("JSON")
    }

    fn bound(stream: &DiscoveredStream) -> BoundStream {
        BoundStream {
            id: stream.id.clone(),
            resource_config: stream.resource_config.clone(),
            key: vec!["/id".to_owned()],
            schema: Packed::from(&json!({"type": "object"})),
            source_stream: stream.source_stream.clone(),
            ..BoundStream::bare(None, "")
        }
    }

    #[test]
    fn a_stream_comes_back_as_it_was_discovered() {
        let catalog = json!({"streams": [{
            "name": "users", "namespace": "shop", "json_schema": {"properties": {"id": {}}},
            "supported_sync_modes": ["full_refresh", "incremental"], "source_defined_cursor": true,
            "default_cursor_field": ["updated_at"], "source_defined_primary_key": [["id"], ["a", "b"]], "is_resumable": true,
        }, {"name": "users", "namespace": "shop"}]});
        let found = streams(&raw(&catalog)).expect("streams");
        assert_eq!(found.len(), 1, "a stream counts once");
        assert_eq!(found[0].recommended_name, "shop/users");
        assert_eq!(found[0].key, [vec!["id".to_owned()], vec!["a".to_owned(), "b".to_owned()]]);
        let configured = configured_tree(&[bound(&found[0])]);
        let stream = &configured["streams"][0];
        assert_eq!(stream["sync_mode"], "incremental");
        assert_eq!(stream["cursor_field"], json!(["updated_at"]));
        assert_eq!(stream["primary_key"], json!([["id"], ["a", "b"]]));
        assert_eq!(stream["stream"]["is_resumable"], true);
        assert_eq!(stream["stream"]["json_schema"], json!({"type": "object"}));
        for id in ["generation_id", "minimum_generation_id", "sync_id"] {
            assert!(stream[id].is_u64(), "{id}");
        }
    }

    #[test]
    fn an_annotation_that_somebody_spoilt_is_left_alone() {
        let found = streams(&raw(&json!({"streams": [{"name": "users"}]}))).expect("streams");
        let spoilt = BoundStream { source_stream: Some(Packed::from(&json!("users"))), ..bound(&found[0]) };
        let configured = configured_tree(&[spoilt]);
        assert_eq!(configured["streams"][0]["stream"]["name"], "users");
    }

    #[test]
    fn a_stream_that_is_gone_is_named() {
        let found = streams(&raw(&json!({"streams": [{"name": "users"}]}))).expect("streams");
        let failure = configured(&[bound(&found[0])], Some(&[])).expect_err("gone");
        assert!(failure.message.contains("\"users\""));
    }

    #[test]
    fn modes_are_told() {
        let found = streams(&raw(&json!({"streams": [{"name": ""}]}))).expect("streams");
        assert_eq!(found[0].recommended_name, "stream");
        let error =
            supports(&found[0], &json!({"stream": "", "syncMode": "incremental"})).expect_err("it cannot");
        assert!(error.contains("full_refresh"));
    }

    #[test]
    fn a_counted_key_is_not_told_to_the_source() {
        let found = streams(&raw(&json!({"streams": [{"name": "events"}]}))).expect("streams");
        let mut stream = bound(&found[0]);
        stream.key = vec!["/_meta/row_id".to_owned()];
        assert!(configured_tree(&[stream])["streams"][0].get("primary_key").is_none());
    }
}
