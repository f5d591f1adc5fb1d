//! What the benchmarks share: loads, captures that read them, and what a process cost.

#![expect(clippy::disallowed_methods, reason = "settings of the benchmarks")]
#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// What a process used itself, without its children.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    /// User and system time.
    pub(crate) cpu: Duration,
    /// That of the children that it waited for.
    pub(crate) cpu_of_children: Duration,
    /// From its start to its end.
    pub(crate) wall: Duration,
    /// Its largest resident memory.
    pub(crate) peak_kib: u64,
    /// How much it printed, in bytes.
    pub(crate) printed: usize,
}

/// The cheapest of some runs: what else the machine does only ever adds.
pub(crate) fn best(runs: u64, mut run: impl FnMut() -> Cost) -> Cost {
    (0..runs.max(1)).map(|_| run()).min_by_key(|cost| cost.cpu).expect("at least one run")
}

/// A number from the environment.
pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Prints a line for people.
pub(crate) fn say(text: &str) {
    writeln!(std::io::stdout(), "{text}").expect("a terminal or a file");
}

/// A file of messages.
pub(crate) struct Load {
    pub(crate) file: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) records: u64,
}

impl Load {
    /// Messages of this much, one after the other; `line` makes the one of this number.
    pub(crate) fn of_bytes(file: &Path, bytes: u64, line: impl Fn(u64) -> String) -> Self {
        Self::write(file, |written, _| written < bytes, line)
    }

    /// So many messages.
    pub(crate) fn of_records(file: &Path, records: u64, line: impl Fn(u64) -> String) -> Self {
        Self::write(file, |_, made| made < records, line)
    }

    fn write(file: &Path, more: impl Fn(u64, u64) -> bool, line: impl Fn(u64) -> String) -> Self {
        let mut output = BufWriter::new(File::create(file).expect("a file"));
        let (mut bytes, mut records) = (0, 0);
        while more(bytes, records) {
            let line = line(records);
            output.write_all(line.as_bytes()).expect("written");
            bytes += line.len() as u64;
            records += 1;
        }
        output.flush().expect("written");
        Self { file: file.to_owned(), bytes, records }
    }
}

/// The data of a record of about 500 bytes.
pub(crate) fn data(id: u64) -> String {
    format!(
        r#"{{"id":{id},"name":"customer number {id}","email":"customer{id}@example.com","active":true,"balance":{}.{:02},"created_at":"2024-05-01T12:00:00.123456+00:00","updated_at":"2024-06-02T13:14:15+00:00","tags":["a","b","c"],"address":{{"street":"{id} Long Avenue","city":"Springfield","zip":"{:05}","country":"US"}},"note":"text of an ordinary length, as notes of customers have, with \"quotes\" and \u00e9","score":{},"level":7,"referrer":null,"locale":"en-US","zone":"America/New_York"}}"#,
        id % 1000,
        id % 100,
        id % 100_000,
        id % 977
    )
}

/// An Airbyte record, or every so often a state.
pub(crate) fn airbyte_line(id: u64) -> String {
    if id % 10_000 == 9_999 {
        return airbyte_state("customers", id);
    }
    airbyte_record("customers", &data(id))
}

/// An Airbyte record of a stream.
pub(crate) fn airbyte_record(stream: &str, data: &str) -> String {
    format!(
        "{{\"type\":\"RECORD\",\"record\":{{\"stream\":\"{stream}\",\"data\":{data},\"emitted_at\":1714564800000}}}}\n"
    )
}

/// An Airbyte state of a stream.
pub(crate) fn airbyte_state(stream: &str, id: u64) -> String {
    format!(
        "{{\"type\":\"STATE\",\"state\":{{\"type\":\"STREAM\",\"stream\":{{\"stream_descriptor\":{{\"name\":\"{stream}\"}},\"stream_state\":{{\"id\":{id}}}}}}}}}\n"
    )
}

/// A Singer record, or every so often a state.
pub(crate) fn singer_line(id: u64) -> String {
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

/// A write schema that says nothing of a record, and spares a discovery.
pub(crate) const ANY_RECORD: &str = r#"{"type":"object","x-source-schema":{}}"#;
/// A write schema with two places that are normalised, as a vendor declares them.
pub(crate) const TWO_DATES: &str = r#"{"type":"object","properties":{"created_at":{"type":"string","format":"date-time"},"updated_at":{"type":"string","format":"date-time"}},"x-source-schema":{}}"#;

/// A capture whose upstream prints a file; or of a folder, the files with the names of its streams.
pub(crate) struct Capture<'a> {
    pub(crate) protocol: &'a str,
    pub(crate) codec: &'a str,
    /// The write schema of every collection.
    pub(crate) write_schema: &'a str,
    pub(crate) streams: Vec<String>,
    /// Whether each message is written on its own, as many connectors do it.
    pub(crate) by_line: bool,
    /// What is said of each Open beside the capture: `,"range":{…}`, or nothing.
    pub(crate) range: &'a str,
}

impl Default for Capture<'_> {
    fn default() -> Self {
        Self {
            protocol: "airbyte",
            codec: "json",
            write_schema: ANY_RECORD,
            streams: vec!["customers".to_owned()],
            by_line: false,
            range: "",
        }
    }
}

impl Capture<'_> {
    /// Runs it on a file; `reader` reads the output away.
    pub(crate) fn run(&self, file: &Path, reader: Reader) -> Cost {
        self.run_by(Command::new(env!("CARGO_BIN_EXE_flow-shim")), file, reader)
    }

    /// The same by a command that runs flow-shim.
    pub(crate) fn run_by(&self, mut flow_shim: Command, file: &Path, reader: Reader) -> Cost {
        let script = r#"case "$*" in
spec) echo '{"type":"SPEC","spec":{"connectionSpecification":{"type":"object"}}}';;
--about*) echo '{"settings":{}}';;
*--discover*) echo '{"streams":[{"tap_stream_id":"customers","stream":"customers","key_properties":["id"],"schema":{"properties":{"id":{"type":"integer"}}},"metadata":[]}]}';;
*) [ -n "$BY_LINE" ] && exec grep --line-buffered . "$LOAD"
   [ -f "$LOAD" ] && exec cat "$LOAD"
   for word; do [ "$last" = --catalog ] && catalog=$word; last=$word; done
   for name in $(grep -o '"name":"s[0-9]*"' "$catalog" | cut -d'"' -f4); do cat "$LOAD/$name"; done;;
esac"#;
        let mut child = flow_shim
            .args([
                "run",
                "--protocol",
                self.protocol,
                "--codec",
                self.codec,
                "--",
                "sh",
                "-c",
                script,
                "upstream",
            ])
            .env("LOAD", file)
            .env("BY_LINE", if self.by_line { "1" } else { "" })
            .env("LOG_LEVEL", "error")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        let request = self.request();
        if self.codec == "json" {
            writeln!(stdin, "{request}").expect("written");
        } else {
            let request: flow_shim::flow::message::Request =
                serde_json::from_str(&request).expect("a request");
            let mut bytes = Vec::new();
            flow_shim::flow::codec::Codec::Proto.encode(&request, &mut bytes).expect("encoded");
            stdin.write_all(&bytes).expect("written");
        }
        drop(stdin);
        measure(child, reader)
    }

    fn request(&self) -> String {
        let resource = |stream: &str| match self.protocol {
            "airbyte" => format!(r#"{{"stream":"{stream}","syncMode":"incremental"}}"#),
            _ => format!(
                r#"{{"tap_stream_id":"{stream}","stream":"{stream}","replication_method":"FULL_TABLE"}}"#
            ),
        };
        open("{}", &self.streams, resource, self.write_schema, self.range)
    }
}

/// An Open of these streams. `resource` gives a stream's resource config, and `range` is what is said
/// beside the capture: `,"range":{…}`, or nothing.
pub(crate) fn open(
    config: &str,
    streams: &[impl AsRef<str>],
    resource: impl Fn(&str) -> String,
    write_schema: &str,
    range: &str,
) -> String {
    let binding = |stream: &str| {
        let resource = resource(stream);
        format!(
            r#"{{"resourceConfig":{resource},"resourcePath":["{stream}"],"stateKey":"{stream}","collection":{{"name":"c/{stream}","key":["/id"],"writeSchema":{write_schema}}}}}"#
        )
    };
    let bindings: Vec<String> = streams.iter().map(|stream| binding(stream.as_ref())).collect();
    format!(r#"{{"open":{{"capture":{{"config":{config},"bindings":[{}]}}{range}}}}}"#, bindings.join(","))
}

/// Runs a program between two pipes, on the content of a file.
pub(crate) fn filter(command: &mut Command, file: &Path) -> Cost {
    let mut producer = Command::new("cat").arg(file).stdout(Stdio::piped()).spawn().expect("cat");
    let input = producer.stdout.take().expect("a pipe");
    let child = command.stdin(Stdio::from(input)).stdout(Stdio::piped()).spawn().expect("the program starts");
    let cost = measure(child, Reader::Fast);
    producer.wait().expect("it ends");
    cost
}

/// Who reads a program's output away.
#[derive(Clone, Copy)]
pub(crate) enum Reader {
    /// As fast as it comes.
    Fast,
    /// A megabyte, and then a rest of this many milliseconds.
    Slow(u64),
}

/// Reads a process's output away until it ends. What it used is read from its entry in /proc after it
/// has ended and before it is reaped.
pub(crate) fn measure(mut child: Child, how: Reader) -> Cost {
    let started = Instant::now();
    let mut output = child.stdout.take().expect("a pipe");
    let reader = std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        let (mut since_rest, mut printed) = (0, 0);
        while let Ok(read @ 1..) = output.read(&mut buffer) {
            since_rest += read;
            printed += read;
            if let Reader::Slow(rest) = how
                && since_rest >= 1_000_000
            {
                since_rest = 0;
                std::thread::sleep(Duration::from_millis(rest));
            }
        }
        printed
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
    let time = |field: usize| {
        let ticks: u64 = fields[field].parse().expect("a number");
        Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
    };
    let wall = started.elapsed();
    let printed = reader.join().expect("the reader ends");
    assert!(child.wait().expect("it ends").success(), "the case failed");
    Cost { cpu: time(11) + time(12), cpu_of_children: time(13) + time(14), wall, peak_kib, printed }
}

fn field(pid: Pid, file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/{file}", pid.as_raw_nonzero())).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Where a program is that others install; `None` where it is not.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|place| place.join(program)).find(|path| path.is_file())
}
