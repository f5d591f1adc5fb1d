//! Sequences that come near the size at which Flow commits documents without a state.

use std::io::{BufRead, BufReader, Read, Write};

use serde_json::{Value, json};

use crate::harness::{Connector, airbyte, open};
use crate::refreshes::by_key;

#[test]
fn a_large_sequence_is_named_and_ended_where_a_refresh_is_in_it() {
    let script = "
echo '{\"type\":\"RECORD\",\"record\":{\"stream\":\"orders\",\"data\":{\"v\":1},\"emitted_at\":1}}'
head -c 40000000 /dev/zero | tr '\\0' a > FOLDER/text
for n in 1 2 3 4 5 6 7 8 9 10 11; do
    printf '{\"type\":\"RECORD\",\"record\":{\"stream\":\"users\",\"data\":{\"id\":\"'; cat FOLDER/text; echo '\"},\"emitted_at\":1}}'
done
";
    let yaml = "protocol: airbyte\ncommand: [sh, FOLDER/source.sh]\nconfig: {schema: {type: object}}\nread: {checkpointEvery: {bytes: 10GB}}";
    let connector = Connector::shim(yaml, &[("source.sh", script)]);
    let mut shim = connector.command().spawn().expect("the program starts");
    let request = open(json!({}), &[airbyte("users", "incremental"), by_key("orders")], json!({}));
    writeln!(shim.stdin.take().expect("a pipe"), "{request}").expect("written");
    let mut kinds = String::new();
    for line in BufReader::new(shim.stdout.take().expect("a pipe")).split(b'\n') {
        kinds.push(char::from(line.expect("a line")[3]));
    }
    let mut log = String::new();
    shim.stderr.take().expect("a pipe").read_to_string(&mut log).expect("UTF-8");
    assert!(shim.wait().expect("it ends").success(), "{log}");
    // c`a`ptured and c`h`eckpoint, behind o`p`ened.
    assert_eq!(kinds, "paaaaaaaaaaahah");
    let logs = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let named: Vec<Value> =
        logs.filter(|log| log["level"] == "warn").map(|log| log["fields"]["stream"].clone()).collect();
    assert_eq!(named, ["users"]);
}
