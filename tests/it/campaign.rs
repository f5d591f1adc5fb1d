//! A campaign of crashes: sources with a database that changes, whose captures are killed again and again,
//! the shim behind any message, upstream behind any line, or both; of the checkpoints that were sent, Flow
//! commits any number, from the first on. In the end each collection must be its table.
//!
//! Not in `.ci/run`:
//! `FLOW_SHIM_CAMPAIGN_KILLS=2000 cargo test --test it -- --ignored --nocapture campaign`, where
//! `FLOW_SHIM_CAMPAIGN_SEED` repeats a campaign that failed. Each prints its kills.

#![expect(clippy::disallowed_methods, reason = "length and seed are settings of the person who runs it")]

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;

use flow_shim::flow::codec::Codec;
use flow_shim::flow::message::{Request, Response};
use flow_shim::flow::reader::Reader;
use serde_json::{Value, json};

use crate::campaign_source::{Database, Kind, Plan, source};
use crate::channel_captures;
use crate::crash_model::{Dice, Flow};
use crate::harness::{Connector, airbyte, exit_code, open, singer};

/// How many campaigns share the kills.
const CAMPAIGNS: usize = 12;
/// A session prints about as many messages and lines.
const LENGTH: usize = 40;
/// How many sessions may be undisturbed in the end: a refresh that was begun is one, and the next.
const LAST: usize = 2;

/// One capture.
struct Campaign {
    name: &'static str,
    protocol: &'static str,
    kind: Kind,
    yaml: &'static str,
    codec: Codec,
    bindings: Vec<Value>,
    /// Whether the source tells what is gone.
    deletes: bool,
    /// Whether single bindings are backfilled on the way.
    backfills: bool,
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

impl Campaign {
    fn run(mut self) {
        let kills = setting("FLOW_SHIM_CAMPAIGN_KILLS").unwrap_or(2_000);
        let kills = usize::try_from(kills).expect("a number").div_ceil(CAMPAIGNS);
        let mut dice = setting("FLOW_SHIM_CAMPAIGN_SEED").map_or_else(Dice::thrown, Dice);
        let (seed, name) = (dice.0, self.name);
        let connector = source(self.protocol, self.kind, self.yaml);
        let tables: Vec<String> = self.bindings.iter().map(|binding| table(binding).to_owned()).collect();
        let mut database = Database::new(&tables.iter().map(String::as_str).collect::<Vec<_>>());
        let mut flow = Flow::new(&self.bindings);
        let (mut killed, mut sessions, mut backfills) = (0, 0, 0);
        while killed < kills {
            for table in &tables {
                database.change(table, dice.below(12), self.deletes, &mut dice);
            }
            if self.backfills && dice.below(12) == 0 {
                let binding = dice.below(self.bindings.len());
                backfills += 1;
                self.bindings[binding]["stateKey"] = json!(format!("{}.v{backfills}", tables[binding]));
                flow.reset(binding);
            }
            let (shim, upstream) = match dice.below(3) {
                0 => (Some(dice.below(LENGTH)), None),
                1 => (None, Some(dice.below(LENGTH))),
                _ => (Some(dice.below(LENGTH)), Some(dice.below(LENGTH))),
            };
            self.plan(&connector, &database, 1 + dice.below(6), upstream);
            let (mut read, _) = self.session(&connector, &flow.state, shim);
            sessions += 1;
            killed += usize::from(shim.is_some()) + usize::from(upstream.is_some());
            prefix(&mut read, &mut dice);
            flow.commit(&read);
        }
        for _ in 0..LAST {
            self.plan(&connector, &database, 5, None);
            let (read, code) = self.session(&connector, &flow.state, None);
            assert_eq!(code, 0, "{name}, seed {seed}: the last session failed");
            flow.commit(&read);
        }
        for (binding, table) in tables.iter().enumerate() {
            let rows: BTreeMap<u64, u64> = flow.reduced()[binding].values().map(row).collect();
            assert_eq!(
                flow.reduced()[binding].len(),
                rows.len(),
                "{name}, {table}, seed {seed}: a row came twice"
            );
            assert_eq!(rows, database.tables[table], "{name}, {table}, seed {seed}");
        }
        let figures =
            format!("{name}: {killed} kills in {sessions} sessions, {backfills} backfills, seed {seed}");
        writeln!(std::io::stderr(), "{figures}").expect("stderr");
    }

    fn plan(&self, connector: &Connector, database: &Database, every: usize, dies: Option<usize>) {
        let plan = Plan { kind: self.kind, database: database.clone(), every, dies };
        let plan = serde_json::to_vec(&plan).expect("JSON");
        std::fs::write(format!("{}/plan.json", connector.folder_path()), plan).expect("written");
    }

    /// Runs a session until so many messages were read, then kills the shim; or to its end. What was read,
    /// and the exit code.
    fn session(&self, connector: &Connector, state: &Value, messages: Option<usize>) -> (Vec<Value>, i32) {
        let root = format!("file://{}/batches", connector.folder_path());
        let config = match self.kind {
            Kind::Batches => json!({"batch_config": {"storage": {"root": root}}}),
            _ => json!({}),
        };
        let request: Request =
            serde_json::from_value(open(config, &self.bindings, state.clone())).expect("a request");
        let mut input = Vec::new();
        self.codec.encode(&request, &mut input).expect("encoded");
        let mut command = connector.command();
        if self.codec == Codec::Proto {
            command.env("FLOW_RUNTIME_CODEC", "proto");
        }
        let mut shim = command.stderr(Stdio::null()).spawn().expect("the program starts");
        let mut stdin = shim.stdin.take().expect("a pipe");
        // One that ends at once does not read.
        let _ = stdin.write_all(&input);
        let mut reader = Reader::new(shim.stdout.take().expect("a pipe"), self.codec);
        let next = || reader.message::<Response>().ok().flatten();
        let responses = std::iter::from_fn(next).take(messages.unwrap_or(usize::MAX));
        let read = responses.map(|response| serde_json::to_value(response).expect("JSON")).collect();
        if messages.is_some() {
            shim.kill().expect("it is ours");
        }
        (read, exit_code(shim.wait().expect("it ends")))
    }
}

/// Leaves what Flow commits: all up to one of the checkpoints, or nothing.
pub(crate) fn prefix(read: &mut Vec<Value>, dice: &mut Dice) {
    let checkpoints = read.iter().enumerate().filter(|(_, message)| message.get("checkpoint").is_some());
    let ends: Vec<usize> = std::iter::once(0).chain(checkpoints.map(|(at, _)| at + 1)).collect();
    read.truncate(ends[dice.below(ends.len())]);
}

fn table(binding: &Value) -> &str {
    binding["resourceConfig"]["stream"].as_str().expect("a name")
}

fn row(document: &Value) -> (u64, u64) {
    let number = |member: &str| document[member].as_u64().expect("a number");
    (number("id"), number("v"))
}

fn by_place(mut binding: Value) -> Value {
    binding["collection"]["key"] = json!(["/_meta/row_id"]);
    binding
}

fn airbytes(mode: &str) -> Vec<Value> {
    ["users", "orders", "items", "visits"].iter().map(|stream| airbyte(stream, mode)).collect()
}

fn taps(method: &str) -> Vec<Value> {
    ["users", "orders", "items"].iter().map(|stream| singer(stream, method)).collect()
}

fn campaign(name: &'static str, kind: Kind, yaml: &'static str, bindings: Vec<Value>) -> Campaign {
    let protocol =
        if matches!(kind, Kind::Tap | Kind::Batches | Kind::FullTable) { "singer" } else { "airbyte" };
    Campaign { name, protocol, kind, yaml, codec: Codec::Json, bindings, deletes: false, backfills: false }
}

macro_rules! campaigns {
    ($($name:ident: $campaign:expr;)*) => {
        $(
            #[test]
            #[ignore = "a campaign takes minutes"]
            fn $name() {
                $campaign.run();
            }
        )*

        #[test]
        fn the_kills_are_shared_by_all_campaigns() {
            assert_eq!([$(stringify!($name)),*].len(), CAMPAIGNS);
        }
    };
}

campaigns! {
    global: Campaign {
        deletes: true,
        backfills: true,
        ..campaign("GLOBAL", Kind::Log, "", airbytes("incremental"))
    };
    global_in_protobuf: Campaign {
        deletes: true,
        backfills: true,
        codec: Codec::Proto,
        ..campaign("GLOBAL, protobuf", Kind::Log, "read: {parallelism: 3}", airbytes("incremental"))
    };
    cursor: Campaign { backfills: true, ..campaign("STREAM", Kind::Cursor, "", airbytes("incremental")) };
    two_side_by_side: Campaign {
        backfills: true,
        ..campaign("STREAM, parallelism 2", Kind::Cursor, "read: {parallelism: 2}", airbytes("incremental"))
    };
    eight_side_by_side: Campaign {
        codec: Codec::Proto,
        ..campaign("STREAM, parallelism 8, protobuf", Kind::Cursor, "read: {parallelism: 8}", airbytes("incremental"))
    };
    sockets_of_lines: campaign("sockets, jsonl", Kind::Sockets, "read: {dataChannel: jsonl, dataChannelSockets: 2}", of_sockets());
    sockets_of_protobuf: campaign(
        "sockets, protobuf",
        Kind::Sockets,
        "read: {dataChannel: protobuf, dataChannelSockets: 2}",
        of_sockets(),
    );
    snapshots: Campaign {
        deletes: true,
        ..campaign(
            "snapshots",
            Kind::Whole,
            "read: {checkpointEvery: {documents: 3}, parallelism: 2}",
            airbytes("full_refresh").into_iter().map(by_place).collect(),
        )
    };
    truncates: Campaign {
        deletes: true,
        ..campaign(
            "truncate",
            Kind::Whole,
            "read: {checkpointEvery: {documents: 4}}\nstreams: {overrides: {\"*\": {refresh: truncate}}}",
            airbytes("full_refresh"),
        )
    };
    bookmarks: Campaign { backfills: true, ..campaign("bookmarks", Kind::Tap, "", taps("INCREMENTAL")) };
    batches: Campaign {
        codec: Codec::Proto,
        ..campaign("BATCH, protobuf", Kind::Batches, "", taps("INCREMENTAL"))
    };
    full_tables: Campaign {
        deletes: true,
        ..campaign("FULL_TABLE", Kind::FullTable, "", taps("FULL_TABLE").into_iter().map(by_place).collect())
    };
}

fn of_sockets() -> Vec<Value> {
    let stream = |name: &&str| channel_captures::stream(name, "incremental", "/id", &["id", "v"]);
    ["users", "orders"].iter().map(stream).collect()
}
