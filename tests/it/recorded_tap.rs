//! A recorded tap: plays a folder of `fixtures/singer`, keeps the files that it was given, and
//! compares both with what came out. Unlike `replay` it leaves nothing out of a recording.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Connector, Run, binding, open, repository, spec};

/// A tap that answers each call with the files of `$TAP`, and leaves the files that it was given in
/// `$SEEN`.
const PLAYER: &str = r#"
answer() {
  if [ -f "$TAP/$1.stderr.txt" ]; then cat "$TAP/$1.stderr.txt" >&2; fi
  if [ -f "$TAP/$1.$2" ]; then sed "s#<WORKDIR>#$SEEN#" "$TAP/$1.$2"; fi
  exit "$(cat "$TAP/$1.exit" 2>/dev/null || echo 0)"
}
case "$*" in
  *--about*)
    if [ -f "$TAP/about.json" ]; then answer about json; fi
    echo 'error: the following arguments are required: -c/--config' >&2; exit 2;;
  *--discover*) answer discover json;;
esac
lines=read
while [ $# -gt 0 ]; do
  case "$1" in
    --catalog) cp "$2" "$SEEN/catalog.json";;
    --state) cp "$2" "$SEEN/state.json"; [ "$(cat "$2")" = '{}' ] || lines=read-resumed;;
  esac
  shift
done
if [ -d "$TAP/batches" ]; then cp "$TAP"/batches/* "$SEEN/batches/"; fi
answer "$lines" jsonl
"#;

/// Such a tap.
pub(crate) struct Tap {
    pub(crate) recording: String,
    /// Where it leaves the files that it was given.
    pub(crate) seen: tempfile::TempDir,
}

impl Tap {
    pub(crate) fn new(name: &str) -> Self {
        let recording = repository("fixtures/singer").join(name).to_str().expect("UTF-8").to_owned();
        Self { recording, seen: tempfile::tempdir().expect("a folder") }
    }

    pub(crate) fn ask(&self, requests: &[Value]) -> Run {
        Connector::new(&["run", "--protocol", "singer", "--", "sh", "-c", PLAYER, "tap"])
            .variable("TAP", &self.recording)
            .variable("SEEN", self.seen.path().to_str().expect("UTF-8"))
            .run(requests)
    }

    pub(crate) fn discover(&self) -> Vec<Value> {
        let run = self.ask(&[spec(), discover_request()]);
        let bindings = run.succeeded().only("discovered")["bindings"].clone();
        bindings.as_array().expect("bindings").clone()
    }

    /// Reads streams, each with its replication method and key.
    pub(crate) fn read(&self, streams: &[(&str, &str, &str)], state: Value) -> Run {
        let bindings: Vec<Value> = streams
            .iter()
            .map(|&(id, method, key)| {
                let mut resource = json!({"tap_stream_id": id, "replication_method": method});
                if !key.is_empty() {
                    resource["replication_key"] = json!(key);
                }
                binding(resource, &[id], &["/_meta/row_id"])
            })
            .collect();
        let mut config = config();
        if Path::new(&self.recording).join("batches").exists() {
            let root = self.seen.path().join("batches");
            config["batch_config"] = json!({"storage": {"root": format!("file://{}", root.display())}});
        }
        self.ask(&[open(config, &bindings, state)])
    }

    /// A file that the last read was given.
    pub(crate) fn given(&self, file: &str) -> Value {
        read_json(&self.seen.path().join(file))
    }

    pub(crate) fn recorded(&self, file: &str) -> Value {
        read_json(&Path::new(&self.recording).join(file))
    }

    pub(crate) fn messages(&self, file: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(Path::new(&self.recording).join(file)).expect("a recording");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON")
}

/// Asks for the streams.
pub(crate) fn discover_request() -> Value {
    json!({"discover": {"config": config(), "name": "acmeCo/x"}})
}

/// Members that the recorded taps require, and no others.
pub(crate) fn config() -> Value {
    json!({"host": "127.0.0.1", "database": "shop", "user": "tapuser", "password": "fake-password-1", "streams": [], "api_url": "http://127.0.0.1"})
}

pub(crate) fn last_state(messages: &[Value]) -> Value {
    messages.iter().rfind(|message| message["type"] == "STATE").expect("a state")["value"].clone()
}

/// The documents of each binding are the records of its stream, in order, and nothing else.
pub(crate) fn assert_all_records(run: &Run, messages: &[Value], names: &[&str]) {
    for (index, name) in names.iter().enumerate() {
        let records: Vec<&Value> = messages
            .iter()
            .filter(|m| m["type"] == "RECORD" && m["stream"] == *name)
            .map(|m| &m["record"])
            .collect();
        let mut documents = run.documents(index as u64);
        for (row, document) in documents.iter_mut().enumerate() {
            let meta = document.as_object_mut().and_then(|d| d.shift_remove("_meta")).expect("_meta");
            assert_eq!(meta["row_id"], row, "{name}");
        }
        assert_eq!(documents.iter().collect::<Vec<_>>(), records, "{name}");
    }
}

/// What a catalog says of each stream: whether it is read, how, and by which key, in every place.
pub(crate) fn selection(catalog: &Value) -> Vec<(Value, bool, Vec<Value>)> {
    let entries = catalog["streams"].as_array().expect("streams");
    entries
        .iter()
        .map(|entry| {
            let root = root(entry);
            let selected = root["selected"] == true;
            let how = [
                &entry["stream"],
                &entry["replication_method"],
                &entry["replication_key"],
                &root["replication-method"],
                &root["replication-key"],
            ];
            let how = if selected { how.into_iter().cloned().collect() } else { Vec::new() };
            (entry["tap_stream_id"].clone(), selected, how)
        })
        .collect()
}

pub(crate) fn root(entry: &Value) -> &Value {
    let items = entry["metadata"].as_array().expect("metadata");
    let item = items.iter().find(|item| item["breadcrumb"] == json!([])).expect("the stream's own");
    &item["metadata"]
}

/// An entry without all that chooses.
fn unchosen(mut entry: Value) -> Value {
    let entry_members = entry.as_object_mut().expect("an entry");
    for name in ["replication_method", "replication_key", "stream"] {
        entry_members.shift_remove(name);
    }
    for item in entry["metadata"].as_array_mut().expect("metadata") {
        let metadata = item["metadata"].as_object_mut().expect("an object");
        for name in ["selected", "replication-method", "replication-key", "view-key-properties"] {
            metadata.shift_remove(name);
        }
    }
    entry
}

/// The tap got back all that it said, in its order.
pub(crate) fn assert_catalog_is_whole(tap: &Tap) {
    let entries = |catalog: Value| -> Vec<Value> {
        catalog["streams"].as_array().expect("streams").iter().cloned().map(unchosen).collect()
    };
    assert_eq!(entries(tap.given("catalog.json")), entries(tap.recorded("discover.json")));
}
