//! Modules, items and files that the pages name are there, and CONTRIBUTING.md names all hot files.

use std::collections::BTreeSet;

use regex::Regex;

use crate::harness::repository;
use crate::pages::{Page, all_pages};
use crate::sources::sources;

/// Folders of the repository whose files are looked up; those of `shims` stand for any connector's.
const FOLDERS: &[&str] =
    &["src", "tests", "benches", "fuzz", "fixtures", "docs", "examples", ".ci", ".github"];
/// Names of other people's code.
const FOREIGN: &[&str] = &["shim_airbyte_cdk", "serde_json", "tokio"];

/// `a/{b,c}.rs` as the two that it stands for, and so on.
fn unfolded(text: &str) -> Vec<String> {
    let parts = text.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
    let Some((before, (inner, after))) = parts else { return vec![text.to_owned()] };
    inner.split(',').flat_map(|one| unfolded(&format!("{before}{one}{after}"))).collect()
}

/// Whether a path of modules, such as `pump::records`, leads to a file, or one with an item behind it
/// (`state::acknowledged`, `log::Level::Info`) to what such a file defines. It may begin at any module.
fn leads_to_code(path: &str, files: &[(String, String)]) -> bool {
    let names: Vec<&str> = path.split("::").collect();
    let defines = |text: &str, name: &str| {
        let item = format!(r"(?m)\b(fn|struct|enum|trait|type|const|static) {name}\b|^    {name}\b");
        Regex::new(&item).expect("a pattern").is_match(text)
    };
    // A type may stand without its module.
    let least = usize::from(!path.starts_with(char::is_uppercase));
    (least..=names.len()).any(|count| {
        let (modules, items) = names.split_at(count);
        let modules: String = modules.iter().flat_map(|name| ["/", name]).collect();
        files.iter().any(|(file, text)| {
            let file = file.trim_end_matches(".rs").trim_end_matches("/mod");
            format!("/{file}").ends_with(&modules) && items.iter().all(|item| defines(text, item))
        })
    })
}

/// Whether what stands between backticks names code or a file of this repository that is not there;
/// `None` where it names neither.
fn is_there(code: &str, files: &[(String, String)]) -> Option<bool> {
    let word = code.split(' ').next().unwrap_or_default();
    if word.contains("::") && word.chars().all(|c| c.is_alphanumeric() || "_:".contains(c)) {
        let first = word.split("::").next().unwrap_or_default();
        return (!FOREIGN.contains(&first)).then(|| leads_to_code(word, files));
    }
    let (folder, _) = word.split_once('/').filter(|_| !word.contains(['*', '$', '<']))?;
    if FOLDERS.contains(&folder) {
        return Some(repository(word).exists());
    }
    word.strip_suffix(".rs").is_some().then(|| files.iter().any(|(file, _)| file == word))
}

#[test]
fn what_pages_name_of_the_code_is_there() {
    let files = sources();
    let (mut named, mut wrong) = (0, Vec::new());
    for page in all_pages() {
        for code in page.codes().iter().flat_map(|code| unfolded(code)) {
            match is_there(&code, &files) {
                Some(false) => wrong.push(format!("{}: {code}", page.path.display())),
                Some(true) => named += 1,
                None => {}
            }
        }
    }
    assert!(wrong.is_empty(), "not there:\n{}", wrong.join("\n"));
    assert!(named > 60, "{named} names");
}

#[test]
fn names_of_what_is_not_there_are_found() {
    let files = sources();
    for (code, expected) in [
        ("capture::read::pump", Some(true)),
        ("pump::records", Some(true)),
        ("capture::protocol::UpstreamProtocol", Some(true)),
        ("Event::Record", Some(true)),
        ("capture::pump", Some(false)),
        ("capture::protocol::NoSuchTrait", Some(false)),
        ("Event::NoSuchKind", Some(false)),
        ("src/failure/code.rs", Some(true)),
        ("capture/read/pump.rs", Some(true)),
        ("capture/pump.rs", Some(false)),
        ("fuzz/run.sh 600", Some(true)),
        ("fuzz/walk.sh 600", Some(false)),
        ("shims/NAME/recorded", None),
        ("serde_json::Value", None),
        ("read.parallelism", None),
    ] {
        assert_eq!(is_there(code, &files), expected, "{code}");
    }
}

#[test]
fn contributing_lists_the_hot_files() {
    let text = Page::read("CONTRIBUTING.md").text;
    let (_, list) = text.split_once("Hot are only the files whose first line says so:").expect("the list");
    let (list, _) = list.split_once(". ").expect("its end");
    let listed: BTreeSet<String> = list.split('`').skip(1).step_by(2).flat_map(unfolded).collect();
    let hot =
        |(_, text): &(String, String)| text.lines().next().is_some_and(|line| line.contains("Hot path"));
    let hot: BTreeSet<String> = sources().into_iter().filter(hot).map(|(name, _)| name).collect();
    assert_eq!(listed, hot);
}
