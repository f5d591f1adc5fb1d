//! The folder of an airbyte-to-flow connector, told as a `shim.yaml` would tell it.
//!
//! `atf_files` reads; this file knows what the files mean (flow-protocol.md, section 9). The result is
//! the tree of a `shim.yaml`: `run` reads it as the definition, `import-atf` writes it down, so both
//! behave alike.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::atf_files::{self as files, StreamFile};
use super::names::{airbyte_to_flow, escaped};
use crate::env;
use crate::failure::Failure;

/// The file whose name is the wildcard.
const WILDCARD: &str = "*";

/// All sections that a tree can have.
const SECTIONS: [&str; 9] =
    ["protocol", "documentationUrl", "oauth2", "config", "streams", "schema", "document", "read", "state"];

/// Whether a folder holds any file of airbyte-to-flow's.
pub fn is_atf(folder: &Path) -> bool {
    files::ALL.iter().any(|name| folder.join(name).is_file())
        || files::streams(folder).is_ok_and(|streams| !streams.is_empty())
}

/// The tree of the `shim.yaml` that says what the folder's files say, and what airbyte-to-flow always
/// did.
pub fn tree(folder: &Path) -> Result<Value, Failure> {
    let mut tree = json!({
        "protocol": "airbyte",
        "streams": {"conventions": "airbyte-to-flow"},
        "schema": {"mode": "source", "sourced": false},
        "document": {"meta": "none"},
        "read": {"discoverOnOpen": "never"},
    });
    if let Some(url) = files::documentation_url(folder)? {
        tree["documentationUrl"] = json!(url);
    }
    if let Some(oauth2) = files::object(folder, files::OAUTH2)?.filter(|oauth2| !is_empty(oauth2)) {
        tree["oauth2"] = oauth2;
    }
    if let Some(patch) = files::json(folder, files::SPEC_PATCH)? {
        tree["config"]["schemaPatch"] = patch;
    }
    if let Some(map) = files::map(folder)? {
        tree["config"]["map"] = map;
    }
    let escape = |names: Vec<String>| -> Value { names.iter().map(|name| json!(escaped(name))).collect() };
    if let Some(names) = files::names(folder, files::SELECTED)? {
        tree["streams"]["select"] = escape(names);
    }
    if let Some(names) = files::names(folder, files::OMITTED)? {
        tree["streams"]["omit"] = escape(names);
    }
    let overrides = overrides(folder)?;
    if !overrides.is_empty() {
        tree["streams"]["overrides"] = Value::Object(overrides);
    }
    // Other words than this one are ignored, as they always were.
    if files::names(folder, files::NORMALIZATIONS)?
        .is_some_and(|words| words.iter().any(|word| word == "date-to-datetime"))
    {
        tree["schema"]["dateToDatetime"] = json!(true);
    }
    if let Some(minutes) = files::interval_minutes(folder)? {
        tree["read"]["minInterval"] = json!(format!("{minutes}m"));
    }
    if env::get(env::ATF_STATE_FORMAT).is_some_and(|format| format == "per_stream") {
        tree["state"] = json!({"format": "stream"});
    }
    Ok(ordered(tree))
}

/// The sections in the order in which people read them.
fn ordered(mut tree: Value) -> Value {
    let sections = SECTIONS.iter().filter_map(|name| Some(((*name).to_owned(), tree.get_mut(*name)?.take())));
    Value::Object(sections.collect())
}

/// What the files of `streams/` say. Patches and keys go by the name of the collection, normalizations
/// by that of the stream; only the former have a wildcard.
fn overrides(folder: &Path) -> Result<Map<String, Value>, Failure> {
    let mut found: BTreeMap<String, Value> = BTreeMap::new();
    for file in files::streams(folder)? {
        let StreamFile { name, kind, path } = &file;
        let by_collection = *kind != files::Kind::Normalize;
        if name.is_empty() || (by_collection && name != WILDCARD && airbyte_to_flow(name) != *name) {
            tracing::warn!(
                file = %path.display(),
                "no stream can have the name that this file goes by, so it changes nothing"
            );
            continue;
        }
        let entry = if by_collection { name.clone() } else { escaped(name) };
        let (setting, value) = file.setting()?;
        found.entry(entry).or_insert_with(|| json!({}))[setting] = value;
    }
    Ok(found.into_iter().collect())
}

/// Whether nothing but empty values is in it: connectors without OAuth have such a placeholder.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Object(members) => members.values().all(is_empty),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}
