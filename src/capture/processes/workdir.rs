//! The private folder in which upstream finds its config, catalog and state.
//!
//! Mode 0700 with files of mode 0600, on a memory file system where there is one, gone when the
//! value is dropped. Config never reaches upstream any other way (design: security).
//!
//! A folder is locked for as long as its process lives, so one that can be locked was abandoned, by
//! an end that ran no destructor; whoever comes next removes it.

use std::fmt;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use super::mark;
use crate::capture::processes::invocation::PrivateFile;
use crate::failure::{Code, Failure};

/// The memory file system of Linux.
const MEMORY: &str = "/dev/shm";
/// What the names of all private folders begin with.
const PREFIX: &str = "flow-shim-";

/// A private folder.
#[derive(Debug)]
pub struct Workdir {
    folder: TempDir,
    /// The kernel gives the lock up when our process ends, however it does.
    _lock: File,
}

impl Workdir {
    /// Makes a folder and writes the files into it: in memory, or where that has no room, in the temporary
    /// folder. Docker gives a container 64 MB of memory for it, which upstream may use as well.
    pub fn new(files: &[PrivateFile]) -> Result<Self, Failure> {
        Self::in_first(&places(), files)
    }

    /// In the first of these places that takes it.
    fn in_first(places: &[PathBuf], files: &[PrivateFile]) -> Result<Self, Failure> {
        let mut refused: Vec<Refused> = Vec::new();
        for place in places {
            match Self::within(place, files) {
                Ok(workdir) => {
                    if let Some(first) = refused.iter().find(|refused| refused.is_full()) {
                        tracing::warn!(
                            "{first}; upstream's config, catalog and state are in {} instead, which may be a disk; give \
                             the container more shared memory (docker run --shm-size)",
                            place.display()
                        );
                    }
                    return Ok(workdir);
                }
                Err(error) => refused.push(error),
            }
        }
        Err(failed(&refused.iter().map(Refused::to_string).collect::<Vec<_>>().join("; ")))
    }

    fn within(place: &Path, files: &[PrivateFile]) -> Result<Self, Refused> {
        let refused = |error| Refused { path: place.join(PREFIX.trim_end_matches('-')), error };
        let made = match Self::make(place) {
            Ok(None) => Self::make(place),
            made => made,
        };
        let gone = || refused(std::io::Error::other("it was removed at once"));
        let workdir = made.map_err(refused)?.ok_or_else(gone)?;
        for file in files {
            workdir.write(file).map_err(|error| Refused { path: workdir.file(file.name), error })?;
        }
        Ok(workdir)
    }

    /// A locked folder; `None` where somebody took it for an abandoned one before it was locked.
    fn make(place: &Path) -> std::io::Result<Option<Self>> {
        let prefix = format!("{PREFIX}{}-", mark::session());
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).permissions(Permissions::from_mode(0o700));
        let folder = builder.tempdir_in(place)?;
        let Ok(lock) = File::open(folder.path()) else { return Ok(None) };
        flock(&lock, FlockOperation::LockExclusive)?;
        let held = folder.path().exists();
        Ok(held.then_some(Self { folder, _lock: lock }))
    }

    /// Where the file of this name is.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, file: &PrivateFile) -> std::io::Result<()> {
        let mut open =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.file(file.name))?;
        open.write_all(&file.content)
    }
}

/// Where a private folder may be, in the order in which it is tried.
fn places() -> Vec<PathBuf> {
    let mut places = vec![PathBuf::from(MEMORY), std::env::temp_dir()];
    places.dedup();
    places
}

/// A place that took a folder or a file not.
#[derive(Debug)]
struct Refused {
    path: PathBuf,
    error: std::io::Error,
}

impl Refused {
    /// Whether there is no room: for bytes, for files, or for this user.
    fn is_full(&self) -> bool {
        matches!(self.error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be written: {}", self.path.display(), self.error)
    }
}

/// Removes private folders whose process has ended. Whether one of `session` is still held.
pub fn remove_abandoned(session: &str) -> bool {
    let ours = format!("{PREFIX}{session}-");
    let places = places();
    let entries = places.iter().filter_map(|place| std::fs::read_dir(place).ok()).flatten().flatten();
    let mut held = false;
    for entry in entries {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        held |= !remove_if_abandoned(&entry.path()) && name.starts_with(&ours);
    }
    held
}

/// Whether it is gone, or was never one of ours.
fn remove_if_abandoned(folder: &Path) -> bool {
    let Ok(metadata) = folder.symlink_metadata() else { return true };
    let private = metadata.is_dir() && metadata.mode() & 0o777 == 0o700;
    if !private || metadata.uid() != rustix::process::geteuid().as_raw() {
        return true;
    }
    let Ok(lock) = File::open(folder) else { return true };
    flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() && std::fs::remove_dir_all(folder).is_ok()
}

/// Replaces a file of the folder by one with this content; whoever reads it sees one or the other.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let new = path.with_extension("new");
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut open| open.write_all(content))
        .and_then(|()| std::fs::rename(&new, path))
        .map_err(|error| failed(&Refused { path: new, error }.to_string()))
}

fn failed(why: &str) -> Failure {
    Failure::new(
        Code::TEMPORARY_FILES,
        format!(
            "upstream's private files cannot be written: {why}; give the container more shared memory (docker run \
             --shm-size), or a temporary folder (TMPDIR) that is writable and has room"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_private_and_go_with_the_folder() {
        let file = PrivateFile { name: "config.json", content: b"{}".to_vec() };
        let workdir = Workdir::new(&[file]).expect("a folder");
        let path = workdir.file("config.json");
        let mode = |path: &Path| path.metadata().expect("it exists").permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(workdir.folder.path()), 0o700);
        drop(workdir);
        assert!(!path.exists());
    }

    #[test]
    fn only_an_abandoned_folder_is_removed() {
        let held =
            Workdir::new(&[PrivateFile { name: "config.json", content: b"{}".to_vec() }]).expect("a folder");
        let mut builder = tempfile::Builder::new();
        let name = format!("{PREFIX}1-1-");
        builder.prefix(&name).permissions(Permissions::from_mode(0o700));
        let abandoned = builder.tempdir().expect("a folder").keep();
        std::fs::write(abandoned.join("config.json"), "{}").expect("written");
        assert!(remove_abandoned(mark::session()), "ours is held");
        assert!(held.file("config.json").exists());
        assert!(!abandoned.exists());
    }

    #[test]
    fn a_place_that_takes_nothing_is_passed_over_and_every_place_is_named() {
        let file = PrivateFile { name: "config.json", content: b"{}".to_vec() };
        let folder = tempfile::tempdir().expect("a folder");
        let nowhere = folder.path().join("nowhere");
        let workdir =
            Workdir::in_first(&[nowhere.clone(), folder.path().to_owned()], std::slice::from_ref(&file));
        assert!(workdir.expect("the second one").file("config.json").starts_with(folder.path()));
        let failure =
            Workdir::in_first(&[nowhere.clone(), PathBuf::from("/proc")], &[file]).expect_err("none");
        assert_eq!(failure.code, Code::TEMPORARY_FILES);
        for place in ["/proc", nowhere.to_str().expect("UTF-8")] {
            assert!(failure.message.contains(place), "{failure}");
        }
    }
}
