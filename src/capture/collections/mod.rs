//! What Flow keeps of each stream: the bindings of a capture, and the schema and key of a collection.

pub(super) mod bindings;
pub(super) mod key;
pub(super) mod meta;
pub(super) mod schema;
pub(super) mod shards;
pub(super) mod sourced;
