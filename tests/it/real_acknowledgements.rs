//! The real pipelinewise-tap-postgres and a real server: the replication slot follows what Flow has
//! acknowledged.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::environment::{Postgres, installed};
use crate::flow_model;
use crate::harness::{Connector, Run, open, singer};

const SLOT: &str =
    "select confirmed_flush_lsn - '0/0' from pg_replication_slots where slot_name = 'pipelinewise_shop'";

fn lsn(state: &Value) -> u64 {
    state["bindingStateV1"]["public-stock"]["state"][0]["lsn"].as_u64().expect("a place in the log")
}

#[test]
fn real_the_slot_does_not_move_past_what_flow_acknowledged() {
    let Some(shim) = installed("tap-postgres-pipelinewise") else { return };
    let Some(database) = Postgres::start() else { return };
    let connector = Connector::new(&["run", "--shim", shim.to_str().expect("UTF-8")]);
    let config = json!({
        "host": "127.0.0.1", "port": database.port, "user": "flow", "password": "flow-secret", "dbname": "shop",
        "filter_schemas": "public", "break_at_end_lsn": false, "max_run_seconds": 600, "logical_poll_total_seconds": 600,
    });
    let bindings = [singer("public-stock", "LOG_BASED")];
    let slot = || database.query(SLOT).parse::<u64>().expect("a place in the log");

    // The first session takes the snapshot and the place in the log.
    let mut child = connector.command().spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    writeln!(stdin, "{}", open(config.clone(), &bindings, json!({}))).expect("written");
    drop(stdin);
    let first = Run::of(child.wait_with_output().expect("an end")).succeeded();
    let kept = first.state(json!({}));
    let durable = lsn(&kept);

    // More changes than the tap reads between two states.
    database.execute(
        "do $$ begin for n in 100..10300 loop insert into stock values (n, 'x', n, null); commit; end loop; end $$",
    );
    let mut child = connector.command().stderr(Stdio::null()).spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    writeln!(stdin, "{}", open(config, &bindings, kept.clone())).expect("written");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut checkpoints = Vec::new();
    let mut state = kept.clone();
    while lsn(&state) == durable {
        let line = lines.next().expect("the tap goes on").expect("text");
        let response: Value = serde_json::from_str(&line).expect("JSON");
        if let Some(opened) = response.get("opened") {
            assert_eq!(opened["explicitAcknowledgements"], true);
        }
        if let Some(checkpoint) = response.get("checkpoint") {
            checkpoints.push(checkpoint.clone());
            state = flow_model::reduce(kept.clone(), &checkpoints);
        }
    }
    // The tap looks at the file every ten seconds: nothing was acknowledged, so nothing is freed.
    std::thread::sleep(Duration::from_secs(25));
    assert!(slot() <= durable, "{} is freed, {durable} is durable", slot());
    let acknowledged = json!({"acknowledge": {"checkpoints": checkpoints.len()}});
    writeln!(stdin, "{acknowledged}").expect("somebody reads");
    let patience = Instant::now() + Duration::from_secs(120);
    while slot() <= durable {
        assert!(Instant::now() < patience, "the slot never moved");
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(slot() <= lsn(&state), "{} is freed, {} is durable", slot(), lsn(&state));
    let _ = child.kill();
    let _ = child.wait();
}
