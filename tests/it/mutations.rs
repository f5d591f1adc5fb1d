//! Recorded runs with a line lost, doubled, cut, torn, glued or moved: each is told with the name of
//! the stream, or changes nothing, or is one of the few that nobody can know; those are in
//! `is_unknowable` with their reasons. The table of outcomes stands in the text of a failure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{Connector, Run, binding, open, repository};
use crate::messages::SPEC;

const FALLBACK: &str = "/_meta/row_id";

/// What is done to a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mutation {
    /// It is lost.
    Drop,
    /// It comes twice.
    Duplicate,
    /// Its second half is lost, the newline is not.
    Truncate,
    /// The same behind ten bytes.
    TruncateEarly,
    /// It is the last, and its second half is lost; upstream exits with code 0.
    End,
    /// A newline stands in its middle.
    Split,
    /// The newline behind it is lost.
    Glue,
    /// It comes behind the next.
    Reorder,
}

const MUTATIONS: [Mutation; 8] = [
    Mutation::Drop,
    Mutation::Duplicate,
    Mutation::Truncate,
    Mutation::TruncateEarly,
    Mutation::End,
    Mutation::Split,
    Mutation::Glue,
    Mutation::Reorder,
];

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// The session failed, and the log names the stream.
    Failed,
    /// There is a warning that names the stream.
    Warned,
    /// Collections are the same, and each state is one that the recording had, too: at worst what
    /// follows it is read again.
    Harmless,
    /// The session failed without a word of the stream.
    FailedNamelessly,
    /// Something differs, and nothing says so.
    Silent,
}

impl Mutation {
    /// The recording with this done to a line; `None` where that makes no difference.
    fn of(self, lines: &[&str], at: usize) -> Option<Vec<u8>> {
        let line = lines[at].as_bytes();
        let half = line.len() / 2;
        let mut text =
            lines[..at].iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect::<Vec<u8>>();
        let next = lines.get(at + 1).map(|line| line.as_bytes());
        let changed = match self {
            Self::Drop => Vec::new(),
            Self::Duplicate => [line, b"\n", line, b"\n"].concat(),
            Self::Truncate => [&line[..half], b"\n"].concat(),
            Self::TruncateEarly => [&line[..10], b"\n"].concat(),
            Self::End => return Some([&text, &line[..half]].concat()),
            Self::Split => [&line[..half], b"\n", &line[half..], b"\n"].concat(),
            Self::Glue => line.to_vec(),
            Self::Reorder if next == Some(line) => return None,
            Self::Reorder => [next?, b"\n", line, b"\n"].concat(),
        };
        text.extend(changed);
        let rest = if self == Self::Reorder { at + 2 } else { at + 1 };
        lines[rest..].iter().for_each(|line| text.extend([line.as_bytes(), b"\n"].concat()));
        Some(text)
    }
}

/// A recorded run.
struct Recording {
    protocol: &'static str,
    folder: &'static str,
    /// Whether upstream says how many records it printed.
    counts: bool,
    /// Name, sync mode or replication method, and key of each stream.
    streams: &'static [(&'static str, &'static str, &'static str)],
}

/// What a run leaves in Flow.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    /// By binding: rows by key, or, without a key, as often as each is there.
    collections: Vec<BTreeMap<String, String>>,
    /// Upstream's states that Flow held one after the other, by binding; the last holds what is shared.
    states: Vec<Vec<String>>,
}

impl Recording {
    fn text(&self) -> String {
        let file = repository("fixtures").join(self.protocol).join(self.folder).join("read.jsonl");
        std::fs::read_to_string(file).expect("a recording")
    }

    fn bindings(&self) -> Vec<Value> {
        let of = |&(stream, method, key): &(&str, &str, &str)| {
            let resource = match self.protocol {
                "airbyte" => json!({"stream": stream, "syncMode": method}),
                _ => json!({"tap_stream_id": stream, "replication_method": method}),
            };
            binding(resource, &[stream], &[key])
        };
        self.streams.iter().map(of).collect()
    }

    fn play(&self, read: &[u8]) -> Run {
        let read = String::from_utf8_lossy(read);
        let found = repository("fixtures").join(self.protocol).join(self.folder).join("discover.json");
        let discover = std::fs::read_to_string(found).unwrap_or_default();
        let files = [("read.jsonl", &*read), ("spec.jsonl", SPEC), ("discover.json", &discover)];
        let yaml = format!("protocol: {}\ncommand: [flow-shim, replay, FOLDER]\n", self.protocol);
        Connector::shim(&yaml, &files).run(&[open(json!({}), &self.bindings(), json!({}))])
    }

    fn left(&self, run: &Run) -> Left {
        let committed = run.responses.len() - run.uncommitted();
        let mut collections = vec![BTreeMap::new(); self.streams.len()];
        let mut states = vec![vec!["null".to_owned()]; self.streams.len() + 1];
        let mut state = json!({});
        for message in &run.responses[..committed] {
            if let Some(captured) = message.get("captured") {
                let binding = usize::try_from(captured["binding"].as_u64().unwrap_or(0)).expect("small");
                let mut row = captured["doc"].clone();
                row.as_object_mut().and_then(|row| row.shift_remove("_meta"));
                if let Some(key) = row.pointer(self.streams[binding].2).map(Value::to_string) {
                    collections[binding].insert(key, row.to_string());
                } else {
                    let times = collections[binding].entry(row.to_string()).or_insert_with(String::new);
                    times.push('I');
                }
            } else if let Some(checkpoint) = message.get("checkpoint") {
                state = crate::flow_model::reduce(state, std::slice::from_ref(checkpoint));
                let now = self.streams.iter().map(|(stream, ..)| &state["bindingStateV1"][stream]["state"]);
                for (states, now) in states.iter_mut().zip(now.chain([&state["shared"]])) {
                    states.push(now.to_string());
                }
            }
        }
        Left { collections, states }
    }

    /// What a failure or a warning may call this line by: the stream's name, if it stands in what is
    /// left of the line; else any stream's, as the last record before it tells, if there was one.
    fn names<'a>(&'a self, mutation: Mutation, lines: &[&str], at: usize, stream: &'a str) -> Vec<&'a str> {
        let left = match mutation {
            Mutation::Truncate | Mutation::End | Mutation::Split => lines[at].get(..lines[at].len() / 2),
            Mutation::TruncateEarly => lines[at].get(..10),
            _ => Some(lines[at]),
        };
        if !stream.is_empty() && left.is_none_or(|left| left.contains(&format!("\"{stream}\""))) {
            return vec![stream];
        }
        let is_record = |line: &&str| kind(&serde_json::from_str(line).unwrap_or_default()).0 == "RECORD";
        if lines[..at].iter().any(is_record) {
            self.streams.iter().map(|(name, ..)| *name).chain(["all streams"]).collect()
        } else {
            vec!["upstream"]
        }
    }

    fn outcome(&self, run: &Run, names: &[&str], undisturbed: &Left) -> Outcome {
        let names = |text: &str| names.iter().any(|name| text.contains(name));
        if run.code != 0 {
            let last = run.logs.last().expect("last words").to_string();
            return if names(&last) { Outcome::Failed } else { Outcome::FailedNamelessly };
        }
        let left = self.left(run);
        let passed = |(states, known): (&Vec<String>, &Vec<String>)| {
            states.last().is_some_and(|last| known.contains(last))
        };
        let warnings = run.logs.iter().filter(|log| log["level"] == "warn").map(Value::to_string);
        if warnings.into_iter().any(|warning| names(&warning)) {
            Outcome::Warned
        } else if left.collections == undisturbed.collections
            && left.states.iter().zip(&undisturbed.states).all(passed)
        {
            Outcome::Harmless
        } else {
            Outcome::Silent
        }
    }

    /// Lines worth a mutation: of each kind and stream the first, one in the middle, and the last.
    fn chosen(lines: &[&str]) -> BTreeMap<usize, (String, String)> {
        let mut kinds: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
        for (at, line) in lines.iter().enumerate() {
            let message: Value = serde_json::from_str(line).unwrap_or_default();
            kinds.entry(kind(&message)).or_default().push(at);
        }
        let places = |places: &Vec<usize>| [places[0], places[places.len() / 2], places[places.len() - 1]];
        kinds.iter().flat_map(|(kind, all)| places(all).map(|at| (at, kind.clone()))).collect()
    }

    fn mutate(&self) {
        let text = self.text();
        let lines: Vec<&str> = text.lines().collect();
        let whole = self.play(text.as_bytes()).succeeded();
        let undisturbed = self.left(&whole);
        let all: Vec<&str> = self.streams.iter().map(|(name, ..)| *name).chain(["all streams"]).collect();
        assert_eq!(self.outcome(&whole, &all, &undisturbed), Outcome::Harmless, "nothing was done to it");
        let mut table: BTreeMap<(Mutation, String, Outcome), usize> = BTreeMap::new();
        let mut wrong = Vec::new();
        for (at, (kind, stream)) in Self::chosen(&lines) {
            for mutation in MUTATIONS {
                let Some(text) = mutation.of(&lines, at) else { continue };
                let run = self.play(&text);
                let names = self.names(mutation, &lines, at, &stream);
                let outcome = self.outcome(&run, &names, &undisturbed);
                *table.entry((mutation, kind.clone(), outcome)).or_default() += 1;
                let is_known = outcome == Outcome::Silent && self.is_unknowable(mutation, &kind, &stream);
                if outcome > Outcome::Harmless && !is_known {
                    wrong.push(format!(
                        "{mutation:?} of line {} ({kind} of {stream:?}): {outcome:?}; last log {:?}",
                        at + 1,
                        run.logs.last()
                    ));
                }
            }
        }
        let table: Vec<String> = table
            .iter()
            .map(|((how, kind, outcome), times)| format!("{how:?} {kind}: {times} × {outcome:?}"))
            .collect();
        let is_lost = |line: &String| line.starts_with("Drop RECORD:") && line.ends_with("Silent");
        let is_ever_lost = table.iter().any(is_lost);
        let table = format!("{}:\n{}", self.folder, table.join("\n"));
        assert!(wrong.is_empty(), "{}\n\n{table}", wrong.join("\n"));
        // What is called unknowable is so: a count that a source prints one day would be noticed here.
        assert_eq!(is_ever_lost, !self.counts, "{table}");
    }

    /// Changes that leave a run which another table would have given rise to. Without counts nobody
    /// can know of a record that it was there: each is a line of its own, with no number. And a table
    /// without a key may hold a row twice.
    fn is_unknowable(&self, mutation: Mutation, kind: &str, stream: &str) -> bool {
        let is_keyless = self.streams.iter().any(|(name, _, key)| name.ends_with(stream) && *key == FALLBACK);
        let doubles = mutation == Mutation::Duplicate && is_keyless;
        !self.counts && kind == "RECORD" && (mutation == Mutation::Drop || doubles)
    }
}

/// The kind of a message, and the stream that it is about; none where it is about several.
fn kind(message: &Value) -> (String, String) {
    let mut kind = message["type"].as_str().unwrap_or("text").to_owned();
    if let Some(status) = message["trace"]["stream_status"]["status"].as_str() {
        kind = format!("{kind} {status}");
    }
    let places = [
        "/stream",
        "/record/stream",
        "/state/stream/stream_descriptor/name",
        "/trace/stream_status/stream_descriptor/name",
    ];
    let stream = places.iter().find_map(|place| message.pointer(place).and_then(Value::as_str));
    (kind, stream.unwrap_or_default().to_owned())
}

#[test]
fn airbyte_api() {
    let streams = &[
        ("items", "incremental", "/id"),
        ("tags", "full_refresh", FALLBACK),
        ("empty", "full_refresh", "/id"),
    ];
    Recording { protocol: "airbyte", folder: "declarative-manifest-cdk7", counts: true, streams }.mutate();
}

#[test]
fn airbyte_files() {
    let streams = &[
        ("users", "incremental", FALLBACK),
        ("events", "incremental", FALLBACK),
        ("pq", "incremental", FALLBACK),
    ];
    Recording { protocol: "airbyte", folder: "s3", counts: true, streams }.mutate();
}

#[test]
fn airbyte_without_states() {
    Recording {
        protocol: "airbyte",
        folder: "file",
        counts: false,
        streams: &[("users", "full_refresh", "/key")],
    }
    .mutate();
}

#[test]
fn singer_api() {
    let streams = &[("events", "FULL_TABLE", FALLBACK), ("users", "INCREMENTAL", "/id")];
    Recording { protocol: "singer", folder: "tap-rest-api-msdk", counts: false, streams }.mutate();
}

#[test]
fn singer_log() {
    let streams = &[("public-items", "LOG_BASED", "/id"), ("public-moves", "LOG_BASED", FALLBACK)];
    Recording { protocol: "singer", folder: "pipelinewise-tap-postgres-log-based", counts: false, streams }
        .mutate();
}

#[test]
fn singer_binlog() {
    let streams = &[("shop-items", "LOG_BASED", "/id"), ("shop-moves", "LOG_BASED", FALLBACK)];
    Recording { protocol: "singer", folder: "singer-io-tap-mysql-log-based", counts: false, streams }
        .mutate();
}
