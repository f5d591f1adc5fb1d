//! Shards: each reads its own bindings, and states survive splitting and joining.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::flow_model::Collection;
use crate::harness::{Connector, Run, airbyte, open};

const STREAMS: usize = 16;

/// A source whose streams have `ROWS` rows each, and go on behind the row that their state names.
const SOURCE: &str = r#"
[ "$1" = spec ] && { echo '{"type":"SPEC","spec":{"connectionSpecification":{"type":"object"}}}'; exit 0; }
for argument; do case "$last" in --catalog) catalog=$argument;; --state) state=$argument;; esac; last=$argument; done
for name in $(grep -o '"name":"s[0-9]*"' "$catalog" | cut -d'"' -f4); do
  row=0
  [ -n "$state" ] && row=$(grep -o "\"name\":\"$name\"},\"stream_state\":{\"row\":[0-9]*" "$state" | grep -o '[0-9]*$')
  for row in $(seq $((row + 1)) $ROWS); do
    echo "{\"type\":\"RECORD\",\"record\":{\"stream\":\"$name\",\"data\":{\"row\":$row},\"emitted_at\":1}}"
  done
  echo "{\"type\":\"STATE\",\"state\":{\"type\":\"STREAM\",\"stream\":{\"stream_descriptor\":{\"name\":\"$name\"},\"stream_state\":{\"row\":$ROWS}}}}"
done
"#;

/// A shard: its range, ends included, and its state.
#[derive(Clone)]
struct Shard {
    range: (u32, u32),
    state: Value,
}

impl Shard {
    fn whole() -> Self {
        Self { range: (0, u32::MAX), state: json!({}) }
    }

    /// Each child begins with the whole state of its parent.
    fn split(&self) -> [Shard; 2] {
        let (begin, end) = self.range;
        let middle = begin + (end - begin) / 2;
        [(begin, middle), (middle + 1, end)].map(|range| Shard { range, state: self.state.clone() })
    }

    fn read(&mut self, script: &str, bindings: &[Value], rows: u32) -> Run {
        let connector = Connector::new(&["run", "--protocol", "airbyte", "--", "sh", "-c", script, "source"]);
        let mut request = open(json!({}), bindings, self.state.clone());
        request["open"]["range"] = json!({"keyBegin": self.range.0, "keyEnd": self.range.1});
        let run = connector.variable("ROWS", &rows.to_string()).run(&[request]);
        self.state = run.state(self.state.clone());
        run
    }
}

fn bindings() -> Vec<Value> {
    let stream = |number| {
        let mut binding = airbyte(&format!("s{number}"), "incremental");
        binding["collection"]["key"] = json!(["/_meta/row_id"]);
        binding
    };
    (0..STREAMS).map(stream).collect()
}

/// Has each shard read; gives which shard read each binding, and checks that none was read twice.
fn read(shards: &mut [Shard], rows: u32, collections: &mut [Collection]) -> BTreeMap<usize, (usize, usize)> {
    let mut readers = BTreeMap::new();
    for (number, shard) in shards.iter_mut().enumerate() {
        let run = shard.read(SOURCE, &bindings(), rows).succeeded();
        for (binding, collection) in collections.iter_mut().enumerate() {
            let documents = run.documents(binding as u64).len();
            collection.commit(&run, binding as u64);
            if documents > 0 {
                assert!(
                    readers.insert(binding, (number, documents)).is_none(),
                    "binding {binding} was read twice"
                );
            }
        }
    }
    for collection in collections {
        let expected: Vec<Value> = (1..=rows).map(|row| json!({"row": row})).collect();
        assert_eq!(collection.rows(), expected, "each row is there once");
    }
    readers
}

#[test]
fn states_survive_splitting_and_joining() {
    let mut collections: Vec<Collection> = (0..STREAMS).map(|_| Collection::default()).collect();
    let mut one = [Shard::whole()];
    read(&mut one, 2, &mut collections);
    let mut two = one[0].split();
    let by_two = read(&mut two, 4, &mut collections);
    let mut four = two.each_ref().map(Shard::split).concat();
    let by_four = read(&mut four, 6, &mut collections);
    for readers in [&by_two, &by_four] {
        assert_eq!(readers.len(), STREAMS);
        assert!(
            readers.values().all(|(_, documents)| *documents == 2),
            "each goes on where it was: {readers:?}"
        );
    }
    assert!(by_four.iter().all(|(binding, (reader, _))| reader / 2 == by_two[binding].0));
    // A join keeps the state of one shard: what only the other had read comes once more, in its place.
    let mut joined =
        [0, 2].map(|first| Shard { range: two[first / 2].range, state: four[first].state.clone() });
    read(&mut joined, 8, &mut collections);
    let mut whole = [Shard { range: (0, u32::MAX), state: joined[1].state.clone() }];
    read(&mut whole, 9, &mut collections);
}

#[test]
fn a_shard_without_bindings_is_open_and_waits() {
    let mut shard = Shard { range: (7, 7), state: json!({}) };
    let run = shard.read(SOURCE, &bindings(), 3).succeeded();
    assert_eq!(run.responses, [json!({"opened": {}})]);
}

#[test]
fn one_state_for_all_streams_stays_with_the_first_shard() {
    let script = SOURCE.replace(
        r#"\"type\":\"STREAM\",\"stream\":{\"stream_descriptor\":{\"name\":\"$name\"},\"stream_state\":{\"row\":$ROWS}}"#,
        r#"\"type\":\"GLOBAL\",\"global\":{\"shared_state\":{\"lsn\":$ROWS},\"stream_states\":[]}"#,
    );
    assert_ne!(script, SOURCE);
    let mut whole = Shard::whole();
    whole.read(&script, &bindings(), 1).succeeded();
    let [mut first, mut second] = whole.split();
    assert_eq!(first.read(&script, &bindings(), 1).succeeded().all("captured").len(), STREAMS);
    assert_eq!(second.read(&script, &bindings(), 1).succeeded().all("captured").len(), 0);
    // Shards that began without knowing of it do not go their own ways.
    let run = Shard::whole().split()[0].clone().read(&script, &bindings(), 1);
    assert_eq!((run.code, run.all("checkpoint").len()), (4, 0), "{}", run.last_words());
    assert!(run.last_words().contains("join"), "{}", run.last_words());
}
