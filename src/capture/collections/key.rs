//! Which key a discovered collection gets, and of which types.
//!
//! Flow takes strings, integers and booleans that are always there (flow-protocol.md, 3.7). Sources
//! declare most keys nullable, some as numbers, and some that their schema lacks.

use serde_json::Value;

use crate::json::pointer;
use crate::json::schema::types::{self, Types};

/// The key of streams that have none of their own.
pub(crate) const FALLBACK: &str = "/_meta/row_id";

/// Whether it is the place of a row alone that tells rows with this key apart.
pub(crate) fn is_by_place(key: &[String]) -> bool {
    key == [FALLBACK]
}

/// The columns of a key; none where rows have to be counted.
#[derive(Debug, Default)]
pub(super) struct Key {
    /// Paths of member names, each with the types that its values may have.
    pub(super) columns: Vec<(Vec<String>, Types)>,
    /// Why the source's own key is not used.
    pub(super) warning: Option<String>,
}

/// The shim's key where it gives one, as pointers; else the source's.
pub(super) fn choose(schema: &Value, source: &[Vec<String>], shim: Option<&[String]>) -> Key {
    if let Some(pointers) = shim {
        let columns = pointers.iter().map(|column| {
            let path = pointer::to_path(column).unwrap_or_else(|| vec![column.clone()]);
            let types = match column.as_str() {
                FALLBACK => Types::INTEGER,
                _ => types_of(schema, &path).unwrap_or(Types::KEY),
            };
            (path, types)
        });
        return Key { columns: columns.collect(), warning: None };
    }
    let mut key = Key::default();
    for path in source {
        match types_of(schema, path) {
            Ok(types) => key.columns.push((path.clone(), types)),
            Err(why) => {
                let column = pointer::from_path(path);
                let warning = format!("its key column {column} {why}; rows are counted instead ({FALLBACK})");
                return Key { columns: Vec::new(), warning: Some(warning) };
            }
        }
    }
    key
}

/// The types of a column that Flow takes in a key. The error says what it is instead.
fn types_of(schema: &Value, path: &[String]) -> Result<Types, String> {
    let declared = types::at(schema, path).ok_or("is not in the stream's schema")?;
    if declared == Types::ANY {
        return Ok(Types::KEY);
    }
    let types = declared.without(Types::NULL);
    let other = types.without(Types::KEY);
    if declared == Types::NONE {
        Err("has no type that its schema allows".to_owned())
    } else if types == Types::NONE {
        Err("is always null".to_owned())
    } else if other.overlaps(Types::FRACTION) {
        Err("is a number that may have a fraction".to_owned())
    } else if other != Types::NONE {
        Err(format!("is of type {}", other.names().join(" or ")))
    } else {
        Ok(types)
    }
}
