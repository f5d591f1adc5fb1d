//! Hot path: reads the lines of a read. An ordinary record is read in one quick pass that knows what
//! the last one looked like (`json::envelope`); all else, and what that pass leaves alone, in the
//! protocol's own way.

use memchr::memmem;

use super::damaged::{Oversized, beginning};
use crate::capture::event::{Event, LineError, Record, Traits};
use crate::json::envelope::{Envelopes, Part, Parts, Rule, Spot, Watch};
use crate::json::members::Members;

type OrdinaryRecord = for<'line> fn(&Parts<'line>) -> Option<Record<'line>>;
type AnyLine = for<'line> fn(&'line [u8]) -> Result<Event<'line>, LineError>;

/// Reads the lines of one read. What it remembers makes it faster, and never decides what a line says.
#[derive(Debug)]
pub struct LineParser {
    envelopes: Envelopes,
    data: Part,
    record: OrdinaryRecord,
    any: AnyLine,
}

impl LineParser {
    /// `record` makes a record of the parts that `rules` name, of which `data` is its own text; `any`
    /// reads any line.
    pub(crate) fn new(rules: &'static [Rule], data: Part, record: OrdinaryRecord, any: AnyLine) -> Self {
        Self { envelopes: Envelopes::new(rules), data, record, any }
    }

    /// Has values of records noted while they are read. Nothing was read yet.
    pub(crate) fn watch(&mut self, watch: Box<dyn Watch>) {
        self.envelopes.watch(self.data, watch);
    }

    /// What is watched of the last record, if it says that it was watched.
    pub(crate) fn spots(&self, record: Traits) -> Option<&[Spot]> {
        record.watched.then(|| self.envelopes.spots())
    }

    /// What a line means.
    pub fn parse<'line>(&mut self, line: &'line [u8]) -> Result<Event<'line>, LineError> {
        // What a line ends in on Windows is white space in JSON.
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match self.envelopes.read(line).as_ref().and_then(self.record) {
            Some(record) => Ok(Event::Record(record)),
            None => (self.any)(line),
        }
    }

    /// What a line is of which this is the beginning.
    pub(crate) fn oversized(&mut self, line: &[u8]) -> Oversized {
        match self.parse(beginning(line)) {
            Err(LineError::Damaged { kind, stream, .. }) => Oversized { kind: Some(kind), stream },
            _ => Oversized::default(),
        }
    }
}

impl Traits {
    /// Of a record whose parts were noticed as it was read: at these places, its own `_meta` and the
    /// deletion marker.
    #[inline]
    pub(crate) fn noticed(parts: &Parts<'_>, meta: u8, deletion_marker: u8) -> Self {
        let value = |place: u8| parts.values[usize::from(place)];
        let deleted = value(deletion_marker).is_some_and(|mark| mark != b"null");
        let Parts { surrogates, watched, novel, .. } = *parts;
        Self { meta: value(meta).is_some(), deleted, surrogates, watched, novel }
    }

    /// Looks for the traits of a record, for those that were not noticed while it was read. A member of
    /// this name that is not null says that the row was deleted.
    pub fn find(record: &str, deletion_marker: &str) -> Self {
        let has = |text: &str| memmem::find(record.as_bytes(), text.as_bytes()).is_some();
        let mut traits = Self { surrogates: has("\\u"), novel: true, ..Self::default() };
        // An escaped name holds a backslash in place of any of its letters.
        if has("\\") || has("_meta\"") || has(deletion_marker) {
            for member in Members::new(record) {
                traits.meta |= member.name == "_meta";
                traits.deleted |= member.name == deletion_marker && member.value != "null";
            }
        }
        traits
    }
}
