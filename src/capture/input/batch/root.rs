//! The folder in which upstream writes its batch files, and which of them are ours to remove.
//!
//! A file is removed only if it was made since the read began, below the root that the config names: any
//! other path is somebody else's. What a killed session left, and what was written and never named, is
//! removed before and after a read, by the names that the SDK gives (singer-protocol.md, 3.6). Each
//! session that uses a root holds a lock on it, so that none removes the files of another.

use std::fs::{File, Metadata};
use std::io::Result;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};

/// The longest tick of a Linux kernel.
const TICK: Duration = Duration::from_millis(10);

/// A root while a read uses it.
#[derive(Debug)]
pub(super) struct Root {
    folder: PathBuf,
    /// `None` where there was no such folder when the read began.
    lock: Option<File>,
    began: SystemTime,
}

impl Root {
    /// Begins to use a root, and removes what sessions before left there.
    pub(super) fn begin(folder: PathBuf) -> Self {
        let began = now();
        let lock = File::open(&folder).ok();
        if let Some(lock) = &lock {
            if flock(lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
                sweep(&folder);
            }
            // Whoever holds it exclusively is about to have swept it. A file system without locks has to do.
            let _ = flock(lock, FlockOperation::LockShared);
        }
        Self { folder, lock, began }
    }

    /// Stops using it: removes what was written and never read, unless another session uses the root.
    pub(super) fn end(self) {
        let Self { folder, lock, .. } = self;
        drop(lock);
        if let Ok(lock) = File::open(&folder)
            && flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok()
        {
            sweep(&folder);
        }
    }

    /// Removes a file that was read, or that nobody is to read; whether it was ours to remove.
    pub(super) fn remove(&self, path: &Path) -> Result<bool> {
        let metadata = path.symlink_metadata()?;
        let below = path.canonicalize()?.starts_with(self.folder.canonicalize()?);
        if !metadata.is_file() || !below || made(&metadata)? < self.began {
            return Ok(false);
        }
        std::fs::remove_file(path).map(|()| true)
    }
}

/// Now, by the clock of file systems, which lags behind by up to a tick.
fn now() -> SystemTime {
    SystemTime::now().checked_sub(TICK).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// When a file was made; where the file system does not know, when it was last written.
fn made(metadata: &Metadata) -> Result<SystemTime> {
    metadata.created().or_else(|_| metadata.modified())
}

/// Removes all files of ours that have a name of the SDK's.
fn sweep(folder: &Path) {
    let ours = rustix::process::geteuid().as_raw();
    let mut removed = 0_u64;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let named = entry.file_name().to_str().is_some_and(is_sdks);
        let file = entry.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.uid() == ours);
        if named && file && std::fs::remove_file(entry.path()).is_ok() {
            removed += 1;
        }
    }
    if removed > 0 {
        tracing::info!(files = removed, "removed batch files that nobody has read from {}", folder.display());
    }
}

/// `PREFIX TAP--STREAM-UUID-NUMBER.json.gz`, where the number counts the files of a stream.
fn is_sdks(name: &str) -> bool {
    let Some((stem, form)) = name.split_once('.') else { return false };
    let Some((rest, number)) = stem.rsplit_once('-') else { return false };
    let uuid = rest.get(rest.len().saturating_sub(36)..).unwrap_or_default();
    let is_uuid = uuid.len() == 36
        && uuid.char_indices().all(|(at, character)| match at {
            8 | 13 | 18 | 23 => character == '-',
            _ => character.is_ascii_hexdigit(),
        });
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let known = ["json", "jsonl", "json.gz", "jsonl.gz", "parquet", "parquet.gz"].contains(&form);
    is_uuid && is_number && known && rest.contains("--")
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "d67ae742-f09b-4a6c-a4e6-fcce782949b3";

    #[test]
    fn only_names_of_the_sdk_are_swept() {
        assert!(is_sdks(&format!("b-tap-postgres--public-events-{UUID}-1.json.gz")));
        assert!(is_sdks(&format!("tap--users-{UUID}-12.parquet")));
        for name in [
            "config.json",
            "tap--users-1.json.gz",
            "-1.json",
            "a",
            "\u{e9}-1.json",
            &*format!("{UUID}-1.json"),
        ] {
            assert!(!is_sdks(name), "{name}");
        }
        assert!(!is_sdks(&format!("tap--users-{UUID}-x.json.gz")));
        assert!(!is_sdks(&format!("tap--users-{UUID}-1.txt")));
    }

    #[test]
    fn only_a_new_regular_file_below_the_root_is_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let outside = tempfile::NamedTempFile::new().expect("a file");
        let file = |name: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, "{}").expect("written");
            path
        };
        let old = file("old.json");
        std::thread::sleep(5 * TICK);
        let root = Root::begin(folder.path().to_owned());
        let new = file("new.json");
        let link = folder.path().join("link.json");
        std::os::unix::fs::symlink(outside.path(), &link).expect("a link");
        for path in [&old, &link, &outside.path().to_owned(), &folder.path().to_owned()] {
            assert_eq!(root.remove(path).ok(), Some(false), "{}", path.display());
            assert!(path.exists());
        }
        assert_eq!(root.remove(&new).ok(), Some(true));
        assert!(root.remove(&new).is_err(), "it is gone");
    }

    #[test]
    fn what_a_session_left_is_swept_by_the_next_and_not_by_one_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let left = || folder.path().join(format!("tap--users-{UUID}-1.json.gz"));
        let other = folder.path().join("notes.json");
        std::fs::write(&other, "").expect("written");
        std::fs::write(left(), "").expect("written");
        let first = Root::begin(folder.path().to_owned());
        assert!(!left().exists());
        std::fs::write(left(), "").expect("written");
        let second = Root::begin(folder.path().to_owned());
        assert!(left().exists(), "it is the first one's");
        second.end();
        assert!(left().exists());
        first.end();
        assert!(!left().exists() && other.exists());
    }
}
