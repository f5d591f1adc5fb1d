//! What changes in the streams, and in the collections that Flow makes of them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::change::{Changes, Effect};
use super::side::Side;
use crate::capture::protocol::DiscoveredStream;
use crate::dev::known::Known;
use crate::flow::message::DiscoveredBinding;
use crate::json::pointer;
use crate::json::schema::types::{self, Types};
use crate::upstream::Offered;

/// How deep documents are looked at.
const DEEPEST: usize = 8;
/// The annotation of a collection's schema that carries the source's.
const SOURCE_SCHEMA: &str = "x-source-schema";
/// The one that carries facts about the stream.
const SOURCE_STREAM: &str = "x-source-stream";

/// Streams that are shown, by their resource paths.
type Shown<'a> = BTreeMap<&'a [String], (&'a Offered, &'a DiscoveredBinding)>;

/// Compares stream by stream.
pub(super) fn compare(old: &Side, new: &Side, changes: &mut Changes) {
    let (Some(before), Some(after)) = (&old.known.streams, &new.known.streams) else {
        return changes.add(Effect::Note, "streams", "are not known on both sides, and not compared");
    };
    let (before, after) = (shown(before), shown(after));
    for (path, (_, binding)) in &before {
        if !after.contains_key(path) {
            let name = path.join(".");
            let (effect, what) = if new.known.may_have(&name) {
                (Effect::Note, "is known only when the connector is asked; see --installed")
            } else {
                (Effect::Breaks, "is gone; a capture that has it bound fails")
            };
            changes.stream(effect, &name, &binding.recommended_name, what);
        }
    }
    for (path, (offered, binding)) in &after {
        let name = path.join(".");
        match before.get(path) {
            None if old.known.may_have(&name) => {}
            None => changes.stream(Effect::Note, &name, &binding.recommended_name, "is new"),
            Some(was) => {
                Pair { name: &name, old: *was, new: (offered, binding), known: &new.known }.compare(changes);
            }
        }
    }
}

fn shown(offered: &[Offered]) -> Shown<'_> {
    let binding = |one| {
        let (stream, binding): &Offered = one;
        Some((stream.resource_path.as_slice(), (one, binding.as_ref()?)))
    };
    offered.iter().filter_map(binding).collect()
}

/// A stream in both versions.
struct Pair<'a> {
    name: &'a str,
    old: (&'a Offered, &'a DiscoveredBinding),
    new: (&'a Offered, &'a DiscoveredBinding),
    /// The new version.
    known: &'a Known,
}

impl Pair<'_> {
    fn compare(&self, changes: &mut Changes) {
        self.modes(changes);
        self.key(changes);
        self.cursor(changes);
        self.columns(changes);
        let (old, new) = (self.old.1, self.new.1);
        if old.recommended_name != new.recommended_name {
            self.tell(
                changes,
                Effect::Note,
                format!("a new capture's collection is called {:?}", new.recommended_name),
            );
        }
        if old.disable != new.disable {
            let what =
                if new.disable { "new captures do not read it any more" } else { "new captures read it" };
            self.tell(changes, Effect::Note, what);
        }
    }

    fn tell(&self, changes: &mut Changes, effect: Effect, what: impl Into<String>) {
        changes.stream(effect, self.name, &self.old.1.recommended_name, what);
    }

    fn modes(&self, changes: &mut Changes) {
        let (old, new) = (&self.old.0.0, &self.new.0.0);
        let gone: Vec<String> = modes(old).into_iter().filter(|mode| !modes(new).contains(mode)).collect();
        let fresh: Vec<String> = modes(new).into_iter().filter(|mode| !modes(old).contains(mode)).collect();
        if !gone.is_empty() {
            self.tell(changes, Effect::Breaks, format!("cannot be read as {} any more", gone.join(" or ")));
        } else if let Err(why) = self.known.supports(self.new.0, &old.resource_config) {
            self.tell(changes, Effect::Breaks, format!("as it was proposed, {why}"));
        }
        if !fresh.is_empty() {
            self.tell(changes, Effect::Note, format!("can be read as {}", fresh.join(" or ")));
        }
    }

    fn key(&self, changes: &mut Changes) {
        let (old, new) = (&self.old.1.key, &self.new.1.key);
        if old != new {
            let what = format!("the key was {}, is {}", listed(old), listed(new));
            self.tell(changes, Effect::Backfill, what);
        }
        let source = document(self.new.1);
        let lost = old.iter().filter(|location| !location.starts_with("/_meta/")).find(|location| {
            let path = pointer::to_path(location).unwrap_or_default();
            source["properties"].is_object() && types::at(&source, &path).is_none()
        });
        if let Some(lost) = lost {
            self.tell(
                changes,
                Effect::Breaks,
                format!("documents have no {lost} any more, which is in the key"),
            );
        }
    }

    fn cursor(&self, changes: &mut Changes) {
        let (old, new) = (cursor(&self.old.0.0), cursor(&self.new.0.0));
        if old != new && !old.is_empty() {
            let new = if new.is_empty() { "none".to_owned() } else { new };
            self.tell(changes, Effect::Backfill, format!("the cursor was {old}, is {new}"));
        } else if old != new {
            self.tell(changes, Effect::Note, format!("there is a cursor now, {new}"));
        }
        let defined =
            |stream: &DiscoveredStream| source(stream, "source_defined_cursor") == Value::Bool(true);
        match (defined(&self.old.0.0), defined(&self.new.0.0)) {
            (true, false) => {
                self.tell(changes, Effect::Backfill, "the source does not define the cursor any more");
            }
            (false, true) => self.tell(changes, Effect::Note, "the source defines the cursor now"),
            _ => {}
        }
    }

    fn columns(&self, changes: &mut Changes) {
        let (old, new) = (document(self.old.1), document(self.new.1));
        let (before, after) = (columns(&old), columns(&new));
        let mut seen = false;
        for (place, was) in &before {
            match after.get(place) {
                Some(is) if is == was => continue,
                Some(is) => self.tell(changes, Effect::Collection, format!("{place} was {was}, is {is}")),
                None => self.tell(changes, Effect::Collection, format!("{place} is gone")),
            }
            seen = true;
        }
        for (place, is) in after.iter().filter(|(place, _)| !before.contains_key(*place)) {
            self.tell(changes, Effect::Collection, format!("{place} is new, {is}"));
            seen = true;
        }
        let own = |binding: &DiscoveredBinding| {
            let mut schema: Value = serde_json::from_slice(&binding.document_schema_json).unwrap_or_default();
            if let Some(members) = schema.as_object_mut() {
                members.retain(|name, _| ![SOURCE_SCHEMA, SOURCE_STREAM].contains(&name.as_str()));
            }
            schema
        };
        if !seen && self.old.1.key == self.new.1.key && own(self.old.1) != own(self.new.1) {
            self.tell(changes, Effect::Collection, "what its schema says of values changes");
        }
    }
}

fn listed(key: &[String]) -> String {
    if key.is_empty() { "none".to_owned() } else { key.join(", ") }
}

fn source(stream: &DiscoveredStream, member: &str) -> Value {
    stream.source_stream.as_ref().map(|source| source.tree()[member].clone()).unwrap_or_default()
}

/// The ways in which a stream can be read, in its protocol's words.
fn modes(stream: &DiscoveredStream) -> Vec<String> {
    let told = match source(stream, "supported_sync_modes") {
        Value::Array(modes) => modes,
        _ => vec![stream.resource_config["replication_method"].clone()],
    };
    told.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The cursor that a new binding gets; empty where there is none.
fn cursor(stream: &DiscoveredStream) -> String {
    let config = &stream.resource_config;
    if let Some(key) = config["replication_key"].as_str() {
        return key.to_owned();
    }
    let path = config["cursorField"].as_array().map(Vec::as_slice).unwrap_or_default();
    path.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(".")
}

/// The schema of documents, as the source has it where that is told.
fn document(binding: &DiscoveredBinding) -> Value {
    let mut schema: Value = serde_json::from_slice(&binding.document_schema_json).unwrap_or_default();
    match schema.get_mut(SOURCE_SCHEMA) {
        Some(source) => source.take(),
        None => schema,
    }
}

/// The types of all properties, by their pointers.
fn columns(schema: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    walk(schema, &mut Vec::new(), &mut found);
    found
}

fn walk(schema: &Value, path: &mut Vec<String>, found: &mut BTreeMap<String, String>) {
    if path.len() >= DEEPEST {
        return;
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        path.push(name.clone());
        // Null or absent is one to a collection.
        let declared = types::at(schema, std::slice::from_ref(name)).unwrap_or(Types::ANY);
        let mut told = match declared {
            Types::ANY => "anything".to_owned(),
            some => some.without(Types::NULL).names().join(" or "),
        };
        if let Some(format) = property["format"].as_str() {
            told = format!("{told} ({format})");
        }
        found.insert(pointer::from_path(path), told);
        walk(property, path, found);
        path.pop();
    }
    for keyword in ["oneOf", "anyOf", "allOf"] {
        schema[keyword].as_array().into_iter().flatten().for_each(|branch| walk(branch, path, found));
    }
}
