//! What a line of upstream's output means, in words that both protocols share.
//!
//! Events borrow from the line: a record is never copied into a tree. The protocol modules make
//! them, the pump consumes them.

use std::borrow::Cow;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::log::Level;

/// One message of upstream.
#[derive(Debug)]
pub enum Event<'line> {
    /// A row of data.
    Record(Record<'line>),
    /// A record that points to a file on upstream's disk.
    File(Record<'line>),
    /// Upstream's own state message, whole; [`super::protocol::UpstreamProtocol::split_state`] takes it apart.
    State(&'line RawValue),
    /// Files that hold records, one JSON object a line (Singer BATCH).
    Batch(Batch),
    /// A line for the log.
    Log(LogLine<'line>),
    /// Upstream says that it, or one of its streams, failed.
    Error(Box<ErrorReport>),
    /// How far a stream is (Airbyte `STREAM_STATUS`).
    Status(StreamStatus<'line>),
    /// How much upstream expects to print (Airbyte `ESTIMATE`).
    Estimate(Estimate<'line>),
    /// The rows of this stream that came before are all that it has (Singer `ACTIVATE_VERSION`), or it
    /// is about to begin: only a mark behind records says that a stream is whole.
    EndMark(Cow<'line, str>),
    /// What the records of this stream look like from here on.
    Schema(Schema<'line>),
    /// Upstream changed its config (Airbyte CONTROL). The value holds secrets: never log it.
    ConfigUpdate(&'line RawValue),
    /// The answer to a question that has one: a spec, a catalog, a connection status.
    Answer(Answer<'line>),
    /// A message that is known and needs nothing done, such as Airbyte's ANALYTICS.
    Ignored,
    /// A message of a type that nobody knows; it is named once.
    Unknown(Cow<'line, str>),
}

/// A record: which stream it is of, and its bytes.
#[derive(Debug)]
pub struct Record<'line> {
    /// The stream's name as upstream prints it.
    pub stream: Cow<'line, str>,
    /// The stream's namespace; `None` where absent, null or empty: the three are one.
    pub namespace: Option<Cow<'line, str>>,
    /// Which part of its stream it belongs to; `None` where upstream does not say.
    pub partition: Option<Cow<'line, str>>,
    /// The record's text as upstream wrote it: a JSON object, checked.
    pub data: &'line [u8],
    /// What was noticed of it while it was read.
    pub traits: Traits,
    /// What upstream says that it damaged in this record before it sent it: a JSON array, not empty.
    pub changes: Option<&'line RawValue>,
}

/// What a record has that changes its document.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Traits {
    /// A `_meta` of its own.
    pub meta: bool,
    /// A mark that says that its row was deleted.
    pub deleted: bool,
    /// Escapes, some of which may be lone halves of surrogate pairs.
    pub surrogates: bool,
    /// The parser that read it holds the values that may have to be changed.
    pub watched: bool,
    /// It may lack members that all records before it had.
    pub novel: bool,
}

/// What records look like.
#[derive(Debug)]
pub struct Schema<'line> {
    /// The stream's name as upstream prints it.
    pub stream: Cow<'line, str>,
    /// A JSON schema of a record.
    pub schema: &'line RawValue,
    /// The columns of the key; none where upstream names none.
    pub key: Vec<String>,
}

/// Files of records.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch {
    /// The stream's name as upstream prints it.
    pub stream: String,
    /// Absolute paths, in the order in which they are to be read.
    pub files: Vec<std::path::PathBuf>,
}

/// Text for the log.
#[derive(Debug)]
pub struct LogLine<'line> {
    /// How important upstream thinks it is.
    pub level: Level,
    /// The text.
    pub message: Cow<'line, str>,
    /// Further facts, such as a stack trace.
    pub fields: Map<String, Value>,
}

/// A failure as upstream reports it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ErrorReport {
    /// The sentence meant for users.
    pub message: String,
    /// Text meant for developers.
    pub internal_message: Option<String>,
    /// The stack trace.
    pub stack_trace: Option<String>,
    /// Airbyte's `config_error`, `transient_error` or `system_error`.
    pub failure_type: Option<String>,
    /// The stream that failed; `None` when the report is about the whole run.
    pub stream: Option<String>,
}

impl ErrorReport {
    /// What the user is told. Where upstream's sentence says nothing, as the CDK's for unforeseen
    /// errors does (fixture faker/check-no-count), what developers are told follows it.
    pub fn user_message(&self) -> String {
        match &self.internal_message {
            Some(inner)
                if self.message.starts_with("Something went wrong in the connector") && inner.len() < 500 =>
            {
                format!("{} ({inner})", self.message.trim_end_matches('.'))
            }
            _ => self.message.clone(),
        }
    }

    /// What developers want beside the message.
    pub fn fields(&self) -> Map<String, Value> {
        let facts = [
            ("stream", &self.stream),
            ("failureType", &self.failure_type),
            ("internalMessage", &self.internal_message),
            ("stackTrace", &self.stack_trace),
        ];
        facts
            .into_iter()
            .filter_map(|(name, fact)| fact.as_ref().map(|fact| (name.to_owned(), fact.as_str().into())))
            .collect()
    }
}

/// A stream's status.
#[derive(Debug)]
pub struct StreamStatus<'line> {
    /// The stream's name.
    pub stream: Cow<'line, str>,
    /// The stream's namespace.
    pub namespace: Option<Cow<'line, str>>,
    /// Where it stands.
    pub status: Status,
}

/// Where a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It began.
    Started,
    /// It is being read.
    Running,
    /// It waits for its quota, which is there again at this time; `None` where upstream does not say.
    RateLimited {
        /// The announced reset.
        until: Option<jiff::Timestamp>,
    },
    /// It was read to its end. Its last state may still follow.
    Complete,
    /// It failed.
    Incomplete,
}

/// How much upstream expects to print in this read.
#[derive(Debug)]
pub struct Estimate<'line> {
    /// The stream; `None` for all of them together.
    pub stream: Option<Cow<'line, str>>,
    /// The stream's namespace.
    pub namespace: Option<Cow<'line, str>>,
    /// How much.
    pub estimated: Estimated,
}

/// An estimate. Later ones replace earlier ones (airbyte-protocol.md, 2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimated {
    /// In records; `None` where upstream does not say.
    pub rows: Option<u64>,
    /// In bytes; `None` where upstream does not say.
    pub bytes: Option<u64>,
}

/// The answer to one of the questions of a protocol.
#[derive(Debug)]
pub enum Answer<'line> {
    /// The connector's specification.
    Spec(&'line RawValue),
    /// The streams it has.
    Catalog(&'line RawValue),
    /// Whether it can connect; `Err` holds its reason.
    ConnectionStatus(Result<(), String>),
}

/// A line that is not a message.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Plain text, or JSON that is no message: it goes to the log and reading goes on.
    #[error("not a message")]
    NotAMessage,
    /// Clearly a record or a state, but damaged: data would be lost, so reading ends here.
    #[error("a damaged {kind} message{}: {cause}", stream.as_ref().map(|s| format!(" of stream {s:?}")).unwrap_or_default())]
    Damaged {
        /// `RECORD`, `STATE`, `BATCH` …
        kind: &'static str,
        /// The stream's name where it could still be read.
        stream: Option<String>,
        /// What is wrong, without any content of the line.
        cause: String,
    },
}
