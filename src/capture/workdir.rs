//! The private folder in which upstream finds its config, catalog and state.
//!
//! Mode 0700 with files of mode 0600, on a memory file system where there is one, gone when the
//! value is dropped. Config never reaches upstream any other way (design: security).

use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::protocol::PrivateFile;
use crate::failure::{Cause, Failure};

/// The memory file system of Linux.
const MEMORY: &str = "/dev/shm";

/// A private folder.
#[derive(Debug)]
pub struct Workdir {
    folder: TempDir,
}

impl Workdir {
    /// Makes a folder and writes the files into it.
    pub fn new(files: &[PrivateFile]) -> Result<Self, Failure> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("flow-shim-").permissions(Permissions::from_mode(0o700));
        let folder = builder
            .tempdir_in(MEMORY)
            .or_else(|_| builder.tempdir())
            .map_err(|error| failed("a private folder cannot be made", &error))?;
        let workdir = Self { folder };
        for file in files {
            workdir.write(file)?;
        }
        Ok(workdir)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where the file of this name is.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, file: &PrivateFile) -> Result<(), Failure> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.file(file.name))
            .and_then(|mut open| open.write_all(&file.content))
            .map_err(|error| failed(&format!("{} cannot be written for upstream", file.name), &error))
    }
}

fn failed(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(Cause::Internal, format!("{what}: {error}; is the temporary folder writable, and not full?"))
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
        assert_eq!(mode(workdir.path()), 0o700);
        drop(workdir);
        assert!(!path.exists());
    }
}
