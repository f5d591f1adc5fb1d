//! How many TCP connections upstream has opened, where the kernel can tell.
//!
//! A connection that lasts for a millisecond is in no list when somebody looks. The kernel counts those
//! that were opened by network namespace, not by process. So the count is upstream's only in a container
//! of its own: no network device of the machine is in the namespace, and every process there is upstream's
//! or belongs to this session. Containers that share the namespace, as those of a Kubernetes pod do,
//! cannot be seen; their connections count as well.

use std::collections::HashSet;
use std::path::Path;

use rustix::process::{Pid, getpid};

use super::process::{Process, processes};
use super::warden;

/// How many connections were opened and answered so far, by upstream, whose processes these are; `None`
/// where that cannot be told.
pub fn count(upstream: &[Process]) -> Option<u64> {
    if !is_of_a_container() || !are_alone(upstream) {
        return None;
    }
    opened(&std::fs::read_to_string("/proc/self/net/snmp").ok()?)
}

/// `ActiveOpens` without the attempts that failed (proc(5), `net/snmp`).
fn opened(snmp: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (lines.next()?, lines.next()?);
    let value = |wanted: &str| {
        let place = names.split(' ').position(|name| name == wanted)?;
        values.split(' ').nth(place)?.parse::<u64>().ok()
    };
    Some(value("ActiveOpens")?.saturating_sub(value("AttemptFails")?))
}

/// Whether the network is a container's: what stands for hardware is in the machine's own namespace.
fn is_of_a_container() -> bool {
    let Ok(interfaces) = std::fs::read_dir("/sys/class/net") else { return false };
    interfaces.flatten().all(|interface| !interface.path().join("device").exists())
}

/// Whether nobody else's process is in our network namespace, as far as processes can be seen.
fn are_alone(upstream: &[Process]) -> bool {
    let all: Vec<Process> = processes().collect();
    let mut ours: HashSet<Pid> = upstream.iter().map(|process| process.id).collect();
    ours.extend(warden::process());
    // We, and who started us.
    let mut next = Some(getpid());
    while let Some(id) = next {
        ours.insert(id);
        let parent = all.iter().find(|process| process.id == id).and_then(|process| process.parent);
        next = parent.filter(|parent| !ours.contains(parent));
    }
    let namespace = |id: Pid| std::fs::read_link(format!("/proc/{}/ns/net", id.as_raw_nonzero()));
    let Ok(here) = namespace(getpid()) else { return false };
    all.iter().filter(|process| process.runs() && !ours.contains(&process.id)).all(|process| {
        match namespace(process.id) {
            Ok(there) => there != here,
            // It has ended meanwhile, or its namespace is hidden, and may be ours.
            Err(_) => !Path::new(&format!("/proc/{}", process.id.as_raw_nonzero())).exists(),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn answered_connections_are_counted() {
        let snmp =
            "Ip: Forwarding\nIp: 1\nTcp: RtoMin ActiveOpens PassiveOpens AttemptFails\nTcp: 200 31 4 2\n";
        assert_eq!(opened(snmp), Some(29));
        for damaged in ["", "Tcp: ActiveOpens\n", "Tcp: ActiveOpens AttemptFails\nTcp: 1\n"] {
            assert_eq!(opened(damaged), None, "{damaged}");
        }
    }

    #[test]
    fn beside_others_nothing_is_told() {
        // This test has parents and, beside it, whatever runs on the machine; nothing of upstream's.
        let us = Process::read(getpid()).expect("we run");
        let child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn();
        let mut child = child.expect("sleep");
        assert!(!are_alone(&[us]), "the child is nobody's that is known");
        child.kill().expect("killed");
        child.wait().expect("it ends");
    }
}
