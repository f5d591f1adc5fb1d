//! `flow-shim new`: a folder for one more connector, which loads at once and says what comes next.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::catalog::yaml;
use super::pull_upstream;
use crate::airbyte;
use crate::failure::{Code, Failure};
use crate::shim::command::REQUIREMENTS;
use crate::shim::definition::ProtocolName;
use crate::shim::{documentation, load, manifest};

/// Where a repository keeps its shims.
const SHIMS: &str = "shims";
/// The newest airbyte-cdk that the tests have run manifests with.
const CDK: &str = "7.39.1";

/// Options of `new`.
#[derive(Debug, clap::Args)]
pub struct NewOptions {
    /// The connector's name, such as `source-x` or `tap-x`; the folder is ./shims/NAME where there is a
    /// folder ./shims, else ./NAME, and a name with a slash in it is the folder itself
    pub name: String,
    /// What it speaks; needed where no manifest says so
    #[arg(long, value_enum, required_unless_present = "manifest")]
    pub protocol: Option<ProtocolName>,
    /// The manifest of a low-code Airbyte connector, which is copied; with the components.py beside it
    #[arg(long, value_name = "PATH", conflicts_with_all = ["protocol", "command"])]
    pub manifest: Option<PathBuf>,
    /// The manifest's licence, as SPDX writes it [default: what a metadata.yaml beside it says]
    #[arg(long, value_name = "LICENSE-ID", requires = "manifest")]
    pub license: Option<String>,
    /// Take a manifest whose licence is not an open-source licence, such as `Elastic-2.0`
    #[arg(long, requires = "manifest")]
    pub accept_license: bool,
    /// What is installed, as requirements.txt has it: `airbyte-source-x==1.2.3`
    #[arg(long, value_name = "REQUIREMENT")]
    pub package: Option<String>,
    /// The program that is run [default: the name]
    #[arg(long, value_name = "PROGRAM")]
    pub command: Option<String>,
}

/// Makes the folder. One that exists already is left alone.
pub fn new(options: NewOptions) -> Result<(), Failure> {
    let folder = folder(&options.name);
    let name =
        folder.file_name().and_then(|name| name.to_str()).filter(|name| is_plain(name)).ok_or_else(|| {
            Failure::new(
                Code::BAD_OPTION,
                format!(
                    "{:?} is not a connector's name; it may hold letters, digits, `-`, `_` and `.`",
                    options.name
                ),
            )
        })?;
    if folder.exists() {
        return Err(Failure::new(Code::ALREADY_THERE, format!("{} is there already", folder.display())));
    }
    let made = match &options.manifest {
        Some(manifest) => from_manifest(manifest, name, &options)?,
        None => from_package(name, &options),
    };
    std::fs::create_dir_all(&folder).map_err(|error| failed(&folder, &error))?;
    let shown = folder.display();
    for (file, text) in &made.files {
        let file = folder.join(file);
        std::fs::write(&file, text).map_err(|error| failed(&file, &error))?;
    }
    let file = folder.join("test.flow.yaml");
    std::fs::write(&file, test_flow(name, &shown.to_string())).map_err(|error| failed(&file, &error))?;
    let pin = if made.pinned { "" } else { "pin the version in requirements.txt, " };
    let place = folder.canonicalize().unwrap_or_else(|_| folder.clone());
    tracing::info!(
        "made {}; {pin}run `flow-shim install {shown}`, then `flow-shim raw spec --source {shown}/test.flow.yaml`",
        place.display()
    );
    Ok(())
}

/// What a new folder holds.
struct Made {
    files: Vec<(&'static str, String)>,
    /// Whether the requirements name one version.
    pinned: bool,
}

fn from_package(name: &str, options: &NewOptions) -> Made {
    let protocol = options.protocol.unwrap_or(ProtocolName::Airbyte);
    let program = options.command.as_deref().unwrap_or(name);
    let package = options.package.clone().unwrap_or_else(|| match protocol {
        ProtocolName::Airbyte => format!("airbyte-{name}"),
        ProtocolName::Singer => name.to_owned(),
    });
    let (kind, spec) = match protocol {
        ProtocolName::Airbyte => ("Airbyte source", ""),
        ProtocolName::Singer => ("Singer tap", TAP_CONFIG),
    };
    let documentation = documentation::page_of(&package)
        .map(|url| format!("documentationUrl: {}\n", quoted(&url)))
        .unwrap_or_default();
    let protocol = protocol.as_str();
    let files = vec![
        (load::FILE, format!("protocol: {protocol}\ncommand: [{}]\n{documentation}{spec}", quoted(program))),
        (
            REQUIREMENTS,
            format!(
                "# Pin the version, and what it depends on: `flow-shim install`, then `.venv/bin/pip freeze`.\n{package}\n"
            ),
        ),
        ("README.md", format!("# {name}\n\nThe {kind} `{package}`.\n")),
    ];
    Made { files, pinned: package.contains("==") }
}

/// The files of a low-code connector. The manifest must be one, and its licence allow the copy.
fn from_manifest(file: &Path, name: &str, options: &NewOptions) -> Result<Made, Failure> {
    airbyte::manifest::spec(&manifest::read(file)?, airbyte::manifest::Wanted::default())?;
    let read = |file: &Path| {
        std::fs::read_to_string(file)
            .map_err(|error| manifest::failed(file, &format!("it cannot be read: {error}")))
    };
    let beside = |name: &str| file.with_file_name(name);
    let described = yaml::read(&beside("metadata.yaml")).ok();
    let described = described.and_then(|metadata| metadata["data"]["license"].as_str().map(str::to_owned));
    let licence = match options.license.clone().or(described) {
        Some(licence) => {
            let licence = pull_upstream::must_be_open(&licence, options.accept_license)?;
            format!("Its licence is `{licence}`.")
        }
        None => "Say here under which licence it may be used: nothing beside it did.".to_owned(),
    };
    let package = options.package.clone().unwrap_or_else(|| format!("airbyte-cdk=={CDK}"));
    let mut files = vec![
        (manifest::FILE, read(file)?),
        (REQUIREMENTS, format!("# The program that runs the manifest.\n{package}\n")),
        (
            "README.md",
            format!("# {name}\n\nA low-code connector: `manifest.yaml`, run by `{package}`. {licence}\n"),
        ),
    ];
    let mut keys = format!("manifest: {}\n", manifest::FILE);
    let components = beside(manifest::COMPONENTS);
    if components.is_file() {
        files.push((manifest::COMPONENTS, read(&components)?));
        keys = format!("{keys}components: {}\n", manifest::COMPONENTS);
        tracing::warn!(
            "{} was copied too; its Python code runs within the connector: read it first",
            components.display()
        );
    }
    files.push((load::FILE, keys));
    Ok(Made { files, pinned: package.contains("==") })
}

/// A tap may have no `--about`; then its settings are said here.
const TAP_CONFIG: &str = "\
# Only for a tap that has no --about: what its config looks like.
# config:
#   schema:
#     type: object
#     required: [api_key]
#     properties:
#       api_key: {type: string, title: API key, secret: true}
";

fn test_flow(name: &str, folder: &str) -> String {
    format!(
        "captures:\n  acmeCo/{name}:\n    endpoint:\n      local:\n        command: [flow-shim, run, --shim, {}]\n        \
         # What `flow-shim raw spec` asks for; a file beside this one may hold it, encrypted by sops.\n        config: {{}}\n    \
         # `flow-shim raw discover --write` puts bindings here, and their collections below.\n    bindings: []\n",
        quoted(folder)
    )
}

/// A YAML scalar that is text, in quotes where it would not be without; JSON's strings are YAML's.
fn quoted(text: &str) -> String {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
    let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    let is_text = || serde_saphyr::from_str::<Value>(text).is_ok_and(|read| read == text);
    if plain && starts && is_text() { text.to_owned() } else { Value::from(text).to_string() }
}

fn folder(name: &str) -> PathBuf {
    if name.contains('/') || !Path::new(SHIMS).is_dir() {
        PathBuf::from(name)
    } else {
        Path::new(SHIMS).join(name)
    }
}

fn is_plain(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Code::CANNOT_WRITE, format!("{} cannot be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_yaml_would_misread_are_quoted() {
        assert_eq!(quoted("source-x"), "source-x");
        assert_eq!(quoted("a: b"), "\"a: b\"");
        assert_eq!(quoted("1.5"), "\"1.5\"");
        assert_eq!(quoted("true"), "\"true\"");
        assert_eq!(quoted("null"), "\"null\"");
    }
}
