//! `flow-shim encrypt`: the config of a capture becomes one that sops, Flow and flow-shim open.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::environment::impossible_here;
use crate::harness::{flow_shim, repository};

const RECIPIENT: &str = "age1mllqyqhrkgd5df2lvxz6y4anrapn9qd6tya5j9mkrzn0u2prfcusp5xltn";
const CONFIG: &str = "host: db.example.com\nport: 5432\napi_token: canary-by-name\ncredentials: {user: me, password: canary-marked, pin: 1234}\nkeys: [canary-a, canary-b]\n";

/// A folder with a shim, a plain config, and a flow.yaml that names a config.
fn folder(config: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().to_str().expect("UTF-8").to_owned();
    let schema = json!({"type": "object", "properties": {
        "host": {"type": "string"}, "port": {"type": "integer"}, "api_token": {"type": "string"},
        "keys": {"type": "array", "items": {"type": "string", "airbyte_secret": true}},
        "credentials": {"type": "object", "properties": {
            "user": {"type": "string"}, "password": {"type": "string", "airbyte_secret": true},
            "pin": {"type": "integer", "airbyte_secret": true},
        }},
    }});
    let spec = json!({"type": "SPEC", "spec": {"connectionSpecification": schema}});
    let check = json!({"type": "CONNECTION_STATUS", "connectionStatus": {"status": "SUCCEEDED"}});
    let shim = json!({"protocol": "airbyte", "command": ["flow-shim", "replay", at]});
    let local = json!({"command": ["flow-shim", "run", "--shim", at], "config": config});
    let flow = json!({"captures": {"acmeCo/s": {"endpoint": {"local": local}, "bindings": []}}});
    for (name, text) in [
        ("spec.jsonl", spec.to_string()),
        ("check.jsonl", check.to_string()),
        ("discover.jsonl", json!({"type": "CATALOG", "catalog": {"streams": []}}).to_string()),
        ("shim.yaml", shim.to_string()),
        ("flow.yaml", flow.to_string()),
        ("config.yaml", CONFIG.to_owned()),
    ] {
        std::fs::write(folder.path().join(name), text + "\n").expect("written");
    }
    folder
}

fn encrypt(folder: &tempfile::TempDir, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let source = folder.path().join("flow.yaml");
    let mut command = flow_shim(&["encrypt", "--source", source.to_str().expect("UTF-8")]);
    command.args(arguments).envs(variables.iter().copied()).env("PATH", "/usr/bin:/bin").env("NO_PROXY", "*");
    command.current_dir(folder.path()).output().expect("it runs")
}

fn last_words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned()
}

#[test]
fn a_config_for_an_age_key_opens_here_and_nothing_is_in_the_clear() {
    for name in ["config.sops.yaml", "config.sops.json"] {
        let folder = folder("config.yaml");
        let output = encrypt(&folder, &["--age", RECIPIENT, "--output", name], &[]);
        assert!(output.status.success(), "{}", last_words(&output));
        let text = std::fs::read_to_string(folder.path().join(name)).expect("a file");
        assert!(!text.contains("canary") && !text.contains("1234"), "{text}");
        for expected in
            ["host", "db.example.com", "api_token_sops", "password_sops", "pin_sops", "keys_sops", RECIPIENT]
        {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert!(!String::from_utf8_lossy(&output.stderr).contains("canary"));
        let plain = std::fs::read_to_string(folder.path().join("config.yaml")).expect("a file");
        assert_eq!(plain.trim_end(), CONFIG.trim_end(), "the plain file is left alone");
        let mut names: Vec<String> = std::fs::read_dir(folder.path())
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.retain(|name| name.starts_with("config") || name.starts_with('.'));
        assert_eq!(names.len(), 2, "{names:?}");

        // The encrypted file in place of the plain one.
        let flow = std::fs::read_to_string(folder.path().join("flow.yaml")).expect("a file");
        std::fs::write(
            folder.path().join("flow.yaml"),
            flow.replace("\"config.yaml\"", &format!("{name:?}")),
        )
        .expect("written");
        let key = repository("fixtures/sops/key.txt");
        let key = [("SOPS_AGE_KEY_FILE", key.to_str().expect("UTF-8"))];
        let source = folder.path().join("flow.yaml");
        let mut command = flow_shim(&["raw", "validate", "--source", source.to_str().expect("UTF-8")]);
        let opened = command.envs(key).env("PATH", "/usr/bin:/bin").output().expect("it runs");
        assert!(opened.status.success(), "{}", last_words(&opened));
        let other = encrypt(&folder, &["--age", RECIPIENT], &[]);
        assert!(
            !other.status.success() && last_words(&other).contains("there is no key"),
            "{}",
            last_words(&other)
        );
        let again = encrypt(&folder, &["--age", RECIPIENT], &key);
        assert!(again.status.success(), "{}", last_words(&again));
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a setting of the tests, not of the program")]
fn another_implementation_opens_it() {
    let python = std::env::var_os("FLOW_SHIM_SOPS_PYTHON").unwrap_or_else(|| "python3".into());
    let has = Command::new(&python).args(["-c", "import sops, pyrage"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        let why = "it has no sops and pyrage (fixtures/sops/make.py); FLOW_SHIM_SOPS_PYTHON names another";
        impossible_here(&format!("sops with {}", python.display()), why);
        return;
    }
    let folder = folder("config.yaml");
    // That implementation takes all values for encrypted.
    let config = "api_token: \"s\u{e9}cret: #1\"\nkeys: [canary-a, canary-b]\n";
    std::fs::write(folder.path().join("config.yaml"), config).expect("written");
    let output = encrypt(&folder, &["--age", RECIPIENT, "--output", "sealed.json"], &[]);
    assert!(output.status.success(), "{}", last_words(&output));
    let mut command = Command::new(&python);
    command.arg(repository("fixtures/sops/open.py")).arg(folder.path().join("sealed.json"));
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(seen, json!({"api_token_sops": "s\u{e9}cret: #1", "keys_sops": ["canary-a", "canary-b"]}));
}

#[test]
fn flows_service_is_asked_where_it_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/v1/encrypt-config", listener.local_addr().expect("an address"));
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a call");
        let mut text = String::new();
        let mut buffer = [0; 4096];
        while !text.ends_with("}}}") {
            let count = stream.read(&mut buffer).expect("a request");
            text.push_str(std::str::from_utf8(&buffer[..count]).expect("UTF-8"));
            if text.contains("\r\n\r\n{")
                && serde_json::from_str::<Value>(text.split_once("\r\n\r\n").expect("a body").1).is_ok()
            {
                break;
            }
        }
        let answer = json!({"host": "db.example.com", "password_sops": "ENC[x]", "sops": {"mac": "ENC[y]"}})
            .to_string();
        let length = answer.len();
        write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{answer}")
            .expect("answered");
        text
    });
    let folder = folder("config.yaml");
    let output = encrypt(&folder, &[], &[("ENCRYPTION_URL", &url)]);
    assert!(output.status.success(), "{}", last_words(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("password_sops: ENC[x]")
            || text.contains("password_sops: 'ENC[x]'")
            || text.contains("password_sops: \"ENC[x]\""),
        "{text}"
    );
    let asked = asked.join().expect("it was asked");
    let body: Value = serde_json::from_str(asked.split_once("\r\n\r\n").expect("a body").1).expect("JSON");
    assert_eq!(body["config"]["credentials"]["password"], "canary-marked");
    assert_eq!(body["schema"]["properties"]["credentials"]["properties"]["password"]["secret"], true);
}

#[test]
fn what_cannot_be_encrypted_is_said() {
    let folder = folder("config.yaml");
    for (arguments, expected) in [
        (&[][..], "ENCRYPTION_URL"),
        (&["--age", "age1wrong"][..], "no age recipient"),
        (&["--age", RECIPIENT, "--output", "config.yaml"][..], "exists already"),
    ] {
        let output = encrypt(&folder, arguments, &[]);
        assert!(!output.status.success() && output.stdout.is_empty());
        assert!(last_words(&output).contains(expected), "{}", last_words(&output));
        assert!(!last_words(&output).contains("canary"));
    }
    let output = encrypt(&folder, &[], &[("ENCRYPTION_URL", "http://127.0.0.1:9/x")]);
    assert!(last_words(&output).contains("not-encrypted"), "{}", last_words(&output));
}
