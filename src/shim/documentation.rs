//! Where people find a connector's documentation when neither the shim nor upstream says so. Flow refuses
//! a connector without a documentation URL (flow-protocol.md, R1).

use std::path::Path;

use super::command::{CommandLine, REQUIREMENTS};

/// Where this project's own documentation is.
const OURS: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "#readme");
/// Where Python packages have their pages.
const PACKAGES: &str = "https://pypi.org/project";
/// How names of packages of Airbyte sources begin.
const AIRBYTE: &str = "airbyte-";

/// The page of the package that upstream is installed from, as far as requirements.txt tells; else this
/// project's own.
pub fn default_url(command: &CommandLine) -> String {
    let folder = command.folder.as_deref();
    let requirements = folder.and_then(|folder| std::fs::read_to_string(folder.join(REQUIREMENTS)).ok());
    let file_name = |path: &Path| path.file_name().and_then(|name| name.to_str()).map(plain);
    let mut names: Vec<String> =
        command.argv.iter().filter_map(|argument| file_name(Path::new(argument))).collect();
    names.extend(folder.and_then(file_name));
    requirements.and_then(|text| page(&text, &names)).unwrap_or_else(|| OURS.to_owned())
}

/// The page of the requirement that has one of these names, with or without a prefix such as `airbyte-` or
/// `meltanolabs-`; else of the only one.
fn page(requirements: &str, names: &[String]) -> Option<String> {
    let wanted: Vec<&str> = requirements.lines().filter(|line| package(line).is_some()).collect();
    let called = |fits: &dyn Fn(&str, &str) -> bool| {
        names.iter().find_map(|name| {
            wanted.iter().find(|line| package(line).is_some_and(|package| fits(&package, name)))
        })
    };
    let requirement = called(&|package, name| package.strip_prefix(AIRBYTE).unwrap_or(package) == name)
        .or_else(|| {
            called(&|package, name| package.strip_suffix(name).is_some_and(|left| left.ends_with('-')))
        })
        .or(wanted.first().filter(|_| wanted.len() == 1))?;
    page_of(requirement)
}

/// The page of one requirement: of its package, or of its git repository. `None` for a file, and for what
/// is no requirement.
pub fn page_of(requirement: &str) -> Option<String> {
    match repository(requirement) {
        Some(url) => Some(url),
        None => package(requirement).map(|name| format!("{PACKAGES}/{name}/")),
    }
}

/// The page of the repository in `git+https://HOST/PATH.git@COMMIT#egg=NAME`.
fn repository(requirement: &str) -> Option<String> {
    let (_, url) = requirement.split_once("git+")?.1.split_once("://")?;
    let url = url.split([' ', '#', ';']).next()?;
    let (authority, path) = url.split_once('/')?;
    let host = authority.rsplit('@').next()?;
    let path = path.split('@').next()?.trim_end_matches('/').trim_end_matches(".git");
    Some(format!("https://{host}/{path}"))
}

/// The name of the package that a line asks for, normalised as PyPI does it.
fn package(line: &str) -> Option<String> {
    let line = line.split(" #").next()?.trim();
    if let Some((_, url)) = line.split_once("git+").filter(|(name, _)| !name.contains('@')) {
        return url
            .split(['#', ' '])
            .next()?
            .rsplit('/')
            .next()?
            .split('@')
            .next()
            .map(|name| plain(name.trim_end_matches(".git")));
    }
    if line.starts_with(['#', '-', '.', '/']) {
        return None;
    }
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    (!name.is_empty() && !rest.starts_with(['/', ':'])).then(|| plain(name))
}

/// Lower case, with a dash for each run of dashes, underscores and dots.
fn plain(name: &str) -> String {
    let words = name.split(['-', '_', '.']).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_has_the_page_of_its_package_or_repository() {
        for (requirement, page) in [
            ("airbyte-source-faker==6.2.0", Some("https://pypi.org/project/airbyte-source-faker/")),
            ("Tap_X[extra]~=1.0 # why", Some("https://pypi.org/project/tap-x/")),
            ("tap-x @ git+https://github.com/a/tap-x.git@abc", Some("https://github.com/a/tap-x")),
            ("git+ssh://git@github.com/a/tap-x@abc#egg=tap-x", Some("https://github.com/a/tap-x")),
            ("./wheels/tap_x.whl", None),
            ("--index-url https://example.com", None),
            ("", None),
        ] {
            assert_eq!(page_of(requirement).as_deref(), page, "{requirement}");
        }
    }

    #[test]
    fn the_connector_is_found_among_what_it_needs() {
        let names = |names: &[&str]| names.iter().map(|&name| plain(name)).collect::<Vec<_>>();
        let page = |text: &str, called: &[&str]| {
            let page = page(text, &names(called))?;
            page.strip_prefix("https://pypi.org/project/").map(|name| name.trim_end_matches('/').to_owned())
        };
        let text = "attrs==1\nmeltanolabs-tap-github==2\nsinger-sdk==3\n";
        assert_eq!(page(text, &["tap-github"]).as_deref(), Some("meltanolabs-tap-github"));
        let text = "airbyte-cdk==1\nairbyte_source_stripe==2\n";
        assert_eq!(page(text, &["python", "-m", "source_stripe"]).as_deref(), Some("airbyte-source-stripe"));
        assert_eq!(page("other==1\n", &["tap-x"]).as_deref(), Some("other"), "the only one");
        assert_eq!(page(text, &["tap-x"]), None);
    }
}
