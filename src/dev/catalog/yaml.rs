//! Files of a flow.yaml, as JSON values: reading, and taking their members by name.
//!
//! Errors say in which file and where in it, and never quote what stands there: an endpoint config
//! may be anywhere.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::failure::{Code, Failure};
use crate::json::nearest::nearest;

/// A mistake in a file of the user's.
pub(crate) fn wrong(file: &Path, what: impl std::fmt::Display) -> Failure {
    Failure::new(Code::FLOW_YAML, format!("{}: {what}", file.display()))
}

/// Reads a YAML or JSON file.
pub(crate) fn read(file: &Path) -> Result<Value, Failure> {
    let text =
        std::fs::read_to_string(file).map_err(|error| wrong(file, format!("cannot be read: {error}")))?;
    // JSON is YAML, but its own parser is faster and keeps any depth and number of nodes.
    if let Ok(value) = serde_json::from_str(&text) {
        return Ok(value);
    }
    parse(&text).map_err(|error| {
        let place = error
            .location()
            .filter(|location| location.line() > 0)
            .map(|location| format!(" at line {}, column {}", location.line(), location.column()))
            .unwrap_or_default();
        let what = match error.without_snippet() {
            serde_saphyr::Error::DuplicateMappingKey { .. } => "has a key twice",
            serde_saphyr::Error::UnknownAnchor { .. } => "has an alias without its anchor",
            _ => "is not valid YAML",
        };
        wrong(file, format!("{what}{place}"))
    })
}

/// A config as text: JSON for a file that is called so, else YAML.
pub(crate) fn text(config: &Value, file: &Path) -> Result<String, Failure> {
    let is_json = file.extension().is_some_and(|extension| extension == "json");
    let text = if is_json {
        serde_json::to_string_pretty(config).ok()
    } else {
        serde_saphyr::to_string(config).ok()
    };
    text.ok_or_else(|| Failure::new(Code::BUG, "the config cannot be written as text"))
}

/// Puts a whole new file in place of the old one, readable for its owner alone.
pub(crate) fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
    std::io::Write::write_all(&mut fresh, text.trim_end().as_bytes())?;
    std::io::Write::write_all(&mut fresh, b"\n")?;
    fresh.persist(file)?;
    Ok(())
}

/// Reads YAML as Flow does.
pub(super) fn parse(text: &str) -> Result<Value, serde_saphyr::Error> {
    serde_saphyr::from_str_with_options(text, options())
}

/// `yes`, `on`, `00501` and `1_000` are text, as in Flow; limits are those of large catalogs.
fn options() -> serde_saphyr::Options {
    let mut budget = serde_saphyr::Budget::default();
    budget.max_nodes = 10_000_000;
    budget.max_events = 40_000_000;
    budget.max_depth = 120;
    let mut options = serde_saphyr::Options::default();
    options.strict_booleans = true;
    options.leading_zero_numbers_as_strings = true;
    options.underscored_numbers_as_strings = true;
    options.with_snippet = false;
    options.budget = Some(budget);
    options
}

/// A value in a file, with the path of keys that leads to it.
#[derive(Debug, Clone)]
pub(crate) struct Located<'a> {
    /// The file.
    pub(crate) file: &'a Path,
    /// Such as `captures.acmeCo/source.bindings[0]`.
    pub(crate) place: String,
    /// What stands there.
    pub(crate) value: &'a Value,
}

impl<'a> Located<'a> {
    /// A mistake at this place.
    pub(super) fn wrong(&self, what: &str) -> Failure {
        wrong(self.file, format!("{} {what}", self.place))
    }

    /// The member of this name; `None` where it is absent or null.
    pub(super) fn get(&self, name: &str) -> Option<Located<'a>> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        Some(Located { file: self.file, place: format!("{}.{name}", self.place), value })
    }

    /// The member of this name, which must be there.
    pub(crate) fn need(&self, name: &str) -> Result<Located<'a>, Failure> {
        self.get(name).ok_or_else(|| self.wrong(&format!("has no {name}")))
    }

    /// The members of an object.
    pub(super) fn object(&self) -> Result<&'a Map<String, Value>, Failure> {
        self.value.as_object().ok_or_else(|| self.wrong("must be a mapping"))
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Result<Vec<Located<'a>>, Failure> {
        let list = self.value.as_array().ok_or_else(|| self.wrong("must be a list"))?;
        let item =
            |(index, value)| Located { file: self.file, place: format!("{}[{index}]", self.place), value };
        Ok(list.iter().enumerate().map(item).collect())
    }

    /// A string.
    pub(super) fn text(&self) -> Result<&'a str, Failure> {
        self.value.as_str().ok_or_else(|| self.wrong("must be a string"))
    }

    /// A list of strings.
    pub(super) fn texts(&self) -> Result<Vec<String>, Failure> {
        self.items()?.iter().map(|item| item.text().map(str::to_owned)).collect()
    }

    /// The boolean member of this name; `false` where it is absent.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Failure> {
        let Some(flag) = self.get(name) else { return Ok(false) };
        flag.value.as_bool().ok_or_else(|| flag.wrong("must be true or false"))
    }

    /// Refuses members that are not known, naming the nearest that is.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Failure> {
        for name in self.object()?.keys() {
            if !known.contains(&name.as_str()) {
                let nearest = nearest(name, known.iter().copied())
                    .map(|nearest| format!("; did you mean {nearest:?}?"))
                    .unwrap_or_default();
                return Err(self.wrong(&format!("has an unknown key {name:?}{nearest}")));
            }
        }
        Ok(())
    }

    /// What stands here, or in the file that a string names, with that file.
    pub(crate) fn resolve(&self) -> Result<(Value, PathBuf), Failure> {
        let Value::String(reference) = self.value else {
            return Ok((self.value.clone(), self.file.to_owned()));
        };
        let file = self.beside(reference)?;
        Ok((read(&file)?, file))
    }

    /// The file that stands in this one by a relative name.
    pub(super) fn beside(&self, reference: &str) -> Result<PathBuf, Failure> {
        if reference.contains("://") {
            return Err(self.wrong("is a URL; only relative files can be read"));
        }
        if reference.contains('#') {
            return Err(self.wrong("points into a file; name a whole file"));
        }
        Ok(self.file.parent().unwrap_or(Path::new("")).join(reference))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("flow.yaml");
        std::fs::write(&file, text).expect("a file");
        (folder, file)
    }

    #[test]
    fn words_and_dates_stay_strings() {
        let (_folder, file) = written("{a: yes, b: on, c: 2024-01-01, d: 3m, e: 12345678901, f: ~, g: '1'}");
        let value = read(&file).expect("it is valid");
        let expected = serde_json::json!({"a": "yes", "b": "on", "c": "2024-01-01", "d": "3m", "e": 12_345_678_901_u64, "f": null, "g": "1"});
        assert_eq!(value, expected);
    }

    #[test]
    fn digits_that_flow_reads_as_text_stay_text() {
        let (_folder, file) = written(
            "{id: 0123456789, zip: 00501, tag: 1_000, neg: -007, hex: 0x1F, zero: 0, float: 0.5, many: [08, 8]}",
        );
        let expected = serde_json::json!({
            "id": "0123456789", "zip": "00501", "tag": "1_000", "neg": "-007", "hex": 31, "zero": 0, "float": 0.5,
            "many": ["08", 8],
        });
        assert_eq!(read(&file).expect("it is valid"), expected);
    }

    #[test]
    fn mistakes_have_a_place_and_no_content() {
        let (_folder, file) = written("captures:\n  a:\n    password: [hunter2\n  b: c\n");
        let failure = read(&file).expect_err("the list has no end");
        assert!(failure.message.contains("flow.yaml: is not valid YAML at line "), "{failure}");
        assert!(!failure.message.contains("hunter2"), "{failure}");
        let (_folder, file) = written("a: 1\nb: 2\na: 3\n");
        let failure = read(&file).expect_err("a key stands twice");
        assert!(failure.message.contains("has a key twice at line 3"), "{failure}");
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let value = serde_json::json!({"resouce": 1});
        let located =
            Located { file: Path::new("flow.yaml"), place: "bindings[0]".to_owned(), value: &value };
        let failure = located.only(&["resource", "target"]).expect_err("it is unknown");
        assert_eq!(
            failure.message,
            "flow.yaml: bindings[0] has an unknown key \"resouce\"; did you mean \"resource\"?"
        );
    }
}
