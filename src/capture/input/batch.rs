//! Files of records: Singer's BATCH messages name files of one JSON object a line, most often
//! gzipped whatever the message says (singer-protocol.md, 3.6).
//!
//! `blocks` reads and unpacks a file on a thread, `root` knows which files are removed afterwards, and
//! `Batches` which ones a read has had already.

mod blocks;
mod root;

use std::collections::HashMap;
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_64;

use self::blocks::{Blocks, Stamp};
use self::root::Root;
use super::buffer::{Buffer, TooLong};
use crate::capture::event::Traits;
use crate::capture::processes::pulse::Pulse;
use crate::capture::threads;
use crate::failure::{Code, Failure};
use crate::json::envelope::{Envelopes, Part, Rule, Spot, Watch};

/// How long removing what is left may take at the end of a read.
const CLEARING: Duration = Duration::from_secs(1);

/// The longest line of a file; memory holds one.
const MAX_LINE: usize = 256 * 1024 * 1024;

/// Places of what is wanted of a record.
const META: u8 = 0;
const DELETED: u8 = 1;

/// A record of a file.
#[derive(Debug)]
pub(crate) struct BatchRecord<'a> {
    /// Its text.
    pub(crate) text: &'a [u8],
    /// What it has.
    pub(crate) traits: Traits,
    /// What was to be noted of it; `None` where it is not known.
    pub(crate) spots: Option<&'a [Spot]>,
}

/// The batch files of one read.
#[derive(Debug)]
pub(crate) struct Batches {
    /// Where upstream writes them; `None` where its config names no folder.
    root: Option<Arc<Root>>,
    /// Files that were read, by the hash of their path.
    had: HashMap<u64, Stamp>,
    /// Whether it was said that files stay.
    said: bool,
}

impl Batches {
    /// Begins a read whose files lie below this folder, and removes what killed sessions left there.
    pub(crate) async fn begin(root: Option<PathBuf>) -> Result<Self, Failure> {
        let root = match root {
            Some(folder) => Some(threads::run("batch root", move || Arc::new(Root::begin(folder))).await?),
            None => None,
        };
        Ok(Self { root, had: HashMap::new(), said: false })
    }

    /// Ends the read, once upstream has ended: files that nobody has read are removed.
    pub(crate) async fn end(self) {
        let Some(root) = self.root.and_then(Arc::into_inner) else { return };
        // What cannot be removed now is left to the next session.
        let _ = tokio::time::timeout(CLEARING, threads::run("batch root", move || root.end())).await;
    }

    /// Opens a file, unless it was read before: a tap may name one twice.
    pub(crate) async fn open(
        &mut self,
        path: &Path,
        stream: &str,
        reading: Reading,
    ) -> Result<Option<Records>, Failure> {
        let name = xxh3_64(path.as_os_str().as_bytes());
        let opened = Records::open(path, stream, reading).await;
        let again = match (&opened, self.had.get(&name)) {
            (Ok((_, stamp)), Some(had)) => had == stamp,
            (Err((error, _)), Some(_)) => error.kind() == ErrorKind::NotFound,
            (_, None) => false,
        };
        if again {
            tracing::warn!(stream, "upstream named the batch file {} twice; it is read once", path.display());
            return Ok(None);
        }
        let (records, stamp) = opened.map_err(|(_, failure)| failure)?;
        self.had.insert(name, stamp);
        Ok(Some(records))
    }

    /// Removes a file that was read to its end, or that no binding reads: the tap leaves that to its
    /// consumer. Files that are not surely the tap's stay.
    pub(crate) async fn remove(&mut self, path: &Path) -> Result<(), Failure> {
        let Some(root) = self.root.clone() else {
            self.stays(path, "the config names no folder for them (batch_config.storage.root)");
            return Ok(());
        };
        let file = path.to_owned();
        match threads::run("batch file", move || root.remove(&file)).await? {
            Ok(true) => {}
            Ok(false) => self.stays(path, "it is no new file below the folder batch_config.storage.root"),
            Err(error) => {
                tracing::warn!("the batch file {} cannot be removed: {error}", path.display());
            }
        }
        Ok(())
    }

    fn stays(&mut self, path: &Path, why: &str) {
        if !std::mem::replace(&mut self.said, true) {
            tracing::warn!("the batch file {} is not removed, nor are others like it: {why}", path.display());
        }
    }
}

/// How the records of a file are read.
pub(crate) struct Reading {
    /// A member of this name that is not null says that the row was deleted.
    pub(crate) deletion_marker: &'static str,
    /// Says which values are to be noted.
    pub(crate) watch: Option<Box<dyn Watch>>,
    /// Where waiting for the file counts as waiting for upstream, and each block as a sign of life.
    pub(crate) pulse: Arc<Pulse>,
}

/// The records of one file.
pub(crate) struct Records {
    path: PathBuf,
    stream: String,
    blocks: Blocks,
    buffer: Buffer,
    number: u64,
    envelopes: Envelopes,
    deletion_marker: &'static str,
    pulse: Arc<Pulse>,
}

impl Records {
    /// Opens a file of records of this stream.
    async fn open(
        path: &Path,
        stream: &str,
        reading: Reading,
    ) -> Result<(Self, Stamp), (std::io::Error, Failure)> {
        let Reading { deletion_marker, watch, pulse } = reading;
        let failed = |error: std::io::Error| {
            let path = path.display();
            let message = format!("the batch file {path} of stream {stream:?} cannot be read: {error}");
            (error, Failure::new(Code::BATCH_FILE, message))
        };
        let mut blocks = Blocks::of(path).map_err(|failure| (std::io::Error::other("no thread"), failure))?;
        pulse.set_waiting(true);
        let opened = blocks.opened().await;
        pulse.set_waiting(false);
        let stamp = opened.map_err(failed)?;
        let rule = |name, place| Rule { of: Part::Message, name, is: Part::Value(place) };
        let mut envelopes = Envelopes::new(&[rule("_meta", META), rule(deletion_marker, DELETED)]);
        if let Some(watch) = watch {
            envelopes.watch(Part::Message, watch);
        }
        let (path, stream) = (path.to_owned(), stream.to_owned());
        let buffer = Buffer::for_lines(MAX_LINE);
        Ok((Self { path, stream, blocks, buffer, number: 0, envelopes, deletion_marker, pulse }, stamp))
    }

    /// The next record; blank lines are passed over.
    pub(crate) async fn next_record(&mut self) -> Result<Option<BatchRecord<'_>>, Failure> {
        let Some(place) = self.next_line().await? else { return Ok(None) };
        let line = self.buffer.message(place).trim_ascii();
        let ordinary = if line.starts_with(b"{") { self.envelopes.read(line) } else { None };
        if let Some(parts) = ordinary {
            let traits = Traits::noticed(&parts, META, DELETED);
            let spots = traits.watched.then(|| self.envelopes.spots());
            return Ok(Some(BatchRecord { text: line, traits, spots }));
        }
        match serde_json::from_slice::<&RawValue>(line) {
            Ok(record) if record.get().starts_with('{') => {
                let traits = Traits::find(record.get(), self.deletion_marker);
                Ok(Some(BatchRecord { text: record.get().as_bytes(), traits, spots: None }))
            }
            Ok(_) => Err(self.damaged("it is no JSON object")),
            Err(error) => {
                Err(self.damaged(&format!("{:?} error at column {}", error.classify(), error.column())))
            }
        }
    }

    /// Where the next line stands that is not blank; `None` at the end.
    async fn next_line(&mut self) -> Result<Option<Range<usize>>, Failure> {
        loop {
            self.number += 1;
            let Some(place) = self.next_place().await? else { return Ok(None) };
            if !self.buffer.message(place.clone()).trim_ascii().is_empty() {
                return Ok(Some(place));
            }
        }
    }

    async fn next_place(&mut self) -> Result<Option<Range<usize>>, Failure> {
        loop {
            match self.buffer.line() {
                Ok(None) => {}
                Ok(place) => return Ok(place),
                Err(TooLong { .. }) => return Err(self.damaged("it is longer than 256 MiB")),
            }
            self.pulse.set_waiting(true);
            let block = self.blocks.next().await;
            self.pulse.set_waiting(false);
            match block {
                Ok(Some(block)) => self.take(block),
                Ok(None) => {
                    let rest = self.buffer.take_rest();
                    return Ok((!rest.is_empty()).then_some(rest));
                }
                Err(error) => return Err(self.damaged(&error.to_string())),
            }
        }
    }

    fn take(&mut self, block: Vec<u8>) {
        let mut left = block.as_slice();
        while !left.is_empty() {
            let room = self.buffer.room();
            let (now, later) = left.split_at(left.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            self.buffer.filled(now.len());
            left = later;
        }
        self.blocks.give_back(block);
    }

    fn damaged(&self, cause: &str) -> Failure {
        let (path, stream, number) = (self.path.display(), &self.stream, self.number);
        Failure::new(
            Code::BATCH_FILE,
            format!("line {number} of the batch file {path} of stream {stream:?} cannot be read: {cause}"),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::capture::documents::transform::Transform;

    fn reading(watch: Option<Box<dyn Watch>>) -> Reading {
        Reading { deletion_marker: "_sdc_deleted_at", watch, pulse: Arc::new(Pulse::new()) }
    }

    async fn opened(path: &Path, watch: Option<Box<dyn Watch>>) -> Result<Records, Failure> {
        Records::open(path, "users", reading(watch)).await.map(|(records, _)| records).map_err(|(_, why)| why)
    }

    async fn records(content: &[u8]) -> Result<Vec<String>, Failure> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(content).expect("written");
        let mut records = opened(file.path(), None).await?;
        let mut found = Vec::new();
        while let Some(BatchRecord { text, traits, .. }) = records.next_record().await? {
            let record = std::str::from_utf8(text).expect("UTF-8");
            let found_slowly = Traits::find(record, "_sdc_deleted_at");
            assert_eq!((traits.meta, traits.deleted), (found_slowly.meta, found_slowly.deleted));
            found.push(record.to_owned());
        }
        Ok(found)
    }

    #[tokio::test]
    async fn plain_and_gzipped_files_are_read() {
        let text = b"{\"id\":1}\n\n{\"id\":2}";
        assert_eq!(records(text).await.expect("records"), ["{\"id\":1}", "{\"id\":2}"]);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text).expect("compressed");
        assert_eq!(records(&gzip.finish().expect("finished")).await.expect("records").len(), 2);
    }

    #[tokio::test]
    async fn what_a_record_has_is_found_in_every_form() {
        let text = br#"{"_meta":{"a":1},"x":[1]}
 {"_sdc_deleted_at":"x","b":"\ud83d\ude00"}
{"_sdc_deleted_at":null,"c":{"_meta":1}}
{"\u005fmeta":1,	"d":1}
{"e":1,"e":2}
"#;
        assert_eq!(records(text).await.expect("records").len(), 5);
    }

    #[tokio::test]
    async fn values_that_may_have_to_change_are_noted_as_they_are_read() {
        let schema = serde_json::json!({"properties": {
            "at": {"type": "string", "format": "date-time"},
            "all": {"items": {"properties": {"at": {"type": "string", "format": "date-time"}}}},
        }});
        let mut transform = Transform::compile(&schema, &[]).expect("dates");
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let lines = concat!(
            r#"{"id":1,"at":"2024-01-02 03:04:05","all":[{"at":"2024-01-02 03:04:05"},{"x":{"at":"a"}}]}"#,
            "\n  ",
            r#"{"id":2,"at":"2024-01-02 03:04:06","all":[{"at":"2024-01-02 03:04:05"},{"x":{"at":"a"}}]}"#,
            "\n",
            r#"{"all":[],"\u0061t":"2024-01-02 03:04:07"}"#,
        );
        file.write_all(lines.as_bytes()).expect("written");
        let watch = Some(transform.watch());
        let mut records = opened(file.path(), watch).await.expect("a file");
        let mut noted = Vec::new();
        while let Some(BatchRecord { text, spots, .. }) = records.next_record().await.expect("a record") {
            noted.push(spots.is_some());
            let walked = transform.apply(text, None).to_vec();
            assert_ne!(walked, text);
            assert_eq!(transform.apply(text, spots), walked);
        }
        // Names with escapes are left to serde_json.
        assert_eq!(noted, [true, true, false]);
    }

    #[tokio::test]
    async fn a_damaged_line_is_named() {
        let failure = records(b"{\"id\":1}\n{\"id\":").await.expect_err("damaged");
        assert!(failure.message.starts_with("line 2 of the batch file"), "{failure}");
        assert!(records(b"[1]").await.is_err());
        assert!(records(&[0x1f, 0x8b, 0, 0]).await.is_err());
    }

    #[tokio::test]
    async fn only_regular_files_are_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let failure = opened(folder.path(), None).await.err().expect("a folder");
        assert!(failure.message.contains("not a regular file"), "{failure}");
        assert!(opened(Path::new("/dev/zero"), None).await.is_err());
    }

    #[tokio::test]
    async fn a_file_that_is_named_twice_is_read_once_and_a_new_one_of_its_name_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("users.json");
        let mut batches = Batches::begin(Some(folder.path().to_owned())).await.expect("a root");
        std::fs::write(&file, "{}").expect("written");
        let open = async |batches: &mut Batches| {
            batches.open(&file, "users", reading(None)).await.map(|records| records.is_some())
        };
        assert_eq!(open(&mut batches).await.ok(), Some(true));
        assert_eq!(open(&mut batches).await.ok(), Some(false));
        batches.remove(&file).await.expect("removed");
        assert!(!file.exists());
        assert_eq!(open(&mut batches).await.ok(), Some(false));
        std::fs::write(&file, "{\"id\":1}").expect("written");
        assert_eq!(open(&mut batches).await.ok(), Some(true));
        assert!(batches.open(&folder.path().join("x"), "users", reading(None)).await.is_err());
    }
}
