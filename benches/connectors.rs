//! What flow-shim adds to connectors that people run, and what it takes off them: source-faker alone and
//! through flow-shim, streams side by side, and a tap's BATCH files against its messages: files that the
//! tap makes of its records, and files that its database writes (`unloading_tap.py`).
//!
//! `cargo bench --bench connectors` installs the connectors into `shims/*/.venv`, and starts a PostgreSQL
//! of its own (`tests/environment/postgres.sh`, which must have been installed). `FLOW_SHIM_BENCH_RECORDS`
//! sets the number of records of a stream (default 100,000), and `FLOW_SHIM_BENCH_RUNS` how often each
//! case runs (default 3, in turn; the fastest counts).

mod common;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{Cost, Reader, measure, say, setting};

const FAKER: &[&str] = &["users", "products", "purchases"];
const TABLES: &[&str] = &["public-load_1", "public-load_2", "public-load_3", "public-load_4"];

fn main() {
    let records = setting("FLOW_SHIM_BENCH_RECORDS", 100_000);
    let runs = setting("FLOW_SHIM_BENCH_RUNS", 3);
    faker(records, runs);
    if let Some(postgres) = Postgres::start(records) {
        tap_postgres(&postgres, records, runs);
    }
}

/// A CPU-bound source in Python.
fn faker(records: u64, runs: u64) {
    let source = install("source-faker").join("source-faker");
    let config = format!(
        r#"{{"count":{records},"seed":7,"records_per_slice":1000,"always_updated":false,"parallelism":1}}"#
    );
    let shims = [1, 2].map(|parallelism| Shim::new("airbyte", &[&source], parallelism));
    let request = open(&config, FAKER, |stream| {
        format!(r#"{{"stream":"{stream}","syncMode":"incremental","cursorField":["updated_at"]}}"#)
    });
    let mut costs = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..runs {
        costs[0].push(faker_alone(&source, &config));
        costs[1].push(shims[0].run(&request));
        costs[2].push(shims[1].run(&request));
    }
    let [alone, one, two] = costs.map(fastest);
    let share = one.cpu.as_secs_f64() / (one.cpu + one.cpu_of_children).as_secs_f64();
    row("source-faker alone", alone);
    row("source-faker through flow-shim", one);
    say(&format!(
        "    {:.3} of its time; flow-shim's share of the CPU {:.2} %",
        one.wall.as_secs_f64() / alone.wall.as_secs_f64(),
        100.0 * share
    ));
    row("source-faker, read.parallelism: 2", two);
    say(&format!("    {:.2} x faster", one.wall.as_secs_f64() / two.wall.as_secs_f64()));
}

fn faker_alone(source: &Path, config: &str) -> Cost {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let streams: Vec<String> = FAKER
        .iter()
        .map(|name| {
            format!(
                r#"{{"stream":{{"name":"{name}","json_schema":{{}},"supported_sync_modes":["full_refresh","incremental"]}},"sync_mode":"incremental","cursor_field":["updated_at"],"destination_sync_mode":"append"}}"#
            )
        })
        .collect();
    let file = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("written");
        file
    };
    let child = Command::new(source)
        .arg("read")
        .arg("--config")
        .arg(file("config.json", config))
        .arg("--catalog")
        .arg(file("catalog.json", &format!(r#"{{"streams":[{}]}}"#, streams.join(","))))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("source-faker starts");
    measure(child, Reader::Fast)
}

/// A tap that waits for its database, and can write files.
fn tap_postgres(postgres: &Postgres, records: u64, runs: u64) {
    let installed = install("tap-postgres-meltanolabs");
    let tap = installed.join("tap-postgres");
    let unloading_tap = [installed.join("python"), repository("benches/unloading_tap.py")];
    let batches = tempfile::tempdir().expect("a temporary folder");
    let login = format!(
        r#""host":"127.0.0.1","port":{},"user":"flow","password":"flow-secret","database":"shop","filter_schemas":["public"]"#,
        postgres.port
    );
    let resource = |stream: &str| {
        format!(r#"{{"tap_stream_id":"{stream}","stream":"{stream}","replication_method":"FULL_TABLE"}}"#)
    };
    let messages = open(&format!("{{{login}}}"), TABLES, resource);
    let files = format!(
        r#"{{{login},"batch_config":{{"encoding":{{"format":"jsonl","compression":"none"}},"storage":{{"root":"file://{}"}},"batch_size":100000}}}}"#,
        batches.path().display()
    );
    let files = open(&files, TABLES, resource);
    let shims = [1, 2].map(|parallelism| Shim::new("singer", &[&tap], parallelism));
    let unloading = Shim::new("singer", &[&unloading_tap[0], &unloading_tap[1]], 1);
    let mut costs = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..runs {
        costs[0].push(shims[0].run(&messages));
        costs[1].push(shims[1].run(&messages));
        costs[2].push(shims[0].run(&files));
        costs[3].push(unloading.run(&files));
    }
    let [one, two, batch, unloaded] = costs.map(fastest);
    let faster = |cost: Cost| {
        say(&format!("    {:.2} x faster", one.wall.as_secs_f64() / cost.wall.as_secs_f64()));
    };
    say(&format!("four tables of {records} rows:"));
    row("tap-postgres, RECORD messages", one);
    row("tap-postgres, read.parallelism: 2", two);
    faster(two);
    row("tap-postgres, BATCH files", batch);
    faster(batch);
    row("tap-postgres, its database writes them", unloaded);
    faster(unloaded);
}

/// Installs a connector of the gallery. Gives the folder of its programs.
fn install(shim: &str) -> PathBuf {
    let folder = repository("shims").join(shim);
    prepare("install", &folder);
    folder.join(".venv/bin")
}

fn prepare(command: &str, shim: &Path) {
    let mut flow_shim = Command::new(env!("CARGO_BIN_EXE_flow-shim"));
    let done = flow_shim.arg(command).arg(shim).env("LOG_LEVEL", "error").status();
    assert!(done.expect("flow-shim starts").success(), "{command} of {} failed", shim.display());
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A shim of a program, with its specification kept beside it, as in an image.
struct Shim(tempfile::TempDir);

impl Shim {
    fn new(protocol: &str, command: &[&Path], parallelism: u32) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let command: Vec<String> = command.iter().map(|word| word.display().to_string()).collect();
        let yaml = format!(
            "protocol: {protocol}\ncommand: [{}]\nread: {{parallelism: {parallelism}}}\n",
            command.join(", ")
        );
        std::fs::write(folder.path().join("shim.yaml"), yaml).expect("written");
        prepare("bake", folder.path());
        Self(folder)
    }

    fn run(&self, request: &str) -> Cost {
        let mut child = Command::new(env!("CARGO_BIN_EXE_flow-shim"))
            .args(["run", "--shim"])
            .arg(self.0.path())
            .env("LOG_LEVEL", "error")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("flow-shim starts");
        writeln!(child.stdin.take().expect("a pipe"), "{request}").expect("written");
        measure(child, Reader::Fast)
    }
}

/// An Open of these streams.
fn open(config: &str, streams: &[&str], resource: impl Fn(&str) -> String) -> String {
    let binding = |stream: &&str| {
        let resource = resource(stream);
        format!(
            r#"{{"resourceConfig":{resource},"resourcePath":["{stream}"],"stateKey":"{stream}","collection":{{"name":"c/{stream}","key":["/id"],"writeSchema":{{"type":"object","x-source-schema":{{}}}}}}}}"#
        )
    };
    let bindings: Vec<String> = streams.iter().map(binding).collect();
    format!(r#"{{"open":{{"capture":{{"config":{config},"bindings":[{}]}}}}}}"#, bindings.join(","))
}

fn fastest(costs: Vec<Cost>) -> Cost {
    costs.into_iter().min_by_key(|cost| cost.wall).expect("at least one run")
}

fn row(name: &str, cost: Cost) {
    let seconds = Duration::as_secs_f64;
    say(&format!(
        "{name:<38} {:>7.2} s wall {:>7.2} s CPU of its own {:>7.2} s of its children {:>6} MB printed",
        seconds(&cost.wall),
        seconds(&cost.cpu),
        seconds(&cost.cpu_of_children),
        cost.printed / 1_000_000
    ));
}

/// A server with four tables to read.
struct Postgres {
    folder: tempfile::TempDir,
    port: u16,
}

impl Postgres {
    /// `None` where there is none.
    fn start(rows: u64) -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("fs-pg").tempdir_in("/tmp").expect("a folder");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let server = Self { folder, port };
        if !server.script("start", &[&port.to_string()]) {
            say("LEFT OUT: tap-postgres needs `tests/environment/postgres.sh install`");
            return None;
        }
        for table in 1..=4 {
            let sql = format!(
                "create table public.load_{table} as select n as id, 'customer ' || n as customer, n * 1.25 as amount, \
                 timestamptz '2024-01-01 00:00:00+00' + n * interval '1 minute' as created_at, n % 2 = 0 as active, \
                 repeat('text of an ordinary length, ', 4) as note from generate_series(1, {rows}) as n; \
                 alter table public.load_{table} add primary key (id); grant all on public.load_{table} to flow"
            );
            assert!(server.script("psql", &["-c", &sql]), "load_{table}");
        }
        Some(server)
    }

    fn script(&self, command: &str, arguments: &[&str]) -> bool {
        let mut script = Command::new("bash");
        script.arg(repository("tests/environment/postgres.sh")).arg(command).arg(self.folder.path());
        script
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|end| end.success())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.script("stop", &[]);
    }
}
