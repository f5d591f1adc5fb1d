//! The config file that the credentials are put into, encrypted again where it was.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::dev::catalog::{sops, yaml};
use crate::failure::Failure;

/// A config file that credentials are put into.
#[derive(Debug)]
pub(super) struct Target {
    file: PathBuf,
    config: Value,
    /// Where it is encrypted; `config` is its clear text then, with the names of the file.
    encrypted: Option<sops::Editable>,
}

impl Target {
    /// Reads the file, and decrypts it. One that does not exist is made later.
    pub(super) fn open(file: &Path) -> Result<Self, Failure> {
        let config = if file.exists() { yaml::read(file)? } else { json!({}) };
        if !config.is_object() {
            return Err(yaml::wrong(file, "is no config: it must be a mapping"));
        }
        if config["sops"].is_null() {
            return Ok(Self { file: file.to_owned(), config, encrypted: None });
        }
        let encrypted = sops::Editable::open(config, file)?;
        Ok(Self { file: file.to_owned(), config: encrypted.opened.clone(), encrypted: Some(encrypted) })
    }

    /// Writes the file with these credentials in it; `public` names those that are no secrets. Members of
    /// the old credentials that the new ones do not have stay.
    pub(super) fn write(
        mut self,
        credentials: Map<String, Value>,
        public: &Map<String, Value>,
    ) -> Result<(), Failure> {
        let suffix = self.encrypted.as_ref().and_then(|file| file.suffix.as_deref()).unwrap_or_default();
        merge(&mut self.config, credentials, public, suffix);
        let text = |config: &Value| yaml::text(config, &self.file);
        let put = |text: &str| {
            yaml::replace(&self.file, text)
                .map_err(|error| yaml::wrong(&self.file, format!("cannot be written: {error}")))
        };
        match self.encrypted.take() {
            Some(encrypted) => encrypted.close(&self.config, text, put)?,
            None => put(&text(&self.config)?)?,
        }
        tracing::info!("the credentials are in {}", self.file.display());
        Ok(())
    }
}

/// Puts credentials into a config. Where names of encrypted members have a suffix, secrets get it, unless
/// all of the credentials have it.
fn merge(config: &mut Value, credentials: Map<String, Value>, public: &Map<String, Value>, suffix: &str) {
    let whole = format!("credentials{suffix}");
    let is_whole = !suffix.is_empty() && config[&whole].is_object();
    let place = if is_whole { &whole } else { "credentials" };
    if !config[place].is_object() {
        config[place] = json!({});
    }
    let Some(members) = config[place].as_object_mut() else { return };
    for (name, value) in credentials {
        let secret = !is_whole && !suffix.is_empty() && !public.contains_key(&name);
        let (own, other) = if secret {
            (format!("{name}{suffix}"), name)
        } else {
            (name.clone(), format!("{name}{suffix}"))
        };
        if own != other {
            // It may have stood there in the clear, or encrypted for no reason.
            members.shift_remove(&other);
        }
        members.insert(own, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_get_the_suffix_of_a_file() {
        let credentials =
            || json!({"kind": "oauth", "token": "new"}).as_object().cloned().expect("an object");
        let public = json!({"kind": "oauth"}).as_object().cloned().expect("an object");
        let merged = |mut config: Value, suffix: &str| {
            merge(&mut config, credentials(), &public, suffix);
            config
        };
        assert_eq!(
            merged(json!({"a": 1, "credentials": {"token": "old", "b_sops": 2}}), "_sops"),
            json!({"a": 1, "credentials": {"b_sops": 2, "kind": "oauth", "token_sops": "new"}})
        );
        assert_eq!(
            merged(json!({"credentials_sops": {"token": "old"}}), "_sops"),
            json!({"credentials_sops": {"token": "new", "kind": "oauth"}})
        );
        assert_eq!(merged(json!({}), ""), json!({"credentials": {"kind": "oauth", "token": "new"}}));
    }
}
