//! The campaign of crashes with real connectors: source-faker that changes each row each time, a
//! declarative source with partitions, and tap-mysql on a `MariaDB` whose rows change meanwhile.
//!
//! Not in `.ci/run`: `cargo test --test it -- --ignored --nocapture real_campaign`.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::campaign::prefix;
use crate::crash_model::{Dice, Flow, killed_after};
use crate::environment::{Api, impossible_here, installed, last_words};
use crate::harness::{Connector, airbyte, binding, open, repository, singer};

/// How often each capture is killed.
const KILLS: usize = 40;
/// A session prints about as many messages.
const LENGTH: usize = 150;

/// A capture of a real connector.
struct Capture {
    name: &'static str,
    connector: Connector,
    config: Value,
    bindings: Vec<Value>,
}

impl Capture {
    /// Of an installed shim, with the config of its `test.flow.yaml`.
    fn of(name: &'static str, bindings: &[Value]) -> Option<Self> {
        let shim = installed(name)?;
        let yaml = std::fs::read_to_string(shim.join("test.flow.yaml")).expect("a test.flow.yaml");
        let yaml: Value = serde_saphyr::from_str(&yaml).expect("YAML");
        let capture = yaml["captures"].as_object().expect("captures").values().next().expect("a capture");
        let config = capture["endpoint"]["local"]["config"].clone();
        let connector = Connector::new(&["run", "--shim", shim.to_str().expect("UTF-8")]);
        Some(Self { name, connector, config, bindings: bindings.to_vec() })
    }

    /// What Flow holds after all kills and an undisturbed session. `change` is done before each session.
    fn run(self, mut change: impl FnMut(&mut Dice)) -> Flow {
        let mut dice = Dice::thrown();
        let (seed, mut flow) = (dice.0, Flow::new(&self.bindings));
        for _ in 0..KILLS {
            change(&mut dice);
            let request = open(self.config.clone(), &self.bindings, flow.state.clone());
            let mut read = killed_after(&self.connector, &request, 1 + dice.below(LENGTH));
            prefix(&mut read, &mut dice);
            flow.commit(&read);
        }
        let last = self.connector.run(&[open(self.config, &self.bindings, flow.state.clone())]).succeeded();
        flow.commit(&last.responses);
        writeln!(std::io::stderr(), "{}: {KILLS} kills, seed {seed}", self.name).expect("stderr");
        flow
    }
}

/// The numbers in these members of all rows of a collection.
fn numbers(flow: &Flow, binding: usize, members: &[&str]) -> BTreeSet<Vec<i64>> {
    let reduced = flow.reduced().swap_remove(binding);
    let number = |row: &Value, member: &&str| row[*member].as_i64().expect("a number");
    reduced.values().map(|row| members.iter().map(|member| number(row, member)).collect()).collect()
}

#[test]
#[ignore = "a campaign takes minutes"]
fn rows_that_change_each_time() {
    let stream = |name: &&str| {
        let mut stream = airbyte(name, "incremental");
        stream["resourceConfig"]["cursorField"] = json!(["updated_at"]);
        stream
    };
    let bindings: Vec<Value> = ["users", "products", "purchases"].iter().map(stream).collect();
    let Some(mut capture) = Capture::of("source-faker", &bindings) else { return };
    capture.config["always_updated"] = json!(true);
    let flow = capture.run(|_| {});
    for binding in 0..3 {
        let expected: BTreeSet<Vec<i64>> = (1..=100).map(|id| vec![id]).collect();
        assert_eq!(numbers(&flow, binding, &["id"]), expected);
    }
}

#[test]
#[ignore = "a campaign takes minutes"]
fn partitions_of_a_manifest() {
    let Some(api) = Api::start() else { return };
    let visits =
        binding(json!({"stream": "visits", "syncMode": "incremental"}), &["visits"], &["/shop_id", "/visit"]);
    let Some(mut capture) =
        Capture::of("source-declarative-manifest", &[airbyte("items", "incremental"), visits])
    else {
        return;
    };
    capture.config["base_url"] = json!(api.url);
    let flow = capture.run(|_| {});
    assert_eq!(numbers(&flow, 0, &["id"]), (1..=45).map(|id| vec![id]).collect());
    let expected = (1..=3).flat_map(|shop| (1..4 + shop).map(move |visit| vec![shop, visit]));
    assert_eq!(numbers(&flow, 1, &["shop_id", "visit"]), expected.collect());
}

/// A server of the test's own.
struct MariaDb(tempfile::TempDir);

impl MariaDb {
    fn start(port: u16) -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("fs-my").tempdir_in("/tmp").expect("a folder");
        let output = Self::script(&["start", folder.path().to_str().expect("UTF-8"), &port.to_string()]);
        if output.status.success() {
            return Some(Self(folder));
        }
        impossible_here("MariaDB", &last_words(&output));
        None
    }

    fn sql(&self, sql: &str) -> String {
        let output = Self::script(&["sql", self.folder(), sql]);
        assert!(output.status.success(), "{sql}: {}", last_words(&output));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    fn folder(&self) -> &str {
        Path::to_str(self.0.path()).expect("UTF-8")
    }

    fn script(arguments: &[&str]) -> Output {
        let script = repository("tests/environment/mariadb.sh");
        Command::new("bash").arg(script).args(arguments).stdin(Stdio::null()).output().expect("bash runs")
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        Self::script(&["stop", self.folder()]);
    }
}

#[test]
#[ignore = "a campaign takes minutes"]
fn tables_of_mariadb() {
    let mut bindings = [singer("shop-grows", "INCREMENTAL"), singer("shop-whole", "FULL_TABLE")];
    bindings[0]["resourceConfig"]["replication_key"] = json!("version");
    bindings[1]["collection"]["key"] = json!(["/_meta/row_id"]);
    let Some(mut capture) = Capture::of("tap-mysql-singer-io", &bindings) else { return };
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let Some(database) = MariaDb::start(port) else { return };
    capture.config["port"] = json!(port.to_string());
    capture.config["filter_dbs"] = json!("shop");
    database.sql(
        "create table grows (id int primary key, version int); create table whole (id int, version int)",
    );
    let mut version = 0;
    let flow = capture.run(|dice| {
        for _ in 0..=dice.below(9) {
            version += 1;
            let id = dice.below(60);
            database.sql(&format!(
                "replace into grows values ({id}, {version}); delete from whole where id = {}; \
                 insert into whole values ({id}, {version})",
                dice.below(60)
            ));
        }
    });
    for (binding, table) in ["grows", "whole"].iter().enumerate() {
        let rows = database.sql(&format!("select distinct id, version from {table}"));
        let row = |line: &str| line.split('\t').map(|number| number.parse().expect("a number")).collect();
        let expected: BTreeSet<Vec<i64>> = rows.lines().map(row).collect();
        assert_eq!(numbers(&flow, binding, &["id", "version"]), expected, "{table}");
    }
}
