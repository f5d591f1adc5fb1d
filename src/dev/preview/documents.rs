//! What Flow checks in each document: the write schema and the key (flow-protocol.md, section 3.1).
//!
//! Violations are counted by where they are; the first ones are named in the log. Values are never
//! shown. A document that is not even an object that can take `/_meta/uuid` is a break of protocol.

use std::collections::BTreeMap;

use jsonschema::error::ValidationErrorKind;
use serde_json::{Map, Value};

use crate::dev::driver::rules::Rule;
use crate::dev::schema::compile;
use crate::failure::{Code, Failure};
use crate::flow::message::Binding;
use crate::json::pointer::escape;

/// How many violations are named.
const NAMED: u64 = 10;
/// How many different places are counted apart; names of members may come from data.
const PLACES: usize = 1000;
/// What Flow puts at `/_meta/uuid` before it validates.
const UUID: &str = "DocUUIDPlaceholder-329Bb50aa48EAa9ef";

/// The checks of one binding's documents.
#[derive(Debug)]
pub(super) struct DocumentChecks {
    stream: String,
    validator: jsonschema::Validator,
    key: Vec<String>,
}

/// A place in a stream's documents that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Violation {
    /// The resource path.
    pub(super) stream: String,
    /// Where in the document.
    pub(super) pointer: String,
    /// The schema's keyword, `key`, or a rule.
    pub(super) keyword: String,
}

/// All violations so far.
#[derive(Debug, Default)]
pub(super) struct Violations {
    /// How often each was seen.
    pub(super) places: BTreeMap<Violation, u64>,
    /// Documents with at least one.
    pub(super) documents: u64,
    seen: u64,
}

impl DocumentChecks {
    /// Compiles the write schema of a binding's collection.
    pub(super) fn new(binding: &Binding) -> Result<Self, Failure> {
        let collection = binding.collection.clone().unwrap_or_default();
        let schema: Value = serde_json::from_slice(&collection.write_schema_json).unwrap_or_default();
        let validator = compile(&schema).map_err(|what| {
            Failure::new(
                Code::COLLECTION_SCHEMA,
                format!("the schema of collection {} {what}", collection.name),
            )
        })?;
        Ok(Self { stream: binding.resource_path.join("/"), validator, key: collection.key })
    }

    /// Checks one document. The error is a break of protocol.
    pub(super) fn check(&self, document: &[u8], number: u64, into: &mut Violations) -> Result<(), Failure> {
        let parsed = serde_json::from_slice(document);
        let mut value: Value = parsed.map_err(|_| self.breaks(number, "is not valid JSON"))?;
        let Some(members) = value.as_object_mut() else {
            return Err(self.breaks(number, "is not an object"));
        };
        let meta = members.entry("_meta").or_insert_with(|| Map::new().into());
        let Some(meta) = meta.as_object_mut() else {
            return Err(
                self.breaks(number, "has a _meta that is not an object, where Flow must put its uuid")
            );
        };
        let before = into.seen;
        // R10: it is Flow's own.
        if meta.insert("uuid".to_owned(), UUID.into()).is_some() {
            into.add(self.violation("/_meta/uuid".to_owned(), &Rule::R10.to_string()), number);
        }
        if !self.validator.is_valid(&value) {
            for error in self.validator.iter_errors(&value) {
                into.add(self.violation(place(&error), error.kind().keyword()), number);
            }
        }
        for pointer in &self.key {
            if !value.pointer(pointer).is_some_and(is_scalar) {
                into.add(self.violation(pointer.clone(), "key"), number);
            }
        }
        into.documents += u64::from(into.seen > before);
        Ok(())
    }

    fn violation(&self, pointer: String, keyword: &str) -> Violation {
        Violation { stream: self.stream.clone(), pointer, keyword: keyword.to_owned() }
    }

    fn breaks(&self, number: u64, what: &str) -> Failure {
        let stream = &self.stream;
        Failure::new(
            Code::CONNECTOR_PROTOCOL,
            format!("a document of {stream} (message {number} on stdout) {what}"),
        )
    }
}

impl Violations {
    fn add(&mut self, violation: Violation, number: u64) {
        self.seen += 1;
        if self.seen <= NAMED {
            let Violation { stream, pointer, keyword } = &violation;
            tracing::error!(stream, pointer, keyword, document = number, "a document is not valid");
        }
        if self.places.len() < PLACES || self.places.contains_key(&violation) {
            *self.places.entry(violation).or_default() += 1;
        }
    }

    /// The failure of a capture that had any.
    pub(super) fn failure(&self) -> Option<Failure> {
        let documents = self.documents;
        let worst = self.places.iter().max_by_key(|(_, count)| **count)?.0;
        let Violation { stream, pointer, keyword } = worst;
        let violate = if documents == 1 { "document violates" } else { "documents violate" };
        Some(Failure::new(
            Code::INVALID_DOCUMENTS,
            format!(
                "{documents} {violate} the collection's schema or key, most often {keyword} at {pointer:?} of {stream}"
            ),
        ))
    }
}

/// A key must be a string, a number or a boolean.
fn is_scalar(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Array(_) | Value::Object(_))
}

/// A required member that is missing is where it should be.
fn place(error: &jsonschema::ValidationError<'_>) -> String {
    let path = error.instance_path().as_str();
    match error.kind() {
        ValidationErrorKind::Required { property: Value::String(name) } => {
            format!("{path}/{}", escape(name))
        }
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::flow::message::CollectionSpec;

    fn checks(schema: &Value, key: &[&str]) -> Result<DocumentChecks, Failure> {
        DocumentChecks::new(&Binding {
            resource_path: vec!["public".to_owned(), "users".to_owned()],
            collection: Some(CollectionSpec {
                name: "x/users".to_owned(),
                key: key.iter().map(|&pointer| pointer.to_owned()).collect(),
                write_schema_json: schema.to_string().into_bytes(),
            }),
            ..Default::default()
        })
    }

    fn found(schema: &Value, key: &[&str], document: &Value) -> Vec<(String, String)> {
        let mut violations = Violations::default();
        let checks = checks(schema, key).expect("it compiles");
        checks.check(document.to_string().as_bytes(), 7, &mut violations).expect("it is an object");
        violations.places.into_keys().map(|violation| (violation.pointer, violation.keyword)).collect()
    }

    fn at(pointer: &str, keyword: &str) -> Vec<(String, String)> {
        vec![(pointer.to_owned(), keyword.to_owned())]
    }

    #[test]
    fn violations_are_where_they_are() {
        let schema = json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "required": ["a/b"],
            "properties": {"n": {"type": "integer", "secret": true}, "t": {"type": "string", "format": "date-time"}},
            "x-infer-schema": true, "reduce": {"strategy": "merge"}});
        assert_eq!(found(&schema, &[], &json!({"a/b": 1, "n": 1, "t": "2024-01-01T00:00:00Z"})), []);
        assert_eq!(found(&schema, &[], &json!({})), at("/a~1b", "required"));
        assert_eq!(found(&schema, &[], &json!({"a/b": 1, "n": "x"})), at("/n", "type"));
        assert_eq!(found(&schema, &[], &json!({"a/b": 1, "t": "2024-01-01 00:00:00"})), at("/t", "format"));
    }

    #[test]
    fn keys_are_scalars() {
        let schema = json!({"type": "object"});
        assert_eq!(found(&schema, &["/id"], &json!({"id": 0})), []);
        assert_eq!(found(&schema, &["/id"], &json!({"id": null})), at("/id", "key"));
        assert_eq!(found(&schema, &["/id"], &json!({"id": {}})), at("/id", "key"));
        assert_eq!(found(&schema, &["/_meta/row_id"], &json!({"_meta": {}})), at("/_meta/row_id", "key"));
    }

    #[test]
    fn the_uuid_is_left_to_flow() {
        assert_eq!(found(&json!({}), &[], &json!({"_meta": {"uuid": null}})), at("/_meta/uuid", "R10"));
    }

    #[test]
    fn flows_own_uuid_is_there_when_documents_are_validated() {
        let schema =
            json!({"type": "object", "required": ["_meta"], "properties": {"_meta": {"required": ["uuid"]}}});
        assert_eq!(found(&schema, &[], &json!({})), []);
    }

    #[test]
    fn what_is_no_document_breaks_the_protocol() {
        let checks = checks(&json!({}), &[]).expect("it compiles");
        for document in ["[]", "{\"_meta\":1}", "{\"_meta\":null}", "nul"] {
            let failure =
                checks.check(document.as_bytes(), 7, &mut Violations::default()).expect_err(document);
            assert_eq!(failure.code, Code::CONNECTOR_PROTOCOL);
            assert!(failure.message.contains("public/users (message 7"), "{failure}");
        }
    }

    #[test]
    fn documents_are_counted_once_and_values_are_not_shown() {
        let checks = checks(
            &json!({"required": ["a", "b"], "additionalProperties": false, "properties": {"_meta": {}}}),
            &["/id"],
        )
        .expect("it compiles");
        let mut violations = Violations::default();
        for _ in 0..3 {
            checks.check(br#"{"x":"hunter2"}"#, 1, &mut violations).expect("it is an object");
        }
        assert_eq!(violations.documents, 3);
        assert_eq!(violations.places.len(), 4);
        let failure = violations.failure().expect("there are some");
        assert!(
            failure.message.starts_with("3 documents violate") && !failure.message.contains("hunter2"),
            "{failure}"
        );
        assert_eq!(failure.cause().exit_code(), 1);
    }

    #[test]
    fn a_schema_that_is_wrong_is_named() {
        let failure = checks(&json!({"properties": {"a": {"type": 3}}}), &[]).expect_err("it is wrong");
        assert!(
            failure.message.contains("x/users") && failure.message.contains("/properties/a/type"),
            "{failure}"
        );
        let old = json!({"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"a": {"items": [{}]}}});
        assert!(checks(&old, &[]).is_ok());
    }
}
