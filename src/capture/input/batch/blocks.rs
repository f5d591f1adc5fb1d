//! The bytes of one file, unpacked, read on a thread: the path is upstream's to choose, and a dead mount
//! blocks for ever.

use std::fs::{File, Metadata};
use std::io::{BufReader, ErrorKind, Read, Result, Seek};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use rustix::fs::{Mode, OFlags};
use tokio::sync::mpsc;

use crate::capture::threads;
use crate::failure::Failure;

/// How much is handed over at once.
const BLOCK: usize = 128 * 1024;
/// How many blocks may wait to be taken.
const UNDER_WAY: usize = 2;
/// How much of a packed file is read at once.
const PACKED: usize = 64 * 1024;
/// The first bytes of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Which file lies at a path: device, inode, size and time of the last write. A file that is written anew
/// differs in one of them.
pub(super) type Stamp = (u64, u64, u64, i64, i64);

/// The blocks of one file. Dropping it ends the thread at the next block.
pub(super) struct Blocks {
    opened: mpsc::Receiver<Result<Stamp>>,
    read: mpsc::Receiver<Result<Vec<u8>>>,
    used: std::sync::mpsc::Sender<Vec<u8>>,
}

/// The thread's side.
struct Reading {
    opened: mpsc::Sender<Result<Stamp>>,
    read: mpsc::Sender<Result<Vec<u8>>>,
    used: std::sync::mpsc::Receiver<Vec<u8>>,
}

impl Blocks {
    /// Starts to read a file. Fails where the system gives no thread.
    pub(super) fn of(path: &Path) -> std::result::Result<Self, Failure> {
        let (opening, opened) = mpsc::channel(1);
        let (sender, read) = mpsc::channel(UNDER_WAY);
        let (used, to_be_used) = std::sync::mpsc::channel();
        let reading = Reading { opened: opening, read: sender, used: to_be_used };
        let path = PathBuf::from(path);
        threads::spawn("batch file", move || reading.read(&path))?;
        Ok(Self { opened, read, used })
    }

    /// Waits until the file is open. To be asked once.
    pub(super) async fn opened(&mut self) -> Result<Stamp> {
        self.opened.recv().await.unwrap_or_else(|| Err(std::io::Error::other("its thread ended")))
    }

    /// The next block; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        self.read.recv().await.transpose()
    }

    /// A block that was taken.
    pub(super) fn give_back(&self, block: Vec<u8>) {
        // A thread that is at its end needs none.
        let _ = self.used.send(block);
    }
}

impl Reading {
    fn read(self, path: &Path) {
        let content = open(path).and_then(|(file, stamp)| Ok((unpacked(file)?, stamp)));
        let mut content = match content {
            Ok((content, stamp)) => {
                if self.opened.blocking_send(Ok(stamp)).is_err() {
                    return;
                }
                content
            }
            // Where nobody waits any more, nobody wants to know.
            Err(error) => return drop(self.opened.blocking_send(Err(error))),
        };
        loop {
            let mut block = self.used.try_recv().unwrap_or_default();
            block.resize(BLOCK, 0);
            let block = match content.read(&mut block) {
                Ok(0) => return,
                Ok(read) => {
                    block.truncate(read);
                    Ok(block)
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let failed = block.is_err();
            if self.read.blocking_send(block).is_err() || failed {
                return;
            }
        }
    }
}

/// Opens a regular file, and nothing else: to open a FIFO or a device may block, or do something.
fn open(path: &Path) -> Result<(File, Stamp)> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file: OwnedFd = rustix::fs::open(path, flags, Mode::empty())?;
    let file = File::from(file);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    Ok((file, stamp(&metadata)))
}

pub(super) fn stamp(metadata: &Metadata) -> Stamp {
    (metadata.dev(), metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec())
}

fn unpacked(mut file: File) -> Result<Box<dyn Read>> {
    let mut start = Vec::new();
    file.by_ref().take(2).read_to_end(&mut start)?;
    file.rewind()?;
    Ok(if start == GZIP {
        Box::new(MultiGzDecoder::new(BufReader::with_capacity(PACKED, file)))
    } else {
        Box::new(file)
    })
}
