//! Singer's batch files: which are read, and which are removed.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::harness::{Connector, Run, open, singer};

const UUID: &str = "d67ae742-f09b-4a6c-a4e6-fcce782949b3";

/// A tap whose sync does this. `write NAME TEXT` writes a file of the root, `batch STREAM PATH…` names files.
pub(crate) fn tap(yaml: &str, sync: &str) -> Connector {
    let script = format!(
        r#"
case "$*" in *--discover*) cat FOLDER/catalog.json; exit;; *--about*|*--help*) exit;; esac
schema() {{ echo "{{\"type\":\"SCHEMA\",\"stream\":\"$1\",\"schema\":{{}},\"key_properties\":[\"id\"]}}"; }}
batch() {{ stream=$1; shift; files=; for file; do files="$files,\"$file\""; done
echo "{{\"type\":\"BATCH\",\"stream\":\"$stream\",\"encoding\":{{\"format\":\"jsonl\"}},\"manifest\":[${{files#,}}]}}"; }}
state() {{ echo '{{"type":"STATE","value":{{"bookmarks":{{"users":{{"c":1}}}}}}}}'; }}
root=FOLDER/batches
write() {{ printf '%s\n' "$2" > "$root/$1"; }}
schema users
{sync}
"#
    );
    let yaml = format!(
        "protocol: singer\ncommand: [sh, FOLDER/tap.sh]\nconfig: {{schema: {{type: object}}}}\n{yaml}\n"
    );
    let entry = json!({"tap_stream_id": "users", "stream": "users", "key_properties": ["id"],
        "schema": {"properties": {"id": {"type": "integer"}}}, "metadata": []});
    let catalog = json!({"streams": [entry]}).to_string();
    let connector = Connector::shim(&yaml, &[("tap.sh", &script), ("catalog.json", &catalog)]);
    std::fs::create_dir(root(&connector)).expect("a folder");
    connector
}

fn root(connector: &Connector) -> PathBuf {
    Path::new(&connector.folder_path()).join("batches")
}

/// The request that reads its stream.
pub(crate) fn request(connector: &Connector) -> Value {
    let storage = json!({"root": format!("file://{}", root(connector).display())});
    let config = json!({"batch_config": {"encoding": {"format": "jsonl"}, "storage": storage}});
    open(config, &[singer("users", "INCREMENTAL")], json!({}))
}

fn read(sync: &str) -> (Run, Connector) {
    let connector = tap("", sync);
    (connector.run(&[request(&connector)]), connector)
}

fn ids(run: &Run) -> Vec<i64> {
    run.documents(0).iter().map(|document| document["id"].as_i64().expect("an id")).collect()
}

fn left(connector: &Connector) -> Vec<String> {
    let entries = std::fs::read_dir(root(connector)).expect("a folder");
    entries.map(|entry| entry.expect("a file").file_name().into_string().expect("UTF-8")).collect()
}

#[test]
fn new_files_below_the_root_are_read_and_removed() {
    let (run, connector) = read(
        "write a.json '{\"id\":1}'; write b.json '{\"id\":2,\"_sdc_deleted_at\":\"2024-01-01\"}'\n\
         printf '{\"id\":3}' | gzip > $root/c.json.gz\n\
         batch users file://$root/a.json file://localhost$root/b.json; batch users $root/c.json.gz; state",
    );
    let run = run.succeeded();
    assert_eq!(ids(&run), [1, 2, 3]);
    assert_eq!(run.documents(0)[1]["_meta"]["op"], "d");
    assert!(left(&connector).is_empty(), "{:?}", left(&connector));
}

#[test]
fn files_that_are_not_surely_the_taps_are_read_and_stay() {
    let connector = tap(
        "",
        "echo '{\"id\":9}' > FOLDER/outside.json; batch users FOLDER/outside.json $root/old.json; state",
    );
    let old = root(&connector).join("old.json");
    std::fs::write(&old, "{\"id\":8}").expect("written");
    let run = connector.run(&[request(&connector)]).succeeded();
    assert_eq!(ids(&run), [9, 8]);
    assert!(old.exists() && Path::new(&connector.folder_path()).join("outside.json").exists());
    assert!(run.logged(Some("warn"), "is not removed"), "{:?}", run.logs);
}

#[test]
fn without_a_root_in_the_config_nothing_is_removed() {
    let connector = tap("", "write a.json '{\"id\":1}'; batch users $root/a.json; state");
    let run = connector.run(&[open(json!({}), &[singer("users", "INCREMENTAL")], json!({}))]).succeeded();
    assert_eq!((ids(&run), left(&connector)), (vec![1], vec!["a.json".to_owned()]));
    assert!(run.logged(Some("warn"), "batch_config.storage.root"), "{:?}", run.logs);
}

#[test]
fn a_path_that_would_block_is_a_failure() {
    for path in ["$root/fifo", "$root", "/dev/tty", "/dev/zero"] {
        let (run, _) = read(&format!("mkfifo $root/fifo; batch users {path}; sleep 600"));
        let last = run.logs.last().expect("last words");
        assert_eq!(last["fields"]["code"], "batch-file", "{path}: {last}");
    }
}

#[test]
fn a_file_that_is_named_twice_is_read_once() {
    let (run, _) = read(
        "write a.json '{\"id\":1}'; batch users $root/a.json $root/a.json; batch users $root/a.json; state",
    );
    let run = run.succeeded();
    assert_eq!(ids(&run), [1]);
    assert!(run.logged(Some("warn"), "twice"), "{:?}", run.logs);
}

#[test]
fn a_missing_file_is_a_failure() {
    let (run, _) = read("batch users $root/none.json; state");
    assert_eq!(run.logs.last().expect("last words")["fields"]["code"], "batch-file");
}

#[test]
fn files_of_unbound_streams_and_behind_a_failure_do_not_pile_up() {
    let sdks = |stream: &str, number: u32| format!("tap--{stream}-{UUID}-{number}.json.gz");
    let (run, connector) = read(&format!(
        "write other.json '{{\"id\":1}}'; write {} '{{'; write {} '{{\"id\":2}}'; write notes.json x\n\
         batch orders $root/other.json; batch users $root/{}; sleep 600",
        sdks("users", 1),
        sdks("users", 2),
        sdks("users", 1),
    ));
    assert_eq!(run.logs.last().expect("last words")["fields"]["code"], "batch-file");
    assert_eq!(left(&connector), ["notes.json"], "what is not named as the SDK names stays");
}

#[test]
fn what_a_killed_session_left_is_removed_by_the_next() {
    let name = format!("tap--users-{UUID}-7.json.gz");
    let connector = tap(
        "",
        &format!(
            "[ -e FOLDER/again ] && {{ state; exit; }}\nwrite {name} '{{\"id\":1}}'; state; exec sleep 600"
        ),
    );
    let mut shim = connector.command().stderr(Stdio::null()).spawn().expect("the program starts");
    let mut stdin = shim.stdin.take().expect("stdin");
    std::io::Write::write_all(&mut stdin, format!("{}\n", request(&connector)).as_bytes()).expect("written");
    let mut output = std::io::BufReader::new(shim.stdout.take().expect("stdout"));
    let mut line = String::new();
    while !line.contains("checkpoint") || !root(&connector).join(&name).exists() {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut output, &mut line).expect("a line") > 0);
    }
    shim.kill().expect("it is ours");
    shim.wait().expect("it ends");
    assert_eq!(left(&connector), [name]);
    std::fs::write(Path::new(&connector.folder_path()).join("again"), "").expect("written");
    connector.run(&[request(&connector)]).succeeded();
    assert!(left(&connector).is_empty());
}
