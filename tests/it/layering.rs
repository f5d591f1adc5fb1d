//! Imports run one way. One crate means that the compiler does not guard this, so a test does.

use crate::sources::sources;

/// Which modules of ours the code below a module may name.
const MAY_USE: &[(&str, &[&str])] = &[
    ("json", &["json"]),
    ("flow", &["flow"]),
    ("failure", &["failure"]),
    ("env", &["env"]),
    ("log", &["log", "failure", "env", "terminal"]),
    ("terminal", &["terminal", "env"]),
    ("http", &["http", "env"]),
    ("shim", &["shim", "json", "env", "failure", "log"]),
    ("oauth", &["oauth", "flow", "shim", "json", "http", "log", "failure"]),
    ("capture", &["capture", "oauth", "flow", "shim", "json", "http", "log", "env", "failure"]),
    ("airbyte", &["airbyte", "capture", "oauth", "shim", "json", "log", "failure"]),
    ("singer", &["singer", "capture", "shim", "json", "log", "failure"]),
    ("upstream", &["upstream", "airbyte", "singer", "capture", "flow", "shim", "log", "failure"]),
    ("encryption", &["encryption", "capture", "http", "env"]),
    ("settings", &["settings", "upstream", "encryption", "capture", "flow", "shim", "env", "failure"]),
    (
        "dev",
        &[
            "dev",
            "upstream",
            "airbyte",
            "singer",
            "encryption",
            "capture",
            "oauth",
            "flow",
            "shim",
            "json",
            "http",
            "log",
            "env",
            "failure",
            "terminal",
        ],
    ),
    ("cli", &["cli", "dev", "settings"]),
];

/// Only these may start processes (`tokio::process` or `std::process::Command`).
const SPAWNERS: &[&str] = &["capture/processes/supervisor/", "capture/processes/warden.rs", "dev/"];

/// The modules that a file names as `crate::NAME`, comments left out.
fn named(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
        .collect()
}

#[test]
fn imports_run_one_way() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let module = path.split(['/', '.']).next().expect("a first part");
        if matches!(module, "main" | "lib") {
            continue;
        }
        let (_, may_use) = MAY_USE
            .iter()
            .find(|(name, _)| *name == module)
            .unwrap_or_else(|| panic!("src/{path} belongs to no layer; add it to the table"));
        for used in named(&text) {
            if !may_use.contains(&used.as_str()) {
                wrong.push(format!("src/{path} uses crate::{used}"));
            }
        }
        if text.contains("process::Command") && !SPAWNERS.iter().any(|spawner| path.starts_with(spawner)) {
            wrong.push(format!("src/{path} starts processes"));
        }
    }
    assert!(wrong.is_empty(), "against the layers:\n{}", wrong.join("\n"));
}

#[test]
fn the_table_knows_what_a_file_names() {
    assert_eq!(
        named("use crate::flow::codec;\n// crate::dev\nlet x = crate::log::Level::Info;"),
        ["flow", "log"]
    );
}
