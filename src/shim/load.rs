//! Finds and reads a shim folder. Every problem names the file, the place and what would be right.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::baked::Baked;
use super::definition::Definition;
use crate::failure::{Cause, Failure};

/// Where an image keeps its shim.
const IN_IMAGE: &str = "/shim";
/// The name of the definition.
const FILE: &str = "shim.yaml";
/// A definition is a page or two; more is a mistake, and must not fill memory.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Keys of the contract that this version does not act on. Ignoring one would change what a capture
/// does, so each is refused by name.
const LATER: &[&str] = &[
    "streams.overrides.*.normalize",
    "streams.overrides.*.interval",
    "schema.mode",
    "schema.sourced",
    "schema.dateToDatetime",
    "document.meta",
    "read.minInterval",
    "read.idleTimeout",
    "read.parallelism",
    "read.maxRecordBytes",
    "read.oversizedRecord",
    "read.discoverOnOpen",
    "state.format",
    "singer.stateFileAcks",
];

/// Every key that this version acts on, for advice about unknown ones.
const KNOWN: &[&str] = &[
    "protocol",
    "command",
    "env",
    "documentationUrl",
    "oauth2",
    "config",
    "streams",
    "schema",
    "document",
    "read",
    "state",
    "timeouts",
    "singer",
    "select",
    "omit",
    "overrides",
    "key",
    "spec",
    "discover",
    "check",
    "stop",
    "catalogFlag",
    "refresh",
    "checkpointEvery",
    "documents",
    "bytes",
    "seconds",
];

/// A shim, read.
#[derive(Debug, Clone, Default)]
pub struct Shim {
    /// Its folder, absolute; `None` where there is none.
    pub folder: Option<PathBuf>,
    /// What it says; defaults where there is no file.
    pub definition: Definition,
    /// Upstream's specification, where it was baked.
    pub baked: Option<Baked>,
}

/// Reads the shim of this folder, else of the current one if it holds a shim, else of `/shim`. No
/// shim at all is an empty one: protocol and command then come from the command line.
pub fn load(folder: Option<&Path>) -> Result<Shim, Failure> {
    let folder = match folder {
        Some(folder) if !folder.is_dir() => {
            return Err(Failure::new(
                Cause::Usage,
                format!("the shim folder {} does not exist", folder.display()),
            ));
        }
        Some(folder) => Some(folder.to_owned()),
        None => [".", IN_IMAGE].iter().map(PathBuf::from).find(|place| place.join(FILE).is_file()),
    };
    let Some(folder) = folder else { return Ok(Shim::default()) };
    let folder = folder.canonicalize().unwrap_or(folder);
    let file = folder.join(FILE);
    let definition = if file.is_file() { read(&file)? } else { Definition::default() };
    let baked = Baked::load(&folder)?;
    Ok(Shim { folder: Some(folder), definition, baked })
}

fn read(file: &Path) -> Result<Definition, Failure> {
    let failed = |why: String| Failure::new(Cause::Definition, format!("{}: {why}", file.display()));
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
    let tree: Value = serde_saphyr::from_str(text).map_err(|error| first_line(&error.to_string()))?;
    if let Some(key) = LATER.iter().find(|key| holds(&tree, key)) {
        return Err(format!(
            "`{key}` is a key of shim.yaml that this version does not act on yet; remove it"
        ));
    }
    serde_saphyr::from_str(text).map_err(|error| advise(&first_line(&error.to_string())))
}

/// Whether the tree has a value at this path of keys; `*` stands for any.
fn holds(tree: &Value, path: &str) -> bool {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let Some(members) = tree.as_object() else { return false };
    members
        .iter()
        .filter(|(name, _)| first == "*" || *name == first)
        .any(|(_, value)| rest.is_none_or(|rest| holds(value, rest)))
}

/// The YAML crate adds a picture of the place; the first line says it all.
fn first_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it is not YAML");
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// Adds the nearest known key to an error about an unknown one.
fn advise(error: &str) -> String {
    let unknown = error.split_once("unknown field `").and_then(|(_, rest)| rest.split('`').next());
    let Some(unknown) = unknown else { return error.to_owned() };
    let nearest = KNOWN
        .iter()
        .max_by(|a, b| strsim::jaro_winkler(unknown, a).total_cmp(&strsim::jaro_winkler(unknown, b)));
    match nearest {
        Some(nearest) if strsim::jaro_winkler(unknown, nearest) > 0.7 => {
            format!("{error}; did you mean `{nearest}`?")
        }
        _ => error.to_owned(),
    }
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
    fn mistakes_are_told_with_their_place() {
        let errors: Vec<String> = [
            "protcol: airbyte\n",
            "protocol: airbite\n",
            "command: tap\n",
            "timeouts: {spec: 60}\n",
            "streams:\n  overrides:\n    users: {keys: [/id]}\n",
            "read: {parallelism: 4}\n",
            "streams: {overrides: {users: {interval: 1h}}}\n",
            "a: [\n",
            "a: 1\na: 2\n",
        ]
        .iter()
        .map(|text| parse(text).expect_err("a mistake"))
        .collect();
        insta::assert_snapshot!(errors.join("\n"), @r#"
        line 1 column 1: unknown field `protcol`, expected one of protocol, command, env, documentationUrl, oauth2, config, streams, schema, document, read, state, timeouts, singer; did you mean `protocol`?
        line 1 column 11: unknown variant `airbite`, expected one of airbyte, singer
        line 1 column 10: expected sequence start
        line 1 column 18: "60" is not a duration such as 90s, 15m or 1h
        line 3 column 13: unknown field `keys`, expected one of key, schemaPatch, normalize, refresh, interval; did you mean `key`?
        `read.parallelism` is a key of shim.yaml that this version does not act on yet; remove it
        `streams.overrides.*.interval` is a key of shim.yaml that this version does not act on yet; remove it
        line 1 column 4: unclosed bracket '['
        line 2 column 1: duplicate mapping key: a, set DuplicateKeyPolicy in Options if acceptable
        "#);
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
