//! JSON that is kept for long and looked at rarely: as its text.
//!
//! A tree takes six to thirty times the memory of its text. Catalogs of tens of thousands of streams
//! fit a container of 1 GiB as text only, so each schema becomes a tree for as long as somebody reads it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// A JSON value, kept as its text.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Packed(Box<RawValue>);

impl Packed {
    /// The value as a tree.
    pub fn tree(&self) -> Value {
        // It was text or a tree of `serde_json`, which reads what it writes.
        serde_json::from_str(self.0.get()).unwrap_or_default()
    }
}

impl From<&Value> for Packed {
    fn from(tree: &Value) -> Self {
        // A tree has text for names, so it can always be written.
        Self(to_raw_value(tree).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }
}

impl Default for Packed {
    /// `null`.
    fn default() -> Self {
        Self::from(&Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tree_comes_back() {
        let tree = json!({"b": [1, -2.5, 18_446_744_073_709_551_615_u64, "\u{1f600}\n"], "a": null});
        let packed = Packed::from(&tree);
        assert_eq!(packed.tree(), tree);
        assert_eq!(serde_json::to_string(&packed).expect("JSON"), tree.to_string());
        assert_eq!(Packed::default().tree(), Value::Null);
    }
}
