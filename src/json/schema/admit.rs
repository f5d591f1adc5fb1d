//! Lets documents have a member that a closed schema does not know.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::{refs, walk};

/// Admits the member in every schema that applies to the whole document and would refuse it.
pub fn admit(root: &mut Value, name: &str) {
    for place in places(root) {
        let Some(Value::Object(members)) = root.pointer_mut(&place) else { continue };
        // Neither knows of the member.
        members.shift_remove("propertyNames");
        members.shift_remove("maxProperties");
        if !is_closed(members) {
            continue;
        }
        let properties = members.entry("properties").or_insert_with(|| json!({}));
        if let Value::Object(properties) = properties {
            properties.entry(name).or_insert(Value::Bool(true));
        }
    }
}

fn is_closed(members: &Map<String, Value>) -> bool {
    ["additionalProperties", "unevaluatedProperties"]
        .iter()
        .any(|keyword| members.get(*keyword).is_some_and(|others| others != &Value::Bool(true)))
}

/// Pointers to the schemas that apply to the whole document.
fn places(root: &Value) -> Vec<String> {
    let mut pointers = HashMap::new();
    walk::each(root, &mut |pointer, schema| {
        pointers.insert(std::ptr::from_ref(schema), pointer.to_owned());
    });
    let (mut open, mut seen) = (vec![root], HashSet::new());
    while let Some(schema) = open.pop() {
        if !seen.insert(std::ptr::from_ref(schema)) {
            continue;
        }
        if let Value::Object(members) = schema {
            open.extend(walk::in_place(members));
            open.extend(refs::referenced(root, schema));
        }
    }
    seen.into_iter().filter_map(|schema| pointers.remove(&schema)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_schemas_take_the_member_wherever_they_are() {
        let mut schema = json!({
            "$ref": "#/$defs/a", "allOf": [{"additionalProperties": {"type": "string"}}, {"propertyNames": {"maxLength": 1}}],
            "$defs": {"a": {"additionalProperties": false, "properties": {"x": {"additionalProperties": false}}}},
        });
        let inner = schema["$defs"]["a"]["properties"]["x"].clone();
        admit(&mut schema, "_meta");
        let validator = jsonschema::validator_for(&schema).expect("it compiles");
        assert!(validator.is_valid(&json!({"_meta": {}})));
        assert!(!validator.is_valid(&json!({"other": {}})));
        assert_eq!(schema["$defs"]["a"]["properties"]["x"], inner);
    }

    #[test]
    fn open_schemas_stay_as_they_are() {
        let mut schema = json!({"properties": {"a": {}}, "additionalProperties": true});
        let before = schema.clone();
        admit(&mut schema, "_meta");
        assert_eq!(schema, before);
    }
}
