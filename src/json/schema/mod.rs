//! JSON schemas as data: walks, references, types, and what Flow's schema compiler takes.
//!
//! `keywords` knows every keyword and what its value has to be; `walk` visits schemas in schemas;
//! `refs` follows and settles `$ref`; `types` tells what a location may hold; `adapt` makes a
//! vendor's schema one that Flow compiles, with `discriminator` for forms; `require` constrains a
//! location and `admit` opens one; `cursors` names the fields that have an order. All are pure, linear in the schema's size, and end on circles.

pub mod adapt;
pub mod admit;
pub mod cursors;
pub mod discriminator;
pub mod keywords;
pub mod refs;
pub mod require;
pub mod types;
pub mod walk;
