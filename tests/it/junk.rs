//! Junk between and inside messages, records that are too large, lines without end, floods of lines.

use serde_json::{Value, json};

use crate::harness::{Connector, Run, airbyte, open, singer};
use crate::messages::SPEC;

fn record(id: u32) -> String {
    json!({"type": "RECORD", "record": {"stream": "users", "data": {"id": id}}}).to_string()
}

fn ids(run: &Run) -> Vec<Value> {
    run.documents(0).into_iter().map(|document| document["id"].clone()).collect()
}

/// Runs a script as an Airbyte source whose read is the script; `limits` is what `read:` holds.
fn script(script: &str, limits: &str) -> Run {
    let yaml = format!("protocol: airbyte\ncommand: [sh, FOLDER/upstream.sh]\nread: {{{limits}}}\n");
    let script = format!("case \"$1\" in spec) printf '%s' '{}'; exit 0;; esac\n{script}\n", SPEC.trim());
    let connector = Connector::shim(&yaml, &[("upstream.sh", &script)]);
    connector.run(&[open(json!({}), &[airbyte("users", "incremental")], json!({}))])
}

/// Prints a record of `users` that has exactly so many bytes, and one before and behind it.
fn sized(bytes: usize, limits: &str) -> Run {
    let head = r#"{"id":2,"big":""#;
    let filler = bytes - head.len() - 2;
    let around = |id| format!("printf '%s\\n' '{}'", record(id));
    let big = format!(
        "printf '%s' '{{\"type\":\"RECORD\",\"record\":{{\"stream\":\"users\",\"data\":{head}'\n\
         head -c {filler} /dev/zero | tr '\\0' x\nprintf '%s\\n' '\"}}}}}}'"
    );
    script(&format!("{}\n{big}\n{}", around(1), around(3)), limits)
}

#[test]
fn messages_are_found_in_junk() {
    let mut read: Vec<u8> = Vec::new();
    read.extend(format!("\u{feff}{}\r\n", record(1)).bytes());
    read.extend(format!("\0{}\0\n", record(2)).bytes());
    read.extend(format!("{}{}  {}\n", record(3), record(4), record(5)).bytes());
    read.extend(format!("Progress: 50% {} done\n", record(6)).bytes());
    read.extend(
        b"{\"type\":\"RECORD\",\"record\":{\"stream\":\"users\",\"data\":{\"id\":7,\"a\":\"\xff\"}}}tail\n",
    );
    read.extend(b"\n\r\n\0\n\xff\xfe only noise\n");
    read.extend(record(8).bytes());
    let connector = Connector::playing("airbyte", &[("spec.jsonl", SPEC)]);
    std::fs::write(format!("{}/read.jsonl", connector.folder_path()), read).expect("written");
    let run = connector.run(&[open(json!({}), &[airbyte("users", "incremental")], json!({}))]).succeeded();
    assert_eq!(ids(&run), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(run.documents(0)[6]["a"], "\u{fffd}");
    assert!(run.logged(Some("warn"), "upstream printed text that is not JSON"), "{:?}", run.logs);
    for text in ["Progress: 50%", "done", "tail"] {
        assert!(
            run.logs.iter().any(|log| log["message"].as_str().is_some_and(|m| m.trim() == text)),
            "{text}"
        );
    }
}

#[test]
fn a_tap_s_messages_are_found_in_junk_too() {
    let lines = "warn {\"type\":\"RECORD\",\"stream\":\"users\",\"record\":{\"id\":1}}{\"type\":\"STATE\",\"value\":{\"bookmarks\":{\"users\":{\"at\":1}}}}\n";
    let script = format!(
        "case \"$*\" in *--about*) exit 2;; *--discover*) echo '{{\"streams\":[{{\"tap_stream_id\":\"users\",\"stream\":\"users\",\"schema\":{{}},\"metadata\":[]}}]}}';; *) printf '%s' '{lines}';; esac"
    );
    let connector = Connector::new(&["run", "--protocol", "singer", "--", "sh", "-c", &script, "tap"]);
    let run = connector.run(&[open(json!({}), &[singer("users", "INCREMENTAL")], json!({}))]).succeeded();
    assert_eq!(ids(&run), [1]);
    assert_eq!(run.all("checkpoint").len(), 1);
}

#[test]
fn a_torn_message_before_a_whole_one_is_never_passed_over() {
    let whole = record(2);
    let read = format!("{}\n{}{whole}\n", record(1), &whole[..whole.len() - 9]);
    let connector = Connector::playing("airbyte", &[("spec.jsonl", SPEC), ("read.jsonl", &read)]);
    let run = connector.run(&[open(json!({}), &[airbyte("users", "incremental")], json!({}))]);
    assert_eq!(run.code, 12);
    assert!(run.last_words().contains("damaged RECORD"), "{}", run.last_words());
}

#[test]
fn a_record_of_the_limit_passes_and_one_byte_more_is_an_error() {
    let run = sized(5_000, "maxRecordBytes: 5000").succeeded();
    assert_eq!(ids(&run), [1, 2, 3]);
    let run = sized(5_001, "maxRecordBytes: 5000");
    assert_eq!(run.code, 12);
    let words = run.last_words();
    assert!(
        words.contains("\"users\"") && words.contains("5001 bytes") && words.contains("nullLargest"),
        "{words}"
    );
    assert!(run.all("checkpoint").is_empty());
}

#[test]
fn the_largest_fields_can_be_made_null_instead() {
    let run = sized(9_000, "maxRecordBytes: 5000, oversizedRecord: nullLargest").succeeded();
    assert_eq!(ids(&run), [1, 2, 3]);
    let document = &run.documents(0)[1];
    assert_eq!(document["big"], Value::Null);
    assert_eq!(document["_meta"]["nulled"], json!(["/big"]));
    assert!(document["_meta"]["row_id"].is_number(), "{document}");
}

#[test]
fn a_line_without_end_is_refused_while_it_grows() {
    let endless = "printf '%s' '{\"type\":\"RECORD\",\"record\":{\"stream\":\"users\",\"data\":{\"x\":\"'\nyes x | tr -d '\\n'";
    for limits in ["maxRecordBytes: 5000", "maxRecordBytes: 5000, oversizedRecord: nullLargest"] {
        let run = script(endless, limits);
        assert_eq!(run.code, 12);
        assert!(run.last_words().contains("\"users\" has more than 5000 bytes"), "{}", run.last_words());
    }
    let state = "{\"type\":\"STATE\",\"state\":{\"type\":\"STREAM\",\"stream\":{\"stream_descriptor\":{\"name\":\"users\"},\"x\":\"";
    let run = script(&format!("printf '%s' '{state}'\nyes x | tr -d '\\n'"), "maxRecordBytes: 5000");
    assert_eq!(run.code, 12);
    let words = run.last_words();
    assert!(
        words.contains("STATE message of stream \"users\"") && words.contains("maxRecordBytes"),
        "{words}"
    );
    assert_eq!(run.logs.last().expect("a last line")["fields"]["stream"], "users");
    let run = script("yes x | tr -d '\\n' >&2 & yes x | tr -d '\\n'", "maxRecordBytes: 5000");
    assert_eq!(run.code, 12);
    assert!(run.last_words().contains("maxRecordBytes"), "{}", run.last_words());
    assert!(run.logs.iter().map(|log| log.to_string().len()).sum::<usize>() < 1 << 20);
}

#[test]
fn floods_are_folded() {
    let count = 100_000;
    let flood = format!(
        "seq -f 'retry %.0f of many' 1 {count} >&2\nseq -f 'stray %.0f' 1 {count}\n\
         seq -f '{{\"type\":\"LOG\",\"log\":{{\"level\":\"WARN\",\"message\":\"slow %.0f\"}}}}' 1 {count}\nprintf '%s\\n' '{}'",
        record(1)
    );
    let run = script(&flood, "").succeeded();
    assert_eq!(ids(&run), [1]);
    assert!(run.logs.len() < 150, "{}", run.logs.len());
    for word in ["retry", "stray", "slow"] {
        let alike =
            run.logs.iter().filter(|log| log["message"].as_str().is_some_and(|m| m.starts_with(word)));
        let told: u64 = alike.map(|log| log["fields"]["folded"].as_u64().unwrap_or(1)).sum();
        assert_eq!(told, count, "{word}");
    }
}
