//! Files of an airbyte-to-flow connector, read and checked one by one.
//!
//! airbyte-to-flow took a file that it could not read for one that is not there. Here, what is there
//! has to be readable: the error names the file and the place.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::failure::{Code, Failure};

pub(super) const SPEC_PATCH: &str = "spec.patch.json";
pub(super) const SPEC_MAP: &str = "spec.map.json";
pub(super) const OAUTH2: &str = "oauth2.patch.json";
pub(super) const DOCUMENTATION: &str = "documentation_url.patch.json";
pub(super) const SELECTED: &str = "selected_streams.json";
pub(super) const OMITTED: &str = "omitted_streams.json";
pub(super) const NORMALIZATIONS: &str = "schema_normalizations.json";
pub(super) const INTERVAL: &str = "run_interval_minutes.json";
/// Where files of single streams are.
pub(super) const STREAMS: &str = "streams";

/// All files that are not of single streams.
pub(super) const ALL: [&str; 8] =
    [SPEC_PATCH, SPEC_MAP, OAUTH2, DOCUMENTATION, SELECTED, OMITTED, NORMALIZATIONS, INTERVAL];

/// Folders below `streams` that are deeper than this are taken for circles.
const DEPTH: usize = 16;

fn wrong(file: &Path, what: impl std::fmt::Display) -> Failure {
    Failure::new(Code::ATF_FILES, format!("{}: {what}", file.display()))
}

/// The text of a file; `None` where there is none.
fn text(file: &Path) -> Result<Option<String>, Failure> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(wrong(file, format!("it cannot be read: {error}"))),
    }
}

fn parse(file: &Path, text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|error| {
        let what = error.to_string();
        let what = what.split(" at line ").next().unwrap_or(&what);
        wrong(file, format!("line {}, column {}: it is not JSON: {what}", error.line(), error.column()))
    })
}

/// What is in a JSON file; `None` where there is none.
pub(super) fn json(folder: &Path, name: &str) -> Result<Option<Value>, Failure> {
    let file = folder.join(name);
    text(&file)?.map(|text| parse(&file, &text)).transpose()
}

/// The same of a file that holds an object.
pub(super) fn object(folder: &Path, name: &str) -> Result<Option<Value>, Failure> {
    match json(folder, name)? {
        Some(value) if !value.is_object() => Err(wrong(&folder.join(name), "it must hold an object")),
        value => Ok(value),
    }
}

/// The same of a file that lists names.
pub(super) fn names(folder: &Path, name: &str) -> Result<Option<Vec<String>>, Failure> {
    let Some(value) = json(folder, name)? else { return Ok(None) };
    strings(&value).map(Some).ok_or_else(|| wrong(&folder.join(name), "it must hold a list of names"))
}

fn strings(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

/// The documentation URL; empty where the file does not give one.
pub(super) fn documentation_url(folder: &Path) -> Result<Option<String>, Failure> {
    let patch = json(folder, DOCUMENTATION)?;
    Ok(patch.map(|patch| patch["documentation_url"].as_str().unwrap_or_default().to_owned()))
}

/// The moves of `spec.map.json`, as `config.map` has them.
pub(super) fn map(folder: &Path) -> Result<Option<Value>, Failure> {
    let Some(map) = object(folder, SPEC_MAP)? else { return Ok(None) };
    let mut moves = Map::new();
    for (to, from) in map.as_object().into_iter().flatten() {
        let from = from.as_str().filter(|from| from.contains('/'));
        let from = from.ok_or_else(|| {
            wrong(
                &folder.join(SPEC_MAP),
                format!("{to:?}: what moves there must be a JSON pointer such as \"/a/b\""),
            )
        })?;
        let to = if to.is_empty() { String::new() } else { pointer(to) };
        moves.insert(to, json!(pointer(from)));
    }
    Ok(Some(Value::Object(moves)))
}

/// airbyte-to-flow took pointers without their first slash too.
fn pointer(text: &str) -> String {
    if text.starts_with('/') { text.to_owned() } else { format!("/{text}") }
}

/// The interval in minutes; white space around it is fine.
pub(super) fn interval_minutes(folder: &Path) -> Result<Option<u32>, Failure> {
    let file = folder.join(INTERVAL);
    let Some(text) = text(&file)? else { return Ok(None) };
    let minutes = text.trim().parse();
    minutes.map(Some).map_err(|_| wrong(&file, "it must hold a whole number of minutes and nothing else"))
}

/// What a file of one stream changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The schema.
    Patch,
    /// The key.
    Key,
    /// Values.
    Normalize,
}

/// A file of one stream.
#[derive(Debug)]
pub(super) struct StreamFile {
    /// The stream's name, or its collection's; slashes are folders.
    pub(super) name: String,
    /// What it changes.
    pub(super) kind: Kind,
    /// Where it is.
    pub(super) path: PathBuf,
}

/// The files of single streams, in the order of their paths.
pub(super) fn streams(folder: &Path) -> Result<Vec<StreamFile>, Failure> {
    let mut found = Vec::new();
    walk(&folder.join(STREAMS), "", 0, &mut found)?;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn walk(folder: &Path, above: &str, depth: usize, found: &mut Vec<StreamFile>) -> Result<(), Failure> {
    let unreadable = |error| wrong(folder, format!("it cannot be read: {error}"));
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
        Err(error) => return Err(unreadable(error)),
    };
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        // A name that is not UTF-8 is no stream's.
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let name = format!("{above}{name}");
        if path.is_dir() && depth < DEPTH {
            walk(&path, &format!("{name}/"), depth + 1, found)?;
        } else if let Some((name, kind)) = of_stream(&name) {
            found.push(StreamFile { name: name.to_owned(), kind, path });
        }
    }
    Ok(())
}

fn of_stream(name: &str) -> Option<(&str, Kind)> {
    [(".patch.json", Kind::Patch), (".pk.json", Kind::Key), (".normalize.json", Kind::Normalize)]
        .into_iter()
        .find_map(|(suffix, kind)| Some((name.strip_suffix(suffix)?, kind)))
}

impl StreamFile {
    /// The setting of a stream's override that the file stands for, and its value.
    pub(super) fn setting(&self) -> Result<(&'static str, Value), Failure> {
        let text = text(&self.path)?.unwrap_or_default();
        let value = parse(&self.path, &text)?;
        match self.kind {
            Kind::Patch => Ok(("schemaPatch", value)),
            Kind::Key => {
                let steps = strings(&value)
                    .ok_or_else(|| wrong(&self.path, "it must hold a list of names of properties"))?;
                // Slashes in a name lead to nested properties: nothing is escaped.
                Ok(("key", steps.iter().map(|step| format!("/{step}")).collect()))
            }
            Kind::Normalize => Ok(("normalize", self.normalizations(&value)?)),
        }
    }

    fn normalizations(&self, value: &Value) -> Result<Value, Failure> {
        let mut changes = Map::new();
        for change in value.as_array().ok_or_else(|| wrong(&self.path, "it must hold a list"))? {
            let at = change["pointer"].as_str();
            let at = at.ok_or_else(|| wrong(&self.path, "an entry has no \"pointer\""))?;
            if change["normalization"] != "datetime_to_date" {
                return Err(wrong(&self.path, format!("{at:?}: \"normalization\" must be datetime_to_date")));
            }
            changes.insert(pointer(at), json!("datetime-to-date"));
        }
        Ok(Value::Object(changes))
    }
}
