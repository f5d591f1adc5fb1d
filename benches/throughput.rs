//! What it costs to pass records through: the CPU of `flow-shim run` against that of plain copying of
//! the same bytes between the same kinds of pipes, each process measured alone.
//!
//! `cargo bench` prints one table. `FLOW_SHIM_BENCH_MB` sets the load (default 256), and
//! `FLOW_SHIM_BENCH_RUNS` how often each case runs (default 3; the least CPU counts).

#![expect(clippy::disallowed_methods, reason = "settings of the benchmark")]

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// What a process used.
#[derive(Clone, Copy)]
struct Cost {
    cpu: Duration,
    wall: Duration,
    peak_kib: u64,
}

fn main() {
    let megabytes = setting("FLOW_SHIM_BENCH_MB", 256);
    let runs = setting("FLOW_SHIM_BENCH_RUNS", 3);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let airbyte = load(&folder.path().join("airbyte.jsonl"), megabytes, airbyte_line);
    let singer = load(&folder.path().join("singer.jsonl"), megabytes, singer_line);
    let mut table = Table { megabytes, copy: None };
    println_to_stdout(&format!(
        "{megabytes} MB of ~540-byte records, {} of them; least CPU of {runs} runs\n\n{:<28} {:>8} {:>8} {:>9} {:>11} {:>9} {:>8}",
        airbyte.records, "case", "CPU s", "wall s", "MB/CPU s", "records/s", "peak MiB", "vs copy"
    ));
    table.row("plain copy (cat)", &airbyte, best(runs, || copy(&airbyte.file)));
    table.row("airbyte, json codec", &airbyte, best(runs, || shim("airbyte", "json", &airbyte.file)));
    table.row("airbyte, protobuf codec", &airbyte, best(runs, || shim("airbyte", "proto", &airbyte.file)));
    table.row("singer, json codec", &singer, best(runs, || shim("singer", "json", &singer.file)));
    if let Ok(jq) = which("jq") {
        let small = load(&folder.path().join("small.jsonl"), megabytes / 8 + 1, airbyte_line);
        let cost = filter(Command::new(jq).args(["-c", ".record.data"]), &small.file);
        Table { megabytes: megabytes / 8 + 1, copy: table.copy.map(|copy| copy / 8) }.row(
            "jq -c (an eighth)",
            &small,
            cost,
        );
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn println_to_stdout(text: &str) {
    writeln!(std::io::stdout(), "{text}").expect("a terminal or a file");
}

struct Load {
    file: PathBuf,
    records: u64,
}

fn load(file: &Path, megabytes: u64, line: fn(u64) -> String) -> Load {
    let mut output = BufWriter::new(File::create(file).expect("a file"));
    let (mut written, mut records) = (0, 0);
    while written < megabytes * 1_000_000 {
        let line = line(records);
        output.write_all(line.as_bytes()).expect("written");
        written += line.len() as u64;
        records += 1;
    }
    Load { file: file.to_owned(), records }
}

fn data(id: u64) -> String {
    format!(
        r#"{{"id":{id},"name":"customer number {id}","email":"customer{id}@example.com","active":true,"balance":{}.{:02},"created_at":"2024-05-01T12:00:00.123456+00:00","updated_at":"2024-06-02T13:14:15+00:00","tags":["a","b","c"],"address":{{"street":"{id} Long Avenue","city":"Springfield","zip":"{:05}","country":"US"}},"note":"text of an ordinary length, as notes of customers have, with \"quotes\" and \u00e9","score":{},"level":7,"referrer":null,"locale":"en-US","zone":"America/New_York"}}"#,
        id % 1000,
        id % 100,
        id % 100_000,
        id % 977
    )
}

fn airbyte_line(id: u64) -> String {
    if id % 10_000 == 9_999 {
        return format!(
            "{{\"type\":\"STATE\",\"state\":{{\"type\":\"STREAM\",\"stream\":{{\"stream_descriptor\":{{\"name\":\"customers\"}},\"stream_state\":{{\"id\":{id}}}}}}}}}\n"
        );
    }
    format!(
        "{{\"type\":\"RECORD\",\"record\":{{\"stream\":\"customers\",\"data\":{},\"emitted_at\":1714564800000}}}}\n",
        data(id)
    )
}

fn singer_line(id: u64) -> String {
    if id % 10_000 == 9_999 {
        return format!(
            "{{\"type\": \"STATE\", \"value\": {{\"bookmarks\": {{\"customers\": {{\"id\": {id}}}}}}}}}\n"
        );
    }
    format!(
        "{{\"type\": \"RECORD\", \"stream\": \"customers\", \"record\": {}, \"time_extracted\": \"2024-05-01T12:00:00Z\"}}\n",
        data(id)
    )
}

fn best(runs: u64, mut run: impl FnMut() -> Cost) -> Cost {
    (0..runs.max(1)).map(|_| run()).min_by_key(|cost| cost.cpu).expect("at least one run")
}

/// Copies the file through pipes on both sides.
fn copy(file: &Path) -> Cost {
    filter(&mut Command::new("cat"), file)
}

fn filter(command: &mut Command, file: &Path) -> Cost {
    let mut producer = Command::new("cat").arg(file).stdout(Stdio::piped()).spawn().expect("cat");
    let input = producer.stdout.take().expect("a pipe");
    let child = command.stdin(Stdio::from(input)).stdout(Stdio::piped()).spawn().expect("the program starts");
    let cost = measure(child);
    producer.wait().expect("it ends");
    cost
}

/// A capture whose upstream prints the file.
fn shim(protocol: &str, codec: &str, file: &Path) -> Cost {
    let script = r#"case "$*" in
spec) echo '{"type":"SPEC","spec":{"connectionSpecification":{"type":"object"}}}';;
--about*) echo '{"settings":{}}';;
*--discover*) echo '{"streams":[{"tap_stream_id":"customers","stream":"customers","key_properties":["id"],"schema":{"properties":{"id":{"type":"integer"}}},"metadata":[]}]}';;
*) exec cat "$LOAD";;
esac"#;
    let resource = match protocol {
        "airbyte" => r#"{"stream":"customers","syncMode":"incremental"}"#,
        _ => r#"{"tap_stream_id":"customers","stream":"customers","replication_method":"FULL_TABLE"}"#,
    };
    let request = format!(
        r#"{{"open":{{"capture":{{"config":{{}},"bindings":[{{"resourceConfig":{resource},"resourcePath":["customers"],"stateKey":"customers","collection":{{"name":"c","key":["/id"],"writeSchema":{{"type":"object","x-source-schema":{{}}}}}}}}]}}}}}}"#
    );
    let mut child = Command::new(env!("CARGO_BIN_EXE_flow-shim"))
        .args(["run", "--protocol", protocol, "--codec", codec, "--", "sh", "-c", script, "upstream"])
        .env("LOAD", file)
        .env("LOG_LEVEL", "error")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    if codec == "json" {
        writeln!(stdin, "{request}").expect("written");
    } else {
        let request: flow_shim::flow::message::Request = serde_json::from_str(&request).expect("a request");
        let mut bytes = Vec::new();
        flow_shim::flow::codec::Codec::Proto.encode(&request, &mut bytes).expect("encoded");
        stdin.write_all(&bytes).expect("written");
    }
    drop(stdin);
    measure(child)
}

/// Reads a process's output away until it ends. What it used itself, without its children, is read
/// from its entry in /proc after it has ended and before it is reaped.
fn measure(mut child: Child) -> Cost {
    let started = Instant::now();
    let mut output = child.stdout.take().expect("a pipe");
    let reader = std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        while output.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
    let pid = Pid::from_child(&child);
    let mut peak_kib = 0;
    loop {
        peak_kib = peak_kib.max(field(pid, "status", "VmHWM:"));
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        if waitid(WaitId::Pid(pid), options).expect("a child").is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).expect("an entry");
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime");
    let wall = started.elapsed();
    reader.join().expect("the reader ends");
    assert!(child.wait().expect("it ends").success(), "the case failed");
    Cost {
        cpu: Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second()),
        wall,
        peak_kib,
    }
}

fn field(pid: Pid, file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/{file}", pid.as_raw_nonzero())).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn which(program: &str) -> Result<PathBuf, ()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|place| place.join(program)).find(|path| path.is_file()).ok_or(())
}

struct Table {
    megabytes: u64,
    copy: Option<Duration>,
}

impl Table {
    fn row(&mut self, name: &str, load: &Load, cost: Cost) {
        let cpu = cost.cpu.as_secs_f64().max(0.001);
        let copy = *self.copy.get_or_insert(cost.cpu);
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let (megabytes, records, peak) =
            (self.megabytes as f64, load.records as f64, cost.peak_kib as f64 / 1024.0);
        println_to_stdout(&format!(
            "{name:<28} {cpu:>8.2} {:>8.2} {:>9.0} {:>11.0} {peak:>9.1} {:>7.1}x",
            cost.wall.as_secs_f64(),
            megabytes / cpu,
            records / cost.wall.as_secs_f64(),
            cpu / copy.as_secs_f64().max(0.001),
        ));
    }
}
