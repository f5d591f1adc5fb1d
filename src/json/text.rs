//! Text that borrows from the line it was read from.
//!
//! `#[serde(borrow)]` on a `Cow` borrows, but inside of an `Option` it silently copies. This newtype
//! borrows in both places, and copies only text with escapes.

use std::borrow::Cow;
use std::ops::Deref;

use serde::Deserialize;

/// A JSON string.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_without_escapes_is_borrowed_also_in_an_option() {
        let text: Option<Text<'_>> = serde_json::from_str("\"plain\"").expect("JSON");
        assert!(matches!(text, Some(Text(Cow::Borrowed("plain")))));
        let text: Option<Text<'_>> = serde_json::from_str("\"\\u00e9\"").expect("JSON");
        assert_eq!(text.as_deref(), Some("é"));
    }
}
