//! Flow's side of each stream: the bindings of a capture, which of them a shard reads, and what is
//! published of a collection, its name, schema and key.

pub(super) mod bindings;
pub(super) mod key;
pub(super) mod key_check;
pub(super) mod meta;
pub(super) mod names;
pub(super) mod schema;
pub(super) mod settings;
pub(super) mod shards;
pub(super) mod sourced;
