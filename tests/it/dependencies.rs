//! What we depend on: every crate has a licence that deny.toml allows, comes from crates.io, and is
//! in the table of CONTRIBUTING.md where we name it ourselves.

use std::process::Command;

use serde_json::Value;
use spdx::{Expression, ParseMode};

use crate::harness::repository;

fn read(file: &str) -> String {
    std::fs::read_to_string(repository(file)).expect("readable")
}

/// The licences that deny.toml allows, one a line.
fn allowed() -> Vec<String> {
    let text = read("deny.toml");
    let (_, list) = text.split_once("allow = [").expect("a list of licences");
    let (list, _) = list.split_once(']').expect("its end");
    let allowed: Vec<String> = list.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    assert!(allowed.iter().all(|name| spdx::license_id(name).is_some()), "{allowed:?}");
    allowed
}

fn metadata() -> Value {
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let ask = |more: &[&str]| {
        let mut command = Command::new(cargo);
        command.args(["metadata", "--format-version=1", "--locked"]).args(more).current_dir(repository(""));
        command.output().expect("cargo runs")
    };
    let mut output = ask(&["--offline"]);
    if !output.status.success() {
        // A machine that has built only for itself lacks the crates of other platforms.
        output = ask(&[]);
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn licences_are_allowed_and_sources_known() {
    let allowed = allowed();
    let metadata = metadata();
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let name = format!("{} {}", package["name"], package["version"]);
        let license = package["license"].as_str().unwrap_or("no licence");
        // Older crates write `MIT/Apache-2.0`.
        let expression = Expression::parse_mode(license, ParseMode::LAX);
        let is_allowed = expression.is_ok_and(|expression| {
            expression.evaluate(|requirement| {
                requirement.license.id().is_some_and(|id| allowed.iter().any(|name| name == id.name))
            })
        });
        if !is_allowed {
            wrong.push(format!("{name} is under {license}"));
        }
        let source = package["source"].as_str();
        if source.is_some_and(|source| source != "registry+https://github.com/rust-lang/crates.io-index") {
            wrong.push(format!("{name} is from {source:?}"));
        }
    }
    assert!(wrong.is_empty(), "against deny.toml:\n{}", wrong.join("\n"));
}

/// `1.89` or `1.89.0`, in an order.
fn version(text: &str) -> Vec<u32> {
    let mut parts: Vec<u32> = text.split('.').map(|part| part.parse().expect("a number")).collect();
    parts.resize(3, 0);
    parts
}

#[test]
fn no_dependency_needs_a_newer_rust_than_we_say() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages");
    let own = packages.iter().find(|package| package["name"] == "flow-shim").expect("ourselves");
    let ours = own["rust_version"].as_str().expect("Cargo.toml states rust-version");
    let newer = packages.iter().filter_map(|package| {
        let needs = package["rust_version"].as_str().filter(|needs| version(needs) > version(ours))?;
        Some(format!("{} {} needs {needs}", package["name"], package["version"]))
    });
    assert_eq!(newer.collect::<Vec<_>>(), [] as [&str; 0], "rust-version is {ours}");
    let contributing = read("CONTRIBUTING.md");
    assert!(contributing.contains(&format!("Rust {ours}")), "CONTRIBUTING.md names the oldest Rust");
}

#[test]
fn every_dependency_of_ours_has_its_reason_in_contributing() {
    let contributing = read("CONTRIBUTING.md");
    let (_, table) = contributing.split_once("## Dependencies").expect("a section");
    let words: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with('|') || line.starts_with("For "))
        .flat_map(|line| line.split(['|', ',', ' ', '(']))
        .collect();
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages");
    let ours = packages.iter().find(|package| package["name"] == "flow-shim").expect("this package");
    let dependencies = ours["dependencies"].as_array().expect("dependencies");
    let missing: Vec<&str> = dependencies
        .iter()
        .filter_map(|dependency| dependency["name"].as_str())
        .filter(|name| !words.contains(name))
        .collect();
    assert!(missing.is_empty(), "no line in CONTRIBUTING.md says why: {missing:?}");
}
