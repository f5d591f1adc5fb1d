//! `schema:` and `document:` of `shim.yaml`: what is published of a stream, and what is added to its
//! documents.

use schemars::JsonSchema;
use serde::Deserialize;

/// `schema:`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct SchemaSection {
    /// Whether the source's schema is a hint or a promise.
    pub mode: SchemaMode,
    /// Whether the source's shape goes to Flow as a sourced schema.
    pub sourced: bool,
    /// Whether `format: date` is published as `date-time`.
    pub date_to_datetime: bool,
}

impl Default for SchemaSection {
    fn default() -> Self {
        Self { mode: SchemaMode::Infer, sourced: true, date_to_datetime: false }
    }
}

/// What a discovered schema constrains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SchemaMode {
    /// Only the key and `_meta`; Flow infers the rest.
    #[default]
    Infer,
    /// What the source says, adapted for Flow, as airbyte-to-flow published it.
    Source,
}

/// `document:`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct DocumentSection {
    /// How much of `_meta` is added.
    pub meta: DocumentMeta,
}

/// What of `_meta` documents get.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DocumentMeta {
    /// `op` and `row_id`.
    #[default]
    Full,
    /// `row_id`, and `op` where a row is deleted.
    RowId,
    /// Nothing.
    None,
}
