//! Files of records: Singer's BATCH messages name files of one JSON object a line, most often
//! gzipped whatever the message says (singer-protocol.md, 3.6).

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek};
use std::ops::Range;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde_json::value::RawValue;

use super::buffer::{Buffer, TooLong};
use crate::capture::event::Traits;
use crate::failure::{Code, Failure};
use crate::json::envelope::{Envelopes, Part, Rule, Spot, Watch};

/// The longest line of a file; memory holds one.
const MAX_LINE: usize = 256 * 1024 * 1024;

/// How much of a packed file is read at once.
const BUFFER: usize = 64 * 1024;

/// The first bytes of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Places of what is wanted of a record.
const META: u8 = 0;
const DELETED: u8 = 1;

/// A record of a file.
#[derive(Debug)]
pub struct BatchRecord<'a> {
    /// Its text.
    pub text: &'a [u8],
    /// What it has.
    pub traits: Traits,
    /// What was to be noted of it; `None` where it is not known.
    pub(crate) spots: Option<&'a [Spot]>,
}

/// The records of one file.
pub struct Records {
    path: PathBuf,
    stream: String,
    content: Box<dyn Read>,
    buffer: Buffer,
    number: u64,
    envelopes: Envelopes,
    deletion_marker: &'static str,
}

impl Records {
    /// Opens a file of records of this stream. A member of the name of the marker that is not null says
    /// that the row was deleted; `watch` says which values are to be noted.
    pub(crate) fn open(
        path: &Path,
        stream: &str,
        deletion_marker: &'static str,
        watch: Option<Box<dyn Watch>>,
    ) -> Result<Self, Failure> {
        let failed = |error: &std::io::Error| {
            let path = path.display();
            Failure::new(
                Code::BATCH_FILE,
                format!("the batch file {path} of stream {stream:?} cannot be read: {error}"),
            )
        };
        let mut file = File::open(path).map_err(|error| failed(&error))?;
        let mut start = Vec::new();
        file.by_ref().take(2).read_to_end(&mut start).map_err(|error| failed(&error))?;
        file.rewind().map_err(|error| failed(&error))?;
        let content: Box<dyn Read> = if start == GZIP {
            Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER, file)))
        } else {
            Box::new(file)
        };
        let rule = |name, place| Rule { of: Part::Message, name, is: Part::Value(place) };
        let mut envelopes = Envelopes::new(&[rule("_meta", META), rule(deletion_marker, DELETED)]);
        if let Some(watch) = watch {
            envelopes.watch(Part::Message, watch);
        }
        let (path, stream) = (path.to_owned(), stream.to_owned());
        let buffer = Buffer::for_lines(MAX_LINE);
        Ok(Self { path, stream, content, buffer, number: 0, envelopes, deletion_marker })
    }

    /// The next record; blank lines are passed over.
    pub fn next_record(&mut self) -> Result<Option<BatchRecord<'_>>, Failure> {
        let Some(place) = self.next_line()? else { return Ok(None) };
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
    fn next_line(&mut self) -> Result<Option<Range<usize>>, Failure> {
        loop {
            self.number += 1;
            let Some(place) = self.next_place()? else { return Ok(None) };
            if !self.buffer.message(place.clone()).trim_ascii().is_empty() {
                return Ok(Some(place));
            }
        }
    }

    fn next_place(&mut self) -> Result<Option<Range<usize>>, Failure> {
        loop {
            match self.buffer.line() {
                Ok(None) => {}
                Ok(place) => return Ok(place),
                Err(TooLong { .. }) => return Err(self.damaged("it is longer than 256 MiB")),
            }
            match self.content.read(self.buffer.room()) {
                Ok(0) => {
                    let rest = self.buffer.take_rest();
                    return Ok((!rest.is_empty()).then_some(rest));
                }
                Ok(read) => self.buffer.filled(read),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.damaged(&error.to_string())),
            }
        }
    }

    /// Removes the file: the tap leaves that to its consumer.
    pub fn remove(self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!("the batch file {} cannot be removed: {error}", self.path.display());
        }
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

    fn records(content: &[u8]) -> Result<Vec<String>, Failure> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(content).expect("written");
        let mut records = Records::open(file.path(), "users", "_sdc_deleted_at", None)?;
        let mut found = Vec::new();
        while let Some(BatchRecord { text, traits, .. }) = records.next_record()? {
            let record = std::str::from_utf8(text).expect("UTF-8");
            let found_slowly = Traits::find(record, "_sdc_deleted_at");
            assert_eq!((traits.meta, traits.deleted), (found_slowly.meta, found_slowly.deleted));
            found.push(record.to_owned());
        }
        Ok(found)
    }

    #[test]
    fn plain_and_gzipped_files_are_read() {
        let text = b"{\"id\":1}\n\n{\"id\":2}";
        assert_eq!(records(text).expect("records"), ["{\"id\":1}", "{\"id\":2}"]);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text).expect("compressed");
        assert_eq!(records(&gzip.finish().expect("finished")).expect("records").len(), 2);
    }

    #[test]
    fn what_a_record_has_is_found_in_every_form() {
        let text = br#"{"_meta":{"a":1},"x":[1]}
 {"_sdc_deleted_at":"x","b":"\ud83d\ude00"}
{"_sdc_deleted_at":null,"c":{"_meta":1}}
{"\u005fmeta":1,	"d":1}
{"e":1,"e":2}
"#;
        assert_eq!(records(text).expect("records").len(), 5);
    }

    #[test]
    fn values_that_may_have_to_change_are_noted_as_they_are_read() {
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
        let mut records = Records::open(file.path(), "users", "_sdc_deleted_at", watch).expect("a file");
        let mut noted = Vec::new();
        while let Some(BatchRecord { text, spots, .. }) = records.next_record().expect("a record") {
            noted.push(spots.is_some());
            let walked = transform.apply(text, None).to_vec();
            assert_ne!(walked, text);
            assert_eq!(transform.apply(text, spots), walked);
        }
        // Names with escapes are left to serde_json.
        assert_eq!(noted, [true, true, false]);
    }

    #[test]
    fn a_damaged_line_is_named() {
        let failure = records(b"{\"id\":1}\n{\"id\":").expect_err("damaged");
        assert!(failure.message.starts_with("line 2 of the batch file"), "{failure}");
        assert!(records(b"[1]").is_err());
        assert!(records(&[0x1f, 0x8b, 0, 0]).is_err());
    }
}
