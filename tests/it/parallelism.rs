//! `read.parallelism`: several upstream processes, one output.

use serde_json::{Value, json};

use crate::harness::{Connector, Run, airbyte, open, singer};

const NAMES: [&str; 4] = ["users", "orders", "items", "visits"];

/// A source that prints, for each stream of its catalog, what the shell function `stream` does. To wait
/// for a file is given up after half a minute or so, as a failure of the source.
fn source(protocol: &str, yaml: &str, stream: &str) -> Connector {
    let script = format!(
        r#"
case "$*" in
spec) echo '{{"type":"SPEC","spec":{{"connectionSpecification":{{"type":"object"}}}}}}'; exit 0;;
--about*) echo '{{"settings":{{}}}}'; exit 0;;
*--discover*) cat FOLDER/catalog.json; exit 0;;
esac
for argument; do case "$last" in --catalog) catalog=$argument;; --state) state=$argument;; esac; last=$argument; done
echo "$$" >> FOLDER/processes
record() {{ echo "{{\"type\":\"RECORD\",\"record\":{{\"stream\":\"$1\",\"data\":{{\"id\":$2}},\"emitted_at\":1}}}}"; }}
state() {{ echo "{{\"type\":\"STATE\",\"state\":{{\"type\":\"STREAM\",\"stream\":{{\"stream_descriptor\":{{\"name\":\"$1\"}},\"stream_state\":{{\"c\":$2}}}}}}}}"; }}
await() {{ turns=0; while [ ! -e "FOLDER/$1" ]; do turns=$((turns + 1)); [ $turns -lt 3000 ] || exit 9; sleep 0.01; done; }}
stream() {{
{stream}
}}
if [ -n "$ALL" ]; then all; exit; fi
for name in $(grep -o '"name":"[a-z]*"' "$catalog" | cut -d'"' -f4); do stream "$name" || exit 1; done
"#
    );
    let yaml = format!("protocol: {protocol}\ncommand: [sh, FOLDER/source.sh]\n{yaml}\n");
    Connector::shim(&yaml, &[("source.sh", &script)])
}

fn bindings(mode: &str) -> Vec<Value> {
    NAMES.iter().map(|name| airbyte(name, mode)).collect()
}

fn processes(connector: &Connector) -> usize {
    let text = std::fs::read_to_string(format!("{}/processes", connector.folder_path())).unwrap_or_default();
    text.lines().count()
}

/// Each checkpoint follows documents of one stream, and names that stream alone.
fn assert_transactions_are_whole(run: &Run) {
    let mut bindings: Vec<u64> = Vec::new();
    for response in &run.responses {
        if let Some(captured) = response.get("captured") {
            bindings.push(captured["binding"].as_u64().unwrap_or(0));
        }
        if let Some(checkpoint) = response.get("checkpoint") {
            let named = checkpoint["state"]["updated"]["bindingStateV1"].as_object();
            let named: Vec<&str> = named.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
            bindings.dedup();
            let read: Vec<&str> =
                bindings.drain(..).map(|binding| NAMES[usize::try_from(binding).expect("few")]).collect();
            if !read.is_empty() {
                assert_eq!(read, named);
            }
        }
    }
    assert!(bindings.is_empty(), "documents without a checkpoint");
}

/// Ends only if all four streams are read at once; their records are printed in turns.
const TURNS: &str = r#"
touch "FOLDER/$1"
for other in users orders items visits; do await $other; done
for id in 1 2 3; do record $1 $((id * 2)); touch "FOLDER/$1.$id"
  for other in users orders items visits; do await $other.$id; done
  record $1 $((id * 2 + 1)); state $1 $id; done
"#;

#[test]
fn streams_are_read_side_by_side_in_whole_transactions() {
    let connector = source("airbyte", "read: {parallelism: 4}\nstate: {format: stream}", TURNS);
    let run = connector.run(&[open(json!({}), &bindings("incremental"), json!({}))]).succeeded();
    assert_eq!(processes(&connector), 4);
    assert_transactions_are_whole(&run);
    let state = run.state(json!({}));
    for (binding, name) in NAMES.iter().enumerate() {
        assert_eq!(run.documents(binding as u64).len(), 6, "{name}");
        assert_eq!(state["bindingStateV1"][name]["rowId"], 6, "{state}");
    }
}

#[test]
fn all_processes_start_before_the_form_of_the_state_is_known() {
    let connector = source("airbyte", "read: {parallelism: 4}", TURNS);
    let run = connector.run(&[open(json!({}), &bindings("incremental"), json!({}))]).succeeded();
    assert_eq!((processes(&connector), run.documents(0).len()), (4, 6));
    assert_transactions_are_whole(&run);
}

#[test]
fn nothing_of_the_others_goes_out_before_the_form_of_the_state_is_known() {
    // Far more than any buffer holds; the first stream is slow, and then has a state of all streams.
    let stream = r#"
if [ $1 != users ]; then yes "$(record $1 1)" | head -c 20000000; exit; fi
sleep 1; record users 1
echo "{\"type\":\"STATE\",\"state\":{\"type\":\"GLOBAL\",\"global\":{\"shared_state\":{\"lsn\":1},\"stream_states\":[]}}}"
"#;
    let all = r#":; }
stream_of() {
for name in $(grep -o '"name":"[a-z]*"' "$catalog" | cut -d'"' -f4); do record $name 1; done
echo "{\"type\":\"STATE\",\"state\":{\"type\":\"GLOBAL\",\"global\":{\"shared_state\":{\"lsn\":1},\"stream_states\":[]}}}"
}
all() { if [ $(grep -o '"name":"[a-z]*"' "$catalog" | wc -l) = 4 ]; then stream_of; exit; fi
name=$(grep -o '"name":"[a-z]*"' "$catalog" | cut -d'"' -f4); one $name
}
one() {
{STREAM}"#
    .replace("{STREAM}", stream);
    let connector = source("airbyte", "read: {parallelism: 4}", &all).variable("ALL", "1");
    let run = connector.run(&[open(json!({}), &bindings("incremental"), json!({}))]).succeeded();
    for binding in 0..4 {
        assert_eq!(run.documents(binding).len(), 1, "only what was read together went out");
    }
    assert!(!run.logged(None, "reading a stream failed"), "{:?}", run.logs);
}

#[test]
fn a_stream_that_fails_before_the_form_of_the_state_is_known_counts() {
    let stream = "[ $1 = orders ] && exit 3; await failed; record $1 1; state $1 1";
    let connector = source(
        "airbyte",
        "read: {parallelism: 2}",
        &format!("[ $1 = orders ] && touch FOLDER/failed\n{stream}"),
    );
    let run = connector.run(&[open(json!({}), &bindings("incremental"), json!({}))]);
    assert_ne!(run.code, 0);
    assert!(run.logged(Some("warn"), "reading a stream failed"), "{:?}", run.logs);
    let documents: Vec<usize> = (0..4).map(|binding| run.documents(binding).len()).collect();
    assert_eq!(documents, [1, 0, 1, 1]);
}

#[test]
fn a_source_with_one_state_for_all_is_read_by_one_process() {
    let global = r#"
record $1 1
echo "{\"type\":\"STATE\",\"state\":{\"type\":\"GLOBAL\",\"global\":{\"shared_state\":{\"lsn\":1},\"stream_states\":[{\"stream_descriptor\":{\"name\":\"$1\"},\"stream_state\":{\"c\":1}}]}}}"
"#;
    let connector = source("airbyte", "read: {parallelism: 4}", global);
    let run = connector.run(&[open(json!({}), &bindings("incremental"), json!({}))]).succeeded();
    // Those that were started to find out may end before they say that they were.
    let before = processes(&connector);
    assert!((2..=5).contains(&before), "{before}");
    for binding in 0..4 {
        assert_eq!(run.documents(binding).len(), 1, "nothing of the first process went out");
    }
    let again = connector.run(&[open(json!({}), &bindings("incremental"), run.state(json!({})))]).succeeded();
    assert_eq!((processes(&connector), again.documents(3).len()), (before + 1, 1));
}

#[test]
fn the_others_are_read_to_their_end_when_one_fails() {
    let stream = r"
record $1 1; state $1 1
if [ $1 = users ]; then record users 2; touch FOLDER/failed; exit 1; fi
await failed; record $1 2; state $1 2
";
    let connector = source("airbyte", "read: {parallelism: 2}\nstate: {format: stream}", stream);
    let run = connector.run(&[open(json!({}), &bindings("incremental"), json!({}))]);
    assert_ne!(run.code, 0);
    assert!(run.last_words().contains("users"), "{}", run.last_words());
    assert_transactions_are_whole(&run);
    let documents: Vec<usize> = (0..4).map(|binding| run.documents(binding).len()).collect();
    assert_eq!(documents, [1, 2, 2, 2], "what no state followed is not committed by others");
}

#[test]
fn full_refreshes_side_by_side_end_as_they_do_alone() {
    let stream = r"for id in 1 2 3; do record $1 $id; done";
    let by_place = |name: &&str| {
        let mut binding = airbyte(name, "full_refresh");
        binding["collection"]["key"] = json!(["/_meta/row_id"]);
        binding
    };
    let bindings: Vec<Value> = NAMES.iter().map(by_place).collect();
    let connector = source("airbyte", "read: {parallelism: 3}", stream);
    let first = connector.run(&[open(json!({}), &bindings, json!({}))]).succeeded();
    assert_eq!(first.all("captured").len(), 12);
    assert_transactions_are_whole(&first);
    let again = connector.run(&[open(json!({}), &bindings, first.state(json!({})))]).succeeded();
    assert_eq!(again.all("captured").len(), 0, "nothing has changed");
    assert_eq!(processes(&connector), 8);
}

#[test]
fn a_tap_that_keeps_bookmarks_is_read_side_by_side() {
    let all = r#":; }
all() {
for name in users orders; do
  if grep -o "\"tap_stream_id\":\"$name\".*" "$catalog" | grep -o '"selected":[a-z]*' | head -1 | grep -q true; then
    touch "FOLDER/$name"; [ $name = users ] && echo '{"type":"STATE","value":{"bookmarks":{"users":{"c":0}},"currently_syncing":"users"}}'
    await users; await orders
    echo "{\"type\":\"RECORD\",\"stream\":\"$name\",\"record\":{\"id\":1}}"
    echo "{\"type\":\"STATE\",\"value\":{\"bookmarks\":{\"$name\":{\"c\":1}},\"currently_syncing\":\"$name\"}}"
  fi
done
"#;
    let connector = source("singer", "read: {parallelism: 2}", all).variable("ALL", "1");
    let stream = |name: &str| json!({"tap_stream_id": name, "stream": name, "key_properties": ["id"], "schema": {"properties": {"id": {"type": "integer"}}}, "metadata": []});
    let catalog = json!({"streams": [stream("users"), stream("orders")]}).to_string();
    std::fs::write(format!("{}/catalog.json", connector.folder_path()), catalog).expect("written");
    let bindings = [singer("users", "INCREMENTAL"), singer("orders", "INCREMENTAL")];
    let run = connector.run(&[open(json!({}), &bindings, json!({}))]).succeeded();
    assert_eq!((run.documents(0).len(), run.documents(1).len(), processes(&connector)), (1, 1, 2));
    let state = run.state(json!({}));
    assert_eq!(state["bindingStateV1"]["users"]["state"], json!([{"c": 1}]));
    assert_eq!(state["bindingStateV1"]["orders"]["state"], json!([{"c": 1}]));
    assert_eq!(state["shared"][0]["bookmarks"], json!({}));
}
