//! The pages of `docs/`: every relative link leads somewhere, the book has every page, and the
//! reference of `shim.yaml` is in step with its schema.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde_json::{Map, Value};

use crate::harness::repository;

/// The pages, and the documents at the top that link to them.
fn pages() -> Vec<PathBuf> {
    let docs =
        std::fs::read_dir(repository("docs")).expect("docs").map(|entry| entry.expect("an entry").path());
    let mut pages: Vec<PathBuf> =
        docs.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect();
    pages.extend(["README.md", "CONTRIBUTING.md"].map(repository));
    pages
}

/// The targets of the links in a page that lead to files.
fn links(text: &str) -> Vec<String> {
    let link = Regex::new(r"\]\(([^)\s]+)\)").expect("a pattern");
    let targets = link.captures_iter(text).map(|found| found[1].to_owned());
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")).collect()
}

/// The anchors of a page's headings, as GitHub and mdBook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
    let anchor = |heading: &str| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("a page");
        for target in links(&text) {
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path =
                if file.is_empty() { page.clone() } else { page.parent().expect("a folder").join(file) };
            let found = std::fs::read_to_string(&path)
                .map(|text| anchor.is_empty() || anchors(&text).contains(anchor));
            if !path.is_dir() && !found.unwrap_or(false) {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_book_has_every_page() {
    let summary = std::fs::read_to_string(repository("docs/SUMMARY.md")).expect("a summary");
    let listed: BTreeSet<String> = links(&summary).into_iter().collect();
    let name = |page: &Path| page.file_name().expect("a name").to_str().expect("UTF-8").to_owned();
    let docs = repository("docs");
    let there = pages().into_iter().filter(|page| page.parent() == Some(docs.as_path()));
    let there: BTreeSet<String> = there.map(|page| name(&page)).filter(|name| name != "SUMMARY.md").collect();
    assert_eq!(listed, there);
}

/// Writes the page anew where it is not.
#[test]
fn the_reference_of_shim_yaml_is_in_step_with_its_schema() {
    let schema = flow_shim::shim::published::schema();
    let schema: Value = serde_json::to_value(&schema).expect("JSON");
    let mut rows = String::new();
    members("", &schema, &schema["$defs"], &mut rows);
    let expected = format!("{HEAD}{rows}");
    let file = repository("docs/shim-yaml.md");
    if std::fs::read_to_string(&file).unwrap_or_default() != expected {
        std::fs::write(&file, expected).expect("a writable file");
        panic!(
            "docs/shim-yaml.md was not in step with the schema; it has been written anew: look at it and commit it"
        );
    }
}

const HEAD: &str = "# shim.yaml

Every key that a shim can have, made from `shim.schema.json` by the tests. All of them are optional. The
[README](../README.md#shimyaml) says more of each; editors complete and check them with the schema:
`# yaml-language-server: $schema=…/shim.schema.json`. A mistake is told with its line, its column and the nearest key.

| key | value | meaning |
| --- | --- | --- |
";

/// Adds a row for each member of an object, at any depth.
fn members(path: &str, object: &Value, definitions: &Value, rows: &mut String) {
    let named = object["properties"].as_object().cloned().unwrap_or_default();
    for (name, member) in &named {
        row(&format!("{path}{name}"), member, definitions, rows);
    }
    let entry = resolved(&object["additionalProperties"], definitions);
    if entry.get("properties").is_some() {
        row(&format!("{path}NAME"), &object["additionalProperties"], definitions, rows);
    }
}

fn row(path: &str, member: &Value, definitions: &Value, rows: &mut String) {
    let resolved = resolved(member, definitions);
    let meaning = member["description"].as_str().or(resolved["description"].as_str()).unwrap_or_default();
    let meaning = meaning.replace('\n', " ").replace('|', "\\|");
    rows.push_str(&["| `", path, "` | ", &form(resolved, definitions), " | ", &meaning, " |\n"].concat());
    members(&format!("{path}."), resolved, definitions, rows);
}

/// What a reference stands for; of something that may be null, the rest.
fn resolved<'a>(schema: &'a Value, definitions: &'a Value) -> &'a Value {
    let alternatives = schema["anyOf"].as_array();
    let first = alternatives.and_then(|all| all.iter().find(|one| one["type"] != "null"));
    let schema = first.unwrap_or(schema);
    match schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/")) {
        Some(name) => &definitions[name],
        None => schema,
    }
}

/// What a value looks like, in a few words.
fn form(schema: &Value, definitions: &Value) -> String {
    let constants = schema["oneOf"].as_array().or(schema["anyOf"].as_array());
    let constants = constants.into_iter().flatten().map(|one| one.get("const").or(one["enum"].get(0)));
    let words: Vec<&Value> =
        schema["enum"].as_array().into_iter().flatten().chain(constants.flatten()).collect();
    if !words.is_empty() {
        let words = words.iter().filter(|word| !word.is_null());
        let words: Vec<String> = words
            .map(|word| format!("`{}`", word.as_str().map_or(word.to_string(), str::to_owned)))
            .collect();
        return words.join(", ");
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        kind => kind.as_str(),
    };
    match kind {
        Some("array") => format!("list of {}", form(resolved(&schema["items"], definitions), definitions)),
        Some("object")
            if schema.get("properties").is_none_or(|found| found == &Value::Object(Map::new())) =>
        {
            match schema.get("additionalProperties").filter(|inner| inner.is_object()) {
                Some(inner) => format!("object of {}", form(resolved(inner, definitions), definitions)),
                None => "object".to_owned(),
            }
        }
        Some(kind) => kind.to_owned(),
        None => "any".to_owned(),
    }
}
