//! Flow, as far as crashes go: it reads some messages, commits with each checkpoint, and forgets what
//! it read behind the last one. Holds collections reduced by key, and all documents ever committed.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use serde_json::{Map, Value};

use crate::flow_model;
use crate::harness::Connector;

/// A small generator of our own, so that a failure can be repeated.
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// One that differs from run to run.
    pub(crate) fn thrown() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        Self(u64::from(now.subsec_nanos()) | 1)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }
}

/// One collection, reduced by its key.
#[derive(Debug, Clone, Default)]
struct Collection {
    /// By key: when it was written, and the document.
    rows: BTreeMap<String, (u64, Value)>,
    /// When the truncating refresh under way began.
    begun: Option<u64>,
}

/// What Flow holds of a capture.
#[derive(Debug, Clone)]
pub(crate) struct Flow {
    /// Pointers of the key, by binding.
    keys: Vec<Vec<String>>,
    pub(crate) state: Value,
    collections: Vec<Collection>,
    /// How often each document was committed, with its binding in front.
    pub(crate) committed: HashMap<String, usize>,
    clock: u64,
}

impl Flow {
    /// Nothing, of a capture with these bindings.
    pub(crate) fn new(bindings: &[Value]) -> Self {
        let key = |binding: &Value| {
            let pointers = binding["collection"]["key"].as_array().expect("a key").iter();
            pointers.map(|pointer| pointer.as_str().expect("a pointer").to_owned()).collect()
        };
        Self {
            keys: bindings.iter().map(key).collect(),
            state: Value::Object(Map::new()),
            collections: vec![Collection::default(); bindings.len()],
            committed: HashMap::new(),
            clock: 0,
        }
    }

    /// A backfill: the collection begins anew.
    pub(crate) fn reset(&mut self, binding: usize) {
        self.collections[binding] = Collection::default();
    }

    /// Takes what was read: all up to the last checkpoint, and nothing behind it.
    pub(crate) fn commit(&mut self, read: &[Value]) {
        let Some(last) = read.iter().rposition(|message| message.get("checkpoint").is_some()) else { return };
        markers_stand_alone(&read[..=last]);
        for message in &read[..=last] {
            self.clock += 1;
            let binding = |part: &Value| {
                usize::try_from(part["binding"].as_u64().unwrap_or(0)).expect("a small number")
            };
            if let Some(captured) = message.get("captured") {
                self.document(binding(captured), &captured["doc"]);
            } else if let Some(begin) = message.get("backfillBegin") {
                let before = self.collections[binding(begin)].begun.replace(self.clock);
                assert!(before.is_none(), "a refresh that has begun begins again");
            } else if let Some(complete) = message.get("backfillComplete") {
                let collection = &mut self.collections[binding(complete)];
                let begun = collection.begun.take().expect("a refresh that is complete has begun");
                collection.rows.retain(|_, (written, _)| *written > begun);
            } else if let Some(checkpoint) = message.get("checkpoint") {
                self.state = flow_model::reduce(self.state.take(), std::slice::from_ref(checkpoint));
            }
        }
    }

    fn document(&mut self, binding: usize, document: &Value) {
        *self.committed.entry(format!("{binding} {document}")).or_default() += 1;
        let parts =
            self.keys[binding].iter().map(|pointer| document.pointer(pointer).expect("a key").to_string());
        let key = parts.collect::<Vec<_>>().join(" ");
        let rows = &mut self.collections[binding].rows;
        if document["_meta"]["op"] == "d" {
            rows.remove(&key);
        } else {
            rows.insert(key, (self.clock, document.clone()));
        }
    }

    /// The collections by key, without `_meta`: of keyed rows it may count otherwise after a crash.
    pub(crate) fn reduced(&self) -> Vec<BTreeMap<String, Value>> {
        let bare = |(key, (_, document)): (&String, &(u64, Value))| (key.clone(), without_meta(document));
        self.collections.iter().map(|collection| collection.rows.iter().map(bare).collect()).collect()
    }

    /// Documents, without `_meta`, that were committed there and never here.
    pub(crate) fn lacks(&self, other: &Self) -> Vec<String> {
        let bare = |text: &String| {
            let (binding, document) = text.split_once(' ').expect("a binding in front");
            format!("{binding} {}", without_meta(&serde_json::from_str(document).expect("JSON")))
        };
        let here: std::collections::HashSet<String> = self.committed.keys().map(bare).collect();
        other.committed.keys().map(bare).filter(|document| !here.contains(document)).collect()
    }
}

/// Asserts that each marker has a sequence of its own, as Flow demands (flow-protocol.md, R15).
fn markers_stand_alone(read: &[Value]) {
    let kind = |message: &Value| {
        message.as_object().and_then(|members| members.keys().next().cloned()).unwrap_or_default()
    };
    let kinds: Vec<String> = read.iter().map(kind).filter(|kind| kind != "opened").collect();
    for sequence in kinds.split(|kind| kind == "checkpoint") {
        let marker = sequence.iter().any(|kind| kind.starts_with("backfill"));
        assert!(!marker || sequence.len() == 1, "a marker in the sequence {sequence:?}");
    }
}

fn without_meta(document: &Value) -> Value {
    let mut document = document.clone();
    document.as_object_mut().and_then(|members| members.shift_remove("_meta"));
    document
}

/// Runs a session until so many messages were read, then kills the shim with SIGKILL. Gives what was
/// read: less, where the session ended before.
pub(crate) fn killed_after(connector: &Connector, request: &Value, messages: usize) -> Vec<Value> {
    let mut command = connector.command();
    let mut shim = command.stderr(Stdio::null()).spawn().expect("the program starts");
    let mut stdin = shim.stdin.take().expect("a pipe");
    // One that ends at once does not read; that shows in what it wrote.
    let _ = writeln!(stdin, "{request}");
    let lines = BufReader::new(shim.stdout.take().expect("a pipe")).lines();
    let read = lines.take(messages).map_while(Result::ok);
    let read = read.map(|line| serde_json::from_str(&line).expect("a whole message")).collect();
    shim.kill().expect("it is ours");
    shim.wait().expect("it ends");
    read
}
