//! What a shim folder says: `shim.yaml`, its defaults, and upstream's command.

pub mod atf;
mod atf_files;
pub mod baked;
pub mod command;
pub mod definition;
pub mod load;
mod metadata;
mod mistakes;
pub mod names;
pub mod pointers;
pub mod published;
pub mod read;
pub mod schema;
pub mod stream;
pub mod streams;
pub mod units;
