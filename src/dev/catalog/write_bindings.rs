//! `raw discover --write`: the streams that were found become bindings and collections of the
//! flow.yaml.
//!
//! Lines are inserted in place of `bindings: []`, or behind the last binding, so that comments and the order
//! of the rest stay. What comes out is read again, and compared with what it should say, before the file is
//! replaced. A binding that is there stays as it is, and so does a collection.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::resource;
use super::yaml::{Located, parse, wrong};
use crate::failure::Failure;
use crate::flow::message::DiscoveredBinding;
use crate::flow::name;

/// The annotation that carries the source's whole schema: long, and Open can discover it again.
const SOURCE_SCHEMA: &str = "x-source-schema";

/// Writes the bindings of streams that a capture does not have into its file. `pointers`: where a resource
/// config says which stream it is of.
pub(crate) fn write(
    capture: &Located<'_>,
    name: &str,
    found: &[DiscoveredBinding],
    pointers: &[String],
) -> Result<(), Failure> {
    let file = capture.file;
    let there = bound(capture, pointers)?;
    let path = |binding: &&DiscoveredBinding| {
        let resource = serde_json::from_slice(&binding.resource_config_json).unwrap_or_default();
        !resource::path(&resource, pointers).is_ok_and(|path| there.contains(&path))
    };
    let new: Vec<DiscoveredBinding> = found.iter().filter(path).cloned().collect();
    let shown = file.display();
    if new.is_empty() && !there.is_empty() {
        tracing::info!("{shown} has a binding for each of the {} streams already", found.len());
        return Ok(());
    }
    let text =
        std::fs::read_to_string(file).map_err(|error| wrong(file, format!("cannot be read: {error}")))?;
    let (bindings, collections) = described(name, &new);
    let changed = insert(&text, name, &bindings, &collections).ok_or_else(|| {
        wrong(
            file,
            "bindings can be written only in place of a line `bindings: []` of the capture, or behind a list of bindings \
             with a line for each",
        )
    })?;
    replace(file, &changed).map_err(|error| wrong(file, format!("cannot be written: {error}")))?;
    let count = bindings.len();
    match there.len() {
        0 => tracing::info!("{count} bindings and their collections are in {shown}"),
        known => tracing::info!(
            "{count} new bindings and their collections are in {shown}, beside the {known} that it had"
        ),
    }
    Ok(())
}

/// The resource paths of the bindings that a capture has, disabled ones too.
fn bound(capture: &Located<'_>, pointers: &[String]) -> Result<Vec<Vec<String>>, Failure> {
    let Some(bindings) = capture.get("bindings") else { return Ok(Vec::new()) };
    let path = |binding: &Located<'_>| {
        let (resource, _) = binding.need("resource")?.resolve()?;
        resource::path(&resource, pointers)
            .map_err(|what| binding.wrong(&format!("has a resource that {what}")))
    };
    bindings.items()?.iter().map(path).collect()
}

/// Puts a whole new file in place of the old one, with its permissions.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    // Behind a link, the file that it leads to.
    let file = file.canonicalize()?;
    let mut fresh = tempfile::NamedTempFile::new_in(file.parent().unwrap_or(Path::new(".")))?;
    fresh.write_all(text.as_bytes())?;
    std::fs::set_permissions(fresh.path(), std::fs::metadata(&file)?.permissions())?;
    fresh.persist(&file)?;
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
    let code = |line: &str| line.split(" #").next().unwrap_or(line).trim().to_owned();
    lines.iter().enumerate().find_map(|(at, line)| {
        let indent = line.len() - line.trim_start().len();
        let (upto, block, from) = match &*code(line) {
            "bindings: []" => (at, block(&json!({"bindings": bindings}), indent)?, at + 1),
            "bindings:" => {
                let end = end_of_list(&lines, at);
                let first =
                    lines.get(at + 1..end)?.iter().find(|line| line.trim_start().starts_with("- "))?;
                let indent = first.len() - first.trim_start().len();
                (end, block(&json!(bindings), indent)?, end)
            }
            _ => return None,
        };
        let changed = [&lines[..upto], &[block.as_str()], &lines[from..]].concat().join("\n") + "\n";
        parse(&changed).is_ok_and(|value| value == expected).then_some(changed)
    })
}

/// The line behind the last item of the list below a line.
fn end_of_list(lines: &[&str], heading: usize) -> usize {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let outer = indent(lines[heading]);
    let mut end = heading + 1;
    for (at, line) in lines.iter().enumerate().skip(heading + 1) {
        let text = line.trim_start();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if indent(line) < outer || indent(line) == outer && !text.starts_with("- ") {
            break;
        }
        end = at + 1;
    }
    end
}

/// The file as it is to be read afterwards.
fn with_values(
    mut value: Value,
    capture: &str,
    bindings: &[Value],
    collections: &Map<String, Value>,
) -> Value {
    let there = value["captures"][capture]["bindings"].as_array().cloned().unwrap_or_default();
    value["captures"][capture]["bindings"] = there.iter().chain(bindings).cloned().collect();
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
    fn more_bindings_come_behind_those_that_are_there() {
        for text in [
            "captures:\n  a/b:\n    bindings:\n      - resource: {stream: x}\n        target: a/b/x\n      # the end\n    interval: 5m\n",
            "captures:\n  a/b:\n    bindings: # mine\n    - resource: {stream: x}\n      target: a/b/x\n    interval: 5m\ncollections:\n  a/b/x: {key: [/mine]}\n",
        ] {
            let changed = written(text, &[found("y")]).expect("it can be written");
            let value = parse(&changed).expect("YAML");
            let bindings = &value["captures"]["a/b"]["bindings"];
            assert_eq!(bindings[0], json!({"resource": {"stream": "x"}, "target": "a/b/x"}), "{changed}");
            assert_eq!(bindings[1]["target"], "a/b/y");
            assert_eq!(value["captures"]["a/b"]["interval"], "5m");
            assert!(value["collections"]["a/b/y"].is_object());
        }
        assert_eq!(written("captures:\n  a/b:\n    bindings: [{target: x}]\n", &[found("y")]), None);
    }

    #[test]
    fn what_cannot_be_inserted_is_refused() {
        assert_eq!(written("captures: {a/b: {bindings: []}}\n", &[found("x")]), None);
    }
}
