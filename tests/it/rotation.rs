//! Renewed credentials: handed to Flow at once, encrypted; used by the next call; never logged.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use crate::harness::{Connector, Run, airbyte, open, repository, singer};

/// An encryption service: its address, and the bodies that it was sent. The n-th answer says so.
pub(crate) fn service() -> (String, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/v1/encrypt-config", listener.local_addr().expect("an address"));
    let (sender, bodies) = channel();
    std::thread::spawn(move || {
        for (count, stream) in listener.incoming().enumerate() {
            let mut stream = stream.expect("a call");
            let body = body(&mut stream);
            sender.send(serde_json::from_str(&body).expect("JSON")).expect("the test waits");
            let answer = json!({"count": count, "sops": {"mac": "ENC[x]"}}).to_string();
            let head =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", answer.len());
            stream.write_all((head + &answer).as_bytes()).expect("answered");
        }
    });
    (url, bodies)
}

/// The body of a request that says how long it is.
fn body(stream: &mut impl Read) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).expect("a request");
        text.push_str(std::str::from_utf8(&buffer[..count]).expect("UTF-8"));
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.to_ascii_lowercase();
        let length = length.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        if body.len() >= length.expect("a length").parse::<usize>().expect("a number") {
            return body.to_owned();
        }
    }
}

/// The configs that Flow is asked to store, in their order.
pub(crate) fn updates(run: &Run) -> Vec<Value> {
    let events = run.logs.iter().filter(|log| log["fields"]["eventType"] == "configUpdate");
    events.map(|log| log["fields"]["config"].clone()).collect()
}

fn renewing(protocol: &str, token: &str) -> Connector {
    let script = repository("fixtures/hostile/renews-its-token.py");
    let script = script.to_str().expect("UTF-8");
    Connector::new(&["run", "--protocol", protocol, "--", "python3", script, protocol, token])
}

fn assert_unsaid(run: &Run, token: &str) {
    let logs: Vec<String> = run.logs.iter().map(Value::to_string).collect();
    assert!(logs.iter().any(|log| log.contains("renewed: ****")), "upstream printed it: {logs:?}");
    assert!(!logs.iter().any(|log| log.contains(token)), "{logs:?}");
}

fn tokens(bodies: &Receiver<Value>) -> Vec<String> {
    let token = |body: Value| body["config"]["auth"]["refresh_token"].as_str().expect("a token").to_owned();
    bodies.try_iter().map(token).collect()
}

#[test]
fn a_recorded_renewal_is_encrypted_and_stored() {
    let fixture = repository("fixtures/airbyte/declarative-manifest-cdk7/read-oauth-refresh.jsonl");
    let read = std::fs::read_to_string(fixture).expect("a recording");
    let control = read.lines().find(|line| line.contains("\"CONTROL\"")).expect("CONTROL");
    let control: Value = serde_json::from_str(control).expect("JSON");
    let new = &control["control"]["connectorConfig"]["config"];
    let (url, bodies) = service();
    let spec = json!({"type": "SPEC", "spec": {"connectionSpecification": {
        "type": "object", "properties": {"refresh_token": {"type": "string", "airbyte_secret": true}},
    }}});
    // The same message again is no change.
    let read = format!("{read}{control}\n");
    let connector =
        Connector::playing("airbyte", &[("read.jsonl", &read), ("spec.jsonl", &format!("{spec}\n"))]);
    let config = json!({"refresh_token": "fake-refresh-0", "by_flow": {"b": 1, "a": 2}});
    let request = open(config, &[airbyte("tags", "incremental")], json!({}));
    let run = connector.variable("ENCRYPTION_URL", &url).run(&[request]);
    assert_eq!(updates(&run), [json!({"count": 0, "sops": {"mac": "ENC[x]"}})]);
    let sent: Vec<Value> = bodies.try_iter().collect();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0]["config"]["refresh_token"], new["refresh_token"]);
    assert_eq!(sent[0]["config"]["by_flow"].to_string(), r#"{"a":2,"b":1}"#);
    assert_eq!(sent[0]["schema"]["properties"]["refresh_token"]["secret"], true);
    let logs = format!("{:?}", run.logs);
    for secret in [
        "fake-refresh-0",
        new["refresh_token"].as_str().expect("a token"),
        new["access_token"].as_str().expect("one"),
    ] {
        assert!(!logs.contains(secret));
    }
}

/// The CDK hands back the whole config that it was given, with what was put into it.
#[test]
fn a_renewal_by_a_manifest_brings_nothing_but_the_users_config() {
    let manifest = "version: 7.0.0\nstreams: []\nspec:\n  connection_specification:\n    type: object\n    \
         properties: {refresh_token: {type: string, airbyte_secret: true}}\n";
    let control = json!({"type": "CONTROL", "control": {"type": "CONNECTOR_CONFIG", "emitted_at": 1, "connectorConfig": {"config": {
        "refresh_token": "second-token", "__injected_declarative_manifest": {"version": "7.0.0"}, "__injected_components_py": "x",
    }}}});
    let yaml = "manifest: manifest.yaml\ncommand: [flow-shim, replay, FOLDER]\n";
    let (url, bodies) = service();
    let connector =
        Connector::shim(yaml, &[("manifest.yaml", manifest), ("read.jsonl", &format!("{control}\n"))]);
    let request = open(json!({"refresh_token": "first-token"}), &[airbyte("tags", "incremental")], json!({}));
    connector.variable("ENCRYPTION_URL", &url).run(&[request]);
    let sent: Vec<Value> = bodies.try_iter().collect();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0]["config"], json!({"refresh_token": "second-token"}));
}

#[test]
fn what_is_renewed_where_only_one_of_the_schemas_marks_it_is_masked() {
    let spec = json!({"type": "SPEC", "spec": {"connectionSpecification": {"type": "object", "properties": {
        "code": {"type": "string"}, "pin": {"type": "string", "airbyte_secret": true},
    }}}});
    let yaml = "
protocol: airbyte
command: [flow-shim, replay, FOLDER]
config:
  schemaPatch:
    properties: {code: null, pin: null, login: {type: object, properties: {code: {type: string, secret: true}}}}
  map: {/code: /login/code, /pin: /login/pin}
";
    let config = json!({"code": "renewed-code-1", "pin": "renewed-pin-1"});
    let control = json!({"type": "CONTROL", "control": {"type": "CONNECTOR_CONFIG", "emitted_at": 1, "connectorConfig": {"config": config}}});
    let log = |text: &str| json!({"type": "LOG", "log": {"level": "INFO", "message": text}});
    let read = format!("{control}\n{}\n{}\n", log("code: renewed-code-1"), log("pin: renewed-pin-1"));
    let connector = Connector::shim(yaml, &[("read.jsonl", &read), ("spec.jsonl", &format!("{spec}\n"))]);
    let config = json!({"login": {"code": "code-of-old", "pin": "pin-of-old"}});
    let run = connector.run(&[open(config, &[airbyte("users", "incremental")], json!({}))]).succeeded();
    assert!(run.logged(None, "code: ****") && run.logged(None, "pin: ****"), "{:?}", run.logs);
}

#[test]
fn a_token_of_a_check_is_what_discover_gets_and_stored_also_when_that_fails() {
    let (url, bodies) = service();
    let config = json!({"auth": {"refresh_token": "token-of-check-0"}, "fails": true});
    let request = json!({"validate": {"name": "acmeCo/source", "connectorType": "IMAGE", "config": config, "bindings": [
        {"resourceConfig": {"stream": "users", "syncMode": "incremental"}, "collection": {"name": "a/b", "key": ["/id"]}},
    ]}});
    let run = renewing("airbyte", "token-of-check").variable("ENCRYPTION_URL", &url).run(&[request]);
    assert_eq!(tokens(&bodies), ["token-of-check-1", "token-of-check-2"], "{:?}", run.logs);
    assert_eq!(updates(&run).len(), 2);
    assert_unsaid(&run, "token-of-check");
}

#[test]
fn a_tap_that_rewrites_its_config_is_heard() {
    let (url, bodies) = service();
    let config = json!({"auth": {"refresh_token": "token-of-tap-0"}, "sleep": 4});
    let request = open(config, &[singer("users", "FULL_TABLE")], json!({}));
    let run = renewing("singer", "token-of-tap").variable("ENCRYPTION_URL", &url).run(&[request]);
    assert_eq!(run.code, 10);
    assert!(run.last_words().contains("the source went away"), "{}", run.last_words());
    assert_eq!(tokens(&bodies), ["token-of-tap-1", "token-of-tap-2", "token-of-tap-3"], "{:?}", run.logs);
    assert_eq!(updates(&run).len(), 3);
    assert_unsaid(&run, "token-of-tap");
}

#[test]
fn a_token_in_a_line_that_is_not_logged_is_masked_where_the_failure_quotes_it() {
    let config = json!({"auth": {"refresh_token": "token-unlogged-0"}, "sleep": 0, "twice": true});
    let request = open(config, &[singer("users", "FULL_TABLE")], json!({}));
    let run = renewing("singer", "token-unlogged").run(&[request]);
    let last = run.logs.last().expect("a last line");
    assert!(last["fields"]["stderr"].to_string().contains("DEBUG renewed: "), "{last}");
    assert_unsaid(&run, "token-unlogged");
}

#[test]
fn without_a_service_it_is_said_once() {
    for url in ["", "http://127.0.0.1:9/v1"] {
        let config = json!({"auth": {"refresh_token": "token-unkept-0"}, "sleep": 0});
        let request = open(config, &[singer("users", "FULL_TABLE")], json!({}));
        let run = renewing("singer", "token-unkept").variable("ENCRYPTION_URL", url).run(&[request]);
        let said = run.logs.iter().filter(|log| log["message"].to_string().contains("cannot be stored"));
        assert_eq!(said.count(), 1, "{:?}", run.logs);
        assert!(run.last_words().contains("the source went away"), "the session has the new token");
        assert_unsaid(&run, "token-unkept");
    }
}
