//! Upstream's specification, kept in the shim's folder by `flow-shim bake`, and whether it is still of
//! the upstream that is installed.
//!
//! Flow asks for the specification in every process it starts; a baked one is answered without
//! starting upstream. What it says is for `capture` to read: here it is a value.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::definition::ProtocolName;
use crate::failure::{Code, Failure};

/// The file's name.
pub const FILE: &str = "spec.baked.json";
/// The layout of the file that this version writes and reads.
const LAYOUT: u32 = 1;

/// A baked specification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Baked {
    layout: u32,
    /// What upstream speaks.
    pub protocol: ProtocolName,
    /// Which upstream it was.
    pub upstream: Identity,
    /// What upstream said.
    pub spec: Value,
}

/// What tells one installed upstream from another, at the price of looking at one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Identity {
    /// A Python distribution, by the folder that describes it: its name holds the version.
    Distribution(PathBuf),
    /// Any other program, by its size in bytes and the second in which it was changed last.
    #[serde(rename_all = "camelCase")]
    Program {
        /// Bytes.
        size: u64,
        /// Seconds since 1970.
        modified: u64,
    },
}

impl Baked {
    /// What is to be kept.
    pub fn new(protocol: ProtocolName, upstream: Identity, spec: Value) -> Self {
        Self { layout: LAYOUT, protocol, upstream, spec }
    }

    /// Reads what a folder keeps; `None` where nothing was baked.
    pub fn load(folder: &Path) -> Result<Option<Self>, Failure> {
        let file = folder.join(FILE);
        let text = match std::fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(&file, &error.to_string())),
        };
        let baked: Self =
            serde_json::from_slice(&text).map_err(|error| unusable(&file, &error.to_string()))?;
        if baked.layout == LAYOUT {
            Ok(Some(baked))
        } else {
            Err(unusable(&file, "another version of flow-shim wrote it"))
        }
    }

    /// Writes it into a folder; the file's path.
    pub fn save(&self, folder: &Path) -> Result<PathBuf, Failure> {
        let file = folder.join(FILE);
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| Failure::new(Code::BUG, format!("{}: {error}", file.display())))?;
        text.push(b'\n');
        std::fs::write(&file, text).map_err(|error| {
            Failure::new(Code::CANNOT_WRITE, format!("{} cannot be written: {error}", file.display()))
        })?;
        Ok(file)
    }

    /// Whether the program that is installed now is the one that was baked.
    pub fn is_of(&self, program: &Path) -> bool {
        self.upstream.is_of(program)
    }
}

impl Identity {
    /// The identity of an installed program.
    pub fn of(program: &Path) -> Self {
        distribution(program).map_or_else(|| Self::of_file(program), Identity::Distribution)
    }

    /// Whether the program that is installed now has this identity.
    pub(super) fn is_of(&self, program: &Path) -> bool {
        match self {
            Identity::Distribution(folder) => {
                prefix(program).is_some_and(|prefix| prefix.join(folder).is_dir())
            }
            program_then @ Identity::Program { .. } => *program_then == Identity::of_file(program),
        }
    }

    /// Whether the program may change and keep this identity: one without a version, or a distribution that
    /// was installed from a folder, as `pip install --editable` does.
    pub(super) fn may_be_edited(&self, program: &Path) -> bool {
        match self {
            Identity::Distribution(folder) => {
                let url = prefix(program).map(|prefix| prefix.join(folder).join("direct_url.json"));
                let url = url.and_then(|url| std::fs::read_to_string(url).ok()).unwrap_or_default();
                url.contains("\"dir_info\"")
            }
            Identity::Program { .. } => true,
        }
    }

    fn of_file(program: &Path) -> Self {
        let metadata = program.metadata().ok();
        let changed = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
        let modified =
            changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |time| time.as_secs());
        Identity::Program { size: metadata.map_or(0, |metadata| metadata.len()), modified }
    }
}

impl std::fmt::Display for Identity {
    /// `airbyte_source_faker 7.2.1`, or words for a program without a version.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Identity::Distribution(folder) => {
                let name = folder.file_stem().unwrap_or_default().to_string_lossy();
                f.write_str(&name.replacen('-', " ", 1))
            }
            Identity::Program { size, .. } => write!(f, "a program of {size} bytes"),
        }
    }
}

/// Where a program is installed: `/venv` for `/venv/bin/tap`.
fn prefix(program: &Path) -> Option<&Path> {
    program.parent()?.parent()
}

/// The folder, below the prefix, of the distribution that has this program as an entry point.
fn distribution(program: &Path) -> Option<PathBuf> {
    let (prefix, name) = (prefix(program)?, program.file_name()?.to_str()?);
    let entries =
        |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries(&prefix.join("lib"))
        .filter(|python| python.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python3")))
        .flat_map(|python| entries(&python.join("site-packages")))
        .filter(|folder| folder.extension().is_some_and(|extension| extension == "dist-info"))
        .find(|folder| {
            let text = std::fs::read_to_string(folder.join("entry_points.txt")).unwrap_or_default();
            text.lines().any(|line| line.split_once('=').is_some_and(|(entry, _)| entry.trim() == name))
        })
        .and_then(|folder| Some(folder.strip_prefix(prefix).ok()?.to_owned()))
}

fn unusable(file: &Path, why: &str) -> Failure {
    Failure::new(
        Code::BAKED_SPEC,
        format!("{} cannot be used: {why}; make it anew with `flow-shim bake`", file.display()),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn installed(version: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let described = folder.path().join(format!("lib/python3.11/site-packages/tap_x-{version}.dist-info"));
        std::fs::create_dir_all(&described).expect("a folder");
        std::fs::write(described.join("entry_points.txt"), "[console_scripts]\ntap-x = tap_x:main\n")
            .expect("written");
        std::fs::create_dir(folder.path().join("bin")).expect("a folder");
        let program = folder.path().join("bin/tap-x");
        std::fs::write(&program, "#!/bin/sh\n").expect("written");
        (folder, program)
    }

    #[test]
    fn another_version_of_a_distribution_is_noticed() {
        let (_one, old) = installed("1.0");
        let (_two, new) = installed("1.1");
        let identity = Identity::of(&old);
        assert_eq!(identity.to_string(), "tap_x 1.0");
        let baked = Baked::new(ProtocolName::Singer, identity, json!({}));
        assert!(baked.is_of(&old));
        assert!(!baked.is_of(&new));
    }

    #[test]
    fn another_program_is_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("source");
        std::fs::write(&program, "1").expect("written");
        let baked = Baked::new(ProtocolName::Airbyte, Identity::of(&program), json!({}));
        assert!(baked.is_of(&program));
        std::fs::write(&program, "12").expect("written");
        assert!(!baked.is_of(&program));
    }

    #[test]
    fn what_is_kept_comes_back_and_what_is_broken_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(Baked::load(folder.path()).expect("none"), None);
        let baked =
            Baked::new(ProtocolName::Singer, Identity::Program { size: 1, modified: 2 }, json!({"a": null}));
        baked.save(folder.path()).expect("saved");
        assert_eq!(Baked::load(folder.path()).expect("read"), Some(baked));
        std::fs::write(folder.path().join(FILE), "{").expect("written");
        let failure = Baked::load(folder.path()).expect_err("broken");
        assert!(failure.message.contains("flow-shim bake"), "{failure}");
    }
}
