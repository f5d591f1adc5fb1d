//! The endpoint config of a consent flow, as far as it is given before: whether it fits, what the schema
//! adds to it, and how it is shown.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::capture::config::secrets;
use crate::dev::schema::compile;
use crate::failure::{Code, Failure};

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
    let what = format!("--endpoint-config does not fit the connector's schema: {}", mistakes.join("; "));
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
    let known: BTreeSet<String> =
        secrets::secrets(schema, config).into_iter().map(|(_, text)| text).collect();
    conceal(config, &known, with);
}

fn conceal(value: &mut Value, known: &BTreeSet<String>, with: &str) {
    let is_secret = match value {
        Value::Object(members) => {
            return members.values_mut().for_each(|member| conceal(member, known, with));
        }
        Value::Array(items) => return items.iter_mut().for_each(|item| conceal(item, known, with)),
        // Of a URL the password alone is known.
        Value::String(text) => {
            known.contains(text) || text.contains("://") && known.iter().any(|known| text.contains(known))
        }
        Value::Number(number) => known.contains(&number.to_string()),
        Value::Bool(_) | Value::Null => false,
    };
    if is_secret {
        *value = with.into();
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
        let mut config = json!({"key": "k", "shop": "s"});
        mask(&schema, &mut config, "****");
        assert_eq!(config, json!({"key": "****", "shop": "s"}));
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
            "url": "****", "proxy": {"host": "h"},
        });
        assert_eq!(config, masked);
    }
}
