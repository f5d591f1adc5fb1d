//! Config files that sops encrypted, as Flow reads them (flow-protocol.md, section 6).
//!
//! The `sops` program decrypts where it is in PATH, since it knows every kind of key; without it, age
//! keys are known here ([`age`]), with values ([`value`]) and their checksum ([`tree`], and [`seal`]
//! for one that is changed). Errors name the file and the place, never a value.

mod age;
mod edit;
mod seal;
mod tree;
mod value;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

pub(super) use self::edit::Editable;
use crate::env;
use crate::failure::Failure;

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

/// The `sops` program, where it is there.
fn program() -> Option<PathBuf> {
    std::env::split_paths(&env::path()).map(|place| place.join("sops")).find(|path| path.is_file())
}

fn by_program(program: &Path, config: &Value) -> Result<Value, String> {
    let failed = |error: std::io::Error| format!("cannot be decrypted: {}: {error}", program.display());
    let mut child = Command::new(program)
        .args(["--decrypt", "--input-type", "json", "--output-type", "json", "/dev/stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that fails early does not read; its exit says why.
        let _ = stdin.write_all(config.to_string().as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("nothing").to_owned();
        return Err(format!("cannot be decrypted; sops says: {said}"));
    }
    serde_json::from_slice(&output.stdout).map_err(|_| "cannot be decrypted: sops printed no JSON".to_owned())
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
