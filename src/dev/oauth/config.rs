//! The endpoint config of a consent flow: what is given of it before, and the file that the
//! credentials are put into afterwards.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::dev::checks::compile;
use crate::dev::yaml;
use crate::failure::{Cause, Failure};

/// Holds a config without credentials against the schema, as `flowctl raw oauth` does.
pub(super) fn check(schema: &Value, config: &Map<String, Value>) -> Result<(), Failure> {
    let wrong = |what: String| Failure::new(Cause::Config, what);
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
    Err(wrong(format!("--endpoint-config does not fit the connector's schema: {}", mistakes.join("; "))))
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

/// Masks the values of a config that the schema calls secret.
pub(super) fn mask(schema: &Value, config: &mut Value, with: &str) {
    let Some(members) = config.as_object_mut() else { return };
    for (name, value) in members {
        let declared = &schema["properties"][name];
        if declared["secret"] == true || declared["writeOnly"] == true {
            *value = with.into();
        } else {
            mask(declared, value, with);
        }
    }
}

/// A config file that credentials are put into.
#[derive(Debug)]
pub(super) struct Target {
    file: PathBuf,
    config: Value,
}

impl Target {
    /// Reads the file. One that does not exist is made later.
    pub(super) fn open(file: &Path) -> Result<Self, Failure> {
        let config = if file.exists() { yaml::read(file)? } else { json!({}) };
        if !config.is_object() {
            return Err(yaml::wrong(file, "is no config: it must be a mapping"));
        }
        if !config["sops"].is_null() {
            return Err(yaml::wrong(
                file,
                "is encrypted; put the credentials into another file and encrypt that",
            ));
        }
        Ok(Self { file: file.to_owned(), config })
    }

    /// Writes the file with these credentials in it. Members of the old
    /// credentials that the new ones do not have stay.
    pub(super) fn write(mut self, credentials: Map<String, Value>) -> Result<(), Failure> {
        match self.config.get_mut("credentials").and_then(Value::as_object_mut) {
            Some(old) => old.extend(credentials),
            None => self.config["credentials"] = credentials.into(),
        }
        let is_json = self.file.extension().is_some_and(|extension| extension == "json");
        let text = if is_json {
            serde_json::to_string_pretty(&self.config).ok()
        } else {
            serde_saphyr::to_string(&self.config).ok()
        };
        let text =
            text.ok_or_else(|| Failure::new(Cause::Internal, "the config cannot be written as text"))?;
        replace(&self.file, &text)
            .map_err(|error| yaml::wrong(&self.file, format!("cannot be written: {error}")))?;
        tracing::info!("the credentials are in {}", self.file.display());
        Ok(())
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
}
