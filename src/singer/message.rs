//! Hot path: reads one line of a tap's output.
//!
//! A record is read in one pass that knows what the last one looked like. All else, and what that pass
//! leaves alone, goes through serde, borrowed, into a plain struct that declares only what is read.
//! Types count in any case, as the specification has them.

use std::borrow::Cow;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::capture::event::{Batch, Event, LineError, Record, Schema, Traits};
use crate::capture::input::damaged::unreadable;
use crate::capture::input::parser::LineParser;
use crate::json::envelope::{Part, Parts, Rule, plain_string};
use crate::json::text::Text;

/// The member of a record that says, when not null, that its row was deleted.
pub(super) const DELETED_AT: &str = "_sdc_deleted_at";

/// The types of messages that carry data.
const CARRIERS: &[&str] = &["RECORD", "STATE", "BATCH"];

const KIND: u8 = 0;
const RECORD: u8 = 1;
const META: u8 = 2;
const DELETED: u8 = 3;
const RULES: &[Rule] = &[
    Rule { of: Part::Message, name: "type", is: Part::Value(KIND) },
    Rule { of: Part::Message, name: "stream", is: Part::Stream },
    Rule { of: Part::Message, name: "record", is: Part::Value(RECORD) },
    Rule { of: Part::Value(RECORD), name: "_meta", is: Part::Value(META) },
    Rule { of: Part::Value(RECORD), name: DELETED_AT, is: Part::Value(DELETED) },
];

/// What reads the lines of one read.
pub(super) fn parser() -> LineParser {
    LineParser::new(RULES, Part::Value(RECORD), ordinary_record, parse)
}

fn ordinary_record<'line>(parts: &Parts<'line>) -> Option<Record<'line>> {
    let value = |part: u8| parts.values[usize::from(part)];
    let data = value(RECORD).filter(|record| record.starts_with(b"{"))?;
    if !value(KIND)?.eq_ignore_ascii_case(b"\"RECORD\"") {
        return None;
    }
    let traits = Traits::noticed(parts, META, DELETED);
    Some(Record {
        stream: Cow::Borrowed(plain_string(parts.stream?)?),
        namespace: None,
        partition: None,
        data,
        traits,
        changes: None,
    })
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    stream: Option<Text<'a>>,
    #[serde(borrow, default)]
    record: Option<&'a RawValue>,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
    #[serde(borrow, default)]
    schema: Option<&'a RawValue>,
    #[serde(borrow, default)]
    key_properties: Option<&'a RawValue>,
    #[serde(default)]
    encoding: Option<Encoding>,
    #[serde(default)]
    manifest: Option<Vec<String>>,
    /// The older BATCH of pipelinewise taps names one file here.
    #[serde(default)]
    filepath: Option<String>,
    #[serde(default)]
    format: Option<String>,
}

#[derive(Deserialize)]
struct Encoding {
    #[serde(default)]
    format: Option<String>,
}

/// What a line means.
pub(super) fn parse(line: &[u8]) -> Result<Event<'_>, LineError> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let message: Message<'_> =
        serde_json::from_slice(line).map_err(|error| unreadable(line, CARRIERS, &error))?;
    let Some(kind) = &message.kind else { return Err(LineError::NotAMessage) };
    if kind.eq_ignore_ascii_case("RECORD") {
        return record(message);
    }
    if kind.eq_ignore_ascii_case("STATE") {
        return message.value.map(Event::State).ok_or_else(|| damaged("STATE", None, "it has no value"));
    }
    if kind.eq_ignore_ascii_case("BATCH") {
        return batch(message);
    }
    if kind.eq_ignore_ascii_case("ACTIVATE_VERSION") {
        return Ok(message.stream.map_or(Event::Ignored, |Text(stream)| Event::EndMark(stream)));
    }
    if kind.eq_ignore_ascii_case("SCHEMA") {
        return Ok(match (message.stream, message.schema) {
            (Some(Text(stream)), Some(schema)) => Event::Schema(Schema {
                stream,
                schema,
                key: message.key_properties.map(columns).unwrap_or_default(),
            }),
            _ => Event::Ignored,
        });
    }
    Ok(message.kind.map_or(Event::Ignored, |Text(kind)| Event::Unknown(kind)))
}

/// The columns of a key; what is no list of names says nothing.
fn columns(key: &RawValue) -> Vec<String> {
    serde_json::from_str(key.get()).unwrap_or_default()
}

fn record(message: Message<'_>) -> Result<Event<'_>, LineError> {
    match (message.stream, message.record) {
        (Some(Text(stream)), Some(data)) if data.get().starts_with('{') => {
            let data = data.get();
            let traits = Traits::find(data, DELETED_AT);
            Ok(Event::Record(Record {
                stream,
                namespace: None,
                partition: None,
                data: data.as_bytes(),
                traits,
                changes: None,
            }))
        }
        (stream, _) => {
            Err(damaged("RECORD", stream.as_deref(), "it lacks a stream or an object as its record"))
        }
    }
}

/// Files of JSON lines are read; columns in other forms would need libraries for each.
fn batch(message: Message<'_>) -> Result<Event<'_>, LineError> {
    let Some(Text(stream)) = message.stream else { return Err(damaged("BATCH", None, "it names no stream")) };
    let format = message.encoding.and_then(|encoding| encoding.format).or(message.format);
    match format.as_deref() {
        None | Some("jsonl") => {}
        Some(_) => {
            let cause = "its files are not JSON lines; set batch_config.encoding.format to jsonl, or remove batch_config";
            return Err(damaged("BATCH", Some(&stream), cause));
        }
    }
    let manifest = message.manifest.or(message.filepath.map(|path| vec![path]));
    let files = manifest.unwrap_or_default().iter().map(|uri| local(uri)).collect::<Option<Vec<_>>>();
    let cause = "its files are not local; set batch_config.storage.root to file://…, or remove batch_config";
    let files = files.ok_or_else(|| damaged("BATCH", Some(&stream), cause))?;
    Ok(Event::Batch(Batch { stream: stream.into_owned(), files }))
}

/// The path of a `file://` URI or a plain path. The SDK does not escape its URIs
/// (singer-protocol.md, 3.6; fixture meltanolabs-tap-postgres-batch).
fn local(uri: &str) -> Option<PathBuf> {
    let path = match uri.split_once("://") {
        // The empty host and `localhost` are the same (RFC 8089).
        Some(("file", path)) => {
            path.strip_prefix("localhost").filter(|rest| rest.starts_with('/')).unwrap_or(path)
        }
        Some(_) => return None,
        None => uri,
    };
    Some(PathBuf::from(path))
}

/// The folder of batch files that a config names; `None` where it names none that is local.
pub(super) fn batch_root(config: &Value) -> Option<PathBuf> {
    local(config.pointer("/batch_config/storage/root")?.as_str()?)
}

fn damaged(kind: &'static str, stream: Option<&str>, cause: &str) -> LineError {
    LineError::Damaged { kind, stream: stream.map(str::to_owned), cause: cause.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_ordinary_record_borrows_from_its_line() {
        let line = br#"{"type": "record", "stream": "users", "record": {"id": 1}, "time_extracted": 7, "version": "x"}"#;
        let Ok(Event::Record(record)) = parse(line) else { panic!("a record") };
        assert!(matches!(record.stream, Cow::Borrowed("users")));
        assert_eq!(record.data, br#"{"id": 1}"#);
    }

    #[test]
    fn each_type_has_its_meaning() {
        assert!(matches!(parse(br#"{"type":"STATE","value":{}}"#), Ok(Event::State(_))));
        assert!(matches!(parse(br#"{"type":"SCHEMA","stream":"s","schema":{}}"#), Ok(Event::Schema(..))));
        assert!(matches!(parse(br#"{"type":"NEWS"}"#), Ok(Event::Unknown(_))));
        for line in ["progress 10%", "{}", "{\"a\":1}", "[]", "\u{feff}x"] {
            assert!(matches!(parse(line.as_bytes()), Err(LineError::NotAMessage)), "{line}");
        }
    }

    #[test]
    fn batches_name_local_files_of_json_lines() {
        let line = br#"{"type":"BATCH","stream":"s","encoding":{"format":"jsonl","compression":"gzip"},"manifest":["file:///a b/c%20d.gz","/x"]}"#;
        let Ok(Event::Batch(batch)) = parse(line) else { panic!("a batch") };
        assert_eq!(batch.files, [PathBuf::from("/a b/c%20d.gz"), PathBuf::from("/x")]);
        for line in [
            r#"{"type":"BATCH","stream":"s","encoding":{"format":"parquet"},"manifest":["file:///a"]}"#,
            r#"{"type":"BATCH","stream":"s","encoding":{"format":"jsonl"},"manifest":["s3://a"]}"#,
        ] {
            assert!(
                matches!(parse(line.as_bytes()), Err(LineError::Damaged { kind: "BATCH", .. })),
                "{line}"
            );
        }
    }

    #[test]
    fn damaged_data_is_never_taken_for_a_log_line() {
        let whole = r#"{"type": "RECORD", "stream": "users", "record": {"id": 1}}"#;
        for cut in 20..whole.len() {
            assert!(
                matches!(parse(&whole.as_bytes()[..cut]), Err(LineError::Damaged { kind: "RECORD", .. })),
                "{cut}"
            );
        }
        for line in [r#"{"type":"RECORD","stream":"s","record":null}"#, r#"{"type":"RECORD","record":{}}"#] {
            assert!(matches!(parse(line.as_bytes()), Err(LineError::Damaged { .. })), "{line}");
        }
    }

    /// The quick pass and serde say the same of a line, whatever was read before it.
    #[test]
    fn records_are_the_same_on_both_ways() {
        let mut lines = parser();
        for line in [
            r#"{"type":"RECORD","stream":"users","record":{"id":1},"time_extracted":"2024"}"#,
            r#"{"type":"RECORD","stream":"users","record":{"id":2},"time_extracted":"2024"}"#,
            r#"{"type": "record", "stream": "users", "record": {"id": 2, "_meta": 1}, "version": 1}"#,
            r#"{"record":{"_sdc_deleted_at":"2024"},"stream":"a\"b","type":"RECORD"}"#,
            r#"{"type":"RECORD","stream":"users","record":{"_sdc_deleted_at":null,"x":{"_meta":1}}}"#,
            r#"{"type":"RECORD","stream":"users","record":[]}"#,
            r#"{"type":"RECORD","record":{}}"#,
        ] {
            let quick = format!("{:?}", lines.parse(line.as_bytes()));
            assert_eq!(quick, format!("{:?}", parse(line.as_bytes())), "{line}");
        }
    }

    proptest! {
        #[test]
        fn junk_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn a_changed_byte_never_panics(at: prop::sample::Index, byte: u8) {
            let mut line = br#"{"type":"BATCH","stream":"s","encoding":{"format":"jsonl"},"manifest":["file:///a"]}"#.to_vec();
            let at = at.index(line.len());
            line[at] = byte;
            let _ = parse(&line);
        }
    }
}
