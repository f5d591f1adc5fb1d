//! How much of `_meta` documents get (`document.meta`), and what that means for keys and schemas.

use serde_json::{Value, json};

use super::key;
use crate::json::shape::Shape;
use crate::shim::schema::DocumentMeta;

/// Whether documents hold what a collection's key needs; the error says what to do.
pub(crate) fn serves(key: &[String], meta: DocumentMeta) -> Result<(), String> {
    let lacks = |pointer: &&String| match pointer.as_str() {
        key::FALLBACK => meta == DocumentMeta::None,
        "/_meta/op" => meta != DocumentMeta::Full,
        _ => false,
    };
    match key.iter().find(lacks) {
        None => Ok(()),
        Some(pointer) => Err(format!(
            "the key {pointer} of its collection is left out of documents by `document.meta` in shim.yaml; give the \
             stream a key of its own with `streams.overrides`, or set `document.meta: full`"
        )),
    }
}

/// The schema of `_meta` in a collection's write schema; `None` where documents have none of ours. Its
/// members are required of new collections; older documents may lack them.
pub(super) fn schema(with: DocumentMeta, required: bool) -> Option<Value> {
    let op = (
        "op",
        json!({"enum": ["c", "u", "d"], "type": "string", "description": "c: created, u: updated, d: deleted"}),
    );
    let row_id =
        ("row_id", json!({"type": "integer", "description": "counts the rows of this stream, from 0"}));
    let members = match with {
        DocumentMeta::Full => vec![op, row_id],
        DocumentMeta::RowId => vec![row_id],
        DocumentMeta::None => return None,
    };
    let mut schema = json!({"type": "object"});
    if required {
        schema["required"] = members.iter().map(|(name, _)| *name).collect();
    }
    schema["properties"] = members.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    Some(schema)
}

/// The shape of `_meta` in sourced schemas: with the member that Flow adds, beside what records bring of
/// their own (flow-protocol.md, 3.3, row 26).
pub(super) fn shape(own: Option<&Value>, meta: DocumentMeta) -> Value {
    let mut shape = own.map(Shape::of).unwrap_or_default().closed();
    if shape["properties"].as_object().is_none() {
        shape = json!({"type": "object", "properties": {}, "additionalProperties": false});
    }
    shape["type"] = json!("object");
    let mut required = vec!["uuid"];
    shape["properties"]["uuid"] = json!({"type": "string", "minLength": 36, "maxLength": 36});
    if meta != DocumentMeta::None {
        shape["properties"]["row_id"] = json!({"type": "integer", "minimum": 0, "maximum": 1});
        required.push("row_id");
    }
    if meta == DocumentMeta::Full {
        shape["properties"]["op"] = json!({"type": "string", "enum": ["c", "d", "u"]});
        required.push("op");
    }
    shape["required"] = json!(required);
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_need_what_they_point_to() {
        let key = |pointer: &str| vec![pointer.to_owned()];
        assert!(serves(&key("/_meta/row_id"), DocumentMeta::RowId).is_ok());
        assert!(serves(&key("/_meta/row_id"), DocumentMeta::None).is_err());
        assert!(serves(&key("/id"), DocumentMeta::None).is_ok());
    }

    #[test]
    fn members_that_records_bring_stay() {
        let own = json!({"type": ["null", "object"], "properties": {"source": {"type": "boolean"}}});
        let shape = shape(Some(&own), DocumentMeta::None);
        assert_eq!(shape["properties"]["source"], json!({"type": "boolean"}));
        assert_eq!((&shape["type"], &shape["required"]), (&json!("object"), &json!(["uuid"])));
        assert_eq!(shape["additionalProperties"], false);
    }
}
