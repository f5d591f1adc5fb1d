//! Discovery: a tap's catalog becomes streams.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::about;
use super::entry::{Entry, FULL_TABLE, INCREMENTAL, key_columns};
use crate::capture::processes::supervisor::{Operation, Progress, Upstream};
use crate::capture::protocol::{Argument, BoundStream, DiscoveredStream, Invocation, PrivateFile, StreamId};
use crate::failure::{Code, Failure};
use crate::json::packed::Packed;
use crate::log::{self, Level};

/// How many lines of a sync are looked at for schemas, where a tap answers a discovery with one.
const SYNC_LINES: usize = 10_000;
/// How often a catalog is read to see whether it is whole, before the tap has ended its output.
const TRIES: usize = 16;

/// Runs discoveries, and keeps that of a check: a validation asks twice for the same.
#[derive(Debug, Default)]
pub(super) struct Discovery {
    checked: Mutex<Option<(Value, Vec<DiscoveredStream>)>>,
}

impl Discovery {
    /// Whether the tap can discover; what it finds is for the next [`run`](Self::run).
    pub(super) async fn check(&self, upstream: &Upstream, config: &Value) -> Result<(), Failure> {
        let streams = discover(upstream, config).await?;
        *self.checked.lock().unwrap_or_else(PoisonError::into_inner) = Some((config.clone(), streams));
        Ok(())
    }

    pub(super) async fn run(
        &self,
        upstream: &Upstream,
        config: &Value,
    ) -> Result<Vec<DiscoveredStream>, Failure> {
        discover(upstream, config).await
    }

    /// What the last check with this config found; handed out once.
    pub(super) fn checked(&self, config: &Value) -> Option<Vec<DiscoveredStream>> {
        let checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner).take();
        checked.filter(|(of, _)| of == config).map(|(_, streams)| streams)
    }
}

async fn discover(upstream: &Upstream, config: &Value) -> Result<Vec<DiscoveredStream>, Failure> {
    let invocation = Invocation {
        arguments: vec!["--config".into(), Argument::File(PrivateFile::CONFIG), "--discover".into()],
        files: vec![PrivateFile::config(config)],
        ..Invocation::default()
    };
    let mut answer = Answer::default();
    let ended = upstream.run(Operation::Discover, &invocation, |line| answer.line(line)).await?;
    if !ended.is_answer_good(answer.is_whole) {
        let failure = ended.failure("discover");
        return Err(if answer.is_whole { failure.although_answered() } else { failure });
    }
    ended.warn_of_errors(None);
    answer.streams().ok_or_else(|| {
        let program = &ended.program;
        Failure::new(
            Code::NOT_SINGER,
            format!("{program} printed no catalog when asked to --discover; is it a Singer tap?"),
        )
    })
}

/// What a tap prints when asked to discover: a catalog over many lines, or, where it does not know
/// the flag, a whole sync (tap-fixerio; singer-protocol.md, 1.1).
#[derive(Default)]
struct Answer {
    text: Vec<u8>,
    schemas: Vec<Value>,
    /// The streams of those.
    names: HashSet<Value>,
    is_sync: bool,
    /// Whether `text` is a whole catalog.
    is_whole: bool,
    lines: usize,
    /// How often it was tried to read the catalog before its end.
    tries: usize,
}

impl Answer {
    fn line(&mut self, line: &[u8]) -> Progress {
        if self.text.is_empty() && !self.is_sync {
            if line.trim_ascii().is_empty() {
                return Progress::Unanswered;
            }
            self.is_sync = serde_json::from_slice::<Message>(line).is_ok();
            if !self.is_sync && !line.trim_ascii_start().starts_with(b"{") {
                log::upstream(Level::Warn, String::from_utf8_lossy(line).trim_end(), Map::new());
                return Progress::Unanswered;
            }
        }
        if self.is_whole {
            log::upstream(Level::Info, String::from_utf8_lossy(line).trim_end(), Map::new());
            return Progress::Answered;
        }
        if !self.is_sync {
            self.text.extend_from_slice(line);
            self.text.push(b'\n');
            self.is_whole =
                self.may_be_whole(line) && serde_json::from_slice::<Catalog<'_>>(&self.text).is_ok();
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

    /// Whether the catalog may end with this line. A reading takes time in proportion to its size, so
    /// there are few.
    fn may_be_whole(&mut self, line: &[u8]) -> bool {
        let may = about::may_end(line) && self.tries < TRIES;
        self.tries += usize::from(may);
        may
    }

    /// The streams; `None` where the tap printed no catalog.
    fn streams(self) -> Option<Vec<DiscoveredStream>> {
        if self.is_sync {
            tracing::warn!(
                "the tap knows no discovery and ran a sync instead; its streams are those that it printed"
            );
            let entry = |schema: Value| {
                json!({
                    "tap_stream_id": schema["stream"], "stream": schema["stream"], "schema": schema["schema"],
                    "key_properties": schema["key_properties"],
                })
            };
            return Some(streams(self.schemas.into_iter().map(entry)));
        }
        let catalog: Catalog<'_> = serde_json::from_slice(&self.text).ok()?;
        // Each was read once already.
        Some(streams(catalog.streams.iter().filter_map(|entry| serde_json::from_str(entry.get()).ok())))
    }
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

/// The streams of a catalog, in its order. A stream that is listed twice would be read twice, so the
/// first one counts.
fn streams(entries: impl Iterator<Item = Value>) -> Vec<DiscoveredStream> {
    let mut streams: Vec<DiscoveredStream> = Vec::new();
    let mut supported = Vec::new();
    let mut seen = HashSet::new();
    for entry in entries {
        let Some(stream) = discovered(&entry) else { continue };
        if seen.insert(stream.id.clone()) {
            supported.push(Entry(&entry).is_supported());
            streams.push(stream);
        } else {
            tracing::warn!(stream = %stream.id, "the tap lists a stream twice; the second one is left out");
        }
    }
    // MySQL taps say of every table that it is not selected by default, which says nothing.
    if streams.iter().all(|stream| !stream.enabled) {
        for (stream, supported) in streams.iter_mut().zip(supported) {
            stream.enabled = supported;
        }
    }
    streams
}

/// One stream of a catalog; `None` where it has no name.
pub(super) fn discovered(raw: &Value) -> Option<DiscoveredStream> {
    let entry = Entry(raw);
    let name = entry.id()?.to_owned();
    let key = entry.replication_key().or_else(|| entry.valid_replication_keys().first().copied());
    let method = match entry.method() {
        // A tap that reads it no other way has a cursor of its own; any other would have none.
        INCREMENTAL if key.is_none() && entry.forced_method().is_none() => FULL_TABLE,
        method => method,
    };
    let mut resource_config = json!({
        "tap_stream_id": name, "stream": raw["stream"].as_str().unwrap_or(&name), "replication_method": method,
    });
    if let Some(key) = key.filter(|_| method == INCREMENTAL) {
        resource_config["replication_key"] = json!(key);
    }
    Some(DiscoveredStream {
        id: StreamId { namespace: None, name: name.clone() },
        recommended_name: name.clone(),
        resource_config,
        resource_path: vec![name],
        key: entry.key().into_iter().map(|column| vec![column.to_owned()]).collect(),
        schema: Packed::from(&entry.readable_schema()),
        enabled: entry.root_metadata()["selected-by-default"] != false && entry.is_supported(),
        partial_updates: entry.may_update_in_part(),
        source_stream: Some(Packed::from(raw)),
    })
}

/// A bound stream as it was discovered once: from what discovery left in its write schema, else from
/// its resource config, schema and key.
pub(super) fn kept(stream: &BoundStream) -> Option<DiscoveredStream> {
    let made = || {
        json!({
            "tap_stream_id": stream.id.name,
            "stream": stream.resource_config["stream"].as_str().unwrap_or(&stream.id.name),
            "key_properties": key_columns(stream),
            "schema": stream.schema.tree(),
            "metadata": [],
        })
    };
    discovered(&stream.source_stream.as_ref().map_or_else(made, Packed::tree))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(text: &str) -> Option<Vec<DiscoveredStream>> {
        let mut answer = Answer::default();
        for line in text.lines() {
            if answer.line(line.as_bytes()) == Progress::Enough {
                break;
            }
        }
        answer.streams()
    }

    #[test]
    fn a_catalog_over_many_lines_behind_a_banner_is_read() {
        assert_eq!(
            answered("Welcome!\n\n{\n \"streams\": [\n {\"tap_stream_id\": \"a\"}\n ]\n}\n").map(|e| e.len()),
            Some(1)
        );
        assert!(answered("").is_none());
        assert!(answered("{\"other\": 1}").is_none());
    }

    #[test]
    fn a_sync_in_place_of_a_catalog_gives_its_schemas() {
        let text = "{\"type\":\"SCHEMA\",\"stream\":\"rates\",\"schema\":{\"properties\":{\"date\":{\"type\":\"string\"}}},\"key_properties\":[\"date\"]}\n{\"type\":\"RECORD\",\"stream\":\"rates\",\"record\":{}}\n";
        let found = answered(text).expect("streams");
        assert_eq!(found[0].id.name, "rates");
        assert_eq!(found[0].key, [vec!["date".to_owned()]]);
    }

    #[test]
    fn a_type_counts_in_any_case() {
        let found = answered("{\"type\":\"Schema\",\"stream\":\"rates\",\"schema\":{}}\n").expect("streams");
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn a_stream_counts_once() {
        let entry = json!({"tap_stream_id": "a", "stream": "a"});
        assert_eq!(streams([entry.clone(), entry].into_iter()).len(), 1);
    }

    #[test]
    fn a_counted_key_is_not_told_to_the_tap() {
        let key = |pointers: &[&str]| {
            let key = pointers.iter().map(|step| (*step).to_owned()).collect();
            kept(&BoundStream { key, ..BoundStream::bare(None, "a") }).expect("a stream").key
        };
        assert!(key(&["/_meta/row_id"]).is_empty());
        assert_eq!(key(&["/id", "/a~1b"]), [["id"], ["a/b"]]);
    }

    #[test]
    fn methods_are_chosen_with_care() {
        let method = |entry: Value| discovered(&entry).expect("a stream").resource_config;
        let root = |metadata: Value| json!([{"breadcrumb": [], "metadata": metadata}]);
        let forced =
            method(json!({"tap_stream_id": "a", "metadata": root(json!({"forced-replication-method": ""}))}));
        assert_eq!(forced["replication_method"], "FULL_TABLE");
        let single = method(
            json!({"tap_stream_id": "a", "metadata": root(json!({"valid-replication-keys": ["at"]}))}),
        );
        assert_eq!(
            (&single["replication_method"], &single["replication_key"]),
            (&json!("INCREMENTAL"), &json!("at"))
        );
        let own = method(
            json!({"tap_stream_id": "a", "replication_method": "INCREMENTAL", "replication_key": "x"}),
        );
        assert_eq!(own["replication_key"], "x");
    }

    #[test]
    fn unsupported_fields_and_streams_are_left_out() {
        let stream = discovered(&json!({
            "tap_stream_id": "a", "key_properties": null,
            "schema": {"properties": {"x": {}, "y": {"inclusion": "unsupported"}, "z": {}}},
            "metadata": [
                {"breadcrumb": [], "metadata": {"table-key-properties": ["x"], "selected-by-default": false}},
                {"breadcrumb": ["properties", "z"], "metadata": {"inclusion": "unsupported"}},
            ],
        }))
        .expect("a stream");
        assert_eq!(stream.schema.tree()["properties"], json!({"x": {}}));
        assert_eq!(stream.key, [vec!["x".to_owned()]]);
        assert!(!stream.enabled);
    }

    #[test]
    fn a_tap_that_deselects_everything_says_nothing() {
        let entry = |name: &str| json!({"tap_stream_id": name, "metadata": [{"breadcrumb": [], "metadata": {"selected-by-default": false}}]});
        assert!(streams([entry("a"), entry("b")].into_iter()).iter().all(|stream| stream.enabled));
        let unsupported = json!({"tap_stream_id": "c", "metadata": [{"breadcrumb": [], "metadata": {"inclusion": "unsupported"}}]});
        let none = streams([entry("a"), unsupported].into_iter());
        assert_eq!(none.iter().map(|stream| stream.enabled).collect::<Vec<_>>(), [true, false]);
        let mixed = streams([entry("a"), json!({"tap_stream_id": "b"})].into_iter());
        assert_eq!(mixed.iter().map(|stream| stream.enabled).collect::<Vec<_>>(), [false, true]);
    }
}
