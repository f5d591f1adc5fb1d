//! A config of which some values changed, encrypted again: under the same data key, so for the same
//! people, with a new checksum. What did not change stays as it stands in the file.

use ring::digest::{Context, SHA256, SHA512, digest};
use serde_json::Value;

use super::tree::{Rule, hexadecimal};
use super::value;

/// A file as it was opened.
pub(super) struct Before<'a> {
    /// As it stands in the file.
    pub(super) sealed: &'a Value,
    /// In the clear, without `sops`, with the names of the file.
    pub(super) opened: &'a Value,
}

struct Walk<'k> {
    key: &'k [u8; 32],
    rule: Rule,
    /// Whether the checksum leaves out what is not encrypted.
    encrypted_only: bool,
    checksum: Context,
}

/// Encrypts a config that is in the clear. `now` is RFC 3339, in whole seconds.
pub(super) fn encrypt(
    clear: &Value,
    before: &Before<'_>,
    key: &[u8; 32],
    now: &str,
) -> Result<Value, String> {
    let mut stanza = before.sealed["sops"].clone();
    let encrypted_only = stanza["mac_only_encrypted"] == true;
    let mut walk = Walk { key, rule: Rule::of(&stanza)?, encrypted_only, checksum: Context::new(&SHA512) };
    if encrypted_only {
        walk.checksum.update(digest(&SHA256, b"sops").as_ref());
    }
    let mut sealed = clear.clone();
    walk.value(&mut sealed, Some(before.sealed), Some(before.opened), &mut Vec::new())?;
    let checksum = walk.checksum.finish();
    let mac: Vec<u8> = checksum.as_ref().iter().flat_map(|byte| hexadecimal(*byte)).collect();
    let mac = Value::from(String::from_utf8_lossy(&mac).into_owned());
    stanza["mac"] = value::encrypt(&mac, key, now)?.into();
    stanza["lastmodified"] = now.into();
    sealed["sops"] = stanza;
    Ok(sealed)
}

impl Walk<'_> {
    fn value(
        &mut self,
        value: &mut Value,
        sealed: Option<&Value>,
        opened: Option<&Value>,
        path: &mut Vec<String>,
    ) -> Result<(), String> {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    path.push(name.clone());
                    let (sealed, opened) =
                        (sealed.and_then(|old| old.get(name)), opened.and_then(|old| old.get(name)));
                    self.value(member, sealed, opened, path)?;
                    path.pop();
                }
                Ok(())
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    let (sealed, opened) =
                        (sealed.and_then(|old| old.get(index)), opened.and_then(|old| old.get(index)));
                    self.value(item, sealed, opened, path)?;
                }
                Ok(())
            }
            _ => self.leaf(value, sealed.filter(|_| opened == Some(&*value)), path),
        }
    }

    /// `unchanged` is what stands in the file for the same value.
    fn leaf(&mut self, leaf: &mut Value, unchanged: Option<&Value>, path: &[String]) -> Result<(), String> {
        // sops leaves null and an empty text as they are.
        let Some(bytes) = value::bytes(leaf) else { return Ok(()) };
        let encrypted = self.rule.encrypts(path);
        if encrypted || !self.encrypted_only {
            self.checksum.update(&bytes);
        }
        if encrypted && !bytes.is_empty() {
            *leaf = match unchanged {
                Some(sealed) => sealed.clone(),
                None => value::encrypt(leaf, self.key, &format!("{}:", path.join(":")))?.into(),
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::tree::decrypt;
    use super::*;

    const NOW: &str = "2024-05-01T00:00:00Z";

    fn sealed(config: &Value, stanza: &Value, key: &[u8; 32]) -> Value {
        let empty = json!({"sops": stanza});
        let before = Before { sealed: &empty, opened: &json!({}) };
        encrypt(config, &before, key, NOW).expect("it is encrypted")
    }

    #[test]
    fn what_did_not_change_stands_as_it_stood() {
        let (key, stanza) = ([7; 32], json!({"encrypted_suffix": "_sops"}));
        let config =
            json!({"z": 1, "a_sops": "s3cret", "l_sops": [{"x": true}, 0.5, null, ""], "b_sops": "old"});
        let first = sealed(&config, &stanza, &key);
        assert_eq!(first["z"], 1);
        assert!(!first.to_string().contains("s3cret"));
        let mut changed = config.clone();
        changed["b_sops"] = "new".into();
        let before = Before { sealed: &first, opened: &config };
        let second = encrypt(&changed, &before, &key, NOW).expect("it is encrypted");
        assert_eq!((&second["a_sops"], &second["l_sops"]), (&first["a_sops"], &first["l_sops"]));
        assert_ne!(second["b_sops"], first["b_sops"]);
        assert_eq!(decrypt(&second, &second["sops"], &key).expect("it opens"), changed);
        let names: Vec<_> = second.as_object().expect("members").keys().collect();
        assert_eq!(names, ["z", "a_sops", "l_sops", "b_sops", "sops"]);
    }

    proptest! {
        #[test]
        fn what_is_encrypted_opens(
            text in "\\PC{0,20}", number in any::<i32>(), flag in any::<bool>(), name in "[a-z:]{1,5}",
            only in any::<bool>(), rule in 0..4_usize,
        ) {
            let key = [9; 32];
            let rules = [
                json!({"encrypted_suffix": "_sops"}), json!({"unencrypted_suffix": "_clear"}),
                json!({"encrypted_regex": "^a"}), json!({}),
            ];
            let mut stanza = rules[rule].clone();
            stanza["mac_only_encrypted"] = only.into();
            let config = json!({name.clone(): {"n_sops": number, "t_clear": text}, "a": [flag, {"x": text}]});
            let sealed = sealed(&config, &stanza, &key);
            prop_assert_eq!(decrypt(&sealed, &sealed["sops"], &key).expect("it opens"), config);
        }
    }
}
