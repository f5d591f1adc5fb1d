//! A source with a database, for the campaign of crashes: what it prints follows from its tables, from a
//! log of changes, and from the state that it is given. It is this test program, started by a script.

#![expect(clippy::disallowed_methods, reason = "it is another program, with variables and an end of its own")]

use std::collections::BTreeMap;
use std::io::Write;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::crash_model::Dice;
use crate::harness::Connector;

/// What kind of source it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Airbyte: a snapshot of each stream, then a log of all, with one state.
    Log,
    /// Airbyte: rows above a cursor, with a state for each stream.
    Cursor,
    /// The same through two sockets.
    Sockets,
    /// Airbyte: all rows each time, without any state.
    Whole,
    /// Singer: rows above a bookmark.
    Tap,
    /// The same in batch files.
    Batches,
    /// Singer: all rows each time, with `ACTIVATE_VERSION`.
    FullTable,
}

/// One change of a row.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Change {
    table: String,
    id: u64,
    /// `None` where the row is gone.
    version: Option<u64>,
}

/// Tables: version by id. The version of a row, and the place of a change in the log, are of one sequence.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Database {
    pub(crate) tables: BTreeMap<String, BTreeMap<u64, u64>>,
    log: BTreeMap<u64, Change>,
    last: u64,
}

impl Database {
    pub(crate) fn new(tables: &[&str]) -> Self {
        let tables = tables.iter().map(|table| ((*table).to_owned(), BTreeMap::new())).collect();
        Self { tables, ..Self::default() }
    }

    /// So many changes of a table.
    pub(crate) fn change(&mut self, table: &str, changes: usize, deletes: bool, dice: &mut Dice) {
        for _ in 0..changes {
            self.last += 1;
            let id = dice.below(40) as u64;
            let rows = self.tables.get_mut(table).expect("a table");
            let version = (!deletes || dice.below(4) > 0).then_some(self.last);
            match version {
                Some(version) => drop(rows.insert(id, version)),
                None => drop(rows.remove(&id)),
            }
            self.log.insert(self.last, Change { table: table.to_owned(), id, version });
        }
    }
}

/// What a session does.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    pub(crate) database: Database,
    /// After how many rows a state comes.
    pub(crate) every: usize,
    /// Behind how many lines the source is killed; `None` for never.
    pub(crate) dies: Option<usize>,
}

/// The shim of such a source.
pub(crate) fn source(protocol: &str, kind: Kind, yaml: &str) -> Connector {
    let program = std::env::current_exe().expect("this program");
    let program = program.display();
    let channel = match kind {
        Kind::Sockets => format!(
            "export CAMPAIGN_STEPS=FOLDER/steps.$$ CHANNEL_STEPS=FOLDER/steps.$$ CHANNEL_HOME=FOLDER\n\
             cp \"$CAMPAIGN_CATALOG\" FOLDER/catalog.json\n\
             {program} --exact campaign_source::acts --nocapture --test-threads 1 >/dev/null\n\
             exec {program} --exact channel_source::acts --nocapture --test-threads 1\n"
        ),
        _ => format!("exec {program} --exact campaign_source::acts --nocapture --test-threads 1\n"),
    };
    let script = format!(
        "case \"$*\" in\n\
         spec) echo '{{\"type\":\"SPEC\",\"spec\":{{\"connectionSpecification\":{{\"type\":\"object\"}}}}}}'; exit;;\n\
         *--about*) echo '{{\"settings\":{{}}}}'; exit;;\n\
         *--discover*) cat FOLDER/discover.json; exit;;\n\
         esac\n\
         for argument; do case \"$last\" in --state) export CAMPAIGN_STATE=\"$argument\";; \
         --catalog) export CAMPAIGN_CATALOG=\"$argument\";; esac; last=$argument; done\n\
         export CAMPAIGN_HOME=FOLDER\n{channel}"
    );
    let entry = |stream: &str| {
        json!({"tap_stream_id": stream, "stream": stream, "key_properties": ["id"], "schema": {"type": "object", "properties": {"id": {"type": "integer"}}},
            "metadata": [{"breadcrumb": [], "metadata": {"inclusion": "available"}}]})
    };
    let entries = ["users", "orders", "items", "visits"].map(entry);
    let catalog = json!({"streams": entries}).to_string();
    let yaml = format!("protocol: {protocol}\ncommand: [sh, FOLDER/source.sh]\n{yaml}\n");
    let connector = Connector::shim(&yaml, &[("source.sh", &script), ("discover.json", &catalog)]);
    std::fs::create_dir(format!("{}/batches", connector.folder_path())).expect("a folder");
    connector
}

/// The source itself; as a test it does nothing.
#[test]
fn acts() {
    let Ok(home) = std::env::var("CAMPAIGN_HOME") else { return };
    let read =
        |path: String| serde_json::from_slice::<Value>(&std::fs::read(path).expect("a file")).expect("JSON");
    let plan: Plan = serde_json::from_value(read(format!("{home}/plan.json"))).expect("a plan");
    let catalog = read(std::env::var("CAMPAIGN_CATALOG").expect("a catalog"));
    let state = std::env::var("CAMPAIGN_STATE").map_or(Value::Null, read);
    let session = Session { plan: &plan, streams: streams(&catalog), state, home, lines: Vec::new() };
    let mut lines = session.lines();
    let dies = plan.dies.filter(|&dies| dies < lines.len());
    lines.truncate(dies.unwrap_or(usize::MAX));
    if let Ok(steps) = std::env::var("CAMPAIGN_STEPS") {
        lines.extend(dies.map(|_| "exit 3".to_owned()));
        std::fs::write(steps, lines.join("\n")).expect("written");
        end();
    }
    // Behind what the test program prints.
    let text = format!("\n{}\n", lines.join("\n"));
    std::io::stdout().write_all(text.as_bytes()).expect("a reader");
    std::io::stdout().flush().expect("a reader");
    if dies.is_some() {
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
            .expect("ours");
    }
    end();
}

#[expect(clippy::exit, reason = "a source ends here; the test program would print its own result behind it")]
fn end() -> ! {
    std::process::exit(0)
}

/// The streams that a catalog asks for.
fn streams(catalog: &Value) -> Vec<String> {
    let name = |entry: &Value| {
        let selected = |metadata: &Value| {
            metadata["breadcrumb"] == json!([]) && metadata["metadata"]["selected"] == true
        };
        match &entry["stream"] {
            Value::Object(stream) => stream["name"].as_str().map(str::to_owned),
            stream if entry["metadata"].as_array().is_some_and(|all| all.iter().any(selected)) => {
                stream.as_str().map(str::to_owned)
            }
            _ => None,
        }
    };
    catalog["streams"].as_array().expect("streams").iter().filter_map(name).collect()
}

struct Session<'a> {
    plan: &'a Plan,
    streams: Vec<String>,
    state: Value,
    home: String,
    lines: Vec<String>,
}

impl Session<'_> {
    fn lines(mut self) -> Vec<String> {
        match self.plan.kind {
            Kind::Log => self.log(),
            Kind::Cursor => self.cursor(),
            Kind::Sockets => self.sockets(),
            Kind::Whole => self.whole(),
            Kind::Tap | Kind::Batches => self.tap(),
            Kind::FullTable => self.full_table(),
        }
        self.lines
    }

    fn put(&mut self, line: &Value) {
        self.lines.push(line.to_string());
    }

    fn rows(&self, stream: &str) -> BTreeMap<u64, u64> {
        self.plan.database.tables[stream].clone()
    }

    /// The rows of a table above a version, in the order of their versions, in groups with a state each.
    fn above(&self, stream: &str, cursor: u64) -> Vec<Vec<(u64, u64)>> {
        let mut rows: Vec<(u64, u64)> = self.rows(stream).into_iter().filter(|(_, v)| *v > cursor).collect();
        rows.sort_by_key(|(_, version)| *version);
        rows.chunks(self.plan.every).map(<[_]>::to_vec).collect()
    }

    fn record(&mut self, stream: &str, data: &Value) {
        self.put(&json!({"type": "RECORD", "record": {"stream": stream, "data": data, "emitted_at": 1}}));
    }

    fn status(&mut self, stream: &str, status: &str) {
        self.lines.push(crate::messages::status(stream, status).trim_end().to_owned());
    }

    /// What the state says of a stream of an Airbyte source.
    fn stream_state(&self, stream: &str) -> Value {
        let of = |state: &Value| state["stream_descriptor"]["name"] == stream;
        let states = self.state.as_array().into_iter().flatten();
        let parts = states.flat_map(|state| match &state["global"] {
            Value::Null => vec![state["stream"].clone()],
            global => global["stream_states"].as_array().cloned().unwrap_or_default(),
        });
        parts.filter(of).map(|part| part["stream_state"].clone()).next().unwrap_or_default()
    }

    fn log(&mut self) {
        let shared = self
            .state
            .as_array()
            .and_then(|states| states.first())
            .map(|s| s["global"]["shared_state"].clone());
        let mut lsn = shared.and_then(|shared| shared["lsn"].as_u64()).unwrap_or(self.plan.database.last);
        let streams = self.streams.clone();
        let mut positions: BTreeMap<String, Value> =
            streams.iter().map(|stream| (stream.clone(), self.stream_state(stream))).collect();
        for stream in &streams {
            if positions[stream]["done"] == true {
                continue;
            }
            let after = positions[stream]["after"].as_u64();
            let left = self.rows(stream).into_iter().filter(|(id, _)| after.is_none_or(|after| *id > after));
            for (turn, (id, version)) in left.enumerate() {
                self.record(stream, &json!({"id": id, "v": version}));
                positions.insert(stream.clone(), json!({"after": id}));
                if turn % self.plan.every == 0 {
                    self.global(lsn, &positions);
                }
            }
            positions.insert(stream.clone(), json!({"done": true}));
            self.global(lsn, &positions);
        }
        let changes: Vec<(u64, Change)> =
            self.plan.database.log.range(lsn + 1..).map(|(at, c)| (*at, c.clone())).collect();
        for (turn, (at, change)) in changes.into_iter().enumerate() {
            if !streams.contains(&change.table) {
                continue;
            }
            let data = match change.version {
                Some(version) => json!({"id": change.id, "v": version}),
                None => json!({"id": change.id, "_ab_cdc_deleted_at": "2024-05-01T00:00:00Z"}),
            };
            self.record(&change.table, &data);
            lsn = at;
            if turn % self.plan.every == 0 {
                self.global(lsn, &positions);
            }
        }
        self.global(lsn, &positions);
    }

    fn global(&mut self, lsn: u64, positions: &BTreeMap<String, Value>) {
        let part = |(stream, position): (&String, &Value)| json!({"stream_descriptor": {"name": stream}, "stream_state": position});
        let parts: Vec<Value> =
            positions.iter().filter(|(_, position)| !position.is_null()).map(part).collect();
        let global = json!({"shared_state": {"lsn": lsn}, "stream_states": parts});
        self.put(&json!({"type": "STATE", "state": {"type": "GLOBAL", "global": global}}));
    }

    fn cursor(&mut self) {
        for stream in self.streams.clone() {
            self.status(&stream, "STARTED");
            let cursor = self.stream_state(&stream)["c"].as_u64().unwrap_or(0);
            for group in self.above(&stream, cursor) {
                for (id, version) in &group {
                    self.record(&stream, &json!({"id": id, "v": version}));
                }
                let part = json!({"stream_descriptor": {"name": stream}, "stream_state": {"c": group.last().expect("rows").1}});
                self.put(&json!({"type": "STATE", "state": {"type": "STREAM", "stream": part}}));
            }
            self.status(&stream, "COMPLETE");
        }
    }

    fn sockets(&mut self) {
        for stream in self.streams.clone() {
            let cursor = self.stream_state(&stream)["c"].as_u64().unwrap_or(0);
            for (order, group) in self.above(&stream, cursor).iter().enumerate() {
                let (order, partition) = (order + 1, format!("{stream}{order}"));
                for (id, version) in group {
                    let socket = 1 + (id + version) % 2;
                    self.lines.push(format!(
                        "{socket} record {stream} {partition} {}",
                        json!({"id": id, "v": version})
                    ));
                }
                let count = f64::from(u32::try_from(group.len()).expect("few"));
                let part = json!({"stream_descriptor": {"name": stream}, "stream_state": {"c": group.last().expect("rows").1}});
                let state = json!({"type": "STATE", "state": {"type": "STREAM", "stream": part,
                    "sourceStats": {"recordCount": count}, "id": order, "partition_id": partition}});
                self.lines.push(format!("{} both {state}", 1 + order % 2));
            }
            let done = crate::messages::status(&stream, "COMPLETE");
            self.lines.push(format!("1 both {}", done.trim_end()));
        }
    }

    fn whole(&mut self) {
        for stream in self.streams.clone() {
            self.status(&stream, "STARTED");
            for (id, version) in self.rows(&stream) {
                self.record(&stream, &json!({"id": id, "v": version}));
            }
            self.status(&stream, "COMPLETE");
        }
    }

    fn schema(&mut self, stream: &str) {
        self.put(&json!({"type": "SCHEMA", "stream": stream, "schema": {"type": "object", "properties": {"id": {"type": "integer"}}}, "key_properties": ["id"]}));
    }

    fn tap(&mut self) {
        let mut bookmarks = self.state["bookmarks"].as_object().cloned().unwrap_or_default();
        for stream in self.streams.clone() {
            self.schema(&stream);
            let cursor = bookmarks.get(&stream).and_then(|mark| mark["c"].as_u64()).unwrap_or(0);
            for (number, group) in self.above(&stream, cursor).into_iter().enumerate() {
                if self.plan.kind == Kind::Batches {
                    let name = format!(
                        "{}/batches/tap--{stream}-00000000-0000-4000-8000-{:012}-{number}.json",
                        self.home,
                        std::process::id()
                    );
                    let rows =
                        group.iter().map(|(id, version)| json!({"id": id, "v": version}).to_string() + "\n");
                    std::fs::write(&name, rows.collect::<String>()).expect("written");
                    self.put(&json!({"type": "BATCH", "stream": stream, "encoding": {"format": "jsonl"}, "manifest": [format!("file://{name}")]}));
                } else {
                    for (id, version) in &group {
                        self.put(
                            &json!({"type": "RECORD", "stream": stream, "record": {"id": id, "v": version}}),
                        );
                    }
                }
                bookmarks.insert(stream.clone(), json!({"c": group.last().expect("rows").1}));
                self.put(
                    &json!({"type": "STATE", "value": {"bookmarks": bookmarks, "currently_syncing": stream}}),
                );
            }
        }
        self.put(&json!({"type": "STATE", "value": {"bookmarks": bookmarks, "currently_syncing": null}}));
    }

    fn full_table(&mut self) {
        let version = self.plan.database.last;
        for stream in self.streams.clone() {
            self.schema(&stream);
            for (id, v) in self.rows(&stream) {
                self.put(&json!({"type": "RECORD", "stream": stream, "record": {"id": id, "v": v}, "version": version}));
            }
            self.put(&json!({"type": "ACTIVATE_VERSION", "stream": stream, "version": version}));
            self.put(&json!({"type": "STATE", "value": {"bookmarks": {}, "currently_syncing": stream}}));
        }
    }
}
