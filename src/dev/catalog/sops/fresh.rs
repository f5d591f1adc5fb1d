//! A config in the clear, encrypted for age keys as Flow's service encrypts: secrets get a suffix, and
//! all that ends with it is encrypted.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::seal::{self, Before};
use super::{now, recipient};

/// What Flow appends to the names of encrypted members.
const SUFFIX: &str = "_sops";
/// Which format of sops this is; programs of sops look for it.
const VERSION: &str = "3.7.3";
/// Shorter secrets are not looked for within other values.
const TELLING: usize = 6;

/// Encrypts the secrets of a config, given as names of members and their values. The error says why it
/// cannot be done, without a value.
pub(crate) fn encrypt(
    config: Value,
    secrets: &BTreeSet<(String, String)>,
    recipients: &[String],
) -> Result<Value, String> {
    let key: [u8; 32] = recipient::random().ok_or("there is no randomness to be had")?;
    let age: Vec<Value> =
        recipients.iter().map(|recipient| recipient::entry(recipient, &key)).collect::<Result<_, _>>()?;
    let stanza = json!({"sops": {"age": age, "encrypted_suffix": SUFFIX, "version": VERSION}});
    let before = Before { sealed: &stanza, opened: &Value::Null };
    seal::encrypt(&suffixed(config, secrets), &before, &key, &now())
}

/// The config with the suffix at the names of all members that hold a secret.
fn suffixed(value: Value, secrets: &BTreeSet<(String, String)>) -> Value {
    match value {
        Value::Object(members) => {
            let renamed = members.into_iter().map(|(name, member)| {
                if holds(&name, &member, secrets) {
                    (format!("{name}{SUFFIX}"), member)
                } else {
                    (name, suffixed(member, secrets))
                }
            });
            Value::Object(renamed.collect::<Map<String, Value>>())
        }
        Value::Array(items) => items.into_iter().map(|item| suffixed(item, secrets)).collect(),
        other => other,
    }
}

/// Whether a member is a secret, or a text or list with one in it. Objects are looked into.
fn holds(name: &str, value: &Value, secrets: &BTreeSet<(String, String)>) -> bool {
    let is_secret = |text: &str| secrets.contains(&(name.to_owned(), text.to_owned()));
    match value {
        Value::String(text) => {
            let within = |part: &str| part.len() >= TELLING && text.contains(part);
            is_secret(text) || secrets.iter().any(|(_, part)| within(part))
        }
        Value::Number(number) => is_secret(&number.to_string()),
        Value::Array(items) => items.iter().any(|item| holds(name, item, secrets)),
        Value::Object(_) | Value::Bool(_) | Value::Null => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_hold_secrets_get_the_suffix() {
        let secrets = [("password", "hunter2"), ("pin", "1"), ("keys", "a"), ("part", "s3cret-part")];
        let secrets = secrets.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let config = json!({
            "password": "hunter2", "user": "hunter", "n": 1, "auth": {"pin": 1, "url": "https://me:s3cret-part@host/"},
            "keys": ["a", "b"], "list": [{"pin": 1}, "a"], "on": true, "none": null,
        });
        let expected = json!({
            "password_sops": "hunter2", "user": "hunter", "n": 1, "auth": {"pin_sops": 1, "url_sops": "https://me:s3cret-part@host/"},
            "keys_sops": ["a", "b"], "list": [{"pin_sops": 1}, "a"], "on": true, "none": null,
        });
        assert_eq!(suffixed(config, &secrets), expected);
    }
}
