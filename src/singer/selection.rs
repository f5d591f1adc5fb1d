//! The catalog that a read gets: the whole discovered one, with what is chosen marked in every place
//! where a family of taps looks (singer-protocol.md, 2.2 to 2.5).
//!
//! Entries are never left out: SDK taps need the entry of a parent even when only its child is read.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::entry::{Entry, INCREMENTAL, LOG_BASED, has_column, key_columns};
use super::{fields, resource};
use crate::capture::protocol::{BoundStream, DiscoveredStream, StreamId};
use crate::failure::{Code, Failure};
use crate::json::packed::Packed;

/// The column by which meltanolabs-tap-postgres keeps its place in the log; without it, each run
/// reads all of the log again (singer-protocol.md, 2.4).
const LSN: &str = "_sdc_lsn";

/// The catalog of a read.
#[derive(Debug, Serialize)]
pub(super) struct Catalog {
    streams: Vec<Packed>,
}

pub(super) fn catalog(streams: &[BoundStream], discovered: &[DiscoveredStream]) -> Result<Catalog, Failure> {
    let known: HashSet<&StreamId> = discovered.iter().map(|found| &found.id).collect();
    if let Some(gone) = streams.iter().find(|stream| !known.contains(&stream.id)) {
        return Err(Failure::new(
            Code::NO_STREAM,
            format!(
                "the tap has no stream {:?} any more; disable its binding, or discover again",
                gone.id.name
            ),
        ));
    }
    let bound: HashMap<&StreamId, &BoundStream> = streams.iter().map(|stream| (&stream.id, stream)).collect();
    let mut entries: Vec<Packed> = Vec::with_capacity(discovered.len());
    // Where the chosen entries of each name are.
    let mut named: HashMap<String, Vec<usize>> = HashMap::with_capacity(streams.len());
    for found in discovered {
        let mut entry = found.source_stream.as_ref().map_or_else(|| json!({}), Packed::tree);
        let chosen = bound.get(&found.id).copied();
        select(&mut entry, chosen);
        if let Some(stream) = chosen {
            replicate(&mut entry, stream).map_err(|why| {
                Failure::new(Code::STREAM_MODE, format!("stream {:?}: {why}", stream.id.name))
            })?;
            if let Some(name) = entry["stream"].as_str() {
                named.entry(name.to_owned()).or_default().push(entries.len());
            }
        }
        entries.push(Packed::from(&entry));
    }
    for at in named.into_values().filter(|positions| positions.len() > 1).flatten() {
        let mut entry = entries[at].tree();
        tell_apart(&mut entry);
        entries[at] = Packed::from(&entry);
    }
    Ok(Catalog { streams: entries })
}

/// Marks a stream and its fields. Booleans, because `"false"` selects (surprise 29).
fn select(entry: &mut Value, chosen: Option<&BoundStream>) {
    let bare = !entry["metadata"].is_array();
    let selected = Value::Bool(chosen.is_some());
    root(entry).insert("selected".to_owned(), selected.clone());
    if bare && let Some(schema) = entry.get_mut("schema").and_then(Value::as_object_mut) {
        // The oldest taps look here.
        schema.insert("selected".to_owned(), selected);
    }
    if let Some(stream) = chosen {
        fields::select(entry, stream);
    }
}

/// Writes method and key twice: SDK taps read the entry, older ones the metadata.
fn replicate(entry: &mut Value, stream: &BoundStream) -> Result<(), String> {
    let method = resource::method(&stream.resource_config)?;
    let known = Entry(entry);
    let discovered = known.replication_key().or_else(|| known.valid_replication_keys().first().copied());
    let key = resource::replication_key(&stream.resource_config).map(str::to_owned);
    let key = key.or_else(|| match method {
        INCREMENTAL => discovered.map(str::to_owned),
        LOG_BASED if known.is_sdk() && (has_column(&entry["schema"], LSN) || has_log_columns(entry)) => {
            Some(LSN.to_owned())
        }
        _ => None,
    });
    let view = known.root_metadata()["is-view"] == true;
    let metadata = root(entry);
    metadata.insert("replication-method".to_owned(), method.into());
    if let Some(key) = &key {
        metadata.insert("replication-key".to_owned(), key.as_str().into());
    }
    // A view has no key of its own; this is the only way to give it one.
    let columns = key_columns(stream);
    if view && !columns.is_empty() {
        metadata.entry("view-key-properties").or_insert_with(|| json!(columns));
    }
    entry["replication_method"] = json!(method);
    if let Some(key) = key {
        entry["replication_key"] = json!(key);
    }
    Ok(())
}

/// Taps that add log columns while they read do not show them in the catalog.
fn has_log_columns(entry: &Value) -> bool {
    let root = Entry(entry).root_metadata();
    root.get("schema-name").is_some() || entry["replication_method"] == LOG_BASED
}

/// Two tables of one name would print one stream name. Taps other than SDK ones print the entry's
/// `stream`, so there it can tell them apart (singer-io tap-mysql; singer-protocol.md, 4.6).
fn tell_apart(entry: &mut Value) {
    // pipelinewise-tap-postgres puts the schema's name in front by itself.
    let prefixed = Entry(entry).root_metadata().get("schema-name").is_some();
    if !Entry(entry).is_sdk() && !prefixed && entry["tap_stream_id"].is_string() {
        entry["stream"] = entry["tap_stream_id"].clone();
    }
}

/// The metadata of the stream itself, made where it is missing.
fn root(entry: &mut Value) -> &mut Map<String, Value> {
    if !entry.is_object() {
        *entry = json!({});
    }
    if !entry["metadata"].is_array() {
        entry["metadata"] = json!([]);
    }
    let items = entry["metadata"].as_array_mut().expect("it was made an array above");
    let at = items.iter().position(|item| item["breadcrumb"].as_array().is_some_and(Vec::is_empty));
    let at = at.unwrap_or_else(|| {
        items.insert(0, json!({"breadcrumb": [], "metadata": {}}));
        0
    });
    let item = &mut items[at];
    if !item["metadata"].is_object() {
        item["metadata"] = json!({});
    }
    item["metadata"].as_object_mut().expect("it was made an object above")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shim::fields::{FieldSelection, Fields};
    use crate::singer::catalog::discovered;

    fn bound(name: &str, config: Value) -> BoundStream {
        let mut resource_config = json!({"tap_stream_id": name});
        resource_config
            .as_object_mut()
            .expect("an object")
            .extend(config.as_object().expect("an object").clone());
        BoundStream { resource_config, key: vec!["/id".to_owned()], ..BoundStream::bare(None, name) }
    }

    fn catalog(streams: &[BoundStream], discovered: &[DiscoveredStream]) -> Result<Value, Failure> {
        let catalog = super::catalog(streams, discovered)?;
        Ok(serde_json::to_value(catalog).expect("JSON"))
    }

    fn found(entries: &[Value]) -> Vec<DiscoveredStream> {
        entries.iter().filter_map(discovered).collect()
    }

    fn table(id: &str, stream: &str) -> Value {
        json!({
            "tap_stream_id": id, "stream": stream, "extra": {"kept": null},
            "schema": {"properties": {"id": {}, "blob": {"inclusion": "unsupported"}}, "definitions": {"a": {}}},
            "metadata": [
                {"breadcrumb": ["properties", "id"], "metadata": {"inclusion": "automatic"}},
                {"breadcrumb": ["properties", "blob"], "metadata": {}},
                {"breadcrumb": [], "metadata": {"table-key-properties": ["id"], "own-key": 1}},
            ],
        })
    }

    #[test]
    fn every_entry_stays_and_only_the_chosen_are_selected() {
        let all = found(&[table("shop-a", "a"), table("shop-b", "b")]);
        let catalog = catalog(
            &[bound("shop-b", json!({"replication_method": "INCREMENTAL", "replication_key": "id"}))],
            &all,
        )
        .expect("a catalog");
        let (a, b) = (&catalog["streams"][0], &catalog["streams"][1]);
        assert_eq!(Entry(a).root_metadata()["selected"], false);
        assert_eq!(a["metadata"][0]["metadata"], json!({"inclusion": "automatic"}));
        let root = Entry(b).root_metadata();
        assert_eq!(
            (&root["selected"], &root["replication-method"], &root["replication-key"]),
            (&json!(true), &json!("INCREMENTAL"), &json!("id"))
        );
        assert_eq!((&b["replication_method"], &b["replication_key"]), (&json!("INCREMENTAL"), &json!("id")));
        assert_eq!(b["metadata"][0]["metadata"]["selected"], true);
        assert_eq!(b["metadata"][1]["metadata"], json!({}), "an unsupported field is not selected");
        assert_eq!(
            (&b["extra"], &b["schema"]["definitions"], &root["own-key"]),
            (&json!({"kept": null}), &json!({"a": {}}), &json!(1))
        );
    }

    #[test]
    fn an_entry_without_metadata_is_marked_in_its_schema_too() {
        let all = found(&[json!({"tap_stream_id": "a", "stream": "a", "schema": {"properties": {}}})]);
        let catalog = catalog(&[bound("a", json!({}))], &all).expect("a catalog");
        assert_eq!(catalog["streams"][0]["schema"]["selected"], true);
        assert_eq!(catalog["streams"][0]["replication_method"], "FULL_TABLE");
    }

    #[test]
    fn a_tap_without_metadata_finds_its_fields_marked_in_their_schemas_at_any_depth() {
        let schema = json!({"properties": {
            "id": {"type": "integer", "inclusion": "automatic"},
            "name": {"type": "string", "inclusion": "available"},
            "blob": {"type": "string", "inclusion": "unsupported"},
            "rows": {"type": "array", "items": {"properties": {"at": {"type": "string", "inclusion": "available"}}}},
        }});
        let all = found(&[json!({"tap_stream_id": "a", "stream": "a", "schema": schema})]);
        let catalog = catalog(&[bound("a", json!({}))], &all).expect("a catalog");
        let entry = &catalog["streams"][0];
        let properties = &entry["schema"]["properties"];
        for pointer in ["/id", "/name", "/rows", "/rows/items/properties/at"] {
            assert_eq!(properties.pointer(pointer).expect("a field")["selected"], true, "{pointer}");
        }
        assert!(properties["blob"].get("selected").is_none());
        let selected: Vec<_> =
            Entry(entry).fields().map(|(path, metadata)| (path, metadata["selected"].clone())).collect();
        assert!(selected.contains(&(vec!["rows".to_owned(), "at".to_owned()], json!(true))), "{selected:?}");
        assert!(selected.iter().all(|(path, _)| path[0] != "blob"), "{selected:?}");
    }

    #[test]
    fn fields_are_chosen_by_the_shim_then_by_the_tap() {
        let field =
            |name: &str, metadata: Value| json!({"breadcrumb": ["properties", name], "metadata": metadata});
        let entry = json!({
            "tap_stream_id": "ads", "stream": "ads", "key_properties": ["id"],
            "schema": {"properties": {"id": {}, "Clicks": {}, "Cost": {}, "date": {"properties": {"day": {}}}}},
            "metadata": [
                field("id", json!({"inclusion": "automatic", "selected-by-default": false})),
                field("Clicks", json!({"inclusion": "available", "selected-by-default": false})),
                field("Cost", json!({"inclusion": "available"})),
            ],
        });
        let selected = |select: Option<&[&str]>, omit: &[&str]| {
            let owned = |globs: &[&str]| globs.iter().map(|&glob| glob.to_owned()).collect::<Vec<_>>();
            let fields = FieldSelection::of(&Fields { select: select.map(owned), omit: owned(omit) }, []);
            let stream = BoundStream { fields, ..bound("ads", json!({})) };
            let catalog = catalog(&[stream], &found(std::slice::from_ref(&entry))).expect("a catalog");
            let fields = Entry(&catalog["streams"][0])
                .fields()
                .map(|(path, metadata)| (path.join("/"), metadata["selected"] == true))
                .collect::<Vec<_>>();
            let names = |chosen: bool| {
                fields
                    .iter()
                    .filter(|(_, selected)| *selected == chosen)
                    .map(|(name, _)| name.clone())
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            (names(true), names(false))
        };
        let is = |yes: &str, no: &str| (yes.to_owned(), no.to_owned());
        assert_eq!(selected(None, &[]), is("id Cost", "Clicks"), "the tap's own default");
        assert_eq!(
            selected(None, &["id", "Cost", "date/day"]),
            is("id", "Clicks Cost date/day"),
            "a key stays"
        );
        assert_eq!(selected(Some(&["Clicks"]), &[]), is("id Clicks", "Cost date date/day"));
    }

    #[test]
    fn tables_of_one_name_are_told_apart_where_that_works() {
        let all = found(&[table("shop-orders", "orders"), table("crm-orders", "orders")]);
        let streams = [bound("shop-orders", json!({})), bound("crm-orders", json!({}))];
        let both = catalog(&streams, &all).expect("a catalog");
        assert_eq!(both["streams"][0]["stream"], "shop-orders");
        let one = catalog(&streams[..1], &all).expect("a catalog");
        assert_eq!(one["streams"][0]["stream"], "orders");
    }

    #[test]
    fn a_stream_that_is_gone_is_named() {
        assert!(catalog(&[bound("a", json!({}))], &[]).expect_err("gone").message.contains("\"a\""));
    }

    #[test]
    fn a_view_gets_the_columns_of_its_collection_as_its_key() {
        let mut view = table("shop-v", "v");
        view["metadata"][2]["metadata"]["is-view"] = json!(true);
        let key_of = |key: &[&str]| {
            let key = key.iter().map(|step| (*step).to_owned()).collect();
            let stream = BoundStream { key, ..bound("shop-v", json!({})) };
            let catalog = catalog(&[stream], &found(std::slice::from_ref(&view))).expect("a catalog");
            Entry(&catalog["streams"][0]).root_metadata()["view-key-properties"].clone()
        };
        assert_eq!(key_of(&["/id", "/a~1b"]), json!(["id", "a/b"]));
        assert_eq!(key_of(&["/id", "/inner/id"]), json!(null));
        assert_eq!(key_of(&["/_meta/row_id"]), json!(null));
    }

    #[test]
    fn an_sdk_tap_gets_its_place_in_the_log() {
        let mut entry = table("public-users", "public-users");
        entry["key_properties"] = json!(["id"]);
        entry["metadata"][2]["metadata"]["schema-name"] = json!("public");
        let catalog =
            catalog(&[bound("public-users", json!({"replication_method": "LOG_BASED"}))], &found(&[entry]))
                .expect("a catalog");
        assert_eq!(catalog["streams"][0]["replication_key"], "_sdc_lsn");
    }
}
