//! What the system refuses: room for files, threads, a larger file, an open stdout.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::environment::impossible_here;
use crate::harness::{Connector, Run, airbyte, open};
use crate::messages::{RECORD, SPEC, STATE};

const YAML: &str = "protocol: airbyte\ncommand: [flow-shim, replay, FOLDER]\n";

fn capture(records: usize) -> Connector {
    let read = format!("{}{STATE}", RECORD.repeat(records));
    Connector::shim(YAML, &[("read.jsonl", &read), ("spec.jsonl", SPEC)])
}

fn request() -> Value {
    open(json!({}), &[airbyte("users", "incremental")], json!({}))
}

/// Runs a capture in a shell that does this before it becomes flow-shim.
fn after(preparation: &str, launcher: &[&str], connector: &Connector) -> Run {
    let inside = connector.command();
    let script = format!("{preparation}\nexec \"$@\"");
    let mut words = launcher.iter().copied().chain(["sh", "-c", &script, "sh"]);
    let mut command = Command::new(words.next().expect("a shell"));
    command
        .args(words)
        .arg(inside.get_program())
        .args(inside.get_args())
        .current_dir(connector.folder_path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).arg0("launcher");
    let mut child = command.spawn().expect("a shell");
    // One that fails at once does not read.
    let _ = writeln!(child.stdin.take().expect("stdin"), "{}", request());
    Run::of(child.wait_with_output().expect("it ends"))
}

fn code(run: &Run) -> &Value {
    &run.logs.last().expect("last words")["fields"]["code"]
}

/// Whether this machine can do something first; says where it cannot.
fn can(launcher: &[&str], preparation: &str, what: &str) -> bool {
    let tried = Command::new(launcher[0]).args(&launcher[1..]).args(["sh", "-c", preparation]).output();
    let can = tried.is_ok_and(|output| output.status.success());
    if !can {
        impossible_here(what, &format!("`{preparation}` fails here"));
    }
    can
}

const MOUNTS: [&str; 2] = ["unshare", "--mount"];

#[test]
fn a_full_memory_file_system_is_passed_over() {
    for (size, fill) in [
        ("size=64k", "head -c 999999 /dev/zero > /dev/shm/full 2>/dev/null"),
        ("nr_inodes=2", "true"),
        ("nr_inodes=3", "true"),
    ] {
        let preparation = format!("mount -t tmpfs -o {size} tmpfs /dev/shm && {{ {fill}; true; }}");
        if !can(&MOUNTS, &preparation, "a full /dev/shm") {
            return;
        }
        let run = after(&preparation, &MOUNTS, &capture(1)).succeeded();
        assert_eq!(run.documents(0).len(), 1);
        assert!(run.logged(Some("warn"), "/dev/shm"), "{size}: {:?}", run.logs);
        assert!(run.logged(Some("warn"), "--shm-size"), "{size}: {:?}", run.logs);
    }
}

#[test]
fn where_no_place_has_room_each_is_named() {
    let full = "mount -t tmpfs -o nr_inodes=1 tmpfs /dev/shm && mkdir -p /tmp/flow-shim-full && \
                mount -t tmpfs -o nr_inodes=1 tmpfs /tmp/flow-shim-full && export TMPDIR=/tmp/flow-shim-full";
    if !can(&MOUNTS, full, "full temporary folders") {
        return;
    }
    let run = after(full, &MOUNTS, &capture(1));
    assert_eq!(code(&run), "temporary-files");
    for place in ["/dev/shm", "/tmp/flow-shim-full"] {
        assert!(run.last_words().contains(place), "{}", run.last_words());
    }
    std::fs::remove_dir("/tmp/flow-shim-full").expect("it is empty");
}

#[test]
fn a_closed_stdout_is_an_error_and_one_to_dev_null_is_not() {
    let run = after("exec >&-", &["env"], &capture(1));
    assert_eq!((run.code, code(&run)), (20, &json!("pipes")));
    after("exec >/dev/null", &["env"], &capture(1)).succeeded();
}

#[test]
fn a_file_that_may_not_grow_is_told() {
    let run = after("ulimit -f 8; exec >out", &["env"], &capture(9_000));
    assert_eq!((run.code, code(&run)), (20, &json!("pipes")), "{:?}", run.logs);
    assert!(run.last_words().contains("File too large"), "{}", run.last_words());
}

#[test]
fn no_threads_are_the_systems_fault() {
    // A user that has no process, and may have one.
    let launcher = ["setpriv", "--reuid=64321", "--regid=64321", "--clear-groups"];
    if !can(&launcher, "prlimit --nproc=1:1 true", "a limit of processes") {
        return;
    }
    let connector = capture(1);
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(connector.folder_path(), readable).expect("ours");
    let run = after("set -- prlimit --nproc=1:1 \"$@\"", &launcher, &connector);
    assert_eq!(code(&run), "system", "{:?}", run.logs);
    assert!(run.last_words().contains("thread"), "{}", run.last_words());
}
