//! Tells Flow's user interface by which property the branches of a `oneOf` differ.
//!
//! The form needs a `discriminator`, and in every branch the property with a `const` and the same
//! `default` (flow-protocol.md, 3.4). Sources write a `const` or an `enum` of one, mostly without the
//! default (airbyte-protocol.md, 7.1).

use serde_json::{Value, json};

use super::{refs, walk};

/// Adds it to every `oneOf` whose branches have such a property.
pub fn add(schema: &mut Value) {
    let mut refers = false;
    walk::each(schema, &mut |_, part| refers |= part.get("$ref").is_some());
    let root = if refers { schema.clone() } else { Value::Null };
    walk::each_mut(schema, &mut |members| {
        let Some(Value::Array(branches)) = members.get_mut("oneOf") else { return };
        // A branch that is elsewhere is told apart here, where its `const` is not shared.
        let mut inner: Vec<Value> = branches.iter().map(|branch| inlined(&root, branch)).collect();
        let Some(name) = common(&inner) else { return };
        for branch in &mut inner {
            let property = &mut branch["properties"][&name];
            let value = only_value(property).cloned().unwrap_or_default();
            property["const"] = value.clone();
            property["default"] = value;
        }
        *branches = inner;
        if !members.contains_key("discriminator") {
            members.insert("discriminator".to_owned(), json!({ "propertyName": name }));
        }
    });
}

fn inlined(root: &Value, branch: &Value) -> Value {
    let alone = branch.as_object().is_some_and(|members| members.len() == 1);
    refs::referenced(root, branch).filter(|_| alone).unwrap_or(branch).clone()
}

/// The first property that has one value in every branch, in each another one.
fn common(branches: &[Value]) -> Option<String> {
    let first = branches.first()?["properties"].as_object()?;
    let differs = |name: &&String| {
        let values: Option<Vec<&Value>> =
            branches.iter().map(|branch| only_value(&branch["properties"][name.as_str()])).collect();
        let texts = values.map(|values| values.into_iter().map(Value::to_string).collect::<Vec<_>>());
        texts.is_some_and(|texts| {
            texts.iter().collect::<std::collections::HashSet<_>>().len() == branches.len()
        })
    };
    first.keys().find(differs).cloned()
}

/// The one value that a schema takes, by a `const` or an `enum` of one; `None` where it is not said so.
pub fn only_value(schema: &Value) -> Option<&Value> {
    schema.get("const").or_else(|| match schema["enum"].as_array()?.as_slice() {
        [only] => Some(only),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_are_told_apart_by_what_they_have_in_common() {
        let branch = |name: &str| json!({"type": "object", "properties": {"kind": {"const": "same"}, "type": {"type": "string", "enum": [name]}}});
        let mut schema = json!({"properties": {"auth": {"oneOf": [branch("a"), {"$ref": "#/$defs/b"}]}}, "$defs": {"b": branch("b")}});
        add(&mut schema);
        let auth = &schema["properties"]["auth"];
        assert_eq!(auth["discriminator"], json!({"propertyName": "type"}));
        for (branch, name) in [(0, "a"), (1, "b")] {
            let property = &auth["oneOf"][branch]["properties"]["type"];
            assert_eq!((&property["const"], &property["default"]), (&json!(name), &json!(name)));
        }
    }

    #[test]
    fn branches_without_one_are_left_alone() {
        for schema in [
            json!({"oneOf": [{"type": "string"}, {"type": "integer"}]}),
            json!({"oneOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"a": {"const": 1}}}]}),
            json!({"oneOf": []}),
        ] {
            let mut after = schema.clone();
            add(&mut after);
            assert_eq!(after, schema);
        }
    }
}
