//! Variables that upstream finds in its environment.

use serde_json::json;

use crate::harness::{Connector, airbyte, open};

const SCRIPT: &str = r#"case "$1" in spec) echo '{"type":"SPEC","spec":{"connectionSpecification":{}}}'; exit;; esac
for name in LANG LC_ALL LC_CTYPE PYTHONIOENCODING SCARF_NO_ANALYTICS DO_NOT_TRACK; do
eval "value=\$$name"; printf '{"type":"LOG","log":{"level":"INFO","message":"%s=%s"}}\n' $name "$value"; done
"#;

/// What upstream finds, where whoever starts flow-shim sets these variables.
fn found(yaml: &str, variables: &[(&'static str, &str)]) -> Vec<String> {
    let yaml = format!("protocol: airbyte\ncommand: [sh, FOLDER/source.sh]\n{yaml}");
    let mut connector = Connector::shim(&yaml, &[("source.sh", SCRIPT)]);
    for name in ["LANG", "LC_ALL", "LC_CTYPE", "PYTHONIOENCODING", "SCARF_NO_ANALYTICS", "DO_NOT_TRACK"] {
        connector = connector.without(name);
    }
    for (name, value) in variables {
        connector = connector.variable(name, value);
    }
    let run = connector.run(&[open(json!({}), &[airbyte("users", "incremental")], json!({}))]);
    let messages = run.logs.iter().filter_map(|log| log["message"].as_str());
    messages
        .filter(|message| message.contains('='))
        .map(str::to_owned)
        .filter(|m| !m.ends_with('='))
        .collect()
}

#[test]
fn text_is_utf_8_and_nobody_is_told_of_the_start() {
    assert_eq!(
        found("", &[]),
        ["LANG=C.UTF-8", "PYTHONIOENCODING=utf-8", "SCARF_NO_ANALYTICS=true", "DO_NOT_TRACK=true"]
    );
}

#[test]
fn what_an_image_or_a_shim_sets_counts() {
    let image = [
        ("LC_ALL", "de_DE.UTF-8"),
        ("PYTHONIOENCODING", "latin-1"),
        ("SCARF_NO_ANALYTICS", "false"),
        ("DO_NOT_TRACK", "0"),
    ];
    let expected =
        ["LC_ALL=de_DE.UTF-8", "PYTHONIOENCODING=latin-1", "SCARF_NO_ANALYTICS=false", "DO_NOT_TRACK=0"];
    assert_eq!(found("", &image), expected);
    let shim = "env: {LANG: fr_FR.UTF-8, DO_NOT_TRACK: '0'}\n";
    let found = found(shim, &[("LANG", "POSIX")]);
    assert!(
        found.contains(&"LANG=fr_FR.UTF-8".to_owned()) && found.contains(&"DO_NOT_TRACK=0".to_owned()),
        "{found:?}"
    );
}
