//! The git command line, as far as an import needs it: fetching, trees that are made without a work
//! tree, one merge, and one commit by the user's own rules (hooks, signature, identity).

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::dev::subprocess;
use crate::failure::{Code, Failure};

/// A repository of the user's.
#[derive(Debug)]
pub(super) struct Git {
    root: PathBuf,
    /// The git folder.
    folder: PathBuf,
}

impl Git {
    /// The repository that the current folder is in.
    pub(super) fn open() -> Result<Self, Failure> {
        let here = Self { root: PathBuf::from("."), folder: PathBuf::new() };
        let root = here.text(&["rev-parse", "--show-toplevel"])?.into();
        let folder = here.text(&["rev-parse", "--absolute-git-dir"])?.into();
        Ok(Self { root, folder })
    }

    /// A merge needs an index like HEAD, no merge that is under way, and no change in the folder.
    pub(super) fn must_be_clean(&self, destination: &str) -> Result<(), Failure> {
        let told = |message: String| Err(Failure::new(Code::GIT_NOT_READY, message));
        if self.run(&["rev-parse", "--quiet", "--verify", "HEAD^{commit}"])?.status.code() != Some(0) {
            return told("this repository has no commit that an import could follow; make one".to_owned());
        }
        if self.folder.join("MERGE_HEAD").exists() {
            return told("a merge is under way; end it with `git commit` or `git merge --abort`".to_owned());
        }
        if !self.text(&["status", "--porcelain", "--untracked-files=no"])?.is_empty() {
            return told("there are changes that are not committed; commit or stash them".to_owned());
        }
        if !self.text(&["ls-files", "--others", "--exclude-standard", "--", destination])?.is_empty() {
            return told(format!("{destination} has files that are not committed; commit or remove them"));
        }
        Ok(())
    }

    /// A remote's URL; what is no remote is one itself.
    pub(super) fn url(&self, remote: &str) -> String {
        self.text(&["remote", "get-url", remote]).unwrap_or_else(|_| remote.to_owned())
    }

    /// Fetches a branch, tag or commit; its commit id.
    pub(super) fn fetch(&self, remote: &str, reference: &str) -> Result<String, Failure> {
        let fetched = self.text(&["fetch", "--no-tags", "--quiet", "--end-of-options", remote, reference]);
        let Err(error) = fetched else {
            return self.text(&["rev-parse", "--verify", "FETCH_HEAD^{commit}"]);
        };
        // Many servers give no commit by its id, a short one least of all; then all branches are fetched.
        let looks_like_an_id = reference.len() >= 7 && reference.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !looks_like_an_id {
            return Err(error);
        }
        let name = format!("{reference}^{{commit}}");
        let known = || self.text(&["rev-parse", "--quiet", "--verify", "--end-of-options", &name]);
        known().or_else(|_| {
            self.text(&[
                "fetch",
                "--no-tags",
                "--quiet",
                "--end-of-options",
                remote,
                "refs/heads/*:refs/flow-shim/*",
            ])?;
            known().map_err(|_| error)
        })
    }

    /// Refuses where a commit is not here and cannot be had.
    pub(super) fn must_have(&self, commit: &str) -> Result<(), Failure> {
        let found = self.run(&["cat-file", "-e", &format!("{commit}^{{commit}}")])?;
        if found.status.success() {
            return Ok(());
        }
        Err(Failure::new(
            Code::GIT,
            format!(
                "the commit {commit} of the last import is not here; fetch it, so that what changed since then can be told"
            ),
        ))
    }

    /// A file of a commit.
    pub(super) fn file(&self, commit: &str, path: &str) -> Result<Vec<u8>, Failure> {
        let output = self.run(&["cat-file", "blob", &format!("{commit}:{path}")])?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(Failure::new(Code::NO_UPSTREAM_PATH, format!("upstream has no file {path:?} at {commit}")))
    }

    /// A file of HEAD; `None` where there is none.
    pub(super) fn own_file(&self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        let output = self.run(&["cat-file", "blob", &format!("HEAD:{path}")])?;
        Ok(output.status.success().then_some(output.stdout))
    }

    /// The newest line of HEAD's history that matches an extended regular expression.
    pub(super) fn message_line(&self, pattern: &str) -> Result<Option<String>, Failure> {
        let body =
            self.text(&["log", "-1", "--format=%B", "--extended-regexp", &format!("--grep={pattern}")])?;
        let word = pattern.trim_start_matches('^').split(':').next().unwrap_or_default();
        Ok(body.lines().rfind(|line| line.starts_with(word)).map(str::to_owned))
    }

    /// The tree without anything in it.
    pub(super) fn empty_tree(&self) -> Result<String, Failure> {
        self.write(&["hash-object", "-t", "tree", "-w", "--stdin"], b"")
    }

    /// Whether a commit has a file at this path.
    pub(super) fn is_file(&self, commit: &str, path: &str) -> Result<bool, Failure> {
        Ok(self.run(&["cat-file", "-t", &format!("{commit}:{path}")])?.stdout == b"blob\n")
    }

    /// A tree that holds a folder of a commit at this place, or only some files of it, with files added.
    pub(super) fn tree(
        &self,
        commit: &str,
        (path, only): (&str, &[String]),
        destination: &str,
        files: &[(&str, Vec<u8>)],
    ) -> Result<String, Failure> {
        let named = format!("{commit}:{path}");
        let kind = self.run(&["cat-file", "-t", &named])?;
        if kind.stdout != b"tree\n" {
            return Err(Failure::new(
                Code::NO_UPSTREAM_PATH,
                format!("upstream has no folder {path:?} at {commit}"),
            ));
        }
        let mut taken = Vec::with_capacity(only.len() + files.len());
        for file in only {
            let path = if path.is_empty() { file.clone() } else { format!("{path}/{file}") };
            taken.push((file.as_str(), self.file(commit, &path)?));
        }
        taken.extend(files.iter().map(|(name, content)| (*name, content.clone())));
        let scratch = tempfile::tempdir().map_err(|error| {
            Failure::new(Code::TEMPORARY_FILES, format!("no temporary folder can be made: {error}"))
        })?;
        let index = scratch.path().join("index");
        let with_index = |arguments: &[&str]| text(arguments, &self.output(arguments, Some(&index), b"")?);
        if only.is_empty() {
            with_index(&["read-tree", &format!("--prefix={destination}/"), &named])?;
        }
        for (name, content) in &taken {
            let blob = self.write(&["hash-object", "-w", "--stdin"], content)?;
            let entry = format!("100644,{blob},{destination}/{name}");
            with_index(&["update-index", "--add", "--cacheinfo", &entry])?;
        }
        with_index(&["write-tree"])
    }

    /// A commit of a tree, without a parent.
    pub(super) fn commit_tree(&self, tree: &str, message: &str) -> Result<String, Failure> {
        self.write(&["commit-tree", tree], message.as_bytes())
    }

    /// Merges into the work tree what lies between two trees; the files that conflict.
    pub(super) fn merge(&self, base: &str, theirs: &str) -> Result<Vec<String>, Failure> {
        let output = self.run(&["merge-recursive", base, "--", "HEAD", theirs])?;
        match output.status.code() {
            Some(0) => Ok(Vec::new()),
            Some(1) => {
                let files = self.text(&["diff", "--name-only", "--diff-filter=U"])?;
                if files.is_empty() {
                    Err(failed("merge-recursive", &output))
                } else {
                    Ok(files.lines().map(str::to_owned).collect())
                }
            }
            _ => Err(failed("merge-recursive", &output)),
        }
    }

    /// Leaves what makes the next `git commit` a merge with this message.
    pub(super) fn prepare_commit(&self, merged: &str, message: &str) -> Result<(), Failure> {
        for (name, text) in
            [("MERGE_HEAD", &*format!("{merged}\n")), ("MERGE_MODE", "no-ff"), ("MERGE_MSG", message)]
        {
            let file = self.folder.join(name);
            std::fs::write(&file, text).map_err(|error| {
                Failure::new(Code::CANNOT_WRITE, format!("{} cannot be written: {error}", file.display()))
            })?;
        }
        Ok(())
    }

    /// Commits what is prepared.
    pub(super) fn commit(&self) -> Result<(), Failure> {
        self.text(&["commit", "--quiet", "--no-edit"]).map(|_| ())
    }

    fn run(&self, arguments: &[&str]) -> Result<Output, Failure> {
        self.output(arguments, None, b"")
    }

    fn text(&self, arguments: &[&str]) -> Result<String, Failure> {
        text(arguments, &self.run(arguments)?)
    }

    /// Runs with this text as standard input.
    fn write(&self, arguments: &[&str], input: &[u8]) -> Result<String, Failure> {
        text(arguments, &self.output(arguments, None, input)?)
    }

    fn output(&self, arguments: &[&str], index: Option<&Path>, input: &[u8]) -> Result<Output, Failure> {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.root).args(arguments);
        // Nobody is there to answer, and messages are not read in other languages.
        command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
        if let Some(index) = index {
            command.env("GIT_INDEX_FILE", index);
        }
        subprocess::run(&mut command, input).map_err(|error| {
            Failure::new(Code::NO_GIT, format!("git cannot be started: {error}; install it"))
        })
    }
}

/// What git printed, where it did what it should.
fn text(arguments: &[&str], output: &Output) -> Result<String, Failure> {
    if !output.status.success() {
        return Err(failed(arguments.first().unwrap_or(&""), output));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

fn failed(step: &str, output: &Output) -> Failure {
    let said = subprocess::said(output);
    let reason = said.lines().find(|line| line.starts_with("fatal:") || line.starts_with("error:"));
    let reason = reason.or_else(|| subprocess::last_line(&said)).unwrap_or("nothing was said").trim();
    Failure::new(Code::GIT, format!("git {step} failed: {reason}")).with("output", said.trim_end())
}
