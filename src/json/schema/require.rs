//! Makes a location of documents required, not null, and of given types.

use serde_json::{Map, Value, json};

use super::types::Types;

/// Adds the location to a schema. All keywords of a schema hold together, so this is enough also
/// where the location is declared elsewhere, in an `allOf` or behind a `$ref`.
pub fn require(schema: &mut Value, path: &[String], types: Types) {
    let Some((name, rest)) = path.split_first() else { return };
    require_name(schema, name);
    let Value::Object(schema) = schema else { return };
    let properties = schema.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    let Value::Object(properties) = properties else { return };
    let property = properties.entry(name.clone()).or_insert_with(|| json!({}));
    if !property.is_object() {
        *property = json!({});
    }
    if rest.is_empty() {
        property["type"] = types.to_keyword();
    } else {
        property["type"] = json!("object");
        require(property, rest, types);
    }
}

/// Makes a member required.
pub fn require_name(schema: &mut Value, name: &str) {
    let Value::Object(schema) = schema else { return };
    let required = schema.entry("required").or_insert_with(|| json!([]));
    if let Value::Array(required) = required
        && !required.iter().any(|known| known == name)
    {
        required.push(json!(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_required_and_not_null() {
        let mut schema = json!({"properties": {"a": {"type": ["null", "object"], "title": "t"}, "b": true}, "required": ["a"]});
        require(&mut schema, &["a".to_owned(), "id".to_owned()], Types::INTEGER);
        require(&mut schema, &["b".to_owned()], Types::KEY);
        let expected = json!({"properties": {
            "a": {"type": "object", "title": "t", "required": ["id"], "properties": {"id": {"type": "integer"}}},
            "b": {"type": ["boolean", "integer", "string"]},
        }, "required": ["a", "b"]});
        assert_eq!(schema, expected);
    }
}
