//! The pages: every link leads somewhere, the book has every page and stands by itself, examples of
//! `shim.yaml` and command lines are ones, every variable is explained, and the README's messages and the
//! figures of a record are those of the program.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use clap::Parser;
use clap::error::ErrorKind;
use flow_shim::cli::Cli;
use flow_shim::failure::Code;
use serde_json::Value;

use crate::harness::repository;
use crate::pages::{Page, all_pages, pages_of};
use crate::sources::joined;

/// Where the repository is on the web: a page of the book links so to what is not in it.
const WEB: [&str; 2] =
    ["https://github.com/estuary/flow-shim/blob/main/", "https://github.com/estuary/flow-shim/tree/main/"];

/// A path without `.` and `..`; `None` where it leads out of the repository.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir if !normal.pop() => return None,
            Component::Normal(name) => normal.push(name),
            _ => {}
        }
    }
    Some(normal)
}

/// What is wrong with a link of a page.
fn mistake(page: &Page, target: &str) -> Option<&'static str> {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let in_book = page.path.starts_with("docs");
    let path = match WEB.iter().find_map(|web| file.strip_prefix(web)) {
        Some(path) => PathBuf::from(path),
        None if file.contains(':') => return None,
        None if file.is_empty() => page.path.clone(),
        None => match normal(&page.path.parent().unwrap_or(Path::new("")).join(file)) {
            Some(path) if in_book && !path.starts_with("docs") => return Some("leads out of the book"),
            Some(path) => path,
            None => return Some("leads out of the repository"),
        },
    };
    if !repository("").join(&path).exists() {
        return Some("leads nowhere");
    }
    let is_there = anchor.is_empty() || Page::read(&path.to_string_lossy()).anchors().contains(anchor);
    (!is_there).then_some("has an anchor that is not there")
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    let mut links = 0;
    for page in all_pages() {
        for target in page.links() {
            links += 1;
            if let Some(mistake) = mistake(&page, &target) {
                broken.push(format!("{}: {target} {mistake}", page.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(links > 100, "{links} links");
}

#[test]
fn wrong_links_are_found() {
    let page = Page { path: PathBuf::from("docs/state.md"), text: String::new() };
    for (target, expected) in [
        ("concepts.md#words", None),
        ("concepts.md#sentences", Some("has an anchor that is not there")),
        ("nowhere.md", Some("leads nowhere")),
        ("../README.md", Some("leads out of the book")),
        ("https://github.com/estuary/flow-shim/blob/main/NOTHING.md", Some("leads nowhere")),
        ("https://example.com/anything", None),
    ] {
        assert_eq!(mistake(&page, target), expected, "{target}");
    }
}

#[test]
fn the_book_has_every_page() {
    let listed: BTreeSet<String> = Page::read("docs/SUMMARY.md").links().into_iter().collect();
    let name = |page: Page| page.path.file_name().expect("a name").to_string_lossy().into_owned();
    let there: BTreeSet<String> =
        pages_of("docs").into_iter().map(name).filter(|name| name != "SUMMARY.md").collect();
    assert_eq!(listed, there);
}

/// What a block of YAML is of that is no `shim.yaml`.
fn is_of_another_file(text: &str) -> bool {
    ["captures:", "collections:", "jobs:", "matrix:"].iter().any(|key| text.contains(key))
}

#[test]
fn examples_of_shim_yaml_are_ones() {
    let validator = jsonschema::validator_for(&flow_shim::shim::published::schema()).expect("a schema");
    let (mut examples, mut wrong) = (0, Vec::new());
    for page in all_pages() {
        let blocks = page.blocks().into_iter().filter(|block| block.language == "yaml");
        for block in blocks.filter(|block| !is_of_another_file(&block.text)) {
            examples += 1;
            let place = format!("{}: {}", page.path.display(), block.text);
            match serde_saphyr::from_str::<Value>(&block.text) {
                Ok(value) if validator.is_valid(&value) => {
                    let folder = tempfile::tempdir().expect("a folder");
                    std::fs::write(folder.path().join("shim.yaml"), &block.text).expect("written");
                    // What an example names beside it.
                    for name in
                        ["manifest.yaml", "components.py"].iter().filter(|name| block.text.contains(**name))
                    {
                        std::fs::write(folder.path().join(name), "{}").expect("written");
                    }
                    if let Err(failure) = flow_shim::shim::load::load(Some(folder.path())) {
                        wrong.push(format!("{place}{failure}"));
                    }
                }
                Ok(_) => wrong.push(place),
                Err(error) => wrong.push(format!("{place}{error}")),
            }
        }
    }
    assert!(wrong.is_empty(), "no shim.yaml that is right:\n{}", wrong.join("\n"));
    assert!(examples >= 3, "{examples} examples");
}

#[test]
fn the_readmes_messages_are_those_of_the_program() {
    let readme = Page::read("README.md").text;
    let (_, section) = readme.split_once("\n## It says").expect("a section");
    let (section, _) = section.split_once("\n## ").expect("its end");
    let source = joined();
    let variable = regex::Regex::new("…|[A-Z]{4,}").expect("a pattern");
    let mut messages = 0;
    for row in section.lines().filter_map(|line| line.strip_prefix("| `")) {
        let message = row.split('`').next().expect("a message");
        let (message, code) = message.split_once(" [").expect("a code behind the message");
        assert!(Code::ALL.iter().any(|known| format!("{known}]") == code), "no code is {code:?}");
        messages += 1;
        for part in variable.split(message).map(|part| part.trim_matches([' ', ':', ';'])) {
            assert!(source.contains(part), "no message has {part:?}, of {message:?}");
        }
    }
    assert!(messages >= 8, "{messages} messages");
}

/// What begins as a command line and is none: all commands' help, and a message.
const NO_COMMAND_LINES: [&str; 2] = ["flow-shim COMMAND --help", "flow-shim has a bug; …"];

#[test]
fn command_lines_that_pages_show_are_ones() {
    let (mut lines, mut wrong) = (0, Vec::new());
    for page in all_pages() {
        let consoles = page.blocks().into_iter().filter(|block| block.language == "console");
        let shown = consoles.map(|block| block.text).collect::<String>();
        let shown = shown.lines().filter_map(|line| line.strip_prefix("$ ")).map(|line| (line, true));
        let codes = page.codes();
        // In running text a command may stand without its arguments.
        let named = codes.iter().map(|code| (code.as_str(), false));
        let is_ours = |line: &str| line.starts_with("flow-shim ") && !NO_COMMAND_LINES.contains(&line);
        for (line, is_whole) in shown.chain(named).filter(|(line, _)| is_ours(line)) {
            let words = shlex::split(line.split(" #").next().unwrap_or_default()).expect("words");
            lines += 1;
            match Cli::try_parse_from(words) {
                Err(error) if is_whole || error.kind() != ErrorKind::MissingRequiredArgument => {
                    wrong.push(format!("{}: {line}: {error}", page.path.display()));
                }
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(lines > 30, "{lines} command lines");
}

#[test]
fn every_variable_is_explained_in_the_book() {
    let quoted = regex::Regex::new("\"([A-Z_]{3,})\"").expect("a pattern");
    let source = std::fs::read_to_string(repository("src/env.rs")).expect("readable");
    let book: Vec<String> = pages_of("docs").iter().flat_map(Page::codes).collect();
    // PATH and TERM mean what they mean everywhere.
    let unexplained: Vec<&str> = quoted
        .captures_iter(&source)
        .map(|found| found.get(1).expect("a name").as_str())
        .filter(|name| !["PATH", "TERM"].contains(name) && !book.iter().any(|code| code.contains(name)))
        .collect();
    assert!(unexplained.is_empty(), "{unexplained:?}");
}

#[test]
fn the_instructions_of_a_record_are_those_that_were_accepted() {
    let page = Page::read("docs/performance.md").text.replace(',', "");
    let accepted = std::fs::read_to_string(repository("benches/instructions.txt")).expect("readable");
    for line in accepted.lines() {
        let (case, count) = line.split_once(' ').expect("a case and its count");
        assert!(page.contains(&format!(" {count}")), "{case}: {count} is not in docs/performance.md");
    }
}
