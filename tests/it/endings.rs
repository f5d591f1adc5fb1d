//! How sessions end: what is committed, which exit code, and what is said last.

use serde_json::{Value, json};

use crate::harness::{Connector, Run, airbyte, open, singer};
use crate::messages::{RECORD, SPEC, STATE, error, status};

fn read(lines: &str) -> Run {
    let connector = Connector::playing("airbyte", &[("read.jsonl", lines), ("spec.jsonl", SPEC)]);
    connector.run(&[open(json!({}), &[airbyte("users", "incremental")], json!({}))])
}

#[test]
fn documents_without_a_state_get_a_checkpoint_at_a_good_end() {
    let run = read(RECORD).succeeded();
    assert_eq!(run.responses[0], json!({"opened": {}}));
    let checkpoint = run.only("checkpoint");
    assert_eq!(
        checkpoint["state"],
        json!({"updated": {"bindingStateV1": {"users": {"rowId": 1}}}, "mergePatch": true})
    );
}

#[test]
fn the_user_is_told_how_the_capture_is_doing() {
    let statuses = |run: &Run| -> Vec<String> {
        let events = run.logs.iter().filter(|log| log["fields"]["eventType"] == "connectorStatus");
        events.filter_map(|log| log["message"].as_str().map(str::to_owned)).collect()
    };
    let run = read(&format!("{RECORD}{STATE}")).succeeded();
    assert_eq!(statuses(&run), ["Backfilling 1 of 1 stream", "Up to date: 1 stream read to the end"]);
    assert_eq!(statuses(&read("#! exit 3\n")), ["Backfilling 1 of 1 stream"]);
}

#[test]
fn the_user_sees_a_rate_limit_come_and_go() {
    let limited = "{\"type\":\"TRACE\",\"trace\":{\"type\":\"STREAM_STATUS\",\"emitted_at\":1.5,\"stream_status\":{\"stream_descriptor\":{\"name\":\"users\"},\"status\":\"RUNNING\",\"reasons\":[{\"type\":\"RATE_LIMITED\",\"rate_limited\":{\"quota_reset\":1767225600000}}]}}}\n";
    let (running, complete) = (status("users", "RUNNING"), status("users", "COMPLETE"));
    let run =
        read(&format!("{limited}#! sleep 4s\n{running}#! sleep 4s\n{RECORD}{complete}{STATE}")).succeeded();
    let events = run.logs.iter().filter(|log| log["fields"]["eventType"] == "connectorStatus");
    assert_eq!(
        events.filter_map(|log| log["message"].as_str()).collect::<Vec<_>>(),
        [
            "Backfilling 1 of 1 stream",
            "Rate limited until 00:00:00 UTC (stream users)",
            "Backfilling 1 of 1 stream",
            "Up to date: 1 stream read to the end"
        ]
    );
}

#[test]
fn nothing_new_needs_no_checkpoint() {
    assert!(read("").succeeded().all("checkpoint").is_empty());
}

#[test]
fn an_exit_1_after_records_commits_nothing_more() {
    let run = read(&format!("{RECORD}{STATE}{RECORD}#! stderr ValueError: the page is gone\n#! exit 1\n"));
    assert_eq!(run.code, 10);
    assert!(run.last_words().contains("ValueError: the page is gone"), "{}", run.last_words());
    assert_eq!(run.all("checkpoint").len(), 1);
    assert_eq!(run.uncommitted(), 1);
}

#[test]
fn a_stream_that_only_began_has_no_last_record() {
    let run = read(&format!("{}#! exit 3\n", status("users", "STARTED")));
    assert_eq!(run.code, 11);
    assert!(!run.last_words().contains("last a record"), "{}", run.last_words());
    let run = read(&format!("{}{RECORD}#! exit 3\n", status("users", "STARTED")));
    assert!(run.last_words().contains("last a record of stream \"users\""), "{}", run.last_words());
}

#[test]
fn the_first_trace_of_a_stream_is_the_cause() {
    let lines = format!(
        "{}{}{}#! exit 1\n",
        error("Rate limit reached", "transient_error", Some("users")),
        error("later noise", "transient_error", Some("users")),
        error(
            "During the sync, the following streams did not sync successfully: users",
            "transient_error",
            None
        )
    );
    let run = read(&lines);
    assert_eq!(run.code, 10);
    assert!(run.last_words().contains("Rate limit reached"), "{}", run.last_words());
    let fields = &run.logs.last().expect("a line")["fields"];
    assert_eq!(fields["failureType"], "transient");
    assert_eq!(fields["internalMessage"], "inner text");
}

#[test]
fn an_error_trace_with_exit_0_is_a_failure() {
    let run = read(&format!("{RECORD}{}", error("import failed", "transient_error", None)));
    assert_eq!(run.code, 10);
    assert!(run.last_words().contains("import failed"));
    assert!(run.all("checkpoint").is_empty());
}

#[test]
fn a_stream_that_was_never_completed_is_a_failure() {
    let run = read(&format!("{}{RECORD}{STATE}", status("users", "STARTED")));
    assert_eq!(run.code, 10);
    assert!(run.last_words().contains("users"), "{}", run.last_words());
    assert_eq!(run.all("checkpoint").len(), 1, "its good checkpoint is out");
    read(&format!("{}{RECORD}{}{STATE}", status("users", "STARTED"), status("users", "COMPLETE")))
        .succeeded();
}

#[test]
fn half_a_record_at_the_end_is_never_committed() {
    let run = read(&format!("{RECORD}{}", &RECORD[..RECORD.len() - 20]));
    assert_eq!(run.code, 12);
    assert!(run.all("checkpoint").is_empty());
    assert!(
        run.last_words().contains("RECORD") && run.last_words().contains("users"),
        "{}",
        run.last_words()
    );
}

#[test]
fn any_half_a_message_at_the_end_means_that_upstream_was_not_done() {
    let run = read(&format!("{RECORD}{{\"type\":\"LOG\",\"log\":{{\"level\""));
    assert_eq!((run.code, run.all("checkpoint").len()), (12, 0));
    assert!(run.last_words().contains("half a message"), "{}", run.last_words());
}

#[test]
fn a_kill_is_the_cause_of_half_a_line() {
    let script = "printf '%s' '{\"type\":\"RECORD\",\"record\":{\"stream\":\"us'\nkill -9 $$\n";
    let yaml = "protocol: airbyte\ncommand: [sh, FOLDER/source.sh]\n";
    let run = Connector::shim(yaml, &[("source.sh", script)]).run(&[open(
        json!({}),
        &[airbyte("users", "incremental")],
        json!({}),
    )]);
    assert_eq!(run.code, 11);
    assert!(run.last_words().contains("killed by signal 9"), "{}", run.last_words());
}

#[test]
fn a_line_that_is_cut_before_its_type_is_no_log_line() {
    for cut in ["{\"type\":\"REC", "{\"type\": \"", "{\"ty"] {
        let run = read(&format!("{RECORD}{cut}\n{RECORD}{STATE}"));
        assert_eq!((run.code, run.all("checkpoint").len()), (12, 0), "{cut}");
    }
}

#[test]
fn text_on_stdout_is_a_log_line() {
    let run = read(&format!("Downloading nltk data\n{{\"type\":\"DEBUG\",\"message\":\"x\"}}\n{RECORD}"))
        .succeeded();
    assert!(run.logs.iter().any(|log| log["message"] == "Downloading nltk data" && log["level"] == "info"));
    assert_eq!(run.documents(0).len(), 1);
}

#[test]
fn logs_have_levels_and_tracebacks_are_one_line() {
    let lines = format!(
        "{{\"type\":\"LOG\",\"log\":{{\"level\":\"WARN\",\"message\":\"slow\"}}}}\n{{\"type\":\"LOG\",\"log\":{{\"level\":\"DEBUG\",\"message\":\"hidden\"}}}}\n#! stderr Traceback (most recent call last):\n#! stderr   File x, line 1\n#! stderr KeyError: 'count'\n#! sleep 300ms\n{RECORD}"
    );
    let run = read(&lines).succeeded();
    assert!(run.logs.iter().any(|log| log["message"] == "slow" && log["level"] == "warn"));
    assert!(!run.logs.iter().any(|log| log["message"] == "hidden"), "LOG_LEVEL is info");
    let traceback =
        run.logs.iter().find(|log| log["message"].as_str().is_some_and(|m| m.starts_with("Traceback")));
    assert!(
        traceback.expect("one line")["message"].as_str().is_some_and(|m| m.ends_with("KeyError: 'count'"))
    );
}

#[test]
fn a_kill_is_named_as_one() {
    let run = read(&format!("{RECORD}#! signal 9\n"));
    assert_eq!(run.code, 11);
    assert!(run.last_words().contains("signal 9"), "{}", run.last_words());
}

#[test]
fn a_process_left_behind_does_not_hold_the_capture() {
    let run = read(&format!("{RECORD}#! leave-grandchild 600s\n")).succeeded();
    assert_eq!(run.documents(0).len(), 1);
    assert!(run.logged(None, "left processes behind"));
}

#[test]
fn a_tap_that_wrote_nothing_to_stderr_still_gets_words() {
    let run = Connector::new(&["run", "--protocol", "singer", "--", "sh", "-c", "exit 7"]).run(&[open(
        json!({}),
        &[singer("users", "FULL_TABLE")],
        json!({}),
    )]);
    assert_eq!(run.code, 11);
    assert!(run.last_words().contains("exited with code 7"), "{}", run.last_words());
}

#[test]
fn a_capture_without_bindings_waits_for_the_end_of_stdin() {
    let run = Connector::new(&["run", "--protocol", "airbyte", "--", "no-such-program"])
        .run(&[open(json!({}), &[], json!({}))])
        .succeeded();
    assert_eq!(run.responses, [json!({"opened": {}})]);
}

#[test]
fn the_end_of_stdin_does_not_end_a_read() {
    let run = read(&format!("{RECORD}#! sleep 500ms\n{RECORD}{STATE}")).succeeded();
    assert_eq!(run.documents(0).len(), 2);
}

#[test]
fn a_second_request_during_a_capture_is_refused() {
    let connector = Connector::playing("airbyte", &[("read.jsonl", "#! sleep 30s\n"), ("spec.jsonl", SPEC)]);
    let run = connector
        .run(&[open(json!({}), &[airbyte("users", "incremental")], json!({})), crate::harness::spec()]);
    assert_eq!(run.code, 20);
    assert!(run.last_words().contains("Acknowledge"), "{}", run.last_words());
}

#[test]
fn linked_collections_are_understood() {
    let mut binding = airbyte("users", "incremental");
    let collection = binding.as_object_mut().and_then(|b| b.remove("collection")).unwrap_or(Value::Null);
    let mut request = open(json!({}), &[binding], json!({}));
    request["open"]["capture"]["linkedCollections"] = json!([collection]);
    let connector = Connector::playing("airbyte", &[("read.jsonl", RECORD), ("spec.jsonl", SPEC)]);
    assert_eq!(connector.run(&[request]).succeeded().documents(0).len(), 1);
}

#[test]
fn a_check_may_change_the_config_before_it_answers() {
    let control = "{\"type\":\"CONTROL\",\"control\":{\"type\":\"CONNECTOR_CONFIG\",\"emitted_at\":1.5,\"connectorConfig\":{\"config\":{\"start\":\"now\"}}}}\n";
    let answer = |status: &str| {
        format!(
            "{control}{{\"type\":\"CONNECTION_STATUS\",\"connectionStatus\":{{\"status\":\"{status}\",\"message\":\"no access\"}}}}\n"
        )
    };
    let validate = json!({"validate": {"config": {}, "bindings": []}});
    let check = |status: &str| {
        let files = [("check.jsonl", answer(status)), ("spec.jsonl", SPEC.to_owned())];
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        Connector::playing("airbyte", &files).run(std::slice::from_ref(&validate))
    };
    assert_eq!(check("SUCCEEDED").succeeded().only("validated"), json!({}));
    let failed = check("FAILED");
    assert_eq!(failed.code, 4);
    assert!(failed.last_words().contains("no access"), "{}", failed.last_words());
}

#[test]
fn states_behind_complete_and_incomplete_are_kept() {
    let lines = format!("{}{RECORD}{}{STATE}", status("users", "STARTED"), status("users", "COMPLETE"));
    assert_eq!(read(&lines).succeeded().all("checkpoint").len(), 1);
    let lines = format!("{RECORD}{}{STATE}#! exit 1\n", status("users", "INCOMPLETE"));
    let run = read(&lines);
    assert_eq!((run.code == 0, run.all("checkpoint").len(), run.uncommitted()), (false, 1, 0));
}
