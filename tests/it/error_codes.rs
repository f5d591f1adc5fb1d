//! The codes of failures: docs/errors.md has them all with their exit codes, its messages are those of
//! the source, and what goes wrong ends with its code.

use std::collections::BTreeMap;

use flow_shim::failure::Code;
use regex::Regex;
use serde_json::Value;

use crate::harness::{flow_shim, repository};
use crate::sources::joined;

struct Row {
    code: String,
    exit: String,
    messages: String,
}

/// The rows of the page's tables, each with the exit code of its heading.
fn rows() -> Vec<Row> {
    let page = std::fs::read_to_string(repository("docs/errors.md")).expect("the page");
    let (_, codes) = page.split_once("## Codes").expect("the index");
    let mut exit = String::new();
    let mut rows = Vec::new();
    for line in codes.lines() {
        if let Some(heading) = line.strip_prefix("### Exit code ") {
            heading.split_once(':').expect("a title").0.clone_into(&mut exit);
        } else if let Some(row) = line.strip_prefix("| `") {
            let (code, rest) = row.split_once("` | ").expect("a code");
            let cells: Vec<&str> = rest.trim_end_matches(" |").split(" | ").collect();
            assert_eq!(cells.len(), 3, "message, cause and remedy: {line}");
            assert!(cells.iter().all(|cell| !cell.trim().is_empty()), "{line}");
            rows.push(Row { code: code.to_owned(), exit: exit.clone(), messages: cells[0].to_owned() });
        }
    }
    rows
}

#[test]
fn the_index_has_every_code_with_its_exit_code_and_no_other() {
    let mut expected: BTreeMap<String, String> =
        Code::ALL.iter().map(|code| (code.name().to_owned(), code.cause().exit_code().to_string())).collect();
    expected.insert(Code::stopped(15).name().to_owned(), "128 + N".to_owned());
    let rows = rows();
    assert_eq!(rows.len(), expected.len(), "a code has one row");
    let listed: BTreeMap<String, String> = rows.into_iter().map(|row| (row.code, row.exit)).collect();
    assert_eq!(listed, expected);
}

#[test]
fn every_code_is_used() {
    let source = joined();
    let unused = Code::ALL.iter().filter(|code| {
        let constant = code.name().replace('-', "_").to_uppercase();
        !source.contains(&format!("Code::{constant}"))
    });
    assert_eq!(unused.collect::<Vec<_>>(), [] as [&Code; 0], "constants are named after their codes");
}

#[test]
fn the_indexs_messages_are_those_of_the_source() {
    let source = joined();
    // Placeholders of the source, and words that stand for them in the page.
    let source = Regex::new(r"\{[^{}\n]*\}").expect("a pattern").replace_all(&source, "…").into_owned();
    let quoted = Regex::new("`([^`]+)`").expect("a pattern");
    let pieces = Regex::new(r"…|N\b|LINE|COLUMN|FILE|PLACE").expect("a pattern");
    let mut strangers = Vec::new();
    for row in rows() {
        for message in quoted.captures_iter(&row.messages) {
            for piece in pieces.split(&message[1]).filter(|piece| piece.len() > 6) {
                if !source.contains(piece) {
                    strangers.push(format!("{}: {piece:?}", row.code));
                }
            }
        }
    }
    assert!(strangers.is_empty(), "{strangers:#?}");
}

#[test]
fn a_command_line_that_is_wrong_ends_with_a_line_for_flow() {
    let output = flow_shim(&["run", "--shimm", "x"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert!(stderr.contains("--shim"), "clap's own advice stays: {stderr}");
    let last: Value = serde_json::from_str(stderr.lines().last().expect("a line")).expect("JSON");
    let message = last["message"].as_str().expect("a message");
    assert!(message.ends_with(" [command-line]"), "{message}");
    assert_eq!(last["fields"]["code"], "command-line");
    assert_eq!(last["fields"]["exitCode"], 2);
}
