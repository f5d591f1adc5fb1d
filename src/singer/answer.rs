//! What a tap prints when it is asked for its streams: a catalog over many lines, among other text, or,
//! where it does not know the flag, a whole sync (tap-fixerio; singer-protocol.md, 1.1).

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::about;
use crate::capture::processes::supervisor::Progress;
use crate::log::{self, Level};

/// How many lines of a sync are looked at for schemas.
const SYNC_LINES: usize = 10_000;
/// How often a catalog is read to see whether it is whole, before the tap has ended its output.
const TRIES: usize = 16;

/// The output so far.
#[derive(Default)]
pub(super) struct Answer {
    text: Vec<u8>,
    schemas: Vec<Value>,
    /// The streams of those.
    names: HashSet<Value>,
    is_sync: bool,
    /// Whether a whole catalog is in `text`.
    is_whole: bool,
    lines: usize,
    /// How often it was tried to read the catalog before the output ended.
    tries: usize,
}

impl Answer {
    /// Takes a line, and says how far the answer is.
    pub(super) fn line(&mut self, line: &[u8]) -> Progress {
        if self.text.is_empty() && !self.is_sync {
            if line.trim_ascii().is_empty() {
                return Progress::Unanswered;
            }
            self.is_sync = serde_json::from_slice::<Message>(line).is_ok();
            if !self.is_sync && !line.trim_ascii_start().starts_with(b"{") {
                stray(line);
                return Progress::Unanswered;
            }
        }
        if self.is_whole {
            stray(line);
            return Progress::Answered;
        }
        if !self.is_sync {
            self.text.extend_from_slice(line);
            self.text.push(b'\n');
            self.is_whole = self.may_be_whole(line) && find(&self.text).is_some();
            return if self.is_whole { Progress::Answered } else { Progress::Unanswered };
        }
        self.lines += 1;
        if let Ok(message) = serde_json::from_slice::<Value>(line)
            && message["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("SCHEMA"))
            && self.names.insert(message["stream"].clone())
        {
            self.schemas.push(message);
        }
        if self.lines >= SYNC_LINES { Progress::Enough } else { Progress::Unanswered }
    }

    /// Whether a whole catalog has come.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Whether the catalog may end with this line. A reading takes time in proportion to its size, so
    /// there are few.
    fn may_be_whole(&mut self, line: &[u8]) -> bool {
        let may = about::may_end(line) && self.tries < TRIES;
        self.tries += usize::from(may);
        may
    }

    /// What `take` makes of the catalog's entries, of which one at a time is a tree; `None` where the tap
    /// printed neither a catalog nor a sync.
    pub(super) fn entries<T>(self, take: impl FnOnce(&mut dyn Iterator<Item = Value>) -> T) -> Option<T> {
        if self.is_sync {
            tracing::warn!(
                "the tap has no discovery and ran a sync instead; its streams are those that it described there"
            );
            let entry = |schema: Value| {
                json!({
                    "tap_stream_id": schema["stream"], "stream": schema["stream"], "schema": schema["schema"],
                    "key_properties": schema["key_properties"],
                })
            };
            return Some(take(&mut self.schemas.into_iter().map(entry)));
        }
        let (catalog, rest) = find(&self.text)?;
        for line in rest.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            stray(line);
        }
        // Each was read once already.
        Some(take(&mut catalog.streams.iter().filter_map(|entry| serde_json::from_str(entry.get()).ok())))
    }
}

/// The first value of a text that is a catalog, wherever a line begins with it, and what stands behind it.
/// Other text may begin with a brace too.
fn find(text: &[u8]) -> Option<(Catalog<'_>, &[u8])> {
    let mut at = 0;
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        if line.trim_ascii_start().starts_with(b"{") {
            let mut values = serde_json::Deserializer::from_slice(&text[at..]).into_iter::<Catalog<'_>>();
            if let Some(Ok(catalog)) = values.next() {
                return Some((catalog, &text[at + values.byte_offset()..]));
            }
        }
        at += line.len();
    }
    None
}

fn stray(line: &[u8]) {
    log::upstream(Level::Warn, String::from_utf8_lossy(line).trim_end(), Map::new());
}

/// What tells a message from the first line of a catalog.
#[derive(Deserialize)]
struct Message {
    #[serde(rename = "type")]
    _kind: String,
}

#[derive(Deserialize)]
struct Catalog<'a> {
    #[serde(borrow)]
    streams: Vec<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(text: &str) -> Option<Vec<Value>> {
        let mut answer = Answer::default();
        for line in text.lines() {
            if answer.line(line.as_bytes()) == Progress::Enough {
                break;
            }
        }
        answer.entries(|entries| entries.collect())
    }

    #[test]
    fn a_catalog_is_found_among_other_text() {
        let catalog = "{\n \"streams\": [\n {\"tap_stream_id\": \"a\"}\n ]\n}\n";
        for text in [
            format!("Welcome!\n\n{catalog}"),
            format!("{catalog}Finished discover\n{{done}}\n"),
            format!("{{csv, json}} loaded\n{{\"loaded\": 2}}\n{catalog}"),
        ] {
            assert_eq!(answered(&text).map(|entries| entries.len()), Some(1), "{text}");
        }
        for text in ["", "{\"other\": 1}", "{\"streams\": [{}"] {
            assert!(answered(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_sync_in_place_of_a_catalog_gives_its_schemas() {
        for kind in ["SCHEMA", "Schema"] {
            let text = format!(
                "{{\"type\":\"{kind}\",\"stream\":\"rates\",\"schema\":{{}},\"key_properties\":[\"date\"]}}\n{{\"type\":\"RECORD\",\"stream\":\"rates\",\"record\":{{}}}}\n"
            );
            let entries = answered(&text).expect("entries");
            assert_eq!(entries.len(), 1);
            assert_eq!(
                (&entries[0]["stream"], &entries[0]["key_properties"]),
                (&json!("rates"), &json!(["date"]))
            );
        }
    }
}
