//! Which fields of a chosen stream a tap is asked for, marked in every place where a family of taps looks: in
//! the metadata, and inside each property's schema for taps that know no metadata.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::entry::{Entry, Path, path};
use super::resource;
use crate::capture::protocol::BoundStream;

/// Marks the fields of a stream. A tap that wrote metadata of fields looks there and nowhere else.
pub(super) fn select(entry: &mut Value, stream: &BoundStream) {
    let bare = Entry(entry).fields().next().is_none();
    let choice = Choice::of(Entry(entry), stream);
    let mut fields = Vec::new();
    if let Some(schema) = entry.get_mut("schema") {
        choice.mark(schema, bare, &mut Vec::new(), &mut fields);
    }
    let Some(items) = entry["metadata"].as_array_mut() else { return };
    let mut marked: HashSet<Path> = HashSet::new();
    for item in items.iter_mut() {
        let Some(path) = path(&item["breadcrumb"]).filter(|path| !path.is_empty()) else { continue };
        if let Some(wanted) = choice.wants(&path)
            && item["metadata"].is_object()
        {
            item["metadata"]["selected"] = json!(wanted);
        }
        marked.insert(path);
    }
    // Taps select by themselves what no metadata speaks of.
    for (path, wanted) in
        fields.into_iter().filter(|(path, wanted)| (bare || !wanted) && !marked.contains(path))
    {
        let breadcrumb: Vec<&str> = path.iter().flat_map(|name| ["properties", name]).collect();
        items.push(json!({"breadcrumb": breadcrumb, "metadata": {"selected": wanted}}));
    }
}

/// What decides whether a field is wanted.
struct Choice<'a> {
    stream: &'a BoundStream,
    unsupported: HashSet<Path>,
    /// Those that the tap sends in any case, and those by which it reads.
    fixed: HashSet<Path>,
    /// Those that the tap does not select by default.
    off: HashSet<Path>,
}

impl<'a> Choice<'a> {
    fn of(entry: Entry<'_>, stream: &'a BoundStream) -> Self {
        let columns =
            |names: Vec<&str>| names.into_iter().map(|name| vec![name.to_owned()]).collect::<Vec<Path>>();
        let mut fixed: HashSet<Path> = columns(entry.key()).into_iter().collect();
        let cursors = [entry.replication_key(), resource::replication_key(&stream.resource_config)];
        fixed.extend(columns(cursors.into_iter().flatten().collect()));
        fixed.extend(stream.source_key());
        let mut unsupported: HashSet<Path> =
            columns(entry.unsupported_columns().into_iter().collect()).into_iter().collect();
        let mut off = HashSet::new();
        for (path, metadata) in entry.fields() {
            match metadata["inclusion"].as_str() {
                Some("automatic") => _ = fixed.insert(path),
                Some("unsupported") => _ = unsupported.insert(path),
                _ if metadata["selected-by-default"] == false => _ = off.insert(path),
                _ => {}
            }
        }
        Self { stream, unsupported, fixed, off }
    }

    /// Whether a field is wanted; `None` where the tap cannot send it.
    fn wants(&self, path: &Path) -> Option<bool> {
        if self.unsupported.contains(&path[..1]) || self.unsupported.contains(path) {
            return None;
        }
        if self.fixed.contains(path) {
            return Some(true);
        }
        Some(match &self.stream.fields {
            Some(fields) => fields.reads(path) && (fields.selects(path) || !self.off.contains(path)),
            None => !self.off.contains(path),
        })
    }

    /// Goes through a schema and notes each field. `bare`: it is marked there, too.
    fn mark(&self, schema: &mut Value, bare: bool, path: &mut Path, fields: &mut Vec<(Path, bool)>) {
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            for (name, property) in properties.iter_mut() {
                path.push(name.clone());
                let supported = property["inclusion"] != "unsupported";
                if let Some(wanted) = self.wants(path).filter(|_| supported && property.is_object()) {
                    let wanted = wanted || property["inclusion"] == "automatic";
                    fields.push((path.clone(), wanted));
                    if bare {
                        property["selected"] = json!(wanted);
                    }
                    self.mark(property, bare, path, fields);
                }
                path.pop();
            }
        }
        if let Some(items) = schema.get_mut("items").filter(|items| items.is_object()) {
            self.mark(items, bare, path, fields);
        }
    }
}
