//! Follows references, and settles those that Flow could not.
//!
//! Flow takes a reference to a schema of the same document. Here are also found anchors, draft-04
//! ids, places below keywords that are dropped, and Airbyte's well-known types; all others go.

use std::collections::{HashMap, HashSet};

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::walk;

/// Where schemas are put that were elsewhere.
const MOVED: &str = "ref";

/// What the `$ref` of a schema points to in the same document; `None` where that is nothing, or there is none.
pub fn referenced<'a>(root: &'a Value, schema: &Value) -> Option<&'a Value> {
    target(root, schema.get("$ref")?.as_str()?)
}

/// What a reference into the same document points to; `None` where that is nothing.
pub fn target<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let fragment = reference.strip_prefix('#')?;
    if fragment.is_empty() {
        return Some(root);
    }
    root.pointer(&percent_decode_str(fragment).decode_utf8().ok()?)
}

/// The base type of one of Airbyte's well-known types (airbyte-protocol.md, 7.2).
pub fn well_known(reference: &str) -> Option<Value> {
    let name = reference.rsplit_once("WellKnownTypes.json#/definitions/")?.1;
    Some(match name {
        "Number" => json!({"type": "number"}),
        "Integer" => json!({"type": "integer"}),
        "Boolean" => json!({"type": "boolean"}),
        _ => json!({"type": "string"}),
    })
}

/// Settles every reference of an adapted schema. `original` is the schema as it was, in which what
/// was dropped is still to be found, and `adapt` adapts a part of it.
pub fn settle(adapted: &mut Value, original: &Value, adapt: &impl Fn(&Value) -> Value) {
    let mut open = references(adapted);
    if open.is_empty() {
        return;
    }
    let places = places(adapted);
    let anchors = anchors(original);
    let mut settled: HashMap<String, Option<String>> = HashMap::new();
    let mut moved = Map::new();
    while let Some(reference) = open.pop() {
        if settled.contains_key(&reference) {
            continue;
        }
        if is_plain(&reference) && places.contains(reference.trim_start_matches('#')) {
            settled.insert(reference.clone(), Some(reference));
            continue;
        }
        let found = target(original, &reference).or_else(|| anchors.get(reference.as_str()).copied());
        let found = found.cloned().or_else(|| well_known(&reference));
        let here = found.filter(|found| found.is_object() || found.is_boolean()).map(|found| {
            let schema = adapt(&found);
            open.extend(references(&schema));
            let mut name = format!("{MOVED}{}", moved.len());
            while adapted["$defs"].get(&name).is_some() {
                name.push('_');
            }
            moved.insert(name.clone(), schema);
            format!("#/$defs/{name}")
        });
        settled.insert(reference, here);
    }
    if !moved.is_empty()
        && let Value::Object(root) = adapted
        && let Value::Object(definitions) = root.entry("$defs").or_insert_with(|| json!({}))
    {
        definitions.extend(moved);
    }
    walk::each_mut(adapted, &mut |members| {
        let here = members.get("$ref").and_then(Value::as_str).and_then(|text| settled.get(text).cloned());
        match here {
            Some(Some(here)) => _ = members.insert("$ref".to_owned(), here.into()),
            Some(None) => _ = members.shift_remove("$ref"),
            None => {}
        }
    });
    cut_circles(adapted);
}

/// Drops references by which a schema would have to be applied to the same place for ever.
fn cut_circles(root: &mut Value) {
    let mut circles = HashSet::new();
    let mut done = HashSet::new();
    let mut starts = references(root);
    starts.push("#".to_owned());
    for start in starts {
        trace(root, &start, &mut Vec::new(), &mut done, &mut circles);
    }
    if circles.is_empty() {
        return;
    }
    let holders: HashSet<String> = circles.iter().map(|(holder, _)| holder.clone()).collect();
    for holder in holders {
        let pointer = holder.trim_start_matches('#').to_owned();
        if let Some(schema) = root.pointer_mut(&pointer) {
            walk::each_mut(schema, &mut |members| {
                let text = members.get("$ref").and_then(Value::as_str).unwrap_or_default();
                if circles.contains(&(holder.clone(), text.to_owned())) {
                    members.shift_remove("$ref");
                }
            });
        }
    }
}

/// Follows references that apply to the same place; `above` are those that led here.
fn trace(
    root: &Value,
    at: &str,
    above: &mut Vec<String>,
    done: &mut HashSet<String>,
    circles: &mut HashSet<(String, String)>,
) {
    if done.contains(at) || above.len() > 1_000 {
        return;
    }
    above.push(at.to_owned());
    for next in target(root, at).into_iter().flat_map(same_place) {
        if above.contains(&next) {
            circles.insert((at.to_owned(), next));
        } else {
            trace(root, &next, above, done, circles);
        }
    }
    above.pop();
    done.insert(at.to_owned());
}

/// The references in a schema that apply to the same place as it.
fn same_place(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![schema];
    while let Some(schema) = open.pop() {
        if let Value::Object(members) = schema {
            found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            open.extend(walk::in_place(members));
        }
    }
    found
}

fn references(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk::each(schema, &mut |_, schema| {
        found.extend(schema.get("$ref").and_then(Value::as_str).map(str::to_owned));
    });
    found
}

fn places(schema: &Value) -> HashSet<String> {
    let mut places = HashSet::new();
    walk::each(schema, &mut |pointer, _| {
        places.insert(pointer.to_owned());
    });
    places
}

/// Schemas by the names that they give themselves, as references write them.
fn anchors(schema: &Value) -> HashMap<String, &Value> {
    let mut anchors = HashMap::new();
    walk::each(schema, &mut |_, schema| {
        let named = ["$anchor", "$dynamicAnchor"].into_iter().filter_map(|name| schema.get(name)?.as_str());
        for name in named {
            anchors.entry(format!("#{name}")).or_insert(schema);
        }
        for id in ["$id", "id"].into_iter().filter_map(|name| schema.get(name)?.as_str()) {
            anchors.entry(id.to_owned()).or_insert(schema);
        }
    });
    anchors
}

/// Whether everybody reads a reference alike.
fn is_plain(reference: &str) -> bool {
    reference.starts_with('#')
        && reference[1..]
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '$' | '_' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(mut schema: Value) -> Value {
        let original = schema.clone();
        // As an adaptation does with an unknown keyword.
        if let Value::Object(root) = &mut schema {
            root.shift_remove("components");
        }
        settle(&mut schema, &original, &Value::clone);
        schema
    }

    #[test]
    fn plain_references_stay() {
        let schema = json!({"$defs": {"n": {"properties": {"next": {"$ref": "#/$defs/n"}, "root": {"$ref": "#"}}}}, "properties": {"a": {"$ref": "#/$defs/n"}}});
        assert_eq!(settled(schema.clone()), schema);
    }

    #[test]
    fn what_would_be_lost_is_moved() {
        let schema = json!({
            "components": {"a": {"type": "string"}}, "$defs": {"b c": {"type": "integer"}, "d": {"$anchor": "d", "type": "boolean"}},
            "properties": {"a": {"$ref": "#/components/a"}, "b": {"$ref": "#/$defs/b%20c"}, "d": {"$ref": "#d"}, "e": {"$ref": "https://x/y", "title": "t"}},
        });
        let schema = settled(schema);
        let type_of = |name: &str| {
            let reference = schema["properties"][name]["$ref"].as_str().expect("a reference");
            assert!(is_plain(reference), "{reference}");
            target(&schema, reference).expect("a target")["type"].clone()
        };
        assert_eq!(
            (type_of("a"), type_of("b"), type_of("d")),
            (json!("string"), json!("integer"), json!("boolean"))
        );
        assert_eq!(schema["properties"]["e"], json!({"title": "t"}));
    }

    #[test]
    fn endless_references_are_cut_and_recursive_data_is_not() {
        assert_eq!(settled(json!({"$ref": "#"})), json!({}));
        let schema = settled(
            json!({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"}),
        );
        let validator = jsonschema::validator_for(&schema).expect("it compiles");
        assert!(validator.is_valid(&json!({"x": 1})));
        let tree = json!({"$ref": "#/$defs/n", "$defs": {"n": {"properties": {"children": {"items": {"$ref": "#/$defs/n"}}}}}});
        assert_eq!(settled(tree.clone()), tree);
    }
}
