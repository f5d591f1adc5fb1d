//! What flow-shim does, seen through the built program.

mod environment;
mod flow_model;
mod harness;
mod layering;
mod recorded_tap;

mod baked;
mod catalog_flag;
mod codecs;
mod config_values;
mod documents;
mod endings;
mod oauth_consent;
mod oauth_spec;
mod quick_start;
mod real_connectors;
mod recordings_airbyte;
mod recordings_singer;
mod refreshes;
mod requests;
mod resume;
mod secrets;
mod shutdown;
mod sops;
mod stream_overrides;
