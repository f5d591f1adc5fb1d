//! The config schema as Flow takes it.

use serde_json::{Value, json};

use crate::json::schema::adapt;
use crate::json::schema::admit::admit;

/// A config schema as Flow takes it.
pub(crate) fn adapt_spec(schema: &Value) -> Value {
    let mut adapted = adapt::config(schema);
    if let Value::Object(root) = &mut adapted {
        // Flow adds `sops` to an encrypted config, and takes no root that forbids others.
        root.retain(|keyword, _| keyword != "additionalProperties" && keyword != "unevaluatedProperties");
        root.insert("type".to_owned(), "object".into());
    } else {
        adapted = json!({"type": "object"});
    }
    admit(&mut adapted, "sops");
    adapted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_is_an_object_that_may_hold_what_flow_adds() {
        let schema = json!({"additionalProperties": false, "properties": {"a": {"airbyte_secret": true}}});
        let expected = json!({"properties": {"a": {"secret": true}}, "type": "object"});
        assert_eq!(adapt_spec(&schema), expected);
        let closed =
            json!({"additionalProperties": {"type": "string"}, "allOf": [{"additionalProperties": false}]});
        let config = json!({"sops": {"mac": "x"}});
        assert!(jsonschema::validator_for(&adapt_spec(&closed)).is_ok_and(|schema| schema.is_valid(&config)));
        assert_eq!(adapt_spec(&json!(7)), json!({"type": "object"}));
    }
}
