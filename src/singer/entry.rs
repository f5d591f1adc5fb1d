//! Catalog entries, as each family of taps writes them.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::capture::protocol::BoundStream;

/// The replication method that reads every row each time.
pub(super) const FULL_TABLE: &str = "FULL_TABLE";
/// That which reads rows whose replication key grew.
pub(super) const INCREMENTAL: &str = "INCREMENTAL";
/// That which reads a database's log.
pub(super) const LOG_BASED: &str = "LOG_BASED";

/// Whether a record schema has this column.
pub(super) fn has_column(schema: &Value, name: &str) -> bool {
    schema["properties"].get(name).is_some()
}

/// Names of properties from the root of a record.
pub(super) type Path = Vec<String>;

/// The names that a breadcrumb leads through; `None` where it is none. Steps into arrays and branches of a
/// schema have no name.
pub(super) fn path(breadcrumb: &Value) -> Option<Path> {
    let mut path = Vec::new();
    let mut steps = breadcrumb.as_array()?.iter();
    while let Some(step) = steps.next() {
        if step == "properties" {
            path.push(steps.next()?.as_str()?.to_owned());
        }
    }
    Some(path)
}

/// The column that a breadcrumb leads to; `None` where it leads to the stream itself, or into a column.
pub(super) fn column(breadcrumb: &Value) -> Option<&str> {
    match breadcrumb.as_array()?.as_slice() {
        [properties, Value::String(name)] if properties == "properties" => Some(name),
        _ => None,
    }
}

/// The key of a collection as the columns that it is made of; none where it is of anything else.
pub(super) fn key_columns(stream: &BoundStream) -> Vec<String> {
    let key = stream.source_key();
    if key.iter().all(|path| path.len() == 1) { key.into_iter().flatten().collect() } else { Vec::new() }
}

/// A catalog entry.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a>(pub(super) &'a Value);

impl<'a> Entry<'a> {
    pub(super) fn id(self) -> Option<&'a str> {
        self.0["tap_stream_id"].as_str().or_else(|| self.0["stream"].as_str())
    }

    /// The metadata of the stream itself; null where there is none.
    pub(super) fn root_metadata(self) -> &'a Value {
        let is_root = |item: &&Value| item["breadcrumb"].as_array().is_some_and(Vec::is_empty);
        self.metadata().find(is_root).map_or(&Value::Null, |item| &item["metadata"])
    }

    fn metadata(self) -> impl Iterator<Item = &'a Value> {
        self.0["metadata"].as_array().into_iter().flatten()
    }

    /// The metadata of each field, at any depth.
    pub(super) fn fields(self) -> impl Iterator<Item = (Path, &'a Value)> {
        let field = |item: &'a Value| Some((path(&item["breadcrumb"])?, &item["metadata"]));
        self.metadata().filter_map(field).filter(|(path, _)| !path.is_empty())
    }

    /// Whether an SDK tap wrote it: those name the key on the entry, others in metadata, and have one
    /// name for a stream.
    pub(super) fn is_sdk(self) -> bool {
        self.0.get("key_properties").is_some() && self.0["tap_stream_id"] == self.0["stream"]
    }

    /// Whether the tap can read the stream at all.
    pub(super) fn is_supported(self) -> bool {
        !is_unsupported(self.root_metadata())
    }

    /// The only method that the tap can use; some write an object with a reason, some an empty text
    /// for none (singer-protocol.md, 2.2).
    pub(super) fn forced_method(self) -> Option<&'a str> {
        let forced = &self.root_metadata()["forced-replication-method"];
        let forced = if forced.is_object() { &forced["replication-method"] } else { forced };
        forced.as_str().filter(|method| !method.is_empty())
    }

    pub(super) fn valid_replication_keys(self) -> Vec<&'a str> {
        self.root_metadata()["valid-replication-keys"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    pub(super) fn replication_key(self) -> Option<&'a str> {
        let own = self.0["replication_key"].as_str();
        own.or_else(|| self.root_metadata()["replication-key"].as_str()).filter(|key| !key.is_empty())
    }

    /// The method that a new binding gets. A log is never chosen for a user: it needs a set-up.
    pub(super) fn method(self) -> &'a str {
        let own = self.0["replication_method"].as_str().filter(|method| !method.is_empty());
        self.forced_method().or(own).unwrap_or(match self.valid_replication_keys().len() {
            1 => INCREMENTAL,
            _ => FULL_TABLE,
        })
    }

    /// A table whose database writes a log: an update in it lacks large values that did not change
    /// (singer-protocol.md, 4.4; fixtures/singer/*-tap-postgres-log-based, column `big`).
    pub(super) fn may_update_in_part(self) -> bool {
        let root = self.root_metadata();
        let table = root.get("schema-name").or_else(|| root.get("database-name")).is_some();
        (table && root["is-view"] != true) || self.method() == LOG_BASED
    }

    /// The key columns, wherever the family keeps them.
    pub(super) fn key(self) -> Vec<&'a str> {
        let columns = |key: &'a Value| -> Vec<&'a str> {
            match key {
                Value::String(column) => vec![column],
                _ => key.as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
            }
        };
        let root = self.root_metadata();
        [&self.0["key_properties"], &root["table-key-properties"], &root["view-key-properties"]]
            .into_iter()
            .map(columns)
            .find(|key| !key.is_empty())
            .unwrap_or_default()
    }

    /// The columns that the tap cannot send, as schema or metadata say.
    pub(super) fn unsupported_columns(self) -> HashSet<&'a str> {
        let properties = self.0["schema"]["properties"].as_object().into_iter().flatten();
        let in_schema = properties.filter(|(_, property)| is_unsupported(property)).map(|(name, _)| &**name);
        let items = self.metadata().filter(|item| is_unsupported(&item["metadata"]));
        in_schema.chain(items.filter_map(|item| column(&item["breadcrumb"]))).collect()
    }

    /// The record schema without the columns that the tap cannot send.
    pub(super) fn readable_schema(self) -> Value {
        let mut schema = self.0["schema"].clone();
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            let unsupported = self.unsupported_columns();
            properties.retain(|name, _| !unsupported.contains(name.as_str()));
        }
        if schema.is_object() { schema } else { json!({"type": "object"}) }
    }
}

fn is_unsupported(of: &Value) -> bool {
    of["inclusion"] == "unsupported"
}
