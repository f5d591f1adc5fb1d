//! Sourced schemas: what upstream says its documents look like, told to Flow when a session begins
//! and when upstream, or a record, says otherwise.
//!
//! Only collections whose schema Flow infers make use of them. Flow unites all that it is told, so a
//! schema that states no more than those before it is not sent again: MySQL taps print properties in
//! random order, and SDK taps repeat a child's schema for every parent (singer-protocol.md, 3.1).
//!
//! What is not `required` at first is optional for good (flow-protocol.md, R14). So the key and what the
//! source requires is promised, and the promise is held against every record that differs in its names from
//! all before it, which the parser notices in passing. What such a record lacks is not promised any more;
//! Flow is told with the checkpoint that commits the record.

use serde_json::Value;
use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_64;

use super::bindings::BoundBinding;
use super::meta;
use crate::flow::message::SourcedSchema;
use crate::json::pointer;
use crate::json::shape::Shape;
use crate::shim::definition::Definition;
use crate::shim::schema::DocumentMeta;

/// What Flow was told of each stream.
pub(crate) struct Sourced {
    meta: DocumentMeta,
    /// By position; `None` where Flow does not infer.
    streams: Vec<Option<Told>>,
    /// Streams whose records lack what was promised of them.
    widened: Vec<usize>,
}

#[derive(Default)]
struct Told {
    binding: u32,
    /// The collection's key, as far as it is of the source's columns.
    key: Vec<Vec<String>>,
    /// Whether documents may hold their key alone.
    may_delete: bool,
    /// The union of all that was told; `None` while nothing was.
    shape: Option<Shape>,
    /// Whether anything is promised of records.
    promises: bool,
    /// What records may have as `_meta` of their own, closed.
    own_meta: Option<Value>,
    /// Of the text of the last schema that upstream printed.
    last: Option<u64>,
}

impl Sourced {
    /// For bindings whose collections Flow infers, unless the shim wants none. `may_delete`: whether a
    /// stream's rows may be deleted by documents that hold their key alone.
    pub(crate) fn new(
        definition: &Definition,
        bound: &[BoundBinding],
        may_delete: impl Fn(usize) -> bool,
    ) -> Self {
        let told = |(stream, binding): (usize, &BoundBinding)| {
            let infers = definition.schema.sourced && binding.infers;
            let key = binding.key.iter().filter_map(|step| pointer::to_path(step));
            // What is ours is required in any case.
            let key = key.filter(|path| path.first().is_some_and(|first| first != "_meta"));
            infers.then(|| Told {
                binding: binding.index,
                key: key.collect(),
                may_delete: may_delete(stream),
                ..Told::default()
            })
        };
        let streams = bound.iter().enumerate().map(told).collect();
        Self { meta: definition.document.meta, streams, widened: Vec::new() }
    }

    /// The message for what upstream says of a stream; `None` where Flow knows it.
    pub(crate) fn told(&mut self, stream: usize, schema: &Value) -> Option<SourcedSchema> {
        let told = self.streams[stream].as_mut()?;
        let mut shape = Shape::of(schema);
        if !shape.has_members() {
            return None;
        }
        if told.may_delete {
            shape.require_nothing();
        } else {
            told.key.iter().for_each(|path| shape.require(path));
        }
        if let Some(before) = &told.shape {
            shape = before.or(&shape);
        }
        if told.shape.as_ref() == Some(&shape) {
            return None;
        }
        told.promises = shape.requires_any();
        told.shape = Some(shape);
        told.own_meta = schema.pointer("/properties/_meta").cloned();
        Some(told.message(self.meta))
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

    /// Takes notice of a record whose names differ from those before it.
    pub(crate) fn record(&mut self, stream: usize, record: &[u8]) {
        let Some(told) = self.streams[stream].as_mut().filter(|told| told.promises) else { return };
        let (Some(shape), Ok(record)) = (&mut told.shape, std::str::from_utf8(record)) else { return };
        if shape.widen_to(record) {
            told.promises = shape.requires_any();
            if !self.widened.contains(&stream) {
                self.widened.push(stream);
            }
        }
    }

    /// Whether there is such a stream.
    pub(crate) fn is_widened(&self) -> bool {
        !self.widened.is_empty()
    }

    /// The message for a stream whose records lack what was promised of them; `None` once all are told.
    pub(crate) fn widened(&mut self) -> Option<SourcedSchema> {
        let told = self.streams[self.widened.pop()?].as_ref()?;
        Some(told.message(self.meta))
    }
}

impl Told {
    fn message(&self, meta: DocumentMeta) -> SourcedSchema {
        let meta = meta::shape(self.own_meta.as_ref(), meta);
        let shape = self.shape.as_ref().map_or_else(|| serde_json::json!({}), Shape::closed);
        let schema_json = document(shape, meta).to_string().into_bytes();
        SourcedSchema { binding: self.binding, schema_json }
    }
}

/// The schema of documents: an object, with our `_meta`.
fn document(mut schema: Value, meta: Value) -> Value {
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
        Sourced { meta: DocumentMeta::Full, streams: vec![Some(Told::default()), None], widened: Vec::new() }
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

    #[test]
    fn what_a_record_lacks_is_promised_no_more() {
        let mut sourced = sourced();
        sourced.streams[0].as_mut().expect("it infers").key = vec![vec!["id".to_owned()]];
        let schema =
            json!({"required": ["a"], "properties": {"id": {"type": ["null", "integer"]}, "a": {}, "b": {}}});
        let required = |message: Option<SourcedSchema>| {
            let schema: Value =
                serde_json::from_slice(&message.expect("a message").schema_json).expect("JSON");
            schema["required"].clone()
        };
        assert_eq!(required(sourced.told(0, &schema)), json!(["a", "id", "_meta"]));
        sourced.record(0, br#"{"id":1,"a":null}"#);
        assert!(sourced.widened().is_none());
        for _ in 0..2 {
            sourced.record(0, br#"{"id":1,"b":2}"#);
        }
        assert_eq!(required(sourced.widened()), json!(["id", "_meta"]));
        assert!(sourced.widened().is_none());
        assert!(sourced.told(0, &schema).is_none(), "upstream repeats itself, and is not believed");
    }

    #[test]
    fn nothing_is_promised_of_documents_that_may_hold_their_key_alone() {
        let mut sourced = sourced();
        sourced.streams[0].as_mut().expect("it infers").may_delete = true;
        let message =
            sourced.told(0, &json!({"required": ["a"], "properties": {"a": {}}})).expect("a message");
        let schema: Value = serde_json::from_slice(&message.schema_json).expect("JSON");
        assert_eq!(schema["required"], json!(["_meta"]));
    }
}
