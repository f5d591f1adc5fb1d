//! Upstreams that hang, and ones that only seem to.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::environment::has_python;
use crate::harness::{Connector, Run, airbyte, open};
use crate::messages::{RECORD_WITHOUT_TIME as RECORD, STATE, status};

const SHIM: &str =
    "protocol: airbyte\nconfig: {schema: {type: object}}\nread: {idleTimeout: 1s}\ntimeouts: {stop: 1s}\n";

fn playing(lines: &str) -> Connector {
    let yaml = format!("{SHIM}command: [flow-shim, replay, FOLDER]\n");
    Connector::shim(&yaml, &[("read.jsonl", lines)])
}

fn scripted(program: &str, name: &str, script: &str) -> Connector {
    Connector::shim(&format!("{SHIM}command: [{program}, FOLDER/{name}]\n"), &[(name, script)])
}

fn read(connector: &Connector) -> Run {
    connector.run(&[open(json!({}), &[airbyte("users", "incremental")], json!({}))])
}

fn said(run: &Run, what: &str) -> bool {
    run.logs.iter().any(|log| log.to_string().contains(what))
}

#[test]
fn a_hang_with_everything_committed_ends_well() {
    let run = read(&playing(&format!("{RECORD}{STATE}#! hang\n"))).succeeded();
    assert_eq!(run.all("checkpoint").len(), 1);
    assert!(said(&run, "upstream hung and was stopped"), "{:?}", run.logs);
}

#[test]
fn a_hang_with_uncommitted_documents_is_a_failure_that_names_stream_and_setting() {
    let run = read(&playing(&format!("{RECORD}{STATE}{RECORD}#! hang\n")));
    assert_eq!(run.code, 13);
    for part in ["read.idleTimeout", "1 s", "\"users\"", "1 documents", "output"] {
        assert!(run.last_words().contains(part), "{part}: {}", run.last_words());
    }
    assert_eq!(run.uncommitted(), 1);
}

#[test]
fn a_hang_that_ignores_a_stop_is_killed() {
    let run = read(&playing(&format!("{RECORD}#! ignore-term\n#! hang\n")));
    assert_eq!(run.code, 13, "{:?}", run.logs);
}

#[test]
fn a_hanging_python_says_where() {
    if !has_python("the stacks of Python") {
        return;
    }
    let script = "import threading\ndef waits_for_ever():\n    threading.Event().wait()\nwaits_for_ever()\n";
    let run = read(&scripted("python3", "source.py", script));
    assert_eq!(run.code, 13, "{:?}", run.logs);
    assert!(said(&run, "waits_for_ever"), "{:?}", run.logs);
}

#[test]
fn a_program_that_prints_its_stacks_on_stdout_is_heard() {
    let script = "trap 'echo Full thread dump of main' QUIT\nwhile :; do sleep 600 & wait; done\n";
    let run = read(&scripted("sh", "source.sh", script));
    assert_eq!(run.code, 13, "{:?}", run.logs);
    assert!(said(&run, "Full thread dump of main"), "{:?}", run.logs);
}

#[test]
fn a_slow_reader_is_not_upstreams_fault() {
    let connector = playing(&format!("{}{STATE}", RECORD.repeat(60_000)));
    let mut child = connector.command().spawn().expect("starts");
    let mut stdin = child.stdin.take().expect("stdin");
    writeln!(stdin, "{}", open(json!({}), &[airbyte("users", "incremental")], json!({}))).expect("written");
    drop(stdin);
    std::thread::sleep(Duration::from_secs(3));
    let run = Run::of(child.wait_with_output().expect("it ends")).succeeded();
    assert_eq!(run.documents(0).len(), 60_000);
}

#[test]
fn a_busy_upstream_is_left_alone() {
    let script = format!(
        "end=$(($(date +%s) + 3))\nwhile [ $(date +%s) -lt $end ]; do :; done\nprintf '%s' '{}'\n",
        RECORD.trim()
    );
    assert_eq!(read(&scripted("sh", "source.sh", &script)).succeeded().documents(0).len(), 1);
}

#[test]
fn a_stream_that_waits_for_its_quota_is_given_the_time() {
    let reset = SystemTime::now() + Duration::from_secs(4);
    let reset = reset.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis();
    let limited = json!({"type": "TRACE", "trace": {"type": "STREAM_STATUS", "emitted_at": 1.5, "stream_status": {
        "stream_descriptor": {"name": "users"}, "status": "RUNNING",
        "reasons": [{"type": "RATE_LIMITED", "rate_limited": {"quota_reset": reset}}]}}});
    let complete = status("users", "COMPLETE");
    let run = read(&playing(&format!("{limited}\n#! sleep 3s\n{RECORD}{complete}"))).succeeded();
    assert_eq!(run.documents(0).len(), 1);
}

#[test]
fn without_timeouts_nothing_is_given_up() {
    let yaml = format!("{SHIM}command: [flow-shim, replay, FOLDER]\n");
    let connector = Connector::shim(&yaml, &[("read.jsonl", &format!("#! sleep 3s\n{RECORD}"))]);
    let connector = connector.argument("--no-timeouts");
    assert_eq!(read(&connector).succeeded().documents(0).len(), 1);
}

#[test]
fn an_operation_that_takes_too_long_says_which() {
    let yaml = "protocol: airbyte\ncommand: [flow-shim, replay, FOLDER]\ntimeouts: {spec: 1s, stop: 1s}\n";
    let run = Connector::shim(yaml, &[("spec.jsonl", "#! hang\n")]).run(&[crate::harness::spec()]);
    assert_eq!(run.code, 13);
    assert!(run.last_words().contains("timeouts.spec"), "{}", run.last_words());
}

/// A Python that the shim runs itself: printing its stacks ends it. A script in between would live on.
fn late(limits: &str, source: &str) -> Option<Connector> {
    let python =
        std::process::Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    let python = python.ok().filter(|output| output.status.success());
    let Some(python) = python.and_then(|output| String::from_utf8(output.stdout).ok()) else {
        crate::environment::leave_out("a late Python", "there is no python3");
        return None;
    };
    let yaml = format!(
        "protocol: airbyte\ncommand: [{}, FOLDER/source.py]\ntimeouts: {{stop: 5s, {limits}}}\nread: {{idleTimeout: 1s}}\n",
        python.trim()
    );
    let script =
        format!("import sys, time\nverb = sys.argv[1]\ndef never():\n    time.sleep(1000)\n{source}\n");
    Some(Connector::shim(&yaml, &[("source.py", &script)]))
}

#[test]
fn a_time_limit_that_has_passed_stays_the_verdict_however_a_python_ends() {
    let spec = "print('{\"type\":\"SPEC\",\"spec\":{\"connectionSpecification\":{}}}')";
    let later = format!("if verb == 'spec':\n    {spec}\nelse:\n    never()");
    let validate =
        json!({"validate": {"connectorType": "IMAGE", "config": {}, "name": "acmeCo/x", "bindings": []}});
    let read = open(json!({}), &[airbyte("users", "incremental")], json!({}));
    for (limits, source, request, code, setting) in [
        ("spec: 1s", "never()", crate::harness::spec(), "no-answer", "timeouts.spec"),
        ("check: 1s", &*later, validate, "no-answer", "timeouts.check"),
        ("discover: 1s", &*later, crate::harness::discover(&json!({})), "no-answer", "timeouts.discover"),
        ("spec: 60s", &*later, read, "upstream-hung", "read.idleTimeout"),
    ] {
        let Some(connector) = late(limits, source) else { return };
        let run = connector.run(&[request]);
        let last = run.logs.last().expect("last words");
        assert_eq!(run.code, 13, "{setting}: {last}");
        assert_eq!(last["fields"]["code"], code, "{last}");
        assert_eq!(last["fields"]["failureType"], "transient", "{last}");
        assert!(run.last_words().contains(setting), "{last}");
        assert!(said(&run, "in never"), "the stacks are in the log: {:?}", run.logs);
    }
}

#[test]
fn a_hang_with_everything_committed_waits_for_nothing_and_says_that_it_gave_up() {
    for parallelism in [1, 3] {
        let yaml = format!(
            "protocol: airbyte\ncommand: [sh, FOLDER/source.sh]\nconfig: {{schema: {{type: object}}}}\ntimeouts: {{stop: 1s}}\n\
             read: {{idleTimeout: 1s, minInterval: 1h, parallelism: {parallelism}}}\n"
        );
        // With several processes, only that of `orders` hangs.
        let script = format!(
            "for argument; do [ \"$last\" = --catalog ] && catalog=$argument; last=$argument; done\n\
             for name in $(grep -o '\"name\":\"[a-z]*\"' \"$catalog\" | cut -d'\"' -f4); do\n\
             echo '{}' | sed s/users/$name/; echo '{}' | sed s/users/$name/; done\n\
             [ $name = orders ] && exec sleep 600\nexit 0\n",
            RECORD.trim(),
            STATE.trim()
        );
        let connector = Connector::shim(&yaml, &[("source.sh", &script)]);
        let bindings = [airbyte("users", "incremental"), airbyte("orders", "incremental")];
        let mut child = connector.command().spawn().expect("starts");
        let mut stdin = child.stdin.take().expect("stdin");
        writeln!(stdin, "{}", open(json!({}), &bindings, json!({}))).expect("written");
        // stdin stays open, so that only the shim itself can end this.
        let run = Run::of(child.wait_with_output().expect("it ends")).succeeded();
        drop(stdin);
        assert_eq!(run.all("captured").len(), 2, "parallelism {parallelism}");
        assert_eq!(run.uncommitted(), 0);
        assert!(said(&run, "upstream hung and was stopped") && said(&run, "Gave up"), "{:?}", run.logs);
        assert!(!said(&run, "Up to date"), "{:?}", run.logs);
    }
}

/// Asks this server again and again over one connection, by `send` and `recv`, and prints a record
/// after `polls` answers.
fn poller(port: u16, polls: u32) -> Connector {
    let script = format!(
        "import socket, time\nserver = socket.create_connection(('127.0.0.1', {port}))\n\
         for _ in range({polls}):\n    server.sendall(b'?')\n    server.recv(1)\n    time.sleep(0.3)\nprint({:?})\n",
        RECORD.trim()
    );
    scripted("python3", "source.py", &script)
}

/// A server that answers each byte with one, or takes them and says nothing.
fn server(answers: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        while let Ok((mut client, _)) = listener.accept() {
            std::thread::spawn(move || {
                let mut byte = [0];
                while client.read(&mut byte).is_ok_and(|read| read > 0) {
                    if answers && client.write_all(b"!").is_err() {
                        break;
                    }
                }
            });
        }
    });
    port
}

#[test]
fn a_poller_that_only_its_connection_shows_is_left_alone_and_one_without_an_answer_is_not() {
    if !has_python("a poller over TCP") {
        return;
    }
    assert_eq!(read(&poller(server(true), 12)).succeeded().documents(0).len(), 1);
    let run = read(&poller(server(false), 12));
    assert_eq!(run.code, 13, "{:?}", run.logs);
}

/// What keeps a container's network for itself; `None` where this machine cannot make one.
fn contained() -> Option<Vec<&'static str>> {
    let unshare =
        ["unshare", "--net", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "sh", "-c"];
    let made = std::process::Command::new(unshare[0])
        .args(&unshare[1..])
        .arg("mount -t sysfs sysfs /sys && ip link set lo up")
        .output();
    if made.is_ok_and(|output| output.status.success()) {
        return Some(unshare.to_vec());
    }
    crate::environment::impossible_here("a network namespace", "it takes root, unshare and ip");
    None
}

#[test]
fn a_poller_on_short_lived_connections_is_left_alone_in_a_container() {
    let (Some(unshare), true) = (contained(), has_python("a poller over HTTP")) else { return };
    // Server and client are one process, so that all of the namespace is upstream's.
    let script = format!(
        "import socket, sys, threading, time\n\
         server = socket.create_server(('127.0.0.1', 0))\n\
         def serve():\n    while True:\n        client, _ = server.accept()\n        client.recv(9)\n        client.send(b'!')\n        client.close()\n\
         threading.Thread(target=serve, daemon=True).start()\n\
         for _ in range(4):\n    client = socket.create_connection(server.getsockname())\n    client.send(b'?')\n    client.recv(9)\n    client.close()\n    time.sleep(0.7)\n\
         print({:?})\n",
        RECORD.trim()
    );
    let connector = scripted("python3", "source.py", &script);
    let inside = connector.command();
    let mut command = std::process::Command::new(unshare[0]);
    command
        .args(&unshare[1..])
        .arg("mount -t sysfs sysfs /sys && ip link set lo up && exec \"$@\"")
        .arg("sh");
    command.arg(inside.get_program()).args(inside.get_args()).current_dir(connector.folder_path());
    let mut child = command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("unshare");
    let request = open(json!({}), &[airbyte("users", "incremental")], json!({}));
    writeln!(child.stdin.take().expect("stdin"), "{request}").expect("written");
    let run = Run::of(child.wait_with_output().expect("it ends")).succeeded();
    assert_eq!(run.documents(0).len(), 1);
}
