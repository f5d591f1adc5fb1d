//! What an environment was made of: the requirements, and the files of every folder that they name.
//!
//! A folder of one's own changes without a change of requirements.txt, and pip and uv then keep the code
//! that they installed before.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3Default;

use crate::shim::command::{REQUIREMENTS, VENV};

/// The file in an environment that says what it was made of.
pub(super) const FILE: &str = "flow-shim-requirements.txt";
/// What every environment has before its requirements. Old Singer libraries import `pkg_resources`, of
/// setuptools before 82, and name no dependency; whether Python's venv or uv brings it depends on versions.
pub(super) const SEED: [&str; 2] = ["pip", "setuptools<82"];
/// Files of requirements that name each other deeper than this are a circle.
const DEPTH: usize = 8;
/// Folders that hold no source: what tools make, and environments.
const MADE: [&str; 10] = [
    ".git",
    VENV,
    "venv",
    "__pycache__",
    "build",
    "dist",
    "node_modules",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
];

/// What an environment of a shim would be made of now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The text of all files of requirements, and a line for each folder or file that they name.
    pub(super) text: String,
    /// The folders, as the requirements name them.
    pub(super) folders: Vec<String>,
}

impl Stamp {
    /// Reads the requirements of a shim, and all files of the folders that they name.
    pub(super) fn of(shim: &Path) -> std::io::Result<Self> {
        let mut stamp = Self { text: format!("# {}\n", SEED.join(" ")), folders: Vec::new() };
        stamp.add(shim, &shim.join(REQUIREMENTS), 0)?;
        Ok(stamp)
    }

    /// Whether a shim's environment is made of this; `None` where there is no environment of ours.
    pub(super) fn is_of(&self, shim: &Path) -> Option<bool> {
        let made_of = std::fs::read_to_string(shim.join(VENV).join(FILE)).ok()?;
        Some(made_of == self.text)
    }

    fn add(&mut self, shim: &Path, requirements: &Path, depth: usize) -> std::io::Result<()> {
        let text = std::fs::read_to_string(requirements)?;
        self.text.push_str(&text);
        for line in text.lines() {
            match named(line) {
                Some(Named::Requirements(other)) if depth < DEPTH => {
                    let other = requirements.parent().unwrap_or(shim).join(other);
                    // The installer says what is wrong with one that is missing.
                    if other.is_file() {
                        self.add(shim, &other, depth + 1)?;
                    }
                }
                Some(Named::Code(path)) => self.note(shim, path)?,
                Some(Named::Requirements(_)) | None => {}
            }
        }
        Ok(())
    }

    /// Notes what a local path holds.
    fn note(&mut self, shim: &Path, path: &str) -> std::io::Result<()> {
        let place = shim.join(path);
        let mut hash = Xxh3Default::new();
        if place.is_dir() {
            self.folders.push(path.to_owned());
            for file in files(&place)? {
                hash.update(file.strip_prefix(&place).unwrap_or(&file).as_os_str().as_encoded_bytes());
                hash.update(&[0]);
                hash.update(&std::fs::read(&file)?);
            }
        } else if place.is_file() {
            hash.update(&std::fs::read(&place)?);
        } else {
            return Ok(());
        }
        // Writing into a String cannot fail.
        let _ = writeln!(self.text, "# {path} {:032x}", hash.digest128());
        Ok(())
    }
}

/// All files of source below a folder, in an order of their own.
fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // Links are not followed: they may lead in a circle.
            if entry.file_type()?.is_dir() {
                if !MADE.contains(&&*name) && !name.ends_with(".egg-info") {
                    open.push(entry.path());
                }
            } else if entry.file_type()?.is_file() && !name.ends_with(".pyc") {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What a line of requirements names on this machine.
#[derive(Debug, PartialEq, Eq)]
enum Named<'a> {
    /// Another file of requirements, or of constraints.
    Requirements(&'a str),
    /// A folder of code, or one file, such as a wheel.
    Code(&'a str),
}

/// `None` for a line that names nothing here. pip takes a path for one if it begins with a dot or a slash,
/// or after `-e`, `@` and `file:`.
fn named(line: &str) -> Option<Named<'_>> {
    let line = line.split(" #").next().unwrap_or(line).trim();
    let option = |names: [&str; 2]| {
        names.into_iter().find_map(|name| {
            let rest = line.strip_prefix(name)?;
            rest.starts_with([' ', '=']).then(|| rest.trim_start_matches(['=', ' ']))
        })
    };
    let other = option(["-r", "--requirement"]).or_else(|| option(["-c", "--constraint"]));
    if let Some(other) = other {
        return Some(Named::Requirements(other));
    }
    let requirement = option(["-e", "--editable"]).unwrap_or(line);
    let requirement = requirement.split(" ;").next().unwrap_or(requirement).trim();
    let place = requirement.split_once(" @ ").map_or(requirement, |(_, place)| place.trim());
    let path = place.strip_prefix("file://").or_else(|| place.strip_prefix("file:")).unwrap_or(place);
    let path = path.split(['#', '[']).next().unwrap_or(path);
    (path.starts_with(['.', '/']) && path.contains('/') || path == ".").then_some(Named::Code(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_from_packages() {
        for (line, path) in [
            ("./source_x", "./source_x"),
            ("../x[extra] ; python_version > '3'", "../x"),
            ("-e ./source_x  # ours", "./source_x"),
            ("--editable=/opt/x", "/opt/x"),
            ("x @ file:///opt/x.whl", "/opt/x.whl"),
            (".", "."),
        ] {
            assert_eq!(named(line), Some(Named::Code(path)), "{line}");
        }
        assert_eq!(named("-r more.txt"), Some(Named::Requirements("more.txt")));
        assert_eq!(named("--constraint=c.txt"), Some(Named::Requirements("c.txt")));
        for line in ["a==1.0", "a @ git+https://x.com/a.git@main", "# ./x", "--index-url https://x/y", ""] {
            assert_eq!(named(line), None, "{line}");
        }
    }

    #[test]
    fn an_edit_of_a_folder_is_seen_and_what_tools_make_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().expect("it has one")).expect("a folder");
            std::fs::write(file, text).expect("a file");
        };
        write(REQUIREMENTS, "a==1\n-r more.txt\n");
        write("more.txt", "./code\n");
        write("code/a.py", "1");
        let stamp = || Stamp::of(folder.path()).expect("it is readable");
        let before = stamp();
        assert_eq!(before.folders, ["./code"]);
        write("code/__pycache__/a.pyc", "x");
        write("code/code.egg-info/PKG-INFO", "x");
        assert_eq!(stamp(), before);
        write("code/a.py", "2");
        assert_ne!(stamp(), before);
        assert_eq!(stamp().is_of(folder.path()), None);
    }
}
