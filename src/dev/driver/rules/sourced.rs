//! Sourced schemas (R14): they compile, have `_meta`, and are closed: no location that declares members
//! allows others (flow-protocol.md, section 3.3).

use serde_json::Value;

use super::Rule;
use crate::dev::schema::compile;
use crate::failure::Failure;
use crate::flow::message::SourcedSchema;
use crate::json::pointer::escape;

const UNIONS: [&str; 3] = ["allOf", "anyOf", "oneOf"];
const BRANCHES: [&str; 2] = ["then", "else"];
/// Deeper references are taken to be closed: they are recursive.
const DEPTH: usize = 64;

/// Checks the sourced schema of a binding that messages call `name`.
pub(in crate::dev::driver) fn check(sourced: &SourcedSchema, name: &str) -> Result<(), Failure> {
    let schema = serde_json::from_slice(&sourced.schema_json).unwrap_or_default();
    let broken = |what: String, remedy: &str| {
        let what = format!("the sourced schema of {name} {what}");
        Err(Rule::R14.broken(what, remedy).with("binding", sourced.binding))
    };
    if let Err(what) = compile(&schema) {
        return broken(what, "send a JSON schema");
    }
    if let Some(place) = open_location(&schema) {
        let what = format!("is not closed: {place:?} declares properties and allows others");
        return broken(what, "set `additionalProperties: false` there");
    }
    if schema.pointer("/properties/_meta").is_none() {
        return broken("has no `_meta`".to_owned(), "describe `_meta` with its members, `uuid` among them");
    }
    Ok(())
}

/// The first location that is open, as a pointer into the schema; `None` where all are closed.
fn open_location(schema: &Value) -> Option<String> {
    Walk { root: schema }.open(schema, String::new(), false, DEPTH)
}

struct Walk<'a> {
    root: &'a Value,
}

impl Walk<'_> {
    /// `covered`: whether the schema around this one, of the same location, is closed.
    fn open(&self, schema: &Value, pointer: String, covered: bool, depth: usize) -> Option<String> {
        let members = schema.as_object().filter(|_| depth > 0)?;
        let covered = covered || forbids_others(schema);
        let declares = ["properties", "patternProperties"]
            .iter()
            .any(|keyword| schema.get(keyword).and_then(Value::as_object).is_some_and(|map| !map.is_empty()));
        if declares && may_be_object(schema) && !covered {
            return Some(pointer);
        }
        for (keyword, value) in members {
            let below = format!("{pointer}/{keyword}");
            let found = match keyword.as_str() {
                "properties" | "patternProperties" => self.open_in_map(value, &below, depth),
                "items" | "prefixItems" if value.is_array() => self.open_in_list(value, &below, false, depth),
                "items" | "additionalProperties" | "additionalItems" | "contains" => {
                    self.open(value, below, false, depth - 1)
                }
                union if UNIONS.contains(&union) => self.open_in_list(value, &below, covered, depth),
                branch if BRANCHES.contains(&branch) => self.open(value, below, covered, depth - 1),
                "$ref" => {
                    let target = value.as_str().and_then(|target| target.strip_prefix('#'));
                    let target = target.and_then(|target| Some((target, self.root.pointer(target)?)));
                    target.and_then(|(at, target)| self.open(target, at.to_owned(), covered, depth - 1))
                }
                _ => None,
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn open_in_map(&self, map: &Value, pointer: &str, depth: usize) -> Option<String> {
        let map = map.as_object()?;
        map.iter().find_map(|(name, schema)| {
            self.open(schema, format!("{pointer}/{}", escape(name)), false, depth - 1)
        })
    }

    fn open_in_list(&self, list: &Value, pointer: &str, covered: bool, depth: usize) -> Option<String> {
        let list = list.as_array()?;
        list.iter()
            .enumerate()
            .find_map(|(index, schema)| self.open(schema, format!("{pointer}/{index}"), covered, depth - 1))
    }
}

fn forbids_others(schema: &Value) -> bool {
    ["additionalProperties", "unevaluatedProperties"]
        .iter()
        .any(|keyword| schema.get(keyword) == Some(&Value::Bool(false)))
}

fn may_be_object(schema: &Value) -> bool {
    match schema.get("type") {
        Some(Value::String(name)) => name == "object",
        Some(Value::Array(names)) => names.iter().any(|name| name == "object"),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sourced_schemas_are_schemas_and_closed() {
        let sourced = |schema: &str| SourcedSchema { binding: 0, schema_json: schema.as_bytes().to_vec() };
        let refused =
            |schema: &str| check(&sourced(schema), "binding 0").err().map(|failure| failure.message);
        assert_eq!(refused(r#"{"properties":{"_meta":{}},"additionalProperties":false}"#), None);
        assert!(refused(r#"{"properties":{"_meta":{}}}"#).is_some_and(|why| why.contains("not closed")));
        assert!(
            refused(r#"{"properties":{},"additionalProperties":false}"#)
                .is_some_and(|why| why.contains("_meta"))
        );
        assert!(refused("").is_some());
    }

    #[test]
    fn open_locations_are_found_at_any_depth() {
        let closed = json!({"type": "object", "additionalProperties": false, "properties": {
            "a": {"type": "object"}, "b": {"type": "string", "properties": {"x": {}}}}});
        assert_eq!(open_location(&closed), None);
        assert_eq!(open_location(&json!({"properties": {"a": {}}})), Some(String::new()));
        let open = json!({"additionalProperties": false, "properties": {
            "a/b": {"type": ["array", "null"], "items": {"type": "object", "properties": {"x": {}}}}}});
        assert_eq!(open_location(&open).as_deref(), Some("/properties/a~1b/items"));
        let union = json!({"properties": {}, "anyOf": [{"properties": {"x": {}}, "additionalProperties": false}, {"properties": {"y": {}}}]});
        assert_eq!(open_location(&union).as_deref(), Some("/anyOf/1"));
    }

    #[test]
    fn a_closed_schema_closes_its_branches() {
        let schema = json!({"unevaluatedProperties": false, "allOf": [{"properties": {"x": {}}}]});
        assert_eq!(open_location(&schema), None);
    }

    #[test]
    fn references_are_followed_and_may_be_recursive() {
        let schema = json!({"$ref": "#/$defs/node", "$defs": {"node": {"additionalProperties": false, "properties": {
            "next": {"$ref": "#/$defs/node"}, "leaf": {"$ref": "#/$defs/leaf"}}}, "leaf": {"properties": {"x": {}}}}});
        assert_eq!(open_location(&schema).as_deref(), Some("/$defs/leaf"));
    }
}
