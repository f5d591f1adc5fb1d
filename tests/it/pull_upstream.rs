//! `pull-upstream` between git repositories of the test's own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::harness::{Run, flow_shim};

/// Somebody's repository, and ours that takes a folder of it.
struct Repositories {
    folder: tempfile::TempDir,
}

fn git_in(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(arguments);
    isolate(&mut command);
    command.output().expect("git runs")
}

/// No setting of the machine's user plays a part.
fn isolate(command: &mut Command) {
    for (name, value) in [
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_AUTHOR_NAME", "A"),
        ("GIT_AUTHOR_EMAIL", "a@a.test"),
        ("GIT_COMMITTER_NAME", "A"),
        ("GIT_COMMITTER_EMAIL", "a@a.test"),
    ] {
        command.env(name, value);
    }
}

impl Repositories {
    fn new() -> Self {
        let repositories = Self { folder: tempfile::tempdir().expect("a folder") };
        for name in ["upstream", "ours"] {
            std::fs::create_dir(repositories.folder.path().join(name)).expect("made");
            repositories.git(name, &["init", "--quiet", "--initial-branch=main"]);
        }
        let lines = (1..=20).map(|line| format!("line {line}\n")).collect::<Vec<_>>().concat();
        repositories.write("upstream", "connectors/source-x/source_x/source.py", &lines);
        repositories.write("upstream", "connectors/source-x/old.py", &lines);
        repositories.write("upstream", "connectors/source-x/gone.py", "gone\n");
        repositories.write("upstream", "connectors/other/other.py", "other\n");
        repositories.write("upstream", "LICENSE", "do what you like\n");
        repositories.commit("upstream", "first");
        repositories.write("ours", "README.md", "ours\n");
        repositories.commit("ours", "ours");
        let url = repositories.path("upstream").display().to_string();
        repositories.git("ours", &["remote", "add", "bigdata", &url]);
        repositories
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn git(&self, name: &str, arguments: &[&str]) -> String {
        let output = git_in(&self.path(name), arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    }

    fn write(&self, name: &str, file: &str, text: &str) {
        let file = self.path(name).join(file);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::fs::write(file, text).expect("written");
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path("ours").join(file)).expect("readable")
    }

    fn replace(&self, name: &str, file: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path(name).join(file)).expect("readable");
        assert!(text.contains(from), "{file} has no {from}");
        self.write(name, file, &text.replace(from, to));
    }

    fn commit(&self, name: &str, message: &str) -> String {
        self.git(name, &["add", "--all"]);
        self.git(name, &["commit", "--quiet", "--message", message]);
        self.git(name, &["rev-parse", "HEAD"])
    }

    fn pull_with(&self, reference: &str, license: &str, more: &[&str]) -> Run {
        let from = ["pull-upstream", "bigdata", reference, "connectors/source-x"];
        let mut command = flow_shim(&from);
        command.args(["./source-x/", license, "LICENSE"]).args(more).current_dir(self.path("ours"));
        isolate(&mut command);
        Run::of(command.output().expect("the program runs"))
    }

    fn pull(&self) -> Run {
        self.pull_with("main", "MIT", &[])
    }
}

#[test]
fn a_folder_comes_with_a_merge_commit_that_says_where_it_is_from() {
    let repositories = Repositories::new();
    let commit = repositories.git("upstream", &["rev-parse", "HEAD"]);
    repositories.pull().succeeded();
    let message = repositories.git("ours", &["log", "-1", "--format=%B"]);
    let url = repositories.path("upstream").display().to_string();
    for line in [
        format!("import: source-x through {url} @ main"),
        format!("Remote Repo URL: {url}"),
        "Source name: main".into(),
        format!("Source Commit ID: {commit}"),
        "Source Repo Prefix: connectors/source-x/".into(),
        "Import Path: source-x/".into(),
        "License Type: MIT".into(),
        "License Path: LICENSE".into(),
        format!("git-merge-subpath: {commit} connectors/source-x source-x"),
    ] {
        assert!(message.lines().any(|found| found == line), "{line} in {message}");
    }
    assert_eq!(repositories.git("ours", &["log", "-1", "--format=%P"]).split(' ').count(), 2, "a merge");
    assert_eq!(repositories.read("source-x/upstream.license"), "do what you like\n");
    let lock = repositories.read("source-x/upstream.lock");
    assert!(lock.contains(&format!("commit: {commit}\n")) && lock.contains("license: MIT\n"), "{lock}");
    assert!(lock.contains("licenseSha256: "), "{lock}");
    assert_eq!(repositories.read("README.md"), "ours\n");
    assert!(!repositories.path("ours").join("source-x/other.py").exists());
    assert_eq!(repositories.git("ours", &["status", "--porcelain"]), "");
    let again = repositories.pull().succeeded();
    assert!(again.logged(None, "already"));
    assert_eq!(repositories.git("ours", &["rev-list", "--count", "--first-parent", "HEAD"]), "2");
}

#[test]
fn a_later_pull_merges_changes_renames_and_deletions() {
    let repositories = Repositories::new();
    repositories.pull().succeeded();
    repositories.replace("ours", "source-x/source_x/source.py", "line 2\n", "line 2, ours\n");
    repositories.replace("ours", "source-x/old.py", "line 3\n", "line 3, ours\n");
    repositories.write("ours", "source-x/mine.py", "mine\n");
    repositories.commit("ours", "a change of ours");

    repositories.replace(
        "upstream",
        "connectors/source-x/source_x/source.py",
        "line 19\n",
        "line 19, theirs\n",
    );
    repositories.git("upstream", &["mv", "connectors/source-x/old.py", "connectors/source-x/new.py"]);
    repositories.git("upstream", &["rm", "--quiet", "connectors/source-x/gone.py"]);
    repositories.write("upstream", "connectors/source-x/added.py", "added\n");
    let commit = repositories.commit("upstream", "second");

    let run = repositories.pull().succeeded();
    assert!(run.logs.iter().all(|log| log["level"] == "info"), "{:?}", run.logs);
    let source = repositories.read("source-x/source_x/source.py");
    assert!(source.contains("line 2, ours\n") && source.contains("line 19, theirs\n"), "{source}");
    assert!(repositories.read("source-x/new.py").contains("line 3, ours\n"), "a change follows a rename");
    let ours = repositories.path("ours");
    assert!(!ours.join("source-x/old.py").exists() && !ours.join("source-x/gone.py").exists());
    assert_eq!(repositories.read("source-x/added.py"), "added\n");
    assert_eq!(repositories.read("source-x/mine.py"), "mine\n");
    assert!(repositories.read("source-x/upstream.lock").contains(&commit));
    assert_eq!(repositories.git("ours", &["status", "--porcelain"]), "");
}

#[test]
fn conflicts_are_left_as_git_leaves_them() {
    let repositories = Repositories::new();
    repositories.pull().succeeded();
    let file = "source-x/source_x/source.py";
    repositories.replace("ours", file, "line 5\n", "line 5, ours\n");
    repositories.commit("ours", "a change of ours");
    repositories.replace(
        "upstream",
        "connectors/source-x/source_x/source.py",
        "line 5\n",
        "line 5, theirs\n",
    );
    let commit = repositories.commit("upstream", "second");
    let run = repositories.pull();
    assert_eq!(run.code, 1);
    assert!(
        run.last_words().contains(file) && run.last_words().contains("git merge --abort"),
        "{}",
        run.last_words()
    );
    let text = repositories.read(file);
    assert!(text.contains("<<<<<<<") && text.contains("line 5, ours\n") && text.contains("line 5, theirs\n"));
    assert!(repositories.pull().last_words().contains("a merge is under way"));

    repositories.write("ours", file, "resolved\n");
    repositories.git("ours", &["add", file]);
    repositories.git("ours", &["commit", "--quiet", "--no-edit"]);
    let message = repositories.git("ours", &["log", "-1", "--format=%B"]);
    assert!(message.contains(&format!("Source Commit ID: {commit}")), "{message}");
    let again = repositories.pull().succeeded();
    assert!(
        again
            .logs
            .last()
            .is_some_and(|log| log["message"].as_str().is_some_and(|text| text.contains("already")))
    );

    repositories.write("upstream", "connectors/source-x/added.py", "added\n");
    repositories.commit("upstream", "third");
    repositories.pull().succeeded();
    assert_eq!(repositories.read(file), "resolved\n", "what was resolved stays so");
}

#[test]
fn a_squashed_import_and_one_by_the_older_script_are_continued() {
    for squashed in [true, false] {
        let repositories = Repositories::new();
        repositories.pull().succeeded();
        let mut message = "import".to_owned();
        if !squashed {
            message = repositories.git("ours", &["log", "-1", "--format=%B"]);
            repositories
                .git("ours", &["rm", "--quiet", "source-x/upstream.lock", "source-x/upstream.license"]);
        }
        repositories.git("ours", &["reset", "--quiet", "--soft", "HEAD^1"]);
        repositories.git("ours", &["commit", "--quiet", "--message", &message]);
        repositories.replace("ours", "source-x/old.py", "line 3\n", "line 3, ours\n");
        repositories.commit("ours", "a change of ours");
        repositories.replace("upstream", "connectors/source-x/old.py", "line 18\n", "line 18, theirs\n");
        repositories.commit("upstream", "second");
        repositories.pull().succeeded();
        let text = repositories.read("source-x/old.py");
        assert!(
            text.contains("line 3, ours\n") && text.contains("line 18, theirs\n"),
            "squashed {squashed}: {text}"
        );
    }
}

#[test]
fn a_short_commit_id_is_a_reference_too() {
    let repositories = Repositories::new();
    let first = repositories.git("upstream", &["rev-parse", "HEAD"]);
    repositories.write("upstream", "connectors/source-x/added.py", "added\n");
    repositories.commit("upstream", "second");
    repositories.pull_with(&first[..10], "MIT", &[]).succeeded();
    assert!(repositories.read("source-x/upstream.lock").contains(&format!("commit: {first}\n")));
    assert!(!repositories.path("ours").join("source-x/added.py").exists());
}

#[test]
fn licences_are_checked() {
    let repositories = Repositories::new();
    let unknown = repositories.pull_with("main", "ELv2", &[]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.last_words().contains("`Elastic-2.0`"), "{}", unknown.last_words());
    let closed = repositories.pull_with("main", "BUSL-1.1", &[]);
    assert_eq!(closed.code, 2);
    assert!(closed.last_words().contains("--accept-license"), "{}", closed.last_words());
    assert!(!repositories.path("ours").join("source-x").exists());
    let accepted = repositories.pull_with("main", "BUSL-1.1", &["--accept-license"]).succeeded();
    assert!(accepted.logs.iter().any(|log| log["level"] == "warn"));

    repositories.write("upstream", "LICENSE", "do as we like\n");
    repositories.commit("upstream", "another licence");
    let changed = repositories.pull().succeeded();
    let warnings: Vec<&str> = changed
        .logs
        .iter()
        .filter(|log| log["level"] == "warn")
        .filter_map(|log| log["message"].as_str())
        .collect();
    assert!(warnings.iter().any(|text| text.contains("was BUSL-1.1")), "{warnings:?}");
    assert!(warnings.iter().any(|text| text.contains("text is not what it was")), "{warnings:?}");
}

#[test]
fn what_cannot_be_pulled_changes_nothing() {
    let repositories = Repositories::new();
    let head = repositories.git("ours", &["rev-parse", "HEAD"]);
    let words = |reference: &str, path: &str, license_path: &str| {
        let mut command =
            flow_shim(&["pull-upstream", "bigdata", reference, path, "source-x", "MIT", license_path]);
        command.current_dir(repositories.path("ours"));
        isolate(&mut command);
        let run = Run::of(command.output().expect("the program runs"));
        assert_ne!(run.code, 0);
        run.last_words().to_owned()
    };
    assert!(words("no-such-branch", "connectors/source-x", "LICENSE").contains("no-such-branch"));
    assert!(words("main", "connectors/nothing", "LICENSE").contains("connectors/nothing"));
    assert!(words("main", "connectors/source-x", "COPYING").contains("COPYING"));
    assert!(words("main", "../elsewhere", "LICENSE").contains("`..`"));
    repositories.write("ours", "README.md", "changed\n");
    assert!(words("main", "connectors/source-x", "LICENSE").contains("not committed"));
    assert_eq!(repositories.git("ours", &["rev-parse", "HEAD"]), head);
    assert!(!repositories.path("ours").join("source-x").exists());
}

#[test]
fn single_files_come_and_are_followed() {
    let repositories = Repositories::new();
    repositories.write("upstream", "connectors/source-x/manifest.yaml", "version: 1.0.0\nstreams: []\n");
    repositories.write("upstream", "connectors/source-x/components.py", "pass\n");
    repositories.commit("upstream", "a manifest");
    let pull = |path: &str, more: &[&str]| {
        let mut command =
            flow_shim(&["pull-upstream", "bigdata", "main", path, "source-x", "MIT", "LICENSE"]);
        command.args(more).current_dir(repositories.path("ours"));
        isolate(&mut command);
        Run::of(command.output().expect("the program runs"))
    };
    let listed = || repositories.git("ours", &["ls-files", "source-x"]);
    pull("connectors/source-x/manifest.yaml", &[]).succeeded();
    assert_eq!(listed(), "source-x/manifest.yaml\nsource-x/upstream.license\nsource-x/upstream.lock");
    assert!(repositories.read("source-x/upstream.lock").contains("\nfile: manifest.yaml\n"));
    // One more file, and a change on both sides.
    repositories.replace("ours", "source-x/manifest.yaml", "streams: []", "streams: [ours]");
    repositories.commit("ours", "changed here");
    repositories.replace(
        "upstream",
        "connectors/source-x/manifest.yaml",
        "version: 1.0.0",
        "version: 2.0.0\n\n",
    );
    repositories.commit("upstream", "changed there");
    let both = ["--only", "manifest.yaml", "--only", "components.py"];
    let run = pull("connectors/source-x", &both);
    assert!(run.code == 0 || run.code == 1, "{:?}", run.logs);
    let text = repositories.read("source-x/manifest.yaml");
    assert!(text.contains("streams: [ours]") && text.contains("version: 2.0.0"), "{text}");
    assert!(listed().contains("source-x/components.py") && !listed().contains("old.py"));
    if run.code == 1 {
        // Some versions of git see a conflict in changes so close to each other.
        repositories.commit("ours", "resolved");
    }
    let missing = pull("connectors/source-x", &["--only", "no.yaml"]);
    assert_eq!(missing.logs.last().expect("a line")["fields"]["code"], "no-upstream-path");
}
