//! Connectors in images under the embedded driver, with a program that stands in for Docker.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use flow_shim::flow::codec::Codec;
use rustix::process::{Pid, Signal, kill_process};

use crate::driver_rules::{Scripted, checkpoint, document, good_spec, session};
use crate::harness::flow_shim;

/// Runs the connector of the folder, deaf to signals, and says what it is asked.
const DOCKER: &str = r#"#!/bin/sh
case "$1" in
image) cat FOLDER/inspection;;
kill) echo "$2" >>FOLDER/killed;;
run)
    echo "$*" >>FOLDER/runs
    for word; do case "$word" in --cidfile=*) printf c0ffee >"${word#--cidfile=}";; esac; done
    trap '' TERM INT
    exec sh FOLDER/connector.sh;;
esac
"#;
const INSPECTION: &str = r#"{"Os":"linux","Architecture":"amd64","Config":{"Labels":{"FLOW_RUNTIME_PROTOCOL":"capture","FLOW_RUNTIME_CODEC":"json"}}}"#;

/// A connector in an image, whose session stays up; the path of the program that runs it.
fn in_image(scripted: &Scripted, inspection: &str) -> String {
    let folder = scripted.folder.path();
    let path = folder.to_str().expect("UTF-8");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("readable");
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("written");
    write("count", "0");
    write("inspection", inspection);
    write("connector.sh", &(read("connector.sh") + "if [ $count = 2 ]; then sleep 600; fi\n"));
    let flow = read("test.flow.yaml");
    let (before, rest) = flow.split_once("local:").expect("a local endpoint");
    let (_, behind) = rest.split_once("    bindings:").expect("bindings");
    write(
        "test.flow.yaml",
        &format!(
            "{before}connector:\n        image: acme/x:local\n        config: {{}}\n    bindings:{behind}"
        ),
    );
    write("docker", &DOCKER.replace("FOLDER", path));
    let docker = folder.join("docker");
    std::fs::set_permissions(&docker, std::fs::Permissions::from_mode(0o755)).expect("executable");
    docker.to_str().expect("UTF-8").to_owned()
}

#[test]
fn a_container_is_killed_that_does_not_stop() {
    let scripted = Scripted::new(Codec::Json, &good_spec(), &session(&[document(), checkpoint()]));
    let docker = in_image(&scripted, INSPECTION);
    let folder = scripted.folder.path();
    let mut command = flow_shim(&["preview", "--source"]);
    command.arg(folder.join("test.flow.yaml")).env("DOCKER_CLI", docker).env("LOG_LEVEL", "warn");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    stdout.read_line(&mut line).expect("a document");
    assert!(line.contains("acmeCo/orders"), "{line}");
    let killed = || std::fs::read_to_string(folder.join("killed")).unwrap_or_default();
    assert_eq!(killed(), "", "the others have ended by themselves");
    let preview = Pid::from_child(&child);
    // The first asks, the second insists; they may come before the first is taken notice of.
    while child.try_wait().expect("it is our child").is_none() {
        kill_process(preview, Signal::INT).expect("it is there");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    assert_eq!(killed(), "c0ffee\n");
    let runs = std::fs::read_to_string(folder.join("runs")).expect("it was run");
    assert!(runs.lines().all(|run| run.contains(" --init ") && run.contains(" --rm ")), "{runs}");
    assert_eq!(runs.lines().count(), 3, "{runs}");
}

#[test]
fn check_says_what_flow_misses_of_an_image() {
    let scripted = Scripted::new(Codec::Json, &good_spec(), &[]);
    let docker = in_image(&scripted, &INSPECTION.replace("amd64", "arm64").replace("_PROTOCOL", ""));
    std::fs::write(scripted.folder.path().join("shim.yaml"), "protocol: airbyte\n").expect("written");
    std::fs::write(scripted.folder.path().join("Dockerfile"), "FROM --platform=linux/arm64 x\n")
        .expect("written");
    let output = flow_shim(&["check"])
        .arg(scripted.folder.path())
        .env("DOCKER_CLI", docker)
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let of = |file: &str, word: &str| text.lines().any(|line| line.contains(file) && line.contains(word));
    for word in ["FLOW_RUNTIME_PROTOCOL=capture", "linux/arm64"] {
        assert!(of("test.flow.yaml", word) && of("Dockerfile", word), "{word}: {text}");
    }
}
