//! Specifications that are kept in the shim's folder.

use std::process::Command;

use serde_json::Value;

use crate::harness::{Connector, flow_shim, spec};

/// A source that leaves a note each time it is asked for its specification.
const SOURCE: &str = r#"#!/bin/sh
echo asked >> "$FLOW_SHIM_DIR/asked"
echo '{"type":"SPEC","spec":{"documentationUrl":"https://docs.example.com","connectionSpecification":{"type":"object","properties":{"token":{"type":"string","airbyte_secret":true}}}}}'
"#;

fn shim() -> Connector {
    let connector = Connector::shim("command: [./source.sh]\n", &[("source.sh", SOURCE)]);
    let file = format!("{}/source.sh", connector.folder_path());
    let made = Command::new("chmod").args(["+x", &file]).status().expect("chmod runs");
    assert!(made.success());
    connector
}

fn bake(connector: &Connector) -> std::process::Output {
    flow_shim(&["bake", &connector.folder_path()]).output().expect("the program runs")
}

fn asked(connector: &Connector) -> usize {
    std::fs::read_to_string(format!("{}/asked", connector.folder_path())).unwrap_or_default().lines().count()
}

#[test]
fn a_baked_specification_is_answered_without_upstream() {
    let connector = shim();
    let before: Value = connector.run(&[spec()]).succeeded().only("spec");
    let output = bake(&connector);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.is_empty());
    let so_far = asked(&connector);
    let run = connector.run(&[spec(), spec()]).succeeded();
    assert_eq!(run.all("spec"), [before.clone(), before]);
    assert_eq!(asked(&connector), so_far, "nobody was asked, not even for the protocol");
}

#[test]
fn another_upstream_is_noticed_and_asked() {
    let connector = shim();
    assert!(bake(&connector).status.success());
    let file = format!("{}/source.sh", connector.folder_path());
    std::fs::write(&file, SOURCE.replace("docs.example.com", "new.example.com")).expect("written");
    let run = connector.run(&[spec()]).succeeded();
    assert_eq!(run.only("spec")["documentationUrl"], "https://new.example.com");
    assert!(run.logged(Some("warn"), "flow-shim bake"));
}

#[test]
fn a_file_that_is_no_specification_is_named() {
    let connector = shim();
    std::fs::write(format!("{}/spec.baked.json", connector.folder_path()), "[]").expect("written");
    let run = connector.run(&[spec()]);
    assert_eq!(run.code, 3);
    assert!(run.last_words().contains("spec.baked.json"), "{}", run.last_words());
}

#[test]
fn an_upstream_that_does_not_answer_is_not_baked() {
    let connector = Connector::shim("protocol: airbyte\ncommand: [sh, -c, 'exit 3']\n", &[]);
    let output = bake(&connector);
    assert_eq!(output.status.code(), Some(11));
    assert!(!std::path::Path::new(&format!("{}/spec.baked.json", connector.folder_path())).exists());
}
