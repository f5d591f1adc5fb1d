//! Finds and reads a shim folder. Every problem names the file, the place and what would be right.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::atf;
use super::baked::Baked;
use super::definition::Definition;
use super::manifest::{self, Manifest};
use super::metadata;
use super::mistakes;
use super::read::DataChannel;
use crate::failure::{Code, Failure};

/// Where an image keeps its shim.
const IN_IMAGE: &str = "/shim";
/// The name of the definition.
pub const FILE: &str = "shim.yaml";
/// A definition is a page or two; more is a mistake, and must not fill memory.
const LARGEST: u64 = 16 * 1024 * 1024;

/// A shim, read.
#[derive(Debug, Clone, Default)]
pub struct Shim {
    /// Its folder, absolute; `None` where there is none.
    pub folder: Option<PathBuf>,
    /// What it says; defaults where there is no file.
    pub definition: Definition,
    /// Upstream's specification, where it was baked.
    pub baked: Option<Baked>,
    /// The manifest of a low-code connector, where the shim has one.
    pub manifest: Option<Arc<Manifest>>,
}

/// Reads the shim of this folder, else of the current one if it holds a shim, else of `/shim`. Where
/// there is no `shim.yaml`, files of airbyte-to-flow's count. No shim at all is an empty one: protocol
/// and command then come from the command line.
pub fn load(folder: Option<&Path>) -> Result<Shim, Failure> {
    let places = [".", IN_IMAGE].map(PathBuf::from);
    let found = || places.into_iter().find(|place| is_shim(place));
    let Some(folder) = existing(folder)?.or_else(found) else { return Ok(Shim::default()) };
    load_folder(folder, false)
}

/// Whether a folder holds a shim: a `shim.yaml`, a manifest, or files of airbyte-to-flow's.
pub fn is_shim(folder: &Path) -> bool {
    [FILE, manifest::FILE].iter().any(|file| folder.join(file).is_file()) || atf::is_atf(folder)
}

/// The same for a call in airbyte-to-flow's own spelling: of this folder, else of the current one, and
/// with its conventions even where no file is.
pub fn load_as_airbyte_to_flow(folder: Option<&Path>) -> Result<Shim, Failure> {
    let folder = existing(folder)?.unwrap_or_else(|| PathBuf::from("."));
    load_folder(folder, true)
}

/// A folder that was named has to be there.
fn existing(folder: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
    match folder {
        Some(folder) if !folder.is_dir() => {
            Err(Failure::new(Code::NO_SHIM, format!("the shim folder {} does not exist", folder.display())))
        }
        folder => Ok(folder.map(Path::to_owned)),
    }
}

/// `as_atf`: airbyte-to-flow's conventions count even where none of its files is.
fn load_folder(folder: PathBuf, as_atf: bool) -> Result<Shim, Failure> {
    let folder = folder.canonicalize().unwrap_or(folder);
    let file = folder.join(FILE);
    let mut definition = if file.is_file() {
        read(&file)?
    } else if as_atf || atf::is_atf(&folder) {
        let tree = atf::tree(&folder)?;
        Definition::deserialize(tree).map_err(|error| {
            Failure::new(
                Code::ATF_FILES,
                format!("the files of {} make no definition: {error}", folder.display()),
            )
        })?
    } else {
        Definition::default()
    };
    if definition.read.data_channel == DataChannel::Auto {
        definition.read.data_channel = metadata::data_channel(&folder)?;
    }
    let manifest = manifest::find(&folder, &mut definition)?;
    // The manifest is as fresh as can be.
    let baked = if manifest.is_none() { Baked::load(&folder)? } else { None };
    Ok(Shim { folder: Some(folder), definition, baked, manifest })
}

fn read(file: &Path) -> Result<Definition, Failure> {
    let failed = |why: String| Failure::new(Code::SHIM_YAML, format!("{}: {why}", file.display()));
    let size = file.metadata().map(|metadata| metadata.len()).map_err(|error| failed(error.to_string()))?;
    if size > LARGEST {
        return Err(failed(format!("it has {size} bytes; a definition has far fewer")));
    }
    let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    parse(&text).map_err(failed)
}

/// Reads the text of a `shim.yaml`; the error says where and what.
pub fn parse(text: &str) -> Result<Definition, String> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Definition::default());
    }
    // What is no YAML at all is told first.
    mistakes::read::<Value>(text)?;
    mistakes::read(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::definition::{CatalogFlag, ProtocolName};
    use super::*;

    #[test]
    fn a_whole_definition_is_read() {
        let text = "protocol: singer\ncommand: [tap-x, --flag]\nenv: {A: \"1\"}\nconfig: {schema: {type: object}}\nstreams:\n  select: [a]\n  omit: [b_*]\n  overrides:\n    \"*\": {key: [/id]}\ntimeouts: {discover: 2m}\nsinger: {catalogFlag: --properties}\n";
        let definition = parse(text).expect("a definition");
        assert_eq!(definition.protocol, Some(ProtocolName::Singer));
        assert_eq!(definition.command, ["tap-x", "--flag"]);
        assert_eq!(definition.timeouts.discover.as_secs(), 120);
        assert_eq!(definition.timeouts.spec.as_secs(), 60);
        assert_eq!(definition.singer.catalog_flag, CatalogFlag::Properties);
    }

    #[test]
    fn nothing_is_an_empty_definition() {
        for text in ["", "\n", "# a comment\n"] {
            assert!(parse(text).expect("a definition").command.is_empty());
        }
    }

    #[test]
    fn a_folder_that_does_not_exist_is_an_error() {
        assert!(load(Some(Path::new("no/such/folder"))).is_err());
    }

    proptest! {
        #[test]
        fn junk_never_panics(text in "[a-z{}\\[\\]:,\"'\n -]{0,80}|\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
