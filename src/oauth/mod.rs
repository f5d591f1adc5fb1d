//! Flow's OAuth2: the block of a spec, and how consent is got with it.
//!
//! [`spec`] makes what the Spec answer says of it, from `oauth2` of shim.yaml or, for `oauth2: auto`,
//! from upstream's own description (`derive`); `schema` binds it to the config schema. The
//! templates of the block are [`template`]s; [`consent`] makes the two requests of a consent flow with
//! them. Who listens for the redirect is the caller's to do.

pub mod consent;
mod derive;
mod hosts;
mod join;
mod mustache;
mod placeholders;
pub mod providers;
mod schema;
pub mod spec;
pub mod template;
