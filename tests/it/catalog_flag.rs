//! How a tap gets its catalog, and how one without discovery is read.

use serde_json::json;

use crate::harness::{Connector, Run, discover, open, singer};

/// A tap whose parser knows the flags in FLAGS and which reads only those in READS.
const TAP: &str = r#"
has() { case " $1 " in *" $2 "*) return 0;; esac; return 1; }
case "$*" in
  *--about*) echo 'error: the following arguments are required: -c/--config' >&2; exit 2;;
  *--help*) echo help >> FOLDER/starts; echo "usage: tap [-h]"; for flag in $FLAGS; do echo "  $flag FILE"; done; exit 0;;
esac
for argument; do
  case $argument in --*) has "$FLAGS" "$argument" || { echo "tap: error: unrecognized arguments: $argument" >&2; exit 2; };; esac
done
case "$*" in *--discover*)
  echo '{"streams":[{"tap_stream_id":"users","stream":"users","schema":{"properties":{}},"metadata":[]}]}'; exit 0;;
esac
reads=; [ -n "$READS" ] || reads=1
for argument; do if has "$READS" "$argument"; then reads=1; fi; done
[ -n "$reads" ] || exit 0
echo '{"type":"SCHEMA","stream":"users","schema":{"properties":{"id":{"type":"integer"}}},"key_properties":["id"]}'
case "$*" in *--state*) echo '{"type":"RECORD","stream":"users","record":{"id":2}}';; *) echo '{"type":"RECORD","stream":"users","record":{"id":1}}';; esac
echo '{"type":"STATE","value":{"bookmarks":{"users":{"id":1}}}}'
"#;

/// What singer-python's parser knows.
const SINGER_PYTHON: &str = "--config --state --properties --catalog --discover";

fn tap(flags: &str, reads: &str, yaml: &str) -> Connector {
    let yaml = format!("protocol: singer\ncommand: [sh, FOLDER/tap.sh]\n{yaml}");
    let folder = Connector::shim(&yaml, &[("tap.sh", TAP)]);
    folder.variable("FLAGS", flags).variable("READS", reads)
}

fn read(flags: &str, reads: &str, yaml: &str) -> Run {
    tap(flags, reads, yaml).run(&[open(json!({}), &[singer("users", "INCREMENTAL")], json!({}))])
}

#[test]
fn a_tap_gets_its_catalog_by_the_flag_that_its_help_names() {
    for flag in ["--catalog", "--properties"] {
        let flags = format!("--config --state --discover {flag}");
        assert_eq!(read(&flags, flag, "").succeeded().documents(0).len(), 1, "{flag}");
    }
}

/// As in tap-hubspot 4.5.0, pipelinewise-tap-s3-csv 3.0.1 and tap-minio-csv 1.2.2.
#[test]
fn a_tap_that_knows_both_flags_gets_both_since_it_may_read_only_one() {
    for reads in ["--catalog", "--properties"] {
        assert_eq!(read(SINGER_PYTHON, reads, "").succeeded().documents(0).len(), 1, "{reads}");
    }
}

#[test]
fn a_shim_may_say_which_flag() {
    let older = "--config --state --discover --properties";
    read(older, "--properties", "singer: {catalogFlag: --properties}\n").succeeded();
    assert_eq!(read(older, "--properties", "singer: {catalogFlag: --catalog}\n").code, 10);
    read("--config --discover", "", "singer: {catalogFlag: none}\n").succeeded();
}

#[test]
fn a_tap_without_discovery_is_asked_by_a_sync_and_read_without_a_catalog() {
    for (flags, next) in [("--config --state", 2), ("--config", 1)] {
        let connector = tap(flags, "", "");
        let found = connector.run(&[discover(&json!({}))]).succeeded().only("discovered");
        assert_eq!(found["bindings"][0]["key"], json!(["/id"]), "{flags}");
        let bindings = [singer("users", "INCREMENTAL")];
        let first = connector.run(&[open(json!({}), &bindings, json!({}))]).succeeded();
        assert_eq!(first.documents(0)[0]["id"], 1, "{flags}");
        let second = connector.run(&[open(json!({}), &bindings, first.state(json!({})))]).succeeded();
        assert_eq!(
            second.documents(0)[0]["id"],
            next,
            "{flags}: the state is passed where the tap takes one"
        );
    }
}

/// The help is not read before a Validate, so the tap's own refusal decides.
#[test]
fn a_refused_discovery_is_no_failure_of_the_connection() {
    let request = json!({"validate": {
        "name": "acmeCo/x", "connectorType": "IMAGE", "config": {},
        "bindings": [{"resourceConfig": {"tap_stream_id": "users", "replication_method": "FULL_TABLE"},
            "collection": {"name": "acmeCo/users", "key": ["/id"]}}],
    }});
    let validated = tap("--config --state", "", "").run(&[request]).succeeded().only("validated");
    assert_eq!(validated["bindings"][0]["resourcePath"], json!(["users"]));
}
