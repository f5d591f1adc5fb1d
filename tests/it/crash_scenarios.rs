//! Captures for the crash matrix: what upstream prints in each session, and what it promises.

use serde_json::{Value, json};

use crate::harness::{Connector, airbyte, binding, open, singer};
use crate::messages::{self, SPEC};

/// A capture over one or several sessions.
pub(crate) struct Scenario {
    /// `airbyte` or `singer`.
    protocol: &'static str,
    /// More of its `shim.yaml`.
    yaml: &'static str,
    pub(crate) bindings: Vec<Value>,
    /// What upstream prints, by session.
    pub(crate) sessions: Vec<Vec<String>>,
    /// Whether states cover everything before them: then each document comes exactly once, row ids
    /// included, whatever dies.
    pub(crate) exactly_once: bool,
    /// Whether a session leaves the same whether or not the one before it ended.
    pub(crate) stands_alone: bool,
}

impl Scenario {
    fn new(protocol: &'static str, bindings: &[Value], sessions: &[Vec<String>]) -> Self {
        let (bindings, sessions) = (bindings.to_vec(), sessions.to_vec());
        Self { protocol, yaml: "", bindings, sessions, exactly_once: false, stands_alone: false }
    }

    /// A shim whose upstream prints these lines.
    pub(crate) fn connector(&self, lines: &[String]) -> Connector {
        let yaml =
            format!("protocol: {}\ncommand: [flow-shim, replay, FOLDER]\n{}", self.protocol, self.yaml);
        let entry = |binding: &Value| {
            let stream = &binding["resourceConfig"]["stream"];
            json!({"tap_stream_id": stream, "stream": stream, "schema": {"type": "object"},
                "metadata": [{"breadcrumb": [], "metadata": {"inclusion": "available"}}]})
        };
        let catalog = json!({"streams": self.bindings.iter().map(entry).collect::<Vec<_>>()}).to_string();
        let read = lines.join("\n") + "\n";
        Connector::shim(&yaml, &[("read.jsonl", &read), ("spec.jsonl", SPEC), ("discover.json", &catalog)])
    }

    pub(crate) fn open(&self, state: &Value) -> Value {
        open(json!({}), &self.bindings, state.clone())
    }
}

/// A binding without a key of its own.
fn by_place(mut binding: Value) -> Value {
    binding["collection"]["key"] = json!(["/_meta/row_id"]);
    binding
}

fn whole(stream: &str, key: &str) -> Value {
    binding(json!({"stream": stream, "syncMode": "full_refresh"}), &[stream], &[key])
}

/// Version `version` of a row of an Airbyte stream.
fn record(stream: &str, id: usize, version: usize) -> String {
    let data = json!({"id": id, "v": format!("{stream} {id}.{version}")});
    json!({"type": "RECORD", "record": {"stream": stream, "data": data, "emitted_at": 1}}).to_string()
}

/// That a row of an Airbyte stream is gone.
fn gone(stream: &str, id: usize) -> String {
    let data = json!({"id": id, "_ab_cdc_deleted_at": "2024-05-01T00:00:00Z"});
    json!({"type": "RECORD", "record": {"stream": stream, "data": data, "emitted_at": 1}}).to_string()
}

fn part(stream: &str, cursor: usize) -> Value {
    json!({"stream_descriptor": {"name": stream}, "stream_state": {"c": cursor, "at": null}})
}

fn stream_state(stream: &str, cursor: usize) -> String {
    json!({"type": "STATE", "state": {"type": "STREAM", "stream": part(stream, cursor)}}).to_string()
}

fn status(stream: &str, status: &str) -> String {
    messages::status(stream, status).trim_end().to_owned()
}

/// Two streams that take turns, each with its own states; rows change and go; the last record has no
/// state behind it.
pub(crate) fn streams() -> Scenario {
    let mut lines = vec![status("users", "STARTED"), status("orders", "STARTED")];
    for page in 0..7 {
        lines.extend([record("users", page, 0), record("orders", page, 0), record("users", page / 2, page)]);
        lines.push(stream_state("users", page));
        lines.extend([record("orders", page / 2, page), stream_state("orders", page)]);
    }
    lines.extend([
        gone("users", 2),
        stream_state("users", 99),
        gone("orders", 3),
        stream_state("orders", 99),
    ]);
    lines.extend([record("users", 100, 0), status("users", "COMPLETE"), status("orders", "COMPLETE")]);
    Scenario::new("airbyte", &[airbyte("users", "incremental"), airbyte("orders", "incremental")], &[lines])
}

/// Changes of a table and a list of events without a key, in an order to which `state` is put
/// after each group.
fn groups(state: impl Fn(usize) -> String) -> Vec<String> {
    let mut lines = Vec::new();
    for group in 0..9 {
        lines.extend([record("users", group, 0), record("events", group, 0)]);
        lines.extend([record("users", group / 2, group), state(group)]);
    }
    lines.extend([gone("users", 0), gone("users", 5), state(100)]);
    lines
}

/// One state for all streams.
pub(crate) fn global() -> Scenario {
    let lines = groups(|group| {
        let parts = [part("users", group), part("events", group / 3)];
        let global = json!({"shared_state": {"lsn": group, "none": null}, "stream_states": parts});
        json!({"type": "STATE", "state": {"type": "GLOBAL", "global": global}}).to_string()
    });
    let bindings = [airbyte("users", "incremental"), by_place(airbyte("events", "incremental"))];
    Scenario { exactly_once: true, ..Scenario::new("airbyte", &bindings, &[lines]) }
}

/// One bare object for all streams.
pub(crate) fn legacy() -> Scenario {
    let lines = groups(|group| {
        let data = json!({"users": {"c": group}, "events": {"c": group / 3}, "start": group});
        json!({"type": "STATE", "state": {"type": "LEGACY", "data": data}}).to_string()
    });
    let bindings = [airbyte("users", "incremental"), by_place(airbyte("events", "incremental"))];
    Scenario { exactly_once: true, ..Scenario::new("airbyte", &bindings, &[lines]) }
}

/// A row of a tap.
fn row(stream: &str, data: &Value) -> String {
    json!({"type": "RECORD", "stream": stream, "record": data}).to_string()
}

fn schema(stream: &str) -> String {
    json!({"type": "SCHEMA", "stream": stream, "schema": {"type": "object", "properties": {"id": {"type": "integer"}}}, "key_properties": ["id"]}).to_string()
}

fn bookmarks(bookmarks: &Value, syncing: Option<&str>) -> String {
    json!({"type": "STATE", "value": {"bookmarks": bookmarks, "currently_syncing": syncing}}).to_string()
}

/// Two tables of a tap, one after the other.
pub(crate) fn tap() -> Scenario {
    let mut lines = Vec::new();
    let mut marks = json!({});
    for stream in ["users", "events"] {
        lines.push(schema(stream));
        for page in 0..6_usize {
            lines.push(row(stream, &json!({"id": page, "v": "new"})));
            lines.push(row(stream, &json!({"id": page / 2, "v": page})));
            marks[stream] = json!({"replication_key": "v", "replication_key_value": page, "note": null});
            lines.push(bookmarks(&marks, Some(stream)));
        }
    }
    lines.push(bookmarks(&marks, None));
    let bindings = [singer("users", "INCREMENTAL"), by_place(singer("events", "INCREMENTAL"))];
    Scenario { exactly_once: true, ..Scenario::new("singer", &bindings, &[lines]) }
}

/// A tap that follows a log, with rows that go.
pub(crate) fn log_based() -> Scenario {
    let mut lines = vec![schema("users"), schema("orders")];
    for lsn in 0..9_usize {
        lines.push(row("users", &json!({"id": lsn, "v": "new", "_sdc_deleted_at": null})));
        lines.push(row("orders", &json!({"id": lsn / 2, "v": lsn, "_sdc_deleted_at": null})));
        if lsn % 2 == 1 {
            lines.push(row("users", &json!({"id": lsn / 2, "_sdc_deleted_at": "2024-05-01T00:00:00+00:00"})));
        }
        let marks = json!({"users": {"lsn": lsn, "version": 1}, "orders": {"lsn": lsn, "version": 1}});
        lines.push(bookmarks(&marks, Some("users")));
    }
    let bindings = [singer("users", "LOG_BASED"), singer("orders", "LOG_BASED")];
    Scenario { exactly_once: true, ..Scenario::new("singer", &bindings, &[lines]) }
}

/// Records of these versions, one a row.
fn table(versions: &[usize]) -> Vec<String> {
    versions.iter().enumerate().map(|(id, &version)| record("users", id, version)).collect()
}

/// A full refresh with positions inside, twice; the second finds less.
pub(crate) fn resumable() -> Scenario {
    let refresh = |rows: usize, version: usize| {
        let mut lines = vec![status("users", "STARTED")];
        for id in 0..rows {
            lines.push(record("users", id, version));
            if id % 2 == 1 {
                lines.push(stream_state("users", id));
            }
        }
        lines.push(status("users", "COMPLETE"));
        lines
    };
    Scenario::new("airbyte", &[whole("users", "/_meta/row_id")], &[refresh(16, 1), refresh(11, 2)])
}

/// A table without a key: refreshed, changed and shorter, the same again, empty, and back.
pub(crate) fn snapshot() -> Scenario {
    let first: Vec<usize> = vec![0; 12];
    let second = [&[1; 3], &first[3..9]].concat();
    let empty = vec![status("users", "STARTED"), status("users", "COMPLETE")];
    let sessions = [table(&first), table(&second), table(&second), empty, table(&first[..5])];
    let scenario = Scenario::new("airbyte", &[whole("users", "/_meta/row_id")], &sessions);
    Scenario { stands_alone: true, ..scenario }
}

/// A tap's table without a key, closed by `ACTIVATE_VERSION`.
pub(crate) fn full_table() -> Scenario {
    let refresh = |rows: usize, version: usize| {
        let end = json!({"type": "ACTIVATE_VERSION", "stream": "users", "version": version}).to_string();
        let row = |id| {
            json!({"type": "RECORD", "stream": "users", "record": {"id": id, "v": version}, "version": version})
                .to_string()
        };
        let rows = (0..rows).map(row);
        let state = bookmarks(&json!({}), None);
        [schema("users")].into_iter().chain(rows).chain([end, state]).collect::<Vec<_>>()
    };
    let bindings = [by_place(singer("users", "FULL_TABLE"))];
    let scenario = Scenario::new("singer", &bindings, &[refresh(12, 1), refresh(7, 2)]);
    Scenario { stands_alone: true, ..scenario }
}

/// A keyed table that Flow truncates. What a failed refresh has written and the source has lost since goes
/// with the refresh after that which it belongs to; hence the third session.
pub(crate) fn truncate() -> Scenario {
    let second: Vec<String> = table(&[2; 14]).split_off(5);
    let sessions = [table(&[1; 12]), second.clone(), second];
    let scenario = Scenario::new("airbyte", &[whole("users", "/id")], &sessions);
    let yaml = "read: {checkpointEvery: {documents: 4}}\nstreams: {overrides: {\"*\": {refresh: truncate}}}";
    Scenario { yaml, stands_alone: true, ..scenario }
}

/// Two tables that Flow truncates, one with a key and a schema, one without either, in turns.
pub(crate) fn truncate_two() -> Scenario {
    let both = |rows: std::ops::Range<usize>, version: usize| {
        let pair = |id| [record("users", id, version), record("orders", id, version)];
        rows.flat_map(pair).collect::<Vec<_>>()
    };
    let mut users = whole("users", "/id");
    users["collection"]["writeSchema"]["x-source-schema"] =
        json!({"type": "object", "properties": {"id": {"type": "integer"}, "v": {"type": "string"}}});
    let last = both(0..7, 2);
    let sessions = [both(0..9, 1), last.clone(), last];
    let scenario = Scenario::new("airbyte", &[users, whole("orders", "/_meta/row_id")], &sessions);
    let yaml = "read: {checkpointEvery: {documents: 3}}\nstreams: {overrides: {\"*\": {refresh: truncate}}}";
    Scenario { yaml, stands_alone: true, ..scenario }
}

/// The same, each by a process of its own.
pub(crate) fn truncate_parallel() -> Scenario {
    let yaml = "read: {parallelism: 2, checkpointEvery: {documents: 3}}\nstreams: {overrides: {\"*\": {refresh: truncate}}}";
    Scenario { yaml, ..truncate_two() }
}

/// A table that Flow truncates, with positions inside, twice.
pub(crate) fn truncate_resumable() -> Scenario {
    let scenario = resumable();
    let yaml = "streams: {overrides: {\"*\": {refresh: truncate}}}";
    Scenario { yaml, bindings: vec![whole("users", "/id")], ..scenario }
}

/// Tables without any state, with checkpoints on the way: one without a key, one with.
pub(crate) fn silent() -> Scenario {
    let both = |rows: usize, version: usize| {
        let pair = |id| [record("users", id, version), record("orders", id, version)];
        (0..rows).flat_map(pair).collect::<Vec<_>>()
    };
    let bindings = [whole("users", "/_meta/row_id"), whole("orders", "/id")];
    let scenario = Scenario::new("airbyte", &bindings, &[both(10, 1), both(10, 2), both(6, 3)]);
    Scenario { yaml: "read: {checkpointEvery: {documents: 2}}", ..scenario }
}
