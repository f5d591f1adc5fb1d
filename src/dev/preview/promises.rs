//! What sourced schemas promise of every document, held against the documents (R14).
//!
//! Flow takes a document that breaks a promise, and widens what it infers. A connector that knows better
//! should not have promised, or say otherwise before the checkpoint.

use serde_json::Value;

use crate::flow::message::SourcedSchema;
use crate::json::shape::Shape;

/// The promises made of one binding's documents.
#[derive(Debug, Default)]
pub(super) struct Promises(Option<Promised>);

#[derive(Debug)]
struct Promised {
    /// The union of the sourced schemas.
    told: Shape,
    /// The same, without what documents lacked.
    kept: Shape,
    is_broken: bool,
}

impl Promises {
    /// Takes a sourced schema.
    pub(super) fn sourced(&mut self, sourced: &SourcedSchema) {
        let mut schema: Value = serde_json::from_slice(&sourced.schema_json).unwrap_or_default();
        if let Some(required) = schema.pointer_mut("/properties/_meta/required").and_then(Value::as_array_mut)
        {
            // Flow adds it.
            required.retain(|name| name != "uuid");
        }
        let shape = Shape::of(&schema);
        self.0 = Some(match self.0.take() {
            None => Promised { kept: shape.clone(), told: shape, is_broken: false },
            Some(Promised { told, kept, .. }) => {
                let (told, kept) = (told.or(&shape), kept.or(&shape));
                Promised { is_broken: told != kept, told, kept }
            }
        });
    }

    /// Takes a document.
    pub(super) fn document(&mut self, document: &[u8]) {
        if let Some(promised) = &mut self.0
            && let Ok(document) = std::str::from_utf8(document)
        {
            promised.is_broken |= promised.kept.widen_to(document);
        }
    }

    /// Takes a checkpoint. Gives whether documents before it broke a promise that still stands.
    pub(super) fn checkpoint(&mut self) -> bool {
        let Some(promised) = &mut self.0 else { return false };
        let is_broken = std::mem::take(&mut promised.is_broken);
        if is_broken {
            promised.told = promised.kept.clone();
        }
        is_broken
    }
}
