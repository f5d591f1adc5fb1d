//! A whole config as sops encrypts it: which values are, and the checksum over all of them in order,
//! so that none can be taken away, added or put elsewhere.

use ring::digest::{Context, SHA256, SHA512, digest};
use serde_json::Value;
use subtle::ConstantTimeEq;

use super::value;

/// Which names mean that what is below them is encrypted.
pub(super) enum Rule {
    Suffix(String, bool),
    Pattern(Box<regex::Regex>, bool),
}

impl Rule {
    /// The rule of a file's stanza.
    pub(super) fn of(stanza: &Value) -> Result<Self, String> {
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
        Ok(Rule::Suffix("_unencrypted".to_owned(), false))
    }

    /// Whether what stands at a path of names is encrypted.
    pub(super) fn encrypts(&self, path: &[String]) -> bool {
        match self {
            Rule::Suffix(suffix, matching) => path.iter().any(|name| name.ends_with(suffix)) == *matching,
            Rule::Pattern(pattern, matching) => path.iter().any(|name| pattern.is_match(name)) == *matching,
        }
    }
}

struct Walk<'k> {
    key: &'k [u8; 32],
    rule: Rule,
    /// Whether the checksum leaves out what is not encrypted.
    encrypted_only: bool,
    checksum: Context,
}

/// Decrypts all values and checks the checksum. The error says where.
pub(super) fn decrypt(config: &Value, stanza: &Value, key: &[u8; 32]) -> Result<Value, String> {
    let encrypted_only = stanza["mac_only_encrypted"] == true;
    let mut walk = Walk { key, rule: Rule::of(stanza)?, encrypted_only, checksum: Context::new(&SHA512) };
    if encrypted_only {
        // So that a checksum over some is never one over all; the constant is sops' own.
        walk.checksum.update(digest(&SHA256, b"sops").as_ref());
    }
    let mut opened = config.clone();
    if let Some(members) = opened.as_object_mut() {
        members.shift_remove("sops");
    }
    walk.value(&mut opened, &mut Vec::new())?;
    let (Some(mac), Some(modified)) = (stanza["mac"].as_str(), stanza["lastmodified"].as_str()) else {
        return Err("has no sops.mac, so it cannot be told whether it was changed".to_owned());
    };
    let (_, told) = value::decrypt(mac, key, modified).map_err(|why| format!("sops.mac {why}"))?;
    let found = walk.checksum.finish();
    let found: Vec<u8> = found.as_ref().iter().flat_map(|byte| hexadecimal(*byte)).collect();
    if bool::from(found.ct_eq(&told)) {
        Ok(opened)
    } else {
        Err("was changed after it was encrypted: its checksum is wrong; edit it with `sops FILE`".to_owned())
    }
}

/// The digits of a byte, as the checksum has them.
pub(super) fn hexadecimal(byte: u8) -> [u8; 2] {
    let digits = b"0123456789ABCDEF";
    [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]
}

impl Walk<'_> {
    fn value(&mut self, value: &mut Value, path: &mut Vec<String>) -> Result<(), String> {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    path.push(name.clone());
                    self.value(member, path)?;
                    path.pop();
                }
                Ok(())
            }
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.value(item, path)),
            _ => self.leaf(value, path),
        }
    }

    fn leaf(&mut self, leaf: &mut Value, path: &[String]) -> Result<(), String> {
        let encrypted = self.rule.encrypts(path);
        let bytes = match leaf.as_str() {
            // sops leaves an empty text as it is.
            Some(text) if encrypted && !text.is_empty() => {
                let authenticated = format!("{}:", path.join(":"));
                let (clear, bytes) = value::decrypt(text, self.key, &authenticated)
                    .map_err(|why| format!("{} {why}", path.join(".")))?;
                *leaf = clear;
                Some(bytes)
            }
            _ if encrypted && !leaf.is_null() && !leaf.is_string() => {
                return Err(format!("{} should be encrypted and is not", path.join(".")));
            }
            _ => value::bytes(leaf),
        };
        if let Some(bytes) = bytes.filter(|_| encrypted || !self.encrypted_only) {
            self.checksum.update(&bytes);
        }
        Ok(())
    }
}
