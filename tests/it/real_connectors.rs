//! Real connectors from PyPI, through the embedded driver, against services on loopback.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;

use serde_json::{Value, json};

use crate::environment::{Api, Postgres, installed};
use crate::harness::{flow_shim, repository};

/// The driver on a shim's test.flow.yaml, with texts in it replaced.
struct Capture {
    folder: tempfile::TempDir,
    shim: &'static str,
}

impl Capture {
    fn of(shim: &'static str, replaced: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let source = repository("shims").join(shim).join("test.flow.yaml");
        let mut text = std::fs::read_to_string(source).expect("a test.flow.yaml");
        for (from, to) in replaced {
            assert!(text.contains(from), "{shim}/test.flow.yaml has no {from}");
            text = text.replace(from, to);
        }
        std::fs::write(folder.path().join("test.flow.yaml"), text).expect("written");
        Self { folder, shim }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let source = self.folder.path().join("test.flow.yaml");
        let mut command = flow_shim(arguments);
        command.arg("--source").arg(source).current_dir(repository("")).env("LOG_LEVEL", "warn");
        Run { output: command.output().expect("the program runs"), shim: self.shim }
    }

    /// One session to the connector's end, from this state.
    fn session(&self, state: &Value) -> Run {
        self.run(&["preview", "--sessions=-1", "--output-state", "--initial-state", &state.to_string()])
            .succeeded()
    }
}

struct Run {
    output: Output,
    shim: &'static str,
}

impl Run {
    fn succeeded(self) -> Self {
        assert!(self.output.status.success(), "{}", self.said());
        self
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    fn text(&self) -> String {
        String::from_utf8(self.output.stdout.clone()).expect("UTF-8")
    }

    fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    fn documents(&self, collection: &str) -> Vec<Value> {
        let name = format!("acmeCo/{}/{collection}", self.shim);
        self.lines().into_iter().filter(|line| line[0] == name.as_str()).map(|line| line[1].clone()).collect()
    }

    fn state(&self) -> Value {
        let last = self.lines().into_iter().rfind(|line| line[0] == "connectorState").expect("a state");
        last[1]["updated"].clone()
    }

    /// The message of the last log line, which is what Flow shows.
    fn last_words(&self) -> String {
        let said = self.said();
        let last = said.lines().rfind(|line| line.starts_with('{')).expect("a log line");
        serde_json::from_str::<Value>(last).expect("JSON")["message"].as_str().expect("a message").to_owned()
    }
}

fn ids(documents: &[Value]) -> BTreeSet<i64> {
    documents.iter().filter_map(|document| document["id"].as_i64()).collect()
}

#[test]
fn source_faker_is_discovered_read_and_resumed() {
    let Some(_) = installed("source-faker") else { return };
    let capture = Capture::of("source-faker", &[]);
    let bindings = capture.run(&["raw", "discover"]).succeeded().lines();
    let keys: BTreeMap<String, Value> = bindings
        .iter()
        .map(|b| (b["recommendedName"].as_str().expect("a name").to_owned(), b["key"].clone()))
        .collect();
    let id = json!(["/id"]);
    assert_eq!(keys, ["products", "purchases", "users"].map(|name| (name.to_owned(), id.clone())).into());
    let run = capture.run(&["preview", "--sessions", "1,1", "--output-state"]).succeeded();
    for stream in ["users", "products", "purchases"] {
        let documents = run.documents(stream);
        assert_eq!((documents.len(), ids(&documents).len()), (100, 100), "{stream}: each document once");
        assert_eq!(run.state()["bindingStateV1"][stream]["rowId"], 100, "{stream}");
    }
}

#[test]
fn a_declarative_source_is_read_and_resumed() {
    let Some(_) = installed("source-declarative-manifest") else { return };
    let Some(api) = Api::start() else { return };
    let capture = Capture::of("source-declarative-manifest", &[("http://127.0.0.1:18080", &api.url)]);
    let first = capture.session(&json!({}));
    assert_eq!(ids(&first.documents("items")).len(), 45);
    let second = capture.session(&first.state());
    // The cursor is inclusive: the last row comes again (airbyte-protocol.md, 5.1).
    assert!(second.documents("items").len() <= 1, "{:?}", second.documents("items").len());
}

/// Reads, changes the database, and reads on.
fn postgres(shim: &'static str) {
    let Some(_) = installed(shim) else { return };
    let Some(database) = Postgres::start() else { return };
    let port = database.port.to_string();
    let capture = Capture::of(shim, &[("port: 54329", &format!("port: {port}"))]);

    let discovered = capture.run(&["raw", "discover"]).succeeded().lines();
    let key_of = |name: &str| {
        let binding = discovered.iter().find(|binding| binding["recommendedName"] == name);
        binding.unwrap_or_else(|| panic!("{name} is discovered")).clone()
    };
    assert_eq!(key_of("public-order_lines")["key"], json!(["/order_id", "/line"]));
    assert_eq!(key_of("public-Odd Names")["key"], json!(["/Weird~1Name"]));
    let visits = key_of("public-visits");
    assert_eq!(visits["key"], json!(["/_meta/row_id"]));
    assert_eq!(visits["isFallbackKey"], Value::Null, "a snapshot deletes by it");

    let first = capture.session(&json!({}));
    assert_eq!(ids(&first.documents("orders")).len(), 50);
    let lines: BTreeSet<String> = first
        .documents("order-lines")
        .iter()
        .map(|line| format!("{}/{}", line["order_id"], line["line"]))
        .collect();
    assert_eq!(lines.len(), 40);
    assert_eq!(first.documents("visits").len(), 10, "true duplicates are rows of their own");
    assert_eq!(first.documents("odd-names")[0]["til~de"], "tilde");
    let text = first.text();
    assert!(text.contains("12345678901234567890123456.789012345678"), "numerics keep their digits");
    assert!(text.contains("9223372036854775807"));

    database.execute(
        "update orders set note = 'changed', updated_at = '2025-01-01' where id = 7;
         insert into orders values (51, 'new', 1, 'new', null, '2025-01-02', '2025-01-02');
         insert into stock values (6, 'article 6', 60, null); update stock set quantity = 11 where id = 1;
         delete from stock where id = 2",
    );
    let second = capture.session(&first.state());
    let orders = ids(&second.documents("orders"));
    assert!(orders.contains(&7) && orders.contains(&51) && orders.len() <= 4, "{orders:?}");
    let mut stock = first.documents("stock");
    stock.extend(second.documents("stock"));
    // What a collection keyed by id would hold.
    let mut rows: BTreeMap<i64, Value> = BTreeMap::new();
    for document in stock {
        let id = document["id"].as_i64().expect("a key");
        match document["_meta"]["op"].as_str() {
            Some("d") => rows.remove(&id),
            _ => rows.insert(id, document),
        };
    }
    assert_eq!(rows.keys().copied().collect::<Vec<_>>(), [1, 3, 4, 5, 6], "the deleted row is gone");
    assert_eq!(rows[&1]["quantity"], 11);
    let row_ids = |run: &Run| {
        run.documents("orders").iter().filter_map(|d| d["_meta"]["row_id"].as_i64()).collect::<Vec<_>>()
    };
    assert_eq!(
        row_ids(&second)[0],
        i64::try_from(first.documents("orders").len()).expect("few"),
        "row ids go on"
    );
}

#[test]
fn meltanolabs_tap_postgres_reads_tables_and_the_log() {
    postgres("tap-postgres-meltanolabs");
}

/// What Open warns of: after 30 s the tap confirms to the server what it has printed, whether or not
/// anybody kept it, and the server forgets it. Sessions that are shorter lose nothing.
#[test]
fn meltanolabs_tap_postgres_forgets_what_it_printed_longer_ago() {
    let shim = "tap-postgres-meltanolabs";
    let Some(_) = installed(shim) else { return };
    let Some(database) = Postgres::start() else { return };
    let port = format!("port: {}", database.port);
    let short = Capture::of(shim, &[("port: 54329", &port)]);
    let long = Capture::of(
        shim,
        &[
            ("port: 54329", port.as_str()),
            ("replication_max_run_seconds: 25", "replication_max_run_seconds: 90"),
            ("replication_idle_exit_seconds: 2", "replication_idle_exit_seconds: 45"),
        ],
    );
    let before = short.session(&json!({})).state();
    let changed = |run: &Run, id: i64| ids(&run.documents("stock")).contains(&id);
    database.execute("update stock set quantity = 11 where id = 1");
    assert!(changed(&short.session(&before), 1));
    assert!(changed(&short.session(&before), 1), "what was not committed comes again");
    database.execute("update stock set quantity = 33 where id = 3");
    let session = long.session(&before);
    assert!(changed(&session, 3));
    assert!(session.said().contains("replication_max_run_seconds"), "it was warned of: {}", session.said());
    assert!(!changed(&short.session(&before), 3), "the server has forgotten it");
}

#[test]
fn pipelinewise_tap_postgres_reads_tables_and_the_log() {
    postgres("tap-postgres-pipelinewise");
}

#[test]
fn a_wrong_password_is_told_and_not_shown() {
    let Some(_) = installed("tap-postgres-pipelinewise") else { return };
    let Some(database) = Postgres::start() else { return };
    let port = format!("port: {}", database.port);
    let replaced = [("port: 54329", port.as_str()), ("password: flow-secret", "password: n0t-the-0ne")];
    let run = Capture::of("tap-postgres-pipelinewise", &replaced).run(&["raw", "discover"]);
    assert!(!run.output.status.success());
    assert!(run.last_words().contains("password authentication failed"), "{}", run.last_words());
    assert!(!run.said().contains("n0t-the-0ne"), "{}", run.said());
    assert!(run.text().is_empty());
}

#[test]
fn a_table_that_is_gone_is_told() {
    let Some(_) = installed("tap-postgres-pipelinewise") else { return };
    let Some(database) = Postgres::start() else { return };
    let port = format!("port: {}", database.port);
    database.execute("drop table visits");
    let run = Capture::of("tap-postgres-pipelinewise", &[("port: 54329", &port)]).run(&["preview"]);
    assert!(!run.output.status.success());
    assert!(run.last_words().contains("public-visits"), "{}", run.last_words());
    assert!(run.text().is_empty(), "nothing is captured");
}
