//! How a tap is told its catalog.

use serde_json::json;

use crate::harness::{Connector, Run, open, singer};

const TAP: &str = r#"
case "$*" in
  *--about*) echo 'error: the following arguments are required: -c/--config' >&2; exit 2;;
  *--help*) echo "usage: tap [-h] -c CONFIG [$FLAG FILE]"; exit 0;;
  *--discover*) echo '{"streams":[{"tap_stream_id":"users","stream":"users","schema":{"properties":{}},"metadata":[]}]}'; exit 0;;
  *" $FLAG "*) echo '{"type":"RECORD","stream":"users","record":{"id":1}}';;
  *) echo "error: unrecognized arguments" >&2; exit 2;;
esac"#;

fn read(flag: &str, yaml: &str) -> Run {
    let yaml = format!("protocol: singer\ncommand: [sh, FOLDER/tap.sh]\n{yaml}");
    let connector = Connector::shim(&yaml, &[("tap.sh", TAP)]).variable("FLAG", flag);
    connector.run(&[open(json!({}), &[singer("users", "FULL_TABLE")], json!({}))])
}

#[test]
fn a_tap_gets_its_catalog_by_the_flag_that_its_help_names() {
    for flag in ["--catalog", "--properties"] {
        assert_eq!(read(flag, "").succeeded().documents(0).len(), 1, "{flag}");
    }
}

#[test]
fn a_shim_may_say_which_flag() {
    read("--properties", "singer: {catalogFlag: --properties}\n").succeeded();
    assert_eq!(read("--properties", "singer: {catalogFlag: --catalog}\n").code, 10);
}
