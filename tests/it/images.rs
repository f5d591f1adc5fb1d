//! Images: the Dockerfile's targets are built and run, as Flow runs a connector's image. The base
//! image comes from Debian's packages (`tests/environment/images.sh`), so no registry is needed.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::environment::{last_words, leave_out};
use crate::harness::{Run, airbyte, discover, flow_shim, open, repository, spec};

/// Debian with Python, made once and kept.
pub(crate) const BASE: &str = "flow-shim-test/python:bookworm";
/// What Flow's data planes allow, and a root file system that nothing can be written to.
pub(crate) const LIMITS: [&str; 6] = [
    "--memory=1g",
    "--cpus=2",
    "--read-only",
    "--log-driver=none",
    "--env=LOG_LEVEL=warn",
    "--env=LOG_FORMAT=json",
];

/// The base image and the static program at `dist/flow-shim`; `false` where there is no engine.
pub(crate) fn ready() -> bool {
    static READY: OnceLock<Result<(), String>> = OnceLock::new();
    let ready = READY.get_or_init(|| {
        let engine = Command::new("docker").args(["version", "--format={{.Server.Version}}"]).output();
        let engine = engine.map_err(|error| format!("docker: {error}"))?;
        if !engine.status.success() {
            return Err(format!("no Docker engine answers: {}", last_words(&engine)));
        }
        for (script, arguments) in
            [("tests/environment/images.sh", ["base", BASE].as_slice()), ("build-local.sh", &["binary"])]
        {
            let mut command = Command::new("bash");
            // The shipped profile takes minutes to build; what it changes is speed and size.
            command.arg(repository(script)).args(arguments).env("FLOW_SHIM_PROFILE", "quick");
            let output = command.output().expect("bash runs");
            if !output.status.success() {
                return Err(format!("{script}: {}", last_words(&output)));
            }
        }
        Ok(())
    });
    if let Err(why) = ready {
        leave_out("images of connectors", why);
    }
    ready.is_ok()
}

pub(crate) fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).stdin(Stdio::null()).output().expect("docker runs");
    assert!(output.status.success(), "docker {arguments:?}: {}", last_words(&output));
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}

/// Builds the image of a shim with build-local.sh; its tag.
fn build(connector: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("bash");
    command.arg(repository("build-local.sh")).arg(connector).arg("--").args(arguments);
    // Built by `ready`; a second build at the same time would only wait for the first.
    command.env("FLOW_SHIM_PROGRAM", repository("dist/flow-shim"));
    let output = command.output().expect("bash runs");
    assert!(output.status.success(), "{connector}: {}", last_words(&output));
    format!("ghcr.io/estuary/{connector}:local")
}

/// Runs an image with these requests and then the end of stdin, as Flow does.
fn run(image: &str, more: &[&str], arguments: &[&str], requests: &[Value]) -> Run {
    let mut command = Command::new("docker");
    command.args(["run", "--rm", "--interactive"]).args(LIMITS).args(more).arg(image).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("docker runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    for request in requests {
        // A container that has ended does not read; its exit code says more.
        let _ = writeln!(stdin, "{request}");
    }
    drop(stdin);
    Run::of(child.wait_with_output().expect("docker ends"))
}

fn streams(run: &Run) -> Vec<String> {
    let bindings = run.only("discovered")["bindings"].clone();
    let bindings = bindings.as_array().expect("bindings").iter();
    let mut names: Vec<String> =
        bindings.map(|binding| binding["recommendedName"].as_str().expect("a name").to_owned()).collect();
    names.sort();
    names
}

#[test]
fn real_images_the_program_alone_runs_in_an_empty_image() {
    if !ready() {
        return;
    }
    let tag = "flow-shim-test/binary:local";
    let context = repository("").display().to_string();
    docker(&["build", "--quiet", "--target=binary", "--tag", tag, &context]);
    let size: u64 = docker(&["image", "inspect", "--format={{.Size}}", tag]).parse().expect("a size");
    assert_eq!(size, std::fs::metadata(repository("dist/flow-shim")).expect("built").len(), "nothing else");
    let shim = format!("--volume={}:/shim:ro", repository("shims/demo-airbyte").display());
    let answers = run(tag, &[&shim, "--user=65532"], &["run"], &[spec(), discover(&json!({}))]).succeeded();
    assert!(answers.only("spec")["configSchema"]["properties"]["count"].is_object());
    assert_eq!(streams(&answers), ["products", "purchases", "users"]);
}

#[test]
fn real_images_a_connectors_own_image_takes_the_program_as_its_entry_point() {
    if !ready() {
        return;
    }
    // What an Airbyte image is: a program, and a variable that says how it is started.
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write(
        "main.py",
        "import json, sys\nschema = {'type': 'object', 'title': sys.argv[1]}\n\
         print(json.dumps({'type': 'SPEC', 'spec': {'connectionSpecification': schema}}))\n",
    );
    write(
        "source",
        &format!(
            "FROM {BASE}\nWORKDIR /airbyte/integration_code\nCOPY main.py main.py\n\
             ENV AIRBYTE_ENTRYPOINT=\"python3 /airbyte/integration_code/main.py 'a title'\"\n"
        ),
    );
    let context = folder.path().to_str().expect("UTF-8");
    let source = "flow-shim-test/airbyte-source:local";
    docker(&["build", "--quiet", "--file", &format!("{context}/source"), "--tag", source, context]);

    // Somebody else's repository, with one shim and the program in it.
    for folder in ["shims/source-x", "dist"] {
        std::fs::create_dir_all(Path::new(context).join(folder)).expect("a folder");
    }
    std::fs::copy(repository("dist/flow-shim"), format!("{context}/dist/flow-shim")).expect("copied");
    write("shims/source-x/shim.yaml", "protocol: airbyte\n");
    let tag = "flow-shim-test/drop-in:local";
    let arguments = [
        format!("CONNECTOR_IMAGE={source}"),
        "CONNECTOR=source-x".into(),
        "DOCS_URL=https://a.test/x".into(),
    ];
    let dockerfile = format!("--file={}", repository("Dockerfile").display());
    let mut command = vec!["build", "--quiet", "--target=drop-in", "--tag", tag, &dockerfile];
    command.extend(arguments.iter().flat_map(|argument| ["--build-arg", argument]));
    command.push(context);
    docker(&command);
    let answer = run(tag, &[], &[], &[spec()]).succeeded().only("spec");
    assert_eq!(answer["configSchema"]["title"], "a title");
    assert_eq!(answer["documentationUrl"], "https://a.test/x");
    assert_eq!(labels(tag)["FLOW_RUNTIME_PROTOCOL"], "capture");
    assert_eq!(labels(tag)["CONNECTOR_PROTOCOL"], "flow-capture");
}

#[test]
fn real_images_a_replayed_connector_needs_nothing_but_the_program() {
    if !ready() {
        return;
    }
    let tag = build("demo-airbyte", &["--target=drop-in"]);
    let answers = run(&tag, &[], &[], &[spec(), discover(&json!({}))]).succeeded();
    assert_eq!(streams(&answers), ["products", "purchases", "users"]);
}

fn labels(image: &str) -> Value {
    let labels = docker(&["image", "inspect", "--format={{json .Config.Labels}}", image]);
    serde_json::from_str(&labels).expect("JSON")
}

#[test]
fn real_images_a_python_connector_is_built_from_its_shim_and_answers_as_in_flow() {
    if !ready() {
        return;
    }
    let python = format!("PYTHON_IMAGE={BASE}");
    let tag = build("source-faker", &["--build-arg", &python, "--build-arg", "USAGE_RATE=0.5"]);
    for (label, value) in [
        ("FLOW_RUNTIME_PROTOCOL", "capture"),
        ("FLOW_RUNTIME_CODEC", "json"),
        ("dev.estuary.usage-rate", "0.5"),
    ] {
        assert_eq!(labels(&tag)[label], value, "{label}");
    }
    assert_eq!(docker(&["image", "inspect", "--format={{.Config.User}}", &tag]), "65532:65532");
    // What its build baked answers Spec: Python is not started, and cannot be.
    let no_python = "--volume=/dev/null:/shim/.venv/bin/python3:ro";
    assert!(run(&tag, &[no_python], &[], &[spec()]).succeeded().only("spec")["configSchema"].is_object());

    let config =
        json!({"count": 20, "seed": 1, "parallelism": 1, "records_per_slice": 20, "always_updated": false});
    let answers = run(&tag, &[], &[], &[spec(), discover(&config)]).succeeded();
    assert!(answers.only("spec")["configSchema"]["properties"]["count"].is_object());
    assert_eq!(streams(&answers), ["products", "purchases", "users"]);
    let bindings = [airbyte("users", "incremental")];
    let read = run(&tag, &[], &[], &[spec(), open(config, &bindings, json!({}))]).succeeded();
    assert_eq!(read.documents(0).len(), 20);
    assert_eq!(read.uncommitted(), 0);

    let folder = tempfile::tempdir().expect("a folder");
    let text = std::fs::read_to_string(repository("shims/source-faker/test.flow.yaml")).expect("readable");
    let local = "local:\n        command: [flow-shim, run, --shim, shims/source-faker]";
    assert!(text.contains(local));
    let text = text.replace(local, &format!("connector:\n        image: {tag}"));
    let file = folder.path().join("test.flow.yaml");
    std::fs::write(&file, text).expect("written");
    for (arguments, lines) in [(["raw", "spec"].as_slice(), 1), (&["preview", "--sessions=1"], 300)] {
        let mut command = flow_shim(arguments);
        command.arg("--source").arg(&file).env("LOG_LEVEL", "warn");
        let output = command.output().expect("the program runs");
        assert!(output.status.success(), "{arguments:?}: {}", last_words(&output));
        let printed = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
        assert_eq!(printed, lines, "{arguments:?}");
    }
}
