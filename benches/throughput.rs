//! What it costs to pass records through: the CPU of `flow-shim run` against that of plain copying of
//! the same bytes between the same kinds of pipes, each process measured alone; beside it what others do
//! with the same bytes, memory, and the time to an answer.
//!
//! `cargo bench` prints one table. `FLOW_SHIM_BENCH_MB` sets the load (default 256), and
//! `FLOW_SHIM_BENCH_RUNS` how often each case runs (default 3; the least CPU counts).

mod common;

use std::io::{BufRead, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{
    Capture, Cost, Load, Reader, TWO_DATES, airbyte_line, airbyte_record, best, data, filter, say, setting,
    singer_line, which,
};

/// Set, this program is the round trip through a tree that it compares with.
const AS_ROUND_TRIP: &str = "FLOW_SHIM_BENCH_ROUND_TRIP";

/// Ten lines that do the same job.
const PYTHON: &str = r#"
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "RECORD":
        doc = {"_meta": {"op": "u"}, **message["record"]["data"]}
        sys.stdout.write(json.dumps({"captured": {"binding": 0, "doc": doc}}) + "\n")
"#;

fn main() {
    #[expect(clippy::disallowed_methods, reason = "a setting of the benchmark")]
    if std::env::var_os(AS_ROUND_TRIP).is_some() {
        return round_trip();
    }
    let bytes = setting("FLOW_SHIM_BENCH_MB", 256) * 1_000_000;
    let runs = setting("FLOW_SHIM_BENCH_RUNS", 3);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = |name: &str| folder.path().join(name);
    let airbyte = Load::of_bytes(&place("airbyte.jsonl"), bytes, airbyte_line);
    let singer = Load::of_bytes(&place("singer.jsonl"), bytes, singer_line);
    say(&format!(
        "{} MB of ~540-byte records, {} of them; least CPU of {runs} runs\n\n{:<34} {:>8} {:>8} {:>9} {:>11} {:>9} {:>8}",
        bytes / 1_000_000,
        airbyte.records,
        "case",
        "CPU s",
        "wall s",
        "MB/CPU s",
        "records/s",
        "peak MiB",
        "vs copy"
    ));
    let copy = best(runs, || filter(&mut Command::new("cat"), &airbyte.file));
    let table = Table { copy_per_byte: copy.cpu.as_secs_f64().max(0.001) / to_f64(airbyte.bytes) };
    table.row("plain copy (cat)", &airbyte, copy);
    for (name, load, capture) in [
        ("airbyte, json codec", &airbyte, Capture::default()),
        ("airbyte, protobuf codec", &airbyte, Capture { codec: "proto", ..Capture::default() }),
        ("airbyte, two date-times", &airbyte, Capture { write_schema: TWO_DATES, ..Capture::default() }),
        ("singer, json codec", &singer, Capture { protocol: "singer", ..Capture::default() }),
        (
            "singer, protobuf codec",
            &singer,
            Capture { protocol: "singer", codec: "proto", ..Capture::default() },
        ),
    ] {
        table.row(name, load, best(runs, || capture.run(&load.file, Reader::Fast)));
    }
    let by_line = Capture { by_line: true, ..Capture::default() };
    let eighth = Load::of_bytes(&place("eighth.jsonl"), bytes / 8 + 1, airbyte_line);
    table.row(
        "airbyte, each written alone (1/8)",
        &eighth,
        best(runs, || by_line.run(&eighth.file, Reader::Fast)),
    );
    batches(&table, folder.path(), bytes, runs);
    peers(&table, &eighth);
    memory(&table, folder.path());
    say(&format!(
        "\nprocess start to the baked Spec answer: {:.1} ms (median of 21)",
        baked_spec(folder.path())
    ));
}

/// Files of records that a tap names in BATCH messages, against the same records as messages.
fn batches(table: &Table, folder: &Path, bytes: u64, runs: u64) {
    let records = Load::of_bytes(&folder.join("records.jsonl"), bytes, |id| data(id) + "\n");
    let message = |_| {
        format!(
            "{{\"type\":\"BATCH\",\"stream\":\"customers\",\"encoding\":{{\"format\":\"jsonl\"}},\"manifest\":[\"file://{}\"]}}\n",
            folder.join("of-tap.jsonl").display()
        )
    };
    let messages = Load::of_records(&folder.join("batch.jsonl"), 1, message);
    let capture = Capture { protocol: "singer", ..Capture::default() };
    let cost = best(runs, || {
        // The shim removes what it has read.
        std::fs::copy(&records.file, folder.join("of-tap.jsonl")).expect("a copy");
        capture.run(&messages.file, Reader::Fast)
    });
    table.row("singer, BATCH of a file", &records, cost);
}

/// What others do with the same bytes; they are slow, so an eighth of them.
fn peers(table: &Table, load: &Load) {
    let own = std::env::current_exe().expect("a path");
    let cost = filter(Command::new(own).env(AS_ROUND_TRIP, "1"), &load.file);
    table.row("serde_json Value round trip (1/8)", load, cost);
    match which("jq") {
        Some(jq) => {
            table.row("jq -c (1/8)", load, filter(Command::new(jq).args(["-c", ".record.data"]), &load.file));
        }
        None => say("jq: not installed"),
    }
    match which("python3") {
        Some(python) => {
            let cost = filter(Command::new(python).args(["-c", PYTHON]), &load.file);
            table.row("Python json loop (1/8)", load, cost);
        }
        None => say("python3: not installed"),
    }
}

fn round_trip() {
    let (input, output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut output = std::io::BufWriter::with_capacity(256 * 1024, output);
    for line in std::io::BufReader::with_capacity(256 * 1024, input).split(b'\n') {
        let mut message: serde_json::Value =
            serde_json::from_slice(&line.expect("a line")).expect("a message");
        if message["type"] == "RECORD" {
            let document =
                serde_json::json!({"captured": {"binding": 0, "doc": message["record"]["data"].take()}});
            serde_json::to_writer(&mut output, &document).expect("written");
            output.write_all(b"\n").expect("written");
        }
    }
    output.flush().expect("written");
}

/// Memory, where there is much to hold back.
fn memory(table: &Table, folder: &Path) {
    let short = |id| airbyte_record("customers", &format!(r#"{{"id":{id},"name":"customer {id}"}}"#));
    let many = Load::of_records(&folder.join("many.jsonl"), 2_000_000, short);
    table.row("2 million to a slow reader", &many, Capture::default().run(&many.file, Reader::Slow(20)));
    let large =
        |id| airbyte_record("customers", &format!(r#"{{"id":{id},"text":"{}"}}"#, "x".repeat(20_000_000)));
    let one = Load::of_records(&folder.join("large.jsonl"), 1, large);
    table.row("one record of 20 MB", &one, Capture::default().run(&one.file, Reader::Fast));
}

/// The median time in milliseconds from starting the program to its answer, upstream's specification
/// being baked.
fn baked_spec(folder: &Path) -> f64 {
    let shim = folder.join("shim");
    std::fs::create_dir(&shim).expect("a folder");
    let source = "#!/bin/sh\necho '{\"type\":\"SPEC\",\"spec\":{\"connectionSpecification\":{\"type\":\"object\"}}}'\n";
    let script = shim.join("source.sh");
    std::fs::write(&script, source).expect("written");
    let yaml = format!("protocol: airbyte\ncommand: [sh, {}]\n", script.display());
    std::fs::write(shim.join("shim.yaml"), yaml).expect("written");
    let bake = Command::new(env!("CARGO_BIN_EXE_flow-shim"))
        .arg("bake")
        .arg(&shim)
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .status();
    assert!(bake.expect("the program starts").success(), "bake failed");
    let mut times: Vec<Duration> = (0..21).map(|_| time_to_spec(&shim)).collect();
    times.sort();
    times[10].as_secs_f64() * 1000.0
}

fn time_to_spec(shim: &Path) -> Duration {
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_flow-shim"))
        .args(["run", "--shim"])
        .arg(shim)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    child.stdin.take().expect("a pipe").write_all(b"{\"spec\":{}}\n").expect("written");
    let mut answer = String::new();
    let mut output = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    output.read_line(&mut answer).expect("an answer");
    let time = began.elapsed();
    assert!(answer.starts_with("{\"spec\""), "{answer}");
    assert!(child.wait().expect("an end").success());
    time
}

struct Table {
    /// CPU seconds of plain copying, for each byte.
    copy_per_byte: f64,
}

impl Table {
    fn row(&self, name: &str, load: &Load, cost: Cost) {
        let cpu = cost.cpu.as_secs_f64().max(0.001);
        let bytes = to_f64(load.bytes);
        say(&format!(
            "{name:<34} {cpu:>8.2} {:>8.2} {:>9.0} {:>11.0} {:>9.1} {:>7.1}x",
            cost.wall.as_secs_f64(),
            bytes / cpu / 1e6,
            to_f64(load.records) / cost.wall.as_secs_f64(),
            to_f64(cost.peak_kib) / 1024.0,
            cpu / (self.copy_per_byte * bytes),
        ));
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn to_f64(number: u64) -> f64 {
    number as f64
}
