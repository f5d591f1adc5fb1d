//! A process, as `/proc` shows it.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Signal};

/// One process, at the time when it was looked at.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its id.
    pub id: Pid,
    /// Its parent; `None` where the parent is outside of our container.
    pub parent: Option<Pid>,
    /// Its process group.
    pub group: i32,
    /// When it began, in clock ticks since the machine was started.
    pub begun: u64,
    /// User and system time, in clock ticks.
    cpu: u64,
    state: u8,
}

/// All that are visible.
pub fn processes() -> impl Iterator<Item = Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw))
        .filter_map(Process::read)
}

impl Process {
    /// Looks at a process; `None` where it is gone or hidden.
    pub fn read(id: Pid) -> Option<Self> {
        let stat = std::fs::read(file_of(id, "stat")).ok()?;
        Self::parse(id, &String::from_utf8_lossy(&stat))
    }

    /// Reads `stat` (proc(5)); the name in brackets may hold blanks and brackets.
    fn parse(id: Pid, stat: &str) -> Option<Self> {
        let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            id,
            state: *fields.first()?.as_bytes().first()?,
            parent: fields.get(1)?.parse().ok().and_then(Pid::from_raw),
            group: fields.get(2)?.parse().ok()?,
            cpu: number(11)? + number(12)?,
            begun: number(19)?,
        })
    }

    /// Whether it is neither dead nor a zombie.
    pub fn runs(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }

    /// Whether it has exited and waits for its parent to notice.
    pub fn is_zombie(&self) -> bool {
        self.state == b'Z'
    }

    /// `4711 (python3)`: its id and the program that its command line names.
    pub fn name(&self) -> String {
        let line = std::fs::read(file_of(self.id, "cmdline")).unwrap_or_default();
        let program = line.split(|&byte| byte == 0).next().unwrap_or_default();
        let program = program.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let program = String::from_utf8_lossy(program).into_owned();
        let program = if program.is_empty() { self.short_name() } else { program };
        format!("{} ({program})", self.id.as_raw_nonzero())
    }

    fn short_name(&self) -> String {
        let name = std::fs::read_to_string(file_of(self.id, "comm")).unwrap_or_default();
        name.trim().to_owned()
    }

    /// The name of the file that it runs: `python3.11`, `java`.
    pub fn executable(&self) -> Option<String> {
        let path = std::fs::read_link(file_of(self.id, "exe")).ok()?;
        path.file_name().map(|name| name.to_string_lossy().into_owned())
    }

    /// The variables with which it was started, each as `NAME=value`; those that are not UTF-8 left out.
    pub fn environment(&self) -> Vec<String> {
        let environment = std::fs::read(file_of(self.id, "environ")).unwrap_or_default();
        let variables = environment.split(|&byte| byte == 0);
        variables.filter_map(|variable| String::from_utf8(variable.to_vec()).ok()).collect()
    }

    /// Whether it has a handler for this signal.
    pub fn catches(&self, signal: Signal) -> bool {
        let status = std::fs::read_to_string(file_of(self.id, "status")).unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
        mask & (1 << (signal.as_raw() - 1)) != 0
    }

    /// User and system time.
    pub fn cpu_time(&self) -> Duration {
        let per_second = rustix::param::clock_ticks_per_second().max(1);
        Duration::from_millis(self.cpu.saturating_mul(1000) / per_second)
    }

    /// The inodes of the sockets that it holds.
    pub fn sockets(&self) -> Vec<u64> {
        let files = std::fs::read_dir(file_of(self.id, "fd")).into_iter().flatten().flatten();
        let targets = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        targets
            .filter_map(|target| target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok())
            .collect()
    }

    /// Bytes that it has read and written by `read` and `write`; `connections` knows of the others.
    pub fn io_bytes(&self) -> u64 {
        let text = std::fs::read_to_string(file_of(self.id, "io")).unwrap_or_default();
        let counter = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.and_then(|line| line.parse::<u64>().ok()).unwrap_or(0)
        };
        counter("rchar") + counter("wchar")
    }
}

fn file_of(id: Pid, name: &str) -> PathBuf {
    format!("/proc/{}/{name}", id.as_raw_nonzero()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_confuse() {
        let stat = "7 (a) b (c)) S 5 6 6 0 -1 4194560 1 2 3 4 30 12 0 0 20 0 1 0 89918 512 967";
        let process = Process::parse(Pid::INIT, stat).expect("a process");
        assert_eq!(process.parent, Pid::from_raw(5));
        assert_eq!((process.group, process.cpu, process.begun), (6, 42, 89918));
        assert!(process.runs() && !process.is_zombie());
    }

    #[test]
    fn our_own_process_is_visible() {
        let us = rustix::process::getpid();
        let process = processes().find(|process| process.id == us).expect("we run");
        assert!(process.runs() && process.io_bytes() > 0);
        assert!(process.executable().is_some_and(|name| process.name().contains(&name)));
    }
}
