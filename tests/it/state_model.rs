//! Random states, backfills, additions, removals and crashes, against a model of Flow and of what
//! upstream said: it gets back what it said last of each binding, and nothing of one that begins.

use std::collections::{BTreeMap, BTreeSet};

use flow_shim::airbyte::Airbyte;
use flow_shim::capture::protocol::{BoundStream, DiscoveredStream, StreamId, UpstreamProtocol};
use flow_shim::capture::state::CaptureState;
use flow_shim::json::packed::Packed;
use flow_shim::singer::Singer;
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::flow_model;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// What upstream does, or what is done to the capture. Masks have a bit for each name.
#[derive(Debug, Clone)]
enum Step {
    /// A new session with these bindings, of which these are backfilled.
    Open { bound: u8, backfilled: u8 },
    /// A state message; `streams` says of which streams it speaks.
    Say { form: u8, streams: u8, seed: u32 },
    /// The last checkpoint never reached Flow; a new session follows.
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (1_u8..8, prop_oneof![3 => Just(0_u8), 1 => 0_u8..8])
            .prop_map(|(bound, backfilled)| Step::Open { bound, backfilled }),
        5 => (0_u8..3, 0_u8..8, any::<u32>()).prop_map(|(form, streams, seed)| Step::Say { form, streams, seed }),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 1..24)
}

/// How a stream's state came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Stream,
    Global,
    Legacy,
    Tap,
}

/// What upstream said last, as a reader of `docs/state.md` would expect it to be kept.
#[derive(Debug, Clone, Default)]
struct Model {
    /// By state key.
    said: BTreeMap<String, (Form, Value)>,
    /// State keys of which Flow holds an entry.
    known: BTreeSet<String>,
    shared: Option<Value>,
    /// Whether every binding of the session begins: what is shared ends with its first checkpoint.
    begins: bool,
}

impl Model {
    fn open(&mut self, keys: &[String]) {
        self.begins = !keys.iter().any(|key| self.known.contains(key));
    }

    fn shared(&self) -> Option<&Value> {
        self.shared.as_ref().filter(|_| !self.begins)
    }

    fn say(&mut self, keys: &[String], form: Form, states: &BTreeMap<usize, Value>, shared: Option<&Value>) {
        if std::mem::take(&mut self.begins) {
            self.shared = None;
        }
        if let Some(shared) = shared {
            self.shared = Some(shared.clone());
            self.known.extend(keys.iter().cloned());
        }
        match form {
            Form::Stream => {}
            Form::Global => self.said.retain(|_, (form, _)| *form == Form::Stream),
            Form::Legacy => self.said.clear(),
            Form::Tap => self.said.retain(|key, _| !keys.contains(key)),
        }
        for (&stream, state) in states {
            self.said.insert(keys[stream].clone(), (form, state.clone()));
            self.known.insert(keys[stream].clone());
        }
    }
}

/// One protocol, as the test needs it.
trait Side {
    type Protocol: UpstreamProtocol;
    fn protocol() -> Self::Protocol;
    /// A message of this form, and what it says.
    fn message(form: u8, states: &BTreeMap<&str, Value>, seed: u32) -> (Form, Value, Option<Value>);
    /// The states in a state file, by name, and what is shared.
    fn read(file: &Value) -> (BTreeMap<String, Value>, Option<Value>);
}

struct AirbyteSide;

impl Side for AirbyteSide {
    type Protocol = Airbyte;

    fn protocol() -> Airbyte {
        Airbyte::default()
    }

    fn message(form: u8, states: &BTreeMap<&str, Value>, seed: u32) -> (Form, Value, Option<Value>) {
        let part = |(name, state): (&&str, &Value)| json!({"stream_descriptor": {"name": name}, "stream_state": state});
        let shared = json!({"lsn": seed, "none": null});
        match (form, states.iter().next()) {
            (0, Some(first)) if states.len() == 1 => {
                (Form::Stream, json!({"type": "STREAM", "stream": part(first)}), None)
            }
            (1, _) => {
                let all: Vec<Value> = states.iter().map(part).collect();
                let global = json!({"shared_state": shared, "stream_states": all});
                (Form::Global, json!({"type": "GLOBAL", "global": global}), Some(shared))
            }
            _ => {
                let mut data = states
                    .iter()
                    .map(|(name, state)| ((*name).to_owned(), state.clone()))
                    .collect::<Map<_, _>>();
                data.insert("version".to_owned(), shared.clone());
                (Form::Legacy, json!({"type": "LEGACY", "data": data}), Some(shared))
            }
        }
    }

    fn read(file: &Value) -> (BTreeMap<String, Value>, Option<Value>) {
        let mut states = BTreeMap::new();
        let mut shared = None;
        if let Some(data) = file.as_object() {
            states.extend(data.clone());
            shared = states.remove("version");
        }
        for message in file.as_array().into_iter().flatten() {
            let one = std::slice::from_ref(&message["stream"]).iter();
            let several = message["global"]["stream_states"].as_array().into_iter().flatten();
            for part in one.chain(several).filter(|part| !part.is_null()) {
                let name = part["stream_descriptor"]["name"].as_str().expect("a name").to_owned();
                assert!(
                    states.insert(name, part["stream_state"].clone()).is_none(),
                    "each stream once: {file}"
                );
            }
            shared = message["global"].get("shared_state").cloned().or(shared);
        }
        (states, shared)
    }
}

struct SingerSide;

impl Side for SingerSide {
    type Protocol = Singer;

    fn protocol() -> Singer {
        Singer::default()
    }

    fn message(form: u8, states: &BTreeMap<&str, Value>, seed: u32) -> (Form, Value, Option<Value>) {
        let members: Map<String, Value> =
            states.iter().map(|(name, state)| ((*name).to_owned(), state.clone())).collect();
        let shared = json!({"n": seed, "none": null});
        let value = if form == 0 || members.is_empty() {
            let mut flat = members;
            flat.insert("version".to_owned(), shared.clone());
            Value::Object(flat)
        } else {
            json!({"bookmarks": members, "currently_syncing": NAMES[seed as usize % 3], "version": shared})
        };
        (Form::Tap, value, Some(shared))
    }

    fn read(file: &Value) -> (BTreeMap<String, Value>, Option<Value>) {
        let members = file["bookmarks"].as_object().or(file.as_object()).cloned().unwrap_or_default();
        let mut states: BTreeMap<String, Value> = members.into_iter().collect();
        states.remove("version");
        if let Some(name) = file["currently_syncing"].as_str() {
            assert!(states.contains_key(name), "a stream that begins is not being read: {file}");
        }
        (states, file.get("version").cloned())
    }
}

/// A session: its state keys, and the state between Flow and upstream.
struct Session {
    names: Vec<&'static str>,
    keys: Vec<String>,
    streams: Vec<BoundStream>,
    state: CaptureState,
}

fn session<S: Side>(bound: u8, versions: [u32; 3], flow: &Value) -> Session {
    let names: Vec<&str> = (0..3).filter(|n| bound & (1 << n) != 0).map(|n| NAMES[n]).collect();
    let key = |name: &&str| {
        let version = versions[NAMES.iter().position(|other| other == name).expect("known")];
        if version == 0 { (*name).to_owned() } else { format!("{name}.v{version}") }
    };
    let keys: Vec<String> = names.iter().map(key).collect();
    let stream = |name: &&str| BoundStream {
        binding: 0,
        id: StreamId { namespace: None, name: (*name).to_owned() },
        resource_config: json!({"stream": name, "tap_stream_id": name, "syncMode": "incremental", "replication_method": "FULL_TABLE"}),
        key: Vec::new(),
        schema: Packed::from(&json!({"type": "object"})),
        is_sourced: false,
        source_stream: None,
        fields: None,
    };
    let state = CaptureState::open(flow.to_string().as_bytes(), &keys).expect("our own state");
    Session { streams: names.iter().map(stream).collect(), names, keys, state }
}

impl Session {
    /// What upstream is given, against what the model expects.
    fn check<S: Side>(&self, model: &Model) {
        let discovered: Vec<DiscoveredStream> = NAMES.iter().map(|name| offered(name)).collect();
        let plan =
            S::protocol().read_plan(&json!({}), &self.streams, Some(&discovered), &self.state.stored());
        let files = plan.expect("a plan").invocation.files;
        let file = files.iter().find(|file| file.name == "state.json");
        let file = file.map_or(Value::Null, |file| serde_json::from_slice(&file.content).expect("JSON"));
        let (states, shared) = S::read(&file);
        let expected: BTreeMap<String, Value> = self
            .names
            .iter()
            .zip(&self.keys)
            .filter_map(|(name, key)| Some(((*name).to_owned(), model.said.get(key)?.1.clone())))
            .collect();
        assert_eq!(states, expected, "{file} for {:?}", self.keys);
        let forms: Vec<Form> = self.keys.iter().filter_map(|key| Some(model.said.get(key)?.0)).collect();
        if forms.is_empty() || !forms.contains(&Form::Stream) {
            assert_eq!(shared.as_ref(), model.shared(), "{file} for {:?}", self.keys);
        } else if shared.is_some() {
            assert_eq!(shared.as_ref(), model.shared(), "{file}");
        }
    }
}

fn offered(name: &str) -> DiscoveredStream {
    DiscoveredStream {
        id: StreamId { namespace: None, name: name.to_owned() },
        recommended_name: name.to_owned(),
        resource_config: json!({}),
        resource_path: vec![name.to_owned()],
        key: Vec::new(),
        schema: Packed::from(&json!({"type": "object"})),
        source_stream: Some(Packed::from(
            &json!({"name": name, "stream": name, "tap_stream_id": name, "schema": {}, "metadata": []}),
        )),
        enabled: true,
        partial_updates: false,
    }
}

fn play<S: Side>(steps: &[Step]) {
    let (mut versions, mut bound) = ([0_u32; 3], 7_u8);
    let (mut flow, mut model) = (json!({}), Model::default());
    let mut current = session::<S>(bound, versions, &flow);
    // What holds if the last checkpoint is lost.
    let mut before = (flow.clone(), model.clone());
    // Checkpoints that Flow folds into one transaction.
    let mut transaction: Vec<Value> = Vec::new();
    for step in steps {
        match step {
            Step::Say { form, streams, seed } => {
                let named: BTreeMap<usize, Value> = (0..current.names.len())
                    .filter(|&n| streams & (1 << n) != 0)
                    .map(|n| {
                        (n, json!({"c": seed % 1_000, "at": null, "n": n, format!("m{}", seed % 3): [null]}))
                    })
                    .collect();
                let by_name = named.iter().map(|(&n, state)| (current.names[n], state.clone())).collect();
                let (form, message, shared) = S::message(*form, &by_name, *seed);
                let message = RawValue::from_string(message.to_string()).expect("JSON");
                let update = S::protocol().split_state(&message, &current.streams).expect("a state");
                before = (settle(&flow, &transaction), model.clone());
                current.state.update(update);
                let patch: Value = serde_json::from_slice(&current.state.patch()).expect("JSON");
                transaction.push(patch);
                model.say(&current.keys, form, &named, shared.as_ref());
                current.check::<S>(&model);
            }
            Step::Open { bound: next, backfilled } => {
                flow = settle(&flow, &transaction);
                for (n, version) in versions.iter_mut().enumerate() {
                    *version += u32::from(backfilled & (1 << n) != 0);
                }
                bound = *next;
                (transaction, current) = (Vec::new(), session::<S>(bound, versions, &flow));
                model.open(&current.keys);
                current.check::<S>(&model);
                before = (flow.clone(), model.clone());
            }
            Step::Crash => {
                (flow, model) = before.clone();
                (transaction, current) = (Vec::new(), session::<S>(bound, versions, &flow));
                model.open(&current.keys);
                current.check::<S>(&model);
                before = (flow.clone(), model.clone());
            }
        }
    }
}

/// Flow's state once these patches were committed as one transaction.
fn settle(flow: &Value, transaction: &[Value]) -> Value {
    let folded = transaction.iter().fold(json!({}), |folded, patch| flow_model::fold(folded, patch.clone()));
    flow_model::reduce(flow.clone(), &[json!({"state": {"updated": folded, "mergePatch": true}})])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_source_gets_back_what_it_said_last(steps in steps()) {
        play::<AirbyteSide>(&steps);
    }

    #[test]
    fn a_tap_gets_back_what_it_said_last(steps in steps()) {
        play::<SingerSide>(&steps);
    }
}
