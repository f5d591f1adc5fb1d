//! What changes in the config: would one that runs now still do?

use std::collections::BTreeMap;

use serde_json::Value;

use super::change::{Changes, Effect};
use super::side::Side;
use crate::capture::config::secrets::is_marked;
use crate::dev::known::config_schema;
use crate::json::schema::types::Types;
use crate::json::{pointer, schema::types};

/// How deep a config is looked at.
const DEEPEST: usize = 8;
/// What this file calls its subject.
const CONFIG: &str = "config";

/// Compares the config schemas that people see, and the consent flows.
pub(super) fn compare(old: &Side, new: &Side, changes: &mut Changes) {
    let schema = |side: &Side| config_schema(&side.definition, side.known.spec.as_ref());
    match (schema(old), schema(new)) {
        (Some(old), Some(new)) => schemas(&old, &new, changes),
        (None, None) => {}
        _ => changes.add(Effect::Note, CONFIG, "is not known on both sides, and not compared"),
    }
    let consent = |side: &Side| {
        let described = side.known.spec.as_ref().and_then(|spec| spec.consent_flow.clone());
        (side.definition.oauth2.clone(), described)
    };
    match (consent(old), consent(new)) {
        (old, new) if old == new => {}
        ((None, None), _) => changes.add(Effect::Note, "oauth2", "is new"),
        (_, (None, None)) => {
            changes.add(Effect::Breaks, "oauth2", "is gone: credentials cannot be renewed by consent");
        }
        _ => {
            changes.add(
                Effect::Note,
                "oauth2",
                "changes; credentials that there are may have to be got anew",
            );
        }
    }
    let url = |side: &Side| {
        let upstreams = || side.known.spec.as_ref().and_then(|spec| spec.documentation_url.clone());
        side.definition.documentation_url.clone().or_else(upstreams)
    };
    if url(old) != url(new) {
        changes.add(Effect::Note, "documentation", "the URL changes");
    }
}

fn schemas(old: &Value, new: &Value, changes: &mut Changes) {
    let (before, after) = (locations(old), locations(new));
    for (place, property) in &after {
        let required = property.required && before.get(place).is_none_or(|old| !old.required);
        if required && property.schema["default"].is_null() {
            changes.add(Effect::Breaks, CONFIG, format!("{place} is required now"));
        } else if !before.contains_key(place) {
            changes.add(Effect::Note, CONFIG, format!("{place} is new"));
        }
    }
    let closed = new["additionalProperties"] == false;
    for (place, property) in &before {
        let Some(now) = after.get(place) else {
            let effect = if closed { Effect::Breaks } else { Effect::Note };
            changes.add(effect, CONFIG, format!("{place} is gone"));
            continue;
        };
        at(place, property, now, (old, new), changes);
    }
}

fn at(
    place: &str,
    before: &Property<'_>,
    now: &Property<'_>,
    roots: (&Value, &Value),
    changes: &mut Changes,
) {
    let path = pointer::to_path(place).unwrap_or_default();
    let declared = |root: &Value| types::at(root, &path).unwrap_or(Types::ANY);
    let (old, new) = (declared(roots.0), declared(roots.1));
    if old != new {
        let lost = old.without(new) != Types::NONE;
        let effect = if lost { Effect::Breaks } else { Effect::Note };
        let names = |types: Types| types.names().join(" or ");
        changes.add(effect, CONFIG, format!("{place} was {}, is {}", names(old), names(new)));
    }
    let values = |schema: &Value| match (&schema["enum"], &schema["const"]) {
        (Value::Array(list), _) => list.clone(),
        (_, Value::Null) => Vec::new(),
        (_, only) => vec![only.clone()],
    };
    let (old, new) = (values(before.schema), values(now.schema));
    if !new.is_empty() && old.iter().any(|value| !new.contains(value)) || (old.is_empty() && !new.is_empty())
    {
        changes.add(Effect::Breaks, CONFIG, format!("{place} takes fewer values"));
    }
    for (keyword, what) in [("pattern", "another pattern"), ("default", "another default")] {
        if before.schema[keyword] != now.schema[keyword] {
            changes.add(Effect::Note, CONFIG, format!("{place} has {what}"));
        }
    }
    if is_marked(before.schema) && !is_marked(now.schema) {
        changes.add(Effect::Note, CONFIG, format!("{place} is no secret any more"));
    }
}

struct Property<'a> {
    schema: &'a Value,
    /// Whether every config needs it: no branch of a choice counts.
    required: bool,
}

/// All properties of a config, by their pointers; in every branch of a choice.
fn locations(schema: &Value) -> BTreeMap<String, Property<'_>> {
    let mut found = BTreeMap::new();
    walk(schema, &mut Vec::new(), true, &mut found);
    found
}

fn walk<'a>(
    schema: &'a Value,
    path: &mut Vec<String>,
    needed: bool,
    found: &mut BTreeMap<String, Property<'a>>,
) {
    if path.len() > DEEPEST {
        return;
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let required =
            needed && schema["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name));
        path.push(name.clone());
        found.entry(pointer::from_path(path)).or_insert(Property { schema: property, required });
        walk(property, path, required, found);
        path.pop();
    }
    for keyword in ["oneOf", "anyOf", "allOf"] {
        for branch in schema[keyword].as_array().into_iter().flatten() {
            walk(branch, path, needed && keyword == "allOf", found);
        }
    }
}
