//! Which branch of a `oneOf` a value is of.
//!
//! Branches of vendors' schemas overlap, and their discriminators are often optional
//! (airbyte-protocol.md, 7.1), so the constants that a value holds decide first, and validation only
//! where they leave it open.

use serde_json::{Map, Value, json};

use super::schema::discriminator::only_value;
use super::schema::refs;

/// Deeper references than this are taken for circles.
const DEPTH: usize = 16;

/// The schema that a reference within the document stands for, or the schema itself.
pub fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut at = schema;
    for _ in 0..DEPTH {
        let Some(target) = refs::referenced(root, at) else { break };
        at = target;
    }
    at
}

/// The branch that the value is of; `None` where none fits, or several do.
pub fn chosen<'a>(root: &'a Value, branches: &'a [Value], value: &Value) -> Option<&'a Value> {
    let mut best: Vec<&Value> = Vec::new();
    let mut most = 0;
    for branch in branches {
        let branch = resolve(root, branch);
        let Some(agreeing) = agreeing(root, branch, value) else { continue };
        if agreeing > most {
            best.clear();
            most = agreeing;
        }
        if agreeing == most {
            best.push(branch);
        }
    }
    if let ([only], true) = (best.as_slice(), most > 0) {
        return Some(only);
    }
    best.retain(|branch| fits(root, branch, value));
    match best.as_slice() {
        [only] => Some(only),
        _ => None,
    }
}

/// How many constants of a branch the value holds; `None` where it holds another value for one.
fn agreeing(root: &Value, branch: &Value, value: &Value) -> Option<usize> {
    let mut count = 0;
    for (name, property) in branch["properties"].as_object().into_iter().flatten() {
        let (Some(constant), Some(held)) = (only_value(resolve(root, property)), value.get(name)) else {
            continue;
        };
        if constant != held {
            return None;
        }
        count += 1;
    }
    Some(count)
}

fn fits(root: &Value, branch: &Value, value: &Value) -> bool {
    validates(root, branch, value) == Some(true)
}

/// Whether a value is valid by a schema that stands in a document; `None` where that is no JSON schema.
/// Formats do not count: few vendors mean what they write there.
pub(super) fn validates(root: &Value, schema: &Value, value: &Value) -> Option<bool> {
    let mut document = Map::new();
    for definitions in ["$defs", "definitions"] {
        if let Some(named) = root.get(definitions) {
            document.insert(definitions.to_owned(), named.clone());
        }
    }
    document.insert("allOf".to_owned(), json!([schema]));
    let validator = jsonschema::options().should_validate_formats(false).build(&Value::Object(document));
    validator.ok().map(|validator| validator.is_valid(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(branches: &Value, value: Value) -> Option<usize> {
        let branches = branches.as_array().expect("branches");
        let chosen = chosen(&Value::Null, branches, &value)?;
        branches.iter().position(|branch| std::ptr::eq(branch, chosen))
    }

    #[test]
    fn a_constant_decides_whatever_else_is_wrong() {
        let branches = json!([
            {"properties": {"type": {"const": "a"}, "n": {"type": "integer"}}},
            {"properties": {"type": {"enum": ["b"]}, "n": {"type": "integer"}}, "required": ["n"]},
        ]);
        assert_eq!(index(&branches, json!({"type": "b", "n": "no integer"})), Some(1));
        assert_eq!(index(&branches, json!({"type": "c"})), None);
        assert_eq!(index(&branches, json!({})), Some(0), "the other one needs n");
        assert_eq!(index(&branches, json!({"n": 1})), None, "both fit");
    }

    #[test]
    fn branches_may_be_elsewhere() {
        let root =
            json!({"$defs": {"a": {"properties": {"k": {"const": 1}}}, "self": {"$ref": "#/$defs/self"}}});
        let branches = [json!({"$ref": "#/$defs/a"}), json!({"$ref": "#/$defs/self", "required": ["q"]})];
        assert_eq!(chosen(&root, &branches, &json!({"k": 1})), Some(&root["$defs"]["a"]));
    }
}
