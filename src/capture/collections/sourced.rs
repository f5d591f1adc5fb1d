//! Sourced schemas: what upstream says its documents look like, told to Flow when a session begins
//! and when upstream says otherwise.
//!
//! Only collections whose schema Flow infers make use of them. Flow unites all that it is told, so a
//! schema that states no more than those before it is not sent again: MySQL taps print properties in
//! random order, and SDK taps repeat a child's schema for every parent (singer-protocol.md, 3.1).

use serde_json::Value;
use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_64;

use super::bindings::BoundBinding;
use super::meta;
use crate::flow::message::SourcedSchema;
use crate::json::shape::Shape;
use crate::shim::definition::Definition;
use crate::shim::schema::DocumentMeta;

/// What Flow was told of each stream.
pub(crate) struct Sourced {
    meta: DocumentMeta,
    /// By position; `None` where Flow does not infer.
    streams: Vec<Option<Told>>,
}

#[derive(Default)]
struct Told {
    binding: u32,
    /// The union of all that was told; `None` while nothing was.
    shape: Option<Shape>,
    /// Of the text of the last schema that upstream printed.
    last: Option<u64>,
}

impl Sourced {
    /// For bindings whose collections Flow infers, unless the shim wants none.
    pub(crate) fn new(definition: &Definition, bound: &[BoundBinding]) -> Self {
        let told = |binding: &BoundBinding| {
            let infers = definition.schema.sourced && binding.infers;
            infers.then(|| Told { binding: binding.index, ..Told::default() })
        };
        Self { meta: definition.document.meta, streams: bound.iter().map(told).collect() }
    }

    /// The message for what upstream says of a stream; `None` where Flow knows it.
    pub(crate) fn told(&mut self, stream: usize, schema: &Value) -> Option<SourcedSchema> {
        let told = self.streams[stream].as_mut()?;
        let shape = Shape::of(schema);
        if !shape.has_members() {
            return None;
        }
        let united = told.shape.as_ref().map_or_else(|| shape.clone(), |before| before.or(&shape));
        if told.shape.as_ref() == Some(&united) {
            return None;
        }
        told.shape = Some(united);
        let own = schema.pointer("/properties/_meta");
        let schema_json = document(&shape, meta::shape(own, self.meta)).to_string().into_bytes();
        Some(SourcedSchema { binding: told.binding, schema_json })
    }

    /// The same for a schema that upstream prints while it is read. What is no JSON schema says
    /// nothing.
    pub(crate) fn printed(&mut self, stream: usize, schema: &RawValue) -> Option<SourcedSchema> {
        let told = self.streams[stream].as_mut()?;
        let text = Some(xxh3_64(schema.get().as_bytes()));
        if told.last == text {
            return None;
        }
        told.last = text;
        let schema: Value = serde_json::from_str(schema.get()).ok()?;
        self.told(stream, &schema)
    }
}

/// The schema of documents: an object, with our `_meta`.
fn document(shape: &Shape, meta: Value) -> Value {
    let mut schema = shape.closed();
    schema["type"] = "object".into();
    schema["properties"]["_meta"] = meta;
    match schema["required"].as_array_mut() {
        Some(required) => {
            required.retain(|name| name != "_meta");
            required.push("_meta".into());
        }
        None => schema["required"] = serde_json::json!(["_meta"]),
    }
    schema
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sourced() -> Sourced {
        Sourced { meta: DocumentMeta::Full, streams: vec![Some(Told::default()), None] }
    }

    fn raw(schema: &Value) -> Box<RawValue> {
        RawValue::from_string(schema.to_string()).expect("JSON")
    }

    #[test]
    fn only_what_widens_is_told() {
        let mut sourced = sourced();
        let narrow = json!({"properties": {"a": {"type": "integer"}, "b": {"type": "string"}}});
        let message = sourced.told(0, &narrow).expect("a message");
        let schema: Value = serde_json::from_slice(&message.schema_json).expect("JSON");
        assert_eq!(schema["required"], json!(["_meta"]));
        assert_eq!(schema["properties"]["_meta"]["required"], json!(["uuid", "row_id", "op"]));
        let swapped = json!({"properties": {"b": {"type": "string"}, "a": {"type": "integer"}}});
        assert!(sourced.printed(0, &raw(&swapped)).is_none());
        assert!(sourced.printed(0, &raw(&swapped)).is_none());
        let wide = json!({"properties": {"a": {"type": "number"}, "b": {"type": "string"}, "c": {}}});
        assert!(sourced.printed(0, &raw(&wide)).is_some());
        assert!(sourced.printed(0, &raw(&narrow)).is_none(), "Flow unites them");
    }

    #[test]
    fn nothing_is_told_where_nothing_is_known_or_inferred() {
        let mut sourced = sourced();
        assert!(sourced.told(1, &json!({"properties": {"a": {}}})).is_none());
        assert!(sourced.told(0, &json!({"type": "object"})).is_none());
        assert!(sourced.printed(0, &raw(&json!(true))).is_none());
    }
}
