//! Taps that read PostgreSQL's log, and how each of them frees it (singer-protocol.md, 4.4).
//!
//! Which tap it is, its catalog tells: programs and packages go by the same name, `tap-postgres`.

use std::collections::HashSet;

use serde_json::Value;

use super::entry::{Entry, LOG_BASED};
use super::resource;
use crate::capture::protocol::{BoundStream, DiscoveredStream, StreamId};

/// How many seconds meltanolabs-tap-postgres reads before it first confirms what it printed.
const CONFIRMS_AFTER: u64 = 30;

/// The entries of the streams that are read by the log.
fn entries<'a>(
    streams: &'a [BoundStream],
    discovered: &'a [DiscoveredStream],
) -> impl Iterator<Item = Value> + 'a {
    let by_log = |stream: &&BoundStream| resource::method(&stream.resource_config) == Ok(LOG_BASED);
    let bound: HashSet<&StreamId> = streams.iter().filter(by_log).map(|stream| &stream.id).collect();
    let bound = discovered.iter().filter(move |found| bound.contains(&found.id));
    bound.filter_map(|found| Some(found.source_stream.as_ref()?.tree()))
}

/// Whether this is pipelinewise-tap-postgres reading the log: it reads its state file again every
/// ten seconds, and has the server free the log up to there. Its entries name database and schema
/// and say whether they are views. Other taps whose entries do (for SQL Server) read the file once,
/// so that rewriting it does them no harm.
pub(super) fn rereads_state(streams: &[BoundStream], discovered: &[DiscoveredStream]) -> bool {
    entries(streams, discovered).any(|entry| {
        let entry = Entry(&entry);
        let names = ["schema-name", "database-name", "is-view"];
        !entry.is_sdk() && names.iter().all(|name| entry.root_metadata().get(*name).is_some())
    })
}

/// Warns of meltanolabs-tap-postgres reading the log: it has the server free what it has printed,
/// whether anyone keeps it or not.
pub(super) fn warn(config: &Value, streams: &[BoundStream], discovered: &[DiscoveredStream]) {
    let frees_by_itself = entries(streams, discovered)
        .any(|entry| Entry(&entry).is_sdk() && Entry(&entry).root_metadata().get("schema-name").is_some());
    let short = config["replication_max_run_seconds"].as_u64().is_some_and(|limit| limit < CONFIRMS_AFTER);
    if frees_by_itself && is_postgres(config) && !short {
        tracing::warn!(
            "the tap reads PostgreSQL's log (LOG_BASED) and confirms what it has printed by itself, first after \
             {CONFIRMS_AFTER} s: changes that were not checkpointed by then are lost if the session fails; set \
             `replication_max_run_seconds` in the capture's config below {CONFIRMS_AFTER}, or read with \
             pipelinewise-tap-postgres, which confirms what Flow has acknowledged"
        );
    }
}

/// SDK taps of other databases say so in their config.
fn is_postgres(config: &Value) -> bool {
    ["sqlalchemy_url", "dialect", "dialect+driver"]
        .iter()
        .filter_map(|name| config[*name].as_str())
        .all(|text| text.starts_with("postgres"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::singer::catalog;

    fn bound(name: &str, method: &str) -> BoundStream {
        BoundStream {
            resource_config: json!({"tap_stream_id": name, "replication_method": method}),
            ..BoundStream::bare(None, name)
        }
    }

    fn recorded(fixture: &str) -> Vec<DiscoveredStream> {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/singer").join(fixture);
        let text = std::fs::read_to_string(path.join("discover.json")).expect("a fixture");
        let tree: Value = serde_json::from_str(&text).expect("JSON");
        let streams = tree["streams"].as_array().expect("streams");
        streams.iter().filter_map(catalog::discovered).collect()
    }

    #[test]
    fn taps_are_told_by_their_recorded_catalogs() {
        for (fixture, expected) in [
            ("pipelinewise-tap-postgres-log-based", true),
            ("meltanolabs-tap-postgres-log-based", false),
            ("singer-io-tap-mysql-log-based", false),
        ] {
            let discovered = recorded(fixture);
            let name = discovered[0].id.name.clone();
            assert_eq!(rereads_state(&[bound(&name, LOG_BASED)], &discovered), expected, "{fixture}");
            assert!(!rereads_state(&[bound(&name, "FULL_TABLE")], &discovered), "{fixture}");
        }
    }
}
