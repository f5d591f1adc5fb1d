//! Resource configs of Airbyte bindings, the same as Estuary's Airbyte shims use.

use serde::Deserialize;
use serde_json::{Value, json};

use super::catalog;
use crate::capture::protocol::{DiscoveredStream, Resource, ResourceSpec, StreamId};
use crate::json::packed::Packed;

/// A resource config. Further members are accepted: older shims left some.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ResourceConfig {
    pub(super) stream: String,
    #[serde(default)]
    pub(super) namespace: Option<String>,
    pub(super) sync_mode: SyncMode,
    #[serde(default)]
    pub(super) cursor_field: Option<Vec<String>>,
}

/// How a stream is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SyncMode {
    FullRefresh,
    Incremental,
}

impl SyncMode {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            SyncMode::FullRefresh => "full_refresh",
            SyncMode::Incremental => "incremental",
        }
    }
}

impl ResourceConfig {
    pub(super) fn parse(config: &Value) -> Result<Self, String> {
        if !config["stream"].is_string() {
            return Err("`stream` must name a stream".to_owned());
        }
        Self::deserialize(config).map_err(|_| {
            "`syncMode` must be full_refresh or incremental, `namespace` text, and `cursorField` a list of names".to_owned()
        })
    }

    pub(super) fn id(&self) -> StreamId {
        let namespace = self.namespace.clone().filter(|namespace| !namespace.is_empty());
        StreamId { namespace, name: self.stream.clone() }
    }
}

pub(super) fn read(config: &Value) -> Result<Resource, String> {
    let config = ResourceConfig::parse(config)?;
    let id = config.id();
    // Flow takes the path from the config itself, where an empty namespace is text like any other.
    let path = config.namespace.iter().cloned().chain([config.stream.clone()]).collect();
    Ok(Resource { id, path, full_refresh: config.sync_mode == SyncMode::FullRefresh })
}

/// The resource config that airbyte-to-flow proposed: incremental where it can be, always with a cursor, the key's pointers without
/// their first slash where the source proposes none (flow-protocol.md, 9.2).
pub(super) fn as_airbyte_to_flow_proposed(stream: &DiscoveredStream, key: &[String]) -> Value {
    let mut config = stream.resource_config.clone();
    let source = stream.source_stream.as_ref().map(Packed::tree).unwrap_or_default();
    if catalog::modes(&source).contains(&"incremental") {
        config["syncMode"] = json!(SyncMode::Incremental.as_str());
    }
    config["cursorField"] = match &source["default_cursor_field"] {
        Value::Array(field) if !field.is_empty() => json!(field),
        _ => key.iter().map(|pointer| pointer.trim_start_matches('/')).collect(),
    };
    config
}

pub(super) fn spec() -> ResourceSpec {
    let schema = json!({
        "type": "object",
        "title": "Stream",
        "required": ["stream", "syncMode"],
        "properties": {
            "namespace": {
                "type": "string", "title": "Namespace", "order": 0,
                "description": "Where the stream is, such as a database schema; left out where the source has none",
            },
            "stream": {"type": "string", "title": "Stream", "description": "The stream's name", "order": 1},
            "syncMode": {
                "type": "string", "title": "Sync mode", "enum": ["incremental", "full_refresh"], "order": 2,
                "description": "incremental reads what changed since the last session, full_refresh everything each time",
            },
            "cursorField": {
                "type": "array", "title": "Cursor", "items": {"type": "string"}, "order": 3,
                "description": "The path of the field by which incremental reads find what changed, for sources that let you choose",
            },
        },
    });
    ResourceSpec { schema, path_pointers: &["/namespace", "/stream"] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_absent_and_empty_namespaces_are_one_stream() {
        for namespace in [json!({}), json!({"namespace": null}), json!({"namespace": ""})] {
            let mut config = json!({"stream": "s", "syncMode": "incremental", "cursorField": [], "old": 1});
            config
                .as_object_mut()
                .expect("an object")
                .extend(namespace.as_object().expect("an object").clone());
            assert_eq!(
                read(&config).expect("a resource").id,
                StreamId { namespace: None, name: "s".to_owned() }
            );
        }
        let path = read(&json!({"namespace": "n", "stream": "s", "syncMode": "full_refresh"}))
            .expect("a resource")
            .path;
        assert_eq!(path, ["n", "s"]);
    }

    #[test]
    fn mistakes_are_told() {
        assert!(read(&json!({"syncMode": "incremental"})).expect_err("no stream").contains("`stream`"));
        assert!(
            read(&json!({"stream": "s", "syncMode": "sometimes"}))
                .expect_err("no mode")
                .contains("`syncMode`")
        );
    }
}
