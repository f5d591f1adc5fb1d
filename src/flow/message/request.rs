//! What Flow asks.

use serde::{Deserialize, Serialize};

use super::spec::{CaptureSpec, CollectionSpec, ConnectorType, RangeSpec, connector_type};
use super::{Json, is_zero, raw_json};

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
