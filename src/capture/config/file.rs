//! Watches the config file that upstream got: a Singer tap writes renewed tokens back into it
//! (singer-protocol.md, 1.6).
//!
//! About once a second it is seen whether the file was touched, and once more when upstream has
//! ended. A file that is only half written is read again later. Its secrets are masked sooner: before
//! the next line of upstream's is logged.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::rotation::Rotation;
use crate::log::{self, Teacher};

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// A config is far smaller; more is not read.
const LARGEST: u64 = 64 * 1024 * 1024;

/// The watch over one file. It ends when the value is dropped.
pub struct ConfigFile {
    seen: Arc<Mutex<Seen>>,
    watch: JoinHandle<()>,
    _teacher: Arc<Teacher>,
}

impl fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigFile").field("seen", &self.seen).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Seen {
    path: PathBuf,
    stamp: Option<Stamp>,
    rotation: Rotation,
}

/// What differs after a write: the file itself, its size, and when it was written.
type Stamp = (u64, u64, i64, i64);

impl ConfigFile {
    /// Watches this file, which has just been written.
    pub fn watch(path: PathBuf, rotation: Rotation) -> Self {
        let stamp = stamp(&path);
        let teacher = teacher(path.clone(), stamp, rotation.clone());
        log::learn_from(&teacher);
        let seen = Seen { path, stamp, rotation };
        let seen = Arc::new(Mutex::new(seen));
        let watched = seen.clone();
        let watch = tokio::spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                watched.lock().await.look().await;
            }
        });
        Self { seen, watch, _teacher: teacher }
    }

    /// Looks now.
    pub async fn look(&self) {
        self.seen.lock().await.look().await;
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl Seen {
    async fn look(&mut self) {
        let now = stamp(&self.path);
        if now.is_none() || now == self.stamp {
            return;
        }
        // Memory is where the file is; reading it is no wait.
        let Ok(content) = std::fs::read(&self.path) else { return };
        if self.rotation.changed(&content).await {
            self.stamp = now;
        }
    }
}

/// `None` where there is no such file, or one that is no config.
fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok().filter(|metadata| metadata.size() <= LARGEST)?;
    Some((metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec()))
}

/// Masks what a touched file holds.
fn teacher(path: PathBuf, written: Option<Stamp>, rotation: Rotation) -> Arc<Teacher> {
    let last = Lock::new(written);
    Arc::new(move || {
        let now = stamp(&path);
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if now.is_some() && now != *last {
            *last = now;
            rotation.hide(&std::fs::read(&path).unwrap_or_default());
        }
    })
}
