//! Files of records: Singer's BATCH messages name files of one JSON object a line, most often
//! gzipped whatever the message says (singer-protocol.md, 3.6).

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde_json::value::RawValue;

use crate::failure::{Cause, Failure};

/// The longest line of a file; memory holds one.
const MAX_LINE: usize = 256 * 1024 * 1024;

/// The first bytes of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The records of one file.
pub struct Records {
    path: PathBuf,
    stream: String,
    reader: Box<dyn BufRead>,
    line: Vec<u8>,
    number: u64,
}

impl Records {
    /// Opens a file of records of this stream.
    pub fn open(path: &Path, stream: &str) -> Result<Self, Failure> {
        let failed = |error: &std::io::Error| {
            let path = path.display();
            Failure::new(
                Cause::UpstreamProtocol,
                format!("the batch file {path} of stream {stream:?} cannot be read: {error}"),
            )
        };
        let mut file = File::open(path).map_err(|error| failed(&error))?;
        let mut start = Vec::new();
        file.by_ref().take(2).read_to_end(&mut start).map_err(|error| failed(&error))?;
        file.rewind().map_err(|error| failed(&error))?;
        let reader: Box<dyn BufRead> = if start == GZIP {
            Box::new(BufReader::with_capacity(1 << 18, MultiGzDecoder::new(BufReader::new(file))))
        } else {
            Box::new(BufReader::with_capacity(1 << 18, file))
        };
        Ok(Self { path: path.to_owned(), stream: stream.to_owned(), reader, line: Vec::new(), number: 0 })
    }

    /// The next record's text; blank lines are passed over.
    pub fn next_record(&mut self) -> Result<Option<&str>, Failure> {
        loop {
            self.line.clear();
            self.number += 1;
            let limit = u64::try_from(MAX_LINE + 1).unwrap_or(u64::MAX);
            let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut self.line);
            match read {
                Err(error) => return Err(self.damaged(&error.to_string())),
                Ok(0) => return Ok(None),
                Ok(read) if read > MAX_LINE => {
                    return Err(self.damaged("it is longer than 256 MiB"));
                }
                Ok(_) if self.line.trim_ascii().is_empty() => {}
                Ok(_) => break,
            }
        }
        match serde_json::from_slice::<&RawValue>(&self.line) {
            Ok(record) if record.get().starts_with('{') => {}
            Ok(_) => return Err(self.damaged("it is no JSON object")),
            Err(error) => {
                return Err(self.damaged(&format!(
                    "{:?} error at column {}",
                    error.classify(),
                    error.column()
                )));
            }
        }
        // It was parsed, so it is UTF-8.
        Ok(std::str::from_utf8(self.line.trim_ascii()).ok())
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
            Cause::UpstreamProtocol,
            format!("line {number} of the batch file {path} of stream {stream:?} cannot be read: {cause}"),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn records(content: &[u8]) -> Result<Vec<String>, Failure> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(content).expect("written");
        let mut records = Records::open(file.path(), "users")?;
        let mut found = Vec::new();
        while let Some(record) = records.next_record()? {
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
    fn a_damaged_line_is_named() {
        let failure = records(b"{\"id\":1}\n{\"id\":").expect_err("damaged");
        assert!(failure.message.starts_with("line 2 of the batch file"), "{failure}");
        assert!(records(b"[1]").is_err());
        assert!(records(&[0x1f, 0x8b, 0, 0]).is_err());
    }
}
