//! Which values of a config are secrets.
//!
//! A schema's own marks come first: `secret`, `airbyte_secret`, `writeOnly` and format `password`,
//! through `oneOf`, arrays and references; a mark that is `false` says that a value is none. Of the
//! rest, names decide (`names`), because specs miss some and taps mark few (airbyte-protocol.md,
//! 5.11). What a text holds is looked at too (`parts`). How secrets are masked is `log`'s business.

mod names;
mod parts;

use std::collections::BTreeSet;

use serde_json::Value;

pub use names::tells_secret;

use crate::json::schema::refs;
use crate::log;

/// How deep texts are looked into: a key file in base64, in JSON.
const DEEPEST: usize = 4;

/// Keeps the secrets of this config out of every later log line.
pub fn hide(schema: &Value, config: &Value) {
    log::hide(secrets(schema, config));
}

/// The secrets of a config: the names of members and their values.
pub fn secrets(schema: &Value, config: &Value) -> BTreeSet<(String, String)> {
    found(schema, config, true)
}

/// Only those that the schema marks.
pub(super) fn marked(schema: &Value, config: &Value) -> BTreeSet<(String, String)> {
    found(schema, config, false)
}

fn found(schema: &Value, config: &Value, by_name: bool) -> BTreeSet<(String, String)> {
    let mut found = Found { root: schema, by_name, secrets: BTreeSet::new() };
    found.walk(&[schema], config, "");
    found.secrets
}

struct Found<'a> {
    root: &'a Value,
    /// Whether names and texts are looked at, beside marks.
    by_name: bool,
    secrets: BTreeSet<(String, String)>,
}

impl Found<'_> {
    /// Walks a value beside the schemas that may describe it. Which branch of a `oneOf` applies is
    /// not asked: too much is masked rather than too little.
    fn walk(&mut self, schemas: &[&Value], value: &Value, name: &str) {
        let schemas = branches(self.root, schemas);
        if schemas.iter().any(|schema| is_marked(schema)) {
            let constant = schemas.iter().any(|schema| schema.get("const") == Some(value));
            if !constant {
                self.all(value, name);
            }
            return;
        }
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    let of_member: Vec<&Value> =
                        schemas.iter().flat_map(|schema| member_schemas(schema, name)).collect();
                    self.walk(&of_member, member, name);
                }
            }
            Value::Array(items) => {
                let of_item: Vec<&Value> =
                    schemas.iter().filter_map(|schema| schema.get("items")).flat_map(one_or_list).collect();
                for item in items {
                    self.walk(&of_item, item, name);
                }
            }
            Value::String(text) if self.by_name && !schemas.iter().any(|schema| is_marked_open(schema)) => {
                self.text(text, name, DEEPEST);
            }
            _ => {}
        }
    }

    /// A text that no schema marks.
    fn text(&mut self, text: &str, name: &str, depth: usize) {
        if tells_secret(name) {
            self.add(name, text, depth);
            return;
        }
        self.inside(text, name, depth);
    }

    /// What a text holds.
    fn inside(&mut self, text: &str, name: &str, depth: usize) {
        let Some(depth) = depth.checked_sub(1) else { return };
        for (name, value) in parts::assigned(text).into_iter().chain(parts::passwords(text)) {
            self.secrets.insert((name, value));
        }
        // A key file pasted as text: upstream reads it and prints its members.
        if let Some(inner) = parts::object(text) {
            self.members(&inner, name, depth);
        }
    }

    /// Members that no schema describes.
    fn members(&mut self, value: &Value, name: &str, depth: usize) {
        match value {
            Value::Object(members) => {
                members.iter().for_each(|(name, member)| self.members(member, name, depth));
            }
            Value::Array(items) => items.iter().for_each(|item| self.members(item, name, depth)),
            Value::String(text) => self.text(text, name, depth),
            _ => {}
        }
    }

    fn all(&mut self, value: &Value, name: &str) {
        match value {
            Value::Object(members) => members.iter().for_each(|(name, member)| self.all(member, name)),
            Value::Array(items) => items.iter().for_each(|item| self.all(item, name)),
            Value::String(text) => self.add(name, text, DEEPEST),
            Value::Number(number) => {
                self.secrets.insert((name.to_owned(), number.to_string()));
            }
            Value::Bool(_) | Value::Null => {}
        }
    }

    /// A secret, with what it holds.
    fn add(&mut self, name: &str, text: &str, depth: usize) {
        if !self.secrets.insert((name.to_owned(), text.to_owned())) {
            return;
        }
        self.inside(text, name, depth);
        if depth == 0 {
            return;
        }
        if let Some(bare) = parts::without_scheme(text) {
            self.add(name, bare, depth - 1);
        }
        if let Some(decoded) = parts::decoded(text) {
            if let Some((_, password)) = decoded.split_once(':').filter(|_| !decoded.contains(['\n', '{'])) {
                self.secrets.insert((name.to_owned(), password.to_owned()));
            }
            self.add(name, &decoded, depth - 1);
        }
    }
}

/// The schemas with all that they refer to and choose between.
fn branches<'a>(root: &'a Value, schemas: &[&'a Value]) -> Vec<&'a Value> {
    let mut all: Vec<&Value> = Vec::new();
    let mut open: Vec<&Value> = schemas.to_vec();
    while let Some(schema) = open.pop() {
        // References may form a circle.
        if all.iter().any(|seen| std::ptr::eq(*seen, schema)) {
            continue;
        }
        all.push(schema);
        for keyword in ["oneOf", "anyOf", "allOf", "if", "then", "else"] {
            open.extend(schema.get(keyword).into_iter().flat_map(one_or_list));
        }
        open.extend(refs::referenced(root, schema));
    }
    all
}

fn one_or_list(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |list| list.iter().collect())
}

/// Whether a schema marks its values as secret.
pub fn is_marked(schema: &Value) -> bool {
    ["secret", "airbyte_secret", "writeOnly"]
        .iter()
        .any(|keyword| schema.get(keyword) == Some(&Value::Bool(true)))
        || schema.get("format").and_then(Value::as_str) == Some("password")
}

/// Whether a schema says that its values are no secrets.
fn is_marked_open(schema: &Value) -> bool {
    ["secret", "airbyte_secret"].iter().any(|keyword| schema.get(keyword) == Some(&Value::Bool(false)))
}

fn member_schemas<'a>(schema: &'a Value, name: &str) -> Vec<&'a Value> {
    if let Some(own) = schema.get("properties").and_then(|properties| properties.get(name)) {
        return vec![own];
    }
    let patterns = schema.get("patternProperties").and_then(Value::as_object);
    let patterns = patterns.into_iter().flat_map(|patterns| patterns.values());
    schema.get("additionalProperties").into_iter().chain(patterns).collect()
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    use super::*;

    fn values(schema: &Value, config: &Value) -> Vec<String> {
        secrets(schema, config).into_iter().map(|(_, value)| value).collect()
    }

    #[test]
    fn marked_locations_are_found_through_branches_lists_and_references() {
        let schema = json!({
            "definitions": {"Key": {"type": "string", "airbyte_secret": true}},
            "properties": {
                "auth": {"oneOf": [
                    {"properties": {"kind": {"const": "key"}, "a": {"writeOnly": true}}},
                    {"anyOf": [{"properties": {"b": {"$ref": "#/definitions/Key"}}}]},
                ]},
                "list": {"type": "array", "items": {"properties": {"c": {"secret": true}}}},
                "map": {"additionalProperties": {"format": "password"}},
                "whole": {"secret": true},
                "circle": {"$ref": "#"},
            },
        });
        let config = json!({
            "auth": {"kind": "key", "a": "1-a", "b": "2-b"},
            "list": [{"c": "3-c"}, {"c": 4}],
            "map": {"x": "5-x"},
            "whole": {"deep": ["6-deep"]},
            "circle": {"whole": "7-whole", "open": "no"},
            "open": "no",
        });
        assert_eq!(values(&schema, &config), ["1-a", "2-b", "3-c", "4", "6-deep", "7-whole", "5-x"]);
    }

    #[test]
    fn a_mark_comes_before_a_name() {
        let schema = json!({"properties": {
            "token_url": {"secret": true}, "api_token": {"airbyte_secret": false}, "password": {"type": "string"},
        }});
        let config =
            json!({"token_url": "https://a.example/1", "api_token": "none-at-all", "password": "hunter22"});
        assert_eq!(values(&schema, &config), ["hunter22", "https://a.example/1"]);
    }

    #[test]
    fn what_texts_hold_is_found() {
        let key_file = json!({"type": "service_account", "private_key": "-----BEGIN\nabc"}).to_string();
        let config = json!({"url": "postgres://me:hunter22@host/db", "x": {"credentials_json": key_file}});
        let found = values(&Value::Null, &config);
        assert_eq!(found, [key_file.as_str(), "hunter22", "-----BEGIN\nabc"]);
        let config = json!({"url": "postgres://me:hunter%4022@host/db"});
        assert_eq!(values(&Value::Null, &config), ["hunter%4022", "hunter@22"]);
        let config = json!({"service_account_info": STANDARD.encode(&key_file)});
        assert!(
            values(&Value::Null, &config).contains(&"-----BEGIN\nabc".to_owned()),
            "a key file in base64"
        );
        let config =
            json!({"headers": {"Authorization": format!("Basic {}", STANDARD.encode("me:hunter22"))}});
        assert!(values(&Value::Null, &config).contains(&"hunter22".to_owned()), "what a header encodes");
        let config = json!({"dsn": "Server=a;User Id=me;Password=hunter22;", "endpoint": "https://a/?api_key=abc123&x=1"});
        assert_eq!(values(&Value::Null, &config), ["hunter22", "abc123"]);
    }

    #[test]
    fn a_marked_secret_is_found_at_any_depth() {
        let schema = json!({"properties": {"pin": {"secret": true}, "below": {"$ref": "#"}}});
        let mut config = json!({"pin": "0-pin"});
        for _ in 0..60 {
            config = json!({"below": config});
        }
        assert_eq!(values(&schema, &config), ["0-pin"]);
    }
}
