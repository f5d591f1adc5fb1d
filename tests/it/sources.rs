//! The program's own source, as tests look at it that hold it against the pages and the layers.

use std::path::{Path, PathBuf};

use crate::harness::repository;

/// Every file of Rust in `src`, from there, such as `capture/state.rs`, with its text; by name.
pub(crate) fn sources() -> Vec<(String, String)> {
    let (root, mut files) = (repository("src"), Vec::new());
    collect(&root, &mut files);
    files.sort();
    let name = |path: &Path| path.strip_prefix(&root).expect("below src").to_str().expect("UTF-8").to_owned();
    files.iter().map(|path| (name(path), std::fs::read_to_string(path).expect("readable"))).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// All of it but the table of codes, in which a message that goes over several lines is one.
pub(crate) fn joined() -> String {
    let files = sources().into_iter().filter(|(name, _)| name != "failure/code.rs");
    let text: String = files.map(|(_, text)| text).collect();
    let line_end = regex::Regex::new(r"\\\n\s*").expect("a pattern");
    line_end.replace_all(&text, "").replace("\\\"", "\"")
}
