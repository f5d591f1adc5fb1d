//! A whole config as sops encrypts it: which values are encrypted, and the checksum over all of them
//! in order, so that none can be taken away, added or put elsewhere.

use std::fmt::Write;

use ring::digest::{Context, SHA256, SHA512, digest};
use serde_json::Value;

use super::value;
use crate::json::pointer::escape;

/// Which names mean that what is below them is encrypted.
enum Rule {
    Suffix(String, bool),
    Pattern(Box<regex::Regex>, bool),
    /// The comments of the file say it, which its values do not show.
    Comments,
}

/// Whether the comments of a file say what is encrypted in it, by sops' `encrypted_comment_regex` or
/// `unencrypted_comment_regex`.
pub(super) fn goes_by_comments(stanza: &Value) -> bool {
    ["encrypted_comment_regex", "unencrypted_comment_regex"]
        .iter()
        .any(|name| stanza[*name].as_str().is_some_and(|pattern| !pattern.is_empty()))
}

impl Rule {
    /// The rule of a file's stanza.
    fn of(stanza: &Value) -> Result<Self, String> {
        for (name, matching) in [("encrypted", true), ("unencrypted", false)] {
            if let Some(suffix) =
                stanza[format!("{name}_suffix")].as_str().filter(|suffix| !suffix.is_empty())
            {
                return Ok(Rule::Suffix(suffix.to_owned(), matching));
            }
            if let Some(pattern) =
                stanza[format!("{name}_regex")].as_str().filter(|pattern| !pattern.is_empty())
            {
                let pattern = regex::Regex::new(pattern)
                    .map_err(|_| format!("has a sops.{name}_regex that is none"))?;
                return Ok(Rule::Pattern(Box::new(pattern), matching));
            }
        }
        if goes_by_comments(stanza) {
            return Ok(Rule::Comments);
        }
        Ok(Rule::Suffix("_unencrypted".to_owned(), false))
    }

    /// Whether a value that stands at a path of names is encrypted.
    fn encrypts(&self, path: &[String], value: &Value) -> bool {
        match self {
            // The checksum is over all values, so that one that only looks encrypted is noticed.
            Rule::Comments => value.as_str().is_some_and(value::is_encrypted),
            Rule::Suffix(suffix, matching) => path.iter().any(|name| name.ends_with(suffix)) == *matching,
            Rule::Pattern(pattern, matching) => path.iter().any(|name| pattern.is_match(name)) == *matching,
        }
    }
}

/// Where a value stands.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The names that lead there; items of a list have none.
    pub(super) names: Vec<String>,
    /// The same as a JSON pointer, which counts items.
    pub(super) pointer: String,
}

impl Place {
    /// What sops authenticates a value with.
    pub(super) fn authenticated(&self) -> String {
        format!("{}:", self.names.join(":"))
    }
}

/// One walk through a config.
pub(super) struct Tree {
    rule: Rule,
    /// Whether the checksum leaves out what is not encrypted.
    encrypted_only: bool,
    checksum: Context,
}

impl Tree {
    /// A walk by the rules of a file's stanza.
    pub(super) fn of(stanza: &Value) -> Result<Self, String> {
        let encrypted_only = stanza["mac_only_encrypted"] == true;
        let mut checksum = Context::new(&SHA512);
        if encrypted_only {
            // So that a checksum over some is never one over all; the constant is sops' own.
            checksum.update(digest(&SHA256, b"sops").as_ref());
        }
        Ok(Self { rule: Rule::of(stanza)?, encrypted_only, checksum })
    }

    /// Hands every value that is no object or list to `change`, with whether it is one that is
    /// encrypted, and takes what that returns into the checksum: the value's clear text, `None` for what
    /// has none. Returns the checksum, in hexadecimal.
    pub(super) fn walk(
        mut self,
        config: &mut Value,
        mut change: impl FnMut(&mut Value, &Place, bool) -> Result<Option<Vec<u8>>, String>,
    ) -> Result<String, String> {
        self.value(config, &mut Place::default(), &mut change)?;
        let mut digits = String::new();
        for byte in self.checksum.finish().as_ref() {
            // Writing into a String cannot fail.
            let _ = write!(digits, "{byte:02X}");
        }
        Ok(digits)
    }

    fn value(
        &mut self,
        value: &mut Value,
        place: &mut Place,
        change: &mut impl FnMut(&mut Value, &Place, bool) -> Result<Option<Vec<u8>>, String>,
    ) -> Result<(), String> {
        let outer = place.pointer.len();
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    place.pointer = format!("{}/{}", &place.pointer[..outer], escape(name));
                    place.names.push(name.clone());
                    self.value(member, place, change)?;
                    place.names.pop();
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    place.pointer = format!("{}/{index}", &place.pointer[..outer]);
                    self.value(item, place, change)?;
                }
            }
            _ => {
                let encrypted = self.rule.encrypts(&place.names, value);
                let clear = change(value, place, encrypted)?;
                if let Some(clear) = clear.filter(|_| encrypted || !self.encrypted_only) {
                    self.checksum.update(&clear);
                }
            }
        }
        place.pointer.truncate(outer);
        Ok(())
    }
}
