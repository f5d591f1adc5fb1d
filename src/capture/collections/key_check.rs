//! Whether a collection is keyed as its source keys the rows. Where it is not, rows that are different ones
//! at the source become one document, without an error anywhere.

use std::collections::BTreeSet;

use super::key::{self, Key};
use super::schema::patched;
use crate::capture::protocol::{DiscoveredStream, StreamId};
use crate::json::pointer;
use crate::shim::definition::Definition;
use crate::shim::stream::stream_override;

/// Warns where a discovered stream would get another key than the collection has.
pub(crate) fn discovered(definition: &Definition, stream: &DiscoveredStream, collection: &[String]) {
    if !is_keyed(collection) {
        return;
    }
    let different = stream_override(definition, &stream.id.name, &stream.id.to_string());
    if stream.key.is_empty() && different.key.is_none() {
        return;
    }
    let schema = patched(stream.schema.tree(), different.schema_patch.as_ref());
    let Key { columns, .. } = key::choose(&schema, &stream.key, different.key.as_deref());
    let source: Vec<String> = columns.iter().map(|(path, _)| pointer::from_path(path)).collect();
    compare(&stream.id, &source, collection);
}

/// Warns where a source that prints its key while it is read has another one than the collection.
pub(crate) fn printed(stream: &StreamId, columns: &[String], collection: &[String]) {
    if is_keyed(collection) {
        let source: Vec<String> =
            columns.iter().map(|column| pointer::from_path(std::slice::from_ref(column))).collect();
        compare(stream, &source, collection);
    }
}

/// Rows that are told apart by their place do not become one. Flow sends a key with each collection.
fn is_keyed(collection: &[String]) -> bool {
    !collection.is_empty() && !key::is_by_place(collection)
}

/// A source without a key leaves it to people to choose one.
fn compare(stream: &StreamId, source: &[String], collection: &[String]) {
    let set = |key: &[String]| key.iter().cloned().collect::<BTreeSet<_>>();
    if source.is_empty() || set(source) == set(collection) {
        return;
    }
    let (source, collection) = (source.join(", "), collection.join(", "));
    tracing::warn!(
        %stream,
        sourceKey = source,
        collectionKey = collection,
        "the source keys the rows of {:?} by {source}, and the collection by {collection}: rows that the source keeps \
         apart may overwrite each other; discover again and backfill the binding to take the source's key, or set \
         `streams.overrides` with the key {collection} in shim.yaml if it is meant",
        stream.to_string()
    );
}
