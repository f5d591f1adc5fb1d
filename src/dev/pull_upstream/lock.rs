//! `upstream.lock`: what an import was given and found. One `key: value` a line, in a fixed order,
//! so that a later import is a readable change. `file` may be there several times.

use std::fmt;

/// An import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lock {
    /// The repository's URL; empty where an older script imported.
    pub(super) remote: String,
    /// The branch, tag or commit that was asked for.
    pub(super) reference: String,
    /// The commit that it was.
    pub(super) commit: String,
    /// The folder upstream; empty for all.
    pub(super) path: String,
    /// The files of that folder that were taken; empty for all.
    pub(super) files: Vec<String>,
    /// The folder here.
    pub(super) destination: String,
    /// An SPDX expression.
    pub(super) license: String,
    /// The file upstream with its text.
    pub(super) license_path: String,
    /// The text's SHA-256.
    pub(super) license_sha256: String,
}

impl Lock {
    /// The path upstream as it is shown.
    pub(super) fn path_or_all(&self) -> &str {
        if self.path.is_empty() { "." } else { &self.path }
    }

    fn members(&self) -> Vec<(&'static str, &String)> {
        let files = self.files.iter().map(|file| ("file", file));
        let place = [
            ("remote", &self.remote),
            ("ref", &self.reference),
            ("commit", &self.commit),
            ("path", &self.path),
        ];
        let licence = [
            ("destination", &self.destination),
            ("license", &self.license),
            ("licensePath", &self.license_path),
            ("licenseSha256", &self.license_sha256),
        ];
        place.into_iter().chain(files).chain(licence).collect()
    }

    /// Reads it; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut lock = Self::default();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (key, value) = line.split_once(':').ok_or_else(|| format!("{line:?} is not `key: value`"))?;
            if key == "file" {
                lock.files.push(value.trim().to_owned());
                continue;
            }
            let member = match key {
                "remote" => &mut lock.remote,
                "ref" => &mut lock.reference,
                "commit" => &mut lock.commit,
                "path" => &mut lock.path,
                "destination" => &mut lock.destination,
                "license" => &mut lock.license,
                "licensePath" => &mut lock.license_path,
                "licenseSha256" => &mut lock.license_sha256,
                _ => return Err(format!("the key {key:?} is not known")),
            };
            value.trim().clone_into(member);
        }
        let is_id =
            matches!(lock.commit.len(), 40 | 64) && lock.commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_id { Ok(lock) } else { Err("its commit is not the id of one".to_owned()) }
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Written by `flow-shim pull-upstream`: where this folder is from.")?;
        self.members()
            .into_iter()
            .try_for_each(|(key, value)| writeln!(f, "{}", format!("{key}: {value}").trim_end()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(remote in "[a-z:/.]{0,20}", path in "([a-z]{1,4}/)?[a-z]{0,4}", files in prop::collection::vec("[a-z]{1,4}", 0..3)) {
            let lock = Lock { remote, path, files, commit: "a".repeat(40), license: "MIT".into(), ..Lock::default() };
            prop_assert_eq!(Lock::parse(&lock.to_string()).expect("its own text"), lock);
        }

        #[test]
        fn junk_never_panics(text in "\\PC{0,60}") {
            let _ = Lock::parse(&text);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = |text: &str| Lock::parse(text).expect_err("wrong");
        assert!(error("commit: abc\n").contains("commit"));
        assert!(error("<<<<<<< ours\n").contains("key: value"));
        assert!(error("colour: red\n").contains("colour"));
    }
}
