//! Every wait ends on a stop: each phase of a session × each source of a stop. Afterwards: the exit code
//! of that stop, no process and no private folder.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::harness::{Connector, airbyte, discover, exit_code, open};
use crate::left_behind::nothing_is_left;

/// Longer than anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
enum Stop {
    Term,
    Int,
    ClosedOutput,
}

const STOPS: [Stop; 3] = [Stop::Term, Stop::Int, Stop::ClosedOutput];

impl Stop {
    fn code(self) -> i32 {
        match self {
            Stop::Term => 143,
            Stop::Int => 130,
            Stop::ClosedOutput => 20,
        }
    }
}

/// How it is known that the session waits where it is to be stopped.
#[derive(Clone, Copy)]
enum Arrived {
    /// Upstream says so, by `arrived`.
    Upstream,
    /// So many times.
    Times(usize),
    /// The shim logs this text.
    Log(&'static str),
    /// It has answered so many requests.
    Answers(usize),
}

/// A place at which a session waits.
struct Phase {
    name: &'static str,
    yaml: &'static str,
    /// What upstream does: `$1` is the verb.
    source: &'static str,
    requests: Vec<Value>,
    arrived: Arrived,
}

fn phase(name: &'static str, source: &'static str) -> Phase {
    let requests = vec![open(json!({}), &bindings(), json!({}))];
    Phase { name, yaml: "", source, requests, arrived: Arrived::Upstream }
}

fn bindings() -> Vec<Value> {
    ["users", "orders", "items"].iter().map(|stream| airbyte(stream, "incremental")).collect()
}

/// A source with words for what the phases do.
const WORDS: &str = r#"
arrived() { echo >> FOLDER/arrived; }
stay() { arrived; exec sleep 600; }
record() { echo "{\"type\":\"RECORD\",\"record\":{\"stream\":\"$1\",\"data\":{\"id\":1},\"emitted_at\":1}}"; }
state() { echo "{\"type\":\"STATE\",\"state\":{\"type\":\"STREAM\",\"stream\":{\"stream_descriptor\":{\"name\":\"$1\"},\"stream_state\":{\"c\":1}}}}"; }
flood() { yes "$(record users)" | head -n "$1"; }
each() { grep -o '"name":"[a-z]*"' "$catalog" | cut -d'"' -f4; }
for argument; do [ "$last" = --catalog ] && catalog=$argument; last=$argument; done
[ "$1" = spec ] && [ -z "$ASKED" ] && { echo '{"type":"SPEC","spec":{"connectionSpecification":{"type":"object"}}}'; exit; }
"#;

fn connector(phase: &Phase) -> Connector {
    let yaml = format!(
        "protocol: airbyte\ncommand: [sh, FOLDER/source.sh]\ntimeouts: {{stop: 1s}}\n{}\n",
        phase.yaml
    );
    Connector::shim(&yaml, &[("source.sh", &format!("{WORDS}{}\n", phase.source))])
}

fn strike(phase: &Phase, stop: Stop) {
    strike_at(phase, &connector(phase), stop);
}

fn strike_at(phase: &Phase, connector: &Connector, stop: Stop) {
    let what = format!("{}, {stop:?}", phase.name);
    let mark = format!("{}-{}-{stop:?}", std::process::id(), phase.name.replace(' ', "-"));
    let log = tempfile::NamedTempFile::new().expect("a file");
    let mut command = connector.command();
    command.env("KILL_MATRIX", &mark).stderr(Stdio::from(log.reopen().expect("a file")));
    let mut shim = command.spawn().expect("the program starts");
    let mut stdin = shim.stdin.take().expect("stdin");
    for request in &phase.requests {
        writeln!(stdin, "{request}").expect("written");
    }
    let mut output = BufReader::new(shim.stdout.take().expect("stdout"));
    let marker = format!("{}/arrived", connector.folder_path());
    let come = || std::fs::read_to_string(&marker).map_or(0, |text| text.lines().count());
    let logged = || std::fs::read_to_string(log.path()).unwrap_or_default();
    match phase.arrived {
        Arrived::Upstream => wait(&what, || come() > 0, logged),
        Arrived::Times(times) => wait(&what, || come() >= times, logged),
        Arrived::Log(text) => wait(&what, || logged().contains(text), logged),
        Arrived::Answers(answers) => {
            for _ in 0..answers {
                output.read_line(&mut String::new()).expect("an answer");
            }
        }
    }
    // What follows the sign is given a moment; a stop that comes before is right as well.
    std::thread::sleep(Duration::from_millis(200));
    let pid = Pid::from_child(&shim);
    let output = match stop {
        Stop::Term => kill_process(pid, Signal::TERM).map(|()| Some(output)).expect("it runs"),
        Stop::Int => kill_process(pid, Signal::INT).map(|()| Some(output)).expect("it runs"),
        Stop::ClosedOutput => {
            drop(output);
            None
        }
    };
    assert_eq!(end(&mut shim, &what, logged), stop.code(), "{what}: {}", logged());
    // Only now: nobody read it, and stdin was open all the time.
    drop((output, stdin));
    nothing_is_left(&mark, shim.id(), &what);
}

fn wait(what: &str, arrived: impl Fn() -> bool, logged: impl Fn() -> String) {
    let begun = Instant::now();
    while !arrived() {
        assert!(begun.elapsed() < PATIENCE, "{what} was never reached: {}", logged());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn end(shim: &mut Child, what: &str, logged: impl Fn() -> String) -> i32 {
    let begun = Instant::now();
    loop {
        if let Some(status) = shim.try_wait().expect("it is ours") {
            return exit_code(status);
        }
        if begun.elapsed() > PATIENCE {
            let _ = shim.kill();
            panic!("{what}: it does not end: {}", logged());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn strike_all(phases: &[Phase]) {
    for phase in phases {
        for stop in STOPS {
            strike(phase, stop);
        }
    }
}

#[test]
fn while_upstream_is_asked() {
    let asks = |name, yaml, source, request| Phase {
        name,
        yaml,
        source,
        requests: vec![request],
        arrived: Arrived::Upstream,
    };
    let capture = json!({"connectorType": "IMAGE", "config": {}, "name": "acmeCo/x", "bindings": bindings()});
    strike_all(&[
        asks("spec", "env: {ASKED: \"1\"}", "stay", crate::harness::spec()),
        asks("check", "", "[ $1 = check ] && stay", json!({"validate": capture})),
        asks("discover", "", "[ $1 = discover ] && stay", discover(&json!({}))),
        Phase {
            yaml: "read: {discoverOnOpen: always}",
            ..phase("discover at open", "[ $1 = discover ] && stay")
        },
        asks("discover, deaf", "", "trap '' TERM\n[ $1 = discover ] && stay", discover(&json!({}))),
    ]);
}

#[test]
fn while_upstream_is_read() {
    strike_all(&[
        phase("before the first record", "stay"),
        phase("before the first state", "record users; stay"),
        phase("behind a state", "record users; state users; stay"),
        phase("a deaf upstream", "trap '' TERM; record users; arrived; while :; do sleep 0.1; done"),
        phase(
            "an output that is closed",
            "record users; exec >/dev/null; arrived; while :; do sleep 0.1; done",
        ),
        phase("a worker that holds the output", "sleep 600 & record users; arrived; exit 0"),
    ]);
}

#[test]
fn while_streams_are_read_side_by_side() {
    const TWO: &str = "read: {parallelism: 2}";
    const FOUR: &str = "read: {parallelism: 4}\nstate: {format: stream}";

    let parallel = |name, yaml, source, arrived| Phase { yaml, arrived, ..phase(name, source) };
    strike_all(&[
        parallel("side by side before the first state", TWO, "record $(each); stay", Arrived::Times(2)),
        parallel("side by side in silence", TWO, "stay", Arrived::Times(2)),
        parallel("side by side, known", FOUR, "record $(each); state $(each); stay", Arrived::Times(3)),
        parallel(
            "side by side, held back",
            TWO,
            "[ $(each) = users ] && stay; yes \"$(record orders)\" | head -c 9000000; stay",
            Arrived::Upstream,
        ),
        parallel(
            "side by side, behind a failure",
            TWO,
            "[ $(each) = users ] && stay; arrived; echo broken >&2; exit 1",
            Arrived::Times(2),
        ),
        parallel(
            "side by side, one global state",
            TWO,
            "echo '{\"type\":\"STATE\",\"state\":{\"type\":\"GLOBAL\",\"global\":{\"shared_state\":{\"a\":1},\"stream_states\":[]}}}'; stay",
            Arrived::Log("has no effect here"),
        ),
    ]);
}

#[test]
fn while_flow_does_not_read() {
    strike_all(&[
        phase("a flood", "arrived; flood 1300000"),
        phase("a flood that ends", "flood 12000; state users; arrived"),
        Phase {
            yaml: "read: {parallelism: 2}\nstate: {format: stream}",
            ..phase("a flood side by side", "arrived; yes \"$(record $(each))\" | head -c 99000000")
        },
        Phase {
            yaml: "read: {checkpointEvery: {documents: 1}}",
            requests: vec![open(json!({}), &[airbyte("users", "full_refresh")], json!({}))],
            ..phase("a flood of checkpoints", "arrived; flood 1300000")
        },
    ]);
}

#[test]
fn while_sockets_are_waited_for() {
    const SOCKETS: &str = "read: {dataChannel: jsonl}";
    strike_all(&[
        Phase { yaml: SOCKETS, ..phase("sockets that never come", "stay") },
        Phase { yaml: SOCKETS, ..phase("records on stdout all the same", "record users; stay") },
        Phase {
            yaml: "read: {dataChannel: protobuf, parallelism: 2}",
            arrived: Arrived::Times(2),
            ..phase("sockets side by side", "stay")
        },
    ]);
}

#[test]
fn while_a_batch_file_is_read() {
    // Ten gigabytes of blank lines, in ten megabytes.
    let blank = "head -c 100000000 /dev/zero | tr '\\0' '\\n' | gzip -1 > FOLDER/one.gz\n\
                 for turn in $(seq 100); do cat FOLDER/one.gz; done > $root/all.json.gz\n\
                 batch users $root/all.json.gz; echo >> FOLDER/arrived; sleep 600";
    for stop in STOPS {
        let connector = crate::batches::tap("timeouts: {stop: 1s}", blank);
        let request = crate::batches::request(&connector);
        let reading = phase("a batch file of blank lines", "");
        strike_at(&Phase { requests: vec![request], ..reading }, &connector, stop);
    }
}

#[test]
fn while_nothing_is_to_be_read() {
    let mut shard = open(json!({}), &bindings(), json!({}));
    shard["open"]["range"] = json!({"keyBegin": 1, "keyEnd": 2, "rClockEnd": 4_294_967_295_u32});
    let read_at = json!({"bindingStateV1": {"users": {"readAt": jiff::Timestamp::now().to_string()}}});
    strike_all(&[
        Phase { requests: Vec::new(), arrived: Arrived::Answers(0), ..phase("before a request", "") },
        Phase {
            requests: vec![crate::harness::spec()],
            arrived: Arrived::Answers(1),
            ..phase("between requests", "")
        },
        Phase {
            requests: vec![shard],
            arrived: Arrived::Answers(1),
            ..phase("a shard without bindings", "")
        },
        Phase {
            yaml: "read: {minInterval: 1h}",
            arrived: Arrived::Log("as `read.minInterval` has it"),
            ..phase("minInterval", "record users; state users")
        },
        Phase {
            yaml: "read: {minInterval: 1h, parallelism: 3}",
            arrived: Arrived::Log("as `read.minInterval` has it"),
            ..phase("minInterval side by side", "record $(each); state $(each)")
        },
        Phase {
            yaml: "streams: {overrides: {users: {interval: 1h}}}",
            requests: vec![open(json!({}), &[airbyte("users", "incremental")], read_at)],
            arrived: Arrived::Log("no stream is due"),
            ..phase("an interval", "")
        },
    ]);
}
