//! Which fields of a record could tell what is new.

use serde_json::Value;

use super::types::{self, Types};

/// The fields of a record schema whose values have an order: dates first, then numbers, then other text.
/// At most `most` of them.
pub fn candidates(schema: &Value, most: usize) -> Vec<String> {
    let properties = schema["properties"].as_object().into_iter().flatten();
    let mut found: Vec<(u8, &String)> = properties
        .filter_map(|(name, property)| {
            let types = types::at(schema, std::slice::from_ref(name))?.without(Types::NULL);
            let is_date = property["format"].as_str().is_some_and(|format| format.starts_with("date"));
            let rank = match types {
                Types::STRING if is_date => 0,
                _ if types == Types::INTEGER || types == Types::NUMBER => 1,
                Types::STRING => 2,
                _ => return None,
            };
            Some((rank, name))
        })
        .collect();
    found.sort_by_key(|(rank, _)| *rank);
    found.into_iter().take(most).map(|(_, name)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn dates_come_before_numbers_and_those_before_text() {
        let schema = json!({"properties": {
            "name": {"type": "string"}, "tags": {"type": "array"}, "id": {"type": ["null", "integer"]},
            "at": {"type": ["null", "string"], "format": "date-time"}, "on": {"type": "boolean"},
        }});
        assert_eq!(candidates(&schema, 10), ["at", "id", "name"]);
        assert_eq!(candidates(&schema, 1), ["at"]);
        assert!(candidates(&json!({}), 10).is_empty());
    }
}
