//! Airbyte's data channel: what goes wrong, and what is left behind.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::channel_captures::{FORMS, bindings, done, kept, read, shim, state};
use crate::channel_source::source;
use crate::harness::open;

#[test]
fn a_partition_that_never_came_whole_is_an_error_and_its_state_is_not_kept() {
    for form in FORMS {
        let steps = [
            "1 record users p1 {\"id\":1}".to_owned(),
            format!("1 both {}", state("users", 1, "p1", 1)),
            "2 record orders q1 {\"id\":1}".to_owned(),
            format!("2 both {}", state("orders", 1, "q1", 1)),
            "1 record users p2 {\"id\":2}".to_owned(),
            format!("1 both {}", state("users", 2, "p2", 5)),
            format!("1 both {}", done("users")),
            format!("1 both {}", done("orders")),
        ];
        let run = read(&source(&shim(form, ""), &steps.join("\n")));
        assert_eq!(run.code, 12, "{form}: {:?}", run.logs.last());
        let words = run.last_words();
        for part in ["state 2 of stream \"users\"", "5 records", "\"p2\"", "4 of them never came"] {
            assert!(words.contains(part), "{part}: {words}");
        }
        let state = run.state(json!({}));
        assert_eq!((kept(&state, "users"), kept(&state, "orders")), (json!(1), json!(1)), "{form}");
    }
}

#[test]
fn sockets_that_nothing_comes_through_are_a_hang() {
    // What it prints may be read some milliseconds after it was printed.
    let steps = "sleep 100\n1 acquire\n2 acquire\nhang";
    let run = read(&source(&shim("protobuf", ", idleTimeout: 1s"), steps));
    assert_eq!(run.code, 13, "{:?}", run.logs.last());
    assert!(
        run.last_words().contains("data channel"),
        "the last sign of life is named: {}",
        run.last_words()
    );
}

#[test]
fn bytes_on_a_socket_are_a_sign_of_life() {
    let beats = "1 send {\"type\":\"TRACE\"}\nsleep 300\n".repeat(8);
    let run = read(&source(&shim("protobuf", ", idleTimeout: 1s"), &format!("1 acquire\n{beats}")));
    run.succeeded();
}

#[test]
fn a_source_that_dies_loses_nothing_that_was_committed() {
    for form in FORMS {
        let steps = [
            "1 record users p1 {\"id\":1}".to_owned(),
            format!("1 both {}", state("users", 1, "p1", 1)),
            "sleep 200".to_owned(),
            "1 record users p2 {\"id\":2}".to_owned(),
            format!("out {}", state("users", 2, "p2", 2)),
            "1 raw 7b22".to_owned(),
            "exit 9".to_owned(),
        ];
        let run = read(&source(&shim(form, ""), &steps.join("\n")));
        assert_eq!(run.code, 11, "{form}: {:?}", run.logs.last());
        assert!(
            run.last_words().contains("exited with code 9"),
            "its end is the cause: {}",
            run.last_words()
        );
        assert_eq!(kept(&run.state(json!({})), "users"), 1);
    }
}

#[test]
fn a_socket_that_ends_in_half_a_message_is_an_error() {
    for (form, half) in
        [("protobuf", "80"), ("protobuf", "20616263"), ("jsonl", "7b2274797065223a2252454344")]
    {
        let steps = format!(
            "1 record users p1 {{\"id\":1}}\n1 both {}\n1 raw {half}\n2 acquire",
            state("users", 1, "p1", 1)
        );
        let run = read(&source(&shim(form, ""), &steps));
        assert_eq!(run.code, 12, "{form} {half}: {:?}", run.logs.last());
        assert!(run.last_words().contains("ends in half a message"), "{}", run.last_words());
        assert_eq!(kept(&run.state(json!({})), "users"), 1, "what was whole is kept");
    }
}

#[test]
fn a_socket_that_is_closed_early_is_an_end_like_any_other() {
    for form in FORMS {
        let steps = [
            "1 record users p1 {\"id\":1}".to_owned(),
            "1 close".to_owned(),
            "sleep 100".to_owned(),
            format!("2 both {}", state("users", 1, "p1", 1)),
            "2 record users p2 {\"id\":2}".to_owned(),
            format!("2 both {}", state("users", 2, "p2", 1)),
        ];
        let run = read(&source(&shim(form, ""), &steps.join("\n"))).succeeded();
        assert_eq!(kept(&run.state(json!({})), "users"), 2, "{form}");
    }
}

#[test]
fn a_message_above_the_limit_is_refused_before_it_is_read() {
    // It says that it has four gigabytes, and begins with the names of a record of `users`.
    let claims = "ffffffff0f0affffffff0f12057573657273";
    let run = read(&source(&shim("protobuf", ", maxRecordBytes: 1MiB"), &format!("1 raw {claims}\nhang")));
    assert_eq!(run.code, 12);
    for part in ["\"users\"", "1048576", "read.maxRecordBytes"] {
        assert!(run.last_words().contains(part), "{part}: {}", run.last_words());
    }
    let large = format!("1 record users p {{\"id\":1,\"name\":\"{}\"}}\nhang", "x".repeat(1_100_000));
    for form in FORMS {
        let run = read(&source(&shim(form, ", maxRecordBytes: 1MiB"), &large));
        assert_eq!(run.code, 12, "{form}");
        assert!(run.last_words().contains("\"users\" has 11000"), "{form}: {}", run.last_words());
        let run = read(&source(
            &shim(form, ", maxRecordBytes: 1MiB, oversizedRecord: nullLargest"),
            &large.replace("\nhang", ""),
        ))
        .succeeded();
        assert_eq!(run.only("captured")["doc"]["_meta"]["nulled"], json!(["/name"]), "{form}");
    }
}

#[test]
fn a_state_above_the_limit_is_no_record() {
    let state = state("users", 1, "p1", 1);
    let open = state.strip_suffix('}').expect("an object");
    let long = format!("{open},\"x\":\"{}\"}}", "x".repeat(2_200_000));
    let run = read(&source(&shim("jsonl", ", maxRecordBytes: 1MiB"), &format!("1 send {long}\nhang")));
    assert_eq!(run.code, 12);
    assert!(run.last_words().contains("a message of the data channel is longer"), "{}", run.last_words());
}

#[test]
fn a_frame_that_is_no_message_is_an_error() {
    for (hex, words) in
        [("ffffffffffffffffffff", "length"), ("0322017a", "kind 4"), ("030a017a", "not protobuf")]
    {
        let run = read(&source(&shim("protobuf", ""), &format!("1 raw {hex}\nhang")));
        assert_eq!(run.code, 12, "{hex}: {:?}", run.logs.last());
        assert!(run.last_words().contains(words), "{hex}: {}", run.last_words());
    }
}

#[test]
fn a_schema_that_does_not_fit_the_values_is_an_error() {
    let connector = source(&shim("protobuf", ""), "1 record users p {\"id\":1}\n1 send {}\nhang");
    // The source goes by a catalog of its own.
    let script = format!("{}/source.sh", connector.folder_path());
    let text = std::fs::read_to_string(&script).expect("a script");
    let text = text.replace("cp \"$5\"", "sed 's/\"name\":{}//;s/,}/}/' \"$5\" >");
    std::fs::write(&script, text).expect("written");
    let run = read(&connector);
    assert_eq!(run.code, 12, "{:?}", run.logs.last());
    let words = run.last_words();
    assert!(
        words.contains("1 values") && words.contains("2 fields") && words.contains("\"users\""),
        "{words}"
    );
    assert!(run.all("captured").is_empty());
}

#[test]
fn more_records_than_were_told_are_a_warning() {
    let steps = format!(
        "1 record users p {{\"id\":1}}\n1 record users p {{\"id\":2}}\n1 both {}",
        state("users", 1, "p", 1)
    );
    let run = read(&source(&shim("jsonl", ""), &steps)).succeeded();
    assert!(run.logged(Some("warn"), "1 more records of users came"), "{:?}", run.logs);
}

#[test]
fn nothing_is_left_of_the_sockets() {
    for (end, stop) in [("exit 0", false), ("exit 3", false), ("hang", true)] {
        let connector = source(
            &shim("protobuf", ""),
            &format!(
                "1 record users p {{\"id\":1}}\n1 send {{\"type\":\"TRACE\"}}\ntouch FOLDER/there\n{end}"
            ),
        );
        if stop {
            let mut child = connector.command().spawn().expect("the program starts");
            let request = open(json!({}), &bindings(), json!({})).to_string() + "\n";
            child.stdin.as_mut().expect("stdin").write_all(request.as_bytes()).expect("written");
            let there = format!("{}/there", connector.folder_path());
            let begun = Instant::now();
            while !Path::new(&there).exists() {
                assert!(begun.elapsed() < Duration::from_secs(60), "the source never came so far");
                std::thread::sleep(Duration::from_millis(10));
            }
            kill_process(Pid::from_child(&child), Signal::TERM).expect("signalled");
            child.wait_with_output().expect("the program ends");
        } else {
            read(&connector);
        }
        let paths = std::fs::read_to_string(format!("{}/paths", connector.folder_path())).expect("paths");
        for path in paths.split(',') {
            assert!(!Path::new(path).exists(), "{end}: {path}");
            assert!(!Path::new(path).parent().expect("a folder").exists(), "{end}");
        }
    }
}

#[test]
fn secrets_in_what_comes_through_sockets_are_masked() {
    let log = json!({"type": "LOG", "log": {"level": "INFO", "message": "the password is hunter2-hunter2"}});
    let yaml = shim("protobuf", "")
        .replace("{type: object}", "{type: object, properties: {password: {type: string, secret: true}}}");
    let connector = source(&yaml, &format!("1 send {log}"));
    let run =
        connector.run(&[open(json!({"password": "hunter2-hunter2"}), &bindings(), json!({}))]).succeeded();
    assert!(run.logged(None, "the password is ****"), "{:?}", run.logs);
    assert!(!format!("{:?}", run.logs).contains("hunter2"));
}
