//! Pages of Markdown as tests look at them: links, anchors, and fenced blocks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::harness::repository;

/// One page.
pub(crate) struct Page {
    /// From the repository's root, such as `docs/state.md`.
    pub(crate) path: PathBuf,
    /// Its text.
    pub(crate) text: String,
}

/// A fenced block.
pub(crate) struct Block {
    /// What stands behind the fence, such as `yaml`.
    pub(crate) language: String,
    /// What it holds.
    pub(crate) text: String,
}

impl Page {
    /// Reads one.
    pub(crate) fn read(path: &str) -> Self {
        let text = std::fs::read_to_string(repository(path)).expect("a page");
        Self { path: PathBuf::from(path), text }
    }

    fn events(&self) -> Parser<'_> {
        Parser::new_ext(&self.text, Options::ENABLE_TABLES)
    }

    /// The targets of its links and pictures.
    pub(crate) fn links(&self) -> Vec<String> {
        let target = |event| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                Some(dest_url.into_string())
            }
            _ => None,
        };
        self.events().filter_map(target).collect()
    }

    /// The anchors of its headings, as GitHub and mdBook make them.
    pub(crate) fn anchors(&self) -> BTreeSet<String> {
        let (mut anchors, mut heading) = (BTreeSet::new(), None::<String>);
        for event in self.events() {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                Event::End(TagEnd::Heading(_)) => {
                    anchors.extend(heading.take().map(|text| anchor(&text)));
                }
                _ => {}
            }
        }
        anchors
    }

    /// What stands between backticks in its text.
    pub(crate) fn codes(&self) -> Vec<String> {
        let code = |event| match event {
            Event::Code(text) => Some(text.into_string()),
            _ => None,
        };
        self.events().filter_map(code).collect()
    }

    /// Its fenced blocks.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let (mut blocks, mut open) = (Vec::new(), None::<Block>);
        for event in self.events() {
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                    open = Some(Block { language: language.into_string(), text: String::new() });
                }
                Event::Text(text) => {
                    if let Some(block) = &mut open {
                        block.text.push_str(&text);
                    }
                }
                Event::End(TagEnd::CodeBlock) => blocks.extend(open.take()),
                _ => {}
            }
        }
        blocks
    }
}

fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Those in a folder, by name.
pub(crate) fn pages_of(folder: &str) -> Vec<Page> {
    let entries = std::fs::read_dir(repository(folder)).expect("a folder");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "md"))
        .collect();
    names.sort();
    names.iter().map(|name| Page::read(&Path::new(folder).join(name).to_string_lossy())).collect()
}

/// All that somebody reads: the book, what is at the top, and each connector's page.
pub(crate) fn all_pages() -> Vec<Page> {
    let mut pages = pages_of("docs");
    pages.extend(pages_of(""));
    pages.extend(pages_of("shims"));
    for entry in std::fs::read_dir(repository("shims")).expect("shims") {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        if repository("shims").join(&name).join("README.md").is_file() {
            pages.push(Page::read(&format!("shims/{name}/README.md")));
        }
    }
    pages
}
