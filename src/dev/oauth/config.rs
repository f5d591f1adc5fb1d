//! The endpoint config of a consent flow, as far as it is given before: whether it fits, what the schema
//! adds to it, and how it is shown.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::capture::config::secrets;
use crate::dev::schema::compile;
use crate::failure::{Code, Failure};

/// Shorter secrets are not looked for within other values.
const TELLING: usize = 6;

/// The config that templates get: the capture's own, without the credentials that consent is to bring,
/// and what is given in place of it.
pub(super) fn given(own: Value, instead: &Map<String, Value>) -> Map<String, Value> {
    let mut config = match own {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    config.shift_remove("credentials");
    config.extend(instead.clone());
    config
}

/// Holds a config without credentials against the schema, as `flowctl raw oauth` does.
pub(super) fn check(schema: &Value, config: &Map<String, Value>) -> Result<(), Failure> {
    let wrong = |what: String| Failure::new(Code::NO_OAUTH2, what);
    let mut rest = schema.clone();
    let required = rest.get_mut("required").and_then(Value::as_array_mut);
    let place = required.as_ref().and_then(|required| required.iter().position(|name| name == "credentials"));
    let (Some(required), Some(place)) = (required, place) else {
        return Err(wrong(
            "the config schema does not require `credentials`, where Flow puts what consent brings"
                .to_owned(),
        ));
    };
    required.remove(place);
    let validator = compile(&rest).map_err(|what| wrong(format!("the config schema {what}")))?;
    let mistakes: Vec<String> = validator
        .iter_errors(&Value::Object(config.clone()))
        .map(|error| format!("{}: {}", error.instance_path(), error.masked()))
        .collect();
    if mistakes.is_empty() {
        return Ok(());
    }
    let what = format!(
        "the config does not fit the connector's schema (--endpoint-config gives members of it): {}",
        mistakes.join("; ")
    );
    Err(Failure::new(Code::ENDPOINT_CONFIG, what))
}

/// The properties that have only one value in the branch of this provider, such as the one that tells
/// which branch it is.
pub(super) fn constants(schema: &Value, provider: &str) -> Map<String, Value> {
    let credentials = &schema["properties"]["credentials"];
    let branches = ["oneOf", "anyOf"].iter().filter_map(|keyword| credentials[*keyword].as_array()).flatten();
    let bound = branches.chain([credentials]).find(|branch| branch["x-oauth2-provider"] == provider);
    let properties = bound.and_then(|bound| bound["properties"].as_object()).into_iter().flatten();
    properties.filter_map(|(name, schema)| Some((name.clone(), schema.get("const")?.clone()))).collect()
}

/// Masks the secrets of a config, as far as they are known to be some.
pub(super) fn mask(schema: &Value, config: &mut Value, with: &str) {
    let known = secrets::secrets(schema, config);
    conceal(config, "", &known, with);
}

fn conceal(value: &mut Value, name: &str, known: &BTreeSet<(String, String)>, with: &str) {
    let is_secret = |text: &str| known.contains(&(name.to_owned(), text.to_owned()));
    match value {
        Value::Object(members) => {
            members.iter_mut().for_each(|(name, member)| conceal(member, name, known, with));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| conceal(item, name, known, with)),
        Value::String(text) if is_secret(text) => *value = with.into(),
        Value::Number(number) if is_secret(&number.to_string()) => *value = with.into(),
        // Of a URL or a connection string, the password alone.
        Value::String(text) => {
            for (_, part) in known.iter().filter(|(_, part)| part.len() >= TELLING) {
                if text.contains(part.as_str()) {
                    *text = text.replace(part.as_str(), with);
                }
            }
        }
        Value::Number(_) | Value::Bool(_) | Value::Null => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_rest_of_a_config_is_checked() {
        let schema = json!({"required": ["credentials", "shop"], "properties": {"shop": {"type": "string"}}});
        let config = |value: Value| value.as_object().cloned().expect("an object");
        assert!(check(&schema, &config(json!({"shop": "acme"}))).is_ok());
        let failure = check(&schema, &config(json!({"shop": 12345}))).expect_err("no text");
        assert!(failure.message.contains("/shop") && !failure.message.contains("12345"), "{failure}");
        for schema in [json!({}), json!(true)] {
            assert!(check(&schema, &Map::new()).is_err());
        }
    }

    #[test]
    fn a_branch_tells_its_constants_and_secrets_are_masked() {
        let schema = json!({"properties": {"key": {"secret": true}, "credentials": {"oneOf": [
            {"properties": {"type": {"const": "key"}}},
            {"x-oauth2-provider": "acme", "properties": {"type": {"const": "oauth"}, "token": {}}},
        ]}}});
        assert_eq!(Value::Object(constants(&schema, "acme")), json!({"type": "oauth"}));
        let mut config = json!({"key": "k", "shop": "k", "token_url": "https://key.example/token"});
        mask(&schema, &mut config, "****");
        let masked = json!({"key": "****", "shop": "k", "token_url": "https://key.example/token"});
        assert_eq!(config, masked, "a secret of one letter hides nothing else");
    }

    #[test]
    fn secrets_in_branches_lists_and_urls_are_masked() {
        let schema = json!({
            "properties": {
                "auth": {"oneOf": [{"properties": {"kind": {"const": "key"}, "pin": {"airbyte_secret": true}}}]},
                "keys": {"items": {"$ref": "#/definitions/a%20key"}},
            },
            "definitions": {"a key": {"format": "password"}},
        });
        let mut config = json!({
            "auth": {"kind": "key", "pin": 1234}, "keys": ["one", "two"], "api_token": "t0k", "shop": "s", "on": true,
            "url": "https://me:hunter22@host/", "proxy": {"host": "h"},
        });
        mask(&schema, &mut config, "****");
        let masked = json!({
            "auth": {"kind": "key", "pin": "****"}, "keys": ["****", "****"], "api_token": "****", "shop": "s", "on": true,
            "url": "https://me:****@host/", "proxy": {"host": "h"},
        });
        assert_eq!(config, masked);
    }
}
