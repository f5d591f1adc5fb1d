//! The memory that flow-shim and upstream share: the container's limit, a warning near it, and what
//! the kernel did at it.
//!
//! Control groups of both versions are read (cgroups(7)): the tightest limit on the way from our own
//! group to the root counts, since a container may see its group as the root or not.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where control groups are.
const MOUNT: &str = "/sys/fs/cgroup";
/// Version 1 says "no limit" with a number near 2^63.
const NO_LIMIT: u64 = 1 << 60;
/// How often the use is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// The share of the limit, in percent, from which on a warning is due.
const NEAR: u64 = 90;
/// What a user can turn, for messages.
pub const ADVICE: &str = "have the source hold less at once (its page size, slices or concurrency), read fewer \
                          streams in one capture, or lower read.parallelism in shim.yaml";

/// The group whose limit holds us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// In bytes.
    limit: u64,
    /// The folder of the group with the limit.
    limiting: PathBuf,
    /// The folder of our own group.
    own: PathBuf,
    names: Names,
}

/// How one version of control groups names its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Names {
    limit: &'static str,
    usage: &'static str,
    /// The line of `memory.stat` that holds the cache which the kernel gives up first.
    cache: &'static str,
    /// The file with a line `oom_kill N`.
    events: &'static str,
}

const V1: Names = Names {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    cache: "total_inactive_file",
    events: "memory.oom_control",
};

const V2: Names =
    Names { limit: "memory.max", usage: "memory.current", cache: "inactive_file", events: "memory.events" };

impl Container {
    /// The one that we run in; `None` where nothing limits us.
    pub fn ours() -> Option<Self> {
        Self::find(Path::new(MOUNT), &std::fs::read_to_string("/proc/self/cgroup").ok()?)
    }

    /// `groups` has a line `ID:CONTROLLERS:PATH` for each hierarchy; version 2 has no controllers.
    fn find(mount: &Path, groups: &str) -> Option<Self> {
        let lines = || groups.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        let (root, path, names) =
            match lines().find(|(controllers, _)| controllers.split(',').any(|name| name == "memory")) {
                Some((_, path)) => (mount.join("memory"), path, V1),
                None => (mount.to_owned(), lines().find(|(controllers, _)| controllers.is_empty())?.1, V2),
            };
        let own = root.join(path.trim_start_matches('/'));
        // In a container whose view of the groups begins with its own, the path leads nowhere.
        let own = if own.is_dir() { own } else { root.clone() };
        let groups = own.ancestors().take_while(|folder| folder.starts_with(&root));
        let limits = groups.filter_map(|folder| Some((limit(folder, names)?, folder.to_owned())));
        let (limit, limiting) = limits.min_by_key(|(limit, _)| *limit)?;
        Some(Self { limit, limiting, own, names })
    }

    /// The limit in MiB, for messages.
    pub fn mebibytes(&self) -> u64 {
        self.limit >> 20
    }

    /// Bytes in use, without the cache that the kernel gives up first.
    fn used(&self) -> Option<u64> {
        let used: u64 = read(&self.limiting.join(self.names.usage))?.trim().parse().ok()?;
        let cache = line(&self.limiting.join("memory.stat"), self.names.cache).unwrap_or(0);
        Some(used.saturating_sub(cache))
    }

    /// How often the kernel has killed for want of memory: counted in the group of the victim, and in
    /// version 2 in all above it.
    fn kills(&self) -> u64 {
        let of = |folder: &Path| line(&folder.join(self.names.events), "oom_kill").unwrap_or(0);
        of(&self.own).max(of(&self.limiting))
    }
}

fn limit(folder: &Path, names: Names) -> Option<u64> {
    // Version 2 says "max" where there is none.
    let limit = read(&folder.join(names.limit))?.trim().parse().ok()?;
    (limit < NO_LIMIT).then_some(limit)
}

fn read(file: &Path) -> Option<String> {
    std::fs::read_to_string(file).ok()
}

/// The number in the line that begins with this word.
fn line(file: &Path, word: &str) -> Option<u64> {
    let text = read(file)?;
    let number = text.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' '))?;
    number.trim().parse().ok()
}

/// A look at the container when upstream is started, to be compared with its end.
#[derive(Debug, Clone)]
pub struct Memory {
    container: Option<Container>,
    kills: u64,
}

impl Memory {
    /// How it is now.
    pub fn now() -> Self {
        let container = Container::ours();
        let kills = container.as_ref().map_or(0, Container::kills);
        Self { container, kills }
    }

    /// The limit in MiB; `None` where there is none.
    pub fn limit(&self) -> Option<u64> {
        self.container.as_ref().map(Container::mebibytes)
    }

    /// Whether the kernel has killed a process of the container since.
    pub fn has_killed(&self) -> bool {
        self.container.as_ref().is_some_and(|container| container.kills() > self.kills)
    }

    /// Warns once, when the limit is near. Never ends.
    pub async fn warn_near(&self) -> Infallible {
        if let Some(container) = &self.container {
            loop {
                tokio::time::sleep(EVERY).await;
                let share =
                    container.used().map_or(0, |used| used.saturating_mul(100) / container.limit.max(1));
                if share >= NEAR {
                    tracing::warn!(
                        "memory is at {share} % of the container's limit of {} MiB, at which the kernel kills \
                         upstream; {ADVICE}",
                        container.mebibytes()
                    );
                    break;
                }
            }
        }
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let mount = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let file = mount.path().join(name);
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            std::fs::write(file, text).expect("written");
        }
        mount
    }

    #[test]
    fn the_tightest_limit_of_version_2_counts() {
        let mount = tree(&[
            ("memory.max", "max\n"),
            ("pod/memory.max", "1073741824\n"),
            ("pod/memory.current", "900000000\n"),
            ("pod/memory.stat", "anon 1\ninactive_file 100000000\nfile 5\n"),
            ("pod/memory.events", "low 0\noom 3\noom_kill 2\noom_group_kill 0\n"),
            ("pod/app/memory.max", "max\n"),
        ]);
        let container = Container::find(mount.path(), "0::/pod/app\n").expect("a limit");
        assert_eq!(container.mebibytes(), 1024);
        assert_eq!(container.used(), Some(800_000_000));
        assert_eq!(container.kills(), 2);
        assert_eq!(Container::find(mount.path(), "0::/\n"), None, "the root has no limit");
    }

    #[test]
    fn a_container_that_sees_its_own_group_as_the_root_is_read() {
        let mount = tree(&[
            ("memory/memory.limit_in_bytes", "134217728\n"),
            ("memory/memory.usage_in_bytes", "120000000\n"),
            ("memory/memory.stat", "cache 7\ninactive_file 1\ntotal_inactive_file 20000000\n"),
            ("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"),
        ]);
        let groups = "9:name=systemd:/docker/1\n4:cpu,memory:/docker/1\n0::/docker/1\n";
        let container = Container::find(mount.path(), groups).expect("a limit");
        assert_eq!((container.mebibytes(), container.used(), container.kills()), (128, Some(100_000_000), 1));
    }

    #[test]
    fn no_limit_is_no_container() {
        let mount = tree(&[("memory/memory.limit_in_bytes", "9223372036854771712\n")]);
        assert_eq!(Container::find(mount.path(), "4:memory:/\n"), None);
        assert_eq!(Container::find(mount.path(), "junk\n::\n"), None);
        assert_eq!(Container::find(mount.path(), ""), None);
    }
}
