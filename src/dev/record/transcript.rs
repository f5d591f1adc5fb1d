//! A file of a transcript: what is written to it loses its secrets, line by line.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use serde_json::Value;

use crate::capture::config::secrets;
use crate::log;

/// Nobody but the owner reads a transcript.
const MODE: u32 = 0o600;

/// The file, and the line that has no end yet.
#[derive(Debug)]
pub(super) struct Transcript {
    file: BufWriter<File>,
    line: Vec<u8>,
}

impl Transcript {
    /// A new file, in place of an old one.
    pub(super) fn create(path: &Path) -> std::io::Result<Self> {
        Self::open(path, OpenOptions::new().create(true).write(true).truncate(true))
    }

    /// A file that may exist.
    pub(super) fn append(path: &Path) -> std::io::Result<Self> {
        Self::open(path, OpenOptions::new().create(true).append(true))
    }

    fn open(path: &Path, options: &mut OpenOptions) -> std::io::Result<Self> {
        let file = options.mode(MODE).open(path)?;
        // The mode of a file that exists stays what it was.
        file.set_permissions(Permissions::from_mode(MODE))?;
        Ok(Self { file: BufWriter::new(file), line: Vec::new() })
    }

    /// Writes what has no newline behind it, too.
    pub(super) fn finish(mut self) -> std::io::Result<()> {
        self.put_line()?;
        self.file.flush()
    }

    fn put_line(&mut self) -> std::io::Result<()> {
        self.file.write_all(&masked(&self.line))?;
        self.line.clear();
        Ok(())
    }
}

impl Write for Transcript {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.put_line()?;
            }
        }
        self.file.flush()?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// A line without secrets. One of JSON stays JSON.
fn masked(line: &[u8]) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(line) else { return line.to_vec() };
    let message = serde_json::from_str::<Value>(text).ok();
    if let Some(config) =
        message.as_ref().and_then(|message| message.pointer("/control/connectorConfig/config"))
    {
        // A renewed config: its secrets are in this line for the first time.
        secrets::hide(&Value::Null, config);
    }
    let masked = log::masked(text);
    match message {
        Some(message) if serde_json::from_str::<Value>(&masked).is_err() => {
            // A number was masked, which has no quotes around it.
            format!("{}\n", quoted(message)).into_bytes()
        }
        _ => masked.into_bytes(),
    }
}

/// The value with secrets masked; a secret that is a number becomes text.
fn quoted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mask = |(name, value): (String, Value)| {
                let alone = serde_json::json!({ name.as_str(): value.clone() }).to_string();
                let hidden = value.is_number() && log::masked(&alone) != alone;
                (name, if hidden { "****".into() } else { quoted(value) })
            };
            members.into_iter().map(mask).collect()
        }
        Value::Array(items) => items.into_iter().map(quoted).collect(),
        Value::String(text) => log::masked(&text).into(),
        Value::Number(number) if log::masked(&number.to_string()) != number.to_string() => "****".into(),
        other => other,
    }
}
