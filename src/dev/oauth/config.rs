//! The endpoint config of a consent flow: what is given of it before, and the file that the
//! credentials are put into afterwards.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::capture::config::secrets;
use crate::dev::catalog::{sops, yaml};
use crate::dev::driver::checks::compile;
use crate::failure::{Code, Failure};

/// Holds a config without credentials against the schema, as `flowctl raw oauth` does.
pub(super) fn check(schema: &Value, config: &Map<String, Value>) -> Result<(), Failure> {
    let wrong = |what: String| Failure::new(Code::NO_OAUTH2, what);
    let mut rest = schema.clone();
    let required = rest["required"].as_array_mut();
    let place = required.as_ref().and_then(|required| required.iter().position(|name| name == "credentials"));
    let (Some(required), Some(place)) = (required, place) else {
        return Err(wrong(
            "the config schema does not require `credentials`, where Flow puts what consent brings"
                .to_owned(),
        ));
    };
    required.remove(place);
    let validator = compile(&rest).map_err(|what| wrong(format!("the config schema {what}")))?;
    let mistakes: Vec<String> = validator
        .iter_errors(&Value::Object(config.clone()))
        .map(|error| format!("{}: {}", error.instance_path(), error.masked()))
        .collect();
    if mistakes.is_empty() {
        return Ok(());
    }
    let what = format!("--endpoint-config does not fit the connector's schema: {}", mistakes.join("; "));
    Err(Failure::new(Code::ENDPOINT_CONFIG, what))
}

/// The properties that have only one value in the branch of this provider, such as the one that tells
/// which branch it is.
pub(super) fn constants(schema: &Value, provider: &str) -> Map<String, Value> {
    let credentials = &schema["properties"]["credentials"];
    let branches = ["oneOf", "anyOf"].iter().filter_map(|keyword| credentials[*keyword].as_array()).flatten();
    let bound = branches.chain([credentials]).find(|branch| branch["x-oauth2-provider"] == provider);
    let properties = bound.and_then(|bound| bound["properties"].as_object()).into_iter().flatten();
    properties.filter_map(|(name, schema)| Some((name.clone(), schema.get("const")?.clone()))).collect()
}

/// Masks the secrets of a config, as far as they are known to be some.
pub(super) fn mask(schema: &Value, config: &mut Value, with: &str) {
    let known: BTreeSet<String> =
        secrets::secrets(schema, config).into_iter().map(|(_, text)| text).collect();
    conceal(config, &known, with);
}

fn conceal(value: &mut Value, known: &BTreeSet<String>, with: &str) {
    let is_secret = match value {
        Value::Object(members) => {
            return members.values_mut().for_each(|member| conceal(member, known, with));
        }
        Value::Array(items) => return items.iter_mut().for_each(|item| conceal(item, known, with)),
        // Of a URL the password alone is known.
        Value::String(text) => {
            known.contains(text) || text.contains("://") && known.iter().any(|known| text.contains(known))
        }
        Value::Number(number) => known.contains(&number.to_string()),
        Value::Bool(_) | Value::Null => false,
    };
    if is_secret {
        *value = with.into();
    }
}

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
        let is_json = self.file.extension().is_some_and(|extension| extension == "json");
        let text = |config: &Value| {
            let text = if is_json {
                serde_json::to_string_pretty(config).ok()
            } else {
                serde_saphyr::to_string(config).ok()
            };
            text.ok_or_else(|| Failure::new(Code::BUG, "the config cannot be written as text"))
        };
        let put = |text: &str| {
            replace(&self.file, text)
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

/// Puts a whole new file in place of the old one, readable for its owner alone.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
    std::io::Write::write_all(&mut fresh, text.trim_end().as_bytes())?;
    std::io::Write::write_all(&mut fresh, b"\n")?;
    fresh.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_config_is_checked() {
        let schema = json!({"required": ["credentials", "shop"], "properties": {"shop": {"type": "string"}}});
        let config = |value: Value| value.as_object().cloned().expect("an object");
        assert!(check(&schema, &config(json!({"shop": "acme"}))).is_ok());
        let failure = check(&schema, &config(json!({"shop": 12345}))).expect_err("no text");
        assert!(failure.message.contains("/shop") && !failure.message.contains("12345"), "{failure}");
        assert!(check(&json!({}), &Map::new()).is_err());
    }

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

    #[test]
    fn a_branch_tells_its_constants_and_secrets_are_masked() {
        let schema = json!({"properties": {"key": {"secret": true}, "credentials": {"oneOf": [
            {"properties": {"type": {"const": "key"}}},
            {"x-oauth2-provider": "acme", "properties": {"type": {"const": "oauth"}, "token": {}}},
        ]}}});
        assert_eq!(Value::Object(constants(&schema, "acme")), json!({"type": "oauth"}));
        let mut config = json!({"key": "k", "shop": "s"});
        mask(&schema, &mut config, "****");
        assert_eq!(config, json!({"key": "****", "shop": "s"}));
    }

    #[test]
    fn secrets_in_branches_lists_and_urls_are_masked() {
        let schema = json!({
            "properties": {
                "auth": {"oneOf": [{"properties": {"kind": {"const": "key"}, "pin": {"airbyte_secret": true}}}]},
                "keys": {"items": {"$ref": "#/definitions/a%20key"}},
            },
            "definitions": {"a key": {"format": "password"}},
        });
        let mut config = json!({
            "auth": {"kind": "key", "pin": 1234}, "keys": ["one", "two"], "api_token": "t0k", "shop": "s", "on": true,
            "url": "https://me:hunter22@host/", "proxy": {"host": "h"},
        });
        mask(&schema, &mut config, "****");
        let masked = json!({
            "auth": {"kind": "key", "pin": "****"}, "keys": ["****", "****"], "api_token": "****", "shop": "s", "on": true,
            "url": "****", "proxy": {"host": "h"},
        });
        assert_eq!(config, masked);
    }
}
