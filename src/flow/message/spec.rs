//! Messages of the package `flow` that requests and responses are made of.

use serde::{Deserialize, Serialize};

use super::{Json, is_zero, raw_json};

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
    /// (flow-protocol.md, section 2.5). No tag is published for it yet; this one stands in.
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
pub(super) mod connector_type {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::ConnectorType;

    pub(in crate::flow::message) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<i32, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = match name.as_str() {
            "IMAGE" => ConnectorType::Image,
            "LOCAL" => ConnectorType::Local,
            _ => ConnectorType::Invalid,
        };
        Ok(known.into())
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    pub(in crate::flow::message) fn serialize<S: Serializer>(
        number: &i32,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match ConnectorType::try_from(*number) {
            Ok(ConnectorType::Image) => "IMAGE",
            Ok(ConnectorType::Local) => "LOCAL",
            _ => "INVALID",
        })
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    pub(in crate::flow::message) fn is_default(number: &i32) -> bool {
        *number == 0
    }
}
