//! A source that speaks the data channel as those on the JVM bulk CDK do: it removes what lies in the way
//! of its sockets, binds them, accepts one client on each, and waits with its records until one is there.
//! It probes a socket before it gives it to a reader, and collects records up to 8 KiB.
//!
//! It is this test program, started by a script of the shim's folder, and does what a text says, a step
//! a line:
//!
//! - `out TEXT`: prints a line on stdout
//! - `N acquire`: waits for the client of socket N, and probes it
//! - `N record STREAM PARTITION DATA`: a record; `DATA` is a document whose values may be typed
//!   (`{"$date": 20367}`), see [`typed`]; `$changes` beside them is what the source says that it damaged
//! - `N many STREAM PARTITION COUNT DATA`: so many of them, with `id` counting from 0
//! - `N send TEXT`: any other message, on the socket alone
//! - `N both TEXT`: such a message on stdout, too
//! - `N raw HEX`: bytes
//! - `N close`: closes the socket
//! - `sleep MS`, `touch FILE`, `exit CODE`, `no-sockets` as the first step, `hang`

#![expect(clippy::disallowed_methods, reason = "it is another program, with variables and an end of its own")]

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use prost::encoding::{self, WireType};
use serde_json::{Value, json};

use crate::harness::Connector;

/// So much is collected before it is written.
const COLLECTED: usize = 8192;

/// The shim of a source that does this.
pub(crate) fn source(yaml: &str, steps: &str) -> Connector {
    source_in_turns(yaml, &[steps])
}

/// The same, which does other things in each read; the last ones in all that follow.
pub(crate) fn source_in_turns(yaml: &str, turns: &[&str]) -> Connector {
    let program = std::env::current_exe().expect("this program");
    let script = format!(
        "case \"$1\" in\n\
         spec) echo '{{\"type\":\"SPEC\",\"spec\":{{\"connectionSpecification\":{{\"type\":\"object\"}}}}}}'; exit;;\n\
         esac\n\
         for argument; do [ \"$last\" = --state ] && cp \"$argument\" FOLDER/state.json; last=$argument; done\n\
         echo read >> FOLDER/reads\n\
         turn=$(wc -l < FOLDER/reads)\n\
         [ -e FOLDER/steps-$turn ] || turn={}\n\
         cp \"$5\" FOLDER/catalog.json\n\
         export CHANNEL_STEPS=FOLDER/steps-$((turn)) CHANNEL_HOME=FOLDER\n\
         exec {} --exact channel_source::acts --nocapture --test-threads 1\n",
        turns.len(),
        program.display(),
    );
    let yaml = format!("protocol: airbyte\ncommand: [sh, FOLDER/source.sh]\n{yaml}\n");
    let names: Vec<String> = (1..=turns.len()).map(|turn| format!("steps-{turn}")).collect();
    let mut files = vec![("source.sh", script.as_str())];
    files.extend(names.iter().map(String::as_str).zip(turns.iter().copied()));
    Connector::shim(&yaml, &files)
}

/// The source itself; as a test it does nothing.
#[test]
fn acts() {
    let Some(steps) = std::env::var_os("CHANNEL_STEPS") else { return };
    let steps = std::fs::read_to_string(steps).expect("steps");
    // Behind what the test program prints.
    println("");
    let mut source = Source::default();
    let mut steps = steps.lines().filter(|line| !line.trim().is_empty()).peekable();
    if steps.next_if_eq(&"no-sockets").is_none() {
        source.listen();
    }
    for step in steps {
        source.step(step);
    }
    source.end(0);
}

#[derive(Default)]
struct Source {
    protobuf: bool,
    sockets: Vec<Socket>,
    fields: BTreeMap<String, Vec<String>>,
}

struct Socket {
    client: mpsc::Receiver<UnixStream>,
    stream: Option<UnixStream>,
    collected: Vec<u8>,
}

impl Source {
    fn listen(&mut self) {
        if std::env::var("DATA_CHANNEL_MEDIUM").as_deref() != Ok("SOCKET") {
            return;
        }
        self.protobuf = std::env::var("DATA_CHANNEL_FORMAT").as_deref() == Ok("PROTOBUF");
        let folder = std::env::var("CHANNEL_HOME").expect("a folder");
        let catalog = std::fs::read_to_string(format!("{folder}/catalog.json")).expect("a catalog");
        let catalog: Value = serde_json::from_str(&catalog).expect("JSON");
        for configured in catalog["streams"].as_array().expect("streams") {
            let stream = &configured["stream"];
            let mut fields: Vec<String> = stream["json_schema"]["properties"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, _)| name.clone())
                .collect();
            fields.sort();
            self.fields.insert(stream["name"].as_str().expect("a name").to_owned(), fields);
        }
        let paths = std::env::var("DATA_CHANNEL_SOCKET_PATHS").expect("paths");
        std::fs::write(format!("{folder}/paths"), &paths).expect("written");
        for path in paths.split(',').map(PathBuf::from) {
            // What an earlier life left.
            let _ = std::fs::remove_file(&path);
            let listener = UnixListener::bind(&path).expect("a socket");
            let (send, client) = mpsc::channel();
            std::thread::spawn(move || {
                let (stream, _) = listener.accept().expect("a client");
                let _ = send.send(stream);
                // The listener stays, as it does there.
                std::thread::park();
            });
            self.sockets.push(Socket { client, stream: None, collected: Vec::new() });
        }
    }

    fn step(&mut self, step: &str) {
        let (verb, rest) = step.split_once(' ').unwrap_or((step, ""));
        match verb {
            "out" => println(rest),
            "sleep" => std::thread::sleep(Duration::from_millis(rest.parse().expect("milliseconds"))),
            "touch" => std::fs::write(rest, "").expect("a writable file"),
            "exit" => self.end(rest.parse().expect("a code")),
            "hang" => loop {
                std::thread::park();
            },
            number => {
                let number: usize = number.parse().unwrap_or_else(|_| panic!("no step: {step}"));
                let (verb, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                self.on_socket(number - 1, verb, rest);
            }
        }
    }

    fn on_socket(&mut self, number: usize, verb: &str, rest: &str) {
        let protobuf = self.protobuf;
        match verb {
            "record" | "many" => {
                let count = if verb == "many" { 4 } else { 3 };
                let words: Vec<&str> = rest.splitn(count, ' ').collect();
                let (stream, partition) = (words[0], words[1]);
                let fields = self.fields.get(stream).cloned().unwrap_or_default();
                let mut data: Value = serde_json::from_str(words[count - 1]).expect("JSON");
                let changes = data.as_object_mut().and_then(|data| data.remove("$changes"));
                let times: u64 = if verb == "many" { words[2].parse().expect("a number") } else { 1 };
                let socket = self.sockets[number].acquired(protobuf);
                for id in 0..times {
                    if verb == "many" {
                        data["id"] = json!(id);
                    }
                    if protobuf {
                        framed(
                            &mut socket.collected,
                            &record(stream, partition, &fields, &data, changes.as_ref()),
                        );
                    } else {
                        let data = untyped(&data);
                        let mut line = json!({"type": "RECORD", "record": {"namespace": null, "stream": stream, "data": data, "emitted_at": 1, "partition_id": partition}});
                        if let Some(changes) = &changes {
                            line["record"]["meta"] = json!({ "changes": changes });
                        }
                        writeln!(socket.collected, "{line}").expect("memory");
                    }
                    if socket.collected.len() >= COLLECTED {
                        socket.flush();
                    }
                }
            }
            "acquire" => {
                self.sockets[number].acquired(protobuf);
            }
            "send" | "both" => {
                if verb == "both" {
                    println(rest);
                }
                let socket = self.sockets[number].acquired(protobuf);
                if protobuf {
                    let mut message = Vec::new();
                    encoding::string::encode(2, &rest.to_owned(), &mut message);
                    framed(&mut socket.collected, &message);
                } else {
                    writeln!(socket.collected, "{rest}").expect("memory");
                }
                socket.flush();
            }
            "raw" => {
                let byte = |at: usize| u8::from_str_radix(&rest[at..at + 2], 16).expect("hexadecimal digits");
                let socket = self.sockets[number].acquired(protobuf);
                socket.collected.extend((0..rest.len()).step_by(2).map(byte));
                socket.flush();
            }
            "close" => {
                let socket = self.sockets[number].acquired(protobuf);
                socket.flush();
                socket.stream.take().expect("open").shutdown(std::net::Shutdown::Both).expect("closed");
            }
            _ => panic!("no step of a socket: {verb}"),
        }
    }

    fn end(&mut self, code: i32) -> ! {
        for socket in &mut self.sockets {
            if socket.stream.is_some() {
                socket.flush();
            }
        }
        std::process::exit(code);
    }
}

impl Socket {
    /// Waits until there is a client, and probes it.
    fn acquired(&mut self, protobuf: bool) -> &mut Self {
        if self.stream.is_none() {
            self.stream = Some(self.client.recv().expect("a client"));
            self.collected.extend_from_slice(if protobuf { b"\x02\x1a\x00" } else { b"\n" });
            self.flush();
        }
        self
    }

    fn flush(&mut self) {
        let collected = std::mem::take(&mut self.collected);
        self.stream.as_mut().expect("a client").write_all(&collected).expect("a client that reads");
    }
}

#[expect(clippy::print_stdout, reason = "it is upstream's output")]
fn println(line: &str) {
    println!("{line}");
}

fn framed(into: &mut Vec<u8>, message: &[u8]) {
    encoding::encode_varint(message.len() as u64, into);
    into.extend_from_slice(message);
}

fn record(
    stream: &str,
    partition: &str,
    fields: &[String],
    data: &Value,
    changes: Option<&Value>,
) -> Vec<u8> {
    let mut record = Vec::new();
    encoding::string::encode(2, &stream.to_owned(), &mut record);
    encoding::uint64::encode(3, &1, &mut record);
    encoding::string::encode(4, &partition.to_owned(), &mut record);
    for field in fields {
        let mut value = Vec::new();
        typed(&data[field.as_str()], &mut value);
        encoding::encode_key(5, WireType::LengthDelimited, &mut record);
        framed(&mut record, &value);
    }
    let mut meta = Vec::new();
    for change in changes.and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| change[name].as_str().expect("text").to_owned();
        let number = |name: &str| text(name).parse().expect("a number");
        let mut encoded = Vec::new();
        encoding::string::encode(1, &text("field"), &mut encoded);
        encoding::uint64::encode(2, &number("change"), &mut encoded);
        encoding::uint64::encode(3, &number("reason"), &mut encoded);
        encoding::encode_key(1, WireType::LengthDelimited, &mut meta);
        framed(&mut meta, &encoded);
    }
    // The source always sets it.
    encoding::encode_key(6, WireType::LengthDelimited, &mut record);
    framed(&mut record, &meta);
    let mut message = Vec::new();
    encoding::encode_key(1, WireType::LengthDelimited, &mut message);
    framed(&mut message, &record);
    message
}

/// A value as its type has it. `{"$date": DAYS}`, `{"$time": NANOS}`, `{"$offsetTime": [NANOS, SECONDS]}`,
/// `{"$dateTime": [DAYS, NANOS]}`, `{"$offsetDateTime": [SECONDS, NANO, SECONDS]}`, `{"$bigInteger": TEXT}`,
/// `{"$bigDecimal": TEXT}`, `{"$json": ANY}`; others as they are.
fn typed(value: &Value, out: &mut Vec<u8>) {
    let number = |at: usize, of: &Value| of[at].as_i64().expect("a number");
    let marked = value.as_object().and_then(|members| members.iter().next());
    match (value, marked.map(|(mark, of)| (mark.as_str(), of))) {
        (_, Some(("$date", days))) => encoding::sint64::encode(7, &days.as_i64().expect("days"), out),
        (_, Some(("$time", nanos))) => {
            encoding::uint64::encode(9, &nanos.as_u64().expect("nanoseconds"), out);
        }
        (_, Some((mark @ ("$offsetTime" | "$dateTime" | "$offsetDateTime"), of))) => {
            let mut inner = Vec::new();
            let unsigned = |at| u64::try_from(number(at, of)).expect("positive");
            let field = match mark {
                "$offsetTime" => {
                    encoding::uint64::encode(1, &unsigned(0), &mut inner);
                    encoding::sint64::encode(2, &number(1, of), &mut inner);
                    8
                }
                "$dateTime" => {
                    encoding::sint64::encode(1, &number(0, of), &mut inner);
                    encoding::uint64::encode(2, &unsigned(1), &mut inner);
                    11
                }
                _ => {
                    encoding::sint64::encode(1, &number(0, of), &mut inner);
                    encoding::uint64::encode(2, &unsigned(1), &mut inner);
                    encoding::sint64::encode(3, &number(2, of), &mut inner);
                    10
                }
            };
            encoding::bytes::encode(field, &inner, out);
        }
        (_, Some(("$bigInteger", text))) => {
            encoding::string::encode(4, &text.as_str().expect("text").to_owned(), out);
        }
        (_, Some(("$bigDecimal", text))) => {
            encoding::string::encode(6, &text.as_str().expect("text").to_owned(), out);
        }
        (_, Some(("$json", any))) => encoding::bytes::encode(12, &any.to_string().into_bytes(), out),
        (Value::Null, _) => encoding::bool::encode(13, &true, out),
        (Value::Bool(value), _) => encoding::bool::encode(1, value, out),
        (Value::String(text), _) => encoding::string::encode(2, text, out),
        (Value::Number(number), _) => match number.as_i64() {
            Some(integer) => encoding::sint64::encode(3, &integer, out),
            None => encoding::double::encode(5, &number.as_f64().expect("a number"), out),
        },
        (Value::Array(_) | Value::Object(_), _) => {
            encoding::bytes::encode(12, &value.to_string().into_bytes(), out);
        }
    }
}

/// A document as the source prints it as JSON. Only what the tests send is known.
fn untyped(data: &Value) -> Value {
    let text = |value: &Value| match value.as_object().and_then(|members| members.iter().next()) {
        Some((mark, _)) if mark == "$date" => json!("2025-10-06"),
        Some((mark, _)) if mark == "$time" => json!("14:30:45.123456"),
        Some((mark, _)) if mark == "$offsetTime" => json!("14:30:45.123456+05:30"),
        Some((mark, _)) if mark == "$dateTime" => json!("2025-10-06T14:30:45.123456"),
        Some((mark, _)) if mark == "$offsetDateTime" => json!("2025-10-06T10:00:45.123456-04:30"),
        Some((mark, of)) if mark.starts_with("$big") => {
            serde_json::from_str(of.as_str().expect("text")).expect("a number")
        }
        Some((mark, of)) if mark == "$json" => of.clone(),
        _ => value.clone(),
    };
    Value::Object(
        data.as_object()
            .expect("a document")
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
    )
}
