//! The README's commands, run one after the other as its reader does, each with the output that is
//! shown. In what is shown, `…` stands for any text, and a line `…` for any lines.

use std::path::Path;
use std::process::{Command, Output};

use regex::Regex;

use crate::environment::leave_out;
use crate::harness::{program, repository, without_variables};
use crate::pages::Page;

/// What is not run as it stands, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("cargo test", "it is what runs this"),
    ("export PATH=", "each command gets its variables from the test"),
    ("./build-local.sh", "images.rs builds an image by it"),
];
/// The first of the commands that need PyPI; the README's others go on from it.
const NEEDS_PYPI: &str = "flow-shim install ";

/// A command, and what the README shows of its output.
struct Step {
    command: String,
    shown: Vec<String>,
}

/// Those of a page, in its order.
fn steps(page: &Page) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in page.blocks().iter().filter(|block| block.language == "console") {
        for line in block.text.lines() {
            match line.strip_prefix("$ ") {
                Some(command) => steps.push(Step { command: command.to_owned(), shown: Vec::new() }),
                None => steps.last_mut().expect("a command comes first").shown.push(line.to_owned()),
            }
        }
    }
    steps
}

/// A folder as a fresh clone is, as far as the README's commands look at it.
fn clone() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = |name: &str| {
        let status =
            Command::new("cp").arg("-r").arg(repository(name)).arg(folder.path().join(name)).status();
        assert!(status.expect("cp runs").success(), "{name}");
    };
    std::fs::create_dir_all(folder.path().join("shims")).expect("made");
    std::fs::create_dir_all(folder.path().join("fixtures")).expect("made");
    for name in ["test.flow.yaml", "shims/demo-airbyte", "shims/demo-singer", "fixtures/atf"] {
        copy(name);
    }
    folder
}

/// Runs a command in a shell, with the built program in PATH and in place of one that cargo builds.
fn run(command: &str, folder: &Path) -> Output {
    let command = command.replace("cargo run --release -- ", "flow-shim ");
    let bin = program().parent().expect("a folder").display().to_string();
    let mut shell = Command::new("bash");
    shell.args(["-c", &format!("PATH={bin}:$PATH; {command}")]).current_dir(folder);
    without_variables(&mut shell);
    shell.env("LOG_LEVEL", "warn").output().expect("bash runs")
}

/// What is shown of an output that does not say it, by lines; log lines may be left out.
fn difference(shown: &[String], output: &str) -> Option<String> {
    let said: Vec<&str> = output.lines().filter(|line| !line.starts_with("{\"ts\"")).collect();
    let (mut at, mut gap) = (0, false);
    for line in shown {
        if line == "…" {
            gap = true;
            continue;
        }
        let pattern: Vec<String> = line.split('…').map(|part| regex::escape(part.trim())).collect();
        let pattern = Regex::new(&format!("^\\s*{}\\s*$", pattern.join(".*"))).expect("a pattern");
        let reach = if gap { said.len() } else { said.len().min(at + 1) };
        let Some(found) = (at..reach).find(|&index| pattern.is_match(said[index])) else {
            return Some(format!("not said: {line}\nbut: {}", said.get(at).unwrap_or(&"nothing")));
        };
        (at, gap) = (found + 1, false);
    }
    None
}

#[test]
fn the_readmes_commands_do_what_it_shows() {
    let folder = clone();
    let (mut ran, mut is_installed) = (0, true);
    for Step { command, shown } in steps(&Page::read("README.md")) {
        let left_out = NOT_RUN.iter().any(|(begin, _)| command.starts_with(begin));
        if left_out || !is_installed && command.contains("shims/tap-jsonl") {
            continue;
        }
        let output = run(&command, folder.path());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() && command.starts_with(NEEDS_PYPI) {
            leave_out("the README's connector from PyPI", said.lines().last().unwrap_or_default());
            is_installed = false;
            continue;
        }
        assert!(output.status.success(), "$ {command}\n{said}");
        let said = String::from_utf8_lossy(&output.stdout) + &*said;
        if let Some(difference) = difference(&shown, &said) {
            panic!("$ {command}\n{difference}");
        }
        ran += 1;
    }
    assert!(ran >= 6, "{ran} commands");
}

#[test]
fn output_that_is_not_as_shown_is_found() {
    let shown = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>();
    let said = "one\n  two 2.5 s\n{\"ts\":1}\nthree\nfour\n";
    for good in [&["one", "two … s", "three"][..], &["…", "three"], &["one", "…", "four", "…"], &[]] {
        assert_eq!(difference(&shown(good), said), None, "{good:?}");
    }
    for wrong in [&["two … s"][..], &["one", "three"], &["one", "two 3…"], &["…", "five"]] {
        assert!(difference(&shown(wrong), said).is_some(), "{wrong:?}");
    }
}

#[test]
fn what_is_not_run_is_in_the_readme() {
    let steps = steps(&Page::read("README.md"));
    for (begin, reason) in NOT_RUN {
        assert!(steps.iter().any(|step| step.command.starts_with(begin)), "{begin}: {reason}");
    }
}
