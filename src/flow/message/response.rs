//! What a connector answers.

use serde::{Deserialize, Serialize};

use super::spec::{ConnectorState, OAuth2};
use super::{Json, is_zero, raw_json};

/// What a connector answers; exactly one member is set.
#[derive(Clone, PartialEq, prost::Message, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Response {
    /// To Spec.
    #[prost(message, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<Spec>,
    /// To Discover.
    #[prost(message, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovered: Option<Discovered>,
    /// To Validate.
    #[prost(message, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validated: Option<Validated>,
    /// To Apply.
    #[prost(message, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied: Option<Applied>,
    /// To Open, first.
    #[prost(message, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opened: Option<Opened>,
    /// A document.
    #[prost(message, optional, tag = "6")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captured: Option<Captured>,
    /// All that came before is to be committed with this state.
    #[prost(message, optional, tag = "7")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
    /// The source's own shape of a binding's documents.
    #[prost(message, optional, tag = "8")]
    #[serde(alias = "sourced_schema", skip_serializing_if = "Option::is_none")]
    pub sourced_schema: Option<SourcedSchema>,
    /// A refresh of a binding begins: what follows replaces what was there. Newer runtimes only.
    #[prost(message, optional, tag = "9")]
    #[serde(alias = "backfill_begin", skip_serializing_if = "Option::is_none")]
    pub backfill_begin: Option<BackfillBegin>,
    /// It is complete. Newer runtimes only.
    #[prost(message, optional, tag = "10")]
    #[serde(alias = "backfill_complete", skip_serializing_if = "Option::is_none")]
    pub backfill_complete: Option<BackfillComplete>,
}

/// `Response.Spec`.
#[derive(Clone, PartialEq, prost::Message, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Spec {
    /// Always [`PROTOCOL_VERSION`].
    #[prost(uint32, tag = "1")]
    #[serde(skip_serializing_if = "is_zero")]
    pub protocol: u32,
    /// JSON schema of the endpoint config.
    #[prost(bytes = "vec", tag = "2")]
    #[serde(
        rename = "configSchema",
        alias = "config_schema_json",
        with = "raw_json",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub config_schema_json: Json,
    /// JSON schema of a resource config.
    #[prost(bytes = "vec", tag = "3")]
    #[serde(
        rename = "resourceConfigSchema",
        alias = "resource_config_schema_json",
        with = "raw_json",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub resource_config_schema_json: Json,
    /// Where users read about the connector.
    #[prost(string, tag = "4")]
    #[serde(alias = "documentation_url", skip_serializing_if = "String::is_empty")]
    pub documentation_url: String,
    /// How to get consent and tokens.
    #[prost(message, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2>,
    /// Pointers into a resource config that make the resource path.
    #[prost(string, repeated, tag = "6")]
    #[serde(alias = "resource_path_pointers", skip_serializing_if = "Vec::is_empty")]
    pub resource_path_pointers: Vec<String>,
}

/// The only protocol version there is.
pub const PROTOCOL_VERSION: u32 = 3_032_023;

/// `Response.Discovered`.
#[derive(Clone, PartialEq, prost::Message, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Discovered {
    /// One for each stream.
    #[prost(message, repeated, tag = "1")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bindings: Vec<DiscoveredBinding>,
}

/// `Response.Discovered.Binding`.
#[derive(Clone, PartialEq, prost::Message, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct DiscoveredBinding {
    /// Proposed last part of the collection's name.
    #[prost(string, tag = "1")]
    #[serde(alias = "recommended_name", skip_serializing_if = "String::is_empty")]
    pub recommended_name: String,
    /// The resource config of a new binding.
    #[prost(bytes = "vec", tag = "2")]
    #[serde(
        rename = "resourceConfig",
        alias = "resource_config_json",
        with = "raw_json",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub resource_config_json: Json,
    /// The collection's schema.
    #[prost(bytes = "vec", tag = "3")]
    #[serde(
        rename = "documentSchema",
        alias = "document_schema_json",
        with = "raw_json",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub document_schema_json: Json,
    /// The collection's key as JSON pointers.
    #[prost(string, repeated, tag = "4")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// Whether a new binding is disabled.
    #[prost(bool, tag = "5")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disable: bool,
    /// The resource path.
    #[prost(string, repeated, tag = "6")]
    #[serde(alias = "resource_path", skip_serializing_if = "Vec::is_empty")]
    pub resource_path: Vec<String>,
    /// Whether the key is a guess that must not replace the user's.
    #[prost(bool, tag = "7")]
    #[serde(alias = "is_fallback_key", skip_serializing_if = "std::ops::Not::not")]
    pub is_fallback_key: bool,
}

/// `Response.Validated`.
#[derive(Clone, PartialEq, prost::Message, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Validated {
    /// As many as were asked about, in the same order.
    #[prost(message, repeated, tag = "1")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bindings: Vec<ValidatedBinding>,
}

/// `Response.Validated.Binding`.
#[derive(Clone, PartialEq, prost::Message, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ValidatedBinding {
    /// The resource path.
    #[prost(string, repeated, tag = "1")]
    #[serde(alias = "resource_path", skip_serializing_if = "Vec::is_empty")]
    pub resource_path: Vec<String>,
}

/// `Response.Applied`.
#[derive(Clone, PartialEq, prost::Message, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Applied {
    /// What was done, for people.
    #[prost(string, tag = "1")]
    #[serde(alias = "action_description", skip_serializing_if = "String::is_empty")]
    pub action_description: String,
}

/// `Response.Opened`.
#[derive(Clone, PartialEq, prost::Message, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Opened {
    /// Whether Flow is to say which checkpoints are durable.
    #[prost(bool, tag = "1")]
    #[serde(alias = "explicit_acknowledgements", skip_serializing_if = "std::ops::Not::not")]
    pub explicit_acknowledgements: bool,
}

/// `Response.Captured`.
#[derive(Clone, PartialEq, prost::Message, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Captured {
    /// Index of the binding.
    #[prost(uint32, tag = "1")]
    #[serde(skip_serializing_if = "is_zero")]
    pub binding: u32,
    /// The document, an object.
    #[prost(bytes = "vec", tag = "2")]
    #[serde(rename = "doc", alias = "doc_json", with = "raw_json", skip_serializing_if = "Vec::is_empty")]
    pub doc_json: Json,
}

/// `Response.SourcedSchema`. Its schema is called `documentSchema` in JSON.
#[derive(Clone, PartialEq, prost::Message, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct SourcedSchema {
    /// Index of the binding.
    #[prost(uint32, tag = "1")]
    #[serde(skip_serializing_if = "is_zero")]
    pub binding: u32,
    /// The schema, closed.
    #[prost(bytes = "vec", tag = "2")]
    #[serde(
        rename = "documentSchema",
        alias = "schema_json",
        with = "raw_json",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub schema_json: Json,
}

/// `Response.BackfillBegin`: the first message of its binding in a transaction (user-needs.md, 4.3).
#[derive(Clone, PartialEq, prost::Message, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct BackfillBegin {
    /// Index of the binding.
    #[prost(uint32, tag = "1")]
    #[serde(skip_serializing_if = "is_zero")]
    pub binding: u32,
}

/// `Response.BackfillComplete`.
#[derive(Clone, PartialEq, prost::Message, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct BackfillComplete {
    /// Index of the binding.
    #[prost(uint32, tag = "1")]
    #[serde(skip_serializing_if = "is_zero")]
    pub binding: u32,
}

/// `Response.Checkpoint`.
#[derive(Clone, PartialEq, prost::Message, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Checkpoint {
    /// The state; Flow's older runtime refuses a checkpoint without one.
    #[prost(message, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<ConnectorState>,
}
