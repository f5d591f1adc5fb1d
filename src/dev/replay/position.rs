//! Where a replayed read goes on, and which streams it prints.
//!
//! A state covers what was printed before it. So a read that is given a state leaves out, of each
//! stream, the records up to the last STATE line of the transcript that holds the same state of that
//! stream; each record is then printed once over any number of resumed reads.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::Value;

use crate::failure::Failure;

/// Decides line by line.
#[derive(Debug, Default)]
pub(super) struct Position {
    line: usize,
    /// Streams that are printed; `None` for all.
    chosen: Option<HashSet<String>>,
    /// Up to which line a stream was covered.
    covered: HashMap<String, usize>,
    /// Up to which line everything was covered.
    all_covered: usize,
}

impl Position {
    /// From the beginning, everything.
    pub(super) fn start() -> Self {
        Self::default()
    }

    pub(super) fn find(
        file: &Path,
        is_source: bool,
        catalog: Option<&Value>,
        state: Option<&Value>,
    ) -> Result<Self, Failure> {
        let chosen = catalog.map(|catalog| if is_source { configured(catalog) } else { selected(catalog) });
        let mut position = Self { chosen, ..Self::default() };
        let Some(state) = state else { return Ok(position) };
        let mut input = BufReader::new(super::open(file)?);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            if input.read_until(b'\n', &mut line).map_err(|error| super::unreadable(file, &error))? == 0 {
                break;
            }
            if let Ok(message) = serde_json::from_slice::<Value>(&line)
                && message["type"] == "STATE"
            {
                if is_source {
                    position.airbyte(number, &message["state"], state);
                } else {
                    position.singer(number, &message["value"], state);
                }
            }
        }
        Ok(position)
    }

    /// STREAM states cover their stream, others everything.
    fn airbyte(&mut self, number: usize, printed: &Value, given: &Value) {
        let entries = given.as_array().map(Vec::as_slice).unwrap_or_default();
        if printed["stream"].is_object() {
            let descriptor = |state: &Value| {
                let of = &state["stream"]["stream_descriptor"];
                (of["name"].clone(), of["namespace"].clone())
            };
            let same = |entry: &&Value| {
                descriptor(entry) == descriptor(printed)
                    && entry["stream"]["stream_state"] == printed["stream"]["stream_state"]
            };
            if entries.iter().any(|entry| same(&entry)) {
                self.covered.insert(key(&printed["stream"]["stream_descriptor"]), number);
            }
        } else if printed["global"].is_object() {
            let same = |entry: &Value| {
                let of = |state: &Value| {
                    let mut streams: Vec<String> = state["stream_states"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .map(Value::to_string)
                        .collect();
                    streams.sort();
                    (state["shared_state"].clone(), streams)
                };
                of(&entry["global"]) == of(&printed["global"])
            };
            if entries.iter().any(same) {
                self.all_covered = number;
            }
        } else if &printed["data"] == given || entries.iter().any(|entry| entry["data"] == printed["data"]) {
            self.all_covered = number;
        }
    }

    /// A STATE of a tap covers everything; where it does not match as a whole, a bookmark that does
    /// covers its stream.
    fn singer(&mut self, number: usize, printed: &Value, given: &Value) {
        let bare = |state: &Value| {
            let mut state = state.clone();
            if let Value::Object(members) = &mut state {
                members.shift_remove("currently_syncing");
            }
            state
        };
        if bare(printed) == bare(given) {
            self.all_covered = number;
        }
        for (stream, bookmark) in printed["bookmarks"].as_object().into_iter().flatten() {
            if given["bookmarks"].get(stream) == Some(bookmark) {
                self.covered.insert(stream.clone(), number);
            }
        }
    }

    /// Whether the next line is printed.
    pub(super) fn prints(&mut self, line: &[u8]) -> bool {
        self.line += 1;
        if self.chosen.is_none() && self.covered.is_empty() && self.all_covered == 0 {
            return true;
        }
        let Ok(message) = serde_json::from_slice::<Value>(line) else { return true };
        let (stream, is_data) = match message["type"].as_str() {
            Some("RECORD") if message["record"].is_object() && message["stream"].is_null() => {
                let record = &message["record"];
                (
                    Some(key(
                        &serde_json::json!({"name": record["stream"], "namespace": record["namespace"]}),
                    )),
                    true,
                )
            }
            Some("RECORD" | "SCHEMA" | "BATCH") => {
                (message["stream"].as_str().map(str::to_owned), message["type"] != "SCHEMA")
            }
            Some("STATE") if message["state"]["stream"].is_object() => {
                (Some(key(&message["state"]["stream"]["stream_descriptor"])), true)
            }
            Some("STATE") => return self.line > self.all_covered,
            Some("TRACE") if message["trace"]["stream_status"].is_object() => {
                (Some(key(&message["trace"]["stream_status"]["stream_descriptor"])), false)
            }
            _ => return true,
        };
        let Some(stream) = stream else { return true };
        let chosen = self
            .chosen
            .as_ref()
            .is_none_or(|chosen| chosen.contains(&stream) || chosen.contains(plain(&stream)));
        let covered = self.covered.get(&stream).copied().unwrap_or(0).max(self.all_covered);
        chosen && !(is_data && self.line <= covered)
    }
}

/// A stream of a source as one text.
fn key(descriptor: &Value) -> String {
    let name = descriptor["name"].as_str().unwrap_or_default();
    match descriptor["namespace"].as_str().filter(|namespace| !namespace.is_empty()) {
        Some(namespace) => format!("{namespace}\u{0}{name}"),
        None => name.to_owned(),
    }
}

/// Its name alone: sources leave out namespaces that their catalog has, and the other way round.
fn plain(key: &str) -> &str {
    key.split_once('\u{0}').map_or(key, |(_, name)| name)
}

fn configured(catalog: &Value) -> HashSet<String> {
    let streams = catalog["streams"].as_array().into_iter().flatten();
    streams.flat_map(|entry| [key(&entry["stream"]), plain(&key(&entry["stream"])).to_owned()]).collect()
}

fn selected(catalog: &Value) -> HashSet<String> {
    // What the catalog says of the stream itself, not of a property.
    let metadata = |entry: &Value| {
        let mut items = entry["metadata"].as_array().into_iter().flatten();
        let root = items.find(|item| item["breadcrumb"].as_array().is_some_and(Vec::is_empty));
        root.map(|root| root["metadata"].clone()).unwrap_or_default()
    };
    let is_selected =
        |entry: &&Value| metadata(entry)["selected"] == true || entry["schema"]["selected"] == true;
    let names = |entry: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let stream = text(&entry["stream"]);
        let within_schema = format!("{}-{stream}", text(&metadata(entry)["schema-name"]));
        [text(&entry["tap_stream_id"]), stream, within_schema]
    };
    catalog["streams"].as_array().into_iter().flatten().filter(is_selected).flat_map(names).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn printed(lines: &[Value], is_source: bool, catalog: &Value, state: Option<&Value>) -> Vec<Value> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        for line in lines {
            writeln!(file, "{line}").expect("written");
        }
        let mut position = Position::find(file.path(), is_source, Some(catalog), state).expect("a position");
        lines.iter().filter(|line| position.prints(line.to_string().as_bytes())).cloned().collect()
    }

    fn record(stream: &str, id: usize) -> Value {
        json!({"type": "RECORD", "record": {"stream": stream, "data": {"id": id}}})
    }

    fn state(stream: &str, cursor: usize) -> Value {
        json!({"type": "STATE", "state": {"type": "STREAM", "stream": {"stream_descriptor": {"name": stream}, "stream_state": {"c": cursor}}}})
    }

    fn catalog() -> Value {
        json!({"streams": [{"stream": {"name": "a"}}, {"stream": {"name": "b"}}]})
    }

    #[test]
    fn only_streams_of_the_catalog_are_printed() {
        let lines = [record("a", 1), record("c", 2), json!({"type": "LOG", "log": {}})];
        assert_eq!(printed(&lines, true, &catalog(), None).len(), 2);
        let tap = json!({"streams": [{"tap_stream_id": "a", "metadata": [{"breadcrumb": [], "metadata": {"selected": true}}]},
            {"tap_stream_id": "b", "metadata": [{"breadcrumb": [], "metadata": {"selected": false}}]}]});
        let lines = [
            json!({"type": "RECORD", "stream": "a", "record": {}}),
            json!({"type": "RECORD", "stream": "b", "record": {}}),
        ];
        assert_eq!(printed(&lines, false, &tap, None).len(), 1);
    }

    #[test]
    fn a_taps_state_covers_everything_before_it() {
        let tap = json!({"streams": [{"tap_stream_id": "a", "metadata": [{"breadcrumb": [], "metadata": {"selected": true}}]}]});
        let row = |id: usize| json!({"type": "RECORD", "stream": "a", "record": {"id": id}});
        let lines = [
            row(1),
            json!({"type": "STATE", "value": {"bookmarks": {"a": {"id": 1}}, "currently_syncing": "a"}}),
            row(2),
        ];
        let given = json!({"bookmarks": {"a": {"id": 1}}, "currently_syncing": null});
        assert_eq!(printed(&lines, false, &tap, Some(&given)), [row(2)]);
    }

    proptest! {
        #[test]
        fn a_resumed_read_prints_the_rest_once(streams in prop::collection::vec(0_usize..2, 1..20), stop: prop::sample::Index) {
            let names = ["a", "b"];
            let lines: Vec<Value> = streams.iter().enumerate().flat_map(|(id, &s)| [record(names[s], id), state(names[s], id)]).collect();
            let stop = stop.index(streams.len() + 1) * 2;
            let mut last = HashMap::new();
            for line in lines[..stop].iter().filter(|line| line["type"] == "STATE") {
                last.insert(line["state"]["stream"]["stream_descriptor"]["name"].to_string(), line["state"].clone());
            }
            let given = Value::Array(last.into_values().collect());
            let resumed = printed(&lines, true, &catalog(), Some(&given));
            prop_assert_eq!(resumed, lines[stop..].to_vec());
        }
    }
}
