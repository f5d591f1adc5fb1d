//! A `test.flow.yaml` and all that it refers to: read, decrypted, resolved to tasks, and written to.

pub(super) mod endpoint;
pub(super) mod flow_yaml;
pub(super) mod resource;
pub(super) mod settings;
pub(super) mod sops;
pub mod task;
pub(super) mod write_bindings;
pub(super) mod yaml;
