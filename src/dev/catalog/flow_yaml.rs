//! A `test.flow.yaml` with all that it imports: which captures and collections there are.
//!
//! Finds definitions and follows imports and file references; what a capture means is read by
//! [`task`](super::task), and only for the captures that are run. Materializations, derivations,
//! tests and storage mappings are left alone (flow-protocol.md, section 7.3).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::yaml::{self, Located};
use crate::failure::{Code, Failure};

/// The top-level keys of Flow.
const TOP_LEVEL: [&str; 8] = [
    "$schema",
    "import",
    "captures",
    "collections",
    "materializations",
    "derivations",
    "tests",
    "storageMappings",
];

/// All captures and collections of a file and its imports, as written.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    /// In the order of the files; those of a file in its order.
    captures: Vec<(String, Definition)>,
    collections: BTreeMap<String, Definition>,
    seen: Vec<PathBuf>,
}

/// Where something is defined, and how.
#[derive(Debug)]
struct Definition {
    file: PathBuf,
    value: Value,
}

impl Catalog {
    /// Reads a file and all that it imports.
    pub(crate) fn load(file: &Path) -> Result<Self, Failure> {
        let mut catalog = Self::default();
        catalog.add(file)?;
        Ok(catalog)
    }

    fn add(&mut self, file: &Path) -> Result<(), Failure> {
        // A file that is imported twice, or imports itself, is read once.
        let identity = file.canonicalize().unwrap_or_else(|_| file.to_owned());
        if self.seen.contains(&identity) {
            return Ok(());
        }
        self.seen.push(identity);
        let value = yaml::read(file)?;
        let root = Located { file, place: "the file".to_owned(), value: &value };
        root.only(&TOP_LEVEL)?;
        for (name, definition) in members(&value, "captures", file)? {
            if let Some(first) = self.capture_definition(&name) {
                return Err(twice("capture", &name, &first.file, file));
            }
            self.captures.push((name, definition));
        }
        for (name, definition) in members(&value, "collections", file)? {
            if let Some(first) = self.collections.insert(name.clone(), definition) {
                return Err(twice("collection", &name, &first.file, file));
            }
        }
        if let Some(imports) = root.get("import") {
            for import in imports.items()? {
                self.add(&import.beside(import.text()?)?)?;
            }
        }
        Ok(())
    }

    /// The names of the captures, in their order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.captures.iter().map(|(name, _)| name.as_str())
    }

    /// A capture's definition.
    pub(crate) fn capture(&self, name: &str) -> Result<Located<'_>, Failure> {
        let definition = self.capture_definition(name).ok_or_else(|| {
            let names = self.names().collect::<Vec<_>>().join(", ");
            Failure::new(Code::WHICH_CAPTURE, format!("there is no capture {name:?}; there are: {names}"))
        })?;
        Ok(located("captures", name, definition))
    }

    /// A collection's definition; `None` where it is not defined.
    pub(super) fn collection(&self, name: &str) -> Option<Located<'_>> {
        self.collections.get(name).map(|definition| located("collections", name, definition))
    }

    fn capture_definition(&self, name: &str) -> Option<&Definition> {
        self.captures.iter().find(|(candidate, _)| candidate == name).map(|(_, definition)| definition)
    }
}

fn located<'a>(section: &str, name: &str, definition: &'a Definition) -> Located<'a> {
    Located { file: &definition.file, place: format!("{section}.{name}"), value: &definition.value }
}

fn members(value: &Value, section: &str, file: &Path) -> Result<Vec<(String, Definition)>, Failure> {
    let root = Located { file, place: "the file".to_owned(), value };
    let Some(section) = root.get(section) else { return Ok(Vec::new()) };
    let definition = |value: &Value| Definition { file: file.to_owned(), value: value.clone() };
    Ok(section.object()?.iter().map(|(name, value)| (name.clone(), definition(value))).collect())
}

fn twice(what: &str, name: &str, first: &Path, second: &Path) -> Failure {
    yaml::wrong(second, format!("{what} {name:?} is defined in {} too", first.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().expect("it has one")).expect("a folder");
            std::fs::write(file, text).expect("a file");
        }
        folder
    }

    #[test]
    fn imports_are_followed_and_cycles_end() {
        let folder = folder(&[
            ("flow.yaml", "import: [sub/a.yaml]\ncaptures: {x/one: {}}\n"),
            ("sub/a.yaml", "import: [../flow.yaml, b.yaml]\ncollections: {x/c: {}}\n"),
            ("sub/b.yaml", "captures: {x/two: {}}\nmaterializations: {x/m: {}}\n"),
        ]);
        let catalog = Catalog::load(&folder.path().join("flow.yaml")).expect("it loads");
        assert_eq!(catalog.names().collect::<Vec<_>>(), ["x/one", "x/two"]);
        let collection = catalog.collection("x/c").expect("it is defined");
        assert!(collection.file.ends_with("sub/a.yaml"));
        let failure = catalog.capture("x/three").expect_err("it is not defined");
        assert!(failure.message.contains("x/one, x/two"), "{failure}");
    }

    #[test]
    fn a_name_that_is_defined_twice_names_both_files() {
        let folder = folder(&[
            ("flow.yaml", "import: [a.yaml]\ncaptures: {x/one: {}}\n"),
            ("a.yaml", "captures: {x/one: {}}\n"),
        ]);
        let failure = Catalog::load(&folder.path().join("flow.yaml")).expect_err("it is twice");
        assert!(failure.message.contains("a.yaml: capture \"x/one\" is defined in "), "{failure}");
        assert!(failure.message.contains("flow.yaml too"), "{failure}");
    }

    #[test]
    fn a_missing_import_and_a_strange_key_are_named() {
        let folder = folder(&[("flow.yaml", "import: [no.yaml]\n"), ("b.yaml", "capture: {}\n")]);
        let failure = Catalog::load(&folder.path().join("flow.yaml")).expect_err("it is missing");
        assert!(failure.message.contains("no.yaml: cannot be read"), "{failure}");
        let failure = Catalog::load(&folder.path().join("b.yaml")).expect_err("it is unknown");
        assert!(failure.message.contains("did you mean \"captures\""), "{failure}");
    }
}
