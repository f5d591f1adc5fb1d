//! From a record to a document: which binding it belongs to, and what of it has to change.

pub mod document;
pub(super) mod omission;
pub mod oversized;
pub(super) mod own_meta;
pub mod router;
pub(super) mod transform;
