//! `raw discover --write`: the streams that were found become bindings and collections of the
//! flow.yaml.
//!
//! The text `bindings: []` of the capture is replaced, so that comments and the order of the rest stay.
//! What comes out is read again, and compared with what it should say, before the file is touched.
//! A capture that has bindings keeps them, and so does a collection that is there.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::yaml::{Located, parse, wrong};
use crate::failure::Failure;
use crate::flow::message::DiscoveredBinding;
use crate::flow::name;

/// The annotation that carries the source's whole schema: long, and Open can discover it again.
const SOURCE_SCHEMA: &str = "x-source-schema";

/// Writes the bindings into the file of a capture.
pub(crate) fn write(capture: &Located<'_>, name: &str, found: &[DiscoveredBinding]) -> Result<(), Failure> {
    if capture.value.get("bindings").is_none_or(|bindings| bindings != &json!([])) {
        return Err(capture.wrong(
            "has bindings, which are left alone; write `bindings: []` in their place to get new ones",
        ));
    }
    let file = capture.file;
    let text =
        std::fs::read_to_string(file).map_err(|error| wrong(file, format!("cannot be read: {error}")))?;
    let (bindings, collections) = described(name, found);
    let changed = insert(&text, name, &bindings, &collections).ok_or_else(|| {
        wrong(file, "bindings can be written only in place of a line `bindings: []` of the capture")
    })?;
    std::fs::write(file, changed).map_err(|error| wrong(file, format!("cannot be written: {error}")))?;
    let (count, shown) = (bindings.len(), file.display());
    tracing::info!("{count} bindings and their collections are in {shown}");
    Ok(())
}

/// The bindings of a capture, and the collections that they need.
fn described(capture: &str, found: &[DiscoveredBinding]) -> (Vec<Value>, Map<String, Value>) {
    let (mut bindings, mut collections, mut names) = (Vec::new(), Map::new(), BTreeSet::new());
    for binding in found {
        let name = (1..=found.len())
            .map(|copy| collection_name(capture, &binding.recommended_name, copy))
            .find(|name| names.insert(name.clone()))
            .unwrap_or_default();
        let resource: Value = serde_json::from_slice(&binding.resource_config_json).unwrap_or_default();
        let mut schema: Value = serde_json::from_slice(&binding.document_schema_json).unwrap_or_default();
        if let Some(members) = schema.as_object_mut() {
            members.shift_remove(SOURCE_SCHEMA);
        }
        let mut entry = json!({"resource": resource, "target": name});
        if binding.disable {
            entry["disable"] = json!(true);
        }
        bindings.push(entry);
        collections.insert(name, json!({"key": binding.key, "schema": schema}));
    }
    (bindings, collections)
}

/// The name that Flow gives the collection. A connector that recommends one name twice gets numbers.
fn collection_name(capture: &str, stream: &str, copy: usize) -> String {
    let stream = name::normalized(stream);
    if copy == 1 { format!("{capture}/{stream}") } else { format!("{capture}/{stream}_{copy}") }
}

/// The text with bindings and collections in it; `None` where that cannot be done by inserting lines.
fn insert(text: &str, capture: &str, bindings: &[Value], collections: &Map<String, Value>) -> Option<String> {
    let there = parse(text).ok()?;
    let expected = with_values(there.clone(), capture, bindings, collections);
    let missing: Map<String, Value> = collections
        .iter()
        .filter(|(name, _)| there["collections"].get(name).is_none())
        .map(|(name, collection)| (name.clone(), collection.clone()))
        .collect();
    let text = with_collections(text, &missing)?;
    // Several captures may have such a line; only the right one gives what is expected.
    let lines: Vec<&str> = text.lines().collect();
    let empty = |line: &str| line.split('#').next().is_some_and(|code| code.trim() == "bindings: []");
    lines.iter().enumerate().filter(|(_, line)| empty(line)).find_map(|(at, line)| {
        let indent = line.len() - line.trim_start().len();
        let block = block(&json!({"bindings": bindings}), indent)?;
        let changed = [&lines[..at], &[block.as_str()], &lines[at + 1..]].concat().join("\n") + "\n";
        parse(&changed).is_ok_and(|value| value == expected).then_some(changed)
    })
}

/// The file as it is to be read afterwards.
fn with_values(
    mut value: Value,
    capture: &str,
    bindings: &[Value],
    collections: &Map<String, Value>,
) -> Value {
    value["captures"][capture]["bindings"] = json!(bindings);
    for (name, collection) in collections {
        if value["collections"].get(name).is_none() {
            value["collections"][name] = collection.clone();
        }
    }
    value
}

/// The text with more collections, behind its line `collections:` or at its end.
fn with_collections(text: &str, collections: &Map<String, Value>) -> Option<String> {
    if collections.is_empty() {
        return Some(text.to_owned());
    }
    let lines: Vec<&str> = text.lines().collect();
    let heading = lines.iter().position(|line| line.trim_end() == "collections:");
    match heading {
        Some(at) => {
            let block = block(&Value::Object(collections.clone()), 2)?;
            Some([&lines[..=at], &[block.as_str()], &lines[at + 1..]].concat().join("\n") + "\n")
        }
        None => {
            Some([text.trim_end(), "\n\n", &block(&json!({"collections": collections}), 0)?, "\n"].concat())
        }
    }
}

/// A value as lines of YAML, indented.
fn block(value: &Value, indent: usize) -> Option<String> {
    let text = serde_saphyr::to_string(value).ok()?;
    let indent = " ".repeat(indent);
    let line = |line: &str| if line.is_empty() { String::new() } else { format!("{indent}{line}") };
    Some(text.trim_end().lines().map(line).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str) -> DiscoveredBinding {
        DiscoveredBinding {
            recommended_name: name.to_owned(),
            resource_config_json: json!({"stream": name, "on": "yes"}).to_string().into_bytes(),
            document_schema_json: br#"{"type":"object","x-source-schema":{"long":1}}"#.to_vec(),
            key: vec!["/id".to_owned()],
            ..Default::default()
        }
    }

    fn written(text: &str, found: &[DiscoveredBinding]) -> Option<String> {
        let (bindings, collections) = described("a/b", found);
        insert(text, "a/b", &bindings, &collections)
    }

    #[test]
    fn comments_and_other_captures_stay() {
        let text = "# top\ncaptures:\n  a/a:\n    bindings: []\n  a/b:\n    endpoint: {}  # here\n    bindings: [] # none\n";
        let changed = written(text, &[found("Odd Names"), found("Odd!Names")]).expect("it can be written");
        assert!(changed.starts_with("# top\ncaptures:\n  a/a:\n    bindings: []\n"), "{changed}");
        assert!(changed.contains("endpoint: {}  # here\n    bindings:\n"), "{changed}");
        let value = parse(&changed).expect("YAML");
        assert_eq!(value["captures"]["a/b"]["bindings"][1]["target"], "a/b/Odd_Names_2");
        assert_eq!(value["captures"]["a/b"]["bindings"][0]["resource"]["on"], "yes");
        assert_eq!(
            value["collections"]["a/b/Odd_Names"],
            json!({"key": ["/id"], "schema": {"type": "object"}})
        );
    }

    #[test]
    fn a_collection_that_is_there_stays() {
        let text = "captures:\n  a/b:\n    bindings: []\ncollections:\n  a/b/x: {key: [/mine]}\n";
        let changed = written(text, &[found("x"), found("y")]).expect("it can be written");
        let value = parse(&changed).expect("YAML");
        assert_eq!(value["collections"]["a/b/x"]["key"], json!(["/mine"]));
        assert_eq!(value["collections"]["a/b/y"]["key"], json!(["/id"]));
    }

    #[test]
    fn what_cannot_be_inserted_is_refused() {
        assert_eq!(written("captures: {a/b: {bindings: []}}\n", &[found("x")]), None);
    }
}
