//! Resource configs of Singer bindings. Those of Estuary's older shim were whole catalog entries;
//! their further members are accepted.

use serde_json::{Value, json};

use super::entry::{Entry, FULL_TABLE, INCREMENTAL, LOG_BASED, has_column};
use crate::capture::protocol::{DiscoveredStream, Resource, ResourceSpec, StreamId};
use crate::json::packed::Packed;
use crate::json::schema::cursors;

/// How many columns a message proposes as replication keys.
const COLUMNS: usize = 10;

pub(super) fn read(config: &Value) -> Result<Resource, String> {
    let Some(name) = config["tap_stream_id"].as_str() else {
        return Err("`tap_stream_id` must name a stream".to_owned());
    };
    let method = method(config)?;
    let id = StreamId { namespace: None, name: name.to_owned() };
    Ok(Resource { id, path: vec![name.to_owned()], full_refresh: method == FULL_TABLE })
}

/// The replication method; a full table where none is named.
pub(super) fn method(config: &Value) -> Result<&'static str, String> {
    match config["replication_method"].as_str() {
        None | Some("" | FULL_TABLE) => Ok(FULL_TABLE),
        Some(INCREMENTAL) => Ok(INCREMENTAL),
        Some(LOG_BASED) => Ok(LOG_BASED),
        Some(_) => Err("`replication_method` must be FULL_TABLE, INCREMENTAL or LOG_BASED".to_owned()),
    }
}

/// The replication key that a resource config names.
pub(super) fn replication_key(config: &Value) -> Option<&str> {
    config["replication_key"].as_str().filter(|key| !key.is_empty())
}

pub(super) fn supports(stream: &DiscoveredStream, config: &Value) -> Result<(), String> {
    let method = method(config)?;
    let Some(entry) = stream.source_stream.as_ref().map(Packed::tree) else { return Ok(()) };
    let entry = Entry(&entry);
    if let Some(forced) = entry.forced_method().filter(|forced| *forced != method) {
        return Err(format!("the tap reads it by {forced} only; set `replication_method` to that"));
    }
    if method != INCREMENTAL {
        return Ok(());
    }
    let valid = entry.valid_replication_keys();
    match replication_key(config).or_else(|| entry.replication_key()) {
        None if valid.len() == 1 || (valid.is_empty() && entry.forced_method().is_some()) => Ok(()),
        None if valid.is_empty() => {
            let columns = cursors::candidates(&stream.schema.tree(), COLUMNS);
            let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
            Err(format!(
                "INCREMENTAL needs a `replication_key`, a column that grows{}; or set `replication_method` to FULL_TABLE",
                one_of(&columns)
            ))
        }
        None => Err(format!("INCREMENTAL needs a `replication_key`{}", one_of(&valid))),
        Some(key) if valid.is_empty() || valid.contains(&key) || has_column(&stream.schema.tree(), key) => {
            Ok(())
        }
        Some(key) => Err(format!("it has no column {key:?} to be its `replication_key`{}", one_of(&valid))),
    }
}

fn one_of(keys: &[&str]) -> String {
    if keys.is_empty() { String::new() } else { format!(", one of {}", keys.join(", ")) }
}

pub(super) fn spec() -> ResourceSpec {
    let schema = json!({
        "type": "object",
        "title": "Stream",
        "required": ["tap_stream_id", "replication_method"],
        "properties": {
            "tap_stream_id": {
                "type": "string", "title": "Stream", "order": 0, "description": "The stream's identity within the tap",
            },
            "stream": {"type": "string", "title": "Name", "order": 1, "description": "The name under which the tap shows it"},
            "replication_method": {
                "type": "string", "title": "Replication method", "enum": [FULL_TABLE, INCREMENTAL, LOG_BASED], "order": 2,
                "description": "FULL_TABLE reads every row each time, INCREMENTAL those whose replication key grew, LOG_BASED a database's log",
            },
            "replication_key": {
                "type": "string", "title": "Replication key", "order": 3,
                "description": "The column by which INCREMENTAL finds what changed",
            },
        },
    });
    ResourceSpec { schema, path_pointers: &["/tap_stream_id"] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::singer::catalog::discovered;

    fn stream(entry: Value) -> DiscoveredStream {
        discovered(&entry).expect("a stream")
    }

    #[test]
    fn a_resource_of_the_older_shim_is_read() {
        let config = json!({"tap_stream_id": "public-users", "stream": "users", "replication_method": "", "metadata": [], "key_properties": ["id"]});
        let resource = read(&config).expect("a resource");
        assert_eq!(resource.path, ["public-users"]);
        assert!(resource.full_refresh);
        assert!(read(&json!({"stream": "users"})).is_err());
        assert!(read(&json!({"tap_stream_id": "users", "replication_method": "SOMETIMES"})).is_err());
    }

    #[test]
    fn what_a_stream_cannot_do_is_told() {
        let plain = stream(
            json!({"tap_stream_id": "s", "schema": {"properties": {"id": {}, "at": {}}}, "metadata": [
            {"breadcrumb": [], "metadata": {"valid-replication-keys": ["id", "at"]}}]}),
        );
        let incremental = json!({"tap_stream_id": "s", "replication_method": "INCREMENTAL"});
        assert!(supports(&plain, &incremental).expect_err("no key").contains("id, at"));
        let unknown =
            json!({"tap_stream_id": "s", "replication_method": "INCREMENTAL", "replication_key": "no"});
        assert!(supports(&plain, &unknown).is_err());
        let forced = stream(json!({"tap_stream_id": "s", "schema": {}, "metadata": [
            {"breadcrumb": [], "metadata": {"forced-replication-method": {"replication-method": "FULL_TABLE", "reason": "x"}}}]}));
        assert!(supports(&forced, &incremental).expect_err("forced").contains("FULL_TABLE"));
        assert!(supports(&forced, &json!({"tap_stream_id": "s"})).is_ok());
    }
}
