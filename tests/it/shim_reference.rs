//! The table of keys in `docs/shim-yaml.md` is what the schema of `shim.yaml` says.

use serde_json::{Map, Value};

use crate::harness::repository;

/// What stands around the table.
const BEGIN: &str = "<!-- begin: made from the schema -->\n";
const END: &str = "<!-- end: made from the schema -->\n";
const HEAD: &str = "| key | value | meaning |\n| --- | --- | --- |\n";

fn rows() -> String {
    let schema = flow_shim::shim::published::schema();
    let schema: Value = serde_json::to_value(&schema).expect("JSON");
    let mut rows = String::new();
    members("", &schema, &schema["$defs"], &mut rows);
    rows
}

/// Writes the table anew where it is not.
#[test]
fn the_reference_of_shim_yaml_is_in_step_with_its_schema() {
    let file = repository("docs/shim-yaml.md");
    let text = std::fs::read_to_string(&file).expect("the page");
    let (before, rest) = text.split_once(BEGIN).expect("the table's begin");
    let (found, after) = rest.split_once(END).expect("the table's end");
    let expected = format!("{HEAD}{}", rows());
    if found != expected {
        let text = format!("{before}{BEGIN}{expected}{END}{after}");
        std::fs::write(&file, text).expect("a writable file");
        panic!(
            "docs/shim-yaml.md was not in step with the schema; it has been written anew: look at it and commit it"
        );
    }
}

#[test]
fn what_is_said_beside_the_reference_is_of_its_keys_in_their_order() {
    let keys = |text: &str| -> Vec<String> {
        let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
        rows.filter_map(|row| row.split('`').next()).map(str::to_owned).collect()
    };
    let text = std::fs::read_to_string(repository("docs/shim-yaml.md")).expect("the page");
    let (_, by_hand) = text.split_once("## More about some").expect("a section");
    let said = keys(by_hand);
    assert!(said.len() > 20, "{said:?}");
    let mut expected = keys(&rows());
    expected.retain(|key| said.contains(key));
    assert_eq!(said, expected);
}

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
