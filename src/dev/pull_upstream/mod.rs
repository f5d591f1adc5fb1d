//! `flow-shim pull-upstream`: somebody's connector into this repository, so that it can be changed.
//!
//! A folder of another repository becomes a folder of this one, in a merge commit that says where
//! it is from, at which commit and under which licence. `upstream.lock` in the folder keeps the
//! same. A later pull merges what changed upstream since then with what was changed here: a
//! three-way merge by git, whose conflicts are left as git leaves them. Nothing of upstream's
//! history comes along. Commits of the older `pull_upstream.sh` are understood and continued.

mod git;
mod licence;
mod lock;

use std::path::{Component, Path};

use self::git::Git;
use self::lock::Lock;
use crate::failure::{Code, Failure};

/// What is known of an import, in the folder that it is in.
pub(super) const LOCK: &str = "upstream.lock";
/// The licence's text, in the same folder: most licences want to go where the code goes.
pub(super) const LICENCE: &str = "upstream.license";
/// The word before the last line of a merge commit, by which the older script finds its imports.
const TRAILER: &str = "git-merge-subpath";

/// Options of `pull-upstream`.
#[derive(Debug, clap::Args)]
pub struct PullOptions {
    /// A remote of this repository, or a URL
    #[arg(value_name = "REMOTE")]
    pub remote: String,
    /// A branch, tag or commit of it
    #[arg(value_name = "REF")]
    pub reference: String,
    /// The folder that is taken, or one file; `.` is all
    #[arg(value_name = "UPSTREAM/PATH")]
    pub path: String,
    /// Where it goes in this repository, from its root
    #[arg(value_name = "DEST")]
    pub destination: String,
    /// Its licence, as SPDX writes it: `MIT`, or `MIT OR Apache-2.0`
    #[arg(value_name = "LICENSE-ID")]
    pub license: String,
    /// The file upstream with the licence's text
    #[arg(value_name = "LICENSE/PATH")]
    pub license_path: String,
    /// Take only this file of the folder; may be given several times
    #[arg(long, value_name = "FILE")]
    pub only: Vec<String>,
    /// Take code whose licence is not an open-source licence, such as `Elastic-2.0` or `BUSL-1.1`
    #[arg(long)]
    pub accept_license: bool,
}

/// Imports, or merges what is new.
pub fn pull(options: PullOptions) -> Result<(), Failure> {
    licence::check(&options.license, options.accept_license)?;
    let git = Git::open()?;
    let path = inside(&options.path, "the upstream path")?;
    let destination = inside(&options.destination, "the destination")?;
    if destination.is_empty() {
        return Err(usage("the destination must be a folder below the repository's root"));
    }
    git.must_be_clean(&destination)?;
    let url = git.url(&options.remote);
    let commit = git.fetch(&options.remote, &options.reference)?;
    let text = git.file(&commit, &options.license_path)?;
    let only: Result<Vec<String>, Failure> =
        options.only.iter().map(|file| inside(file, "the file")).collect();
    let (path, files) = match path.rsplit_once('/') {
        _ if !git.is_file(&commit, &path)? => (path, only?),
        Some((folder, file)) => (folder.to_owned(), vec![file.to_owned()]),
        None => (String::new(), vec![path]),
    };
    let lock = Lock {
        remote: url,
        reference: options.reference,
        commit,
        path,
        files,
        destination,
        license: options.license,
        license_path: options.license_path,
        license_sha256: licence::digest(&text),
    };
    let old = previous(&git, &lock.destination)?;
    if let Some(old) = &old {
        if *old == lock {
            tracing::info!("{} is at {} already", lock.destination, lock.commit);
            return Ok(());
        }
        licence::compare(old, &lock);
    }
    merge(&git, old.as_ref(), &lock, &text)
}

/// Refuses what is not an open-source licence, unless it is accepted. What is no name of SPDX's may be
/// one that Airbyte's repository uses. The name as SPDX has it.
pub(super) fn must_be_open(license: &str, accepted: bool) -> Result<String, Failure> {
    let name = licence::nearest(license).unwrap_or(license);
    licence::check(name, accepted)?;
    Ok(name.to_owned())
}

/// The licence that a lock names; `None` where it cannot be read.
pub(super) fn licence_of(text: &str) -> Option<String> {
    Lock::parse(text).ok().map(|lock| lock.license)
}

/// What is wrong with a lock and the licence beside it, each with the key that it is about.
pub(super) fn consistent(text: &str, licence: Option<&[u8]>) -> Vec<(Option<&'static str>, String)> {
    let lock = match Lock::parse(text) {
        Ok(lock) => lock,
        Err(why) => return vec![(None, why)],
    };
    let mut wrong = Vec::new();
    if let Err(failure) = licence::check(&lock.license, true) {
        wrong.push((Some("license"), failure.message));
    }
    match licence {
        None => wrong.push((Some("licensePath"), format!("the licence's text, {LICENCE}, is not beside it"))),
        Some(text) if licence::digest(text) != lock.license_sha256 => {
            wrong.push((Some("licenseSha256"), format!("it is not that of {LICENCE}")));
        }
        Some(_) => {}
    }
    wrong
}

/// The last import into this folder; `None` where there was none.
fn previous(git: &Git, destination: &str) -> Result<Option<Lock>, Failure> {
    if let Some(text) = git.own_file(&format!("{destination}/{LOCK}"))? {
        let lock = Lock::parse(&String::from_utf8_lossy(&text));
        return lock.map(Some).map_err(|error| {
            Failure::new(
                Code::LOCK_FILE,
                format!("{destination}/{LOCK}: {error}; take it from the last import's commit"),
            )
        });
    }
    // An import by the older script has no lock, but a last line in its message.
    let found = git.message_line(&format!("^{TRAILER}: [0-9a-f]{{40}} .* {destination}$"))?;
    let Some(line) = found else { return Ok(None) };
    let words: Vec<&str> = line.split(' ').collect();
    let [_, commit, path, _] = words.as_slice() else { return Ok(None) };
    Ok(Some(Lock {
        commit: (*commit).to_owned(),
        path: (*path).to_owned(),
        destination: destination.to_owned(),
        ..Lock::default()
    }))
}

fn merge(git: &Git, old: Option<&Lock>, lock: &Lock, text: &[u8]) -> Result<(), Failure> {
    let extras = [(LOCK, lock.to_string().into_bytes()), (LICENCE, text.to_vec())];
    let theirs = git.tree(&lock.commit, (&lock.path, &lock.files), &lock.destination, &extras)?;
    let base = match old {
        None => git.empty_tree()?,
        Some(old) => {
            git.must_have(&old.commit)?;
            // As they stand here, so that a merge takes upstream's without asking.
            let mut kept = Vec::new();
            for name in [LOCK, LICENCE] {
                if let Some(text) = git.own_file(&format!("{}/{name}", lock.destination))? {
                    kept.push((name, text));
                }
            }
            git.tree(&old.commit, (&old.path, &old.files), &lock.destination, &kept)?
        }
    };
    let subject = format!("{} at {}", lock.path_or_all(), lock.commit);
    let imported = git.commit_tree(&theirs, &format!("{subject}\n\n{}\n", lock.remote))?;
    let conflicts = git.merge(&base, &imported)?;
    git.prepare_commit(&imported, &message(lock))?;
    if conflicts.is_empty() {
        git.commit()?;
        tracing::info!("{} is at {} of {} now", lock.destination, lock.commit, lock.remote);
        return Ok(());
    }
    Err(Failure::new(
        Code::MERGE_CONFLICTS,
        format!(
            "what changed upstream conflicts with what was changed here; resolve {}, `git add` it, then `git commit`, or give up with `git merge --abort`",
            conflicts.join(", ")
        ),
    ))
}

/// The facts, in the words and the order of the older script, whose last line this one keeps.
fn message(lock: &Lock) -> String {
    format!(
        "import: {destination} through {remote} @ {reference}\n\n\
         Remote Repo URL: {remote}\n\
         Source name: {reference}\n\
         Source Commit ID: {commit}\n\
         Source Repo Prefix: {path}/\n\
         Import Path: {destination}/\n\
         License Type: {license}\n\
         License Path: {license_path}\n\n\
         {TRAILER}: {commit} {path} {destination}\n",
        destination = lock.destination,
        remote = lock.remote,
        reference = lock.reference,
        commit = lock.commit,
        path = lock.path_or_all(),
        license = lock.license,
        license_path = lock.license_path,
    )
}

/// A path as git writes it, without `.` and the last slash; it must not lead out.
fn inside(text: &str, what: &str) -> Result<String, Failure> {
    let mut parts = Vec::new();
    for component in Path::new(text).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            Component::CurDir => {}
            _ => return Err(usage(&format!("{what} {text:?} must be relative, and without `..`"))),
        }
    }
    Ok(parts.join("/"))
}

fn usage(message: &str) -> Failure {
    Failure::new(Code::BAD_OPTION, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_of_either_kind_of_commit_id_is_consistent() {
        let text = b"You may.";
        for length in [40, 64] {
            let lock = Lock {
                commit: "a".repeat(length),
                license: "MIT".to_owned(),
                license_sha256: licence::digest(text),
                ..Lock::default()
            };
            assert_eq!(consistent(&lock.to_string(), Some(text)), [], "{length} digits");
        }
    }

    #[test]
    fn paths_stay_inside() {
        assert_eq!(inside("./a//b/", "x").expect("a path"), "a/b");
        assert_eq!(inside(".", "x").expect("a path"), "");
        assert!(inside("../a", "x").is_err() && inside("/a", "x").is_err());
    }
}
