//! `upstream.lock` of code that was taken from upstream, and the licence beside it.

use std::path::{Path, PathBuf};

use super::report::{Place, Report};
use crate::dev::pull_upstream::{LICENCE, LOCK, consistent};

/// Checks every lock in the folder and the folders in it.
pub(super) fn check(folder: &Path, report: &mut Report) {
    let mut places = vec![PathBuf::new()];
    if let Ok(entries) = folder.read_dir() {
        let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        places.extend(folders.map(|entry| PathBuf::from(entry.file_name())));
    }
    places.sort();
    for place in places {
        let Ok(text) = std::fs::read_to_string(folder.join(&place).join(LOCK)) else { continue };
        let licence = std::fs::read(folder.join(&place).join(LICENCE)).ok();
        for (key, what) in consistent(&text, licence.as_deref()) {
            let named = place.join(LOCK);
            let mut at = Place::of(&named.to_string_lossy());
            if let Some(key) = key {
                at = at.key(key);
            }
            report.error(at, &what, "pull the code anew with `flow-shim pull-upstream`");
        }
    }
}
