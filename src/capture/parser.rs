//! Hot path: reads the lines of a read. An ordinary record is read in one quick pass that knows what
//! the last one looked like (`json::envelope`); all else, and what that pass leaves alone, in the
//! protocol's own way. Also tells a line that lost data from one that never had any.

use super::event::{Event, LineError, Record};
use crate::json::envelope::{Envelopes, Parts, Rule};

/// The longest name of a stream that is taken from a damaged line, in bytes.
const NAME: usize = 200;

type OrdinaryRecord = for<'line> fn(&Parts<'line>) -> Option<Record<'line>>;
type AnyLine = for<'line> fn(&'line [u8]) -> Result<Event<'line>, LineError>;

/// Reads the lines of one read. What it remembers makes it faster, and never decides what a line says.
#[derive(Debug)]
pub struct LineParser {
    envelopes: Envelopes,
    record: OrdinaryRecord,
    any: AnyLine,
}

impl LineParser {
    /// `record` makes a record of the parts that `rules` name, `any` reads any line.
    pub(crate) fn new(rules: &'static [Rule], record: OrdinaryRecord, any: AnyLine) -> Self {
        Self { envelopes: Envelopes::new(rules), record, any }
    }

    /// What a line means.
    pub fn parse<'line>(&mut self, line: &'line [u8]) -> Result<Event<'line>, LineError> {
        match self.envelopes.read(line).as_ref().and_then(self.record) {
            Some(record) => Ok(Event::Record(record)),
            None => (self.any)(line),
        }
    }
}

/// Why a line cannot be read: damaged, where it seems to be of one of the types that carry data, which
/// must not be lost in silence; else no message at all.
pub(crate) fn unreadable(line: &[u8], carriers: &[&'static str], error: &serde_json::Error) -> LineError {
    let kind = carriers.iter().find(|kind| has_type(line, kind));
    let Some(kind) = kind else { return LineError::NotAMessage };
    // serde's own message can quote a value.
    let category = format!("{:?}", error.classify()).to_lowercase();
    LineError::Damaged {
        kind,
        stream: stream_of(line),
        cause: format!("{category} error at byte {}", error.column()),
    }
}

/// Whether the text has `"type"`, a colon, and this type, in any case.
fn has_type(line: &[u8], kind: &str) -> bool {
    memchr::memmem::find_iter(line, b"\"type\"").any(|at| {
        let rest = line[at + 6..].trim_ascii_start();
        let rest = rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start);
        let rest = rest.and_then(|rest| rest.strip_prefix(b"\""));
        rest.and_then(|rest| rest.get(..kind.len()))
            .is_some_and(|word| word.eq_ignore_ascii_case(kind.as_bytes()))
    })
}

/// The stream's name, where it stands whole in a damaged line.
fn stream_of(line: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(line);
    let rest = text.split_once("\"stream\"")?.1.trim_start().strip_prefix(':')?.trim_start();
    let name = rest.strip_prefix('"')?.split('"').next()?;
    (name.len() < NAME).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_of_a_damaged_line_is_named_where_it_stands_whole() {
        assert_eq!(
            stream_of(br#"{"type": "RECORD", "stream": "users", "record": {"id"#).as_deref(),
            Some("users")
        );
        assert_eq!(stream_of(br#"{"type": "RECORD", "stre"#), None);
        assert_eq!(stream_of(format!(r#""stream":"{}""#, "x".repeat(NAME)).as_bytes()), None);
    }
}
