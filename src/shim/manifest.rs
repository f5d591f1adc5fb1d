//! The manifest of a low-code Airbyte connector in a shim's folder: where it is, and its YAML as a tree.
//!
//! What the tree means is for `airbyte` to know. The file is data from elsewhere, so its size, its
//! nodes and the repetition of its anchors are bounded.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::definition::{Definition, ProtocolName};
use super::mistakes;
use crate::failure::{Code, Failure};

/// The name under which a manifest is found without the key.
pub const FILE: &str = "manifest.yaml";
/// The name under which its Python code is found without the key.
pub const COMPONENTS: &str = "components.py";
/// The program that runs manifests, of the Python package `airbyte-cdk`.
pub const PROGRAM: &str = "source-declarative-manifest";
/// The largest manifests of Airbyte's catalogue have about 1 MB.
const LARGEST: u64 = 16 * 1024 * 1024;

/// A manifest. Its text is read at once, its YAML when it is asked for: a large one takes a while, and
/// Flow's first question, in every process, is about a small part of it.
#[derive(Debug)]
pub struct Manifest {
    /// The file.
    pub file: PathBuf,
    text: String,
    tree: OnceLock<Value>,
    /// The Python code beside it that its custom components are in.
    pub components: Option<Components>,
}

/// Python code that runs within the connector.
#[derive(Debug, Clone)]
pub struct Components {
    /// The file.
    pub file: PathBuf,
    /// Its text.
    pub text: Arc<str>,
}

/// Reads the manifest that a shim names or has beside it, and fills in what follows from it: the
/// protocol and the command. `None` where the shim has none.
pub fn find(folder: &Path, definition: &mut Definition) -> Result<Option<Arc<Manifest>>, Failure> {
    let wrong = |why: &str| {
        let place = folder.join(super::load::FILE);
        Err(Failure::new(Code::SHIM_YAML, format!("{}: {why}", place.display())))
    };
    let Some(file) = place(folder, definition) else {
        return match definition.components {
            Some(_) => wrong("`components`: it belongs to a manifest; name the manifest as `manifest`"),
            None => Ok(None),
        };
    };
    if definition.protocol == Some(ProtocolName::Singer) {
        return wrong("`manifest`: it is of an Airbyte connector; remove it, or set `protocol` to airbyte");
    }
    definition.protocol = Some(ProtocolName::Airbyte);
    if definition.command.is_empty() {
        definition.command = vec![PROGRAM.to_owned()];
    }
    let mut manifest = read(&file)?;
    let beside = Some(folder.join(COMPONENTS)).filter(|file| file.is_file());
    if let Some(file) = definition.components.as_ref().map(|name| folder.join(name)).or(beside) {
        manifest.components = Some(components(file)?);
    }
    Ok(Some(Arc::new(manifest)))
}

/// The file that is named, else the one beside a shim that has no command of its own.
fn place(folder: &Path, definition: &Definition) -> Option<PathBuf> {
    if let Some(name) = &definition.manifest {
        return Some(folder.join(name));
    }
    let implied = definition.command.is_empty() && definition.protocol != Some(ProtocolName::Singer);
    Some(folder.join(FILE)).filter(|file| implied && file.is_file())
}

/// Reads a manifest without what may lie beside it.
pub fn read(file: &Path) -> Result<Manifest, Failure> {
    let manifest = Manifest::new(file.to_owned(), text(file, "a manifest")?);
    Ok(manifest)
}

impl Manifest {
    /// One that was read from this file.
    pub fn new(file: PathBuf, text: String) -> Self {
        Self { file, text, tree: OnceLock::new(), components: None }
    }

    /// Its content, an object; anchors are resolved, references are not.
    pub fn tree(&self) -> Result<&Value, Failure> {
        if let Some(tree) = self.tree.get() {
            return Ok(tree);
        }
        let tree = parse(&self.text).map_err(|why| failed(&self.file, &why))?;
        if !tree.is_object() {
            return Err(failed(&self.file, "it is not a manifest: keys with values are expected"));
        }
        Ok(self.tree.get_or_init(|| tree))
    }

    /// The value of a key of the outermost level, where it can be read without the rest: it has neither
    /// references nor aliases. `None` where it cannot, or the rest is read already.
    pub fn section(&self, key: &str) -> Option<Value> {
        if self.tree.get().is_some() {
            return None;
        }
        let section = section(&self.text, key)?;
        let alone = !["*", "<<", "$ref", "#/"].iter().any(|sign| section.contains(sign));
        parse(section).ok().filter(|_| alone)?.get(key).cloned()
    }
}

/// The lines of a key of the outermost level with all below it, where the key is there once.
fn section<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let begins = |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.trim_end() == ":");
    let mut found: Option<(usize, usize)> = None;
    let (mut at, mut open) = (0, false);
    for line in text.split_inclusive('\n') {
        if begins(line) {
            if found.is_some() {
                return None;
            }
            (found, open) = (Some((at, at)), true);
        } else if !line.starts_with([' ', '#', '\n', '\r']) {
            // Another key, or something that only a whole parse can tell.
            open = false;
        }
        at += line.len();
        if let Some((_, end)) = found.as_mut().filter(|_| open) {
            *end = at;
        }
    }
    found.map(|(start, end)| &text[start..end])
}

fn parse(text: &str) -> Result<Value, String> {
    // JSON is YAML, and its own parser is faster.
    if text.trim_start().starts_with('{')
        && let Ok(tree) = serde_json::from_str(text)
    {
        return Ok(tree);
    }
    mistakes::read_with(text, options())
}

/// Booleans are `true` and `false` alone, so that a country `NO` stays text. The later of two equal
/// keys counts, as in Python.
fn options() -> serde_saphyr::Options {
    let mut budget = serde_saphyr::Budget::default();
    budget.max_nodes = 2_000_000;
    budget.max_events = 8_000_000;
    budget.max_depth = 120;
    let mut options = serde_saphyr::Options::default();
    options.budget = Some(budget);
    options.strict_booleans = true;
    options.leading_zero_numbers_as_strings = true;
    options.duplicate_keys = serde_saphyr::DuplicateKeyPolicy::LastWins;
    options.with_snippet = false;
    options
}

fn components(file: PathBuf) -> Result<Components, Failure> {
    let text = text(&file, "a components file")?;
    Ok(Components { file, text: text.into() })
}

fn text(file: &Path, what: &str) -> Result<String, Failure> {
    let size = file
        .metadata()
        .map(|metadata| metadata.len())
        .map_err(|error| failed(file, &format!("it cannot be read: {error}")))?;
    if size > LARGEST {
        return Err(failed(file, &format!("it has {size} bytes; {what} may have {LARGEST}")));
    }
    std::fs::read_to_string(file).map_err(|error| failed(file, &format!("it cannot be read: {error}")))
}

/// A mistake in a manifest or its components.
pub fn failed(file: &Path, why: &str) -> Failure {
    Failure::new(Code::MANIFEST, format!("{}: {why}", file.display()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn anchors_and_merge_keys_are_resolved_and_text_stays_text() {
        let tree =
            parse("a: &a {x: 1, y: NO}\nb: {<<: *a, z: 0123}\nc: *a\nd: 2024-01-01\n").expect("a tree");
        let expected = json!({"a": {"x": 1, "y": "NO"}, "b": {"x": 1, "y": "NO", "z": "0123"}, "c": {"x": 1, "y": "NO"}, "d": "2024-01-01"});
        assert_eq!(tree, expected);
    }

    #[test]
    fn a_part_is_read_without_the_rest_where_it_stands_alone() {
        let of = |text: &str| Manifest::new(PathBuf::new(), text.to_owned()).section("spec");
        assert_eq!(of("a: [1\nspec:\n  b: 1\n\n# c\n  d: 2\ne: 3\n"), Some(json!({"b": 1, "d": 2})));
        for text in
            ["spec: {b: 1}\n", "spec:\n  b: *x\n", "spec:\n  $ref: '#/x'\n", "spec:\n  b: 1\nspec:\n  b: 2\n"]
        {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn an_alias_that_repeats_too_much_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let inner = vec![format!("*a{}", level - 1); 10].join(", ");
            text = format!("{text}a{level}: &a{level} [{inner}]\n");
        }
        assert!(parse(&text).is_err());
    }
}
