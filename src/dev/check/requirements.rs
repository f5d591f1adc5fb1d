//! Whether `requirements.txt` says exactly what is installed.

use std::path::Path;

use super::report::{Place, Report};
use crate::dev::{install, known};
use crate::shim::command::REQUIREMENTS;

/// Checks each line. Before a connector was recorded, it is still being made, and a warning will do.
pub(super) fn check(folder: &Path, report: &mut Report) {
    let Ok(text) = std::fs::read_to_string(folder.join(REQUIREMENTS)) else { return };
    for name in install::outdated(folder) {
        let line = text.lines().position(|line| line.contains(&name)).map_or(0, |line| line + 1);
        report.warning(
            Place::of(REQUIREMENTS).line(line),
            &format!("the installed code is not that of {name}"),
            &format!("run `flow-shim install {}`", folder.display()),
        );
    }
    for (number, line) in text.lines().enumerate() {
        let Some(name) = unpinned(line) else { continue };
        let place = Place::of(REQUIREMENTS).line(number + 1);
        let what = format!("{name} is not pinned, so another day installs another version");
        let advice = "write `name==version`, or a git URL that ends in @COMMIT";
        if known::recording(folder).is_some() {
            report.error(place, &what, advice);
        } else {
            report.warning(place, &what, advice);
        }
    }
}

/// The name of a requirement that several versions fit; `None` where one does, or none is asked for.
fn unpinned(line: &str) -> Option<&str> {
    let line = line.split(" #").next().unwrap_or(line).trim();
    if line.is_empty() || line.starts_with(['#', '-']) {
        return None;
    }
    let requirement = line.split([';', ' ']).next().unwrap_or(line).trim();
    let whole = line.split(';').next().unwrap_or(line).trim();
    let pinned = if let Some((_, url)) = whole.split_once("git+") {
        let reference =
            url.split(['#', ' ']).next().unwrap_or(url).rsplit_once('@').map(|(_, commit)| commit);
        reference.is_some_and(|commit| commit.len() >= 7 && commit.bytes().all(|b| b.is_ascii_hexdigit()))
    } else if whole.contains("://") || whole.contains('/') {
        // One file, here or there.
        true
    } else {
        let exact = whole.split_once("==").map(|(_, version)| version);
        exact.is_some_and(|version| !version.contains(['*', ',']) && !version.trim().is_empty())
    };
    (!pinned).then(|| requirement.split(['=', '<', '>', '~', '!', '@']).next().unwrap_or(requirement))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_version_may_fit() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        for good in [
            "a==1.0",
            "a[b]==1.0 ; python_version < '3'",
            "# a",
            "",
            "--index-url https://x",
            &format!("a @ git+https://x.com/a.git@{commit}"),
            &format!("git+ssh://git@x.com/a@{commit}#egg=a"),
            "./wheels/a.whl",
        ] {
            assert_eq!(unpinned(good), None, "{good}");
        }
        for (bad, name) in [
            ("a", "a"),
            ("a>=1", "a"),
            ("a==1.*", "a"),
            ("a~=1.0 # why", "a"),
            ("a @ git+https://x.com/a.git@main", "a"),
            ("git+https://x.com/a", "git+https://x.com/a"),
        ] {
            assert_eq!(unpinned(bad), Some(name), "{bad}");
        }
    }
}
