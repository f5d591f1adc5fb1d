//! A config of which some values changed, encrypted again: under the same data key, so for the same
//! people, with a new checksum. What did not change stays as it stands in the file.

use serde_json::Value;

use super::tree::Tree;
use super::value;

/// A file as it was opened.
pub(super) struct Before<'a> {
    /// As it stands in the file.
    pub(super) sealed: &'a Value,
    /// In the clear, without `sops`, with the names of the file.
    pub(super) opened: &'a Value,
}

/// Encrypts a config that is in the clear. `now` is RFC 3339, in whole seconds.
pub(super) fn encrypt(
    clear: &Value,
    before: &Before<'_>,
    key: &[u8; 32],
    now: &str,
) -> Result<Value, String> {
    let mut stanza = before.sealed["sops"].clone();
    let mut sealed = clear.clone();
    let checksum = Tree::of(&stanza)?.walk(&mut sealed, |value, place, encrypted| {
        let bytes = value::bytes(value);
        // sops leaves null and an empty text as they are.
        if encrypted && bytes.as_ref().is_some_and(|bytes| !bytes.is_empty()) {
            let is_unchanged = before.opened.pointer(&place.pointer) == Some(&*value);
            let unchanged = before.sealed.pointer(&place.pointer).filter(|_| is_unchanged);
            *value = match unchanged {
                Some(sealed) => sealed.clone(),
                None => value::encrypt(value, key, &place.authenticated())?.into(),
            };
        }
        Ok(bytes)
    })?;
    stanza["mac"] = value::encrypt(&Value::from(checksum), key, now)?.into();
    stanza["lastmodified"] = now.into();
    sealed["sops"] = stanza;
    Ok(sealed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::unseal::decrypt;
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
