//! `flow-shim record`: it keeps what a connector prints, whoever reads along.

use std::process::{Command, Stdio};

use crate::harness::program;

#[test]
fn a_recording_is_whole_where_its_reader_goes_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = "echo '{\"type\":\"SPEC\"}'; sleep 0.3; echo '{\"type\":\"LOG\"}'; sleep 0.3; echo '{\"type\":\"LOG\"}'";
    let mut record = Command::new(program());
    record.arg("record").arg(folder.path()).args(["--", "sh", "-c", source]).env_remove("FLOW_SHIM_DIR");
    let mut child = record.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let kept = std::fs::read_to_string(folder.path().join("other.txt")).expect("a transcript");
    assert_eq!(kept.lines().count(), 3, "{kept}");
}
