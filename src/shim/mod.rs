//! What a shim folder says: `shim.yaml`, its defaults, and upstream's command.
//!
//! [`definition`] is the whole of a `shim.yaml`; [`read`], [`schema`] and [`streams`] have its larger
//! sections, [`units`] and [`pointers`] the forms of its values. [`load`] finds and reads the folder,
//! [`atf`] one of airbyte-to-flow's, [`manifest`] the manifest of a low-code connector. [`stream`] is what
//! all of it says of one stream, [`fields`] which of its fields are read, [`documentation`] where a
//! connector's documentation is when nothing says so, and [`remembered`] what it need not be asked again.

pub mod arguments;
pub mod atf;
mod atf_files;
pub mod baked;
pub mod command;
pub mod definition;
pub mod documentation;
pub mod fields;
pub mod load;
pub mod manifest;
mod metadata;
mod mistakes;
pub mod names;
mod oauth2;
pub mod pointers;
pub mod published;
pub mod read;
pub mod remembered;
pub mod schema;
pub mod stream;
pub mod streams;
pub mod units;
