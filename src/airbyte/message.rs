//! Hot path: reads one line of a source's output.
//!
//! A record is read in one pass that knows what the last one looked like. All else, and what that pass
//! leaves alone, goes through serde, borrowed, into a plain struct that declares only what is read, so
//! that a member which nobody uses cannot reject a record. An internally tagged enum would compile
//! and then fail around raw values at run time (serde-rs/json issue 545).

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Map;
use serde_json::value::RawValue;

use super::descriptor::namespace;
use super::trace::{self, Trace};
use crate::capture::event::{Answer, Event, LineError, LogLine, Record, Traits};
use crate::capture::input::damaged::unreadable;
use crate::capture::input::parser::LineParser;
use crate::json::envelope::{Part, Parts, Rule, plain_string};
use crate::json::text::Text;
use crate::log::Level;

/// The member of a record that says, when not null, that its row was deleted.
pub(super) const DELETED_AT: &str = "_ab_cdc_deleted_at";

/// The types of messages that carry data.
const CARRIERS: &[&str] = &["RECORD", "STATE"];

const KIND: u8 = 0;
const NAMESPACE: u8 = 1;
const DATA: u8 = 2;
const META: u8 = 3;
const DELETED: u8 = 4;
const PARTITION: u8 = 5;
const ABOUT: u8 = 6;
/// Both names of a file: that of today, and that of sources before protocol 0.15.
const FILE: u8 = 7;
const RULES: &[Rule] = &[
    Rule { of: Part::Message, name: "type", is: Part::Value(KIND) },
    Rule { of: Part::Message, name: "record", is: Part::Container },
    Rule { of: Part::Container, name: "stream", is: Part::Stream },
    Rule { of: Part::Container, name: "namespace", is: Part::Value(NAMESPACE) },
    Rule { of: Part::Container, name: "partition_id", is: Part::Value(PARTITION) },
    Rule { of: Part::Container, name: "data", is: Part::Value(DATA) },
    Rule { of: Part::Container, name: "meta", is: Part::Value(ABOUT) },
    Rule { of: Part::Container, name: "file_reference", is: Part::Value(FILE) },
    Rule { of: Part::Container, name: "file", is: Part::Value(FILE) },
    Rule { of: Part::Value(DATA), name: "_meta", is: Part::Value(META) },
    Rule { of: Part::Value(DATA), name: DELETED_AT, is: Part::Value(DELETED) },
];

/// What reads the lines of one read.
pub(super) fn parser() -> LineParser {
    LineParser::new(RULES, Part::Value(DATA), ordinary_record, parse)
}

fn ordinary_record<'line>(parts: &Parts<'line>) -> Option<Record<'line>> {
    let value = |part: u8| parts.values[usize::from(part)];
    let data = value(DATA).filter(|data| data.starts_with(b"{"))?;
    if value(KIND)? != b"\"RECORD\"" {
        return None;
    }
    // A change is an object, so meta that names one holds a second brace.
    let tells = value(ABOUT).is_some_and(|about| memchr::memrchr(b'{', about) > Some(0));
    if tells || value(FILE).is_some_and(|file| file != b"null") {
        return None;
    }
    let namespace = match value(NAMESPACE) {
        None | Some(b"null" | b"\"\"") => None,
        Some(namespace) => Some(Cow::Borrowed(plain_string(namespace)?)),
    };
    let partition = match value(PARTITION).filter(|partition| partition.starts_with(b"\"")) {
        Some(partition) => Some(Cow::Borrowed(plain_string(partition)?)),
        None => None,
    };
    let traits = Traits::noticed(parts, META, DELETED);
    let stream = Cow::Borrowed(plain_string(parts.stream?)?);
    Some(Record { stream, namespace, partition, data, traits, changes: None })
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    record: Option<RecordBody<'a>>,
    #[serde(borrow)]
    state: Option<&'a RawValue>,
    #[serde(borrow)]
    log: Option<LogBody<'a>>,
    #[serde(borrow)]
    trace: Option<Trace<'a>>,
    #[serde(borrow)]
    spec: Option<&'a RawValue>,
    #[serde(borrow)]
    catalog: Option<&'a RawValue>,
    #[serde(borrow, rename = "connectionStatus")]
    status: Option<StatusBody<'a>>,
    #[serde(borrow)]
    control: Option<Control<'a>>,
}

#[derive(Deserialize)]
struct RecordBody<'a> {
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "namespace")]
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "partition_id")]
    partition: Option<&'a RawValue>,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow, default)]
    meta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    file_reference: Option<&'a RawValue>,
    #[serde(borrow, default)]
    file: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct About<'a> {
    #[serde(borrow, default)]
    changes: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct LogBody<'a> {
    #[serde(borrow, default)]
    level: Option<Text<'a>>,
    #[serde(borrow, default)]
    message: Option<Text<'a>>,
    #[serde(default)]
    stack_trace: Option<String>,
}

#[derive(Deserialize)]
struct StatusBody<'a> {
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(default)]
    message: Option<String>,
}

#[derive(Deserialize)]
struct Control<'a> {
    #[serde(borrow, rename = "connectorConfig")]
    config: Option<ConnectorConfig<'a>>,
}

#[derive(Deserialize)]
struct ConnectorConfig<'a> {
    #[serde(borrow)]
    config: &'a RawValue,
}

/// What a line means.
pub(super) fn parse(line: &[u8]) -> Result<Event<'_>, LineError> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let message: Message<'_> = match serde_json::from_slice(line) {
        Ok(message) => message,
        Err(error) => return Err(unreadable(line, CARRIERS, &error)),
    };
    let Some(Text(kind)) = message.kind else { return Err(LineError::NotAMessage) };
    let missing =
        |kind: &'static str| LineError::Damaged { kind, stream: None, cause: "it has no content".to_owned() };
    match &*kind {
        "RECORD" => record(message.record.ok_or_else(|| missing("RECORD"))?),
        "STATE" => message.state.map(Event::State).ok_or_else(|| missing("STATE")),
        "LOG" => Ok(message.log.map_or(Event::Ignored, log)),
        "TRACE" => Ok(message.trace.map_or(Event::Ignored, trace::event)),
        "SPEC" => Ok(message.spec.map_or(Event::Ignored, |spec| Event::Answer(Answer::Spec(spec)))),
        "CATALOG" => {
            Ok(message.catalog.map_or(Event::Ignored, |catalog| Event::Answer(Answer::Catalog(catalog))))
        }
        "CONNECTION_STATUS" => Ok(message.status.map_or(Event::Ignored, status)),
        "CONTROL" => Ok(message
            .control
            .and_then(|control| control.config)
            .map_or(Event::Ignored, |update| Event::ConfigUpdate(update.config))),
        "DESTINATION_CATALOG" => Ok(Event::Ignored),
        _ => Ok(Event::Unknown(kind)),
    }
}

fn record(body: RecordBody<'_>) -> Result<Event<'_>, LineError> {
    if !body.data.get().starts_with('{') {
        let stream = Some(body.stream.into_owned());
        return Err(LineError::Damaged { kind: "RECORD", stream, cause: "its data is no object".to_owned() });
    }
    let data = body.data.get();
    let traits = Traits::find(data, DELETED_AT);
    let partition = body.partition.and_then(text);
    let is_file = body.file_reference.or(body.file).is_some();
    let record = Record {
        stream: body.stream,
        namespace: body.namespace,
        partition,
        data: data.as_bytes(),
        traits,
        changes: body.meta.and_then(changes),
    };
    Ok(if is_file { Event::File(record) } else { Event::Record(record) })
}

/// The changes that the meta of a record names, where there is one at least. Meta of another form, which
/// nobody needs, must not reject a record.
fn changes(meta: &RawValue) -> Option<&RawValue> {
    let changes = serde_json::from_str::<About<'_>>(meta.get()).ok()?.changes?;
    let list: Vec<&RawValue> = serde_json::from_str(changes.get()).ok()?;
    (!list.is_empty()).then_some(changes)
}

/// A value that is to be text; another one, which nobody needs, must not reject a message.
pub(super) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str(value.get()).ok().map(|Text(text)| text)
}

fn log(body: LogBody<'_>) -> Event<'_> {
    let level = body.level.and_then(|level| level.parse().ok()).unwrap_or(Level::Info);
    let mut fields = Map::new();
    if let Some(stack_trace) = body.stack_trace {
        fields.insert("stackTrace".to_owned(), stack_trace.into());
    }
    Event::Log(LogLine {
        level,
        message: body.message.map(|Text(message)| message).unwrap_or_default(),
        fields,
    })
}

fn status(body: StatusBody<'_>) -> Event<'_> {
    let answer = match &*body.status {
        "SUCCEEDED" => Ok(()),
        _ => Err(body.message.unwrap_or_default()),
    };
    Event::Answer(Answer::ConnectionStatus(answer))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn damaged(line: &str) -> (String, Option<String>) {
        match parse(line.as_bytes()) {
            Err(LineError::Damaged { kind, stream, .. }) => (kind.to_owned(), stream),
            other => panic!("{other:?} of {line}"),
        }
    }

    #[test]
    fn an_ordinary_record_borrows_from_its_line() {
        let line = br#"{"type":"RECORD","record":{"stream":"users","data":{"id":1},"emitted_at":"any","namespace":null}}"#;
        let Ok(Event::Record(record)) = parse(line) else { panic!("a record") };
        assert!(matches!(record.stream, Cow::Borrowed("users")));
        assert_eq!(record.namespace, None);
        assert_eq!(record.data, br#"{"id":1}"#);
    }

    #[test]
    fn what_is_no_message_goes_to_the_log() {
        for line in ["plain text", "", "{}", "[1]", "{\"a\":1}", "{\"type\":null}", "{half", "\"RECORD\""] {
            assert!(matches!(parse(line.as_bytes()), Err(LineError::NotAMessage)), "{line}");
        }
        assert!(matches!(parse(br#"{"type":"DEBUG","message":"x"}"#), Ok(Event::Unknown(_))));
        assert!(matches!(
            parse(b"\xef\xbb\xbf{\"type\":\"LOG\",\"log\":{\"level\":\"INFO\",\"message\":\"x\"}}\r"),
            Ok(Event::Log(_))
        ));
    }

    #[test]
    fn damaged_data_is_never_taken_for_a_log_line() {
        let whole = r#"{"type": "RECORD", "record": {"stream": "users", "data": {"id": 1}}}"#;
        for cut in 20..whole.len() {
            let (kind, _) = damaged(&whole[..cut]);
            assert_eq!(kind, "RECORD");
        }
        assert_eq!(damaged(&whole[..60]).1.as_deref(), Some("users"));
        assert_eq!(
            damaged(r#"{"type":"RECORD","record":{"stream":"s","data":null}}"#).1.as_deref(),
            Some("s")
        );
        assert_eq!(damaged(r#"{"type":"RECORD"}"#).0, "RECORD");
        assert_eq!(damaged(r#"noise{"type":"STATE","state":{}}"#).0, "STATE");
        assert_eq!(damaged(r#"{"type":"RECORD","record":{"stream":"s","data":{"a":NaN}}}"#).0, "RECORD");
    }

    /// The quick pass and serde say the same of a line, whatever was read before it.
    #[test]
    fn records_are_the_same_on_both_ways() {
        let record = |inner: &str| format!(r#"{{"type":"RECORD","record":{{{inner}}}}}"#);
        let mut lines = parser();
        for inner in [
            r#""stream":"users","data":{"id":1},"emitted_at":1"#,
            r#""stream":"users","data":{"id":2},"emitted_at":2"#,
            r#""namespace":"a","stream":"users","data":{"id":1,"_meta":{"x":1}}"#,
            r#""namespace":null,"data":{"_ab_cdc_deleted_at":"2024"},"stream":"users""#,
            r#""namespace":"","data":{"_ab_cdc_deleted_at":null},"stream":"users""#,
            r#""stream":"é\u00e9","data":{"s":"\ud800","\u005fmeta":1}"#,
            r#""stream":"users", "data": { "nested": {"_meta": 1, "_ab_cdc_deleted_at": 2} }"#,
            r#""stream":"users","data":{"a":"\ud83d\ude00"}"#,
            r#""stream":"users","data":{"partition_id":1},"partition_id":"ab12""#,
            r#""partition_id":null,"stream":"users","data":{}"#,
            r#""partition_id":"\u0061","stream":"users","data":{}"#,
            r#""partition_id":7,"stream":"users","data":{}"#,
            r#""stream":"users","data":{"id":1},"meta":null,"file":null,"file_reference":null"#,
            r#""stream":"users","data":{"id":1},"meta":{"changes":[]}"#,
            r#""stream":"users","data":{"id":1},"meta":{"changes":null}"#,
            r#""stream":"users","data":{"id":1},"meta":{"changes":[{"field":"a","change":"NULLED"}]}"#,
            r#""stream":"users","meta":{"\u0063hanges":[{"field":"a"}]},"data":{"meta":{"changes":[{}]}}"#,
            r#""stream":"users","data":{"id":1},"meta":[{"changes":7}]"#,
            r#""stream":"users","data":{},"file":{"bytes":3}"#,
            r#""stream":"users","data":{"id":1},"file_reference":{"staging_file_url":"/tmp/a"},"file":null"#,
            r#""stream":"users","data":[]"#,
            r#""data":{}"#,
        ] {
            let line = record(inner);
            let quick = format!("{:?}", lines.parse(line.as_bytes()));
            // Escapes of a whole pair are looked at again when the document is made, and only the quick pass
            // remembers what it read before.
            let alike = |event: String| {
                event.replace("surrogates: true", "surrogates: false").replace("novel: true", "novel: false")
            };
            assert_eq!(alike(quick), alike(format!("{:?}", parse(line.as_bytes()))), "{line}");
        }
    }

    proptest! {
        #[test]
        fn junk_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn a_changed_byte_never_panics(at: prop::sample::Index, byte: u8) {
            let mut line = br#"{"type":"TRACE","trace":{"type":"ERROR","emitted_at":1.5,"error":{"message":"m"}}}"#.to_vec();
            let at = at.index(line.len());
            line[at] = byte;
            let _ = parse(&line);
        }
    }
}
