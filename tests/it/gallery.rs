//! The connectors under shims/: each folder is whole, and its recording passes `.ci/connector`. And
//! `new`, which begins one more.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use regex::Regex;

use crate::harness::{flow_shim, program, repository, without_variables};

/// The folders of shims/ that wrap a connector from PyPI.
fn wrapped() -> Vec<(String, PathBuf)> {
    let folders =
        std::fs::read_dir(repository("shims")).expect("shims").map(|entry| entry.expect("an entry").path());
    let mut wrapped: Vec<_> = folders
        .filter(|folder| folder.join("requirements.txt").is_file())
        .map(|folder| (folder.file_name().expect("a name").to_str().expect("UTF-8").to_owned(), folder))
        .collect();
    wrapped.sort();
    wrapped
}

/// The package that a connector's page names, as requirements.txt would pin it.
fn named_package(page: &Path) -> String {
    let page = std::fs::read_to_string(page).expect("a README");
    let package = Regex::new(r"`([a-z0-9-]+)` ([0-9.]+[0-9])").expect("a pattern");
    let named = package.captures(&page).expect("a package and its version");
    format!("{}=={}", &named[1], &named[2])
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_folder_is_whole_and_listed() {
    let wrapped = wrapped();
    assert!(wrapped.len() >= 15, "{} connectors", wrapped.len());
    let readme = std::fs::read_to_string(repository("shims/README.md")).expect("a README");
    let workflow = std::fs::read_to_string(repository(".github/workflows/ci.yaml")).expect("a workflow");
    for (name, folder) in wrapped {
        for file in
            ["shim.yaml", "test.flow.yaml", "README.md", "snapshots/spec.json", "snapshots/discover.jsonl"]
        {
            assert!(folder.join(file).is_file(), "{name} has no {file}");
        }
        let requirements = std::fs::read_to_string(folder.join("requirements.txt")).expect("requirements");
        let package = named_package(&folder.join("README.md"));
        assert!(requirements.lines().any(|line| line == package), "{name}: README.md says {package}");
        let mut lines = requirements.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        assert!(lines.all(|line| line.contains("==")), "{name}: versions are pinned");
        assert!(readme.contains(&format!("[{name}]({name})")), "{name} is in the table of shims/README.md");
        assert!(workflow.contains(&format!("- {name}\n")), "{name} is in the workflow's matrix");
    }
}

#[test]
fn every_recording_gives_the_spec_the_streams_and_documents_of_its_snapshots() {
    let (mut played, mut failed) = (0, Vec::new());
    for (name, folder) in wrapped().into_iter().filter(|(_, folder)| folder.join("recorded").is_dir()) {
        played += 1;
        let mut command = Command::new("bash");
        command.arg(repository(".ci/connector")).arg(&folder).current_dir(repository(""));
        without_variables(&mut command);
        command.env("FLOW_SHIM", program());
        let output = command.output().expect("bash runs");
        if !output.status.success() {
            failed.push(format!("{name}: {}", said(&output)));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(played >= 15, "{played} recordings");
}

#[test]
fn every_recording_passes_the_driver_and_keeps_what_its_schemas_promise() {
    let (mut passed, mut told, mut failed) = (0, 0, Vec::new());
    for entry in std::fs::read_dir(repository("shims")).expect("shims") {
        let folder = entry.expect("an entry").path();
        let recording =
            ["recorded", "transcript"].map(|name| folder.join(name)).into_iter().find(|path| path.is_dir());
        let Some(recording) = recording else { continue };
        let source = [folder.join("test.flow.yaml"), repository("test.flow.yaml")]
            .into_iter()
            .find(|file| file.is_file());
        let source = source.expect("a flow.yaml");
        let run = |arguments: &[&str]| {
            let mut command = flow_shim(arguments);
            command.arg("--source").arg(&source).env("LOG_LEVEL", "warn").current_dir(repository(""));
            if source.starts_with(&folder) {
                command.arg("--replay").arg(&recording);
            } else {
                let name = folder.file_name().and_then(|name| name.to_str()).expect("a name");
                command.args(["--name", &name.replace("demo-", "demo/")]);
            }
            command.output().expect("it runs")
        };
        let mut questions = vec![["raw", "spec"].as_slice(), &["raw", "discover"]];
        if recording.join("read.jsonl").is_file() {
            questions.push(&["preview"]);
        }
        for question in questions {
            let output = run(question);
            let text = said(&output);
            if !output.status.success() || text.contains("that documents broke") {
                failed.push(format!("{} {question:?}: {text}", folder.display()));
            }
            told += usize::from(question == ["preview"] && !text.contains("sourced schemas 0"));
        }
        passed += 1;
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(passed >= 17 && told >= 10, "{passed} recordings, {told} with sourced schemas");
}

#[test]
fn a_changed_answer_is_a_difference() {
    let folder = tempfile::tempdir().expect("a folder");
    let shim = folder.path().join("shims/demo");
    std::fs::create_dir_all(&shim).expect("made");
    let copy = |from: &str, to: &str| std::fs::copy(repository(from), shim.join(to)).expect("copied");
    std::fs::create_dir(shim.join("recorded")).expect("made");
    for file in ["spec.jsonl", "check.jsonl", "discover.jsonl", "read.jsonl"] {
        copy(&format!("shims/demo-airbyte/transcript/{file}"), &format!("recorded/{file}"));
    }
    let text = "protocol: airbyte\ncommand: [source-demo]\n";
    std::fs::write(shim.join("shim.yaml"), text).expect("written");
    let flow = format!(
        "captures:\n  a/b:\n    endpoint:\n      local:\n        command: [flow-shim, run, --shim, {}]\n        config: {{count: 1}}\n    \
         bindings:\n      - {{resource: {{stream: users, syncMode: full_refresh}}, target: a/users}}\ncollections:\n  a/users:\n    \
         schema: {{type: object, required: [id], properties: {{id: {{type: integer}}}}}}\n    key: [/id]\n",
        shim.display()
    );
    std::fs::write(shim.join("test.flow.yaml"), flow).expect("written");
    let run = |more: &[&str]| {
        let mut command = Command::new("bash");
        without_variables(&mut command);
        command.arg(repository(".ci/connector")).arg(&shim).args(more).env("FLOW_SHIM", program());
        command.output().expect("bash runs")
    };
    let output = run(&["--update"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&run(&[])).contains("25 documents"));
    let snapshot = shim.join("snapshots/discover.jsonl");
    let old = std::fs::read_to_string(&snapshot).expect("written").replace("users", "people");
    std::fs::write(&snapshot, old).expect("written");
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("-{") && said(&output).contains("--update"), "{}", said(&output));
}

#[test]
fn a_new_folder_loads_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("shims")).expect("made");
    let run = |arguments: &[&str]| {
        flow_shim(arguments).current_dir(folder.path()).output().expect("the program runs")
    };
    for (name, protocol) in [("source-new", "airbyte"), ("tap-new", "singer")] {
        let output = run(&["new", name, "--protocol", protocol, "--package", "x==1.0"]);
        assert!(output.status.success(), "{}", said(&output));
        let shim = folder.path().join("shims").join(name);
        for file in ["shim.yaml", "requirements.txt", "test.flow.yaml", "README.md"] {
            assert!(shim.join(file).is_file(), "{file}");
        }
        // It is understood up to the program, which nobody has installed.
        let flow = format!("shims/{name}/test.flow.yaml");
        let output = run(&["raw", "spec", "--source", &flow]);
        let said = said(&output);
        assert!(
            said.contains(&format!("{name:?}").replace('"', "\\\"")) && said.contains("flow-shim install"),
            "{said}"
        );
    }
    let again = run(&["new", "tap-new", "--protocol", "singer"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(said(&again).contains("is there already"));
    assert_eq!(run(&["new", "../x y", "--protocol", "singer"]).status.code(), Some(2));
}

#[test]
fn a_manifest_makes_a_folder_that_loads_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |arguments: &[&str]| {
        flow_shim(arguments).current_dir(folder.path()).output().expect("the program runs")
    };
    let manifest = "version: 7.0.0\ntype: DeclarativeSource\nstreams: []\nspec: {connection_specification: {type: object}}\n";
    std::fs::create_dir(folder.path().join("taken")).expect("made");
    std::fs::write(folder.path().join("taken/manifest.yaml"), manifest).expect("written");
    std::fs::write(folder.path().join("taken/components.py"), "class Own: pass\n").expect("written");
    let metadata = |licence: &str| {
        std::fs::write(folder.path().join("taken/metadata.yaml"), format!("data: {{license: {licence}}}\n"))
            .expect("written");
    };
    metadata("ELv2");
    let refused = run(&["new", "./source-shop", "--manifest", "taken/manifest.yaml"]);
    assert!(!refused.status.success() && said(&refused).contains("--accept-license"), "{}", said(&refused));
    assert!(!folder.path().join("source-shop").exists());
    metadata("MIT");
    let made = run(&["new", "./source-shop", "--manifest", "taken/manifest.yaml"]);
    assert!(made.status.success() && said(&made).contains("components.py"), "{}", said(&made));
    let text =
        |file: &str| std::fs::read_to_string(folder.path().join("source-shop").join(file)).expect("made");
    assert_eq!(text("manifest.yaml"), manifest);
    assert!(text("README.md").contains("`MIT`"));
    assert!(text("requirements.txt").contains("airbyte-cdk=="));
    let spec = run(&["raw", "spec", "--source", "source-shop/test.flow.yaml"]);
    assert!(spec.status.success(), "{}", said(&spec));
    let checked = run(&["check", "source-shop"]);
    let found = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(found.contains("note source-shop/components.py: its Python code runs"), "{found}");
}
