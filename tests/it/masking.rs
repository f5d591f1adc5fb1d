//! What is masked and what stays readable; secrets that are renewed, large, or many.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::{Connector, Run, airbyte, open, program};

fn spec(properties: &Value) -> String {
    let schema = json!({"type": "object", "properties": properties});
    format!("{}\n", json!({"type": "SPEC", "spec": {"connectionSpecification": schema}}))
}

fn log(text: &str) -> String {
    format!("{}\n", json!({"type": "LOG", "log": {"level": "INFO", "message": text}}))
}

fn record(id: u64) -> String {
    format!(
        "{}\n",
        json!({"type": "RECORD", "record": {"stream": "users", "emitted_at": 1, "data": {"id": id}}})
    )
}

/// A read that prints these lines with this config.
fn read(properties: &Value, config: &Value, lines: &str) -> Run {
    let connector =
        Connector::playing("airbyte", &[("spec.jsonl", &spec(properties)), ("read.jsonl", lines)]);
    connector.run(&[open(config.clone(), &[airbyte("users", "incremental")], json!({}))])
}

fn logs(run: &Run) -> String {
    run.logs.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_error_keeps_what_is_no_secret() {
    let config = json!({
        "token_url": "https://auth.example/oauth/token", "api_key_header": "X-Acme-Key", "auth_token_host": "auth.example",
        "secret_project": "acme-production", "pin": "h", "api_token": "public-by-its-mark",
        "key_file": json!({"token_uri": "https://auth.example/oauth/token", "private_key": "k".repeat(99)}).to_string(),
    });
    let properties = json!({
        "pin": {"airbyte_secret": true}, "key_file": {"airbyte_secret": true}, "api_token": {"airbyte_secret": false},
    });
    let said = "POST https://auth.example/oauth/token of acme-production failed for X-Acme-Key at auth.example (public-by-its-mark)";
    let error =
        json!({"type": "TRACE", "trace": {"type": "ERROR", "emitted_at": 1, "error": {"message": said}}});
    let run = read(&properties, &config, &format!("{error}\n"));
    assert!(run.last_words().ends_with(said), "{}", run.last_words());
}

#[test]
fn a_secret_is_masked_however_it_is_written() {
    let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";
    let key = format!("-----BEGIN PRIVATE KEY-----\n{line}\nshortLastLine1\n-----END PRIVATE KEY-----\n");
    let key_file = json!({"type": "service_account", "private_key": key}).to_string();
    let config = json!({
        "account": STANDARD.encode(key_file), "password": "a\u{7}b\u{e9}'c\u{20ac}\u{200b}d",
        "headers": [{"Authorization": "Bearer b34rer-t0ken"}], "dsn": "host=db password=dsn-pa55word",
    });
    let leaks = [
        format!("cannot read {line}"),
        "cannot read shortLastLine1".to_owned(),
        "{'password': \"a\\x07b\u{e9}'c\u{20ac}\\u200bd\"}".to_owned(),
        "{'password': b\"a\\x07b\\xc3\\xa9'c\\xe2\\x82\\xac\\xe2\\x80\\x8bd\"}".to_owned(),
        "run --password 'a\u{7}b\u{e9}'\"'\"'c\u{20ac}\u{200b}d'".to_owned(),
        "sent b34rer-t0ken".to_owned(),
        "no access with dsn-pa55word".to_owned(),
    ];
    let lines: String = leaks.iter().map(|leak| log(leak)).collect();
    let run = read(&json!({}), &config, &format!("{lines}{}", record(1))).succeeded();
    let logs = logs(&run);
    for part in ["MIIEvQ", "shortLast", "\\x07b", "xc3\\\\xa9", "20ac", "'c\u{20ac}", "b34rer", "dsn-pa"] {
        assert!(!logs.contains(part), "{part}: {logs}");
    }
    assert_eq!(logs.matches("****").count(), leaks.len(), "{logs}");
}

#[test]
fn renewals_without_end_are_masked() {
    let token = |n: usize| {
        let digits = (0..600).map(|at| (at * 7919 + n * 104_729) % 251);
        digits.map(|digit| format!("{digit:02x}")).collect::<Vec<_>>().concat()
    };
    let mut lines = String::new();
    for n in 0..150 {
        let config = json!({"access_token": token(n), "refresh_token": "r3fresh-and-stays"});
        let control =
            json!({"type": "CONNECTOR_CONFIG", "emitted_at": 1, "connectorConfig": {"config": config}});
        lines += &(json!({"type": "CONTROL", "control": control}).to_string() + "\n");
        lines += &record(n as u64);
    }
    lines += &log(&format!("sent {} and {} and r3fresh-and-stays", token(0), token(149)));
    let config = json!({"access_token": "first", "refresh_token": "r3fresh-and-stays"});
    let run = read(&json!({}), &config, &lines).succeeded();
    assert!(run.logged(None, "sent **** and **** and ****"), "{}", logs(&run));
    assert_eq!(run.documents(0).len(), 150);
}

#[test]
fn a_secret_of_megabytes_opens() {
    let large: String =
        (0..10_000_000_u32).map(|n| char::from(b'a' + (n.wrapping_mul(2_654_435_761) >> 28) as u8)).collect();
    let lines = log(&format!("has {}", &large[..9_600])) + &record(1);
    let run = read(&json!({}), &json!({"private_key": large}), &lines).succeeded();
    assert!(run.logged(None, "has ****"), "{}", run.logs.len());
}

#[test]
fn a_flood_of_reported_errors_ends_in_one_failure() {
    let error = |stream: &str| {
        let error =
            json!({"message": format!("no access to {stream}"), "stream_descriptor": {"name": stream}});
        format!("{}\n", json!({"type": "TRACE", "trace": {"type": "ERROR", "emitted_at": 1, "error": error}}))
    };
    let mut lines: String = (0..100_000).map(|n| error(&format!("s{n}"))).collect();
    lines += &error("users");
    let run = read(&json!({}), &json!({}), &lines);
    assert!(run.last_words().contains("stream \"s0\": no access"), "{}", run.last_words());
    let failed = run.logs.last().expect("a failure")["fields"]["failedStreams"].as_array().map(Vec::len);
    assert_eq!(failed, Some(100));
}

#[test]
fn a_transcript_lacks_the_configs_secrets() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().to_str().expect("UTF-8");
    let config = json!({"api_token": "canary-token", "pin": 1234, "host": "db.example"});
    std::fs::write(folder.path().join("config.json"), config.to_string()).expect("written");
    std::fs::write(folder.path().join("catalog.json"), "{\"streams\": [], \"note\": \"canary-token\"}")
        .expect("written");
    let marked = spec(&json!({"pin": {"airbyte_secret": true}}));
    let kept = folder.path().join("kept");
    std::fs::create_dir(&kept).expect("a folder");
    std::fs::write(kept.join("spec.jsonl"), marked).expect("written");
    std::fs::write(kept.join("read.jsonl"), "of old").expect("written");
    let renewed = json!({"type": "CONTROL", "control": {"type": "CONNECTOR_CONFIG", "connectorConfig": {"config": {"api_token": "canary-renewed"}}}});
    let script = format!(
        "echo '{config}'; echo '{renewed}'; printf '{{\"type\":\"LOG\",\"log\":{{\"message\":\"canary-renewed\"}}}}'; echo 'db.example: canary-token' >&2"
    );
    let mut record = Command::new(program());
    record.args(["record", kept.to_str().expect("UTF-8"), "--", "sh", "-c", &script]);
    record.args([
        "source",
        "read",
        "--config",
        &format!("{at}/config.json"),
        "--catalog",
        &format!("{at}/catalog.json"),
    ]);
    let output = record.env_remove("FLOW_SHIM_DIR").output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("canary-token"), "what is passed on is whole");
    for name in ["read.jsonl", "stderr.txt", "catalog.json", "meta.json"] {
        let file = kept.join(name);
        let text = std::fs::read_to_string(&file).expect("a file");
        assert!(!text.contains("canary") && !text.contains("1234"), "{name}: {text}");
        let mode = std::fs::metadata(&file).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let read = std::fs::read_to_string(kept.join("read.jsonl")).expect("a file");
    let lines: Vec<Value> = read.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines[0], json!({"api_token": "****", "pin": "****", "host": "db.example"}));
    assert_eq!(lines.len(), 3, "{read}");
    assert!(std::fs::read_to_string(kept.join("stderr.txt")).expect("a file").contains("db.example: ****"));
}
