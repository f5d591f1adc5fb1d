//! What `read.parallelism` gives in a first session: four streams of a source that waits for each of its
//! records, and tells its states only at each stream's end, read by one process and by four. Waiting takes no processor, so a debug build shows the same.
//!
//! `cargo bench --bench streams` prints both times and their ratio.

mod common;

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{ANY_RECORD, open, say};

/// Each stream has a hundred records, and takes two seconds.
const SOURCE: &str = r#"
[ "$1" = spec ] && { echo '{"type":"SPEC","spec":{"connectionSpecification":{"type":"object"}}}'; exit; }
for argument; do [ "$last" = --catalog ] && catalog=$argument; last=$argument; done
for name in $(grep -o '"name":"s[0-9]*"' "$catalog" | cut -d'"' -f4); do
  for id in $(seq 100); do
    sleep 0.02
    echo "{\"type\":\"RECORD\",\"record\":{\"stream\":\"$name\",\"data\":{\"id\":$id},\"emitted_at\":1}}"
  done
  echo "{\"type\":\"STATE\",\"state\":{\"type\":\"STREAM\",\"stream\":{\"stream_descriptor\":{\"name\":\"$name\"},\"stream_state\":{\"id\":100}}}}"
done
"#;

fn main() {
    let (one, four) = (read(1), read(4));
    say(&format!(
        "4 streams that wait: parallelism 1 {:.2} s, parallelism 4 {:.2} s, {:.2} x faster",
        one.as_secs_f64(),
        four.as_secs_f64(),
        one.as_secs_f64() / four.as_secs_f64()
    ));
}

fn read(parallelism: u32) -> Duration {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let source = folder.path().join("source.sh");
    std::fs::write(&source, SOURCE).expect("written");
    let yaml = format!(
        "protocol: airbyte\ncommand: [sh, {}]\nread: {{parallelism: {parallelism}}}\n",
        source.display()
    );
    std::fs::write(folder.path().join("shim.yaml"), yaml).expect("written");
    let resource = |stream: &str| format!(r#"{{"stream":"{stream}","syncMode":"incremental"}}"#);
    let request = open("{}", &["s0", "s1", "s2", "s3"], resource, ANY_RECORD, "");
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_flow-shim"))
        .arg("run")
        .arg("--shim")
        .arg(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    writeln!(child.stdin.take().expect("a pipe"), "{request}").expect("written");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "the read failed");
    let documents =
        output.stdout.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{\"captured\""));
    assert_eq!(documents.count(), 400);
    began.elapsed()
}
