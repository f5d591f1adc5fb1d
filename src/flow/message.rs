//! Requests and responses of the capture protocol, as far as we use them.
//!
//! One set of types serves both codecs: `prost` for protobuf, `serde` for JSON with pbjson's rules
//! (flow-protocol.md, sections 1.4 and 2). Unknown request fields are ignored, zero values may be
//! missing, and fields whose proto name ends in `_json` hold raw JSON text.

use serde::{Deserialize, Serialize};

use super::raw_json;

/// JSON text, as it came or as it goes.
pub type Json = Vec<u8>;

/// What Flow asks; exactly one member is set.
#[derive(Clone, PartialEq, prost::Message, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Request {
    /// What is this connector?
    #[prost(message, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<SpecRequest>,
    /// Which streams are there?
    #[prost(message, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discover: Option<DiscoverRequest>,
    /// Could this capture run?
    #[prost(message, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validate: Option<ValidateRequest>,
    /// This capture is being published.
    #[prost(message, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apply: Option<ApplyRequest>,
    /// Run this capture.
    #[prost(message, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open: Option<OpenRequest>,
    /// Checkpoints that are durable now.
    #[prost(message, optional, tag = "6")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledge: Option<Acknowledge>,
}

/// How Flow runs a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
pub enum ConnectorType {
    /// Not said.
    Invalid = 0,
    /// In an image.
    Image = 7,
    /// As a command on the machine of a developer.
    Local = 8,
}

/// `Request.Spec`. Flow injects one with the config `{}` before every other request.
#[derive(Clone, PartialEq, prost::Message, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SpecRequest {
    /// A [`ConnectorType`].
    #[prost(enumeration = "ConnectorType", tag = "1")]
    #[serde(
        alias = "connector_type",
        with = "connector_type",
        skip_serializing_if = "connector_type::is_default"
    )]
    pub connector_type: i32,
    /// The endpoint config.
    #[prost(bytes = "vec", tag = "2")]
    #[serde(
        rename = "config",
        alias = "config_json",
        with = "raw_json",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub config_json: Json,
}

/// `Request.Discover`.
#[derive(Clone, PartialEq, prost::Message, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DiscoverRequest {
    /// A [`ConnectorType`].
    #[prost(enumeration = "ConnectorType", tag = "1")]
    #[serde(
        alias = "connector_type",
        with = "connector_type",
        skip_serializing_if = "connector_type::is_default"
    )]
    pub connector_type: i32,
    /// The endpoint config, in the clear.
    #[prost(bytes = "vec", tag = "2")]
    #[serde(
        rename = "config",
        alias = "config_json",
        with = "raw_json",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub config_json: Json,
    /// The capture's name; may be empty.
    #[prost(string, tag = "3")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// `Request.Validate`.
#[derive(Clone, PartialEq, prost::Message, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ValidateRequest {
    /// The capture's name.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// A [`ConnectorType`].
    #[prost(enumeration = "ConnectorType", tag = "2")]
    #[serde(
        alias = "connector_type",
        with = "connector_type",
        skip_serializing_if = "connector_type::is_default"
    )]
    pub connector_type: i32,
    /// The endpoint config, in the clear.
    #[prost(bytes = "vec", tag = "3")]
    #[serde(
        rename = "config",
        alias = "config_json",
        with = "raw_json",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub config_json: Json,
    /// The enabled bindings.
    #[prost(message, repeated, tag = "4")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bindings: Vec<ValidateBinding>,
    /// The capture as it ran last; its config is still encrypted.
    #[prost(message, optional, tag = "5")]
    #[serde(alias = "last_capture", skip_serializing_if = "Option::is_none")]
    pub last_capture: Option<CaptureSpec>,
}

/// A binding to be validated.
#[derive(Clone, PartialEq, prost::Message, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ValidateBinding {
    /// The resource config.
    #[prost(bytes = "vec", tag = "1")]
    #[serde(
        rename = "resourceConfig",
        alias = "resource_config_json",
        with = "raw_json",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub resource_config_json: Json,
    /// The collection; absent in the linked form.
    #[prost(message, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection: Option<CollectionSpec>,
    /// The backfill counter.
    #[prost(uint32, tag = "3")]
    #[serde(skip_serializing_if = "is_zero")]
    pub backfill: u32,
}

/// `Request.Apply`.
#[derive(Clone, PartialEq, prost::Message, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ApplyRequest {
    /// The capture as it is to run.
    #[prost(message, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capture: Option<CaptureSpec>,
    /// The build's version.
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The capture as it ran last.
    #[prost(message, optional, tag = "4")]
    #[serde(alias = "last_capture", skip_serializing_if = "Option::is_none")]
    pub last_capture: Option<CaptureSpec>,
}

/// `Request.Open`.
#[derive(Clone, PartialEq, prost::Message, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OpenRequest {
    /// The capture; its config is in the clear.
    #[prost(message, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capture: Option<CaptureSpec>,
    /// The build's version.
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The part of the key space that this shard serves.
    #[prost(message, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<RangeSpec>,
    /// The state as last persisted; empty, `{}` or `null` at first.
    #[prost(bytes = "vec", tag = "4")]
    #[serde(
        rename = "state",
        alias = "state_json",
        with = "raw_json",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub state_json: Json,
}

/// `Request.Acknowledge`.
#[derive(Clone, PartialEq, prost::Message, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Acknowledge {
    /// How many of the oldest checkpoints are durable; at least 1.
    #[prost(uint32, tag = "1")]
    #[serde(skip_serializing_if = "is_zero")]
    pub checkpoints: u32,
}

/// `flow.CaptureSpec`.
#[derive(Clone, PartialEq, prost::Message, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CaptureSpec {
    /// The capture's name.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// A [`ConnectorType`].
    #[prost(enumeration = "ConnectorType", tag = "2")]
    #[serde(
        alias = "connector_type",
        with = "connector_type",
        skip_serializing_if = "connector_type::is_default"
    )]
    pub connector_type: i32,
    /// The endpoint config.
    #[prost(bytes = "vec", tag = "3")]
    #[serde(
        rename = "config",
        alias = "config_json",
        with = "raw_json",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub config_json: Json,
    /// The enabled bindings; may be empty.
    #[prost(message, repeated, tag = "4")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bindings: Vec<Binding>,
    /// How long from one start of a session to the next.
    #[prost(uint32, tag = "5")]
    #[serde(alias = "interval_seconds", skip_serializing_if = "is_zero")]
    pub interval_seconds: u32,
    /// Collections to which bindings point by index; where it is not empty it wins over inline ones
    /// (flow-protocol.md, section 2.5). No tag is published for it yet, so protobuf leaves it out.
    #[prost(message, repeated, tag = "900")]
    #[serde(alias = "linked_collections", skip_serializing_if = "Vec::is_empty")]
    pub linked_collections: Vec<CollectionSpec>,
}

/// `flow.CaptureSpec.Binding`.
#[derive(Clone, PartialEq, prost::Message, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Binding {
    /// The resource config, with Flow's `_meta` in it.
    #[prost(bytes = "vec", tag = "1")]
    #[serde(
        rename = "resourceConfig",
        alias = "resource_config_json",
        with = "raw_json",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub resource_config_json: Json,
    /// The resource path.
    #[prost(string, repeated, tag = "2")]
    #[serde(alias = "resource_path", skip_serializing_if = "Vec::is_empty")]
    pub resource_path: Vec<String>,
    /// The collection; absent in the linked form.
    #[prost(message, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection: Option<CollectionSpec>,
    /// The backfill counter.
    #[prost(uint32, tag = "4")]
    #[serde(skip_serializing_if = "is_zero")]
    pub backfill: u32,
    /// The key under which this binding's state is kept.
    #[prost(string, tag = "5")]
    #[serde(alias = "state_key", skip_serializing_if = "String::is_empty")]
    pub state_key: String,
    /// Index into `linked_collections`.
    #[prost(uint32, tag = "901")]
    #[serde(alias = "collection_index", skip_serializing_if = "is_zero")]
    pub collection_index: u32,
}

/// `flow.CollectionSpec`.
#[derive(Clone, PartialEq, prost::Message, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CollectionSpec {
    /// The collection's name.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The key as JSON pointers.
    #[prost(string, repeated, tag = "3")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// The schema against which Flow validates every document.
    #[prost(bytes = "vec", tag = "8")]
    #[serde(
        rename = "writeSchema",
        alias = "write_schema_json",
        with = "raw_json",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub write_schema_json: Json,
}

/// `flow.RangeSpec`; ends are inclusive.
#[derive(Clone, PartialEq, prost::Message, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RangeSpec {
    /// First key hash.
    #[prost(fixed32, tag = "2")]
    #[serde(alias = "key_begin", skip_serializing_if = "is_zero")]
    pub key_begin: u32,
    /// Last key hash.
    #[prost(fixed32, tag = "3")]
    #[serde(alias = "key_end", skip_serializing_if = "is_zero")]
    pub key_end: u32,
}

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

/// `flow.OAuth2`. The values of its maps are raw JSON, in practice strings.
#[derive(Clone, PartialEq, prost::Message, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct OAuth2 {
    /// The provider's name, as `x-oauth2-provider` repeats it.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider: String,
    /// Where the user consents.
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub auth_url_template: String,
    /// Where the code becomes a token.
    #[prost(string, tag = "3")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub access_token_url_template: String,
    /// The body of that request.
    #[prost(string, tag = "4")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub access_token_body: String,
    /// Its headers.
    #[prost(btree_map = "string, bytes", tag = "5")]
    #[serde(with = "raw_json::map", skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub access_token_headers: std::collections::BTreeMap<String, Json>,
    /// Which parts of the response go where.
    #[prost(btree_map = "string, bytes", tag = "6")]
    #[serde(with = "raw_json::map", skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub access_token_response_map: std::collections::BTreeMap<String, Json>,
    /// Where tokens are refreshed.
    #[prost(string, tag = "7")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub refresh_token_url_template: String,
    /// The body of that request.
    #[prost(string, tag = "8")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub refresh_token_body: String,
    /// Its headers.
    #[prost(btree_map = "string, bytes", tag = "9")]
    #[serde(with = "raw_json::map", skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub refresh_token_headers: std::collections::BTreeMap<String, Json>,
    /// Which parts of the response go where.
    #[prost(btree_map = "string, bytes", tag = "10")]
    #[serde(with = "raw_json::map", skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub refresh_token_response_map: std::collections::BTreeMap<String, Json>,
    /// `POST` where empty.
    #[prost(string, tag = "11")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub access_token_method: String,
    /// `POST` where empty.
    #[prost(string, tag = "12")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub refresh_token_method: String,
}

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

/// `flow.ConnectorState`.
#[derive(Clone, PartialEq, prost::Message, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ConnectorState {
    /// The state, or a change of it.
    #[prost(bytes = "vec", tag = "1")]
    #[serde(
        rename = "updated",
        alias = "updated_json",
        with = "raw_json",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub updated_json: Json,
    /// Whether `updated` is an RFC 7396 patch; else it replaces the whole state.
    #[prost(bool, tag = "2")]
    #[serde(alias = "merge_patch", skip_serializing_if = "std::ops::Not::not")]
    pub merge_patch: bool,
}

/// Enums are strings in JSON; ones that are not known count as not said.
mod connector_type {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::ConnectorType;

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = match name.as_str() {
            "IMAGE" => ConnectorType::Image,
            "LOCAL" => ConnectorType::Local,
            _ => ConnectorType::Invalid,
        };
        Ok(known.into())
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    pub(super) fn serialize<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match ConnectorType::try_from(*number) {
            Ok(ConnectorType::Image) => "IMAGE",
            Ok(ConnectorType::Local) => "LOCAL",
            _ => "INVALID",
        })
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    pub(super) fn is_default(number: &i32) -> bool {
        *number == 0
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
