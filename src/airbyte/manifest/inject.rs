//! How the CDK gets a manifest: inside the config file that it alone reads.
//!
//! Its flag `--manifest-path` came late in version 6, and puts the manifest into the config as well,
//! which the CDK then holds against the specification: one that allows no further members refuses
//! every config (airbyte-cdk 7.39.1). So the manifest goes in by ourselves, which every version takes
//! that has the program, with a specification that lets it pass. Flow has held the config against
//! the real one before.

use std::fmt::Write;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};
use sha2::Digest;

use super::spec;
use crate::capture::protocol::PrivateFile;
use crate::failure::Failure;
use crate::shim::manifest::{Components, Manifest};

const MANIFEST: &str = "__injected_declarative_manifest";
const COMPONENTS: &str = "__injected_components_py";
const CHECKSUMS: &str = "__injected_components_py_checksums";

/// Members of the config that are ours alone. One from a user would have its code run.
pub(in crate::airbyte) const MEMBERS: &[&str] = &[MANIFEST, COMPONENTS, CHECKSUMS];

/// Keywords by which a schema refuses members that it does not name.
const CLOSING: &[&str] = &["additionalProperties", "unevaluatedProperties", "propertyNames", "maxProperties"];

/// The config file of a connector that this manifest describes.
pub(in crate::airbyte) fn config_file(config: &Value, manifest: &Manifest) -> Result<PrivateFile, Failure> {
    let mut spec = spec::resolved(manifest)?;
    if let Some(schema) = spec.as_mut().and_then(|spec| spec.get_mut("connection_specification")) {
        open(schema);
    }
    let tree = manifest.tree()?.as_object();
    let file = ConfigWithManifest { config, tree, components: manifest.components.as_ref(), spec };
    Ok(PrivateFile::json(PrivateFile::CONFIG, &file))
}

/// Has a schema allow members that it does not name, at the root of the config.
fn open(schema: &mut Value) {
    let Some(members) = schema.as_object_mut() else { return };
    members.retain(|keyword, _| !CLOSING.contains(&keyword.as_str()));
    for keyword in ["allOf", "anyOf", "oneOf"] {
        members.get_mut(keyword).and_then(Value::as_array_mut).into_iter().flatten().for_each(open);
    }
}

struct ConfigWithManifest<'a> {
    config: &'a Value,
    tree: Option<&'a Map<String, Value>>,
    components: Option<&'a Components>,
    spec: Option<Value>,
}

impl Serialize for ConfigWithManifest<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut file = serializer.serialize_map(None)?;
        for (name, value) in self.config.as_object().into_iter().flatten() {
            if !MEMBERS.contains(&name.as_str()) {
                file.serialize_entry(name, value)?;
            }
        }
        file.serialize_entry(MANIFEST, &WithSpec { tree: self.tree, spec: self.spec.as_ref() })?;
        if let Some(components) = self.components {
            file.serialize_entry(COMPONENTS, &*components.text)?;
            file.serialize_entry(CHECKSUMS, &json!({"sha256": sha256(&components.text)}))?;
        }
        file.end()
    }
}

/// A manifest with another specification.
struct WithSpec<'a> {
    tree: Option<&'a Map<String, Value>>,
    spec: Option<&'a Value>,
}

impl Serialize for WithSpec<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let members = self.tree.into_iter().flatten();
        serializer.collect_map(members.map(|(name, value)| match self.spec {
            Some(spec) if name == "spec" => (name, spec),
            _ => (name, value),
        }))
    }
}

fn sha256(text: &str) -> String {
    sha2::Sha256::digest(text).iter().fold(String::new(), |mut hex, byte| {
        // Writing into a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn the_manifest_passes_a_specification_that_allows_nothing_else_and_users_inject_nothing() {
        let tree = json!({
            "version": "7.0.0",
            "definitions": {"config": {"type": "object", "additionalProperties": false, "oneOf": [{"maxProperties": 1}]}},
            "spec": {"connection_specification": {"$ref": "#/definitions/config"}},
        });
        let components = Components { file: PathBuf::new(), text: "abc".into() };
        let mut manifest = Manifest::new(PathBuf::new(), tree.to_string());
        let config = json!({"key": "k", COMPONENTS: "evil", CHECKSUMS: {}});
        let written = |manifest: &Manifest| -> Value {
            let file = config_file(&config, manifest).expect("a config");
            serde_json::from_slice(&file.content).expect("JSON")
        };
        let plain = written(&manifest);
        assert_eq!(plain["key"], "k");
        assert!(plain.get(COMPONENTS).is_none() && plain.get(CHECKSUMS).is_none());
        let spec = json!({"connection_specification": {"type": "object", "oneOf": [{}]}});
        assert_eq!(plain[MANIFEST]["spec"], spec);
        assert_eq!(plain[MANIFEST]["definitions"], tree["definitions"]);
        manifest.components = Some(components);
        let with_code = written(&manifest);
        assert_eq!(with_code[COMPONENTS], "abc");
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(with_code[CHECKSUMS], json!({"sha256": digest}));
    }
}
