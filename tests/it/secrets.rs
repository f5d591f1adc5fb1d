//! Secrets: no value of a config that is one leaves the program, whatever upstream does.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Connector, airbyte, open, repository, singer};

/// What a test plants, and what must not be seen of it.
struct Canaries {
    config: Value,
    /// Telling parts of the secrets, of which each encoding would show one.
    parts: Vec<String>,
}

/// `tag` keeps tests apart that run at the same time.
fn canaries(tag: &str) -> Canaries {
    let tag = format!("{tag}{}", std::process::id());
    let tagged = |text: &str| text.replace('@', &tag);
    let key = "-----BEGIN PRIVATE KEY-----\nCanaryKey1@AAAA+/One@Tail\nCanaryKey2@CCCC/+Two@Tail\n-----END PRIVATE KEY-----\n";
    let config = json!({
        "credentials": {
            "auth_type": "key",
            "marked": "canary-m@\u{e4}rked/\"q'uote\\&+ ?=",
            "private_key": key,
        },
        "list": [{"marked": "canary-list-@"}],
        "api_token": "canary-name-@",
        "key_file": {"client_secret": "canary-deep-@", "escaped_private_key": key.replace('\n', "\\n").replace("Key", "Escaped")},
        "url": "postgres://reader:canary-url-@!db.example/main",
        "password": "abc9",
        "host": "db.example",
    });
    let config = serde_json::from_str(&tagged(&config.to_string()).replace('!', "@")).expect("JSON");
    let plain = ["canary-m@", "canary-list-@", "canary-name-@", "canary-deep-@", "canary-url-@"];
    let keys = ["CanaryKey1@", "CanaryKey2@", "CanaryEscaped1@", "One@Tail", "Two@Tail"];
    let mut parts: Vec<String> = plain.iter().chain(&keys).map(|&part| tagged(part)).collect();
    // The base64 of the telling parts at each of the three places where they can begin.
    for part in parts.clone() {
        for before in ["", "x", "xx"] {
            let digits = base64(format!("{before}{part}").as_bytes());
            parts.push(digits[4..digits.len() - 4].to_owned());
        }
    }
    // A short one is masked only beside its name.
    parts.extend(["\"password\": \"abc9", "'password': 'abc9"].map(str::to_owned));
    Canaries { config, parts }
}

/// The plain algorithm, as the oracle.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups = bytes.chunks(3).map(|group| {
        let mut number = 0_u32;
        for at in 0..3 {
            number = number << 8 | u32::from(group.get(at).copied().unwrap_or(0));
        }
        [18, 12, 6, 0].map(|shift| char::from(DIGITS[(number >> shift & 63) as usize]))
    });
    groups.flatten().collect()
}

fn assert_none(parts: &[String], text: &str, place: &str) {
    for part in parts {
        if let Some(at) = text.find(part) {
            let around: String =
                text[..at].chars().rev().take(80).collect::<Vec<_>>().into_iter().rev().collect();
            panic!("{part:?} in {place}, after {around:?}");
        }
    }
}

fn connector(protocol: &str) -> Connector {
    let script = repository("fixtures/hostile/prints-its-config.py");
    let script = script.to_str().expect("UTF-8");
    let connector = Connector::new(&["run", "--protocol", protocol, "--", "python3", script, protocol]);
    connector.variable("LOG_LEVEL", "trace")
}

/// Arguments and environments of all processes, as far as they can be read.
fn assert_processes_say_nothing(parts: &[String]) {
    for entry in std::fs::read_dir("/proc").expect("a /proc").flatten() {
        let name = entry.file_name();
        if !name.to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        for file in ["cmdline", "environ"] {
            let content = std::fs::read(entry.path().join(file)).unwrap_or_default();
            assert_none(
                parts,
                &String::from_utf8_lossy(&content),
                &entry.path().join(file).display().to_string(),
            );
        }
    }
}

fn assert_files_hold_nothing(parts: &[String], folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let content = std::fs::read(&path).unwrap_or_default();
        assert_none(parts, &String::from_utf8_lossy(&content), &path.display().to_string());
        if entry.file_name().to_string_lossy().starts_with("flow-shim-") {
            assert_files_hold_nothing(parts, &path);
        }
    }
}

fn nothing_leaks_in_a_read(protocol: &str, binding: Value) {
    let Canaries { mut config, parts } = canaries(protocol);
    if protocol == "singer" {
        // This tap has no schema, so names have to tell.
        config = serde_json::from_str(&config.to_string().replace("marked", "api_key")).expect("JSON");
    }
    let connector = connector(protocol);
    let mut child = connector.command().spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("stdin");
    writeln!(stdin, "{}", open(config, &[binding], json!({}))).expect("written");
    let stderr = child.stderr.take().expect("stderr");
    let logs = std::thread::spawn(move || std::io::read_to_string(stderr).expect("UTF-8 logs"));
    let mut stdout = BufReader::new(child.stdout.take().expect("stdout"));
    let mut line = String::new();
    let document = loop {
        line.clear();
        assert!(stdout.read_line(&mut line).expect("a line") > 0, "the capture ended early");
        let response: Value = serde_json::from_str(&line).expect("JSON");
        if let Some(captured) = response.get("captured") {
            break captured["doc"].clone();
        }
    };
    assert_eq!(document["id"], 0, "core dumps are off");
    assert!(
        document["token"].as_str().is_some_and(|token| token.contains("canary")),
        "documents are not masked"
    );
    assert_processes_say_nothing(&parts);
    std::fs::write(Path::new(&connector.folder_path()).join("go"), "").expect("written");
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(10));
    let logs = logs.join().expect("read");
    assert_none(&parts, &logs, "the log");
    assert!(logs.contains("****"), "something was masked");
    assert!(logs.contains("db.example"), "what is no secret stays");
    for folder in [connector.folder_path().as_str(), "/dev/shm", "/tmp"] {
        assert_files_hold_nothing(&parts, Path::new(folder));
    }
}

#[test]
fn nothing_leaks_from_an_airbyte_source() {
    nothing_leaks_in_a_read("airbyte", airbyte("users", "incremental"));
}

#[test]
fn nothing_leaks_from_a_tap() {
    nothing_leaks_in_a_read("singer", singer("users", "FULL_TABLE"));
}

#[test]
fn nothing_leaks_from_a_check_that_fails() {
    let Canaries { config, parts } = canaries("check");
    let request = json!({"validate": {"name": "acmeCo/source", "connectorType": "IMAGE", "config": config, "bindings": []}});
    let run = connector("airbyte").run(&[request]);
    assert_eq!(run.code, 10);
    assert!(run.last_words().contains("no access with"), "{}", run.last_words());
    let logs: Vec<String> = run.logs.iter().map(Value::to_string).collect();
    assert_none(&parts, &logs.join("\n"), "the log");
}

#[test]
fn a_config_that_is_wrong_is_not_quoted() {
    let spec = json!({"type": "SPEC", "spec": {"connectionSpecification": {
        "type": "object", "properties": {"pin": {"type": "integer", "airbyte_secret": true}},
    }}});
    let connector = Connector::playing("airbyte", &[("spec.jsonl", &format!("{spec}\n"))]);
    let request = json!({"discover": {"connectorType": "IMAGE", "config": {"pin": "canary-of-wrong-type"}}});
    let run = connector.run(&[request]);
    assert_eq!(run.code, 4);
    assert!(!run.last_words().contains("canary"), "{}", run.last_words());
    let broken = connector
        .run_bytes(b"{\"discover\": {\"config\": {\"password\": \"canary-in-broken-json\"}, \"x\": }}\n");
    assert!(!String::from_utf8_lossy(&broken.stderr).contains("canary"));
}
