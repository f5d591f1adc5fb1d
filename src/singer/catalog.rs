//! Discovery: a tap's catalog becomes streams.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::answer::Answer;
use super::entry::{Entry, FULL_TABLE, INCREMENTAL, key_columns};
use crate::capture::processes::supervisor::{Ended, Operation, Upstream};
use crate::capture::protocol::{Argument, BoundStream, DiscoveredStream, Invocation, PrivateFile, StreamId};
use crate::failure::{Code, Failure};
use crate::json::packed::Packed;

/// The flag that asks for the catalog.
const DISCOVER: &str = "--discover";

/// Runs discoveries, and keeps that of a check: a validation asks twice for the same.
#[derive(Debug, Default)]
pub(super) struct Discovery {
    checked: Mutex<Option<(Value, Vec<DiscoveredStream>)>>,
}

impl Discovery {
    /// Whether the tap can discover; what it finds is for the next [`run`](Self::run).
    /// `knows`: the tap may know `--discover`.
    pub(super) async fn check(
        &self,
        upstream: &Upstream,
        config: &Value,
        knows: bool,
    ) -> Result<(), Failure> {
        let streams = discover(upstream, config, knows).await?;
        *self.checked.lock().unwrap_or_else(PoisonError::into_inner) = Some((config.clone(), streams));
        Ok(())
    }

    pub(super) async fn run(
        &self,
        upstream: &Upstream,
        config: &Value,
        knows: bool,
    ) -> Result<Vec<DiscoveredStream>, Failure> {
        discover(upstream, config, knows).await
    }

    /// What the last check with this config found; handed out once.
    pub(super) fn checked(&self, config: &Value) -> Option<Vec<DiscoveredStream>> {
        let checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner).take();
        checked.filter(|(of, _)| of == config).map(|(_, streams)| streams)
    }
}

/// Asks with `--discover`, and a tap that refuses that flag as one is asked that ignores it: by what a run
/// without catalog prints. `knows`: the tap may know the flag.
async fn discover(
    upstream: &Upstream,
    config: &Value,
    knows: bool,
) -> Result<Vec<DiscoveredStream>, Failure> {
    if knows {
        let (answer, ended) = ask(upstream, config, Some(DISCOVER)).await?;
        if ended.is_answer_good(answer.is_whole()) {
            ended.warn_of_errors(None);
            return answer.entries(|entries| streams(entries)).ok_or_else(|| {
                let program = &ended.program;
                Failure::new(
                    Code::NOT_SINGER,
                    format!("{program} printed no catalog when asked to --discover; is it a Singer tap?"),
                )
            });
        }
        if !refuses(&ended) {
            let failure = ended.failure("discover");
            return Err(if answer.is_whole() { failure.although_answered() } else { failure });
        }
        tracing::info!("the tap refuses --discover; it is run without a catalog, for its SCHEMA messages");
    }
    let (answer, ended) = ask(upstream, config, None).await?;
    if !ended.status.success() && !ended.cut_short {
        return Err(ended.failure("a sync without catalog, in place of a discovery,"));
    }
    let found = answer.entries(|entries| {
        let mut entries = entries.peekable();
        entries.peek().is_some().then(|| streams(entries))
    });
    found.flatten().ok_or_else(|| {
        let program = &ended.program;
        Failure::new(
            Code::NOT_SINGER,
            format!("{program} knows no --discover, and printed no SCHEMA when run without a catalog; is it a Singer tap?"),
        )
    })
}

async fn ask(
    upstream: &Upstream,
    config: &Value,
    flag: Option<&'static str>,
) -> Result<(Answer, Ended), Failure> {
    let config_file = ["--config".into(), Argument::File(PrivateFile::CONFIG)];
    let invocation = Invocation {
        arguments: config_file.into_iter().chain(flag.map(Argument::from)).collect(),
        files: vec![PrivateFile::config(config)],
        ..Invocation::default()
    };
    let mut answer = Answer::default();
    let ended = upstream.run(Operation::Discover, &invocation, |line| answer.line(line)).await?;
    Ok((answer, ended))
}

/// Whether the tap's parser does not know `--discover`: argparse and click exit with 2 and name the flag.
fn refuses(ended: &Ended) -> bool {
    let said = ended.stderr.text();
    let words = ["unrecognized arguments", "o such option", "nrecognized option", "nknown option"];
    ended.status.code() == Some(2)
        && said.contains(DISCOVER)
        && words.iter().any(|words| said.contains(words))
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
