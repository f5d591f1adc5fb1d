//! Which values of a config are secrets.
//!
//! Those at locations that a schema marks (`secret`, `airbyte_secret`, `writeOnly`, format
//! `password`), through `oneOf`, arrays and references; those whose name tells it, because specs
//! miss some and taps mark few (airbyte-protocol.md, 5.11); and passwords inside URLs. How they are
//! masked is `log`'s business.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::json::schema::refs;
use crate::log;

/// Parts of names that tell a secret.
const NAME_PARTS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "apikey",
    "private_key",
    "privatekey",
    "access_key",
    "accesskey",
    "credential",
    "sqlalchemy_url",
    "connection_string",
];
/// Ends of names that are about a secret and hold none, such as `token_refresh_endpoint`.
const HARMLESS_ENDS: &[&str] = &[
    "_title",
    "_type",
    "_method",
    "_endpoint",
    "_uri",
    "_date",
    "_at",
    "_in",
    "_name",
    "_names",
    "_path",
    "_strategy",
    "_count",
];

/// Whether a member of this name holds a secret when it holds text.
pub fn tells_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    NAME_PARTS.iter().any(|part| name.contains(part)) && !HARMLESS_ENDS.iter().any(|end| name.ends_with(end))
}

/// Keeps the secrets of this config out of every later log line.
pub fn hide(schema: &Value, config: &Value) {
    log::hide(secrets(schema, config));
}

/// The secrets of a config: the names of members and their values.
pub fn secrets(schema: &Value, config: &Value) -> BTreeSet<(String, String)> {
    let mut found = Found { root: schema, secrets: marked(schema, config) };
    found.named(config, "");
    found.secrets
}

/// Only those that the schema marks.
pub(super) fn marked(schema: &Value, config: &Value) -> BTreeSet<(String, String)> {
    let mut found = Found { root: schema, secrets: BTreeSet::new() };
    found.marked(&[schema], config, "");
    found.secrets
}

struct Found<'a> {
    root: &'a Value,
    secrets: BTreeSet<(String, String)>,
}

impl Found<'_> {
    /// Walks a value beside the schemas that may describe it. Which branch of a `oneOf` applies is
    /// not asked: too much is masked rather than too little.
    fn marked(&mut self, schemas: &[&Value], value: &Value, name: &str) {
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
                    self.marked(&of_member, member, name);
                }
            }
            Value::Array(items) => {
                let of_item: Vec<&Value> =
                    schemas.iter().filter_map(|schema| schema.get("items")).flat_map(one_or_list).collect();
                for item in items {
                    self.marked(&of_item, item, name);
                }
            }
            _ => {}
        }
    }

    /// Secrets that no schema marks.
    fn named(&mut self, value: &Value, name: &str) {
        match value {
            Value::Object(members) => members.iter().for_each(|(name, member)| self.named(member, name)),
            Value::Array(items) => items.iter().for_each(|item| self.named(item, name)),
            Value::String(text) => {
                if tells_secret(name) {
                    self.add(name, text);
                }
                if let Some(password) = password_in_url(text) {
                    self.add("password", password);
                    // Drivers print it as it is meant, not as a URL has to write it.
                    if let Ok(meant) = percent_decode_str(password).decode_utf8() {
                        self.add("password", &meant);
                    }
                }
            }
            _ => {}
        }
    }

    fn all(&mut self, value: &Value, name: &str) {
        match value {
            Value::Object(members) => members.iter().for_each(|(name, member)| self.all(member, name)),
            Value::Array(items) => items.iter().for_each(|item| self.all(item, name)),
            Value::String(text) => self.add(name, text),
            Value::Number(number) => self.add(name, &number.to_string()),
            Value::Bool(_) | Value::Null => {}
        }
    }

    fn add(&mut self, name: &str, text: &str) {
        self.secrets.insert((name.to_owned(), text.to_owned()));
        // A key file pasted as text: upstream reads it and prints its members.
        if let Ok(inner @ Value::Object(_)) = serde_json::from_str(text) {
            self.named(&inner, name);
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

fn member_schemas<'a>(schema: &'a Value, name: &str) -> Vec<&'a Value> {
    if let Some(own) = schema.get("properties").and_then(|properties| properties.get(name)) {
        return vec![own];
    }
    let patterns = schema.get("patternProperties").and_then(Value::as_object);
    let patterns = patterns.into_iter().flat_map(|patterns| patterns.values());
    schema.get("additionalProperties").into_iter().chain(patterns).collect()
}

/// The password of `scheme://user:password@host`.
fn password_in_url(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#', ' ']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    let (_, password) = user.split_once(':')?;
    (!password.is_empty()).then_some(password)
}

#[cfg(test)]
mod tests {
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
    fn names_tell_secrets_that_nobody_marked() {
        for name in ["client_secret", "apiKey", "Password", "refresh-token", "access_token", "sqlalchemy_url"]
        {
            assert!(tells_secret(name), "{name}");
        }
        for name in ["token_refresh_endpoint", "credentials_title", "start_date", "host", "token_expiry_date"]
        {
            assert!(!tells_secret(name), "{name}");
        }
        let key_file = json!({"type": "service_account", "private_key": "-----BEGIN\nabc"}).to_string();
        let config = json!({"url": "postgres://me:hunter22@host/db", "x": {"credentials_json": key_file}});
        let found = values(&Value::Null, &config);
        assert_eq!(found, [key_file.as_str(), "hunter22", "-----BEGIN\nabc"]);
        let config = json!({"url": "postgres://me:hunter%4022@host/db"});
        assert_eq!(values(&Value::Null, &config), ["hunter%4022", "hunter@22"]);
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
