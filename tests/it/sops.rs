//! Configs of a flow.yaml that sops encrypted. The fixtures were made by another implementation.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::harness::{Run, flow_shim, repository};

/// A source that keeps the config that it is checked with.
const SOURCE: &str = r#"
case "$1" in
spec) echo '{"type":"SPEC","spec":{"connectionSpecification":{"type":"object"}}}' ;;
check) cat "$3" > "$HERE/seen.json"; echo '{"type":"CONNECTION_STATUS","connectionStatus":{"status":"SUCCEEDED"}}' ;;
esac
"#;

/// Validates a capture with this config file, with these variables: how it went, and what upstream saw.
pub(crate) fn validated(config: &str, variables: &[(&str, &str)]) -> (Run, Option<Value>) {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path().to_str().expect("UTF-8");
    let shim =
        json!({"protocol": "airbyte", "command": ["sh", format!("{here}/source.sh")], "env": {"HERE": here}});
    let local = json!({"command": ["flow-shim", "run", "--shim", here], "config": "config.json"});
    let flow = json!({"captures": {"acmeCo/s": {"endpoint": {"local": local}, "bindings": []}}});
    for (name, text) in [
        ("source.sh", SOURCE),
        ("shim.yaml", &shim.to_string()),
        ("flow.yaml", &flow.to_string()),
        ("config.json", config),
    ] {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    let mut command = flow_shim(&["raw", "validate", "--source"]);
    command.arg(folder.path().join("flow.yaml"));
    command.env("PATH", "/usr/bin:/bin").envs(variables.iter().copied());
    let run = Run::of(command.output().expect("it runs"));
    let seen = std::fs::read_to_string(folder.path().join("seen.json")).ok();
    (run, seen.map(|text| serde_json::from_str(&text).expect("JSON")))
}

pub(crate) fn fixture(name: &str) -> String {
    std::fs::read_to_string(repository("fixtures/sops").join(name)).expect("a fixture")
}

pub(crate) fn key() -> String {
    repository("fixtures/sops/key.txt").to_str().expect("UTF-8").to_owned()
}

#[test]
fn configs_that_another_implementation_encrypted_are_read() {
    let flows =
        json!({"host": "db.example.com", "port": 5432, "credentials": {"user": "me", "password": "s3cret"}});
    let whole = json!({
        "host": "db.example.com", "port": 5432, "ratio": 0.25, "tls": true, "verify": false,
        "note_unencrypted": "in the clear", "empty": "", "credentials": {"password": "s3cret é", "tokens": ["one", "two"]},
    });
    for (name, expected) in
        [("whole.json", whole), ("suffix.json", flows.clone()), ("suffix-only.json", flows)]
    {
        let (run, seen) = validated(&fixture(name), &[("SOPS_AGE_KEY_FILE", &key())]);
        let run = run.succeeded();
        assert_eq!(seen, Some(expected), "{name}");
        assert!(!format!("{:?}", run.logs).contains("s3cret"), "{name}");
    }
    let (run, _) = validated(&fixture("suffix.json"), &[("SOPS_AGE_KEY", fixture("key.txt").trim())]);
    run.succeeded();
}

#[test]
fn a_wrong_key_and_none_are_told() {
    let other = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
    for (variables, expected) in [
        (vec![], "there is no key for it: set SOPS_AGE_KEY"),
        (vec![("SOPS_AGE_KEY", other)], "for other age keys"),
        (vec![("SOPS_AGE_KEY", "nonsense")], "no age key"),
        (vec![("SOPS_AGE_KEY_FILE", "/no/such/file")], "cannot be read"),
    ] {
        let (run, seen) = validated(&fixture("whole.json"), &variables);
        assert!(run.last_words().contains(expected), "{}", run.last_words());
        assert_eq!((run.code, seen), (4, None));
    }
    let mut kms: Value = serde_json::from_str(&fixture("whole.json")).expect("JSON");
    kms["sops"]["age"] = json!([]);
    assert!(validated(&kms.to_string(), &[]).0.last_words().contains("install sops"));
}

#[test]
fn a_changed_file_is_told() {
    let original: Value = serde_json::from_str(&fixture("suffix.json")).expect("JSON");
    let swapped = original.to_string().replacen("ENC[AES256_GCM,data:", "ENC[AES256_GCM,data:AA", 1);
    let mut edited = original.clone();
    edited["host"] = "evil.example.com".into();
    let mut added = original.clone();
    added["more"] = "x".into();
    let mut moved = original.clone();
    moved["password_sops"] = moved["credentials"]["password_sops"].take();
    let mut clear = original.clone();
    clear["credentials"]["password_sops"] = "hunter2".into();
    for (config, expected) in [
        (swapped, "credentials.password_sops "),
        (edited.to_string(), "its checksum is wrong"),
        (added.to_string(), "its checksum is wrong"),
        (moved.to_string(), "password_sops was changed, or moved"),
        (clear.to_string(), "credentials.password_sops is not a value that sops encrypted"),
    ] {
        let (run, seen) = validated(&config, &[("SOPS_AGE_KEY_FILE", &key())]);
        assert!(run.last_words().contains(expected), "{}", run.last_words());
        assert!(!run.last_words().contains("hunter2"));
        assert_eq!((run.code, seen), (4, None));
    }
}

#[test]
fn comments_are_no_items_of_a_list() {
    let mut config: Value = serde_json::from_str(&fixture("whole.json")).expect("JSON");
    let tokens = config["credentials"]["tokens"].as_array_mut().expect("a list");
    let comment = tokens[0].as_str().expect("text").replace("type:str]", "type:comment]");
    tokens.insert(1, comment.into());
    let (run, seen) = validated(&config.to_string(), &[("SOPS_AGE_KEY_FILE", &key())]);
    run.succeeded();
    assert_eq!(seen.expect("it is read")["credentials"]["tokens"], json!(["one", "two"]));
}

#[test]
fn a_file_whose_comments_say_what_is_encrypted_is_read_and_not_for_flow() {
    for rule in ["encrypted_comment_regex", "unencrypted_comment_regex"] {
        let mut config: Value = serde_json::from_str(&fixture("whole.json")).expect("JSON");
        let stanza = config["sops"].as_object_mut().expect("a stanza");
        stanza.remove("unencrypted_suffix");
        stanza.insert(rule.to_owned(), "secret".into());
        let (run, seen) = validated(&config.to_string(), &[("SOPS_AGE_KEY_FILE", &key())]);
        let run = run.succeeded();
        assert!(run.logged(Some("warn"), "encrypted-suffix"), "{:?}", run.logs);
        let seen = seen.expect("it is read");
        assert_eq!(
            (&seen["credentials"]["password"], &seen["note_unencrypted"]),
            (&json!("s3cret é"), &json!("in the clear"))
        );
        config["host"] = "evil.example.com".into();
        let (run, _) = validated(&config.to_string(), &[("SOPS_AGE_KEY_FILE", &key())]);
        assert!(run.last_words().contains("its checksum is wrong"), "{}", run.last_words());
    }
}

#[test]
fn the_sops_program_decrypts_where_it_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let config =
        json!({"a_sops": "ENC[…]", "sops": {"gcp_kms": [{}], "encrypted_suffix": "_sops"}}).to_string();
    for (script, expected) in [
        ("grep -q ENC && echo '{\"a_sops\": \"clear\", \"b\": [{\"c_sops\": 1}]}'", None),
        (
            "cat > /dev/null; echo 'Error getting data key: no access' >&2; exit 128",
            Some("sops says: Error getting data key: no access"),
        ),
    ] {
        let sops = folder.path().join("sops");
        std::fs::write(&sops, format!("#!/bin/sh\n{script}\n")).expect("written");
        std::fs::set_permissions(&sops, std::fs::Permissions::from_mode(0o755)).expect("executable");
        let (run, seen) = validated(&config, &[("PATH", &path)]);
        if let Some(expected) = expected {
            assert!(run.last_words().contains(expected), "{}", run.last_words());
        } else {
            run.succeeded();
            assert_eq!(seen, Some(json!({"a": "clear", "b": [{"c": 1}]})));
        }
    }
}
