//! An encrypted config in the clear, once its checksum says that it is whole.

use serde_json::Value;
use subtle::ConstantTimeEq;

use super::tree::Tree;
use super::value;

/// Decrypts all values and checks the checksum. The error says where.
pub(super) fn decrypt(config: &Value, stanza: &Value, key: &[u8; 32]) -> Result<Value, String> {
    let mut opened = config.clone();
    if let Some(members) = opened.as_object_mut() {
        members.shift_remove("sops");
    }
    let found = Tree::of(stanza)?.walk(&mut opened, |value, place, encrypted| {
        match value.as_str() {
            // sops leaves an empty text as it is.
            Some(text) if encrypted && !text.is_empty() => {
                let (clear, bytes) = value::decrypt(text, key, &place.authenticated())
                    .map_err(|why| format!("{} {why}", place.names.join(".")))?;
                *value = clear;
                Ok(Some(bytes))
            }
            None if encrypted && !value.is_null() => {
                Err(format!("{} should be encrypted and is not", place.names.join(".")))
            }
            _ => Ok(value::bytes(value)),
        }
    })?;
    let (Some(mac), Some(modified)) = (stanza["mac"].as_str(), stanza["lastmodified"].as_str()) else {
        return Err("has no sops.mac, so it cannot be told whether it was changed".to_owned());
    };
    let (_, told) = value::decrypt(mac, key, modified).map_err(|why| format!("sops.mac {why}"))?;
    if bool::from(found.as_bytes().ct_eq(&told)) {
        Ok(opened)
    } else {
        Err("was changed after it was encrypted: its checksum is wrong; edit it with `sops FILE`".to_owned())
    }
}
