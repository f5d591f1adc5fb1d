//! `flow-shim oauth --write` into a config file that sops encrypted: it is encrypted again, for the same
//! people.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::environment::impossible_here;
use crate::harness::repository;
use crate::oauth_consent::{Capture, Provider, TOKEN, block};
use crate::sops::{fixture, key, validated};

/// Consents, and has the credentials written into this file; the folder goes with the capture.
fn written(name: &str, config: &str, path: &str) -> (Capture, PathBuf) {
    let provider = Provider::answering(200, TOKEN);
    let mut capture = Capture::new(&block(provider.port, &json!({})));
    let file = capture.folder.path().join(name);
    std::fs::write(&file, config).expect("written");
    capture.variables.extend([("SOPS_AGE_KEY_FILE", key()), ("PATH", path.to_owned())]);
    let capture = capture.with(&["--write", file.to_str().expect("UTF-8")]);
    let run = capture.consent("code=c0de&state=STATE").succeeded();
    assert!(!format!("{:?}", run.logs).contains("t0ken"));
    (capture, file)
}

/// What upstream sees of a config.
fn opened(config: &str) -> Value {
    let (run, seen) = validated(config, &[("SOPS_AGE_KEY_FILE", &key())]);
    run.succeeded();
    seen.expect("upstream saw it")
}

#[test]
fn an_encrypted_file_stays_encrypted_and_opens() {
    for name in ["whole.json", "suffix.json", "suffix-only.json"] {
        let before: Value = serde_json::from_str(&fixture(name)).expect("JSON");
        let (_capture, file) = written("config.json", &fixture(name), "/usr/bin:/bin");
        let text = std::fs::read_to_string(&file).expect("a file");
        assert!(!text.contains("t0ken") && !text.contains("s3cret"), "{name}: {text}");
        let after: Value = serde_json::from_str(&text).expect("JSON");
        let names = |config: &Value| config.as_object().expect("members").keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&after), names(&before), "{name}");
        assert_eq!(
            (&after["host"], &after["sops"]["age"]),
            (&before["host"], &before["sops"]["age"]),
            "{name}"
        );
        let suffix = if name == "whole.json" { "" } else { "_sops" };
        let token = &after["credentials"][format!("access_token{suffix}")];
        assert!(token.as_str().is_some_and(|token| token.starts_with("ENC[AES256_GCM,")), "{name}: {after}");
        let (mut old, mut new) = (opened(&fixture(name)), opened(&text));
        assert_eq!(new["credentials"]["access_token"], "t0ken", "{name}");
        assert_eq!(new["credentials"]["client_secret"], "s3cret", "{name}");
        for added in ["access_token", "expires_at", "client_id", "client_secret"] {
            new["credentials"].as_object_mut().expect("members").remove(added);
        }
        assert_eq!(new.take(), old.take(), "{name}");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a setting of the tests, not of the program")]
fn another_implementation_opens_what_was_encrypted_again() {
    let python = std::env::var_os("FLOW_SHIM_SOPS_PYTHON").unwrap_or_else(|| "python3".into());
    let has = Command::new(&python).args(["-c", "import sops, pyrage"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        let why = "it has no sops and pyrage (fixtures/sops/make.py); FLOW_SHIM_SOPS_PYTHON names another";
        impossible_here(&format!("sops with {}", python.display()), why);
        return;
    }
    let (_capture, file) = written("config.json", &fixture("whole.json"), "/usr/bin:/bin");
    let mut command = Command::new(&python);
    let output = command.arg(repository("fixtures/sops/open.py")).arg(&file).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&seen["credentials"]["access_token"], &seen["tls"]), (&json!("t0ken"), &json!(true)));
    assert_eq!(seen["credentials"]["password"], "s3cret é");
}

#[test]
fn the_sops_program_encrypts_where_it_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let sops = folder.path().join("sops");
    // It decrypts, and edits by an editor that gets a file.
    let script = "#!/bin/sh\nif [ \"$1\" = --decrypt ]; then cat > /dev/null; echo '{\"a_sops\": 1}'; exit; fi\n\
                  \"$EDITOR\" \"$1.clear\" && echo encrypted > \"$1\"\n";
    std::fs::write(&sops, script).expect("written");
    std::fs::set_permissions(&sops, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let config = "a_sops: ENC[x]\nsops: {encrypted_suffix: _sops, kms: [{arn: x}]}\n";
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let (capture, file) = written("config.yaml", config, &path);
    assert_eq!(std::fs::read_to_string(&file).expect("a file"), "encrypted\n");
    let clear = std::fs::read_to_string(capture.folder.path().join("config.yaml.clear")).expect("edited");
    for expected in ["a_sops: 1", "access_token_sops: t0ken", "client_secret_sops: s3cret"] {
        assert!(clear.contains(expected), "{clear}");
    }
    assert!(!clear.contains("kms"), "{clear}");
}
