//! Config files that sops encrypted, as Flow reads them (flow-protocol.md, section 6).
//!
//! The `sops` program decrypts where it is in PATH ([`program`]), since it knows every kind of key.
//! Without it, age keys are known here ([`age`]), and how a config is encrypted with them: one value
//! ([`value`]), all of them with their checksum ([`tree`]), read ([`unseal`]), changed ([`seal`]) and made ([`fresh`], for [`recipient`]s).
//! Errors name the file and the place, never a value.

mod age;
mod edit;
mod fresh;
mod program;
mod recipient;
mod seal;
mod tree;
mod unseal;
mod value;

use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;

pub(crate) use self::edit::Editable;
pub(crate) use self::fresh::encrypt;
use crate::failure::Failure;

/// The time as sops writes it, in whole seconds.
fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The config in the clear, without its `sops` stanza and the suffix of encrypted names. A config that
/// is not encrypted stays as it is.
pub(super) fn open(config: Value, file: &Path) -> Result<Value, Failure> {
    if config.get("sops").is_none_or(Value::is_null) {
        return Ok(config);
    }
    let Editable { mut opened, suffix, .. } = Editable::open(config, file)?;
    if let Some(suffix) = suffix {
        strip(&mut opened, &suffix);
    }
    Ok(opened)
}

/// Takes the suffix off every name at any depth, encrypted or not.
fn strip(value: &mut Value, suffix: &str) {
    match value {
        Value::Object(members) => {
            let all = std::mem::take(members);
            for (name, mut member) in all {
                strip(&mut member, suffix);
                let name = name.strip_suffix(suffix).map(str::to_owned).unwrap_or(name);
                members.insert(name, member);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| strip(item, suffix)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_suffix_goes_at_any_depth() {
        let mut config = json!({"a_sops": [{"b_sops": 1, "c": 2}], "sops_d": "x_sops"});
        strip(&mut config, "_sops");
        assert_eq!(config, json!({"a": [{"b": 1, "c": 2}], "sops_d": "x_sops"}));
    }

    #[test]
    fn what_is_not_encrypted_stays() {
        let config = json!({"a_sops": 1, "sops": null});
        assert_eq!(open(config.clone(), Path::new("c.yaml")).expect("it is plain"), config);
    }
}
