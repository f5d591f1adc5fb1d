//! Fills a config with the defaults of its schema, and takes out what the schema does not know.
//!
//! Connectors do neither (airbyte-protocol.md, 1.1 and surprise 17): some die without a value that
//! their specification has a default for, others refuse members that Flow added.

use serde_json::Value;

use super::branch::{chosen, resolve, validates};
use super::pointer;
use super::schema::adapt;
use super::schema::types::Types;

/// Alternatives of a schema, of which a config is of one.
const ALTERNATIVES: [&str; 2] = ["oneOf", "anyOf"];
/// Configs and schemas deeper than this are taken for circles.
const DEPTH: usize = 64;

/// Puts in the defaults that are missing, inside the chosen branch of a `oneOf` too. Objects that are
/// missing are not made up, and a default that its own schema refuses is left out.
pub fn fill(config: &mut Value, schema: &Value) {
    Filling { root: schema, on_trial: false }.fill_in(&[schema], config, 0);
}

#[derive(Clone, Copy)]
struct Filling<'a> {
    root: &'a Value,
    /// Whether this completes a default to see whether it fits then.
    on_trial: bool,
}

impl<'a> Filling<'a> {
    fn fill_in(self, schemas: &[&'a Value], value: &mut Value, depth: usize) {
        if depth > DEPTH || !(value.is_object() || value.is_array()) {
            return;
        }
        let mut parts = Vec::new();
        for schema in schemas {
            self.fill_here(schema, value, &mut parts, depth);
        }
        each_below(&parts, value, |below, value, _| self.fill_in(below, value, depth + 1));
    }

    /// Fills in the members of one object. Its own defaults come first: they may say which branch it is of.
    fn fill_here(self, schema: &'a Value, value: &mut Value, parts: &mut Vec<&'a Value>, depth: usize) {
        let schema = resolve(self.root, schema);
        if parts.iter().any(|part| std::ptr::eq(*part, schema)) {
            return;
        }
        parts.push(schema);
        if let (Value::Object(members), Some(properties)) = (&mut *value, schema["properties"].as_object()) {
            for (name, property) in properties {
                if members.contains_key(name) {
                    continue;
                }
                if let Some(default) = self.default(property, depth) {
                    members.insert(name.clone(), default);
                }
            }
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.fill_here(part, value, parts, depth);
        }
        for branches in ALTERNATIVES.iter().filter_map(|name| schema[*name].as_array()) {
            if let Some(branch) = chosen(self.root, branches, value) {
                self.fill_here(branch, value, parts, depth);
            }
        }
    }

    /// The default of a property, as it stands or completed by the defaults of its own members. `None`
    /// where its own schema refuses it: published sources have a 0 below the `minimum`, a `{}` that no
    /// branch of a `oneOf` takes, a list where one number is meant. Filled in, it would spoil a good config.
    fn default(self, property: &'a Value, depth: usize) -> Option<Value> {
        let default = default(self.root, property)?;
        if is_taken(self.root, property, default) {
            return Some(default.clone());
        }
        if self.on_trial || !(default.is_object() || default.is_array()) {
            return None;
        }
        let mut completed = default.clone();
        Self { on_trial: true, ..self }.fill_in(&[property], &mut completed, depth + 1);
        is_taken(self.root, property, &completed).then_some(completed)
    }
}

/// Whether a schema takes a value. Of one that is no JSON schema, which some vendors publish, only the
/// keywords count that are valid.
fn is_taken(root: &Value, schema: &Value, value: &Value) -> bool {
    let adapted = || validates(&adapt::config(root), &adapt::config(schema), value);
    validates(root, schema, value).or_else(adapted).unwrap_or(true)
}

/// Calls with every value below this one, what the parts of its schema say of it, and its name.
pub(super) fn each_below<'a>(
    parts: &[&'a Value],
    value: &mut Value,
    mut call: impl FnMut(&[&'a Value], &mut Value, &str),
) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let below: Vec<&Value> =
                    parts.iter().filter_map(|part| part["properties"].get(name.as_str())).collect();
                call(&below, member, name);
            }
        }
        Value::Array(list) => {
            let below: Vec<&Value> =
                parts.iter().map(|part| &part["items"]).filter(|items| items.is_object()).collect();
            for (index, item) in list.iter_mut().enumerate() {
                call(&below, item, &index.to_string());
            }
        }
        _ => {}
    }
}

/// The default of a property as it is written. Specifications have objects whose default is text (airbyte-protocol.md,
/// 7.1), and null says no more than a member that is missing.
fn default<'a>(root: &'a Value, property: &'a Value) -> Option<&'a Value> {
    let own = property.get("default");
    let schema = resolve(root, property);
    let default = own.or_else(|| schema.get("default")).filter(|default| !default.is_null())?;
    let fits_type = match schema.get("type") {
        Some(types) => Types::of_keyword(types).take(default),
        None => default.is_object() || !schema["properties"].is_object(),
    };
    fits_type.then_some(default)
}

/// Takes out the members that a schema with `additionalProperties: false` does not know, and gives
/// pointers to where they were.
pub fn remove_unknown(config: &mut Value, schema: &Value) -> Vec<String> {
    let mut removed = Vec::new();
    remove(schema, &[schema], config, &mut Vec::new(), &mut removed);
    removed
}

fn remove(
    root: &Value,
    schemas: &[&Value],
    value: &mut Value,
    path: &mut Vec<String>,
    removed: &mut Vec<String>,
) {
    if path.len() > DEPTH || schemas.is_empty() {
        return;
    }
    let mut parts = Vec::new();
    for schema in schemas {
        collect(root, schema, value, &mut parts);
    }
    let closed = parts.iter().any(|part| part["additionalProperties"] == false)
        && parts.iter().all(|part| part.get("patternProperties").is_none());
    if let (Value::Object(members), true) = (&mut *value, closed) {
        members.retain(|name, _| {
            let known = parts.iter().any(|part| part["properties"].get(name.as_str()).is_some());
            if !known {
                removed.push(pointer::from_path(path) + &pointer::from_path(&[name]));
            }
            known
        });
    }
    each_below(&parts, value, |below, value, name| {
        path.push(name.to_owned());
        remove(root, below, value, path, removed);
        path.pop();
    });
}

/// The parts of a schema that speak of a value. Where no branch can be told to be the chosen one, all
/// of them may know a member.
pub(super) fn collect<'a>(root: &'a Value, schema: &'a Value, value: &Value, parts: &mut Vec<&'a Value>) {
    let schema = resolve(root, schema);
    if parts.iter().any(|part| std::ptr::eq(*part, schema)) {
        return;
    }
    parts.push(schema);
    for part in schema["allOf"].as_array().into_iter().flatten() {
        collect(root, part, value, parts);
    }
    for branches in ALTERNATIVES.iter().filter_map(|name| schema[*name].as_array()) {
        match chosen(root, branches, value) {
            Some(branch) => collect(root, branch, value, parts),
            None => branches.iter().for_each(|branch| collect(root, branch, value, parts)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn spec() -> Value {
        json!({
            "type": "object", "additionalProperties": false, "required": ["count"],
            "properties": {
                "count": {"type": "integer", "default": 1000},
                "format": {"type": "object", "default": "csv", "properties": {"a": {"type": "string", "default": "x"}}},
                "nothing": {"type": ["string", "null"], "default": null},
                "wrong": {"type": "string", "enum": ["a"], "default": "b"},
                "whole": {"type": "number", "default": 1.5},
                "credentials": {"type": "object", "oneOf": [
                    {"additionalProperties": false, "properties": {"auth": {"const": "key", "default": "key"}, "region": {"type": "string", "default": "us"}}},
                    {"properties": {"auth": {"const": "oauth"}, "scope": {"$ref": "#/definitions/scope"}, "client_id": {"type": "string"}}},
                ]},
                "streams": {"type": "array", "items": {"type": "object", "properties": {"days": {"type": "integer", "default": 3}}}},
            },
            "definitions": {"scope": {"type": "string", "default": "read"}},
        })
    }

    fn filled(mut config: Value) -> Value {
        fill(&mut config, &spec());
        config
    }

    #[test]
    fn defaults_are_filled_in_and_what_is_there_stays() {
        assert_eq!(filled(json!({})), json!({"count": 1000, "whole": 1.5}));
        assert_eq!(filled(json!({"count": 5, "whole": null})), json!({"count": 5, "whole": null}));
        assert_eq!(filled(json!({"format": {}}))["format"], json!({"a": "x"}));
        assert_eq!(
            filled(json!({"streams": [{}, {"days": 1}]}))["streams"],
            json!([{"days": 3}, {"days": 1}])
        );
    }

    #[test]
    fn a_default_that_its_own_schema_refuses_is_left_out() {
        for property in [
            json!({"type": "integer", "minimum": 1, "default": 0}),
            json!({"type": "integer", "exclusiveMaximum": 5, "default": 5}),
            json!({"type": "integer", "multipleOf": 5, "default": 7}),
            json!({"type": "string", "minLength": 1, "default": ""}),
            json!({"type": "string", "pattern": "^a", "default": "b"}),
            json!({"type": "array", "minItems": 1, "default": []}),
            json!({"type": "array", "uniqueItems": true, "default": [1, 1]}),
            json!({"type": "array", "items": {"type": "string"}, "default": [1]}),
            json!({"enum": [30, 60], "default": [30]}),
            json!({"const": "a", "default": "b"}),
            json!({"type": "object", "required": ["x"], "default": {}}),
            json!({"type": "object", "default": {}, "oneOf": [
                {"required": ["kind"], "properties": {"kind": {"const": "a"}}},
                {"required": ["kind"], "properties": {"kind": {"const": "b"}}},
            ]}),
            json!({"$ref": "#/$defs/positive", "default": 0}),
            json!({"not": {"type": "integer"}, "default": 0}),
        ] {
            let schema = json!({"properties": {"n": property}, "$defs": {"positive": {"minimum": 1}}});
            let mut config = json!({});
            fill(&mut config, &schema);
            assert_eq!(config, json!({}), "{schema}");
        }
    }

    #[test]
    fn a_default_that_its_members_complete_is_filled_in() {
        let inner = json!({"type": "object", "required": ["kind"], "default": {}, "properties": {"kind": {"default": "csv"}}});
        let mut config = json!({});
        fill(&mut config, &json!({"properties": {"format": inner}}));
        assert_eq!(config, json!({"format": {"kind": "csv"}}));
        let mut config = json!({});
        // A keyword that is invalid says nothing; those beside it do.
        fill(
            &mut config,
            &json!({"properties": {
                "n": {"type": "integer", "minimum": "one", "default": 0}, "m": {"minimum": "one", "enum": [1], "default": 2},
            }}),
        );
        assert_eq!(config, json!({"n": 0}));
    }

    #[test]
    fn the_chosen_branch_gives_its_own_defaults() {
        let credentials = |given: Value| filled(json!({"credentials": given}))["credentials"].clone();
        assert_eq!(credentials(json!({"auth": "key"})), json!({"auth": "key", "region": "us"}));
        assert_eq!(credentials(json!({"auth": "oauth"})), json!({"auth": "oauth", "scope": "read"}));
        assert_eq!(credentials(json!({})), json!({}), "it could be either");
        assert_eq!(credentials(json!({"client_id": "x"})), json!({"client_id": "x", "scope": "read"}));
    }

    #[test]
    fn members_that_a_closed_schema_does_not_know_go() {
        let mut config =
            json!({"count": 1, "sops": {}, "a/b": 1, "credentials": {"auth": "key", "title": "x"}});
        let removed = remove_unknown(&mut config, &spec());
        assert_eq!(removed, ["/sops", "/a~1b", "/credentials/title"]);
        assert_eq!(config, json!({"count": 1, "credentials": {"auth": "key"}}));
        let mut open = json!({"credentials": {"auth": "oauth", "title": "x"}});
        assert!(remove_unknown(&mut open, &spec()).is_empty(), "the other branch is open");
    }

    #[test]
    fn circles_end() {
        let schema = json!({"allOf": [{"$ref": "#"}], "properties": {"a": {"$ref": "#"}}, "additionalProperties": false});
        let mut config = json!({"a": {"a": {"b": 1}}});
        fill(&mut config, &schema);
        assert_eq!(remove_unknown(&mut config, &schema), ["/a/a/b"]);
    }

    proptest! {
        /// Filling in only adds, and twice is once.
        #[test]
        fn filling_in_only_adds(count in prop::option::of(any::<u8>()), auth in prop::option::of("key|oauth|other")) {
            let mut config = json!({"credentials": {}});
            if let Some(count) = count { config["count"] = json!(count); }
            if let Some(auth) = auth { config["credentials"]["auth"] = json!(auth); }
            let once = filled(config.clone());
            for (name, value) in config.as_object().expect("an object").iter().filter(|(_, value)| !value.is_object()) {
                prop_assert_eq!(&once[name], value);
            }
            prop_assert_eq!(filled(once.clone()), once);
        }
    }
}
