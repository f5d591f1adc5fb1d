//! What Flow derives from a resource config: the resource path, the config with `_meta` in it, and
//! the key under which a binding's state is kept (flow-protocol.md, sections 2.3, 3.4 and 3.6).

use std::fmt::Write;

use serde_json::{Map, Value};

/// The resource path: `/_meta/path` of the config where it has one, else what the pointers of the
/// connector's spec find. The error says what is wrong with the config.
pub(crate) fn path(config: &Value, pointers: &[String]) -> Result<Vec<String>, String> {
    if let Some(Value::Array(path)) = config.pointer("/_meta/path") {
        let parts = path.iter().map(|part| part.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>();
        return parts.ok_or_else(|| "has a /_meta/path that is not a list of strings".to_owned());
    }
    let mut path = Vec::new();
    for pointer in pointers {
        match config.pointer(pointer) {
            None | Some(Value::Null) => {}
            Some(Value::String(part)) => path.push(part.clone()),
            Some(_) => return Err(format!("has no string at {pointer}, which is part of the resource path")),
        }
    }
    if path.is_empty() {
        return Err(format!("has nothing at {}, which makes the resource path", pointers.join(" or ")));
    }
    Ok(path)
}

/// The resource config as Flow hands it to the connector.
pub(super) fn with_path(config: &Value, path: &[String]) -> Value {
    let mut meta = match config.get("_meta") {
        Some(Value::Object(meta)) => meta.clone(),
        _ => Map::new(),
    };
    meta.insert("path".to_owned(), path.into());
    let mut with = Map::new();
    with.insert("_meta".to_owned(), meta.into());
    for (name, value) in config.as_object().into_iter().flatten().filter(|(name, _)| *name != "_meta") {
        with.insert(name.clone(), value.clone());
    }
    Value::Object(with)
}

/// The state key of a binding.
pub(super) fn state_key(path: &[String], backfill: u32) -> String {
    let mut key = String::new();
    for letter in path.join("/").chars() {
        if letter.is_alphanumeric() || "-_+.=".contains(letter) {
            key.push(letter);
        } else {
            for byte in letter.encode_utf8(&mut [0; 4]).bytes() {
                // Writing into a String cannot fail.
                let _ = write!(key, "%{byte:02X}");
            }
        }
    }
    if backfill != 0 {
        let _ = write!(key, ".v{backfill}");
    }
    key
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn strings(parts: &[&str]) -> Vec<String> {
        parts.iter().map(|&part| part.to_owned()).collect()
    }

    #[test]
    fn state_keys_are_those_of_flow() {
        assert_eq!(state_key(&strings(&["public", "users"]), 2), "public%2Fusers.v2");
        assert_eq!(state_key(&strings(&["Größe a_b-c+.="]), 0), "Größe%20a_b-c+.=");
        assert_eq!(state_key(&strings(&["a→b"]), 0), "a%E2%86%92b");
    }

    #[test]
    fn the_path_skips_what_is_null_or_absent() {
        let pointers = strings(&["/namespace", "/stream"]);
        assert_eq!(path(&json!({"stream": "s"}), &pointers), Ok(strings(&["s"])));
        assert_eq!(path(&json!({"stream": "s", "namespace": null}), &pointers), Ok(strings(&["s"])));
        assert_eq!(path(&json!({"stream": "s", "namespace": "n"}), &pointers), Ok(strings(&["n", "s"])));
        assert!(path(&json!({"stream": 1}), &pointers).is_err());
        assert!(path(&json!({}), &pointers).is_err());
        let config = json!({"stream": "s", "_meta": {"path": ["x", "y"]}});
        assert_eq!(path(&config, &pointers), Ok(strings(&["x", "y"])));
    }

    #[test]
    fn meta_is_added_in_front() {
        let config = with_path(&json!({"stream": "s", "_meta": {"other": 1}}), &strings(&["s"]));
        assert_eq!(config.to_string(), r#"{"_meta":{"other":1,"path":["s"]},"stream":"s"}"#);
    }
}
