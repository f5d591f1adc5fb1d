//! The request to Flow's encryption service, and its answer (flow-protocol.md, 4.3).

use serde_json::{Value, json};

use super::secrets;

/// The body of the request: the config and its schema, as Flow has it. Members stand in the order of
/// their names: Flow sorts them, and the checksum of the encrypted config depends on the order.
pub fn request(config: &Value, schema: &Value) -> String {
    sorted(&json!({"config": config, "schema": schema})).to_string()
}

/// The encrypted config of an answer. The error says what is wrong with it, without a word of it.
pub fn answer(text: &str, schema: &Value, config: &Value) -> Result<Value, String> {
    let sealed: Value =
        serde_json::from_str(text).map_err(|_| "the encryption service answered no JSON".to_owned())?;
    if !sealed["sops"].is_object() {
        return Err("the encryption service answered a config without `sops`".to_owned());
    }
    let plain = secrets::marked(schema, config);
    if secrets::marked(schema, &sealed).is_disjoint(&plain) {
        Ok(sealed)
    } else {
        Err("the encryption service left a secret in plain text".to_owned())
    }
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort_unstable();
            names.into_iter().map(|name| (name.clone(), sorted(&members[name]))).collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_with_a_secret_in_it_is_refused() {
        let config = json!({"password": "hunter2", "user": "hunter2"});
        let schema = json!({"properties": {"password": {"secret": true}}});
        let answer = |text: &str| answer(text, &schema, &config);
        assert!(answer(r#"{"password": "hunter2", "sops": {}}"#).is_err());
        assert!(answer(r#"{"password_sops": "ENC", "user": "hunter2", "sops": {}}"#).is_ok());
        assert!(answer(r#"{"password_sops": "ENC"}"#).is_err());
        assert!(answer("hunter2").is_err());
    }

    #[test]
    fn the_request_is_in_order() {
        assert_eq!(
            request(&json!({"z": [{"y": 1, "x": 2}], "a": 1}), &json!({})),
            r#"{"config":{"a":1,"z":[{"x":2,"y":1}]},"schema":{}}"#
        );
    }
}
